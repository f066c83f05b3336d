//! Error codes and exceptions: `errhandlingapi.h`.

use ntlpc_abi::NtStatus;

use crate::context::{Context, Record, flag};
use crate::exception::vectored::{self, List};
use crate::exception::{self};
use crate::export::{Bool, Callback, Caller, Ptr};
use crate::teb;
use crate::win_api;

use std::sync::atomic::{AtomicU32, Ordering};

static ERROR_MODE: AtomicU32 = AtomicU32::new(0);

/// `EXCEPTION_MAXIMUM_PARAMETERS`.
const MAX_PARAMETERS: u32 = 15;

win_api! {
    /// Returns the error code of the calling thread.
    "kernel32.dll|kernelbase.dll" stdcall fn GetLastError() -> u32 {
        teb::last_error()
    }

    /// Sets the error code of the calling thread.
    "kernel32.dll|kernelbase.dll" stdcall fn SetLastError(error: u32) {
        teb::set_last_error(error);
    }

    /// Sets the error code of the calling thread.
    "ntdll.dll" stdcall fn RtlSetLastWin32Error = "RtlSetLastWin32Error|RtlRestoreLastWin32Error" (error: u32) {
        teb::set_last_error(error);
    }

    /// Returns the error code of the calling thread.
    "ntdll.dll" stdcall fn RtlGetLastWin32Error() -> u32 {
        teb::last_error()
    }

    /// Returns the status of the last call of the calling thread that failed with one.
    "ntdll.dll" stdcall fn RtlGetLastNtStatus() -> NtStatus {
        teb::last_status()
    }

    /// Sets the error mode of the process and returns the one before; there are no message boxes here.
    "kernel32.dll|kernelbase.dll" stdcall fn SetErrorMode(mode: u32) -> u32 {
        ERROR_MODE.swap(mode, Ordering::Relaxed)
    }

    /// Returns the error mode of the process.
    "kernel32.dll|kernelbase.dll" stdcall fn GetErrorMode = "GetErrorMode|GetThreadErrorMode" () -> u32 {
        ERROR_MODE.load(Ordering::Relaxed)
    }

    /// Sets the error mode of the thread, which is the process's.
    "kernel32.dll|kernelbase.dll" stdcall fn SetThreadErrorMode(mode: u32, old: Ptr<u32>) -> Bool {
        old.write_if_some(ERROR_MODE.swap(mode, Ordering::Relaxed));
        Bool::TRUE
    }

    /// Raises an exception at the caller.
    "kernel32.dll|kernelbase.dll" stdcall fn RaiseException(code: u32, flags: u32, count: u32, arguments: Ptr<usize>, caller: Caller) {
        let context = Context::after_call(&caller.0.get());
        let mut information = [0_u64; MAX_PARAMETERS as usize];
        let count = if arguments.is_null() { 0 } else { count.min(MAX_PARAMETERS) as usize };
        for (i, word) in information.iter_mut().take(count).enumerate() {
            *word = arguments.add(i).read() as u64;
        }
        let record = Record::new(code, flags & flag::NONCONTINUABLE, context.rip, &information[..count]);
        exception::raise(record, context)
    }

    /// Ends the process at once with an exception nobody may handle.
    "kernel32.dll|kernelbase.dll" stdcall fn RaiseFailFastException(record: Ptr<u8>, context: Ptr<u8>, flags: u32, caller: Caller) {
        let context =
            context.non_null().map_or_else(|| Context::after_call(&caller.0.get()), |at| Context::load(at.address()));
        // STATUS_FAIL_FAST_EXCEPTION
        let record = record
            .non_null()
            .map_or_else(|| Record::new(0xc000_0602, flag::NONCONTINUABLE, context.rip, &[]), |at| Record::load(at.address()));
        exception::end_unhandled(&record, &context)
    }

    /// Sets the filter for exceptions nobody handles and returns the one before.
    "kernel32.dll|kernelbase.dll" stdcall fn SetUnhandledExceptionFilter(filter: Callback) -> Callback {
        vectored::set_filter(filter)
    }

    /// Decides about an exception nobody handles: the search goes on, which ends the process.
    "kernel32.dll|kernelbase.dll" stdcall fn UnhandledExceptionFilter(pointers: Ptr<Ptr<u8>>) -> i32 {
        let filter = vectored::filter();
        if filter.is_null() { vectored::CONTINUE_SEARCH } else { filter.call(&[pointers.address()]) as i32 }
    }

    /// Adds a vectored exception handler.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn AddVectoredExceptionHandler = "AddVectoredExceptionHandler|RtlAddVectoredExceptionHandler" (is_first: u32, handler: Callback) -> usize {
        vectored::add(List::Exception, handler, is_first != 0) as usize
    }

    /// Removes a vectored exception handler.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn RemoveVectoredExceptionHandler = "RemoveVectoredExceptionHandler|RtlRemoveVectoredExceptionHandler" (handle: usize) -> u32 {
        u32::from(vectored::remove(List::Exception, handle as u64))
    }

    /// Adds a vectored continue handler.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn AddVectoredContinueHandler = "AddVectoredContinueHandler|RtlAddVectoredContinueHandler" (is_first: u32, handler: Callback) -> usize {
        vectored::add(List::Continue, handler, is_first != 0) as usize
    }

    /// Removes a vectored continue handler.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn RemoveVectoredContinueHandler = "RemoveVectoredContinueHandler|RtlRemoveVectoredContinueHandler" (handle: usize) -> u32 {
        u32::from(vectored::remove(List::Continue, handle as u64))
    }

    /// Returns whether a debugger is attached: there is none.
    "kernel32.dll|kernelbase.dll" stdcall fn IsDebuggerPresent() -> Bool {
        Bool::FALSE
    }

    /// Raises a breakpoint at the caller.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn DebugBreak = "DebugBreak|DbgBreakPoint" (caller: Caller) {
        let context = Context::after_call(&caller.0.get());
        exception::raise(Record::new(NtStatus::BREAKPOINT.0, 0, context.rip, &[]), context)
    }

    /// Prints a message of the program for debuggers; shown by `RUST_LOG=info`.
    "kernel32.dll|kernelbase.dll" stdcall fn OutputDebugStringA(text: Ptr<u8>) {
        if let Some(text) = text.non_null() {
            log::info!("debug output: {}", super::libloaderapi::text_a(text).trim_end());
        }
    }

    /// Prints a message of the program for debuggers; shown by `RUST_LOG=info`.
    "kernel32.dll|kernelbase.dll" stdcall fn OutputDebugStringW(text: Ptr<u16>) {
        if let Some(text) = text.non_null() {
            log::info!("debug output: {}", super::libloaderapi::text_w(text).trim_end());
        }
    }
}
