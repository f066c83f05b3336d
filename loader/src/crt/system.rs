//! What the runtimes offer of the system beside files and processes: DLLs, the clock, waiting, and switches of their own.
//!
//! Source: Microsoft Learn, "_loaddll", "_sleep", "_beep", "_seterrormode", "_getsystime", "_setmaxstdio",
//! "_set_printf_count_output", "_set_FMA3_enable", "_invoke_watson".

use std::sync::atomic::{AtomicI32, Ordering};

use ntlpc_abi::Handle;

use super::errno::{self, code};
use super::os;
use super::time::{self, Tm};
use crate::dlls::kernel32::{errhandlingapi, libloaderapi, synchapi};
use crate::export::{Callback, Ptr};
use crate::{teb, win_api};

/// Least and most streams of a program, and how many it has without asking.
const MIN_STREAMS: i32 = 20;
const MAX_STREAMS: i32 = 8192;
static MOST_STREAMS: AtomicI32 = AtomicI32::new(512);
static USES_FMA3: AtomicI32 = AtomicI32::new(1);
static EXPONENT_DIGITS: AtomicI32 = AtomicI32::new(0);

win_api! {
    /// Waits for a time.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _sleep(milliseconds: u32) {
        synchapi::Sleep(milliseconds.max(1));
    }

    /// Sounds the speaker; there is none, so it only waits as long.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _beep(frequency: u32, milliseconds: u32) {
        synchapi::Sleep(milliseconds);
    }

    /// Sets the error mode of the process.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _seterrormode(mode: u32) {
        errhandlingapi::SetErrorMode(mode);
    }

    /// Returns how many streams may be open.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _getmaxstdio() -> i32 {
        MOST_STREAMS.load(Ordering::Relaxed)
    }

    /// Sets how many streams may be open; more may, within the limits of the process.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _setmaxstdio(most: i32) -> i32 {
        if !(MIN_STREAMS..=MAX_STREAMS).contains(&most) {
            errno::invalid_parameter();
            return -1;
        }
        MOST_STREAMS.store(most, Ordering::Relaxed);
        most
    }

    /// Loads a DLL.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _loaddll(name: Ptr<u8>) -> Ptr<u8> {
        libloaderapi::LoadLibraryA(name)
    }

    /// Gives a DLL back; returns an error of the system.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _unloaddll(module: Ptr<u8>) -> u32 {
        if libloaderapi::FreeLibrary(module).get() { 0 } else { teb::last_error() }
    }

    /// Returns a function of a DLL.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _getdllprocaddr(module: Ptr<u8>, name: Ptr<u8>, ordinal: isize) -> Callback {
        // -1 means by name.
        let wanted = if name.is_null() { Ptr::new(ordinal.cast_unsigned() as u64) } else { name };
        libloaderapi::GetProcAddress(module, wanted)
    }

    /// Stores the local time and returns the milliseconds.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _getsystime(to: Ptr<Tm>) -> u32 {
        let (seconds, nanoseconds) = time::now();
        to.write(time::local(seconds));
        (nanoseconds / 1_000_000) as u32
    }

    /// Sets the local time of the system, which a program may not here.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _setsystime(from: Ptr<Tm>, milliseconds: u32) -> u32 {
        const PRIVILEGE_NOT_HELD: u32 = 1314;
        PRIVILEGE_NOT_HELD
    }

    /// Returns the id of the calling thread.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __threadid() -> u32 {
        teb::read_word(teb::THREAD_ID.offset()) as u32
    }

    /// Returns the pseudo handle of the calling thread.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __threadhandle() -> Handle {
        const CURRENT_THREAD: Handle = Handle(u64::MAX - 1);
        CURRENT_THREAD
    }

    /// Chooses whether the mathematics uses fused operations; the results are the same here. Returns the choice.
    "ucrtbase.dll" cdecl fn _set_FMA3_enable(choice: i32) -> i32 {
        USES_FMA3.store(i32::from(choice != 0), Ordering::Relaxed);
        i32::from(choice != 0)
    }

    /// Returns whether the mathematics may use fused operations.
    "ucrtbase.dll" cdecl fn _get_FMA3_enable() -> i32 {
        USES_FMA3.load(Ordering::Relaxed)
    }

    /// Returns what `_set_output_format` chose: exponents of two digits or three.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _get_output_format() -> i32 {
        EXPONENT_DIGITS.load(Ordering::Relaxed)
    }

    /// Tells whether `%n` is enabled: never.
    "ucrtbase.dll" cdecl fn _get_printf_count_output() -> i32 {
        0
    }

    /// Asks for `%n`, which stays disabled; returns whether it was enabled.
    "ucrtbase.dll" cdecl fn _set_printf_count_output(choice: i32) -> i32 {
        if choice != 0 {
            log::warn!("_set_printf_count_output: %n is not supported");
        }
        0
    }

    /// Ends the process because of an invalid parameter that nobody handles.
    "ucrtbase.dll" cdecl fn _invoke_watson(expression: Ptr<u16>, function: Ptr<u16>, file: Ptr<u16>, line: u32, reserved: usize) {
        os::fail_fast();
    }

    /// Ends the process because the cookie of a stack frame is damaged.
    "ucrtbase.dll|vcruntime140.dll" cdecl fn __report_gsfailure(cookie: usize) {
        os::fail_fast();
    }

    /// Tells a debugger that a runtime ends the program.
    "ucrtbase.dll" cdecl fn _crt_debugger_hook(reserved: i32) {}

    /// Asks for the size of a disk; the path layer has no disks of its own, so this asks Linux about the drive's root.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _getdiskfree(drive: u32, to: Ptr<[u32; 4]>) -> u32 {
        const INVALID_PARAMETER: u32 = 87;
        const SECTOR: u64 = 512;
        if to.is_null() || drive > 26 {
            errno::invalid(code::EINVAL);
            return INVALID_PARAMETER;
        }
        let root = match drive {
            0 => ".".to_owned(),
            _ => format!("{}:\\", char::from(b'A' + (drive - 1) as u8)),
        };
        let Ok(found) = rustix::fs::statvfs(crate::ob::path::to_unix(&root)) else {
            return INVALID_PARAMETER;
        };
        let clamp = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let per_cluster = found.f_frsize.div_ceil(SECTOR);
        to.write([clamp(found.f_blocks), clamp(found.f_bavail), clamp(per_cluster), SECTOR as u32]);
        0
    }
}
