//! Threads that watch objects and due times for items, and queue their callbacks.
//!
//! Each thread watches up to 63 objects besides its own wake-up event; the first also keeps the timers. An item is
//! watched once at most. A thread that finds an object signaled for an item that is no longer watched gives back what it
//! took, so a wait that was taken back swallows nothing.

use std::sync::Arc;

use ntlpc_abi::NtStatus;
use parking_lot::Mutex;

use super::item::{Item, Kind};
use super::{Argument, Job, NOW, Pool};
use crate::ob::futex::now_ns;
use crate::ob::object::Object;
use crate::ob::sync::Event;
use crate::ob::wait::{self, WaitKind};
use crate::ob::waitable::Taken;

/// Objects one thread watches; the wake-up event takes one place of a wait.
const MOST: usize = wait::MAX_OBJECTS - 1;
/// How long a thread with nothing to watch stays.
const IDLE_NS: u64 = 5_000_000_000;

/// What is watched for one item.
#[derive(Clone, Debug)]
struct Entry {
    item: Arc<Item>,
    /// Distinguishes this entry from a later one of the same item.
    number: u64,
    object: Option<Arc<dyn Object>>,
    deadline_ns: Option<u64>,
    /// 0 for one shot.
    period_ns: u64,
}

/// A thread that watches, and what it watches.
#[derive(Debug)]
pub struct Group {
    wake: Arc<Event>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: Vec<Entry>,
    /// Pools that shall get a thread unless one becomes free.
    growing: Vec<(Arc<Pool>, u64)>,
    has_thread: bool,
    numbers: u64,
}

static GROUPS: Mutex<Vec<Arc<Group>>> = Mutex::new(Vec::new());

fn new_group() -> Arc<Group> {
    Arc::new(Group {
        wake: Arc::new(Event::new(false, false)),
        inner: Mutex::default(),
    })
}

/// Returns the first group that can watch one object more, or the first of all for a timer.
fn group_for(has_object: bool) -> Arc<Group> {
    let mut groups = GROUPS.lock();
    let has_room = |group: &&Arc<Group>| {
        let inner = group.inner.lock();
        let objects = inner.entries.iter().filter(|e| e.object.is_some());
        !has_object || objects.count() < MOST
    };
    if let Some(group) = groups.iter().find(has_room) {
        return group.clone();
    }
    let group = new_group();
    groups.push(group.clone());
    group
}

/// Watches `object` for `item`, or only the time if there is none. Replaces what was watched for it.
pub fn arm(
    item: &Arc<Item>,
    object: Option<Arc<dyn Object>>,
    deadline_ns: Option<u64>,
    period_ns: u64,
) {
    disarm(item);
    let group = group_for(object.is_some());
    {
        let mut inner = group.inner.lock();
        inner.numbers += 1;
        let number = inner.numbers;
        inner.entries.push(Entry {
            item: item.clone(),
            number,
            object,
            deadline_ns,
            period_ns,
        });
    }
    group.wake_thread();
}

/// Watches nothing for `item`; returns whether something was.
pub fn disarm(item: &Arc<Item>) -> bool {
    let groups = GROUPS.lock().clone();
    for group in groups {
        let mut inner = group.inner.lock();
        let before = inner.entries.len();
        inner
            .entries
            .retain(|entry| !Arc::ptr_eq(&entry.item, item));
        if inner.entries.len() != before {
            drop(inner);
            group.wake.set();
            return true;
        }
    }
    false
}

/// Returns whether something is watched for `item`.
#[must_use]
pub fn is_armed(item: &Arc<Item>) -> bool {
    let groups = GROUPS.lock().clone();
    groups.iter().any(|group| {
        let inner = group.inner.lock();
        inner.entries.iter().any(|e| Arc::ptr_eq(&e.item, item))
    })
}

/// Looks at a pool again at `due_ns`: if jobs wait and no thread is free, it gets one more.
pub(super) fn grow_later(pool: Arc<Pool>, due_ns: u64) {
    let group = group_for(false);
    group.inner.lock().growing.push((pool, due_ns));
    group.wake_thread();
}

impl Group {
    fn wake_thread(self: &Arc<Self>) {
        let starts = {
            let mut inner = self.inner.lock();
            let starts = !inner.has_thread;
            inner.has_thread = true;
            starts
        };
        if !starts {
            self.wake.set();
            return;
        }
        let group = self.clone();
        let result = super::start(move || {
            NOW.with_borrow_mut(|now| now.watcher = Some(group.clone()));
            group.run();
        });
        if let Err(status) = result {
            log::warn!("thread pool: no thread to watch: {status}");
            self.inner.lock().has_thread = false;
        }
    }

    /// The thread is gone, perhaps in the middle of a callback; what is left to watch gets a new one.
    pub(super) fn watcher_ended(self: &Arc<Self>) {
        let is_needed = {
            let mut inner = self.inner.lock();
            inner.has_thread = false;
            !inner.entries.is_empty() || !inner.growing.is_empty()
        };
        if is_needed {
            self.wake_thread();
        }
    }

    fn run(self: &Arc<Self>) {
        loop {
            // 1. What to watch now.
            let (watched, objects, due) = {
                let inner = self.inner.lock();
                let watched: Vec<Entry> = inner
                    .entries
                    .iter()
                    .filter(|e| e.object.is_some())
                    .cloned()
                    .collect();
                let deadlines = inner.entries.iter().filter_map(|e| e.deadline_ns);
                let due = deadlines.chain(inner.growing.iter().map(|g| g.1)).min();
                let is_idle = inner.entries.is_empty() && inner.growing.is_empty();
                let due = if is_idle {
                    Some(now_ns() + IDLE_NS)
                } else {
                    due
                };
                let wake: Arc<dyn Object> = self.wake.clone();
                let objects: Vec<_> = std::iter::once(wake)
                    .chain(watched.iter().filter_map(|e| e.object.clone()))
                    .collect();
                (watched, objects, due)
            };
            // 2. Watch.
            let status = wait::wait(&objects, WaitKind::Any, false, due);
            if status == NtStatus::THREAD_IS_TERMINATING {
                return;
            }
            // 3. One object may be signaled, and times may have come.
            let index = match status.0 {
                signaled @ 1..64 => Some(signaled as usize - 1),
                abandoned @ 0x81..0xC0 => Some(abandoned as usize - 0x81),
                _ => None,
            };
            match index.and_then(|index| watched.get(index)) {
                Some(entry) => self.signaled(entry),
                None if status.0 >= 0x8000_0000 => self.drop_broken(&watched, status),
                None => {}
            }
            let due = self.take_due();
            if due.is_empty() && status == NtStatus::TIMEOUT && self.is_idle() {
                return;
            }
            for item in due {
                fire(item, Argument::TimedOut(true));
            }
            self.grow_pools();
        }
    }

    fn is_idle(&self) -> bool {
        let inner = self.inner.lock();
        inner.entries.is_empty() && inner.growing.is_empty()
    }

    /// An entry's object was taken: the item's callback is due, unless the entry is gone.
    fn signaled(&self, entry: &Entry) {
        if let Some(completions) = &entry.item.completions {
            // I/O items stay watched; each packet is a callback that the guest announced, except where it need not.
            for packet in completions.remove(64, Some(0)) {
                if entry.item.kind == Kind::LegacyIo {
                    entry.item.announce();
                }
                entry.item.post_announced(Argument::Io(packet));
            }
            return;
        }
        let is_current = {
            let mut inner = self.inner.lock();
            let at = inner
                .entries
                .iter()
                .position(|e| Arc::ptr_eq(&e.item, &entry.item) && e.number == entry.number);
            at.map(|at| inner.entries.remove(at)).is_some()
        };
        if is_current {
            fire(entry.item.clone(), Argument::TimedOut(false));
        } else if let Some(face) = entry.object.as_ref().and_then(|object| object.waitable()) {
            face.give_back(Taken::Signaled);
        }
    }

    /// Removes what cannot be watched: the wait named no culprit, so every object is tried alone.
    fn drop_broken(&self, watched: &[Entry], status: NtStatus) {
        log::warn!("thread pool: wait failed: {status}");
        let is_broken = |entry: &Entry| {
            entry
                .object
                .as_ref()
                .is_some_and(|o| o.waitable().is_none())
        };
        for entry in watched.iter().filter(|entry| is_broken(entry)) {
            self.inner
                .lock()
                .entries
                .retain(|e| e.number != entry.number);
        }
    }

    /// Takes the items whose time has come; periodic ones stay with their next time.
    fn take_due(&self) -> Vec<Arc<Item>> {
        let now = now_ns();
        let mut due = Vec::new();
        let mut inner = self.inner.lock();
        inner.entries.retain_mut(|entry| {
            let Some(deadline) = entry.deadline_ns.filter(|&deadline| deadline <= now) else {
                return true;
            };
            due.push((deadline, entry.item.clone()));
            match (now - deadline).checked_div(entry.period_ns) {
                Some(missed) => {
                    entry.deadline_ns = Some(deadline + (missed + 1) * entry.period_ns);
                    true
                }
                None => false,
            }
        });
        due.sort_by_key(|(deadline, _)| *deadline);
        due.into_iter().map(|(_, item)| item).collect()
    }

    fn grow_pools(&self) {
        let now = now_ns();
        let due: Vec<Arc<Pool>> = {
            let mut inner = self.inner.lock();
            let (due, later) = inner.growing.drain(..).partition(|(_, due)| *due <= now);
            inner.growing = later;
            let due: Vec<(Arc<Pool>, u64)> = due;
            due.into_iter().map(|(pool, _)| pool).collect()
        };
        for pool in due {
            if let Some(again) = pool.grow() {
                self.inner.lock().growing.push((pool, again));
            }
        }
    }
}

/// Queues a callback, or runs it here if the item asks for that.
fn fire(item: Arc<Item>, argument: Argument) {
    if item.environment.is_in_watcher {
        item.announce();
        super::run(Job { item, argument });
    } else {
        item.post(argument);
    }
}
