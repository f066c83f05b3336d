//! The signal that makes a thread look whether it must stop or end.
//!
//! In guest code the thread holds nothing of ours, so the handler may stop it right there, for as long as it takes, and
//! the kernel keeps all registers, vector extensions included. In code of ours the handler only takes note.
#![allow(unsafe_code, reason = "handles a signal")]

use ntdll_shim::interrupt;

use super::suspend;
use crate::context::Machine;
use crate::gate::{self, signals};
use crate::linux;
use crate::teb::{self, host_area};

/// Installs the handler.
pub fn install() {
    // SA_RESTART is not set, so that waits end.
    signals::install(suspend::poke_signal(), handler, 0);
    interrupt::set_redeliver(|signal| {
        linux::signal_thread(linux::thread_id().cast_signed(), signal)
    });
}

extern "C" fn handler(
    signal: i32,
    _info: *mut libc::siginfo_t,
    frame: *mut libc::ucontext_t,
    _: bool,
) {
    if teb::current() == 0 {
        return;
    }
    suspend::note_poke();
    // SAFETY: the kernel passes a valid frame that only this handler uses until it returns.
    let mut machine = Machine::new(unsafe { &mut *frame });
    let is_in_host = host_area::read(host_area::TOP_ACTIVATION) != 0 || !machine.is_in_guest_code();
    if is_in_host || interrupt::defer(signal) {
        return;
    }
    let mut context = machine.context();
    if suspend::stop(&mut context) {
        machine.set_context(&context);
    }
    if let Some(code) = suspend::terminating() {
        machine.call(gate::leave_stack_address(), code.into());
    }
}
