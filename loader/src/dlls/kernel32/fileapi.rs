//! Files: opening, positions, sizes, paths: `fileapi.h`.

use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use super::synchapi::SecurityAttributes;
use crate::dlls::win32::{
    INVALID_HANDLE_VALUE, error, failed, refuse, success, units_arg, wide_arg,
};
use crate::export::{Bool, Ptr};
use crate::ob::file::{FILE_TYPE, File, FileKind, retry, rights, status_of};
use crate::ob::open::{Disposition, How, Outcome, open_target, option};
use crate::ob::path::{self, Target};
use crate::ob::table::{INHERIT, TABLE, lookup};
use crate::win_api;

/// `FILE_FLAG_OVERLAPPED`.
const FLAG_OVERLAPPED: u32 = 0x4000_0000;
/// `FILE_FLAG_DELETE_ON_CLOSE`.
const FLAG_DELETE_ON_CLOSE: u32 = 0x0400_0000;
/// `FILE_FLAG_BACKUP_SEMANTICS`.
pub(super) const FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
/// `FILE_FLAG_OPEN_REPARSE_POINT`.
const FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
/// `INVALID_FILE_ATTRIBUTES`, `INVALID_FILE_SIZE`, `INVALID_SET_FILE_POINTER`.
pub(super) const INVALID: u32 = u32::MAX;

/// Resolves a path of the guest that must name a file or directory.
pub fn resolve_file(name: &[u16]) -> Result<std::path::PathBuf, NtStatus> {
    match path::resolve_here(name)? {
        Target::File(path) => Ok(path),
        _ => Err(NtStatus::OBJECT_NAME_INVALID),
    }
}

/// Opens or creates a file as `CreateFileW` does.
pub fn create(
    name: Option<Vec<u16>>,
    access: u32,
    security: Ptr<SecurityAttributes>,
    disposition: u32,
    flags: u32,
) -> Handle {
    let Some(name) = name else {
        return refuse(error::PATH_NOT_FOUND, INVALID_HANDLE_VALUE);
    };
    let inherit = security
        .non_null()
        .is_some_and(|s| s.read().inherit_handle != 0);
    // CREATE_NEW, CREATE_ALWAYS, OPEN_EXISTING, OPEN_ALWAYS, TRUNCATE_EXISTING
    let disposition = match disposition {
        1 => Disposition::Create,
        2 => Disposition::OverwriteIf,
        3 => Disposition::Open,
        4 => Disposition::OpenIf,
        5 => Disposition::Overwrite,
        _ => return refuse(error::INVALID_PARAMETER, INVALID_HANDLE_VALUE),
    };
    let made = (|| {
        let access = FILE_TYPE.grant(access)?
            | rights::READ_ATTRIBUTES
            | crate::ob::object::access::SYNCHRONIZE;
        let how = How {
            access,
            disposition,
            options: options(flags),
            attributes: flags & 0xFFFF,
        };
        let target = path::resolve_here(&name)?;
        let (file, outcome) = match target {
            Target::Pipe(pipe) => (crate::ob::pipe::connect(&pipe, how)?, Outcome::Opened),
            target => open_target(&target, how)?,
        };
        let handle = TABLE.insert(Arc::new(file), access, if inherit { INHERIT } else { 0 })?;
        Ok((handle, outcome))
    })();
    match made {
        Ok((handle, outcome)) => {
            // CREATE_ALWAYS and OPEN_ALWAYS say whether the file existed.
            let existed = matches!(disposition, Disposition::OverwriteIf | Disposition::OpenIf)
                && outcome != Outcome::Created;
            crate::teb::set_last_error(if existed {
                error::ALREADY_EXISTS
            } else {
                error::SUCCESS
            });
            handle
        }
        Err(NtStatus::OBJECT_NAME_COLLISION) => refuse(error::FILE_EXISTS, INVALID_HANDLE_VALUE),
        Err(status) => failed(status, INVALID_HANDLE_VALUE),
    }
}

fn seek(handle: Handle, distance: i64, method: u32) -> Result<u64, NtStatus> {
    use rustix::fs::SeekFrom;
    let file = lookup::<File>(handle, 0)?;
    let from = match method {
        0 => SeekFrom::Start(u64::try_from(distance).map_err(|_| NtStatus::INVALID_PARAMETER)?),
        1 => SeekFrom::Current(distance),
        2 => SeekFrom::End(distance),
        _ => return Err(NtStatus::INVALID_PARAMETER),
    };
    rustix::fs::seek(file.fd(), from).map_err(|_| NtStatus::INVALID_PARAMETER)
}

fn set_end(handle: Handle) -> Result<(), NtStatus> {
    let at = seek(handle, 0, 1)?;
    let file = lookup::<File>(handle, rights::WRITE_DATA)?;
    rustix::fs::ftruncate(file.fd(), at).map_err(|error| status_of(&error.into()))
}

/// Returns the absolute form of a path.
pub fn full_path(name: &[u16]) -> String {
    path::full(&String::from_utf16_lossy(name), &path::directory())
}

/// Returns the options of `NtCreateFile` for flags of `CreateFile`.
pub(super) fn options(flags: u32) -> u32 {
    let mut options = 0;
    if flags & FLAG_OVERLAPPED == 0 {
        options |= option::SYNCHRONOUS;
    }
    if flags & FLAG_DELETE_ON_CLOSE != 0 {
        options |= option::DELETE_ON_CLOSE;
    }
    if flags & FLAG_BACKUP_SEMANTICS == 0 {
        options |= option::NON_DIRECTORY;
    }
    if flags & FLAG_OPEN_REPARSE_POINT != 0 {
        options |= option::OPEN_REPARSE_POINT;
    }
    options
}

win_api! {
    /// Opens or creates a file.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateFileW(name: Ptr<u16>, access: u32, _share: u32, security: Ptr<SecurityAttributes>, disposition: u32, flags: u32, _template: Handle) -> Handle {
        create(units_arg(name), access, security, disposition, flags)
    }

    /// Opens or creates a file.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateFileA(name: Ptr<u8>, access: u32, _share: u32, security: Ptr<SecurityAttributes>, disposition: u32, flags: u32, _template: Handle) -> Handle {
        create(wide_arg(name), access, security, disposition, flags)
    }

    /// Moves the position of a file.
    "kernel32.dll|kernelbase.dll" stdcall fn SetFilePointerEx(file: Handle, distance: i64, position: Ptr<u64>, method: u32) -> Bool {
        match seek(file, distance, method) {
            Ok(at) => {
                position.write_if_some(at);
                Bool::TRUE
            }
            Err(NtStatus::INVALID_PARAMETER) if distance < 0 => refuse(131, Bool::FALSE),
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Moves the position of a file.
    "kernel32.dll|kernelbase.dll" stdcall fn SetFilePointer(file: Handle, low: i32, high: Ptr<i32>, method: u32) -> u32 {
        let distance = match high.non_null() {
            Some(high) => i64::from(high.read()) << 32 | i64::from(low.cast_unsigned()),
            None => i64::from(low),
        };
        match seek(file, distance, method) {
            Ok(at) => {
                high.write_if_some((at >> 32) as i32);
                crate::teb::set_last_error(error::SUCCESS);
                at as u32
            }
            Err(status) => failed(status, INVALID),
        }
    }

    /// Ends a file at its position.
    "kernel32.dll|kernelbase.dll" stdcall fn SetEndOfFile(file: Handle) -> Bool {
        success(set_end(file))
    }

    /// Reads the size of a file.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFileSizeEx(file: Handle, size: Ptr<u64>) -> Bool {
        match lookup::<File>(file, 0).and_then(|file| file.size()) {
            Ok(value) => {
                size.write(value);
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Reads the size of a file.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFileSize(file: Handle, high: Ptr<u32>) -> u32 {
        match lookup::<File>(file, 0).and_then(|file| file.size()) {
            Ok(value) => {
                high.write_if_some((value >> 32) as u32);
                crate::teb::set_last_error(error::SUCCESS);
                value as u32
            }
            Err(status) => failed(status, INVALID),
        }
    }

    /// Returns what lies behind a handle: 1 disk, 2 character device, 3 pipe.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFileType(file: Handle) -> u32 {
        match lookup::<File>(file, 0) {
            Ok(file) => {
                crate::teb::set_last_error(error::SUCCESS);
                match file.kind {
                    FileKind::Disk => 1,
                    FileKind::Character => 2,
                    FileKind::Pipe => 3,
                }
            }
            Err(status) => failed(status, 0),
        }
    }

    /// Writes a file's data to its device.
    "kernel32.dll|kernelbase.dll" stdcall fn FlushFileBuffers(file: Handle) -> Bool {
        success(lookup::<File>(file, 0).and_then(|file| match file.kind {
            FileKind::Disk => retry(|| rustix::fs::fsync(file.fd()).map_err(Into::into)).map_err(|error| status_of(&error)),
            _ => Ok(()),
        }))
    }

    /// Makes a path absolute.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFullPathNameW(name: Ptr<u16>, size: u32, buffer: Ptr<u16>, leaf: Ptr<UserPtr>) -> u32 {
        let units: Vec<u16> = full_path(&name.read_wide_string()).encode_utf16().collect();
        let written = crate::dlls::win32::put_string(&units, buffer, size);
        if written < size {
            let at = units.iter().rposition(|&u| u == u16::from(b'\\')).map_or(0, |i| i + 1);
            leaf.write_if_some(if at < units.len() { buffer.add(at).user() } else { UserPtr::NULL });
        }
        written
    }

    /// Makes a path absolute.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFullPathNameA(name: Ptr<u8>, size: u32, buffer: Ptr<u8>, leaf: Ptr<UserPtr>) -> u32 {
        let bytes = full_path(&wide_arg(name).unwrap_or_default()).into_bytes();
        let written = crate::dlls::win32::put_string(&bytes, buffer, size);
        if written < size {
            let at = bytes.iter().rposition(|&u| u == b'\\').map_or(0, |i| i + 1);
            leaf.write_if_some(if at < bytes.len() { buffer.add(at).user() } else { UserPtr::NULL });
        }
        written
    }
}
