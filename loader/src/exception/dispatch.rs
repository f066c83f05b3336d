//! Looking for a handler: vectored handlers, then the frames of the thread.
//!
//! Source: Microsoft Learn, "x64 exception handling", "Language-specific handler"; `DISPATCHER_CONTEXT` of mingw-w64
//! `winnt.h`.

use ntdll_shim::classic::exception::{self as exception_port, Verdict};
use ntlpc_abi::{NtStatus, Width};

use super::unwind::{self, FLAG_EXCEPTION, Origins};
use super::vectored::{self, List};
use super::{chain32, report};
use crate::context::{Context, Record, flag};
use crate::export::{Callback, Guest, Ptr};
use crate::gate::{current_activation, with_activation};
use crate::guest_struct;
use crate::ob::suspend;
use crate::teb::{self, host_area};
use crate::width;

guest_struct! {
    /// `DISPATCHER_CONTEXT`.
    pub struct DispatcherContext {
        control_pc: u64,
        image_base: u64,
        function_entry: u64,
        establisher_frame: u64,
        target_ip: u64,
        context_record: u64,
        language_handler: u64,
        handler_data: u64,
        history_table: u64,
        scope_index: u32,
        fill: u32,
    }
}

/// `EXCEPTION_DISPOSITION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Resume at the exception's context.
    ContinueExecution,
    /// Ask the next frame.
    ContinueSearch,
    /// An exception in a handler.
    Nested,
    /// Another unwind had been there.
    Collided,
}

/// Raises an exception at `context`: returns to the guest there if a handler says so, else ends the process.
///
/// Runs guest code: hold no lock.
pub fn raise(mut record: Record, mut context: Context) -> ! {
    log::debug!(
        "exception {:#010x} at {}",
        record.code,
        crate::module::describe(record.address)
    );
    if nesting() > MAX_NESTING {
        end_unhandled(&record, &context);
    }
    let at_raise = context;
    let mut activation = at_raise.activation(0);
    let is_handled = with_activation(&mut activation, || {
        vectored::call(List::Exception, &mut record, &mut context)
            || match width() {
                Width::X64 => search(&mut record, &mut context),
                Width::X86 => chain32::search(&mut record, &mut context),
            }
    });
    if is_handled {
        with_activation(&mut activation, || {
            vectored::call(List::Continue, &mut record, &mut context)
        });
        context.resume();
    }
    let verdict = with_activation(&mut activation, || {
        vectored::call_filter(&mut record, &mut context)
    });
    if verdict == vectored::CONTINUE_EXECUTION {
        context.resume();
    }
    if verdict == vectored::CONTINUE_SEARCH {
        end_unhandled(&record, &context);
    }
    crate::ob::process::exit_now(record.code)
}

/// Exceptions inside of exceptions before the process is given up.
const MAX_NESTING: u64 = 16;

/// Counts exceptions that are dispatched inside of each other: each lies deeper on the stack than the one around it.
fn nesting() -> u64 {
    let place = 0_u8;
    let here = &raw const place as u64;
    let is_inside = here < host_area::read(host_area::RAISE_PLACE);
    let depth = if is_inside {
        host_area::read(host_area::RAISE_DEPTH) + 1
    } else {
        1
    };
    teb::write_host(host_area::RAISE_PLACE, here);
    teb::write_host(host_area::RAISE_DEPTH, depth);
    depth
}

/// Asks the exception port about an exception that nobody handles: lets the program continue at its context if the answer
/// says so, else reports it and ends the process (lpc §4.5).
pub fn end_unhandled(record: &Record, context: &Context) -> ! {
    suspend::show_exception(context);
    // The port gets the record of the system's width.
    let shown = if crate::is_wow64() {
        record.as_bytes().to_vec()
    } else {
        record.guest_bytes()
    };
    let verdict = exception_port::ask(&shown);
    let context = suspend::hide_exception().unwrap_or(*context);
    match verdict {
        Verdict::Continue => context.resume(),
        Verdict::Unhandled => {}
        Verdict::EndThread => crate::thread::exit(record.code),
        Verdict::EndProcess => crate::ob::process::exit_now(record.code),
    }
    suspend::leave_if_terminating();
    report::unhandled(record, &context);
    crate::ob::process::exit_now(record.code)
}

/// Raises an exception of `code` at the guest's call that is in progress.
pub fn raise_from_call(code: NtStatus, information: &[u64]) -> ! {
    let Some(activation) = current_activation() else {
        crate::fatal(format_args!("{code} outside of a call from the program"));
    };
    let context = Context::of_call(&activation.get());
    raise(Record::new(code.0, 0, context.rip, information), context)
}

/// Most frames searched; a longer chain is a loop.
const MAX_FRAMES: u32 = 100_000;

/// Asks the frames of the thread, innermost first. Returns whether execution continues at `context`.
fn search(record: &mut Record, context: &mut Context) -> bool {
    let mut walk = *context;
    let mut scope_index = 0;
    for _ in 0..MAX_FRAMES {
        match unwind::cross(&walk) {
            Some(Some(crossing)) => {
                walk = crossing.context;
                scope_index = crossing.scope_index;
                continue;
            }
            Some(None) => return false,
            None => {}
        }
        let pc = walk.rip;
        let Some(entry) = unwind::lookup(pc) else {
            if pc == 0 || unwind::unwind_leaf(&mut walk).is_err() || !is_on_stack(walk.rsp()) {
                return false;
            }
            continue;
        };
        let at_frame = walk;
        let Ok(frame) = unwind::virtual_unwind(
            FLAG_EXCEPTION,
            pc,
            &entry,
            &mut walk,
            &mut Origins::default(),
        ) else {
            return false;
        };
        if frame.handler != 0 {
            if !is_on_stack(frame.establisher) {
                record.flags |= flag::STACK_INVALID;
                return false;
            }
            let mut handler_context = at_frame;
            let dispatcher = DispatcherContext {
                control_pc: pc,
                image_base: entry.base,
                function_entry: entry.address,
                establisher_frame: frame.establisher,
                target_ip: 0,
                context_record: std::ptr::from_mut(&mut handler_context) as u64,
                language_handler: frame.handler,
                handler_data: frame.data,
                history_table: 0,
                scope_index,
                fill: 0,
            };
            match call_handler(record, frame.establisher, context, dispatcher) {
                Disposition::ContinueExecution if record.flags & flag::NONCONTINUABLE != 0 => {
                    raise_noncontinuable(NtStatus::NONCONTINUABLE_EXCEPTION, context)
                }
                Disposition::ContinueExecution => return true,
                Disposition::ContinueSearch | Disposition::Nested | Disposition::Collided => {}
            }
        }
        scope_index = 0;
        if walk.rip == 0 || walk.rsp() <= at_frame.rsp() && walk.rip == at_frame.rip {
            return false;
        }
    }
    false
}

/// Calls a language handler. The structures lie on this thread's stack, which is the guest's.
pub(super) fn call_handler(
    record: &mut Record,
    establisher: u64,
    context: &mut Context,
    dispatcher: DispatcherContext,
) -> Disposition {
    let mut place = [0_u64; 10];
    let at = Ptr::<DispatcherContext>::new(place.as_mut_ptr() as u64);
    debug_assert!(DispatcherContext::size() <= size_of_val(&place));
    at.write(dispatcher);
    let result = Callback(dispatcher.language_handler).call(&[
        std::ptr::from_mut(record) as u64,
        establisher,
        std::ptr::from_mut(context) as u64,
        at.address(),
    ]);
    disposition_of(result as u32)
        .unwrap_or_else(|| raise_noncontinuable(NtStatus::INVALID_DISPOSITION, context))
}

/// Reads what a handler returned.
pub(super) fn disposition_of(value: u32) -> Option<Disposition> {
    Some(match value {
        0 => Disposition::ContinueExecution,
        1 => Disposition::ContinueSearch,
        2 => Disposition::Nested,
        3 => Disposition::Collided,
        _ => return None,
    })
}

/// Raises an exception about a wrong answer to another exception.
pub(super) fn raise_noncontinuable(status: NtStatus, context: &Context) -> ! {
    raise(
        Record::new(status.0, flag::NONCONTINUABLE, context.rip, &[]),
        *context,
    )
}

/// Returns whether `address` is an aligned place on the calling thread's stack.
pub(super) fn is_on_stack(address: u64) -> bool {
    let low = teb::read_u64(teb::DEALLOCATION_STACK.offset());
    let high = teb::read_u64(teb::STACK_BASE.offset());
    address.is_multiple_of(8) && (low..high).contains(&address)
}
