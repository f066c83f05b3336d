//! `errno.h`: error numbers, the per-thread data of the runtime, and the invalid parameter handler.

use std::sync::atomic::{AtomicU64, Ordering};

use super::math::MathException;
use super::{mem, os, startup};
use crate::export::{Callback, Guest, Ptr};
use crate::vm::thread_block::{ThreadBlock, Unused};
use crate::{guest_struct, win_api};

/// Numbers of `errno.h` (Microsoft Learn, "errno constants").
#[allow(
    missing_docs,
    dead_code,
    reason = "the codes of errno.h by name, used yet or not"
)]
pub mod code {
    pub const EPERM: i32 = 1;
    pub const ENOENT: i32 = 2;
    pub const EINTR: i32 = 4;
    pub const EIO: i32 = 5;
    pub const E2BIG: i32 = 7;
    pub const ENOEXEC: i32 = 8;
    pub const EBADF: i32 = 9;
    pub const ECHILD: i32 = 10;
    pub const EAGAIN: i32 = 11;
    pub const ENOMEM: i32 = 12;
    pub const EACCES: i32 = 13;
    pub const EEXIST: i32 = 17;
    pub const EXDEV: i32 = 18;
    pub const ENOTDIR: i32 = 20;
    pub const EINVAL: i32 = 22;
    pub const EMFILE: i32 = 24;
    pub const ENOSPC: i32 = 28;
    pub const ESPIPE: i32 = 29;
    pub const EPIPE: i32 = 32;
    pub const EDOM: i32 = 33;
    pub const ERANGE: i32 = 34;
    pub const EDEADLOCK: i32 = 36;
    pub const ENOTEMPTY: i32 = 41;
    pub const EILSEQ: i32 = 42;
    pub const STRUNCATE: i32 = 80;
    pub const EOVERFLOW: i32 = 132;
}

guest_struct! {
    /// What the runtime keeps for a thread where the guest can point into it.
    pub struct ThreadData {
        errno: i32,
        doserrno: u32,
        rand_seed: u32,
        strtok_next: Ptr<u8>,
        wcstok_next: Ptr<u16>,
        tm: [i32; 9],
        asctime: [u8; 32],
        wasctime: [u16; 32],
        strerror: [u8; 256],
        wcserror: [u16; 256],
        digits: [u8; 360],
        exception_pointers: u64,
        fpe_code: i32,
        tmpnam: [u8; 260],
        wtmpnam: [u16; 260],
        math_exception: MathException,
        current_exception: u64,
        current_exception_context: u64,
        uncaught_exceptions: i32,
        exception_translator: Callback,
        invalid_parameter_handler: Callback,
    }
}

/// Returns the address of a field of the calling thread's data.
pub fn thread_field<T: Guest>(field: &str) -> Ptr<T> {
    thread_data()
        .byte_add(ThreadData::offset_of(field) as u64)
        .cast()
}

/// Returns the data of the calling thread, made on first use.
fn thread_data() -> Ptr<ThreadData> {
    static UNUSED: Unused = Unused::new();

    thread_local! {
        static OWN: ThreadBlock = const { ThreadBlock::of(&UNUSED) };
    }

    let fill = |at| {
        mem::fill(at, 0, ThreadData::size());
        thread_seed(at);
    };
    Ptr::new(OWN.with(|own| own.get(ThreadData::size(), ThreadData::align(), fill)))
}

/// `rand` starts at 1 in every thread.
fn thread_seed(at: u64) {
    Ptr::<u32>::new(at + ThreadData::offset_of("rand_seed") as u64).write(1);
}

/// Sets `errno` of the calling thread.
pub fn set_errno(number: i32) {
    thread_field::<i32>("errno").write(number);
}

/// Returns `errno` of the calling thread.
pub fn errno() -> i32 {
    thread_field::<i32>("errno").read()
}

/// Sets `_doserrno` and the matching `errno`.
///
/// Source: Microsoft Learn, "_doserrno, errno, _sys_errlist" and the descriptions of `_open`, `_access`, `_rmdir`.
pub fn set_from_win32(error: u32) {
    thread_field::<u32>("doserrno").write(error);
    set_errno(from_win32(error));
}

/// Returns the `errno` for a Win32 error.
pub fn from_win32(error: u32) -> i32 {
    use code::{
        EACCES, EAGAIN, EBADF, ECHILD, EEXIST, EINVAL, EMFILE, ENOENT, ENOEXEC, ENOMEM, ENOSPC,
        ENOTEMPTY, EPIPE, EXDEV,
    };
    match error {
        // FILE_NOT_FOUND, PATH_NOT_FOUND, INVALID_DRIVE, NO_MORE_FILES, BAD_NETPATH, BAD_NET_NAME, BAD_PATHNAME, FILENAME_EXCED_RANGE
        2 | 3 | 15 | 18 | 53 | 67 | 161 | 206 => ENOENT,
        4 => EMFILE,
        6 | 114 | 130 => EBADF,
        7..=9 | 1816 => ENOMEM,
        10 => code::E2BIG,
        11 | 188..=202 => ENOEXEC,
        17 => EXDEV,
        80 | 183 => EEXIST,
        89 | 164 | 215 => EAGAIN,
        109 | 232 => EPIPE,
        112 => ENOSPC,
        128 | 129 => ECHILD,
        145 => ENOTEMPTY,
        // ACCESS_DENIED, CURRENT_DIRECTORY, LOCK_VIOLATION, WRITE_PROTECT … SHARING_BUFFER_EXCEEDED and others
        5 | 16 | 19..=36 | 65 | 82 | 83 | 108 | 132 | 158 | 167 => EACCES,
        _ => EINVAL,
    }
}

/// Sets `errno` and returns it, as the `_s` functions do.
pub fn fail(number: i32) -> i32 {
    set_errno(number);
    number
}

static INVALID_PARAMETER_HANDLER: AtomicU64 = AtomicU64::new(0);

/// Reports an invalid parameter: EINVAL, then the guest's handler.
pub fn invalid_parameter() -> i32 {
    invalid(code::EINVAL)
}

/// Reports an invalid parameter as `number`, then calls the guest's handler.
///
/// Without a handler `msvcrt` goes on, while `ucrtbase` ends the process (Microsoft Learn, "Parameter validation").
pub fn invalid(number: i32) -> i32 {
    set_errno(number);
    let own = thread_field::<Callback>("invalid_parameter_handler").read();
    let handler = if own.is_null() {
        Callback(INVALID_PARAMETER_HANDLER.load(Ordering::Relaxed))
    } else {
        own
    };
    if !handler.is_null() {
        handler.call(&[0, 0, 0, 0, 0]);
    } else if startup::is_ucrt() {
        log::error!("invalid parameter passed to a C runtime function");
        os::fail_fast();
    }
    number
}

win_api! {
    /// Returns the address of `errno`.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _errno() -> Ptr<i32> {
        thread_field("errno")
    }

    /// Returns the address of `_doserrno`.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __doserrno() -> Ptr<u32> {
        thread_field("doserrno")
    }

    /// Stores `errno`.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _get_errno(value: Ptr<i32>) -> i32 {
        if value.is_null() {
            return invalid_parameter();
        }
        value.write(errno());
        0
    }

    /// Sets `errno`.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _set_errno(value: i32) -> i32 {
        set_errno(value);
        0
    }

    /// Stores `_doserrno`.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _get_doserrno(value: Ptr<u32>) -> i32 {
        if value.is_null() {
            return invalid_parameter();
        }
        value.write(thread_field::<u32>("doserrno").read());
        0
    }

    /// Sets `_doserrno`.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _set_doserrno(value: u32) -> i32 {
        thread_field::<u32>("doserrno").write(value);
        0
    }

    /// Sets the handler of invalid parameters; returns the one before.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _set_invalid_parameter_handler(handler: Callback) -> Callback {
        Callback(INVALID_PARAMETER_HANDLER.swap(handler.0, Ordering::Relaxed))
    }

    /// Returns the handler of invalid parameters.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _get_invalid_parameter_handler() -> Callback {
        Callback(INVALID_PARAMETER_HANDLER.load(Ordering::Relaxed))
    }

    /// Sets the handler of invalid parameters in the calling thread; returns the one before.
    "ucrtbase.dll" cdecl fn _set_thread_local_invalid_parameter_handler(handler: Callback) -> Callback {
        let field = thread_field::<Callback>("invalid_parameter_handler");
        let before = field.read();
        field.write(handler);
        before
    }

    /// Returns the handler of invalid parameters of the calling thread.
    "ucrtbase.dll" cdecl fn _get_thread_local_invalid_parameter_handler() -> Callback {
        thread_field::<Callback>("invalid_parameter_handler").read()
    }

    /// Calls the handler of invalid parameters.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _invalid_parameter_noinfo = "_invalid_parameter_noinfo|_invalid_parameter" () {
        invalid_parameter();
    }

    /// Calls the handler of invalid parameters and does not return.
    "ucrtbase.dll" cdecl fn _invalid_parameter_noinfo_noreturn() {
        invalid_parameter();
        os::fail_fast();
    }

    /// Sets `errno` from a Win32 error.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _dosmaperr(error: u32) {
        set_from_win32(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn win32_errors_become_error_numbers() {
        assert_eq!(from_win32(2), code::ENOENT);
        assert_eq!(from_win32(5), code::EACCES);
        assert_eq!(from_win32(32), code::EACCES);
        assert_eq!(from_win32(183), code::EEXIST);
        assert_eq!(from_win32(9999), code::EINVAL);
    }
}
