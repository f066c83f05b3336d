//! Threads of C programs: `process.h`.
//!
//! Source: Microsoft Learn, "_beginthread, _beginthreadex", "_endthread, _endthreadex".

use std::sync::Once;

use ntlpc_abi::{Handle, UserPtr};

use parking_lot::Mutex;

use crate::crt::errno;
use crate::crt::os;
use crate::dlls::kernel32::processthreadsapi::{
    CREATE_SUSPENDED, CreateThread, GetCurrentThreadId, ResumeThread,
};
use crate::dlls::kernel32::synchapi::SecurityAttributes;
use crate::export::{Callback, Ptr};
use crate::win_api;
use crate::{teb, thread};

/// Handles of running threads of `_beginthread`, by thread id: they are closed when the threads end.
static HANDLES: Mutex<Vec<(u32, Handle)>> = Mutex::new(Vec::new());

/// Closes the handle that `_beginthread` gave for the calling thread.
fn close_own_handle() {
    let id = GetCurrentThreadId();
    let mut handles = HANDLES.lock();
    let own = handles.iter().position(|(thread, _)| *thread == id);
    let own = own.map(|index| handles.swap_remove(index));
    drop(handles);
    if let Some((_, handle)) = own {
        // The program may have closed it, against the documentation.
        let _ = os::close(handle);
    }
}

/// Starts a thread that owns its handle; it waits until that is known.
fn begin(function: Callback, stack: u32, argument: UserPtr) -> Result<Handle, i32> {
    static HOOKED: Once = Once::new();
    if function.is_null() {
        return Err(errno::invalid_parameter());
    }
    HOOKED.call_once(|| thread::at_exit(close_own_handle));
    let mut id = 0_u32;
    let id_at = Ptr::new(&raw mut id as u64);
    let handle = CreateThread(
        Ptr::NULL,
        stack as usize,
        function,
        argument,
        CREATE_SUSPENDED,
        id_at,
    );
    if handle == Handle::NULL {
        errno::set_from_win32(teb::last_error());
        return Err(errno::errno());
    }
    HANDLES.lock().push((id_at.read(), handle));
    ResumeThread(handle);
    Ok(handle)
}

win_api! {
    /// Starts a thread and returns its handle, which it closes itself; -1 on failure.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _beginthread(function: Callback, stack: u32, argument: UserPtr) -> Handle {
        begin(function, stack, argument).unwrap_or_else(|number| {
            errno::set_errno(number);
            Handle(u64::MAX)
        })
    }

    /// Ends the calling thread.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _endthread() {
        thread::exit(0)
    }

    /// Starts a thread and returns its handle; 0 on failure.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _beginthreadex(security: Ptr<SecurityAttributes>, stack: u32, function: Callback, argument: UserPtr, flags: u32, id: Ptr<u32>) -> Handle {
        if function.is_null() {
            errno::set_errno(errno::code::EINVAL);
            return Handle::NULL;
        }
        let handle = CreateThread(security, stack as usize, function, argument, flags, id);
        if handle == Handle::NULL {
            errno::set_from_win32(teb::last_error());
        }
        handle
    }

    /// Ends the calling thread with a code.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _endthreadex(code: u32) {
        thread::exit(code)
    }
}
