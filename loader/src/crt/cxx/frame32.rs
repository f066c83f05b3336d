//! The handler of frames of i386 C++ functions.
//!
//! Each function keeps a registration with its present state in its frame, and its saved stack pointer before that. A
//! `catch` block is a function that runs with the frame pointer of its function. The frames between the `throw` and the
//! function lie on the stack until it ends; a registration of ours, the *guard*, stands before the function's own
//! meanwhile and handles what concerns the block alone.
//!
//! Source: LLVM's `X86WinEHState.cpp` (registrations, states) and `X86FrameLowering.cpp` (frame pointers of blocks).

use std::sync::OnceLock;

use super::catching;
use super::search::{self, Found, terminate};
use super::tables::{Action, EMPTY, Function, Tables, Try};
use super::tables3::Tables3;
use super::throw::{CODE, Thrown};
use crate::context::{Context, Record, flag, reg};
use crate::exception::chain32::{self, Registration};
use crate::exception::jump32;
use crate::export::{Arg, ArgCursor, Callback, Caller, Guest, Ptr};
use crate::gate::stubs::{self, Stub, Target};
use crate::gate::{CallFrame, gate32};
use crate::teb::{self, host_area};
use crate::{guest_struct, win_api};

guest_struct! {
    /// The registration of a C++ function; its frame pointer is the address behind it.
    struct Node {
        next: u32,
        handler: Callback,
        state: i32,
    }
    /// The registration of a `catch` block that runs.
    struct Guard {
        next: u32,
        handler: Callback,
        node: u32,
        tables: u32,
        /// Last state of the `try` block: those of the `catch` block lie above.
        high: i32,
        /// The function's saved stack pointer: `try` blocks in the `catch` block save their own.
        stack: u32,
    }
}

const CONTINUE_SEARCH: i32 = 1;
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
            with_barrier(&LEAVES, || {
                gate32::call_in_frame(funclet.into(), frame_pointer(node));
            });
        }
    }
}

/// A registration that no exception passes: while destructors run, which end the program if they throw, and while the
/// object of a `catch` block is copied, which ends it at any exception.
#[derive(Debug)]
struct Barrier {
    /// What ends the program at an exception.
    check: fn(&Record),
    handler: OnceLock<u64>,
}

static LEAVES: Barrier = Barrier {
    check: |record| {
        if record.code == CODE {
            terminate();
        }
    },
    handler: OnceLock::new(),
};

static COPIES: Barrier = Barrier {
    check: |_| crate::crt::exit::abort(),
    handler: OnceLock::new(),
};

impl Target for Barrier {
    fn call(&self, _: &'static Stub, frame: &CallFrame) -> u64 {
        let record = Record::load(ArgCursor::new(frame).word());
        if record.flags & flag::UNWIND == 0 {
            (self.check)(&record);
        }
        CONTINUE_SEARCH as u64
    }
}

/// Runs guest code behind a barrier: hold no lock.
fn with_barrier(barrier: &'static Barrier, call: impl FnOnce()) {
    let around = chain32::first();
    let make = || stubs::loose("vcruntime140.dll", "barrier".into(), barrier);
    // The stack is the guest's.
    let mut room = [0_u32; 2];
    let at = Ptr::<Registration>::new(&raw mut room as u64);
    at.write(Registration {
        next: around as u32,
        handler: Callback(*barrier.handler.get_or_init(make)),
    });
    chain32::set_first(at.address());
    call();
    chain32::set_first(around);
}

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
        record: Record::load(record.address()),
        record_at: record.address(),
        context_at: context.address(),
        start: Context::after_call(&caller.0.get()),
    }
    .run()
}

/// What the registrations of running `catch` blocks name as their handler.
#[derive(Debug)]
struct GuardHandler;

impl Target for GuardHandler {
    fn call(&self, _: &'static Stub, frame: &CallFrame) -> u64 {
        let mut cursor = ArgCursor::new(frame);
        let [record_at, place, context_at] = [cursor.word(), cursor.word(), cursor.word()];
        let guard = Ptr::<Guard>::new(place).read();
        let visit = Visit {
            function: function_of(guard.tables.into()),
            tables_at: guard.tables.into(),
            node: Ptr::new(guard.node.into()),
            place,
            floor: guard.high,
            record: Record::load(record_at),
            record_at,
            context_at,
            start: Context::after_call(&Caller::fetch(&mut cursor).0.get()),
        };
        visit.run() as u64
    }
}

fn guard_handler() -> Callback {
    static ADDRESS: OnceLock<u64> = OnceLock::new();
    let make = || stubs::loose("vcruntime140.dll", "catch block".into(), &GuardHandler);
    Callback(*ADDRESS.get_or_init(make))
}

impl Visit {
    fn run(&self) -> i32 {
        if self.record.flags & flag::UNWIND != 0 {
            self.leave();
        } else {
            self.search();
        }
        CONTINUE_SEARCH
    }

    fn is_guard(&self) -> bool {
        self.place != self.node.address()
    }

    fn leave(&self) {
        if search::concerns(&self.function, &self.record) {
            leave_to(&self.function, self.node, self.floor);
        }
        if self.is_guard() {
            let guard = Ptr::<Guard>::new(self.place).read();
            saved_stack(self.node).write(guard.stack);
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
        if self.function.is_noexcept() && !self.is_guard() {
            terminate();
        }
    }

    /// Unwinds to the visited registration, runs the `catch` block and continues behind it.
    fn catch(&self, found: &Found) -> ! {
        let Found { block, handler, .. } = found;
        let frame = frame_pointer(self.node);
        with_barrier(&COPIES, || found.put(frame));
        chain32::unwind(&self.start, self.place, Record::load(found.record_at));
        leave_to(&self.function, self.node, block.low);
        catching::leave_below(self.place, found.object());

        let mut node = self.node.read();
        node.state = block.high + 1;
        self.node.write(node);
        let stack = saved_stack(self.node).read();
        // The stack is the guest's.
        let mut room = [0_u32; 6];
        let guard = Ptr::<Guard>::new(&raw mut room as u64);
        debug_assert_eq!(Guard::size(), size_of_val(&room));
        guard.write(Guard {
            next: self.place as u32,
            handler: guard_handler(),
            node: self.node.address() as u32,
            tables: self.tables_at as u32,
            high: block.high,
            stack,
        });
        chain32::set_first(guard.address());
        catching::enter(
            guard.address(),
            found.thrown,
            found.record_at,
            self.context_at,
        );
        // The exception is handled: what the block raises is none inside of it.
        teb::write_host(host_area::RAISE_PLACE, 0);
        let continuation = gate32::call_in_frame(handler.address.into(), frame);
        saved_stack(self.node).write(stack);
        chain32::set_first(self.place);
        catching::leave_below(guard.address() + 1, 0);

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
