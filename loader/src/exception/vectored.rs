//! Vectored handlers and the top-level filter.

use std::sync::atomic::{AtomicU64, Ordering};

use ntlpc_abi::Width;
use parking_lot::Mutex;

use super::chain32::Shown;
use crate::context::{Context, Record};
use crate::export::Callback;
use crate::width;

/// Which list a vectored handler is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Called first.
    Exception,
    /// Called when a handler asked to continue.
    Continue,
}

#[derive(Clone, Copy, Debug)]
struct Handler {
    id: u64,
    list: List,
    function: Callback,
}

static HANDLERS: Mutex<Vec<Handler>> = Mutex::new(Vec::new());
static NEXT_ID: AtomicU64 = AtomicU64::new(0x10);
static FILTER: AtomicU64 = AtomicU64::new(0);

/// `EXCEPTION_CONTINUE_EXECUTION`.
pub const CONTINUE_EXECUTION: i32 = -1;
/// `EXCEPTION_CONTINUE_SEARCH`.
pub const CONTINUE_SEARCH: i32 = 0;

/// Adds a handler and returns what removes it again.
pub fn add(list: List, function: Callback, is_first: bool) -> u64 {
    let id = NEXT_ID.fetch_add(0x10, Ordering::Relaxed);
    let mut handlers = HANDLERS.lock();
    let at = if is_first { 0 } else { handlers.len() };
    handlers.insert(at, Handler { id, list, function });
    id
}

/// Removes a handler; returns whether it was there.
pub fn remove(list: List, id: u64) -> bool {
    let mut handlers = HANDLERS.lock();
    let before = handlers.len();
    handlers.retain(|h| h.id != id || h.list != list);
    handlers.len() != before
}

/// Sets the top-level filter and returns the one before.
pub fn set_filter(filter: Callback) -> Callback {
    Callback(FILTER.swap(filter.0, Ordering::AcqRel))
}

/// Returns the top-level filter.
#[must_use]
pub fn filter() -> Callback {
    Callback(FILTER.load(Ordering::Acquire))
}

/// Runs the handlers of a list until one continues execution; returns whether one did.
///
/// Runs guest code: hold no lock.
pub fn call(list: List, record: &mut Record, context: &mut Context) -> bool {
    let mut done = Vec::new();
    loop {
        // The list may change while a handler runs.
        let next = HANDLERS
            .lock()
            .iter()
            .find(|h| h.list == list && !done.contains(&h.id))
            .copied();
        let Some(handler) = next else {
            return false;
        };
        done.push(handler.id);
        if call_with_pointers(handler.function, record, context) == CONTINUE_EXECUTION {
            return true;
        }
    }
}

/// Runs the top-level filter; without one the search goes on.
pub fn call_filter(record: &mut Record, context: &mut Context) -> i32 {
    let filter = Callback(FILTER.load(Ordering::Acquire));
    if filter.is_null() {
        CONTINUE_SEARCH
    } else {
        call_with_pointers(filter, record, context)
    }
}

/// Calls a function that takes `EXCEPTION_POINTERS`. The structures lie on this thread's stack, which is the guest's.
pub fn call_with_pointers(function: Callback, record: &mut Record, context: &mut Context) -> i32 {
    if width() == Width::X86 {
        let mut shown = Shown::new();
        shown.fill(record, context);
        let verdict = function.call(&[shown.pointers_address()]) as i32;
        (*record, *context) = shown.read();
        return verdict;
    }
    let pointers = [
        std::ptr::from_mut(record) as u64,
        std::ptr::from_mut(context) as u64,
    ];
    function.call(&[pointers.as_ptr() as u64]) as i32
}
