//! Exceptions as the guest sees them: raised by faults or by calls, dispatched to vectored and frame-based handlers,
//! unwound through host frames.

pub mod chain32;
mod dispatch;
mod divide;
pub mod dynamic;
mod epilog;
pub mod jump32;
pub mod own32;
mod report;
mod scope;
pub mod scope32;
mod signal;
pub mod unwind;
mod unwind_ex;
pub mod vectored;

pub use dispatch::{DispatcherContext, Disposition, end_unhandled, raise, raise_from_call};
pub use report::{DESCRIBERS, stack_trace};
pub use scope::c_specific_handler;
pub use signal::install;
pub use unwind_ex::{continue_unwound, jump, store_jump_buffer, unwind, unwind_frames};

use crate::context::{Context, Record, flag};
use crate::gate::ActivationPtr;
use ntlpc_abi::NtStatus;

/// Raises a noncontinuable `STATUS_NOT_IMPLEMENTED` at a guest's call of something that is not there.
pub fn raise_unimplemented(activation: ActivationPtr) -> u64 {
    let context = Context::of_call(&activation.get());
    let record = Record::new(
        NtStatus::NOT_IMPLEMENTED.0,
        flag::NONCONTINUABLE,
        context.rip,
        &[],
    );
    raise(record, context)
}
