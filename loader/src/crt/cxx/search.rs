//! Looking for the `catch` block of a function that takes an exception, for both widths.

use super::catching;
use super::tables::{Function, Handler, Try};
use super::throw::{CODE, Match, Thrown};
use crate::context::Record;
use crate::crt::errno;
use crate::export::{Callback, Guest, Ptr};
use crate::guest_struct;

guest_struct! {
    /// `EXCEPTION_POINTERS`.
    struct Pointers {
        record: Ptr<u8>,
        context: Ptr<u8>,
    }
}

/// Codes of unwinds that concern C++ functions of any kind, beside [`CODE`]: those of `catch` blocks and of `longjmp`.
const UNWIND_CONSOLIDATE: u32 = 0x8000_0029;
const LONGJUMP: u32 = 0x8000_0026;

/// A `catch` block that takes an exception.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// The `try` block it belongs to.
    pub block: Try,
    /// The block.
    pub handler: Handler,
    /// How it takes the object.
    taken: Match,
    /// The C++ exception, if it is one.
    pub thrown: Option<Thrown>,
    /// Its record: for `throw;`, that of the exception which is thrown again.
    pub record_at: u64,
}

impl Found {
    /// Returns the thrown object; 0 for an exception of another kind.
    pub fn object(&self) -> u64 {
        self.thrown.map_or(0, |thrown| thrown.object)
    }

    /// Makes the block's object, if it declares one, in the function's frame.
    ///
    /// Runs guest code: hold no lock.
    pub fn put(&self, frame: u64) {
        if let (Match::Type(index), Some(thrown)) = (self.taken, self.thrown)
            && self.handler.object != 0
        {
            let to = frame.wrapping_add_signed(self.handler.object.into());
            thrown.put(index, &self.handler, to);
        }
    }
}

/// Returns whether an exception or unwind concerns a function at all.
pub fn concerns(function: &Function, record: &Record) -> bool {
    !function.is_synchronous() || matches!(record.code, CODE | UNWIND_CONSOLIDATE | LONGJUMP)
}

/// Looks for the `catch` block that takes an exception, in the `try` blocks that `asked` names.
///
/// Runs guest code: hold no lock.
pub fn find(
    function: &Function,
    record: &Record,
    record_at: u64,
    context_at: u64,
    asked: impl Fn(&Try) -> bool,
) -> Option<Found> {
    let mut record_at = record_at;
    let mut thrown = Thrown::of(record);
    if thrown.is_some_and(|thrown| thrown.info == 0) {
        // `throw;`
        record_at = catching::current_record();
        if record_at == 0 {
            // Nothing is there to throw again.
            return None;
        }
        thrown = Thrown::of(&Record::load(record_at));
    }
    if thrown.is_none() {
        if function.is_synchronous() {
            return None;
        }
        if function.try_block(0).is_some() {
            translate(record.code, record_at, context_at);
        }
    }
    let handlers = |block: Try| {
        (0..block.count).filter_map(move |index| Some((block, function.handler(&block, index)?)))
    };
    function
        .try_blocks()
        .filter(asked)
        .flat_map(handlers)
        .find_map(|(block, handler)| {
            let taken = match thrown {
                Some(thrown) => thrown.matching(function.image, &handler)?,
                None if handler.takes_faults() => Match::Anything,
                None => return None,
            };
            Some(Found {
                block,
                handler,
                taken,
                thrown,
                record_at,
            })
        })
}

/// Gives an exception of another kind to the translator, which may throw one of C++ instead.
fn translate(code: u32, record_at: u64, context_at: u64) {
    let translator = errno::thread_field::<Callback>("exception_translator").read();
    if !translator.is_null() {
        // The stack is the guest's.
        let mut place = [0_u64; 2];
        let at = Ptr::<Pointers>::new(&raw mut place as u64);
        debug_assert!(Pointers::size() <= size_of_val(&place));
        at.write(Pointers {
            record: Ptr::new(record_at),
            context: Ptr::new(context_at),
        });
        translator.call(&[code.into(), at.address()]);
    }
}

/// Ends the program as C++ wants it when an exception cannot be handled.
pub fn terminate() -> ! {
    crate::crt::exit::terminate();
    // The handler may not come back, and `abort` does not.
    crate::crt::os::fail_fast()
}
