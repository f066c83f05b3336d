//! `Tp…`: the thread pool's own interface. Source: phnt `nttp.h`; behaviour from the Win32 functions of the same names.

use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use crate::dlls::ntdll::objects::timeout;
use crate::export::{Bool, Callback, Ptr};
use crate::ob::object::access::SYNCHRONIZE;
use crate::ob::table::lookup_any;
use crate::ob::wait::deadline;
use crate::pool::environment::{CallbackEnviron, Environment};
use crate::pool::group::{GROUPS, Group};
use crate::pool::item::{ITEMS, Item, Kind};
use crate::pool::{self, Argument, AtReturn, POOLS, Pool, watch};
use crate::win_api;

/// Makes an item of the guest's environment.
pub fn make(
    kind: Kind,
    callback: Callback,
    context: UserPtr,
    environ: Ptr<CallbackEnviron>,
) -> Result<Arc<Item>, NtStatus> {
    if callback.is_null() {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    Ok(Item::new(
        kind,
        callback,
        context.0,
        Environment::read(environ)?,
    ))
}

/// Makes an item and stores what the guest knows it by.
fn allocate(
    to: Ptr<UserPtr>,
    kind: Kind,
    callback: Callback,
    context: UserPtr,
    environ: Ptr<CallbackEnviron>,
) -> Result<(), NtStatus> {
    to.try_write(UserPtr(0))?;
    let item = make(kind, callback, context, environ)?;
    to.try_write(UserPtr(item.id))
}

/// Runs `act` on the item of the guest's pointer. A pointer to no item is a bug of the guest that Windows ends it for;
/// here it is logged.
pub fn with_item<T>(item: UserPtr, act: impl FnOnce(&Arc<Item>) -> T) -> Option<T> {
    let found = ITEMS.get(item.0);
    if found.is_none() {
        log::error!("thread pool: {item:?} is no work, timer, wait or I/O object");
    }
    found.as_ref().map(act)
}

/// Lets an item go: no new callbacks come, those on their way still run.
pub fn release(item: UserPtr) {
    with_item(item, |item| {
        item.stop();
        item.forget();
    });
}

/// Waits for the callbacks of an item; with `cancels`, those that have not begun never do.
pub fn wait_for(item: UserPtr, cancels: bool) {
    with_item(item, |item| {
        if cancels {
            item.cancel_queued();
        }
        item.wait_idle();
    });
}

/// Sets or, without a due time, stops a timer; returns whether it was set.
pub fn set_timer(item: UserPtr, due: Option<i64>, period_ms: u32) -> bool {
    with_item(item, |item| {
        let was_set = watch::disarm(item);
        if let Some(due) = due {
            watch::arm(
                item,
                None,
                deadline(Some(due)),
                u64::from(period_ms) * 1_000_000,
            );
        }
        was_set
    })
    .unwrap_or(false)
}

/// Watches an object for a wait item until `timeout` (as for `NtWaitForSingleObject`); NULL stops it. Returns whether it
/// was watching.
pub fn set_wait(item: UserPtr, handle: Handle, timeout: Option<i64>) -> Result<bool, NtStatus> {
    let object = match handle {
        Handle::NULL => None,
        handle => Some(lookup_any(handle, SYNCHRONIZE)?),
    };
    Ok(with_item(item, |item| {
        let was_set = watch::disarm(item);
        if let Some(object) = object {
            watch::arm(item, Some(object), deadline(timeout), 0);
        }
        was_set
    })
    .unwrap_or(false))
}

/// Makes an I/O item for a file, whose completions become callbacks.
pub fn make_io(
    kind: Kind,
    file: Handle,
    callback: Callback,
    context: UserPtr,
    environ: Ptr<CallbackEnviron>,
) -> Result<Arc<Item>, NtStatus> {
    let file = crate::ob::table::lookup::<crate::ob::file::File>(file, 0)?;
    if file.completion.lock().is_some() {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let item = make(kind, callback, context, environ)?;
    if let Some(port) = item.completions.clone() {
        *file.completion.lock() = Some((port.clone(), item.id));
        watch::arm(&item, Some(port), None, 0);
    }
    Ok(item)
}

win_api! {
    /// Makes a thread pool.
    "ntdll.dll" stdcall fn TpAllocPool(to: Ptr<UserPtr>, _reserved: UserPtr) -> Result<(), NtStatus> {
        to.try_write(UserPtr(POOLS.insert(Pool::new())))
    }

    /// Lets a thread pool go; it ends with its last item.
    "ntdll.dll" stdcall fn TpReleasePool(pool: UserPtr) {
        POOLS.remove(pool.0);
    }

    /// Sets the most threads of a pool.
    "ntdll.dll" stdcall fn TpSetPoolMaxThreads(pool: UserPtr, count: u32) {
        if let Some(pool) = POOLS.get(pool.0) {
            pool.set_maximum(count);
        }
    }

    /// Sets how many threads a pool keeps.
    "ntdll.dll" stdcall fn TpSetPoolMinThreads(pool: UserPtr, count: u32) -> Result<(), NtStatus> {
        POOLS.get(pool.0).ok_or(NtStatus::INVALID_PARAMETER)?.set_minimum(count)
    }

    /// Makes a clean-up group.
    "ntdll.dll" stdcall fn TpAllocCleanupGroup(to: Ptr<UserPtr>) -> Result<(), NtStatus> {
        to.try_write(UserPtr(GROUPS.insert(Arc::<Group>::default())))
    }

    /// Releases the members of a clean-up group after their callbacks.
    "ntdll.dll" stdcall fn TpReleaseCleanupGroupMembers(group: UserPtr, cancel: Bool, context: UserPtr) {
        if let Some(group) = GROUPS.get(group.0) {
            group.release_members(cancel.get(), context.0);
        }
    }

    /// Lets a clean-up group go.
    "ntdll.dll" stdcall fn TpReleaseCleanupGroup(group: UserPtr) {
        GROUPS.remove(group.0);
    }

    /// Queues a callback without an object.
    "ntdll.dll" stdcall fn TpSimpleTryPost(callback: Callback, context: UserPtr, environ: Ptr<CallbackEnviron>) -> Result<(), NtStatus> {
        make(Kind::Simple, callback, context, environ)?.post(Argument::None);
        Ok(())
    }

    /// Makes a work object.
    "ntdll.dll" stdcall fn TpAllocWork(to: Ptr<UserPtr>, callback: Callback, context: UserPtr, environ: Ptr<CallbackEnviron>) -> Result<(), NtStatus> {
        allocate(to, Kind::Work, callback, context, environ)
    }

    /// Queues the callback of a work object.
    "ntdll.dll" stdcall fn TpPostWork(work: UserPtr) {
        with_item(work, |item| item.post(Argument::None));
    }

    /// Makes a timer object.
    "ntdll.dll" stdcall fn TpAllocTimer(to: Ptr<UserPtr>, callback: Callback, context: UserPtr, environ: Ptr<CallbackEnviron>) -> Result<(), NtStatus> {
        allocate(to, Kind::Timer, callback, context, environ)
    }

    /// Sets or stops a timer object.
    "ntdll.dll" stdcall fn TpSetTimer(timer: UserPtr, due: Ptr<i64>, period: u32, _window: u32) {
        set_timer(timer, due.non_null().map(Ptr::read), period);
    }

    /// Sets or stops a timer object; returns whether it was set.
    "ntdll.dll" stdcall fn TpSetTimerEx(timer: UserPtr, due: Ptr<i64>, period: u32, _window: u32) -> Bool {
        set_timer(timer, due.non_null().map(Ptr::read), period).into()
    }

    /// Returns whether a timer object is set.
    "ntdll.dll" stdcall fn TpIsTimerSet(timer: UserPtr) -> Bool {
        with_item(timer, watch::is_armed).unwrap_or(false).into()
    }

    /// Makes a wait object.
    "ntdll.dll" stdcall fn TpAllocWait(to: Ptr<UserPtr>, callback: Callback, context: UserPtr, environ: Ptr<CallbackEnviron>) -> Result<(), NtStatus> {
        allocate(to, Kind::Wait, callback, context, environ)
    }

    /// Watches an object, or stops.
    "ntdll.dll" stdcall fn TpSetWait(wait: UserPtr, handle: Handle, time: Ptr<i64>) {
        let result = timeout(time).and_then(|time| set_wait(wait, handle, time));
        if let Err(status) = result {
            log::error!("thread pool: TpSetWait: {status}");
        }
    }

    /// Watches an object, or stops; the result says whether it was watching.
    "ntdll.dll" stdcall fn TpSetWaitEx(wait: UserPtr, handle: Handle, time: Ptr<i64>, _reserved: UserPtr) -> NtStatus {
        match timeout(time).and_then(|time| set_wait(wait, handle, time)) {
            Ok(was_set) => NtStatus(u32::from(was_set)),
            Err(status) => status,
        }
    }

    /// Lets an object go.
    "ntdll.dll" stdcall fn TpReleaseWork = "TpReleaseWork|TpReleaseTimer|TpReleaseWait|TpReleaseIoCompletion" (item: UserPtr) {
        release(item);
    }

    /// Waits for the callbacks of an object.
    "ntdll.dll" stdcall fn TpWaitForWork = "TpWaitForWork|TpWaitForTimer|TpWaitForWait|TpWaitForIoCompletion" (item: UserPtr, cancel: Bool) {
        wait_for(item, cancel.get());
    }

    /// Makes an I/O object of a file.
    "ntdll.dll" stdcall fn TpAllocIoCompletion(to: Ptr<UserPtr>, file: Handle, callback: Callback, context: UserPtr, environ: Ptr<CallbackEnviron>) -> Result<(), NtStatus> {
        to.try_write(UserPtr(0))?;
        let item = make_io(Kind::NativeIo, file, callback, context, environ)?;
        to.try_write(UserPtr(item.id))
    }

    /// Announces an operation on the file of an I/O object.
    "ntdll.dll" stdcall fn TpStartAsyncIoOperation(io: UserPtr) {
        with_item(io, |item| item.announce());
    }

    /// Takes an announcement back.
    "ntdll.dll" stdcall fn TpCancelAsyncIoOperation(io: UserPtr) {
        with_item(io, |item| item.renounce());
    }

    /// Sets an event when the calling callback returns.
    "ntdll.dll" stdcall fn TpCallbackSetEventOnCompletion(_instance: UserPtr, event: Handle) {
        pool::at_return(AtReturn::SetEvent(event));
    }

    /// Releases a semaphore when the calling callback returns.
    "ntdll.dll" stdcall fn TpCallbackReleaseSemaphoreOnCompletion(_instance: UserPtr, semaphore: Handle, count: i32) {
        pool::at_return(AtReturn::ReleaseSemaphore(semaphore, count));
    }

    /// Releases a mutex when the calling callback returns.
    "ntdll.dll" stdcall fn TpCallbackReleaseMutexOnCompletion(_instance: UserPtr, mutex: Handle) {
        pool::at_return(AtReturn::ReleaseMutex(mutex));
    }

    /// Leaves a critical section when the calling callback returns.
    "ntdll.dll" stdcall fn TpCallbackLeaveCriticalSectionOnCompletion(_instance: UserPtr, section: UserPtr) {
        pool::at_return(AtReturn::LeaveCriticalSection(section.0));
    }

    /// Frees a DLL when the calling callback returns.
    "ntdll.dll" stdcall fn TpCallbackUnloadDllOnCompletion(_instance: UserPtr, module: UserPtr) {
        pool::at_return(AtReturn::FreeLibrary(module.0));
    }

    /// Says that the calling callback may run long.
    "ntdll.dll" stdcall fn TpCallbackMayRunLong(_instance: UserPtr) -> NtStatus {
        if pool::may_run_long() { NtStatus::SUCCESS } else { NtStatus::TOO_MANY_THREADS }
    }

    /// No longer counts the calling callback as running.
    "ntdll.dll" stdcall fn TpDisassociateCallback(_instance: UserPtr) {
        pool::disassociate();
    }
}
