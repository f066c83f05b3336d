//! Opaque pointers of the guest: what `PTP_WORK` and its like stand for.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Step between two values: they look like aligned pointers.
const STEP: u64 = 16;

/// Values by what the guest knows them by.
#[derive(Debug)]
pub struct Registry<T> {
    entries: LazyLock<Mutex<HashMap<u64, T>>>,
}

/// Next value to hand out, over all registries: a value of another kind is never taken for one of this.
static NEXT: AtomicU64 = AtomicU64::new(STEP);

impl<T: Clone> Registry<T> {
    /// Makes an empty registry.
    pub const fn new() -> Self {
        Registry {
            entries: LazyLock::new(Mutex::default),
        }
    }

    /// Reserves a value.
    pub fn reserve() -> u64 {
        NEXT.fetch_add(STEP, Ordering::Relaxed)
    }

    /// Registers `value` under a reserved value.
    pub fn insert_at(&self, id: u64, value: T) {
        self.entries.lock().insert(id, value);
    }

    /// Registers `value` and returns what the guest gets.
    pub fn insert(&self, value: T) -> u64 {
        let id = Self::reserve();
        self.insert_at(id, value);
        id
    }

    /// Returns what a value of the guest stands for.
    pub fn get(&self, id: u64) -> Option<T> {
        self.entries.lock().get(&id).cloned()
    }

    /// Forgets a value and returns what it stood for.
    pub fn remove(&self, id: u64) -> Option<T> {
        self.entries.lock().remove(&id)
    }
}
