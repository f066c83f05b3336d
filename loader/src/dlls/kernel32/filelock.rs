//! Locks on ranges of files: `fileapi.h`.

use ntlpc_abi::{Handle, NtStatus};

use crate::dlls::win32::success;
use crate::export::{Bool, Ptr};
use crate::ob::file::{File, status_of};
use crate::ob::overlapped::Overlapped;
use crate::ob::table::lookup;
use crate::win_api;

/// Locks a range of a file.
pub fn lock(
    handle: Handle,
    offset: u64,
    length: u64,
    is_exclusive: bool,
    fails: bool,
) -> Result<(), NtStatus> {
    let file = lookup::<File>(handle, 0)?;
    crate::linux::lock_range(file.fd(), offset, length, Some(is_exclusive), !fails).map_err(
        |error| match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EACCES) => NtStatus::LOCK_NOT_GRANTED,
            _ => status_of(&error),
        },
    )
}

/// Unlocks a range of a file.
pub fn unlock(handle: Handle, offset: u64, length: u64) -> Result<(), NtStatus> {
    let file = lookup::<File>(handle, 0)?;
    crate::linux::lock_range(file.fd(), offset, length, None, false)
        .map_err(|error| status_of(&error))
}

fn long(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

win_api! {
    /// Locks a range of a file; `LOCKFILE_FAIL_IMMEDIATELY` 1, `LOCKFILE_EXCLUSIVE_LOCK` 2.
    "kernel32.dll|kernelbase.dll" stdcall fn LockFileEx(file: Handle, flags: u32, _reserved: u32, low: u32, high: u32, overlapped: Ptr<Overlapped>) -> Bool {
        let at = overlapped.read();
        success(lock(file, long(at.offset_high, at.offset), long(high, low), flags & 2 != 0, flags & 1 != 0))
    }

    /// Unlocks a range of a file.
    "kernel32.dll|kernelbase.dll" stdcall fn UnlockFileEx(file: Handle, _reserved: u32, low: u32, high: u32, overlapped: Ptr<Overlapped>) -> Bool {
        let at = overlapped.read();
        success(unlock(file, long(at.offset_high, at.offset), long(high, low)))
    }

    /// Locks a range of a file exclusively, or fails.
    "kernel32.dll|kernelbase.dll" stdcall fn LockFile(file: Handle, offset: u32, offset_high: u32, low: u32, high: u32) -> Bool {
        success(lock(file, long(offset_high, offset), long(high, low), true, true))
    }

    /// Unlocks a range of a file.
    "kernel32.dll|kernelbase.dll" stdcall fn UnlockFile(file: Handle, offset: u32, offset_high: u32, low: u32, high: u32) -> Bool {
        success(unlock(file, long(offset_high, offset), long(high, low)))
    }
}
