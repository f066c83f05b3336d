//! Fibers: `ConvertThreadToFiber` and the others of `winbase.h`.
//!
//! Source: Microsoft Learn, "Using Fibers" and the functions' pages.

use ntlpc_abi::UserPtr;

use super::fibersapi::release_fiber;
use crate::dlls::win32::{error, refuse};
use crate::export::{Bool, Callback, Caller};
use crate::thread::{self, fiber};
use crate::win_api;

/// `FIBER_FLAG_FLOAT_SWITCH`.
const FLOAT_SWITCH: u32 = 1;

win_api! {
    /// Makes the calling thread a fiber.
    "kernel32.dll|kernelbase.dll" stdcall fn ConvertThreadToFiber(parameter: UserPtr) -> UserPtr {
        ConvertThreadToFiberEx(parameter, 0)
    }

    /// Makes the calling thread a fiber, with control words of its own if asked.
    "kernel32.dll|kernelbase.dll" stdcall fn ConvertThreadToFiberEx(parameter: UserPtr, flags: u32) -> UserPtr {
        if flags & !FLOAT_SWITCH != 0 {
            return refuse(error::INVALID_PARAMETER, UserPtr(0));
        }
        if fiber::current().is_some() {
            return refuse(error::ALREADY_FIBER, UserPtr(0));
        }
        UserPtr(fiber::convert_thread(parameter.0, flags & FLOAT_SWITCH != 0))
    }

    /// Makes the calling fiber a thread.
    "kernel32.dll|kernelbase.dll" stdcall fn ConvertFiberToThread() -> Bool {
        if fiber::convert_to_thread() {
            Bool::TRUE
        } else {
            refuse(error::ALREADY_THREAD, Bool::FALSE)
        }
    }

    /// Makes a fiber.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateFiber(stack: usize, function: Callback, parameter: UserPtr) -> UserPtr {
        // A commit size alone leaves the reserve at the default.
        CreateFiberEx(stack, (stack as u64).max(thread::default_stack()) as usize, 0, function, parameter)
    }

    /// Makes a fiber with a stack of a given size.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateFiberEx(commit: usize, reserve: usize, flags: u32, function: Callback, parameter: UserPtr) -> UserPtr {
        if flags & !FLOAT_SWITCH != 0 {
            return refuse(error::INVALID_PARAMETER, UserPtr(0));
        }
        let reserve = if reserve == 0 { thread::default_stack() } else { reserve as u64 };
        let made = fiber::create(reserve.max(commit as u64), function.0, parameter.0, flags & FLOAT_SWITCH != 0);
        made.map_or_else(|_| refuse(error::NOT_ENOUGH_MEMORY, UserPtr(0)), UserPtr)
    }

    /// Deletes a fiber; the thread that runs it ends.
    "kernel32.dll|kernelbase.dll" stdcall fn DeleteFiber(address: UserPtr) {
        if fiber::current() == Some(address.0) {
            thread::exit(1);
        }
        if let Some(gone) = fiber::take(address.0) {
            release_fiber(gone.local_slots());
        }
    }

    /// Continues another fiber in place of the calling one.
    "kernel32.dll|kernelbase.dll" stdcall fn SwitchToFiber(address: UserPtr, caller: Caller) {
        fiber::switch(caller.0, address.0);
    }
}
