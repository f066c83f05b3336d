//! Waits on waitable ports, among other objects or alone.
//!
//! A port is signalled while the signal word of its inbox is set. A wait on one port alone watches the word. A wait that
//! is alertable, or on several objects, is Wine's own, in which each port is replaced by a hidden event that
//! [`super::bridge`] sets when the word is. The event may lag behind the word, so a wait that ended by it looks at the
//! word and goes on if another thread was faster. Every wait keeps the deadline it began with.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use ntlpc_abi::{NtStatus, UserPtr};
use ntlpc_shm::sys::{Deadline, now_ns};

use super::arch::Arguments;
use super::bridge::{self, Bridged};
use super::handles::{self, Known};
use super::service::ntdll;
use super::structures::Word;
use crate::engine::Port;
use crate::{capture, interrupt};

/// Most objects of one wait (`MAXIMUM_WAIT_OBJECTS`).
const MOST_OBJECTS: usize = 64;
/// 100 ns units from 1601 to 1970.
const EPOCH: u64 = 116_444_736_000_000_000;

/// `NtWaitForSingleObject(Handle, Alertable, Timeout)`.
pub unsafe fn wait_for_single_object(arguments: Arguments) -> u32 {
    // SAFETY: Wine passes the three arguments of the call.
    let [handle, alertable, timeout] = unsafe { arguments.read() };
    let Some(port) = waitable(handle) else {
        let ntdll = ntdll();
        // SAFETY: the caller's own arguments.
        return unsafe { ntdll.pass(ntdll.NtWaitForSingleObject, [handle, alertable, timeout]) };
    };
    let until = match Until::read(timeout) {
        Ok(until) => until,
        Err(status) => return status.0,
    };
    let status = if alertable as u8 == 0 {
        wait_for_word(&port.port, until)
    } else {
        wait_among(&[handle], &[Some(port)], true, true, until)
    };
    status.0
}

/// `NtWaitForMultipleObjects(Count, Handles, WaitAny, Alertable, Timeout)`.
pub unsafe fn wait_for_multiple_objects(arguments: Arguments) -> u32 {
    // SAFETY: Wine passes the five arguments of the call.
    let [count, array, any, alertable, timeout] = unsafe { arguments.read() };
    let ntdll = ntdll();
    let count = count as u32 as usize;
    // SAFETY: the caller's own arguments.
    let native = || unsafe {
        ntdll.pass(
            ntdll.NtWaitForMultipleObjects,
            [count as u64, array, any, alertable, timeout],
        )
    };
    if count == 0 || count > MOST_OBJECTS {
        return native();
    }
    let mut bytes = [[0; size_of::<Word>()]; MOST_OBJECTS];
    if let Err(status) = capture::read(UserPtr(array), bytes[..count].as_flattened_mut()) {
        return status.0;
    }
    let handles = bytes.map(|bytes| Word::from_le_bytes(bytes) as u64);
    let handles = &handles[..count];
    let ports: Vec<_> = handles.iter().map(|&handle| waitable(handle)).collect();
    if ports.iter().all(Option::is_none) {
        return native();
    }
    let until = match Until::read(timeout) {
        Ok(until) => until,
        Err(status) => return status.0,
    };
    wait_among(handles, &ports, any as u8 != 0, alertable as u8 != 0, until).0
}

/// `NtSignalAndWaitForSingleObject(SignalHandle, WaitHandle, Alertable, Timeout)`.
pub unsafe fn signal_and_wait_for_single_object(arguments: Arguments) -> u32 {
    // SAFETY: Wine passes the four arguments of the call.
    let [signal, handle, alertable, timeout] = unsafe { arguments.read() };
    let ntdll = ntdll();
    let Some(port) = waitable(handle) else {
        // SAFETY: the caller's own arguments.
        return unsafe {
            ntdll.pass(
                ntdll.NtSignalAndWaitForSingleObject,
                [signal, handle, alertable, timeout],
            )
        };
    };
    let until = match Until::read(timeout) {
        Ok(until) => until,
        Err(status) => return status.0,
    };
    let Some(bridged) = Bridged::arm(&port) else {
        return NtStatus::INSUFFICIENT_RESOURCES.0;
    };
    let relative = until.remaining();
    let timeout = relative.as_ref().map_or(0, |left| &raw const *left as u64);
    // SAFETY: two handles, a flag, null or a pointer to a local.
    let status = unsafe {
        ntdll.pass(
            ntdll.NtSignalAndWaitForSingleObject,
            [signal, bridged.event(), alertable, timeout],
        )
    };
    if status != NtStatus::SUCCESS.0 || port.port.is_signalled() {
        return status;
    }
    drop(bridged);
    wait_among(&[handle], &[Some(port)], true, alertable as u8 != 0, until).0
}

/// Returns the waitable port a handle names.
fn waitable(handle: u64) -> Option<Arc<Known>> {
    handles::find_port(handle).filter(|known| known.port.is_waitable)
}

/// Waits until the signal word of a port is set.
fn wait_for_word(port: &Port, until: Until) -> NtStatus {
    loop {
        let Some((address, expected)) = port.watch_signal() else {
            return NtStatus::SUCCESS;
        };
        // SAFETY: the word lives in a mapping that the port, borrowed here, keeps.
        let word = unsafe { AtomicU32::from_ptr(address as *mut u32) };
        if port.is_signalled() {
            return NtStatus::SUCCESS;
        }
        if until.has_passed() {
            return NtStatus::TIMEOUT;
        }
        let _open = interrupt::open();
        bridge::futex_wait(word, expected, until.deadline());
    }
}

/// Waits by Wine's own call, with an event in the place of each port.
fn wait_among(
    handles: &[u64],
    ports: &[Option<Arc<Known>>],
    any: bool,
    alertable: bool,
    until: Until,
) -> NtStatus {
    let ntdll = ntdll();
    loop {
        let mut bridged = Vec::with_capacity(ports.len());
        let mut replaced: Vec<Word> = handles.iter().map(|&handle| handle as Word).collect();
        for (handle, known) in replaced.iter_mut().zip(ports) {
            let Some(known) = known else { continue };
            let Some(armed) = Bridged::arm(known) else {
                return NtStatus::INSUFFICIENT_RESOURCES;
            };
            *handle = armed.event() as Word;
            bridged.push(armed);
        }
        let relative = until.remaining();
        let timeout = relative.as_ref().map_or(0, |left| &raw const *left as u64);
        // SAFETY: count, handles, two flags, null or a pointer to a local.
        let status = NtStatus(unsafe {
            ntdll.pass(
                ntdll.NtWaitForMultipleObjects,
                [
                    replaced.len() as u64,
                    replaced.as_ptr() as u64,
                    u64::from(any),
                    u64::from(alertable),
                    timeout,
                ],
            )
        });
        let is_early = any
            && ports.get(status.0 as usize).is_some_and(|known| {
                known
                    .as_ref()
                    .is_some_and(|known| !known.port.is_signalled())
            });
        if !is_early {
            return status;
        }
    }
}

/// When a wait ends at the latest.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// Never.
    Forever,
    /// At this point.
    Point(Deadline),
}

impl Until {
    /// Reads a `PLARGE_INTEGER` timeout: null for ever, negative from now, else since 1601, in 100 ns.
    ///
    /// # Errors
    /// `ACCESS_VIOLATION`.
    fn read(pointer: u64) -> Result<Until, NtStatus> {
        if pointer == 0 {
            return Ok(Until::Forever);
        }
        let mut bytes = [0; size_of::<i64>()];
        capture::read(UserPtr(pointer), &mut bytes)?;
        let ticks = i64::from_le_bytes(bytes);
        if ticks == i64::MIN {
            return Ok(Until::Forever);
        }
        Ok(Until::Point(if ticks <= 0 {
            Deadline::after_ns(ticks.unsigned_abs().saturating_mul(100))
        } else {
            Deadline::Realtime((ticks as u64).saturating_sub(EPOCH).saturating_mul(100))
        }))
    }

    fn deadline(self) -> Option<Deadline> {
        match self {
            Until::Forever => None,
            Until::Point(deadline) => Some(deadline),
        }
    }

    fn has_passed(self) -> bool {
        self.deadline().is_some_and(Deadline::has_passed)
    }

    /// Returns the timeout for Wine: what is left of a span, or the absolute time.
    fn remaining(self) -> Option<i64> {
        Some(match self.deadline()? {
            Deadline::Monotonic(at) => {
                let left = at
                    .saturating_sub(now_ns(libc::CLOCK_MONOTONIC))
                    .div_ceil(100);
                -i64::try_from(left).unwrap_or(i64::MAX)
            }
            Deadline::Realtime(at) => i64::try_from(at / 100 + EPOCH).unwrap_or(i64::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_timeout_becomes_an_absolute_deadline_and_back() {
        let ticks: i64 = -50_000_000;
        let until = Until::read(&raw const ticks as u64).expect("a local");
        let left = until.remaining().expect("finite");
        assert!((ticks..ticks + 10_000_000).contains(&left), "{left}");
        assert!(!until.has_passed());
    }

    #[test]
    fn absolute_timeout_in_the_past_has_passed_and_null_never_does() {
        let ticks: i64 = 1;
        let past = Until::read(&raw const ticks as u64).expect("a local");
        assert!(past.has_passed());
        assert!(!Until::read(0).expect("null").has_passed());
    }
}
