//! Locks that guests hold across calls: `_lock`, `_lock_file`.

use parking_lot::{Condvar, Mutex};
use std::thread::{self, ThreadId};

/// A lock its owner may take again.
#[derive(Debug)]
pub struct GuestLock {
    state: Mutex<(Option<ThreadId>, u32)>,
    released: Condvar,
}

impl GuestLock {
    /// Makes a free lock.
    pub const fn new() -> Self {
        Self {
            state: Mutex::new((None, 0)),
            released: Condvar::new(),
        }
    }

    /// Waits until the calling thread owns the lock.
    pub fn lock(&self) {
        let own = thread::current().id();
        let mut state = self.state.lock();
        while state.0.is_some_and(|owner| owner != own) {
            self.released.wait(&mut state);
        }
        *state = (Some(own), state.1 + 1);
    }

    /// Gives one ownership back; does nothing for a thread that is not the owner.
    pub fn unlock(&self) {
        let mut state = self.state.lock();
        if state.0 != Some(thread::current().id()) {
            return;
        }
        state.1 -= 1;
        if state.1 == 0 {
            state.0 = None;
            drop(state);
            self.released.notify_one();
        }
    }
}

/// Locks of the runtime itself, by number.
static LOCKS: [GuestLock; 64] = [const { GuestLock::new() }; 64];

fn numbered(number: i32) -> Option<&'static GuestLock> {
    usize::try_from(number)
        .ok()
        .and_then(|index| LOCKS.get(index))
}

crate::win_api! {
    /// Takes a lock of the runtime.
    "msvcrt.dll" cdecl fn _lock(number: i32) {
        if let Some(lock) = numbered(number) {
            lock.lock();
        }
    }

    /// Gives a lock of the runtime back.
    "msvcrt.dll" cdecl fn _unlock(number: i32) {
        if let Some(lock) = numbered(number) {
            lock.unlock();
        }
    }
}
