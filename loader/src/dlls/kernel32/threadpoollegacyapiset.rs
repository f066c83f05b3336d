//! Work items, registered waits and timer queues: `threadpoollegacyapiset.h`.

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use crate::dlls::ntdll::threadpool::make_io;
use crate::dlls::ntdll::timerqueues::{
    change_timer, create_queue, create_timer, delete_queue, delete_timer, deregister,
    queue_work_item, register_wait,
};
use crate::dlls::win32::{failed, success};
use crate::export::{Bool, Callback, Ptr};
use crate::pool::item::Kind;
use crate::win_api;

/// `TRUE` unless callbacks are still on their way, which is `ERROR_IO_PENDING`.
fn ended(result: Result<NtStatus, NtStatus>) -> Bool {
    match result {
        Ok(NtStatus::SUCCESS) => Bool::TRUE,
        Ok(status) | Err(status) => failed(status, Bool::FALSE),
    }
}

win_api! {
    /// Queues a call to the thread pool.
    "kernel32.dll|kernelbase.dll" stdcall fn QueueUserWorkItem(callback: Callback, context: UserPtr, _flags: u32) -> Bool {
        success(queue_work_item(callback, context))
    }

    /// Calls a function whenever an object is signaled.
    "kernel32.dll|kernelbase.dll" stdcall fn RegisterWaitForSingleObject(to: Ptr<UserPtr>, handle: Handle, callback: Callback, context: UserPtr, timeout: u32, flags: u32) -> Bool {
        match register_wait(handle, callback, context, timeout, flags) {
            Ok(item) => {
                to.write(UserPtr(item.id));
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Ends a registered wait.
    "kernel32.dll|kernelbase.dll" stdcall fn UnregisterWait(registration: UserPtr) -> Bool {
        ended(deregister(registration, Handle::NULL))
    }

    /// Ends a registered wait, waiting for its callbacks or setting an event after them.
    "kernel32.dll|kernelbase.dll" stdcall fn UnregisterWaitEx(registration: UserPtr, event: Handle) -> Bool {
        ended(deregister(registration, event))
    }

    /// Makes a timer queue.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateTimerQueue() -> UserPtr {
        UserPtr(create_queue())
    }

    /// Ends a timer queue.
    "kernel32.dll|kernelbase.dll" stdcall fn DeleteTimerQueue(queue: UserPtr) -> Bool {
        ended(delete_queue(queue, Handle::NULL))
    }

    /// Ends a timer queue, waiting for its callbacks or setting an event after them.
    "kernel32.dll|kernelbase.dll" stdcall fn DeleteTimerQueueEx(queue: UserPtr, event: Handle) -> Bool {
        ended(delete_queue(queue, event))
    }

    /// Makes a timer of a queue.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateTimerQueueTimer(to: Ptr<UserPtr>, queue: UserPtr, callback: Callback, context: UserPtr, due: u32, period: u32, flags: u32) -> Bool {
        match create_timer(queue, callback, context, due, period, flags) {
            Ok(item) => {
                to.write(UserPtr(item.id));
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Gives a timer a new due time.
    "kernel32.dll|kernelbase.dll" stdcall fn ChangeTimerQueueTimer(_queue: UserPtr, timer: UserPtr, due: u32, period: u32) -> Bool {
        success(change_timer(timer, due, period))
    }

    /// Ends a timer.
    "kernel32.dll|kernelbase.dll" stdcall fn DeleteTimerQueueTimer(queue: UserPtr, timer: UserPtr, event: Handle) -> Bool {
        ended(delete_timer(queue, timer, event))
    }

    /// Calls a function for every completed operation of a file.
    "kernel32.dll|kernelbase.dll" stdcall fn BindIoCompletionCallback(file: Handle, callback: Callback, _flags: u32) -> Bool {
        success(make_io(Kind::LegacyIo, file, callback, UserPtr(0), Ptr::NULL).map(|_| ()))
    }
}
