//! Whether this machine runs 32-bit code in a 64-bit process, and by which method it gets its FS.
#![allow(unsafe_code, reason = "tries 32-bit code in a forked child")]

use super::fs::{self, Wanted, flat::FLAT, ldt::LDT};
use super::{gate32, gate64, signals};
use crate::guest::Ptr;
use crate::teb;
use crate::vm::{self, PAGE, low};

/// Bytes of stack for the call.
const STACK: usize = 0x1_0000;

/// How the child ends.
mod verdict {
    pub const WORKS: i32 = 0;
    pub const WRONG_ANSWER: i32 = 1;
    pub const NO_CODE: i32 = 2;
    pub const NO_DESCRIPTOR: i32 = 3;
}

const UNKNOWN_METHOD: &str = "LPC_FS must be auto, flat or ldt";
const NO_FSGSBASE: &str = "LPC_FS=flat needs the FSGSBASE instructions: \
    a CPU of 2013 or later and Linux 5.9 or later, not booted with nofsgsbase";
const NO_CODE: &str = "32-bit programs need memory below 4 GiB that may be executed: \
    the security policy of this system forbids it";
const NO_DESCRIPTOR: &str = "32-bit programs need the FSGSBASE instructions (a CPU of 2013 or later and Linux 5.9 or later, \
    not booted with nofsgsbase), or else the system call modify_ldt: this kernel or sandbox must allow one of them";
const REFUSED_DESCRIPTOR: &str = "LPC_FS=ldt needs the system call modify_ldt, which this kernel or sandbox refuses: \
    allow it, or unset LPC_FS";
const NO_SEGMENTS: &str = "this system does not run 32-bit code in 64-bit processes (an emulator or a sandbox \
    without 32-bit segments); run 32-bit programs on a plain Linux x86-64 kernel, or with --host wine";

/// Chooses the method of this process, or says why 32-bit programs cannot run on this machine and what would help.
/// To be called before the process has a second thread.
///
/// # Errors
/// One line of text.
pub fn choose() -> Result<(), &'static str> {
    let asked = std::env::var("LPC_FS").unwrap_or_default();
    let wanted = Wanted::parse(&asked).ok_or(UNKNOWN_METHOD)?;
    let method = match (wanted, fs::flat::is_possible()) {
        (Wanted::Auto | Wanted::Flat, true) => &FLAT,
        (Wanted::Flat, false) => return Err(NO_FSGSBASE),
        (Wanted::Auto, false) | (Wanted::Ldt, _) => &LDT,
    };
    fs::choose(method);
    let status = run_child();
    if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSYS {
        return Err(refusal(wanted));
    }
    match libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)) {
        Some(verdict::WORKS) => Ok(()),
        Some(verdict::NO_CODE) => Err(NO_CODE),
        Some(verdict::NO_DESCRIPTOR) => Err(refusal(wanted)),
        _ => Err(NO_SEGMENTS),
    }
}

fn refusal(wanted: Wanted) -> &'static str {
    match wanted {
        Wanted::Auto => NO_DESCRIPTOR,
        Wanted::Flat => NO_SEGMENTS,
        Wanted::Ldt => REFUSED_DESCRIPTOR,
    }
}

/// Tries it where a fault, or a kill by a system call filter, hurts nobody; returns what `wait` says of the child.
fn run_child() -> i32 {
    // SAFETY: the process has one thread yet, so the child may run anything.
    let child = unsafe { libc::fork() };
    if child == 0 {
        for signal in signals::FAULTS {
            // SAFETY: SIG_DFL is a valid disposition.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        let verdict = attempt();
        // SAFETY: always; nothing of the parent's is flushed twice.
        unsafe { libc::_exit(verdict) };
    }
    let mut status = -1;
    // SAFETY: `status` is valid for the call.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    if child > 0 && waited == child {
        status
    } else {
        -1
    }
}

/// Becomes a thread with a TEB and calls 32-bit code that reads it. All memory is the child's alone.
fn attempt() -> i32 {
    let code = low::allocate_image(PAGE);
    // mov eax, fs:[0x18]; ret
    Ptr::<u8>::new(code).write_bytes(&[0x64, 0xa1, 0x18, 0, 0, 0, 0xc3]);
    let protection = libc::PROT_READ | libc::PROT_EXEC;
    if vm::sys::protect(code as usize, PAGE, protection).is_err() {
        return verdict::NO_CODE;
    }
    let stack = low::allocate_image(STACK + teb::BYTES);
    let teb = stack + STACK as u64;
    teb::SELF.at::<u32>(teb).write(teb as u32);
    teb::install(teb);
    let Ok(_prepared) = gate32::prepare_thread(teb) else {
        return verdict::NO_DESCRIPTOR;
    };
    extern "C" fn call(code: u64) -> u64 {
        gate32::call_guest(code, &[])
    }
    // SAFETY: GS is the TEB, and nothing else uses the stack below it; both begin at a page.
    let answer = unsafe { gate64::enter_stack(teb, call, code) };
    if answer as u32 == teb as u32 {
        verdict::WORKS
    } else {
        verdict::WRONG_ANSWER
    }
}
