//! Registrations that our own code puts on the chain of an i386 program while it calls the program.

use std::sync::OnceLock;

use super::chain32::{self, Registration};
use super::dispatch::Disposition;
use crate::context::{Record, flag};
use crate::export::{ArgCursor, Callback, Convention, Guest, Ptr};
use crate::gate::stubs::{self, Stub, Target};
use crate::gate::{ActivationPtr, CallFrame};
use crate::guest_struct;

guest_struct! {
    struct Place {
        registration: Registration,
        words: [u32; WORDS],
    }
}

/// Words that a registration keeps.
pub const WORDS: usize = 4;

/// A kind of registration: what it answers when a search or an unwind comes by.
#[derive(Debug)]
pub struct Own {
    name: &'static str,
    answer: fn(&Asked) -> Disposition,
    handler: OnceLock<u64>,
}

/// A question to a registration of ours.
#[derive(Debug)]
pub struct Asked {
    /// The exception.
    pub record: Record,
    /// Where its record lies.
    pub record_at: u64,
    /// Where the registration lies.
    pub place: u64,
    /// Where the exception's context lies.
    pub context_at: u64,
    /// Where the handler may name a frame.
    pub dispatcher: Ptr<u32>,
    /// What was given to [`Own::during`].
    pub words: [u32; WORDS],
    /// The call of the handler.
    pub call: ActivationPtr,
}

impl Asked {
    /// Returns whether frames are left, not searched.
    pub fn is_unwind(&self) -> bool {
        self.record.flags & flag::UNWIND != 0
    }
}

impl Target for Own {
    fn call(&self, _: &'static Stub, frame: &CallFrame) -> u64 {
        let mut cursor = ArgCursor::new(frame, Convention::cdecl);
        let [record_at, place, context_at, dispatcher] = std::array::from_fn(|_| cursor.word());
        let disposition = (self.answer)(&Asked {
            record: Record::load(record_at),
            record_at,
            place,
            context_at,
            dispatcher: Ptr::new(dispatcher),
            words: Ptr::<Place>::new(place).read().words,
            call: frame.activation(),
        });
        disposition as u64
    }
}

impl Own {
    /// Declares a kind of registration.
    pub const fn new(name: &'static str, answer: fn(&Asked) -> Disposition) -> Own {
        Own {
            name,
            answer,
            handler: OnceLock::new(),
        }
    }

    /// Runs guest code while a registration of this kind is the innermost one; `call` gets its place.
    ///
    /// The guest may never return from it: hold no lock.
    pub fn during<T>(&'static self, words: [u32; WORDS], call: impl FnOnce(u64) -> T) -> T {
        let around = chain32::first();
        let make = || stubs::loose("ntdll.dll", self.name.to_owned(), self);
        // The stack is the guest's.
        let mut room = [0_u32; 2 + WORDS];
        let at = Ptr::<Place>::new(&raw mut room as u64);
        debug_assert_eq!(Place::size(), size_of_val(&room));
        at.write(Place {
            registration: Registration {
                next: around as u32,
                handler: Callback(*self.handler.get_or_init(make)),
            },
            words,
        });
        chain32::set_first(at.address());
        let result = call(at.address());
        chain32::set_first(around);
        result
    }
}
