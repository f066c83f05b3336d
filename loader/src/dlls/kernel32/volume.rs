//! Volumes: `fileapi.h`. Every drive is one volume with the features Linux file systems have.

use ntlpc_abi::{Handle, NtStatus};

use super::fileapi::resolve_file;
use crate::dlls::win32::{error, failed, put_string, refuse, units_arg, wide_arg};
use crate::export::{Bool, Guest, Ptr};
use crate::ob::file::{File, status_of};
use crate::ob::table::lookup;
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

fn serial_of(root: Option<Vec<u16>>) -> Result<u64, NtStatus> {
    let path = match root {
        Some(root) => resolve_file(&root)?,
        None => std::env::current_dir().map_err(|error| status_of(&error))?,
    };
    rustix::fs::stat(&path)
        .map(|stat| stat.st_dev)
        .map_err(|error| status_of(&error.into()))
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

/// Free bytes for the caller, all bytes, free bytes.
fn space(root: Option<Vec<u16>>) -> Result<[u64; 3], NtStatus> {
    let path = match root {
        Some(root) => resolve_file(&root)?,
        None => std::env::current_dir().map_err(|error| status_of(&error))?,
    };
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

    /// Returns the root of the volume a path lies on: its drive.
    "kernel32.dll|kernelbase.dll" stdcall fn GetVolumePathNameW(name: Ptr<u16>, buffer: Ptr<u16>, size: u32) -> Bool {
        let full = crate::ob::path::full(&String::from_utf16_lossy(&name.read_wide_string()), &crate::ob::path::directory());
        let bare = full.strip_prefix("\\\\?\\").unwrap_or(&full);
        let root = wide(&format!("{}\\", bare.get(..2).unwrap_or("Z:")));
        (put_string(&root, buffer, size) as usize == root.len()).into()
    }
}
