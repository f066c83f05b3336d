//! User APCs: queued to a thread, run by it in an alertable wait.
//!
//! The engine only says that some are pending; the function that entered the wait runs them in the guest when it has
//! let go of everything it owns (a guest function may never come back).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use ntdll_shim::host::{Alert, AlertWord};
use ntlpc_abi::NtStatus;
use parking_lot::Mutex;

use super::record::SLEEPERS;
use super::waitable::{Watch, Word, WordRef};

/// A queued call of a guest function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Apc {
    /// Address of the function.
    pub function: u64,
    /// Its arguments; a function may have fewer.
    pub args: [u64; 4],
}

/// The APCs of one thread.
#[derive(Debug, Default)]
pub struct Queue {
    /// 1 while something is queued or an alert is pending.
    word: AtomicU32,
    apcs: Mutex<VecDeque<Apc>>,
    /// Set by `NtAlertThread`; the next alertable wait ends with `ALERTED`.
    is_alerted: AtomicBool,
}

impl Word for Queue {
    fn word(&self) -> &AtomicU32 {
        &self.word
    }
    fn is_shared(&self) -> bool {
        false
    }
}

impl Queue {
    /// Queues an APC and wakes the thread if it waits alertably.
    pub fn push(&self, apc: Apc) {
        self.apcs.lock().push_back(apc);
        // Release pairs with the Acquire load in `is_pending`.
        if self.word.swap(1, Ordering::AcqRel) & SLEEPERS != 0 {
            super::futex::wake_all(&self.word, false);
        }
    }

    /// Alerts the thread.
    pub fn alert(&self) {
        let _apcs = self.apcs.lock();
        self.is_alerted.store(true, Ordering::Release);
        if self.word.swap(1, Ordering::AcqRel) & SLEEPERS != 0 {
            super::futex::wake_all(&self.word, false);
        }
    }

    /// Takes a pending alert.
    fn take_alert(&self) -> bool {
        let apcs = self.apcs.lock();
        let was_alerted = self.is_alerted.swap(false, Ordering::AcqRel);
        if apcs.is_empty() {
            self.word.store(0, Ordering::Release);
        }
        was_alerted
    }

    /// Takes the oldest APC.
    pub fn pop(&self) -> Option<Apc> {
        let mut apcs = self.apcs.lock();
        let apc = apcs.pop_front();
        if apcs.is_empty() && !self.is_alerted.load(Ordering::Acquire) {
            self.word.store(0, Ordering::Release);
        }
        apc
    }

    fn is_pending(&self) -> bool {
        self.word.load(Ordering::Acquire) & !SLEEPERS != 0
    }
}

thread_local! {
    /// The queue of the calling thread: its object's.
    static QUEUE: RefCell<Arc<Queue>> = RefCell::default();
}

/// Makes `queue` the one of the calling thread.
pub fn enter(queue: &Arc<Queue>) {
    QUEUE.set(queue.clone());
}

fn with_current<T>(act: impl FnOnce(&Queue) -> T) -> T {
    QUEUE.with_borrow(|queue| act(queue))
}

/// Takes a pending alert of the calling thread.
fn take_alert() -> bool {
    with_current(Queue::take_alert)
}

/// Returns whether the calling thread has APCs or an alert.
fn is_pending() -> bool {
    with_current(Queue::is_pending)
}

/// Takes the oldest APC of the calling thread.
#[must_use]
pub fn next() -> Option<Apc> {
    with_current(Queue::pop)
}

impl AlertWord for Queue {
    fn word(&self) -> &AtomicU32 {
        &self.word
    }
}

/// Announces that the calling thread waits alertably for a port. `None` when an APC is pending by now.
#[must_use]
pub fn watch_alerts() -> Option<Alert> {
    let queue = announce()?;
    Some(Alert {
        word: queue,
        expected: SLEEPERS,
        look_ns: None,
    })
}

/// Announces that the calling thread sleeps alertably. `None` when an APC is pending by now.
#[must_use]
pub fn watch() -> Option<Watch> {
    let queue = announce()?;
    Some(Watch {
        word: WordRef::Other(queue),
        expected: SLEEPERS,
        deadline_ns: None,
    })
}

/// Returns the calling thread's APCs if there are none: whoever queues one then wakes it.
fn announce() -> Option<Arc<Queue>> {
    let queue = QUEUE.with_borrow(Arc::clone);
    match queue
        .word
        .compare_exchange(0, SLEEPERS, Ordering::AcqRel, Ordering::Acquire)
    {
        Ok(_) | Err(SLEEPERS) => Some(queue),
        Err(_) => None,
    }
}

/// Returns how an alertable wait of the calling thread ends now, if it does: with `ALERTED`, which takes the alert, or
/// with `USER_APC`.
#[must_use]
pub fn alerted() -> Option<NtStatus> {
    if !is_pending() {
        return None;
    }
    Some(if take_alert() {
        NtStatus::ALERTED
    } else {
        NtStatus::USER_APC
    })
}
