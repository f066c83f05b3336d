//! The handler of frames of x64 C++ functions: finds the `catch` block, leaves states, runs the block and continues behind it.
//!
//! Source: the tables as LLVM documents them (see `tables3`); Microsoft Learn, "x64 exception handling".
//!
//! A `catch` block is a function of its own. While it runs, the frames between the `throw` and the function still lie on
//! the stack, but walks skip them: the block's frame leads to that of its function, with a mark that tells in which
//! state that now is (see [`mark_of`]).

use ntlpc_abi::Width;

use super::catching;
use super::frame32;
use super::search::{self, Found, terminate};
use super::tables::{Action, EMPTY, Function, Tables, Try};
use super::tables3::Tables3;
use super::tables4::Tables4;
use super::throw::CODE;
use crate::context::{Context, Record, flag};
use crate::exception::{self, DispatcherContext};
use crate::export::{Callback, Caller, Eax, Ptr};
use crate::gate::with_activation;
use crate::teb::{self, host_area};
use crate::{width, win_api};

const CONTINUE_SEARCH: i32 = 1;
/// Code of the unwinds of `catch` blocks.
const UNWIND_CONSOLIDATE: u32 = 0x8000_0029;

/// One visit of the handler.
struct Visit {
    function: Function,
    record_at: u64,
    record: Record,
    context_at: u64,
    /// The frame on the stack: that of the function, or of one of its `catch` blocks.
    stack_frame: u64,
    /// The frame of the function.
    frame: u64,
    /// Context of the frame.
    place: Context,
    state: i32,
    /// Whether a `catch` block of this function runs for this frame.
    is_marked: bool,
    /// The call of the handler.
    start: Context,
}

/// Bits of a mark: the frame's destructors run, which end the program if they throw; the object of a `catch` block is
/// copied, which ends it at any exception.
const LEAVES: u32 = 1 << 31;
const COPIES: u32 = 1 << 30;

/// Returns the mark of a frame whose state is no longer that of its code.
fn mark_of(state: i32) -> u32 {
    (state + 2).cast_unsigned()
}

/// Returns the state of a marked frame.
fn state_of(mark: u32) -> Option<i32> {
    let mark = mark & !(LEAVES | COPIES);
    (mark != 0).then(|| mark.cast_signed() - 2)
}

/// Ends the program if an exception comes from where none may.
fn check_mark(mark: u32, record: &Record) {
    if record.flags & flag::UNWIND != 0 {
        return;
    }
    if mark & LEAVES != 0 && record.code == CODE {
        terminate();
    }
    if mark & COPIES != 0 {
        crate::crt::exit::abort();
    }
}

fn visit(
    tables: Tables,
    record_at: u64,
    stack_frame: u64,
    context_at: u64,
    dispatcher: &DispatcherContext,
    caller: Caller,
) -> i32 {
    let function = Function {
        image: dispatcher.image_base,
        begin: Ptr::<u32>::new(dispatcher.function_entry).read(),
        tables,
    };
    let record = Record::load(record_at);
    check_mark(dispatcher.scope_index, &record);
    let code_state = function.state_at(dispatcher.control_pc);
    let mark = state_of(dispatcher.scope_index);
    let visit = Visit {
        function,
        record_at,
        record,
        context_at,
        stack_frame,
        frame: function.own_frame(stack_frame, code_state),
        place: Context::load(dispatcher.context_record),
        state: mark.unwrap_or(code_state),
        is_marked: mark.is_some(),
        start: Context::after_call(&caller.0.get()),
    };
    if visit.record.flags & flag::UNWIND != 0 {
        visit.leave(code_state);
    } else {
        visit.search(code_state);
    }
    CONTINUE_SEARCH
}

impl Visit {
    /// Leaves all states of the frame, unless a `catch` block of it is where the unwind goes: that leaves its own.
    fn leave(&self, code_state: i32) {
        if self.is_marked {
            let object = if self.record.code == UNWIND_CONSOLIDATE {
                self.record.information[1]
            } else {
                0
            };
            catching::leave_below(self.place.rsp(), object);
        }
        if self.record.flags & flag::TARGET_UNWIND != 0
            || !search::concerns(&self.function, &self.record)
        {
            return;
        }
        self.leave_to(self.floor(code_state));
    }

    /// The last state that belongs to something around this frame.
    fn floor(&self, code_state: i32) -> i32 {
        if self.is_marked && self.stack_frame == self.frame {
            EMPTY
        } else {
            self.function.floor(code_state)
        }
    }

    /// Leaves states until one that is not above `floor`; returns it.
    fn leave_to(&self, floor: i32) -> i32 {
        let mut state = self.state;
        while state > floor {
            let (around, action) = self.function.leave(state);
            let mut activation = self.place.activation(mark_of(around) | LEAVES);
            with_activation(&mut activation, || self.act(action));
            state = around;
        }
        state
    }

    fn act(&self, action: Action) {
        let code = |rva: u32| Callback(self.function.image + u64::from(rva));
        match action {
            Action::None => {}
            Action::Funclet(funclet) => {
                code(funclet).call(&[0, self.frame]);
            }
            Action::Destroy { destructor, object } => {
                code(destructor).call(&[self.frame + u64::from(object)]);
            }
            Action::DestroyPointed {
                destructor,
                pointer,
            } => {
                let object = Ptr::<u64>::new(self.frame + u64::from(pointer)).read();
                code(destructor).call(&[object]);
            }
        }
    }

    /// Looks for a `catch` block; does not return if there is one.
    fn search(&self, code_state: i32) {
        let floor = self.floor(code_state);
        // Blocks around a `catch` block are looked at when its function's own frame is visited.
        let asked = |block: &Try| block.covers(self.state) && block.low > floor;
        if let Some(found) = search::find(
            &self.function,
            &self.record,
            self.record_at,
            self.context_at,
            asked,
        ) {
            self.catch(&found);
        }
        if self.function.is_noexcept() && !self.is_marked {
            terminate();
        }
    }

    /// Unwinds to the frame, runs the `catch` block and continues behind it.
    fn catch(&self, found: &Found) -> ! {
        let Found { block, handler, .. } = found;
        let mut activation = self.place.activation(mark_of(self.state) | COPIES);
        with_activation(&mut activation, || found.put(self.frame));
        let object = found.object();
        let address = self.function.image + u64::from(handler.address);
        let mut unwind = Record::new(UNWIND_CONSOLIDATE, 0, self.start.rip, &[0, object]);
        let mut after =
            exception::unwind_frames(&self.start, self.stack_frame, address, &mut unwind, 0);
        self.leave_to(block.low);
        catching::leave_below(after.rsp(), object);

        let place = 0_u8;
        let here = &raw const place as u64;
        catching::enter(here, found.thrown, found.record_at, self.context_at);
        // The exception is handled: what the block raises is none inside of it.
        teb::write_host(host_area::RAISE_PLACE, 0);
        let (around, _) = self.function.leave(block.low);
        let frame_context = after;
        let mut activation = frame_context.activation(mark_of(around));
        let result = with_activation(&mut activation, || {
            Callback(address).call(&[object, self.frame])
        });
        catching::leave_below(here + 1, 0);
        after.rip = match handler.continuation_count {
            0 => result,
            count => handler.continuations[(result as usize).min(count as usize - 1)],
        };
        after.resume()
    }
}

fn handle(
    version: u32,
    record: Ptr<u8>,
    frame: usize,
    context: Ptr<u8>,
    dispatcher: Ptr<DispatcherContext>,
    caller: Caller,
) -> i32 {
    let dispatcher = dispatcher.read();
    let rva = Ptr::<u32>::new(dispatcher.handler_data).read();
    let at = dispatcher.image_base + u64::from(rva);
    let tables = match version {
        4 => Tables::Version4(Tables4::read(at)),
        _ => match Tables3::read(at) {
            Some(tables) => Tables::Version3(tables),
            None => terminate(),
        },
    };
    visit(
        tables,
        record.address(),
        frame as u64,
        context.address(),
        &dispatcher,
        caller,
    )
}

win_api! {
    /// Handles exceptions of C++ functions; those of i386 pass their tables in eax.
    "vcruntime140.dll|msvcrt.dll|ucrtbase.dll" cdecl fn __CxxFrameHandler3 = "__CxxFrameHandler|__CxxFrameHandler2|__CxxFrameHandler3" (record: Ptr<u8>, frame: usize, context: Ptr<u8>, dispatcher: Ptr<DispatcherContext>, info: Eax, caller: Caller) -> i32 {
        match width() {
            Width::X64 => handle(3, record, frame, context, dispatcher, caller),
            Width::X86 => frame32::handle(info.0.into(), record, frame as u64, context, caller),
        }
    }

    /// Handles exceptions of C++ functions with compressed tables.
    "vcruntime140_1.dll|ucrtbase.dll" cdecl fn __CxxFrameHandler4(record: Ptr<u8>, frame: usize, context: Ptr<u8>, dispatcher: Ptr<DispatcherContext>, caller: Caller) -> i32 {
        match width() {
            Width::X64 => handle(4, record, frame, context, dispatcher, caller),
            // Compilers write compressed tables for 64-bit programs only.
            Width::X86 => exception::raise_unimplemented(caller.0) as i32,
        }
    }
}
