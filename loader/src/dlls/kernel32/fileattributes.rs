//! What is known about files: attributes, times, sizes: `fileapi.h`.

use ntlpc_abi::{Handle, NtStatus};

use super::fileapi::{INVALID, resolve_file};
use crate::dlls::win32::{failed, or_else, success, units_arg, wide_arg};
use crate::export::{Bool, Ptr};
use crate::guest_struct;
use crate::ob::file::{File, rights, status_of};
use crate::ob::table::lookup;
use crate::ob::time;
use crate::win_api;

guest_struct! {
    /// `BY_HANDLE_FILE_INFORMATION`.
    pub struct ByHandleFileInformation {
        attributes: u32,
        creation_time: [u32; 2],
        last_access_time: [u32; 2],
        last_write_time: [u32; 2],
        volume_serial: u32,
        size_high: u32,
        size_low: u32,
        links: u32,
        index_high: u32,
        index_low: u32,
    }
    /// `WIN32_FILE_ATTRIBUTE_DATA`.
    #[derive(Default)]
    pub struct FileAttributeData {
        attributes: u32,
        creation_time: [u32; 2],
        last_access_time: [u32; 2],
        last_write_time: [u32; 2],
        size_high: u32,
        size_low: u32,
    }
}

/// `FILE_ATTRIBUTE_*`.
pub mod attribute {
    /// `FILE_ATTRIBUTE_READONLY`.
    pub const READONLY: u32 = 0x1;
    /// `FILE_ATTRIBUTE_DIRECTORY`.
    pub const DIRECTORY: u32 = 0x10;
    /// `FILE_ATTRIBUTE_ARCHIVE`.
    pub const ARCHIVE: u32 = 0x20;
    /// `FILE_ATTRIBUTE_REPARSE_POINT`.
    pub const REPARSE_POINT: u32 = 0x400;
}

fn words(time_100ns: i64) -> [u32; 2] {
    let value = time_100ns.cast_unsigned();
    [value as u32, (value >> 32) as u32]
}

/// Attributes of a file by its mode.
#[must_use]
pub fn attributes_of(mode: u32) -> u32 {
    use rustix::fs::FileType;
    let kind = match FileType::from_raw_mode(mode) {
        FileType::Directory => attribute::DIRECTORY,
        FileType::Symlink => attribute::REPARSE_POINT,
        _ => attribute::ARCHIVE,
    };
    kind | if mode & 0o222 == 0 && kind != attribute::DIRECTORY {
        attribute::READONLY
    } else {
        0
    }
}

/// Creation (best known: the oldest), access and write times of a file.
#[must_use]
pub fn times_of(stat: &rustix::fs::Stat) -> [i64; 3] {
    let of = |seconds: i64, nanoseconds: u64| time::from_unix(seconds, nanoseconds.cast_signed());
    let (access, write) = (
        of(stat.st_atime, stat.st_atime_nsec),
        of(stat.st_mtime, stat.st_mtime_nsec),
    );
    [
        write.min(of(stat.st_ctime, stat.st_ctime_nsec)),
        access,
        write,
    ]
}

fn information(handle: Handle) -> Result<ByHandleFileInformation, NtStatus> {
    let stat = lookup::<File>(handle, 0)?.stat()?;
    let data = data_of(&stat);
    Ok(ByHandleFileInformation {
        attributes: data.attributes,
        creation_time: data.creation_time,
        last_access_time: data.last_access_time,
        last_write_time: data.last_write_time,
        volume_serial: stat.st_dev as u32,
        size_high: data.size_high,
        size_low: data.size_low,
        links: stat.st_nlink as u32,
        index_high: (stat.st_ino >> 32) as u32,
        index_low: stat.st_ino as u32,
    })
}

fn stat_of(name: Option<Vec<u16>>) -> Result<rustix::fs::Stat, NtStatus> {
    let mut path = resolve_file(&name.ok_or(NtStatus::OBJECT_PATH_NOT_FOUND)?)?;
    if crate::ob::shell::is_built_in(&path) {
        // What programs look for before they start it; it is part of this program.
        path = "/proc/self/exe".into();
    }
    rustix::fs::stat(&path).map_err(|error| {
        let is_path = !path.parent().is_none_or(std::path::Path::is_dir);
        if is_path {
            NtStatus::OBJECT_PATH_NOT_FOUND
        } else {
            status_of(&error.into())
        }
    })
}

fn attributes(name: Option<Vec<u16>>) -> u32 {
    or_else(
        stat_of(name).map(|stat| attributes_of(stat.st_mode)),
        INVALID,
    )
}

/// Describes a file; a directory has no size.
#[must_use]
pub fn data_of(stat: &rustix::fs::Stat) -> FileAttributeData {
    let attributes = attributes_of(stat.st_mode);
    let [created, accessed, written] = times_of(stat).map(words);
    let size = if attributes & attribute::DIRECTORY != 0 {
        0
    } else {
        stat.st_size.cast_unsigned()
    };
    FileAttributeData {
        attributes,
        creation_time: created,
        last_access_time: accessed,
        last_write_time: written,
        size_high: (size >> 32) as u32,
        size_low: size as u32,
    }
}

fn attribute_data(name: Option<Vec<u16>>, to: Ptr<FileAttributeData>) -> Bool {
    success(stat_of(name).map(|stat| to.write(data_of(&stat))))
}

win_api! {
    /// Describes an open file.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFileInformationByHandle(file: Handle, to: Ptr<ByHandleFileInformation>) -> Bool {
        match information(file) {
            Ok(value) => {
                to.write(value);
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Returns the attributes of a file by name.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFileAttributesW(name: Ptr<u16>) -> u32 {
        attributes(units_arg(name))
    }

    /// Returns the attributes of a file by name.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFileAttributesA(name: Ptr<u8>) -> u32 {
        attributes(wide_arg(name))
    }

    /// Describes a file by name.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFileAttributesExW(name: Ptr<u16>, _level: u32, to: Ptr<FileAttributeData>) -> Bool {
        attribute_data(units_arg(name), to)
    }

    /// Describes a file by name.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFileAttributesExA(name: Ptr<u8>, _level: u32, to: Ptr<FileAttributeData>) -> Bool {
        attribute_data(wide_arg(name), to)
    }

    /// Reads the times of a file.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFileTime(file: Handle, created: Ptr<i64>, accessed: Ptr<i64>, written: Ptr<i64>) -> Bool {
        match lookup::<File>(file, 0).and_then(|file| file.stat()) {
            Ok(stat) => {
                let times = times_of(&stat);
                [created, accessed, written].into_iter().zip(times).for_each(|(to, time)| to.write_if_some(time));
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Sets access and write time of a file; Linux keeps no creation time that could be set.
    "kernel32.dll|kernelbase.dll" stdcall fn SetFileTime(file: Handle, _created: Ptr<i64>, accessed: Ptr<i64>, written: Ptr<i64>) -> Bool {
        let spec = |at: Ptr<i64>| match at.non_null().map(Ptr::read) {
            Some(time) if time != 0 && time != -1 => {
                let (seconds, nanoseconds) = time::to_unix(time);
                rustix::fs::Timespec { tv_sec: seconds, tv_nsec: nanoseconds }
            }
            _ => rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
        };
        let times = rustix::fs::Timestamps { last_access: spec(accessed), last_modification: spec(written) };
        success(lookup::<File>(file, rights::WRITE_ATTRIBUTES).and_then(|file| {
            rustix::fs::futimens(file.fd(), &times).map_err(|error| status_of(&error.into()))
        }))
    }
}
