//! The older interfaces of the thread pool: work items, registered waits, timer queues (`RtlQueueWorkItem` and the like).
//!
//! Source: phnt `ntrtl.h`; Microsoft Learn, the pages of the Win32 functions.

use std::sync::{Arc, LazyLock};

use ntlpc_abi::{Handle, NtStatus, UserPtr};
use parking_lot::Mutex;

use crate::dlls::win32::INVALID_HANDLE_VALUE;
use crate::export::{Callback, Ptr};
use crate::ob::futex::now_ns;
use crate::ob::object::access::SYNCHRONIZE;
use crate::ob::sync::{Event, MODIFY_STATE};
use crate::ob::table::{lookup, lookup_any};
use crate::pool::environment::Environment;
use crate::pool::item::{ITEMS, Item, Kind};
use crate::pool::{Argument, Registry, watch};
use crate::win_api;

/// `WT_*` flags of `winnt.h` that change anything here.
mod wt {
    /// `WT_EXECUTEINWAITTHREAD`.
    pub const IN_WAIT_THREAD: u32 = 4;
    /// `WT_EXECUTEONLYONCE`.
    pub const ONLY_ONCE: u32 = 8;
    /// `WT_EXECUTEINTIMERTHREAD`.
    pub const IN_TIMER_THREAD: u32 = 0x20;
}

/// The timers of a timer queue.
type Queue = Arc<Mutex<Vec<Arc<Item>>>>;

/// Timer queues by what the guest knows them by.
static QUEUES: Registry<Queue> = Registry::new();
/// The queue of timers that name none.
static DEFAULT: LazyLock<Queue> = LazyLock::new(Queue::default);

fn environment(is_in_watcher: bool) -> Environment {
    Environment {
        is_in_watcher,
        ..Environment::default()
    }
}

/// `INFINITE` gives `None`.
fn nanoseconds(timeout_ms: u32) -> Option<u64> {
    (timeout_ms != u32::MAX).then(|| u64::from(timeout_ms) * 1_000_000)
}

/// Queues a call of `callback(context)`.
pub fn queue_work_item(callback: Callback, context: UserPtr) -> Result<(), NtStatus> {
    if callback.is_null() {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    Item::new(Kind::WorkItem, callback, context.0, environment(false)).post(Argument::None);
    Ok(())
}

/// Watches an object and calls `callback` whenever it is signaled or the timeout passes.
pub fn register_wait(
    handle: Handle,
    callback: Callback,
    context: UserPtr,
    timeout_ms: u32,
    flags: u32,
) -> Result<Arc<Item>, NtStatus> {
    let object = lookup_any(handle, SYNCHRONIZE)?;
    if object.waitable().is_none() {
        return Err(NtStatus::OBJECT_TYPE_MISMATCH);
    }
    let environment = environment(flags & wt::IN_WAIT_THREAD != 0);
    let item = Item::new(Kind::Legacy, callback, context.0, environment);
    item.watch(object, nanoseconds(timeout_ms), flags & wt::ONLY_ONCE == 0);
    Ok(item)
}

/// Ends a registered wait: see [`Item::unregister`]. Returns `PENDING` while callbacks are on their way.
pub fn deregister(registration: UserPtr, event: Handle) -> Result<NtStatus, NtStatus> {
    let item = ITEMS.get(registration.0).ok_or(NtStatus::INVALID_HANDLE)?;
    let is_idle = item.unregister(event)?;
    Ok(if is_idle {
        NtStatus::SUCCESS
    } else {
        NtStatus::PENDING
    })
}

/// Makes a timer queue.
pub fn create_queue() -> u64 {
    QUEUES.insert(Queue::default())
}

fn queue(id: UserPtr) -> Result<Queue, NtStatus> {
    match id.0 {
        0 => Ok(DEFAULT.clone()),
        id => QUEUES.get(id).ok_or(NtStatus::INVALID_HANDLE),
    }
}

/// Ends a timer queue and its timers; `event` as for [`deregister`].
pub fn delete_queue(id: UserPtr, event: Handle) -> Result<NtStatus, NtStatus> {
    let event_object = match event {
        Handle::NULL | INVALID_HANDLE_VALUE => None,
        event => Some(lookup::<Event>(event, MODIFY_STATE)?),
    };
    let queue = QUEUES.remove(id.0).ok_or(NtStatus::INVALID_HANDLE)?;
    let items = std::mem::take(&mut *queue.lock());
    let mut status = NtStatus::SUCCESS;
    let waits = event == INVALID_HANDLE_VALUE;
    for item in &items {
        if !item.unregister(if waits { event } else { Handle::NULL })? {
            status = NtStatus::PENDING;
        }
    }
    match event_object {
        Some(event) if status == NtStatus::PENDING => crate::pool::start(move || {
            items.iter().for_each(|item| item.wait_idle());
            event.set();
        })?,
        Some(event) => {
            event.set();
        }
        None => {}
    }
    Ok(status)
}

/// Makes a timer of a queue.
pub fn create_timer(
    queue_id: UserPtr,
    callback: Callback,
    context: UserPtr,
    due_ms: u32,
    period_ms: u32,
    flags: u32,
) -> Result<Arc<Item>, NtStatus> {
    let queue = queue(queue_id)?;
    if callback.is_null() {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let environment = environment(flags & wt::IN_TIMER_THREAD != 0);
    let item = Item::new(Kind::Legacy, callback, context.0, environment);
    queue.lock().push(item.clone());
    arm(&item, due_ms, period_ms);
    Ok(item)
}

fn arm(item: &Arc<Item>, due_ms: u32, period_ms: u32) {
    let due = nanoseconds(due_ms).map(|after| now_ns() + after);
    if let Some(due) = due {
        watch::arm(item, None, Some(due), u64::from(period_ms) * 1_000_000);
    }
}

/// Gives a timer a new due time and period; a one-shot timer that has expired stays so.
pub fn change_timer(timer: UserPtr, due_ms: u32, period_ms: u32) -> Result<(), NtStatus> {
    let item = ITEMS.get(timer.0).ok_or(NtStatus::INVALID_HANDLE)?;
    if watch::disarm(&item) {
        arm(&item, due_ms, period_ms);
    }
    Ok(())
}

/// Ends a timer; `event` as for [`deregister`].
pub fn delete_timer(
    queue_id: UserPtr,
    timer: UserPtr,
    event: Handle,
) -> Result<NtStatus, NtStatus> {
    let queue = queue(queue_id)?;
    let item = ITEMS.get(timer.0).ok_or(NtStatus::INVALID_HANDLE)?;
    queue.lock().retain(|other| !Arc::ptr_eq(other, &item));
    let is_idle = item.unregister(event)?;
    Ok(if is_idle {
        NtStatus::SUCCESS
    } else {
        NtStatus::PENDING
    })
}

fn flat(result: Result<NtStatus, NtStatus>) -> NtStatus {
    result.unwrap_or_else(|status| status)
}

win_api! {
    /// Queues a call to the thread pool.
    "ntdll.dll" stdcall fn RtlQueueWorkItem(callback: Callback, context: UserPtr, _flags: u32) -> Result<(), NtStatus> {
        queue_work_item(callback, context)
    }

    /// Calls a function whenever an object is signaled.
    "ntdll.dll" stdcall fn RtlRegisterWait(to: Ptr<UserPtr>, handle: Handle, callback: Callback, context: UserPtr, timeout: u32, flags: u32) -> Result<(), NtStatus> {
        to.try_write(UserPtr(0))?;
        let item = register_wait(handle, callback, context, timeout, flags)?;
        to.try_write(UserPtr(item.id))
    }

    /// Ends a registered wait.
    "ntdll.dll" stdcall fn RtlDeregisterWait(registration: UserPtr) -> NtStatus {
        flat(deregister(registration, Handle::NULL))
    }

    /// Ends a registered wait, waiting for its callbacks or setting an event after them.
    "ntdll.dll" stdcall fn RtlDeregisterWaitEx(registration: UserPtr, event: Handle) -> NtStatus {
        flat(deregister(registration, event))
    }

    /// Makes a timer queue.
    "ntdll.dll" stdcall fn RtlCreateTimerQueue(to: Ptr<UserPtr>) -> Result<(), NtStatus> {
        to.try_write(UserPtr(create_queue()))
    }

    /// Ends a timer queue.
    "ntdll.dll" stdcall fn RtlDeleteTimerQueue(queue: UserPtr) -> NtStatus {
        flat(delete_queue(queue, Handle::NULL))
    }

    /// Ends a timer queue, waiting for its callbacks or setting an event after them.
    "ntdll.dll" stdcall fn RtlDeleteTimerQueueEx(queue: UserPtr, event: Handle) -> NtStatus {
        flat(delete_queue(queue, event))
    }

    /// Makes a timer of a queue.
    "ntdll.dll" stdcall fn RtlCreateTimer(queue: UserPtr, to: Ptr<UserPtr>, callback: Callback, context: UserPtr, due: u32, period: u32, flags: u32) -> Result<(), NtStatus> {
        let item = create_timer(queue, callback, context, due, period, flags)?;
        to.try_write(UserPtr(item.id))
    }

    /// Gives a timer a new due time.
    "ntdll.dll" stdcall fn RtlUpdateTimer(_queue: UserPtr, timer: UserPtr, due: u32, period: u32) -> Result<(), NtStatus> {
        change_timer(timer, due, period)
    }

    /// Ends a timer.
    "ntdll.dll" stdcall fn RtlDeleteTimer(queue: UserPtr, timer: UserPtr, event: Handle) -> NtStatus {
        flat(delete_timer(queue, timer, event))
    }
}
