//! `signal.h`: handlers of signals, which exist only inside the process.
//!
//! Source: Microsoft Learn, "signal", "raise", "signal constants". SIGINT and SIGBREAK come from the console, SIGILL,
//! SIGFPE and SIGSEGV from exceptions; the rest only from `raise`.

use ntlpc_abi::NtStatus;
use parking_lot::Mutex;

use super::errno::{self, code};
use super::{exit, os};
use crate::export::{Callback, Ptr};
use crate::process::control;
use crate::win_api;

const SIGINT: i32 = 2;
const SIGBREAK: i32 = 21;
const SIGABRT: i32 = 22;
const SIGFPE: i32 = 8;
/// Signals that can be caught: SIGINT, SIGILL, SIGABRT_COMPAT, SIGFPE, SIGSEGV, SIGTERM, SIGBREAK, SIGABRT.
const SIGNALS: [i32; 8] = [2, 4, 6, SIGFPE, 11, 15, 21, SIGABRT];

/// `SIG_DFL`.
const DEFAULT: u64 = 0;
/// `SIG_IGN`.
const IGNORE: u64 = 1;
/// `SIG_GET`: asks without setting.
const GET: u64 = 2;
/// `SIG_ERR`.
const ERROR: u64 = u64::MAX;

/// Exit code of a process that a signal ends.
const EXIT_CODE: u32 = 3;

static HANDLERS: Mutex<[u64; SIGNALS.len()]> = Mutex::new([DEFAULT; SIGNALS.len()]);

/// Returns the place of a signal; SIGABRT has two numbers.
fn index(signal: i32) -> Option<usize> {
    const SIGABRT_COMPAT: i32 = 6;
    let signal = if signal == SIGABRT_COMPAT {
        SIGABRT
    } else {
        signal
    };
    SIGNALS.iter().position(|known| *known == signal)
}

/// Takes the handler of a signal for one delivery: it is reset to the default first.
fn take(signal: i32) -> Option<u64> {
    let index = index(signal)?;
    let mut handlers = HANDLERS.lock();
    let handler = handlers[index];
    if handler != IGNORE {
        handlers[index] = DEFAULT;
    }
    Some(handler)
}

/// Calls a handler.
fn call(signal: i32, handler: u64) {
    const FPE_EXPLICITGEN: u64 = 0x8C;
    let number = u64::from(signal.cast_unsigned());
    let arguments = [number, FPE_EXPLICITGEN];
    let count = if signal == SIGFPE { 2 } else { 1 };
    Callback(handler).call(&arguments[..count]);
}

/// Gives Ctrl-C or Ctrl-Break to the handler of its signal; returns whether there is one.
fn take_event(event: u32) -> bool {
    let signal = if event == control::CTRL_C {
        SIGINT
    } else {
        SIGBREAK
    };
    match take(signal) {
        None | Some(DEFAULT) => false,
        Some(IGNORE) => true,
        Some(handler) => {
            call(signal, handler);
            true
        }
    }
}

/// Calls the guest's SIGABRT handler if there is one.
pub fn raise_abort() {
    if let Some(handler) = take(SIGABRT).filter(|handler| *handler > IGNORE) {
        call(SIGABRT, handler);
    }
}

/// `EXCEPTION_CONTINUE_EXECUTION`.
const CONTINUE_EXECUTION: i32 = -1;
/// `EXCEPTION_CONTINUE_SEARCH`.
const CONTINUE_SEARCH: i32 = 0;

/// Returns the signal for an exception, and for SIGFPE what `_FPE_*` it is.
fn signal_of(code: NtStatus) -> Option<(i32, i32)> {
    const SIGILL: i32 = 4;
    const SIGSEGV: i32 = 11;
    Some(match code {
        NtStatus::ACCESS_VIOLATION => (SIGSEGV, 0),
        NtStatus::ILLEGAL_INSTRUCTION | NtStatus::PRIVILEGED_INSTRUCTION => (SIGILL, 0),
        NtStatus::FLOAT_INVALID_OPERATION => (SIGFPE, 0x81),
        NtStatus::FLOAT_DENORMAL_OPERAND => (SIGFPE, 0x82),
        NtStatus::FLOAT_DIVIDE_BY_ZERO => (SIGFPE, 0x83),
        NtStatus::FLOAT_OVERFLOW => (SIGFPE, 0x84),
        NtStatus::FLOAT_UNDERFLOW => (SIGFPE, 0x85),
        NtStatus::FLOAT_INEXACT_RESULT => (SIGFPE, 0x86),
        NtStatus::FLOAT_STACK_CHECK => (SIGFPE, 0x8A),
        _ => return None,
    })
}

/// Gives an exception to the handler of its signal; returns what a filter returns.
///
/// Source: Microsoft Learn, "_XcptFilter", "_seh_filter_exe"; "signal" for the arguments of SIGFPE's handler.
fn filter(code: NtStatus, pointers: Ptr<u8>) -> i32 {
    let Some((signal, detail)) = signal_of(code) else {
        return CONTINUE_SEARCH;
    };
    match take(signal) {
        None | Some(DEFAULT) => CONTINUE_SEARCH,
        Some(IGNORE) => CONTINUE_EXECUTION,
        Some(handler) => {
            let field = errno::thread_field::<u64>("exception_pointers");
            let before = field.read();
            field.write(pointers.address());
            errno::thread_field::<i32>("fpe_code").write(detail);
            let arguments = [signal as u64, detail as u64];
            Callback(handler).call(&arguments[..if signal == SIGFPE { 2 } else { 1 }]);
            field.write(before);
            CONTINUE_EXECUTION
        }
    }
}

win_api! {
    /// Gives an exception that leaves `main` to the handler of its signal.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _XcptFilter = "_XcptFilter|_seh_filter_exe" (code: NtStatus, pointers: Ptr<u8>) -> i32 {
        filter(code, pointers)
    }

    /// Gives a C++ exception that leaves a DLL's entry point to the handlers of signals.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _seh_filter_dll = "_seh_filter_dll|__CppXcptFilter" (code: NtStatus, pointers: Ptr<u8>) -> i32 {
        if code.0 == crate::crt::cxx::CODE { filter(code, pointers) } else { CONTINUE_SEARCH }
    }

    /// Sets the handler of a signal; returns the one before.
    "msvcrt.dll|ucrtbase.dll" cdecl fn signal(number: i32, handler: Callback) -> Callback {
        let Some(index) = index(number) else {
            errno::set_errno(code::EINVAL);
            return Callback(ERROR);
        };
        let mut handlers = HANDLERS.lock();
        let before = handlers[index];
        if handler.0 != GET {
            handlers[index] = handler.0;
            drop(handlers);
            if matches!(number, SIGINT | SIGBREAK) {
                control::set_runtime(take_event);
            }
        }
        Callback(before)
    }

    /// Raises a signal in the calling thread.
    "msvcrt.dll|ucrtbase.dll" cdecl fn raise(number: i32) -> i32 {
        match take(number) {
            None => {
                errno::invalid_parameter();
                -1
            }
            Some(DEFAULT) if number == SIGABRT => {
                exit::abort();
                0
            }
            Some(DEFAULT) => os::exit_process(EXIT_CODE),
            Some(IGNORE) => 0,
            Some(handler) => {
                call(number, handler);
                0
            }
        }
    }

    /// Address of the exception a handler is called for.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __pxcptinfoptrs() -> Ptr<u64> {
        errno::thread_field("exception_pointers")
    }

    /// Address of the floating point error a handler is called for.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __fpecode() -> Ptr<i32> {
        errno::thread_field("fpe_code")
    }
}
