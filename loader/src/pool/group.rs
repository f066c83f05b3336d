//! Clean-up groups: items that end together.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Registry;
use super::item::Item;

/// Clean-up groups by what the guest knows them by.
pub static GROUPS: Registry<Arc<Group>> = Registry::new();

/// A clean-up group.
#[derive(Debug, Default)]
pub struct Group {
    members: Mutex<Vec<Arc<Item>>>,
}

impl Group {
    pub(super) fn add(&self, item: &Arc<Item>) {
        self.members.lock().push(item.clone());
    }

    pub(super) fn remove(&self, item: &Item) {
        self.members
            .lock()
            .retain(|member| !std::ptr::eq(&raw const **member, item));
    }

    /// Releases all members after their callbacks have ended. With `cancels`, callbacks that have not begun never do, and
    /// the members' cancel functions are told with `context`.
    ///
    /// Runs guest code: hold no lock.
    pub fn release_members(&self, cancels: bool, context: u64) {
        let members = std::mem::take(&mut *self.members.lock());
        for item in members {
            item.stop();
            let cancelled = if cancels { item.cancel_queued() } else { 0 };
            if cancelled > 0 && !item.environment.cancel.is_null() {
                item.environment.cancel.call(&[item.context, context]);
            }
            item.wait_idle();
            item.forget();
        }
    }
}
