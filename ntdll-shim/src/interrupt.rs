//! Keeps a thread from being stopped or ended inside a call, except where it waits.
//!
//! Wine suspends and terminates threads by signals (SIGUSR1, SIGQUIT) whose handlers never return to the interrupted
//! code, or only much later. A thread ended while it holds a lock, the C library's heap included, or half-way through a change
//! of a thread-local with a destructor takes others with it. So every way in begins a stretch ([`begin`]) in which a host
//! that wraps those handlers puts the signal off ([`defer`]); waits that may last lie in [`open`], where the thread holds
//! nothing but memory. What was put off is sent again when the stretch ends or opens.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Bit n set: signal n arrived at a depth above zero. Only the thread itself touches it, from its own code or from
    /// a signal handler on top of it.
    static PENDING: AtomicU64 = const { AtomicU64::new(0) };
}

static REDELIVER: OnceLock<fn(i32)> = OnceLock::new();

/// Names the function that sends signal `n` to the calling thread again. The first one stays.
pub fn set_redeliver(redeliver: fn(i32)) {
    let _ = REDELIVER.set(redeliver);
}

/// A stretch of code in which the calling thread may be neither suspended nor terminated.
#[derive(Debug)]
#[must_use = "the stretch ends when the guard is dropped"]
pub struct Guard {
    /// A guard belongs to the thread that made it.
    _not_send: std::marker::PhantomData<*const ()>,
}

/// Begins such a stretch, for what runs outside of calls; stretches nest.
pub fn enter() -> Guard {
    DEPTH.set(DEPTH.get() + 1);
    compiler_fence(Ordering::SeqCst);
    Guard {
        _not_send: std::marker::PhantomData,
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        let depth = DEPTH.get().saturating_sub(1);
        DEPTH.set(depth);
        if depth == 0 {
            deliver_pending();
        }
    }
}

/// Returns how many guards the calling thread holds.
#[must_use]
pub fn depth() -> u32 {
    DEPTH.get()
}

/// Begins a call of the guest. A fault may have discarded the frames of the call before, with their guards.
pub fn begin() -> Guard {
    if DEPTH.replace(0) != 0 {
        deliver_pending();
    }
    enter()
}

/// A wait inside a call: the thread may be stopped or ended here.
#[derive(Debug)]
#[must_use = "the wait ends when this is dropped"]
pub struct Open {
    depth: u32,
    _not_send: std::marker::PhantomData<*const ()>,
}

/// Opens the calling thread's stretch for a wait that may last. The caller holds no lock.
pub fn open() -> Open {
    let depth = DEPTH.replace(0);
    compiler_fence(Ordering::SeqCst);
    deliver_pending();
    Open {
        depth,
        _not_send: std::marker::PhantomData,
    }
}

/// Runs a wait that may last with the calling thread's stretch open.
#[inline]
pub fn waiting<T>(wait: impl FnOnce() -> T) -> T {
    let _open = open();
    wait()
}

impl Drop for Open {
    fn drop(&mut self) {
        DEPTH.set(self.depth);
        compiler_fence(Ordering::SeqCst);
    }
}

/// Called by a signal handler: takes note of `signal` and returns true if it must not be handled now.
///
/// Async-signal-safe.
pub fn defer(signal: i32) -> bool {
    if depth() == 0 || REDELIVER.get().is_none() {
        return false;
    }
    PENDING.with(|pending| pending.fetch_or(1 << signal, Ordering::Relaxed));
    true
}

/// Sends the deferred signals to the calling thread, lowest number first.
fn deliver_pending() {
    let pending = PENDING.with(|pending| {
        if pending.load(Ordering::Relaxed) == 0 {
            0
        } else {
            pending.swap(0, Ordering::Relaxed)
        }
    });
    if pending == 0 {
        return;
    }
    if let Some(redeliver) = REDELIVER.get() {
        (1..64)
            .filter(|signal| pending & (1 << signal) != 0)
            .for_each(redeliver);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicI32;

    static LAST: AtomicI32 = AtomicI32::new(0);

    #[test]
    fn deferred_signal_is_sent_again_by_the_outermost_guard() {
        set_redeliver(|signal| LAST.store(signal, Ordering::Relaxed));
        assert!(!defer(10), "nothing is deferred at depth zero");

        let outer = enter();
        let inner = enter();
        assert!(defer(10));
        drop(inner);
        assert_eq!(LAST.load(Ordering::Relaxed), 0);
        drop(outer);
        assert_eq!(LAST.swap(0, Ordering::Relaxed), 10);

        std::mem::forget(enter());
        assert!(defer(3));
        let call = begin();
        assert_eq!((depth(), LAST.swap(0, Ordering::Relaxed)), (1, 3));

        assert!(defer(12));
        let wait = open();
        assert_eq!(LAST.load(Ordering::Relaxed), 12);
        assert!(!defer(12), "a waiting thread may be ended");
        drop(wait);
        assert_eq!(depth(), 1);
        drop(call);
    }
}
