//! The boundary between guest code and ours.
//!
//! Guest code enters through a stub of its own for each export, host code enters the guest through
//! [`call_guest`]. On x86-64 both run on the guest's stack; what the guest must find again lies in an
//! [activation record](ActivationPtr) that the entry builds there and links per thread. So an exception
//! unwinds over host frames exactly, a fault in host code becomes an exception at the guest's call,
//! and the context of a thread inside host code is known.
#![allow(
    unsafe_code,
    reason = "reads activation records built by the gate's assembly"
)]

mod gate64;
pub mod low_memory;
pub mod stubs;

use crate::export::ArgCursor;

pub use gate64::{
    Activation, CROSSED_BELOW_RBP, call_guest, contains as gate_contains, current_activation,
    enter_stack, leave_stack, leave_stack_address, return_address as call_guest_return,
    set_float_control, with_activation,
};

/// One call from guest to host, as the export's entry sees it.
#[derive(Clone, Copy, Debug)]
pub struct CallFrame {
    activation: ActivationPtr,
}

impl CallFrame {
    /// Starts reading the arguments.
    #[must_use]
    #[inline]
    pub fn args(&self) -> ArgCursor<'_> {
        ArgCursor::new(self)
    }

    /// Returns the address of the first argument slot.
    #[inline]
    pub(crate) fn slots(&self) -> u64 {
        self.activation.get().rsp.wrapping_add(8)
    }

    /// Returns the bits of xmm0–xmm3 as passed by the caller.
    #[inline]
    pub(crate) fn float_register(&self, index: usize) -> u64 {
        self.activation.get().float_args[index]
    }

    /// Returns the index of the stub that was called.
    #[inline]
    pub(crate) fn stub_index(&self) -> u64 {
        self.activation.get().stub
    }

    /// Returns the record of this call.
    #[inline]
    pub(crate) fn activation(&self) -> ActivationPtr {
        self.activation
    }
}

/// Names an activation record that is live: it belongs to a call in progress on this thread.
#[derive(Clone, Copy, Debug)]
pub struct ActivationPtr(*mut Activation);

impl ActivationPtr {
    /// Returns a copy of the record.
    #[must_use]
    #[inline]
    pub fn get(&self) -> Activation {
        // SAFETY: only the gate makes these, for a record below its own frame that stays until the call returns.
        unsafe { *self.0 }
    }

    /// Returns the address in guest code that the call returns to.
    #[must_use]
    pub fn return_address(&self) -> u64 {
        crate::export::Ptr::<u64>::new(self.get().rsp).read()
    }

    /// Names the record at `address`; 0 is none.
    #[must_use]
    pub fn from_address(address: u64) -> Option<ActivationPtr> {
        (address != 0).then_some(ActivationPtr(address as *mut Activation))
    }

    /// Returns the address of the record itself.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.0 as u64
    }
}
