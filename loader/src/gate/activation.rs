//! What the gates save of a guest that calls us.

use super::ActivationPtr;
use crate::teb::host_area;

/// Registers of the guest at its call, saved by the gate on the guest's stack; i386 ones are zero-extended.
///
/// Restored from here when the call returns, so a change takes effect then.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct Activation {
    /// xmm6–xmm15.
    pub xmm: [u128; 10],
    /// xmm0–xmm3, low halves; of i386 only the first two.
    pub float_args: [u64; 4],
    /// Stack pointer at the stub: the return address lies there, the arguments above it.
    pub rsp: u64,
    /// Non-volatile registers.
    pub rbx: u64,
    /// Non-volatile registers.
    pub rbp: u64,
    /// Non-volatile registers.
    pub rsi: u64,
    /// Non-volatile registers.
    pub rdi: u64,
    /// r12–r15.
    pub r12: [u64; 4],
    /// Index of the stub that was called.
    pub stub: u64,
    /// Not 0: no call, but an exception or unwind in progress. The frame around it is that of the context at this address.
    pub context: u64,
    /// For an unwind in progress: how many scopes of that frame's handler are done.
    pub scope_index: u64,
    /// MXCSR.
    pub mxcsr: u32,
    /// x87 control word.
    pub fpcw: u16,
    /// i386: where the stub returns to the caller.
    pub stub_return: u32,
    /// i386: whether the result goes to st0.
    pub is_float: u32,
    /// i386: ecx and edx, arguments of thiscall and fastcall.
    pub registers32: [u32; 2],
}

/// Returns the record of the call from guest to host that is in progress on this thread.
#[must_use]
pub fn current_activation() -> Option<ActivationPtr> {
    ActivationPtr::from_address(host_area::read(host_area::TOP_ACTIVATION))
}

/// Runs `call` with `activation` as the record in progress: what guest code called by it unwinds to.
pub fn with_activation<T>(activation: &mut Activation, call: impl FnOnce() -> T) -> T {
    let before = host_area::read(host_area::TOP_ACTIVATION);
    crate::teb::write_host(
        host_area::TOP_ACTIVATION,
        std::ptr::from_mut(activation) as u64,
    );
    let result = call();
    crate::teb::write_host(host_area::TOP_ACTIVATION, before);
    result
}

impl Activation {
    /// Makes the record of an exception or unwind whose frame is that of the context at `context`.
    #[must_use]
    pub fn of_frame(context: u64, scope_index: u32) -> Activation {
        Activation {
            xmm: [0; 10],
            float_args: [0; 4],
            rsp: 0,
            rbx: 0,
            rbp: 0,
            rsi: 0,
            rdi: 0,
            r12: [0; 4],
            stub: 0,
            context,
            scope_index: scope_index.into(),
            mxcsr: 0,
            fpcw: 0,
            stub_return: 0,
            is_float: 0,
            registers32: [0; 2],
        }
    }
}

/// Runs the target of the stub that was called; called by the gates.
pub(super) extern "C" fn dispatch(activation: *mut Activation) -> u64 {
    super::stubs::dispatch(ActivationPtr(activation))
}
