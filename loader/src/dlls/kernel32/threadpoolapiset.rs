//! Thread pools: `threadpoolapiset.h`. Each function is the one of `Tp…` with a Win32 face.

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use crate::dlls::ntdll::threadpool::{
    make, make_io, release, set_timer, set_wait, wait_for, with_item,
};
use crate::dlls::win32::{failed, success};
use crate::export::{Bool, Callback, Ptr};
use crate::pool::environment::CallbackEnviron;
use crate::pool::group::{GROUPS, Group};
use crate::pool::item::Kind;
use crate::pool::{self, Argument, AtReturn, POOLS, Pool, watch};
use crate::win_api;

fn create(
    kind: Kind,
    callback: Callback,
    context: UserPtr,
    environ: Ptr<CallbackEnviron>,
) -> UserPtr {
    match make(kind, callback, context, environ) {
        Ok(item) => UserPtr(item.id),
        Err(status) => failed(status, UserPtr(0)),
    }
}

fn wait_on(wait: UserPtr, handle: Handle, time: Ptr<i64>) -> Bool {
    match set_wait(wait, handle, time.non_null().map(Ptr::read)) {
        Ok(was_set) => was_set.into(),
        Err(status) => failed(status, Bool::FALSE),
    }
}

win_api! {
    /// Makes a thread pool.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateThreadpool(_reserved: UserPtr) -> UserPtr {
        UserPtr(POOLS.insert(Pool::new()))
    }

    /// Lets a thread pool go; it ends with its last object.
    "kernel32.dll|kernelbase.dll" stdcall fn CloseThreadpool(pool: UserPtr) {
        POOLS.remove(pool.0);
    }

    /// Sets the most threads of a pool.
    "kernel32.dll|kernelbase.dll" stdcall fn SetThreadpoolThreadMaximum(pool: UserPtr, count: u32) {
        if let Some(pool) = POOLS.get(pool.0) {
            pool.set_maximum(count);
        }
    }

    /// Sets how many threads a pool keeps.
    "kernel32.dll|kernelbase.dll" stdcall fn SetThreadpoolThreadMinimum(pool: UserPtr, count: u32) -> Bool {
        success(POOLS.get(pool.0).ok_or(NtStatus::INVALID_PARAMETER).and_then(|pool| pool.set_minimum(count)))
    }

    /// Makes a clean-up group.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateThreadpoolCleanupGroup() -> UserPtr {
        UserPtr(GROUPS.insert(std::sync::Arc::<Group>::default()))
    }

    /// Lets a clean-up group go.
    "kernel32.dll|kernelbase.dll" stdcall fn CloseThreadpoolCleanupGroup(group: UserPtr) {
        GROUPS.remove(group.0);
    }

    /// Releases the members of a clean-up group after their callbacks.
    "kernel32.dll|kernelbase.dll" stdcall fn CloseThreadpoolCleanupGroupMembers(group: UserPtr, cancel: Bool, context: UserPtr) {
        if let Some(group) = GROUPS.get(group.0) {
            group.release_members(cancel.get(), context.0);
        }
    }

    /// Queues a callback without an object.
    "kernel32.dll|kernelbase.dll" stdcall fn TrySubmitThreadpoolCallback(callback: Callback, context: UserPtr, environ: Ptr<CallbackEnviron>) -> Bool {
        success(make(Kind::Simple, callback, context, environ).map(|item| item.post(Argument::None)))
    }

    /// Makes a work object.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateThreadpoolWork(callback: Callback, context: UserPtr, environ: Ptr<CallbackEnviron>) -> UserPtr {
        create(Kind::Work, callback, context, environ)
    }

    /// Queues the callback of a work object.
    "kernel32.dll|kernelbase.dll" stdcall fn SubmitThreadpoolWork(work: UserPtr) {
        with_item(work, |item| item.post(Argument::None));
    }

    /// Makes a timer object.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateThreadpoolTimer(callback: Callback, context: UserPtr, environ: Ptr<CallbackEnviron>) -> UserPtr {
        create(Kind::Timer, callback, context, environ)
    }

    /// Sets or stops a timer object.
    "kernel32.dll|kernelbase.dll" stdcall fn SetThreadpoolTimer(timer: UserPtr, due: Ptr<i64>, period: u32, _window: u32) {
        set_timer(timer, due.non_null().map(Ptr::read), period);
    }

    /// Sets or stops a timer object; returns whether it was set.
    "kernel32.dll|kernelbase.dll" stdcall fn SetThreadpoolTimerEx(timer: UserPtr, due: Ptr<i64>, period: u32, _window: u32) -> Bool {
        set_timer(timer, due.non_null().map(Ptr::read), period).into()
    }

    /// Returns whether a timer object is set.
    "kernel32.dll|kernelbase.dll" stdcall fn IsThreadpoolTimerSet(timer: UserPtr) -> Bool {
        with_item(timer, watch::is_armed).unwrap_or(false).into()
    }

    /// Makes a wait object.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateThreadpoolWait(callback: Callback, context: UserPtr, environ: Ptr<CallbackEnviron>) -> UserPtr {
        create(Kind::Wait, callback, context, environ)
    }

    /// Watches an object, or stops.
    "kernel32.dll|kernelbase.dll" stdcall fn SetThreadpoolWait(wait: UserPtr, handle: Handle, time: Ptr<i64>) {
        wait_on(wait, handle, time);
    }

    /// Watches an object, or stops; returns whether it was watching.
    "kernel32.dll|kernelbase.dll" stdcall fn SetThreadpoolWaitEx(wait: UserPtr, handle: Handle, time: Ptr<i64>, _reserved: UserPtr) -> Bool {
        wait_on(wait, handle, time)
    }

    /// Makes an I/O object of a file.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateThreadpoolIo(file: Handle, callback: Callback, context: UserPtr, environ: Ptr<CallbackEnviron>) -> UserPtr {
        match make_io(Kind::Io, file, callback, context, environ) {
            Ok(item) => UserPtr(item.id),
            Err(status) => failed(status, UserPtr(0)),
        }
    }

    /// Announces an operation on the file of an I/O object.
    "kernel32.dll|kernelbase.dll" stdcall fn StartThreadpoolIo(io: UserPtr) {
        with_item(io, |item| item.announce());
    }

    /// Takes an announcement back.
    "kernel32.dll|kernelbase.dll" stdcall fn CancelThreadpoolIo(io: UserPtr) {
        with_item(io, |item| item.renounce());
    }

    /// Lets an object go.
    "kernel32.dll|kernelbase.dll" stdcall fn CloseThreadpoolWork = "CloseThreadpoolWork|CloseThreadpoolTimer|CloseThreadpoolWait|CloseThreadpoolIo" (item: UserPtr) {
        release(item);
    }

    /// Waits for the callbacks of an object.
    "kernel32.dll|kernelbase.dll" stdcall fn WaitForThreadpoolWorkCallbacks = "WaitForThreadpoolWorkCallbacks|WaitForThreadpoolTimerCallbacks|WaitForThreadpoolWaitCallbacks|WaitForThreadpoolIoCallbacks" (item: UserPtr, cancel: Bool) {
        wait_for(item, cancel.get());
    }

    /// Sets an event when the calling callback returns.
    "kernel32.dll|kernelbase.dll" stdcall fn SetEventWhenCallbackReturns(_instance: UserPtr, event: Handle) {
        pool::at_return(AtReturn::SetEvent(event));
    }

    /// Releases a semaphore when the calling callback returns.
    "kernel32.dll|kernelbase.dll" stdcall fn ReleaseSemaphoreWhenCallbackReturns(_instance: UserPtr, semaphore: Handle, count: i32) {
        pool::at_return(AtReturn::ReleaseSemaphore(semaphore, count));
    }

    /// Releases a mutex when the calling callback returns.
    "kernel32.dll|kernelbase.dll" stdcall fn ReleaseMutexWhenCallbackReturns(_instance: UserPtr, mutex: Handle) {
        pool::at_return(AtReturn::ReleaseMutex(mutex));
    }

    /// Leaves a critical section when the calling callback returns.
    "kernel32.dll|kernelbase.dll" stdcall fn LeaveCriticalSectionWhenCallbackReturns(_instance: UserPtr, section: UserPtr) {
        pool::at_return(AtReturn::LeaveCriticalSection(section.0));
    }

    /// Frees a DLL when the calling callback returns.
    "kernel32.dll|kernelbase.dll" stdcall fn FreeLibraryWhenCallbackReturns(_instance: UserPtr, module: UserPtr) {
        pool::at_return(AtReturn::FreeLibrary(module.0));
    }

    /// Says that the calling callback may run long.
    "kernel32.dll|kernelbase.dll" stdcall fn CallbackMayRunLong(_instance: UserPtr) -> Bool {
        pool::may_run_long().into()
    }

    /// No longer counts the calling callback as running.
    "kernel32.dll|kernelbase.dll" stdcall fn DisassociateCurrentThreadFromCallback(_instance: UserPtr) {
        pool::disassociate();
    }
}
