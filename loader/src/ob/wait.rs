//! The wait engine: any or all of up to 64 objects, with a deadline, alertable.
//!
//! A wait (1) tries to take what it waits for, (2) announces itself on every object's word, (3) sleeps on the words.
//! An object that becomes signaled between 2 and 3 has changed its word, so the sleep returns at once. Whoever changes
//! a word with sleepers wakes them all: each looks again, and one that cannot use the change goes back to 2.
//!
//! A wait for all takes objects one after another and gives them back if a later one is gone, so another thread may
//! see an object taken for a moment; NT does the same under one lock.

use std::sync::Arc;

use ntlpc_abi::NtStatus;

use super::apc;
use super::futex::{self, Sleep, Woken};
use super::object::Object;
use super::waitable::{Taken, Waitable, Watch};

/// Most objects of one wait (`MAXIMUM_WAIT_OBJECTS`).
pub const MAX_OBJECTS: usize = 64;

/// A `LARGE_INTEGER` timeout as a deadline on the monotonic clock; `None` waits for ever.
///
/// Negative values are relative, others absolute system time (Microsoft Learn `KeWaitForSingleObject`). An absolute
/// time is converted once, so a clock set during the wait does not move it.
#[must_use]
pub fn deadline(timeout_100ns: Option<i64>) -> Option<u64> {
    let timeout = timeout_100ns?;
    let now = futex::now_ns();
    let left = if timeout < 0 {
        timeout.unsigned_abs()
    } else {
        timeout
            .saturating_sub(super::time::system_time())
            .max(0)
            .unsigned_abs()
    };
    Some(now.saturating_add(left.saturating_mul(100)))
}

/// `NtDelayExecution`: waits for the deadline only.
pub fn delay(is_alertable: bool, deadline_ns: Option<u64>) -> NtStatus {
    if is_alertable {
        return wait(&[], WaitKind::Any, true, deadline_ns);
    }
    if deadline_ns.is_some_and(|deadline| deadline <= futex::now_ns()) {
        std::thread::yield_now();
        return NtStatus::SUCCESS;
    }
    while futex::sleep_or_leave(&[], deadline_ns) != Woken::TimedOut {}
    NtStatus::SUCCESS
}

/// Whether one object or all of them satisfy a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitKind {
    /// `WaitAny`.
    Any,
    /// `WaitAll`.
    All,
}

/// Waits for objects. Returns `WAIT_0 + i`, `ABANDONED_WAIT_0 + i`, `USER_APC`, `TIMEOUT`, or
/// `OBJECT_TYPE_MISMATCH` for an object that cannot be waited on.
pub fn wait(
    objects: &[Arc<dyn Object>],
    kind: WaitKind,
    is_alertable: bool,
    deadline_ns: Option<u64>,
) -> NtStatus {
    let mut faces = Vec::with_capacity(objects.len());
    for object in objects {
        match object.waitable() {
            Some(face) => faces.push(face),
            None => return NtStatus::OBJECT_TYPE_MISMATCH,
        }
    }
    let mut watches = Vec::with_capacity(faces.len() + 1);
    loop {
        // 1. Take.
        let status = match kind {
            WaitKind::Any => take_any(&faces),
            WaitKind::All if faces.is_empty() => None,
            WaitKind::All => take_all(&faces),
        };
        if let Some(status) = status {
            return status;
        }
        if is_alertable && let Some(status) = apc::alerted() {
            return status;
        }
        if deadline_ns.is_some_and(|deadline| deadline <= futex::now_ns()) {
            return if faces.is_empty() {
                NtStatus::SUCCESS
            } else {
                NtStatus::TIMEOUT
            };
        }
        // 2. Announce. A wait for all sleeps on the objects that are not signaled.
        watches.clear();
        let mut is_changed = false;
        for face in &faces {
            match face.watch() {
                Some(watch) => watches.push(watch),
                None if kind == WaitKind::All => {}
                None => is_changed = true,
            }
        }
        if is_alertable {
            match apc::watch() {
                Some(watch) => watches.push(watch),
                None => is_changed = true,
            }
        }
        if is_changed || (kind == WaitKind::All && watches.is_empty() && !faces.is_empty()) {
            continue;
        }
        // 3. Sleep.
        let due = watches
            .iter()
            .filter_map(|watch| watch.deadline_ns)
            .chain(deadline_ns)
            .min();
        let sleeps: Vec<Sleep<'_>> = watches.iter().map(Watch::sleep).collect();
        if futex::sleep(&sleeps, due) == Woken::Ending {
            return NtStatus::THREAD_IS_TERMINATING;
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "at most 64 objects")]
fn status_of(index: usize, taken: Taken) -> NtStatus {
    match taken {
        Taken::Signaled => NtStatus(index as u32),
        Taken::Abandoned => NtStatus(NtStatus::ABANDONED_WAIT_0.0 + index as u32),
    }
}

fn take_any(faces: &[&dyn Waitable]) -> Option<NtStatus> {
    faces
        .iter()
        .enumerate()
        .find_map(|(i, face)| face.take().map(|taken| status_of(i, taken)))
}

fn take_all(faces: &[&dyn Waitable]) -> Option<NtStatus> {
    if !faces.iter().all(|face| face.is_signaled()) {
        return None;
    }
    let mut status = NtStatus::SUCCESS;
    for (i, face) in faces.iter().enumerate() {
        match face.take() {
            Some(Taken::Signaled) => {}
            Some(Taken::Abandoned) => {
                if status == NtStatus::SUCCESS {
                    status = status_of(i, Taken::Abandoned);
                }
            }
            None => {
                // Somebody was faster; what was taken as abandoned is free again, but no longer abandoned.
                faces[..i]
                    .iter()
                    .for_each(|earlier| earlier.give_back(Taken::Signaled));
                return None;
            }
        }
    }
    Some(status)
}
