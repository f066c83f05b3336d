//! Fibers: stacks that threads take turns on.
//!
//! A fiber's address is that of a block of the guest whose first word is the fiber's parameter: `GetFiberData` reads it
//! through `NtTib.FiberData`. Source: Microsoft Learn, "Fibers", "SwitchToFiber"; the fields of the TEB: phnt
//! `ntpebteb.h`.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::stack::{GUARD_BYTES, Stack};
use crate::context::{Context, reg};
use crate::export::Ptr;
use crate::gate::stubs::{self, Stub, Target};
use crate::gate::{ActivationPtr, CallFrame};
use crate::guest::Field;
use crate::heap::blocks;
use crate::ob::suspend;
use crate::teb::{self, host_area};
use crate::width;

/// What a fiber has of its own in the TEB.
const FIELDS: [Field; 5] = [
    teb::EXCEPTION_LIST,
    teb::STACK_BASE,
    teb::STACK_LIMIT,
    teb::DEALLOCATION_STACK,
    teb::FLS_DATA,
];
/// Where `FLS_DATA` is in [`FIELDS`].
const FLS: usize = 4;
/// What a fiber has of its own in the host area.
const HOST_WORDS: [usize; 2] = [host_area::RAISE_PLACE, host_area::RAISE_DEPTH];
/// `SameTebFlags.HasFiberData`.
const HAS_FIBER_DATA: u16 = 4;

/// A fiber; its stack is unmapped when it is dropped.
#[derive(Debug)]
pub struct Fiber {
    /// Lowest address of its stack.
    base: u64,
    /// None while the stack is that of a thread which runs.
    stack: Option<Stack>,
    /// None while it runs.
    saved: Option<Box<Saved>>,
    /// `FIBER_FLAG_FLOAT_SWITCH`: it has control words of its own.
    switches_float: bool,
}

/// A fiber that does not run.
#[derive(Debug)]
struct Saved {
    context: Context,
    fields: [usize; FIELDS.len()],
    host_words: [u64; HOST_WORDS.len()],
}

impl Saved {
    fn of_this_thread(teb: u64, context: Context) -> Box<Saved> {
        Box::new(Saved {
            context,
            fields: FIELDS.map(|field| field.at::<usize>(teb).read()),
            host_words: HOST_WORDS.map(host_area::read),
        })
    }
}

impl Fiber {
    /// Returns its values of fiber-local slots; null if it has none or runs.
    #[must_use]
    pub fn local_slots(&self) -> Ptr<usize> {
        let saved = self.saved.as_ref();
        saved.map_or(Ptr::NULL, |saved| Ptr::new(saved.fields[FLS] as u64))
    }
}

/// Fibers by address.
static FIBERS: Mutex<BTreeMap<u64, Fiber>> = Mutex::new(BTreeMap::new());
/// Stacks of fibers that became threads, with the TEB of the thread.
static ADOPTED: Mutex<Vec<(u64, Stack)>> = Mutex::new(Vec::new());

fn set_current(teb: u64, fiber: u64) {
    teb::FIBER_DATA.at::<usize>(teb).write(fiber as usize);
    let flags = teb::SAME_TEB_FLAGS.at::<u16>(teb);
    let others = flags.read() & !HAS_FIBER_DATA;
    flags.write(others | if fiber == 0 { 0 } else { HAS_FIBER_DATA });
}

/// Returns the fiber that the thread with this TEB runs.
fn of(teb: u64) -> Option<u64> {
    let is_fiber = teb::SAME_TEB_FLAGS.at::<u16>(teb).read() & HAS_FIBER_DATA != 0;
    is_fiber.then(|| teb::FIBER_DATA.at::<usize>(teb).read() as u64)
}

/// Returns the fiber that the calling thread runs.
#[must_use]
pub fn current() -> Option<u64> {
    of(teb::this())
}

fn block(parameter: u64) -> u64 {
    let address = blocks::allocate(2 * width().pointer());
    Ptr::<usize>::new(address).write(parameter as usize);
    address
}

/// Makes the calling thread, which must be none, a fiber; returns its address.
#[must_use]
pub fn convert_thread(parameter: u64, switches_float: bool) -> u64 {
    let teb = teb::this();
    let address = block(parameter);
    let fiber = Fiber {
        base: teb::read_word(teb::DEALLOCATION_STACK.offset()),
        stack: None,
        saved: None,
        switches_float,
    };
    FIBERS.lock().insert(address, fiber);
    set_current(teb, address);
    address
}

/// Makes the calling fiber a plain thread, which keeps stack and slots. Returns whether it was a fiber.
pub fn convert_to_thread() -> bool {
    let Some(address) = current() else {
        return false;
    };
    let teb = teb::this();
    let fiber = FIBERS.lock().remove(&address);
    if let Some(stack) = fiber.and_then(|fiber| fiber.stack) {
        ADOPTED.lock().push((teb, stack));
    }
    set_current(teb, 0);
    blocks::free(address);
    true
}

/// Makes a fiber that will call `function` with `parameter`; returns its address.
///
/// # Errors
/// No memory for the stack.
pub fn create(
    reserve: u64,
    function: u64,
    parameter: u64,
    switches_float: bool,
) -> std::io::Result<u64> {
    let stack = Stack::new(if reserve == 0 {
        super::default_stack()
    } else {
        reserve
    })?;
    let (base, end) = stack.range();
    let mut context = Context::new();
    context.rip = function;
    // The stack pointer at the entry of a function, below room for its arguments and an end for those who unwind.
    let at = end - width().pick(0x24, 0x48) as u64;
    context.gpr[reg::RSP] = at;
    context.gpr[reg::RCX] = parameter;
    Ptr::<usize>::new(at).write(end_stub() as usize);
    if width().pointer() == 4 {
        Ptr::<u32>::new(at + 4).write(parameter as u32);
    }
    let saved = Saved {
        context,
        fields: [
            width().pick(0xffff_ffff, 0),
            end as usize,
            (base + GUARD_BYTES) as usize,
            base as usize,
            0,
        ],
        host_words: [0; HOST_WORDS.len()],
    };
    let address = block(parameter);
    let fiber = Fiber {
        base,
        stack: Some(stack),
        saved: Some(Box::new(saved)),
        switches_float,
    };
    FIBERS.lock().insert(address, fiber);
    Ok(address)
}

/// Takes a fiber that does not run away; its address means nothing any more.
#[must_use]
pub fn take(address: u64) -> Option<Fiber> {
    let mut fibers = FIBERS.lock();
    fibers.get(&address)?.saved.as_ref()?;
    let fiber = fibers.remove(&address);
    drop(fibers);
    blocks::free(address);
    fiber
}

/// Continues the fiber at `target` in place of the calling one, whose call `activation` is. Returns if the caller is no
/// fiber, or `target` is none that waits.
pub fn switch(activation: ActivationPtr, target: u64) {
    let teb = teb::this();
    let Some(current) = current() else { return };
    let caller = Context::after_call(&activation.get());
    let here = Saved::of_this_thread(teb, caller);
    let mut fibers = FIBERS.lock();
    let Some(next) = fibers.get_mut(&target) else {
        return;
    };
    let Some(saved) = next.saved.take() else {
        return;
    };
    let switches_float = next.switches_float;
    if let Some(fiber) = fibers.get_mut(&current) {
        fiber.saved = Some(here);
    }
    drop(fibers);
    let Saved {
        mut context,
        fields,
        host_words,
    } = *saved;
    for (field, value) in FIELDS.into_iter().zip(fields) {
        field.at::<usize>(teb).write(value);
    }
    for (word, value) in HOST_WORDS.into_iter().zip(host_words) {
        teb::write_host(word, value);
    }
    set_current(teb, target);
    if !switches_float {
        context.mxcsr = caller.mxcsr;
        context.fx_header[..2].copy_from_slice(&caller.fx_header[..2]);
    }
    if suspend::is_poked() {
        suspend::stop_at(&mut context);
    }
    context.resume()
}

/// Returns the values of fiber-local slots of all fibers that do not run.
#[must_use]
pub fn all_local_slots() -> Vec<Ptr<usize>> {
    let fibers = FIBERS.lock();
    fibers.values().map(Fiber::local_slots).collect()
}

/// A thread has run its last guest instruction: what it ran on goes with it, and its own stack too unless a fiber that
/// it was at first still waits there.
pub(super) fn thread_ended(teb: u64, stack: Stack) {
    let mut fibers = FIBERS.lock();
    let gone = of(teb).and_then(|address| Some((address, fibers.remove(&address)?)));
    let base = stack.range().0;
    let unused = match fibers.values_mut().find(|fiber| fiber.base == base) {
        Some(fiber) => {
            fiber.stack = Some(stack);
            None
        }
        None => Some(stack),
    };
    drop(fibers);
    if let Some((address, _)) = gone {
        blocks::free(address);
    }
    ADOPTED.lock().retain(|(owner, _)| *owner != teb);
    drop(unused);
}

/// Where a fiber's function returns to: its thread ends.
#[derive(Debug)]
struct End;

impl Target for End {
    fn call(&self, _stub: &'static Stub, _frame: &CallFrame) -> u64 {
        super::exit(0)
    }
}

fn end_stub() -> u64 {
    static ADDRESS: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *ADDRESS.get_or_init(|| stubs::loose("kernel32.dll", "end of a fiber".into(), &End))
}
