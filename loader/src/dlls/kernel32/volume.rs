//! Volumes: `fileapi.h`. Every drive is one volume with the features Linux file systems have.

use std::path::{Path, PathBuf};

use ntlpc_abi::{Handle, NtStatus};

use super::fileapi::resolve_file;
use crate::dlls::win32::{error, failed, put_string, refuse, units_arg, wide_arg};
use crate::export::{Bool, Guest, Ptr};
use crate::ob::file::{File, status_of};
use crate::ob::table::lookup;
use crate::ob::{path, volume};
use crate::win_api;

/// `FILE_CASE_SENSITIVE_SEARCH | FILE_CASE_PRESERVED_NAMES | FILE_UNICODE_ON_DISK | FILE_SUPPORTS_SPARSE_FILES |
/// FILE_SUPPORTS_HARD_LINKS | FILE_SUPPORTS_OPEN_BY_FILE_ID`.
const FEATURES: u32 = 0x1 | 0x2 | 0x4 | 0x40 | 0x40_0000 | 0x100_0000;
/// Longest name of a component.
const COMPONENT: u32 = 255;
const FILE_SYSTEM: &str = "NTFS";

/// Where the parts of an answer go.
struct Answer<T> {
    name: Ptr<T>,
    name_size: u32,
    serial: Ptr<u32>,
    component: Ptr<u32>,
    flags: Ptr<u32>,
    system: Ptr<T>,
    system_size: u32,
}

fn answer<T: Guest + Default>(
    serial: Result<u64, NtStatus>,
    to: &Answer<T>,
    encode: impl Fn(&str) -> Vec<T>,
) -> Bool {
    let serial = match serial {
        Ok(serial) => serial,
        Err(status) => return failed(status, Bool::FALSE),
    };
    if !to.name.is_null() && to.name_size > 0 {
        to.name.write(T::default());
    }
    to.serial.write_if_some(serial as u32);
    to.component.write_if_some(COMPONENT);
    to.flags.write_if_some(FEATURES);
    let system = encode(FILE_SYSTEM);
    if !to.system.is_null()
        && put_string(&system, to.system, to.system_size) as usize != system.len()
    {
        return refuse(error::INSUFFICIENT_BUFFER, Bool::FALSE);
    }
    Bool::TRUE
}

/// The directory a root names; the current one without.
fn volume_path(root: Option<Vec<u16>>) -> Result<PathBuf, NtStatus> {
    match root {
        Some(root) => {
            let path = resolve_file(&root)?;
            // The drive is there before anything lies on it.
            let is_drive = path == path::drive_c();
            let there = path.ancestors().find(|path| !is_drive || path.exists());
            Ok(there.map(Path::to_owned).unwrap_or(path))
        }
        None => std::env::current_dir().map_err(|error| status_of(&error)),
    }
}

fn serial_of(root: Option<Vec<u16>>) -> Result<u64, NtStatus> {
    let path = volume_path(root)?;
    rustix::fs::stat(&path)
        .map(|stat| stat.st_dev)
        .map_err(|error| status_of(&error.into()))
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

/// Free bytes for the caller, all bytes, free bytes.
fn space(root: Option<Vec<u16>>) -> Result<[u64; 3], NtStatus> {
    let path = volume_path(root)?;
    let stat = rustix::fs::statvfs(&path).map_err(|error| status_of(&error.into()))?;
    Ok([stat.f_bavail, stat.f_blocks, stat.f_bfree].map(|blocks| blocks * stat.f_frsize))
}

fn put_space(root: Option<Vec<u16>>, to: [Ptr<u64>; 3]) -> Bool {
    match space(root) {
        Ok(values) => {
            to.into_iter()
                .zip(values)
                .for_each(|(to, value)| to.write_if_some(value));
            Bool::TRUE
        }
        Err(status) => failed(status, Bool::FALSE),
    }
}

/// Bytes of a sector.
const SECTOR: u64 = 512;

/// Sectors a cluster, bytes a sector, free clusters for the caller, all clusters.
fn put_clusters(root: Option<Vec<u16>>, to: [Ptr<u32>; 4]) -> Bool {
    let path = match volume_path(root) {
        Ok(path) => path,
        Err(status) => return failed(status, Bool::FALSE),
    };
    let stat = match rustix::fs::statvfs(&path) {
        Ok(stat) => stat,
        Err(error) => return failed(status_of(&error.into()), Bool::FALSE),
    };
    let values = [
        (stat.f_frsize / SECTOR).max(1),
        SECTOR,
        stat.f_bavail,
        stat.f_blocks,
    ];
    for (to, value) in to.into_iter().zip(values) {
        to.write_if_some(u32::try_from(value).unwrap_or(u32::MAX));
    }
    Bool::TRUE
}

/// Device names there are, and what they stand for.
fn devices() -> Vec<(&'static str, String)> {
    let drives = [("C:", 'C'), ("Z:", 'Z')].map(|(drive, letter)| (drive, volume::device(letter)));
    let others = [
        ("CON", "\\Device\\ConDrv\\Console"),
        ("CONIN$", "\\Device\\ConDrv\\CurrentIn"),
        ("CONOUT$", "\\Device\\ConDrv\\CurrentOut"),
        ("NUL", "\\Device\\Null"),
        ("PIPE", "\\Device\\NamedPipe"),
        ("MountPointManager", volume::MOUNT_MANAGER),
    ];
    let others = others.map(|(name, device)| (name, device.to_owned()));
    drives.into_iter().chain(others).collect()
}

/// Gives strings, each with its NUL, and one NUL more; returns how many elements those are.
fn put_devices<T: Guest + Default>(
    name: Option<Vec<u16>>,
    buffer: Ptr<T>,
    size: u32,
    encode: impl Fn(&str) -> Vec<T>,
) -> u32 {
    let name = name.map(|units| String::from_utf16_lossy(&units));
    let found: Vec<String> = match &name {
        None => devices()
            .into_iter()
            .map(|(name, _)| name.to_owned())
            .collect(),
        Some(name) => devices()
            .into_iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, device)| device)
            .collect(),
    };
    if found.is_empty() {
        return refuse(error::FILE_NOT_FOUND, 0);
    }
    let mut all = vec![];
    for text in found {
        all.extend(encode(&text));
        all.push(T::default());
    }
    all.push(T::default());
    if (size as usize) < all.len() {
        return refuse(error::INSUFFICIENT_BUFFER, 0);
    }
    buffer.write_many(&all);
    u32::try_from(all.len()).unwrap_or(0)
}

win_api! {
    /// Describes the volume of an open file.
    "kernel32.dll|kernelbase.dll" stdcall fn GetVolumeInformationByHandleW(file: Handle, name: Ptr<u16>, name_size: u32, serial: Ptr<u32>, component: Ptr<u32>, flags: Ptr<u32>, system: Ptr<u16>, system_size: u32) -> Bool {
        let found = lookup::<File>(file, 0).and_then(|file| file.stat()).map(|stat| stat.st_dev);
        answer(found, &Answer { name, name_size, serial, component, flags, system, system_size }, wide)
    }

    /// Describes a volume.
    "kernel32.dll|kernelbase.dll" stdcall fn GetVolumeInformationW(root: Ptr<u16>, name: Ptr<u16>, name_size: u32, serial: Ptr<u32>, component: Ptr<u32>, flags: Ptr<u32>, system: Ptr<u16>, system_size: u32) -> Bool {
        answer(serial_of(units_arg(root)), &Answer { name, name_size, serial, component, flags, system, system_size }, wide)
    }

    /// Describes a volume.
    "kernel32.dll|kernelbase.dll" stdcall fn GetVolumeInformationA(root: Ptr<u8>, name: Ptr<u8>, name_size: u32, serial: Ptr<u32>, component: Ptr<u32>, flags: Ptr<u32>, system: Ptr<u8>, system_size: u32) -> Bool {
        let encode = |text: &str| text.as_bytes().to_vec();
        answer(serial_of(wide_arg(root)), &Answer { name, name_size, serial, component, flags, system, system_size }, encode)
    }

    /// Tells the space of a volume.
    "kernel32.dll|kernelbase.dll" stdcall fn GetDiskFreeSpaceExW(root: Ptr<u16>, available: Ptr<u64>, total: Ptr<u64>, free: Ptr<u64>) -> Bool {
        put_space(units_arg(root), [available, total, free])
    }

    /// Tells the space of a volume.
    "kernel32.dll|kernelbase.dll" stdcall fn GetDiskFreeSpaceExA(root: Ptr<u8>, available: Ptr<u64>, total: Ptr<u64>, free: Ptr<u64>) -> Bool {
        put_space(wide_arg(root), [available, total, free])
    }

    /// Tells the space of a volume in clusters; what does not fit is the most that does.
    "kernel32.dll|kernelbase.dll" stdcall fn GetDiskFreeSpaceW(root: Ptr<u16>, sectors: Ptr<u32>, bytes: Ptr<u32>, free: Ptr<u32>, total: Ptr<u32>) -> Bool {
        put_clusters(units_arg(root), [sectors, bytes, free, total])
    }

    /// Tells the space of a volume in clusters; what does not fit is the most that does.
    "kernel32.dll|kernelbase.dll" stdcall fn GetDiskFreeSpaceA(root: Ptr<u8>, sectors: Ptr<u32>, bytes: Ptr<u32>, free: Ptr<u32>, total: Ptr<u32>) -> Bool {
        put_clusters(wide_arg(root), [sectors, bytes, free, total])
    }

    /// Tells what a device name stands for, or the names there are.
    "kernel32.dll|kernelbase.dll" stdcall fn QueryDosDeviceW(name: Ptr<u16>, buffer: Ptr<u16>, size: u32) -> u32 {
        put_devices(units_arg(name), buffer, size, wide)
    }

    /// Tells what a device name stands for, or the names there are.
    "kernel32.dll|kernelbase.dll" stdcall fn QueryDosDeviceA(name: Ptr<u8>, buffer: Ptr<u8>, size: u32) -> u32 {
        put_devices(wide_arg(name), buffer, size, |text| text.as_bytes().to_vec())
    }

    /// Returns the root of the volume a path lies on: its drive.
    "kernel32.dll|kernelbase.dll" stdcall fn GetVolumePathNameW(name: Ptr<u16>, buffer: Ptr<u16>, size: u32) -> Bool {
        let full = crate::ob::path::full(&String::from_utf16_lossy(&name.read_wide_string()), &crate::ob::path::directory());
        let bare = full.strip_prefix("\\\\?\\").unwrap_or(&full);
        let root = wide(&format!("{}\\", bare.get(..2).unwrap_or("Z:")));
        (put_string(&root, buffer, size) as usize == root.len()).into()
    }
}
