//! `__C_specific_handler`: `__try`/`__except`/`__finally` of C programs.
//!
//! Source: Microsoft Learn, "x64 exception handling", "Structured exception handling"; `SCOPE_TABLE_AMD64` of
//! mingw-w64 `winnt.h`.

use super::dispatch::DispatcherContext;
use super::vectored::{CONTINUE_EXECUTION, CONTINUE_SEARCH};
use crate::context::{Context, Record, flag};
use crate::export::{Callback, Ptr};
use crate::gate::{ActivationPtr, with_activation};

const DISPOSITION_CONTINUE_EXECUTION: i32 = 0;
const DISPOSITION_CONTINUE_SEARCH: i32 = 1;
/// A filter field that means "always handle".
const EXECUTE_ALWAYS: u32 = 1;

/// One row of the scope table; all addresses relative to the image.
struct Scope {
    begin: u32,
    end: u32,
    /// Filter, or the `__finally` function.
    handler: u32,
    /// Where the `__except` block starts; 0 for `__finally`.
    target: u32,
}

/// Handles one frame in the search or unwind phase; returns the disposition.
///
/// Runs guest code: hold no lock.
pub fn c_specific_handler(
    record_at: u64,
    frame: u64,
    context_at: u64,
    dispatcher_at: Ptr<DispatcherContext>,
    caller: ActivationPtr,
) -> i32 {
    let dispatcher = dispatcher_at.read();
    let record = Record::load(record_at);
    let pc = dispatcher.control_pc.wrapping_sub(dispatcher.image_base) as u32;
    let table = Ptr::<u32>::new(dispatcher.handler_data);
    let count = table.read();
    let scope_at = |i: u32| {
        let row = table.add(1 + i as usize * 4);
        Scope {
            begin: row.read(),
            end: row.add(1).read(),
            handler: row.add(2).read(),
            target: row.add(3).read(),
        }
    };
    if record.flags & flag::UNWIND == 0 {
        for i in dispatcher.scope_index..count {
            let scope = scope_at(i);
            if !(scope.begin..scope.end).contains(&pc) || scope.target == 0 {
                continue;
            }
            let verdict = if scope.handler == EXECUTE_ALWAYS {
                1
            } else {
                call_filter(&dispatcher, &scope, record_at, context_at, frame)
            };
            if verdict == CONTINUE_EXECUTION {
                return DISPOSITION_CONTINUE_EXECUTION;
            }
            if verdict > CONTINUE_SEARCH {
                let start = Context::after_call(&caller.get());
                let target = dispatcher.image_base + u64::from(scope.target);
                super::unwind(&start, frame, target, record, u64::from(record.code));
            }
        }
        return DISPOSITION_CONTINUE_SEARCH;
    }
    let is_target = record.flags & flag::TARGET_UNWIND != 0;
    let target = dispatcher.target_ip.wrapping_sub(dispatcher.image_base) as u32;
    for i in dispatcher.scope_index..count {
        let scope = scope_at(i);
        if !(scope.begin..scope.end).contains(&pc) {
            continue;
        }
        if is_target {
            // Scopes that contain the landing place, and the one whose block it is, are not left.
            if (scope.begin..scope.end).contains(&target)
                && scope.target != target
                && scope.target == 0
            {
                return DISPOSITION_CONTINUE_SEARCH;
            }
            if scope.target != 0 && scope.target == target {
                return DISPOSITION_CONTINUE_SEARCH;
            }
        }
        if scope.target == 0 {
            // An exception inside goes on with the next scope.
            dispatcher_at.write(DispatcherContext {
                scope_index: i + 1,
                ..dispatcher
            });
            let here = Context::load(dispatcher.context_record);
            let mut activation = here.activation(i + 1);
            with_activation(&mut activation, || {
                Callback(dispatcher.image_base + u64::from(scope.handler)).call(&[1, frame])
            });
        }
    }
    DISPOSITION_CONTINUE_SEARCH
}

/// Calls a filter with `EXCEPTION_POINTERS` of the guest's own structures and the establisher frame.
fn call_filter(
    dispatcher: &DispatcherContext,
    scope: &Scope,
    record: u64,
    context: u64,
    frame: u64,
) -> i32 {
    let pointers = [record, context];
    let filter = Callback(dispatcher.image_base + u64::from(scope.handler));
    filter.call(&[pointers.as_ptr() as u64, frame]) as i32
}
