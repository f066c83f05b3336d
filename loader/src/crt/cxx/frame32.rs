//! The handler of frames of i386 C++ functions.
//!
//! Each function keeps a registration with its present state in its frame, and its saved stack pointer before that. A
//! `catch` block is a function that runs with the frame pointer of its function. The frames between the `throw` and the
//! function lie on the stack until it ends; a registration of ours, the *guard*, stands before the function's own
//! meanwhile and handles what concerns the block alone.
//!
//! Source: LLVM's `X86WinEHState.cpp` (registrations, states) and `X86FrameLowering.cpp` (frame pointers of blocks).

use super::catching;
use super::search::{self, Found, terminate};
use super::tables::{Action, EMPTY, Function, Tables, Try};
use super::tables3::Tables3;
use super::throw::{CODE, Thrown};
use crate::context::{Context, Record, flag, reg};
use crate::exception::own32::{self, Own};
use crate::exception::{Disposition, chain32, jump32};
use crate::export::{Callback, Caller, Guest, Ptr};
use crate::gate::gate32;
use crate::teb::{self, host_area};
use crate::{guest_struct, win_api};

guest_struct! {
    /// The registration of a C++ function; its frame pointer is the address behind it.
    struct Node {
        next: u32,
        handler: Callback,
        state: i32,
    }
}

/// What the registration of a `catch` block that runs keeps.
struct Guard {
    node: u32,
    tables: u32,
    /// Last state of the `try` block: those of the `catch` block lie above.
    high: i32,
    /// The function's saved stack pointer: `try` blocks in the `catch` block save their own.
    stack: u32,
}

impl Guard {
    fn of([node, tables, high, stack]: [u32; own32::WORDS]) -> Guard {
        Guard {
            node,
            tables,
            high: high.cast_signed(),
            stack,
        }
    }

    fn words(&self) -> [u32; own32::WORDS] {
        [
            self.node,
            self.tables,
            self.high.cast_unsigned(),
            self.stack,
        ]
    }
}

/// Where a function keeps its saved stack pointer, before its registration.
const STACK_BEFORE: u64 = 4;

/// One visit of the handler, for a function or for a `catch` block of it that runs.
struct Visit {
    function: Function,
    /// Address of the tables.
    tables_at: u64,
    node: Ptr<Node>,
    /// The registration that is visited: the function's, or a guard.
    place: u64,
    /// The last state that does not belong to what is visited.
    floor: i32,
    /// For a guard: the function's saved stack pointer.
    stack: Option<u32>,
    record: Record,
    record_at: u64,
    context_at: u64,
    /// The call of the handler.
    start: Context,
}

fn function_of(tables_at: u64) -> Function {
    let Some(tables) = Tables3::read(tables_at) else {
        terminate()
    };
    Function {
        image: 0,
        begin: 0,
        tables: Tables::Version3(tables),
    }
}

/// Leaves the states of a function until one that is not above `floor`.
///
/// Runs guest code: hold no lock.
fn leave_to(function: &Function, node: Ptr<Node>, floor: i32) {
    loop {
        let mut now = node.read();
        if now.state <= floor {
            return;
        }
        let (around, action) = function.leave(now.state);
        // Before the destructor runs: an exception in it must not run it again.
        now.state = around;
        node.write(now);
        if let Action::Funclet(funclet) = action {
            LEAVES.during([0; own32::WORDS], |_| {
                gate32::call_in_frame(funclet.into(), frame_pointer(node))
            });
        }
    }
}

/// Stands before destructors that run, which end the program if they throw.
static LEAVES: Own = Own::new("destructors", |asked| {
    if !asked.is_unwind() && asked.record.code == CODE {
        terminate();
    }
    Disposition::ContinueSearch
});

/// Stands before the object of a `catch` block that is copied, which ends the program at any exception.
static COPIES: Own = Own::new("copy", |asked| {
    if !asked.is_unwind() {
        crate::crt::exit::abort();
    }
    Disposition::ContinueSearch
});

/// Stands before a `catch` block that runs. Its words are a [`Guard`].
static GUARD: Own = Own::new("catch block", |asked| {
    let guard = Guard::of(asked.words);
    Visit {
        function: function_of(guard.tables.into()),
        tables_at: guard.tables.into(),
        node: Ptr::new(guard.node.into()),
        place: asked.place,
        floor: guard.high,
        stack: Some(guard.stack),
        record: asked.record,
        record_at: asked.record_at,
        context_at: asked.context_at,
        start: Context::after_call(&asked.call.get()),
    }
    .run()
});

fn frame_pointer(node: Ptr<Node>) -> u64 {
    node.address() + Node::size() as u64
}

fn saved_stack(node: Ptr<Node>) -> Ptr<u32> {
    Ptr::new(node.address() - STACK_BEFORE)
}

/// Handles one visit of a function's registration; returns the disposition.
///
/// Runs guest code: hold no lock.
pub fn handle(
    tables_at: u64,
    record: Ptr<u8>,
    frame: u64,
    context: Ptr<u8>,
    caller: Caller,
) -> i32 {
    Visit {
        function: function_of(tables_at),
        tables_at,
        node: Ptr::new(frame),
        place: frame,
        floor: EMPTY,
        stack: None,
        record: Record::load(record.address()),
        record_at: record.address(),
        context_at: context.address(),
        start: Context::after_call(&caller.0.get()),
    }
    .run() as i32
}

impl Visit {
    fn run(&self) -> Disposition {
        if self.record.flags & flag::UNWIND != 0 {
            self.leave();
        } else {
            self.search();
        }
        Disposition::ContinueSearch
    }

    fn leave(&self) {
        // The function keeps its state: another unwind that collides with this one may ask again and goes on.
        chain32::set_first(self.place);
        if search::concerns(&self.function, &self.record) {
            leave_to(&self.function, self.node, self.floor);
        }
        if let Some(stack) = self.stack {
            saved_stack(self.node).write(stack);
            let in_flight = Thrown::of(&self.record).map_or(0, |thrown| thrown.object);
            catching::leave_below(self.place + 1, in_flight);
        }
    }

    /// Looks for a `catch` block; does not return if there is one.
    fn search(&self) {
        let state = self.node.read().state;
        // A `catch` block inside of what is visited that runs has a guard of its own, which knows the `try` blocks in it.
        let inner = self
            .function
            .try_blocks()
            .filter(|block| block.is_catching(state) && block.low > self.floor)
            .min_by_key(|block| block.low);
        let asked = |block: &Try| {
            block.covers(state)
                && block.low > self.floor
                && inner.is_none_or(|inner| block.low <= inner.high)
        };
        if let Some(found) = search::find(
            &self.function,
            &self.record,
            self.record_at,
            self.context_at,
            asked,
        ) {
            self.catch(&found);
        }
        if self.function.is_noexcept() && self.stack.is_none() {
            terminate();
        }
    }

    /// Unwinds to the visited registration, runs the `catch` block and continues behind it.
    fn catch(&self, found: &Found) -> ! {
        let Found { block, handler, .. } = found;
        let frame = frame_pointer(self.node);
        COPIES.during([0; own32::WORDS], |_| found.put(frame));
        chain32::unwind(&self.start, self.place, Record::load(found.record_at));
        leave_to(&self.function, self.node, block.low);
        catching::leave_below(self.place, found.object());

        let mut node = self.node.read();
        node.state = block.high + 1;
        self.node.write(node);
        let stack = saved_stack(self.node).read();
        let guard = Guard {
            node: self.node.address() as u32,
            tables: self.tables_at as u32,
            high: block.high,
            stack,
        };
        let (place, continuation) = GUARD.during(guard.words(), |place| {
            catching::enter(place, found.thrown, found.record_at, self.context_at);
            // The exception is handled: what the block raises is none inside of it.
            teb::write_host(host_area::RAISE_PLACE, 0);
            let continuation = gate32::call_in_frame(handler.address.into(), frame);
            (place, continuation)
        });
        saved_stack(self.node).write(stack);
        catching::leave_below(place + 1, 0);

        let mut after = self.start;
        after.gpr[reg::RBP] = frame;
        after.gpr[reg::RSP] = stack.into();
        after.rip = continuation.into();
        after.resume()
    }
}

win_api! {
    /// Leaves the states of an i386 C++ function that were entered since it called `_setjmp3`.
    "vcruntime140.dll|msvcrt.dll|ucrtbase.dll" stdcall fn __CxxLongjmpUnwind(buffer: Ptr<jump32::JumpBuffer>) {
        let place = jump32::place(buffer);
        leave_to(&function_of(place.tables), Ptr::new(place.registration), place.state);
    }
}
