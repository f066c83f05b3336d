//! What a thread is doing about exceptions: which `catch` blocks it is in, and what they handle.

use std::cell::RefCell;

use super::throw::Thrown;
use crate::crt::errno;
use crate::export::{Callback, Ptr};
use crate::win_api;

/// A `catch` block that runs.
#[derive(Clone, Copy, Debug)]
struct Active {
    /// Where on the stack it was called: everything it does lies below.
    place: u64,
    /// What it handles; `None` for an exception of another kind.
    thrown: Option<Thrown>,
    /// What was handled around it.
    record_before: u64,
    context_before: u64,
}

thread_local! {
    /// Outermost first. Blocks that were left by `longjmp` or the like stay until the next look.
    static ACTIVE: RefCell<Vec<Active>> = const { RefCell::new(Vec::new()) };
}

fn record_field() -> Ptr<u64> {
    errno::thread_field("current_exception")
}

fn context_field() -> Ptr<u64> {
    errno::thread_field("current_exception_context")
}

fn uncaught_field() -> Ptr<i32> {
    errno::thread_field("uncaught_exceptions")
}

/// Counts an exception that is on its way.
pub fn note_throw() {
    let field = uncaught_field();
    field.write(field.read() + 1);
}

/// Returns the record that the innermost `catch` block handles; 0 outside of them.
pub fn current_record() -> u64 {
    record_field().read()
}

/// Notes that a `catch` block called at `place` handles an exception.
pub fn enter(place: u64, thrown: Option<Thrown>, record: u64, context: u64) {
    let active = Active {
        place,
        thrown,
        record_before: record_field().read(),
        context_before: context_field().read(),
    };
    ACTIVE.with_borrow_mut(|list| list.push(active));
    record_field().write(record);
    context_field().write(context);
    let uncaught = uncaught_field();
    uncaught.write((uncaught.read() - 1).max(0));
}

/// Forgets the `catch` blocks below `place` and destroys what they handled, unless an outer one still handles it or it is
/// `in_flight`.
///
/// Runs guest code: hold no lock.
pub fn leave_below(place: u64, in_flight: u64) {
    while let Some(active) =
        ACTIVE.with_borrow_mut(|list| list.pop_if(|active| active.place < place))
    {
        record_field().write(active.record_before);
        context_field().write(active.context_before);
        let Some(thrown) = active.thrown else {
            continue;
        };
        let is_needed = thrown.object == in_flight
            || ACTIVE.with_borrow(|list| {
                list.iter()
                    .filter_map(|active| active.thrown)
                    .any(|other| other.object == thrown.object)
            });
        if !is_needed {
            thrown.destroy();
        }
    }
}

win_api! {
    /// Address of the pointer to the record that is being handled.
    "vcruntime140.dll|ucrtbase.dll" cdecl fn __current_exception() -> Ptr<u64> {
        record_field()
    }

    /// Address of the pointer to the context of what is being handled.
    "vcruntime140.dll|ucrtbase.dll" cdecl fn __current_exception_context() -> Ptr<u64> {
        context_field()
    }

    /// Address of the number of exceptions on their way.
    "vcruntime140.dll|ucrtbase.dll" cdecl fn __processing_throw() -> Ptr<i32> {
        uncaught_field()
    }

    /// Returns the number of exceptions on their way.
    "vcruntime140.dll" cdecl fn __uncaught_exceptions() -> i32 {
        uncaught_field().read()
    }

    /// Tells whether an exception is on its way.
    "vcruntime140.dll|ucrtbase.dll|msvcrt.dll" cdecl fn __uncaught_exception() -> u8 {
        u8::from(uncaught_field().read() != 0)
    }

    /// Sets the function of the calling thread that turns other exceptions into those of C++; returns the one before.
    "vcruntime140.dll|ucrtbase.dll|msvcrt.dll" cdecl fn _set_se_translator = "_set_se_translator|?_set_se_translator@@YAP6AXIPEAU_EXCEPTION_POINTERS@@@ZP6AXI0@Z@Z|?_set_se_translator@@YAP6AXIPAU_EXCEPTION_POINTERS@@@ZP6AXI0@Z@Z" (translator: Callback) -> Callback {
        let field = errno::thread_field::<Callback>("exception_translator");
        let before = field.read();
        field.write(translator);
        before
    }
}
