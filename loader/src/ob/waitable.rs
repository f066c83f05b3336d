//! The face of an object that a wait sees, and where it sleeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::futex::Sleep;
use super::record::{MOVED, Place, SLEEPERS};

/// How a wait was satisfied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Signaled.
    Signaled,
    /// A mutant whose owner died.
    Abandoned,
}

/// Where to sleep until an object may have become signaled.
#[derive(Debug)]
pub struct Watch {
    /// The word, kept alive.
    pub word: WordRef,
    /// Its value while there is nothing to take.
    pub expected: u32,
    /// When to look again although nobody changed the word (timers), on the monotonic clock.
    pub deadline_ns: Option<u64>,
}

/// A word that stays valid as long as the reference.
#[derive(Debug)]
pub enum WordRef {
    /// Word of a record.
    Record(Arc<Place>),
    /// Word of something else.
    Other(Arc<dyn Word>),
}

/// An owner of a word to sleep on.
pub trait Word: Send + Sync + std::fmt::Debug {
    /// Returns the word.
    fn word(&self) -> &AtomicU32;
    /// Returns whether it lies in memory shared with other processes.
    fn is_shared(&self) -> bool;
}

impl Watch {
    pub(super) fn sleep(&self) -> Sleep<'_> {
        match &self.word {
            WordRef::Record(place) => Sleep {
                word: &place.record().word,
                expected: self.expected,
                is_shared: place.is_shared(),
            },
            WordRef::Other(other) => Sleep {
                word: other.word(),
                expected: self.expected,
                is_shared: other.is_shared(),
            },
        }
    }
}

/// The face of an object that a wait sees.
pub trait Waitable {
    /// Returns whether a wait would be satisfied now.
    fn is_signaled(&self) -> bool;
    /// Takes what a satisfied wait takes; `None` if the object is not signaled.
    fn take(&self) -> Option<Taken>;
    /// Undoes [`Waitable::take`] for a wait for all that failed later.
    fn give_back(&self, taken: Taken);
    /// Announces a sleeper. `None` when the object is signaled by now.
    fn watch(&self) -> Option<Watch>;
}

/// Announces a sleeper on the word of a record while `is_idle` holds for its value. `None` otherwise, or if it moved.
pub fn watch_record(place: &Arc<Place>, is_idle: impl Fn(u32) -> bool) -> Option<Watch> {
    let word = &place.record().word;
    let mut old = word.load(Ordering::Acquire);
    loop {
        if old == MOVED || !is_idle(old & !SLEEPERS) {
            return None;
        }
        let marked = old | SLEEPERS;
        match word.compare_exchange_weak(old, marked, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                return Some(Watch {
                    word: WordRef::Record(place.clone()),
                    expected: marked,
                    deadline_ns: None,
                });
            }
            Err(seen) => old = seen,
        }
    }
}
