//! Ending threads and their contexts: `TerminateThread`, `GetThreadContext` and their native calls.

use ntlpc_abi::{Handle, NtStatus};

use crate::context::Context;
use crate::dlls::win32::dos_error;
use crate::export::{Bool, Ptr};
use crate::ob::suspend;
use crate::ob::table::lookup;
use crate::ob::thread::{Thread, rights};
use crate::teb;
use crate::win_api;

fn terminate(thread: Handle, code: u32) -> Result<(), NtStatus> {
    // NULL is the calling thread for NtTerminateThread.
    let thread = if thread == Handle::NULL {
        Handle::CURRENT_THREAD
    } else {
        thread
    };
    let thread = lookup::<Thread>(thread, rights::TERMINATE)?;
    if thread.has_ended() {
        return Err(NtStatus::THREAD_IS_TERMINATING);
    }
    thread.terminate(code);
    Ok(())
}

/// Parts of `ContextFlags` a caller can ask for.
const CONTEXT_CONTROL: u32 = 1;
const CONTEXT_INTEGER: u32 = 2;
const CONTEXT_FLOATING_POINT: u32 = 8;

fn get_context(thread: Handle, context: Ptr<u8>) -> Result<(), NtStatus> {
    let thread = lookup::<Thread>(thread, rights::GET_CONTEXT)?;
    let wanted: u32 = context
        .byte_add(Context::flags_offset())
        .cast()
        .try_read()?;
    let mut found = suspend::context(&thread.control)?;
    found.flags = wanted;
    context.try_write_bytes(&found.guest_bytes())
}

fn set_context(thread: Handle, context: Ptr<u8>) -> Result<(), NtStatus> {
    let thread = lookup::<Thread>(thread, rights::SET_CONTEXT)?;
    let flags: u32 = context
        .byte_add(Context::flags_offset())
        .cast()
        .try_read()?;
    let given = Context::load(context.address());
    suspend::set_context(&thread.control, |context| {
        context.merge(
            &given,
            flags & CONTEXT_CONTROL != 0,
            flags & CONTEXT_INTEGER != 0,
            flags & CONTEXT_FLOATING_POINT != 0,
        );
    })
}

fn bool_of(result: Result<(), NtStatus>) -> Bool {
    if let Err(status) = result {
        teb::set_last_error(dos_error(status));
    }
    result.is_ok().into()
}

win_api! {
    /// Ends a thread at once.
    "kernel32.dll|kernelbase.dll" stdcall fn TerminateThread(thread: Handle, code: u32) -> Bool {
        bool_of(terminate(thread, code))
    }

    /// Ends a thread at once.
    "ntdll.dll" stdcall fn NtTerminateThread = "NtTerminateThread|ZwTerminateThread" (thread: Handle, status: u32) -> Result<(), NtStatus> {
        terminate(thread, status)
    }

    /// Stores the registers of a suspended thread.
    "kernel32.dll|kernelbase.dll" stdcall fn GetThreadContext(thread: Handle, context: Ptr<u8>) -> Bool {
        bool_of(get_context(thread, context))
    }

    /// Sets the registers of a suspended thread.
    "kernel32.dll|kernelbase.dll" stdcall fn SetThreadContext(thread: Handle, context: Ptr<u8>) -> Bool {
        bool_of(set_context(thread, context))
    }

    /// Stores the registers of a suspended thread.
    "ntdll.dll" stdcall fn NtGetContextThread = "NtGetContextThread|ZwGetContextThread" (thread: Handle, context: Ptr<u8>) -> Result<(), NtStatus> {
        get_context(thread, context)
    }

    /// Sets the registers of a suspended thread.
    "ntdll.dll" stdcall fn NtSetContextThread = "NtSetContextThread|ZwSetContextThread" (thread: Handle, context: Ptr<u8>) -> Result<(), NtStatus> {
        set_context(thread, context)
    }
}
