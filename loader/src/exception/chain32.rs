//! Exceptions of i386 programs: the chain of handlers at `FS:[0]`, and `RtlUnwind`.
//!
//! Source: Microsoft Learn, "Structured Exception Handling", `RtlUnwind`; Matt Pietrek, "A Crash Course on the Depths of
//! Win32 Structured Exception Handling", Microsoft Systems Journal, January 1997; pe32.md §5.

use ntlpc_abi::NtStatus;

use super::dispatch::{Disposition, disposition_of, raise_noncontinuable};
use super::own32::Own;
use crate::context::i386::{CONTEXT_BYTES, RECORD_BYTES};
use crate::context::{Context, Record, flag};
use crate::export::{Callback, Ptr};
use crate::gate;
use crate::guest_struct;
use crate::teb;

guest_struct! {
    /// `EXCEPTION_REGISTRATION_RECORD`.
    pub struct Registration {
        next: u32,
        handler: Callback,
    }
}

/// Exceptions that SSE has seen.
const MXCSR_FLAGS: u32 = 0x3f;
/// Ends the chain.
const END: u64 = 0xffff_ffff;
/// Most frames searched; the check that frames ascend ends any loop sooner.
const MAX_FRAMES: u32 = 100_000;

/// Record, context and `EXCEPTION_POINTERS` where the guest sees them: on this thread's stack, which is the guest's.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct Shown {
    context: [u8; CONTEXT_BYTES],
    record: [u8; RECORD_BYTES],
    pointers: [u32; 2],
    /// What handlers get as their dispatcher context.
    dispatcher: u32,
}

impl Shown {
    /// Makes the structures; their addresses are good while `self` is not moved.
    #[must_use]
    pub fn new() -> Shown {
        Shown {
            context: [0; CONTEXT_BYTES],
            record: [0; RECORD_BYTES],
            pointers: [0; 2],
            dispatcher: 0,
        }
    }

    /// Stores record and context.
    pub fn fill(&mut self, record: &Record, context: &Context) {
        record.store(self.record_address());
        context.store(self.context_address());
        self.pointers = [self.record_address() as u32, self.context_address() as u32];
    }

    /// Returns record and context as the guest left them.
    #[must_use]
    pub fn read(&self) -> (Record, Context) {
        (
            Record::load(self.record_address()),
            Context::load(self.context_address()),
        )
    }

    fn record_address(&self) -> u64 {
        (&raw const self.record) as u64
    }

    fn context_address(&self) -> u64 {
        (&raw const self.context) as u64
    }

    /// Returns the address of `EXCEPTION_POINTERS`.
    #[must_use]
    pub fn pointers_address(&self) -> u64 {
        (&raw const self.pointers) as u64
    }

    /// Changes a flag of the record that the next handlers are shown.
    fn set_flag(&mut self, flag: u32, is_set: bool) {
        let mut record = Record::load(self.record_address());
        record.flags = record.flags & !flag | if is_set { flag } else { 0 };
        record.store(self.record_address());
    }

    /// Calls the handler of a registration while `mark` stands before it; returns what it said and the frame it named.
    fn call_handler(
        &mut self,
        frame: u64,
        handler: Callback,
        mark: &'static Own,
    ) -> (Disposition, u64) {
        let dispatcher = (&raw mut self.dispatcher) as u64;
        let arguments = [
            self.record_address(),
            frame,
            self.context_address(),
            dispatcher,
        ];
        let result = mark.during([frame as u32, 0, 0, 0], |_| handler.call(&arguments));
        let disposition = disposition_of(result as u32).unwrap_or_else(|| {
            let (_, context) = self.read();
            raise_noncontinuable(NtStatus::INVALID_DISPOSITION, &context)
        });
        (disposition, u64::from(Ptr::<u32>::new(dispatcher).read()))
    }
}

/// Returns the innermost registration of the calling thread.
pub fn first() -> u64 {
    teb::EXCEPTION_LIST.at::<u32>(teb::this()).read().into()
}

/// Makes a registration the innermost one.
pub fn set_first(frame: u64) {
    teb::EXCEPTION_LIST
        .at::<u32>(teb::this())
        .write(frame as u32);
}

/// Returns whether a registration lies on the calling thread's stack, above the one before.
fn is_valid(frame: u64, before: u64) -> bool {
    let low = teb::read_word(teb::DEALLOCATION_STACK.offset());
    let high = teb::read_word(teb::STACK_BASE.offset());
    frame.is_multiple_of(4) && frame >= low && frame + 8 <= high && frame > before
}

/// Stands before a handler that a search asks: the search for another exception, raised by it, learns which handler that was.
static NESTED: Own = Own::new("nested exception", |asked| {
    if asked.is_unwind() {
        return Disposition::ContinueSearch;
    }
    asked.dispatcher.write(asked.words[0]);
    Disposition::Nested
});

/// Stands before a handler that an unwind calls: another unwind learns that the handler has been called for that frame.
static COLLIDED: Own = Own::new("collided unwind", |asked| {
    if !asked.is_unwind() {
        return Disposition::ContinueSearch;
    }
    asked.dispatcher.write(asked.words[0]);
    Disposition::Collided
});

/// Asks the handlers of the chain, innermost first. Returns whether execution continues at `context`.
///
/// Runs guest code: hold no lock.
pub fn search(record: &mut Record, context: &mut Context) -> bool {
    let mut shown = Shown::new();
    shown.fill(record, context);
    // A handler that unwinds goes on with the control words of the code that raised: frames do not keep any.
    let control = u16::from_le_bytes([context.fx_header[0], context.fx_header[1]]);
    gate::set_float_control(control, context.mxcsr & !MXCSR_FLAGS);
    let (mut frame, mut before) = (first(), 0);
    // The outermost frame whose handler was busy with another exception when this one was raised.
    let mut nested = 0;
    for _ in 0..MAX_FRAMES {
        if frame == END {
            break;
        }
        if !is_valid(frame, before) {
            record.flags |= flag::STACK_INVALID;
            return false;
        }
        let registration = Ptr::<Registration>::new(frame).read();
        let (disposition, named) = shown.call_handler(frame, registration.handler, &NESTED);
        if frame == nested {
            shown.set_flag(flag::NESTED_CALL, false);
            nested = 0;
        }
        match disposition {
            Disposition::ContinueSearch => {}
            Disposition::ContinueExecution => {
                (*record, *context) = shown.read();
                if record.flags & flag::NONCONTINUABLE != 0 {
                    raise_noncontinuable(NtStatus::NONCONTINUABLE_EXCEPTION, context);
                }
                return true;
            }
            Disposition::Nested => {
                shown.set_flag(flag::NESTED_CALL, true);
                nested = nested.max(named);
            }
            Disposition::Collided => raise_noncontinuable(NtStatus::INVALID_DISPOSITION, context),
        }
        (before, frame) = (frame, u64::from(Ptr::<u32>::new(frame).read()));
    }
    (*record, *context) = shown.read();
    false
}

/// Calls the handlers of all registrations before `target` (0: of all) for unwinding and takes them off the chain.
///
/// Returns to its caller, as `RtlUnwind` of i386 does: what the frame at `target` does next is its own affair. Runs guest
/// code: hold no lock.
pub fn unwind(start: &Context, target: u64, mut record: Record) {
    record.flags |= flag::UNWINDING;
    if target == 0 {
        record.flags |= flag::EXIT_UNWIND;
    }
    let mut shown = Shown::new();
    shown.fill(&record, start);
    let mut before = 0;
    loop {
        let frame = first();
        if frame == END || frame == target {
            return;
        }
        if target != 0 && frame > target {
            raise_noncontinuable(NtStatus::INVALID_UNWIND_TARGET, start);
        }
        if !is_valid(frame, before) {
            raise_noncontinuable(NtStatus::BAD_STACK, start);
        }
        let registration = Ptr::<Registration>::new(frame).read();
        match shown.call_handler(frame, registration.handler, &COLLIDED) {
            (Disposition::ContinueSearch, _) => {}
            // Another unwind had called the handler of the frame that is named: go on behind it.
            (Disposition::Collided, other) => set_first(other),
            _ => raise_noncontinuable(NtStatus::INVALID_DISPOSITION, start),
        }
        let frame = first();
        if frame == END || frame == target {
            return;
        }
        before = frame;
        set_first(Ptr::<u32>::new(frame).read().into());
    }
}
