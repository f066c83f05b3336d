//! Waits and synchronization objects by handle: `synchapi.h`.

use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};

use super::srw::milliseconds;
use crate::dlls::win32::{created, error, failed, or_else, refuse, success, units_arg, wide_arg};
use crate::export::{Bool, Callback, Ptr};
use crate::guest_struct;
use crate::ob::attributes::{Attributes, obj};
use crate::ob::mutant::{self, Mutant};
use crate::ob::name;
use crate::ob::object::{Object, access};
use crate::ob::sync::{Event, MODIFY_STATE, Semaphore, Timer};
use crate::ob::table::{lookup, lookup_any};
use crate::ob::wait::{self, WaitKind, deadline};
use crate::ob::{apc, named_directory};
use crate::win_api;

guest_struct! {
    /// `SECURITY_ATTRIBUTES` of `minwinbase.h`.
    pub struct SecurityAttributes {
        length: u32,
        security_descriptor: ntlpc_abi::UserPtr,
        inherit_handle: i32,
    }
}

/// `WAIT_FAILED`.
const WAIT_FAILED: u32 = u32::MAX;
/// `MAXIMUM_ALLOWED`, what the creating functions without an access argument ask for.
const ALL: u32 = access::MAXIMUM_ALLOWED;

/// Object attributes of a Win32 name: relative to the session's `\BaseNamedObjects`, inheritance from `security`.
pub fn attributes(security: Ptr<SecurityAttributes>, name: Option<Vec<u16>>) -> Attributes {
    let security = security.non_null().map(Ptr::read);
    let inherit = security.is_some_and(|s| s.inherit_handle != 0);
    Attributes {
        name: name
            .filter(|n| !n.is_empty())
            .map(|n| named_directory::path_of(&n)),
        flags: obj::OPENIF | if inherit { obj::INHERIT } else { 0 },
        security: security.map(|s| s.security_descriptor).unwrap_or_default(),
        ..Attributes::default()
    }
}

fn opening(inherit: Bool, name: Option<Vec<u16>>) -> Attributes {
    Attributes {
        flags: if inherit.get() { obj::INHERIT } else { 0 },
        ..attributes(Ptr::NULL, name)
    }
}

fn make_event(
    security: Ptr<SecurityAttributes>,
    name: Option<Vec<u16>>,
    flags: u32,
    access: u32,
) -> Handle {
    // CREATE_EVENT_MANUAL_RESET, CREATE_EVENT_INITIAL_SET
    let make = || Ok(Event::new(flags & 1 != 0, flags & 2 != 0));
    created(
        name::create(&attributes(security, name), access, make),
        Handle::NULL,
    )
}

fn make_mutex(
    security: Ptr<SecurityAttributes>,
    name: Option<Vec<u16>>,
    is_owned: bool,
    access: u32,
) -> Handle {
    created(
        mutant::create(&attributes(security, name), access, is_owned),
        Handle::NULL,
    )
}

fn make_semaphore(
    security: Ptr<SecurityAttributes>,
    name: Option<Vec<u16>>,
    count: i32,
    limit: i32,
    access: u32,
) -> Handle {
    created(
        name::create(&attributes(security, name), access, || {
            Semaphore::new(count, limit)
        }),
        Handle::NULL,
    )
}

fn make_timer(
    security: Ptr<SecurityAttributes>,
    name: Option<Vec<u16>>,
    is_manual: bool,
    access: u32,
) -> Handle {
    created(
        name::create(&attributes(security, name), access, || {
            Ok(Timer::new(is_manual))
        }),
        Handle::NULL,
    )
}

fn open<T: Object + name::Named>(access: u32, inherit: Bool, name: Option<Vec<u16>>) -> Handle {
    if name.is_none() {
        return refuse(error::INVALID_PARAMETER, Handle::NULL);
    }
    or_else(
        name::open::<T>(&opening(inherit, name), access),
        Handle::NULL,
    )
}

/// Runs the calling thread's APCs in the guest.
pub fn run_apcs() {
    while let Some(call) = apc::next() {
        Callback(call.function).call(&call.args);
    }
}

/// Waits by handles; runs APCs when a wait ends for them.
pub fn wait_handles(
    handles: &[Handle],
    kind: WaitKind,
    is_alertable: bool,
    deadline_ns: Option<u64>,
) -> NtStatus {
    let objects: Result<Vec<Arc<dyn Object>>, NtStatus> = handles
        .iter()
        .map(|&handle| lookup_any(handle, access::SYNCHRONIZE))
        .collect();
    let status = match objects {
        Ok(objects) => wait::wait(&objects, kind, is_alertable, deadline_ns),
        Err(status) => status,
    };
    if status == NtStatus::USER_APC {
        run_apcs();
    }
    status
}

fn wait_result(status: NtStatus) -> u32 {
    if status.0 >= 0x8000_0000 {
        failed(status, WAIT_FAILED)
    } else {
        status.0
    }
}

fn wait_many(count: u32, handles: Ptr<Handle>, all: Bool, timeout: u32, alertable: Bool) -> u32 {
    if count == 0 || count as usize > wait::MAX_OBJECTS {
        return refuse(error::INVALID_PARAMETER, WAIT_FAILED);
    }
    let handles = handles.read_many(count as usize);
    let kind = if all.get() {
        WaitKind::All
    } else {
        WaitKind::Any
    };
    wait_result(wait_handles(
        &handles,
        kind,
        alertable.get(),
        milliseconds(timeout),
    ))
}

fn sleep(timeout: u32, alertable: bool) -> u32 {
    let status = wait::delay(alertable, milliseconds(timeout));
    if status == NtStatus::USER_APC {
        run_apcs();
        return NtStatus::USER_APC.0;
    }
    0
}

fn set_timer(timer: Handle, due: Ptr<i64>, period: i32, routine: Callback, argument: u64) -> Bool {
    if !routine.is_null() {
        // The routine would run in this thread's alertable waits; refused before any effect.
        log::warn!("SetWaitableTimer with a completion routine is not supported ({argument:#x})");
        return failed(NtStatus::NOT_SUPPORTED, Bool::FALSE);
    }
    let due = due.read();
    success((|| {
        let period = u64::try_from(period).map_err(|_| NtStatus::INVALID_PARAMETER)?;
        let timer = lookup::<Timer>(timer, MODIFY_STATE)?;
        timer.set(deadline(Some(due)).unwrap_or(0), period * 1_000_000);
        Ok(())
    })())
}

win_api! {
    /// Waits for one object.
    "kernel32.dll|kernelbase.dll" stdcall fn WaitForSingleObject(handle: Handle, timeout: u32) -> u32 {
        wait_result(wait_handles(&[handle], WaitKind::Any, false, milliseconds(timeout)))
    }

    /// Waits for one object, alertably if asked.
    "kernel32.dll|kernelbase.dll" stdcall fn WaitForSingleObjectEx(handle: Handle, timeout: u32, alertable: Bool) -> u32 {
        wait_result(wait_handles(&[handle], WaitKind::Any, alertable.get(), milliseconds(timeout)))
    }

    /// Waits for any or all of several objects.
    "kernel32.dll|kernelbase.dll" stdcall fn WaitForMultipleObjects(count: u32, handles: Ptr<Handle>, all: Bool, timeout: u32) -> u32 {
        wait_many(count, handles, all, timeout, Bool::FALSE)
    }

    /// Waits for any or all of several objects, alertably if asked.
    "kernel32.dll|kernelbase.dll" stdcall fn WaitForMultipleObjectsEx(count: u32, handles: Ptr<Handle>, all: Bool, timeout: u32, alertable: Bool) -> u32 {
        wait_many(count, handles, all, timeout, alertable)
    }

    /// Signals an object of four types and waits for another.
    "kernel32.dll|kernelbase.dll" stdcall fn SignalObjectAndWait(signal: Handle, handle: Handle, timeout: u32, alertable: Bool) -> u32 {
        if let Err(status) = crate::ob::signal(signal) {
            return failed(status, WAIT_FAILED);
        }
        wait_result(wait_handles(&[handle], WaitKind::Any, alertable.get(), milliseconds(timeout)))
    }

    /// Sleeps.
    "kernel32.dll|kernelbase.dll" stdcall fn Sleep(timeout: u32) {
        sleep(timeout, false);
    }

    /// Sleeps, alertably if asked.
    "kernel32.dll|kernelbase.dll" stdcall fn SleepEx(timeout: u32, alertable: Bool) -> u32 {
        sleep(timeout, alertable.get())
    }

    /// Makes or opens an event.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateEventW(security: Ptr<SecurityAttributes>, manual: Bool, initial: Bool, name: Ptr<u16>) -> Handle {
        make_event(security, units_arg(name), u32::from(manual.get()) | u32::from(initial.get()) << 1, ALL)
    }

    /// Makes or opens an event.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateEventA(security: Ptr<SecurityAttributes>, manual: Bool, initial: Bool, name: Ptr<u8>) -> Handle {
        make_event(security, wide_arg(name), u32::from(manual.get()) | u32::from(initial.get()) << 1, ALL)
    }

    /// Makes or opens an event with given access.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateEventExW(security: Ptr<SecurityAttributes>, name: Ptr<u16>, flags: u32, access: u32) -> Handle {
        make_event(security, units_arg(name), flags, access)
    }

    /// Makes or opens an event with given access.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateEventExA(security: Ptr<SecurityAttributes>, name: Ptr<u8>, flags: u32, access: u32) -> Handle {
        make_event(security, wide_arg(name), flags, access)
    }

    /// Opens an event.
    "kernel32.dll|kernelbase.dll" stdcall fn OpenEventW(access: u32, inherit: Bool, name: Ptr<u16>) -> Handle {
        open::<Event>(access, inherit, units_arg(name))
    }

    /// Opens an event.
    "kernel32.dll|kernelbase.dll" stdcall fn OpenEventA(access: u32, inherit: Bool, name: Ptr<u8>) -> Handle {
        open::<Event>(access, inherit, wide_arg(name))
    }

    /// Sets an event.
    "kernel32.dll|kernelbase.dll" stdcall fn SetEvent(event: Handle) -> Bool {
        success(lookup::<Event>(event, MODIFY_STATE).map(|event| { event.set(); }))
    }

    /// Resets an event.
    "kernel32.dll|kernelbase.dll" stdcall fn ResetEvent(event: Handle) -> Bool {
        success(lookup::<Event>(event, MODIFY_STATE).map(|event| { event.reset(); }))
    }

    /// Sets an event for whoever waits now.
    "kernel32.dll|kernelbase.dll" stdcall fn PulseEvent(event: Handle) -> Bool {
        success(lookup::<Event>(event, MODIFY_STATE).map(|event| { event.pulse(); }))
    }

    /// Makes or opens a mutex.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateMutexW(security: Ptr<SecurityAttributes>, owned: Bool, name: Ptr<u16>) -> Handle {
        make_mutex(security, units_arg(name), owned.get(), ALL)
    }

    /// Makes or opens a mutex.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateMutexA(security: Ptr<SecurityAttributes>, owned: Bool, name: Ptr<u8>) -> Handle {
        make_mutex(security, wide_arg(name), owned.get(), ALL)
    }

    /// Makes or opens a mutex with given access.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateMutexExW(security: Ptr<SecurityAttributes>, name: Ptr<u16>, flags: u32, access: u32) -> Handle {
        make_mutex(security, units_arg(name), flags & 1 != 0, access)
    }

    /// Makes or opens a mutex with given access.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateMutexExA(security: Ptr<SecurityAttributes>, name: Ptr<u8>, flags: u32, access: u32) -> Handle {
        make_mutex(security, wide_arg(name), flags & 1 != 0, access)
    }

    /// Opens a mutex.
    "kernel32.dll|kernelbase.dll" stdcall fn OpenMutexW(access: u32, inherit: Bool, name: Ptr<u16>) -> Handle {
        open::<Mutant>(access, inherit, units_arg(name))
    }

    /// Opens a mutex.
    "kernel32.dll|kernelbase.dll" stdcall fn OpenMutexA(access: u32, inherit: Bool, name: Ptr<u8>) -> Handle {
        open::<Mutant>(access, inherit, wide_arg(name))
    }

    /// Releases a mutex.
    "kernel32.dll|kernelbase.dll" stdcall fn ReleaseMutex(mutex: Handle) -> Bool {
        success(lookup::<Mutant>(mutex, 0).and_then(|mutex| mutex.release()).map(|_| ()))
    }

    /// Makes or opens a semaphore.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateSemaphoreW(security: Ptr<SecurityAttributes>, initial: i32, maximum: i32, name: Ptr<u16>) -> Handle {
        make_semaphore(security, units_arg(name), initial, maximum, ALL)
    }

    /// Makes or opens a semaphore.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateSemaphoreA(security: Ptr<SecurityAttributes>, initial: i32, maximum: i32, name: Ptr<u8>) -> Handle {
        make_semaphore(security, wide_arg(name), initial, maximum, ALL)
    }

    /// Makes or opens a semaphore with given access.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateSemaphoreExW(security: Ptr<SecurityAttributes>, initial: i32, maximum: i32, name: Ptr<u16>, _flags: u32, access: u32) -> Handle {
        make_semaphore(security, units_arg(name), initial, maximum, access)
    }

    /// Makes or opens a semaphore with given access.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateSemaphoreExA(security: Ptr<SecurityAttributes>, initial: i32, maximum: i32, name: Ptr<u8>, _flags: u32, access: u32) -> Handle {
        make_semaphore(security, wide_arg(name), initial, maximum, access)
    }

    /// Opens a semaphore.
    "kernel32.dll|kernelbase.dll" stdcall fn OpenSemaphoreW(access: u32, inherit: Bool, name: Ptr<u16>) -> Handle {
        open::<Semaphore>(access, inherit, units_arg(name))
    }

    /// Opens a semaphore.
    "kernel32.dll|kernelbase.dll" stdcall fn OpenSemaphoreA(access: u32, inherit: Bool, name: Ptr<u8>) -> Handle {
        open::<Semaphore>(access, inherit, wide_arg(name))
    }

    /// Adds to the count of a semaphore.
    "kernel32.dll|kernelbase.dll" stdcall fn ReleaseSemaphore(semaphore: Handle, count: i32, previous: Ptr<u32>) -> Bool {
        match lookup::<Semaphore>(semaphore, MODIFY_STATE).and_then(|semaphore| semaphore.release(count)) {
            Ok(before) => {
                previous.write_if_some(before);
                Bool::TRUE
            }
            Err(NtStatus::INVALID_PARAMETER) => refuse(error::INVALID_PARAMETER, Bool::FALSE),
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Makes or opens a timer.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateWaitableTimerW(security: Ptr<SecurityAttributes>, manual: Bool, name: Ptr<u16>) -> Handle {
        make_timer(security, units_arg(name), manual.get(), ALL)
    }

    /// Makes or opens a timer.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateWaitableTimerA(security: Ptr<SecurityAttributes>, manual: Bool, name: Ptr<u8>) -> Handle {
        make_timer(security, wide_arg(name), manual.get(), ALL)
    }

    /// Makes or opens a timer with given access; every timer here has high resolution.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateWaitableTimerExW(security: Ptr<SecurityAttributes>, name: Ptr<u16>, flags: u32, access: u32) -> Handle {
        make_timer(security, units_arg(name), flags & 1 != 0, access)
    }

    /// Makes or opens a timer with given access.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateWaitableTimerExA(security: Ptr<SecurityAttributes>, name: Ptr<u8>, flags: u32, access: u32) -> Handle {
        make_timer(security, wide_arg(name), flags & 1 != 0, access)
    }

    /// Opens a timer.
    "kernel32.dll|kernelbase.dll" stdcall fn OpenWaitableTimerW(access: u32, inherit: Bool, name: Ptr<u16>) -> Handle {
        open::<Timer>(access, inherit, units_arg(name))
    }

    /// Sets a timer.
    "kernel32.dll|kernelbase.dll" stdcall fn SetWaitableTimer(timer: Handle, due: Ptr<i64>, period: i32, routine: Callback, argument: Ptr<u8>, _resume: Bool) -> Bool {
        set_timer(timer, due, period, routine, argument.address())
    }

    /// Sets a timer.
    "kernel32.dll|kernelbase.dll" stdcall fn SetWaitableTimerEx(timer: Handle, due: Ptr<i64>, period: i32, routine: Callback, argument: Ptr<u8>, _wake: Ptr<u8>, _tolerable: u32) -> Bool {
        set_timer(timer, due, period, routine, argument.address())
    }

    /// Cancels a timer.
    "kernel32.dll|kernelbase.dll" stdcall fn CancelWaitableTimer(timer: Handle) -> Bool {
        success(lookup::<Timer>(timer, MODIFY_STATE).map(|timer| { timer.cancel(); }))
    }

    /// Queues an APC to a thread.
    "kernel32.dll|kernelbase.dll" stdcall fn QueueUserAPC(function: Callback, thread: Handle, data: usize) -> u32 {
        use crate::ob::thread::{Thread, rights};
        match lookup::<Thread>(thread, rights::SET_CONTEXT) {
            Ok(thread) => {
                thread.apcs.push(apc::Apc { function: function.0, args: [data as u64, 0, 0, 0] });
                1
            }
            Err(status) => failed(status, 0),
        }
    }

    /// Gives up the processor.
    "kernel32.dll|kernelbase.dll" stdcall fn SwitchToThread() -> Bool {
        std::thread::yield_now();
        Bool::TRUE
    }
}

/// Monotonic milliseconds since boot, also counting sleep.
pub fn tick_count() -> u64 {
    u64::try_from(crate::ob::time::interrupt_time()).unwrap_or(0) / 10_000
}
