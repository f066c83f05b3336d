//! A second word that ends the sleeps of a thread: what an alertable wait watches besides its own word.
//!
//! Every futex wait of a thread between [`watch`] and the end of the [`Watching`] it returns comes back with
//! [`Woken::Signal`](crate::sys::Woken::Signal) once the word is not as expected any more; who waits then asks its host
//! what that means.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// An owner of a word of this process to watch.
pub trait AlertWord: Send + Sync + std::fmt::Debug {
    /// Returns the word.
    fn word(&self) -> &AtomicU32;
}

/// The word a thread watches, and its value while there is nothing to tell.
#[derive(Clone, Debug)]
pub struct Alert {
    /// The word.
    pub word: Arc<dyn AlertWord>,
    /// What it says while nothing happened.
    pub expected: u32,
    /// After how long a sleep ends so too, for what the word does not tell of.
    pub look_ns: Option<u64>,
}

thread_local! {
    /// Without a destructor: the first wait of a thread would have the C library note it under the lock of its loader, and a
    /// thread may be ended in its waits.
    static WATCHED: ManuallyDrop<RefCell<Option<Alert>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
}

/// The calling thread watches a word until this is dropped.
#[derive(Debug)]
#[must_use = "the word is watched until this is dropped"]
pub struct Watching {
    /// It belongs to the thread that made it.
    _not_send: std::marker::PhantomData<*const ()>,
}

/// Makes the sleeps of the calling thread end by `alert` too.
pub fn watch(alert: Alert) -> Watching {
    WATCHED.with(|watched| watched.replace(Some(alert)));
    Watching {
        _not_send: std::marker::PhantomData,
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        WATCHED.with(|watched| watched.take());
    }
}

/// Returns what the calling thread watches.
#[cfg(not(feature = "model"))]
pub(crate) fn watched() -> Option<Alert> {
    WATCHED.with(|watched| watched.borrow().clone())
}

#[cfg(all(test, not(feature = "model")))]
mod tests {
    use super::*;
    use crate::sys::{Deadline, Woken, futex_wait};
    use std::sync::atomic::Ordering::SeqCst;

    #[derive(Debug, Default)]
    struct Word(AtomicU32);

    impl AlertWord for Word {
        fn word(&self) -> &AtomicU32 {
            &self.0
        }
    }

    #[test]
    fn changed_word_ends_a_sleep_on_another() {
        let own = AtomicU32::new(0);
        let word = Arc::new(Word::default());
        let alert = Alert {
            word: word.clone(),
            expected: 0,
            look_ns: None,
        };
        let soon = || Some(Deadline::after_ns(20_000_000));
        let watching = watch(alert);
        assert_eq!(futex_wait(&own, 0, soon()), Woken::Deadline);
        assert_eq!(futex_wait(&own, 1, None), Woken::Look);
        word.0.store(1, SeqCst);
        assert_eq!(futex_wait(&own, 0, None), Woken::Signal);
        drop(watching);
        let watching = watch(Alert {
            word: Arc::new(Word::default()),
            expected: 0,
            look_ns: Some(1_000_000),
        });
        assert_eq!(futex_wait(&own, 0, None), Woken::Signal);
        drop(watching);
        assert_eq!(futex_wait(&own, 0, soon()), Woken::Deadline);
    }
}
