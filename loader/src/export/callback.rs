//! Functions of the guest as arguments, and the place a call came from.

use std::fmt::Write as _;

use super::arg::{Arg, ArgCursor, Ret, put};
use crate::gate;
use crate::guest::Guest;
use ntlpc_abi::UserPtr;

/// The address of a guest function, possibly NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callback(pub u64);

impl Callback {
    /// Returns whether there is no function.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// Calls the function with pointer-sized arguments and returns `rax` (`edx:eax` on i386).
    ///
    /// The guest may never come back from it (exception, `longjmp`, `ExitThread`), or come back
    /// into this process anywhere else: hold no lock and own nothing that must be dropped.
    pub fn call(self, args: &[u64]) -> u64 {
        gate::call_guest(self.0, args)
    }

    /// Calls the function as a method of the object that `args` begin with; otherwise as [`Callback::call`].
    pub fn call_method(self, args: &[u64]) -> u64 {
        gate::call_method(self.0, args)
    }
}

impl Arg for Callback {
    const SLOTS32: u32 = 1;
    fn fetch(cursor: &mut ArgCursor<'_>) -> Self {
        Callback(cursor.word())
    }
    fn show(&self, out: &mut String) {
        put!(out, "{:#x}", self.0);
    }
}

impl Ret for Callback {
    fn encode(self) -> u64 {
        self.0
    }
    fn show(bits: u64, out: &mut String) {
        put!(out, "{bits:#x}");
    }
}

impl Guest for Callback {
    fn size() -> usize {
        UserPtr::size()
    }
    fn align() -> usize {
        UserPtr::align()
    }
    fn load<M: crate::guest::Memory>(at: u64) -> Result<Self, M::Fault> {
        Ok(Callback(UserPtr::load::<M>(at)?.0))
    }
    fn store<M: crate::guest::Memory>(self, at: u64) -> Result<(), M::Fault> {
        UserPtr(self.0).store::<M>(at)
    }
}

/// The calling guest code: takes no slot; gives a function its caller's registers.
#[derive(Clone, Copy, Debug)]
pub struct Caller(pub gate::ActivationPtr);

impl Arg for Caller {
    const SLOTS32: u32 = 0;
    fn fetch(cursor: &mut ArgCursor<'_>) -> Self {
        Caller(cursor.frame().activation())
    }
    fn show(&self, out: &mut String) {
        put!(out, "{:#x}", self.0.return_address());
    }
}
