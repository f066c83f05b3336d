//! Suspending and resuming threads.
//!
//! The count is in the thread's object. A thread stops itself: before its first instruction, at the poke signal, or when
//! the last guard of `ntdll_shim::interrupt` goes.

use std::sync::atomic::Ordering;

use ntlpc_abi::NtStatus;

use crate::ob::futex::{self, Sleep};
use crate::ob::thread::{self, Thread};

/// `MAXIMUM_SUSPEND_COUNT`.
const MAXIMUM: u32 = 127;

/// Takes one suspension back and returns the count before.
pub fn resume(thread: &Thread) -> u32 {
    let lower = |count: u32| count.checked_sub(1);
    let before = thread
        .suspend_count
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, lower)
        .unwrap_or(0);
    if before == 1 {
        futex::wake_all(&thread.suspend_count, false);
    }
    before
}

/// Adds a suspension and returns the count before; the thread stops at its next safe point.
///
/// # Errors
/// `SUSPEND_COUNT_EXCEEDED`.
pub fn suspend(thread: &Thread) -> Result<u32, NtStatus> {
    let higher = |count: u32| (count < MAXIMUM).then_some(count + 1);
    thread
        .suspend_count
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, higher)
        .map_err(|_| NtStatus::SUSPEND_COUNT_EXCEEDED)
}

/// Blocks the calling thread while it is suspended.
pub fn wait_while_suspended() {
    let me = thread::current();
    loop {
        match me.suspend_count.load(Ordering::Acquire) {
            0 => return,
            count => {
                let word = Sleep {
                    word: &me.suspend_count,
                    expected: count,
                    is_shared: false,
                };
                futex::sleep(&[word], None);
            }
        }
    }
}
