//! The signal that makes a thread look whether it must stop or end.
//!
//! In guest code the thread holds nothing of ours, so the handler may stop it right there, for as long as it takes, and
//! the kernel keeps all registers, vector extensions included. In code of ours the handler only takes note.
#![allow(unsafe_code, reason = "handles a signal")]

use std::mem::MaybeUninit;

use ntdll_shim::interrupt;

use super::suspend;
use crate::exception::{Machine, is_host_code};
use crate::gate;
use crate::teb::{self, host_area};

/// Returns the signal: the real-time ones up to here are used by the C library and Wine.
fn signal() -> i32 {
    libc::SIGRTMIN() + 4
}

/// Installs the handler.
pub fn install() {
    // SAFETY: `handler` has the signature of SA_SIGINFO; all other fields are valid as zero. SA_RESTART is not set, so
    // that waits end.
    let status = unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigaction(signal(), &raw const action, std::ptr::null_mut())
    };
    if status != 0 {
        crate::fatal(format_args!("cannot handle signal {}", signal()));
    }
    interrupt::set_redeliver(|signal| {
        send_signal(crate::ob::thread::linux_tid().cast_signed(), signal)
    });
}

/// Pokes a thread.
pub(super) fn send(tid: i32) {
    send_signal(tid, signal());
}

fn send_signal(tid: i32, signal: i32) {
    // SAFETY: no memory is involved; a thread that has gone gives ESRCH.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, signal) };
}

extern "C" fn handler(signal: i32, _info: *mut libc::siginfo_t, frame: *mut libc::ucontext_t) {
    if teb::current() == 0 {
        return;
    }
    suspend::note_poke();
    // SAFETY: the kernel passes a valid frame that only this handler uses until it returns.
    let mut machine = Machine::new(unsafe { &mut *frame });
    let rip = machine.rip();
    let is_in_host = host_area::read(host_area::TOP_ACTIVATION) != 0
        || gate::gate_contains(rip)
        || is_host_code(rip);
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
