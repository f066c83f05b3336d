//! The boundary between guest code and ours.
//!
//! Guest code enters through a stub of its own for each export, host code enters the guest through
//! [`call_guest`]. Both run on the guest's stack; what the guest must find again lies in an
//! [activation record](ActivationPtr) that the entry builds there and links per thread. So an exception
//! unwinds over host frames exactly, a fault in host code becomes an exception at the guest's call,
//! and the context of a thread inside host code is known.
#![allow(
    unsafe_code,
    reason = "reads activation records built by the gate's assembly"
)]

mod activation;
pub mod fs;
pub mod gate32;
mod gate64;
pub mod host_code;
pub mod probe32;
pub mod signal_stack;
pub mod signals;
pub mod stubs;

use ntlpc_abi::Width;

use crate::width;

pub use activation::{Activation, current_activation, with_activation};
pub use gate64::{
    CROSSED_BELOW_RBP, enter_stack, leave_stack, leave_stack_address, set_float_control,
};

/// Calls guest code at `target` with pointer-sized arguments and returns `rax`, or `edx:eax` on i386.
///
/// The guest may never return from it, or unwind past it: the caller must hold no lock and own
/// nothing that needs dropping.
pub fn call_guest(target: u64, args: &[u64]) -> u64 {
    match width() {
        Width::X64 => gate64::call_guest(target, args),
        Width::X86 => gate32::call_guest(target, args),
    }
}

/// Calls a C++ method of the guest: `args` begins with the object; otherwise as [`call_guest`].
pub fn call_method(target: u64, args: &[u64]) -> u64 {
    match width() {
        Width::X64 => gate64::call_guest(target, args),
        Width::X86 => gate32::call_method(target, args),
    }
}

/// Returns the address guest functions called by [`call_guest`] return to.
#[must_use]
pub fn call_guest_return() -> u64 {
    match width() {
        Width::X64 => gate64::return_address(),
        Width::X86 => gate32::return_address(),
    }
}

/// Returns whether `address` lies in a gate before it has built its record.
#[must_use]
pub fn gate_contains(address: u64) -> bool {
    gate64::contains(address) || gate32::contains(address)
}

/// Prepares the calling thread, whose TEB is the base of GS, for guest code. The result is to be dropped on this thread,
/// behind its last guest instruction and before the TEB is freed.
///
/// # Errors
/// The process has as many threads as the machine allows.
pub fn prepare_thread(teb: u64) -> std::io::Result<Option<fs::Thread>> {
    match width() {
        Width::X64 => Ok(None),
        Width::X86 => gate32::prepare_thread(teb).map(Some),
    }
}

/// One call from guest to host, as the export's entry sees it.
#[derive(Clone, Copy, Debug)]
pub struct CallFrame {
    activation: ActivationPtr,
}

impl CallFrame {
    /// Returns the address of the first argument slot.
    #[inline]
    pub(crate) fn slots(&self) -> u64 {
        let rsp = self.activation.get().rsp;
        rsp.wrapping_add(width().pointer() as u64)
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

    /// Says where the i386 gate returns to, and whether with the result in st0.
    #[inline]
    fn set_return(&self, stub_return: u64, is_float: bool) {
        // SAFETY: as for `get`; nothing holds a reference to the record.
        let record = unsafe { &mut *self.0 };
        record.stub_return = stub_return as u32;
        record.is_float = u32::from(is_float);
    }

    /// Returns the address in guest code that the call returns to.
    #[must_use]
    pub fn return_address(&self) -> u64 {
        crate::guest::Ptr::<usize>::new(self.get().rsp).read() as u64
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
