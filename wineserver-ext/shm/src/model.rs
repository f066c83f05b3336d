//! Feature `model`: the words of a mapping as shuttle atomics, futexes as condition variables, and death.
//!
//! Words are made on first use, zero as fresh memory is. Payload bytes stay in the real mapping: the state word says who may
//! touch them. Deadlines never pass; a test models a timeout by not waiting.
//!
//! A thread "dies" before the n-th access to a shared word ([`mortal`]): it unwinds out of whatever it was doing, and what it
//! did so far stays, as after SIGKILL.
#![allow(
    unsafe_code,
    reason = "hands out references into boxes that live as long as the mapping"
)]

use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use shuttle::sync::{Condvar, Mutex};

use crate::mem::{AtomicU16, AtomicU32, AtomicU64, Mapping, Ordering};
use crate::sys::{Deadline, Woken};

type Table<T> = std::sync::Mutex<HashMap<usize, Box<T>>>;

/// The words of one modelled mapping, by offset.
#[derive(Debug, Default)]
pub struct Words {
    w64: Table<AtomicU64>,
    w32: Table<AtomicU32>,
    w16: Table<AtomicU16>,
    gates: Table<(Mutex<u64>, Condvar)>,
}

fn word<T>(words: &Table<T>, offset: usize, new: impl FnOnce() -> T) -> &T {
    let mut words = words.lock().expect("no panic while held");
    let word: *const T = &raw const **words.entry(offset).or_insert_with(|| Box::new(new()));
    // SAFETY: 1. The box is never replaced or removed, so its content stays where it is while `words` lives. 2. Only shared
    // references to it exist.
    unsafe { &*word }
}

shuttle::thread_local! {
    static STEPS_LEFT: Cell<Option<u32>> = Cell::new(None);
}

struct Death;

/// Counts one access to a shared word, and dies if it is one too many.
fn step() {
    let dies = STEPS_LEFT.with(|left| match left.get() {
        None => false,
        Some(0) => true,
        Some(steps) => {
            left.set(Some(steps - 1));
            false
        }
    });
    if dies {
        STEPS_LEFT.with(|left| left.set(None));
        resume_unwind(Box::new(Death));
    }
}

/// Runs `work` until it ends or has made `steps` accesses to shared words. Returns None if it died.
pub fn mortal<T>(steps: u32, work: impl FnOnce() -> T) -> Option<T> {
    STEPS_LEFT.with(|left| left.set(Some(steps)));
    let result = catch_unwind(AssertUnwindSafe(work));
    STEPS_LEFT.with(|left| left.set(None));
    match result {
        Ok(value) => Some(value),
        Err(payload) if payload.is::<Death>() => None,
        Err(payload) => resume_unwind(payload),
    }
}

impl Mapping {
    /// As the real one.
    pub fn w64(&self, offset: usize) -> &AtomicU64 {
        step();
        word(&self.words.w64, offset, || AtomicU64::new(0))
    }

    /// As the real one.
    pub fn w32(&self, offset: usize) -> &AtomicU32 {
        step();
        word(&self.words.w32, offset, || AtomicU32::new(0))
    }

    /// As the real one.
    pub fn w16(&self, offset: usize) -> &AtomicU16 {
        step();
        word(&self.words.w16, offset, || AtomicU16::new(0))
    }

    fn gate(&self, offset: usize) -> &(Mutex<u64>, Condvar) {
        word(&self.words.gates, offset, || {
            (Mutex::new(0), Condvar::new())
        })
    }

    /// Reads what the kernel would compare: a 32-bit word, or the low half of a 64-bit one.
    fn futex_word(&self, offset: usize) -> u32 {
        let is_wide = self
            .words
            .w64
            .lock()
            .expect("no panic while held")
            .contains_key(&offset);
        if is_wide {
            word(&self.words.w64, offset, || AtomicU64::new(0)).load(Ordering::SeqCst) as u32
        } else {
            word(&self.words.w32, offset, || AtomicU32::new(0)).load(Ordering::SeqCst)
        }
    }

    /// As the real one; the comparison and the start of the sleep are one step to every waker.
    pub fn futex_wait(&self, offset: usize, expected: u32, _deadline: Option<Deadline>) -> Woken {
        let (wakes, sleepers) = self.gate(offset);
        let mut wakes = wakes.lock().expect("no panic while held");
        if self.futex_word(offset) == expected {
            let before = *wakes;
            while *wakes == before {
                wakes = sleepers.wait(wakes).expect("no panic while held");
            }
        }
        Woken::Look
    }

    /// As the real one, waking all: every sleeper of this crate has a word of its own.
    pub fn futex_wake(&self, offset: usize, _count: i32) {
        step();
        let (wakes, sleepers) = self.gate(offset);
        *wakes.lock().expect("no panic while held") += 1;
        sleepers.notify_all();
    }
}
