//! How 32-bit code gets its FS: one of two methods, chosen once, before the first 32-bit instruction.
//!
//! | method | in 32-bit code | in code of ours | needs |
//! |---|---|---|---|
//! | [`flat`] | FS 0x2b, the base written | FS 0x2b, the base written | FSGSBASE |
//! | [`ldt`] | FS a descriptor of the thread's | FS 0, its base set by a system call | modify_ldt |
//!
//! A method is a few instructions of its own for each crossing: the gate and the signal entry jump to those of the
//! method chosen. Facts: pe32.md §1.1 (methods C and D), §4.2.

pub mod flat;
pub mod ldt;
mod table;

use std::io;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::gate32;
use crate::guest::Ptr;
use crate::teb::host_area;

/// Address of code that is no function of any convention.
type Code = unsafe extern "C" fn();

/// A way to give 32-bit code its FS. The gate's assembly reads the first fields.
///
/// In all of `window..window_end` r15 is the thread's TEB, and FS may be the guest's.
#[derive(Debug)]
#[repr(C)]
pub struct Method {
    /// A stub was called, its index in eax: gives us FS and GS, moves esp to r11 and goes on at `lpcrun_gate32_host`
    /// with eax, ecx, edx, ebx, ebp, esi, edi and the vector registers as they were.
    pub gate: Code,
    /// A function has returned to us: gives us FS and GS and goes on at `lpcrun_return32_host`, with eax, edx and ebp.
    pub returned: Code,
    /// Gives 32-bit code its FS, moves r11d to esp and jumps to the TEB's far pointer.
    pub leave: Code,
    /// Gives 32-bit code its FS and executes `iretq`; all registers that code can see are loaded.
    pub leave_context: Code,
    /// First instruction at which FS may be the guest's.
    pub window: Code,
    /// End of the window.
    pub window_end: Code,
    /// A signal interrupted 32-bit code or the window; rax is the TEB. Gives us FS and GS, leaves in r12 what FS was,
    /// and in rcx 1 if that is not 32-bit code's, else 0. Keeps rdi, rsi, rdx.
    pub signal_take: Code,
    /// The handler returns to 32-bit code; rax is the TEB.
    pub signal_guest: Code,
    /// The handler returns to the window, which gets back what r12 holds.
    pub signal_window: Code,
    /// Prepares the calling thread, whose TEB is the base of GS.
    prepare: fn(u64) -> io::Result<Thread>,
}

/// The method of this process; null in one that runs no 32-bit code. The gate and the signal entry read it.
pub static METHOD: AtomicPtr<Method> = AtomicPtr::new(std::ptr::null_mut());

/// Makes `method` that of the process: before the first handler is installed and the first thread prepared.
pub fn choose(method: &'static Method) {
    METHOD.store(std::ptr::from_ref(method).cast_mut(), Ordering::Release);
}

/// Returns the method of this process.
#[allow(unsafe_code, reason = "reads the static that assembly reads too")]
pub fn chosen() -> &'static Method {
    // SAFETY: only `choose` writes it, with the address of a static.
    match unsafe { METHOD.load(Ordering::Acquire).as_ref() } {
        Some(method) => method,
        None => crate::fatal(format_args!("32-bit code in a process of 64-bit code")),
    }
}

/// What a thread that runs 32-bit code owns; drop it on that thread, behind its last 32-bit instruction.
#[derive(Debug)]
pub struct Thread {
    _descriptor: Option<ldt::Descriptor>,
}

/// Prepares the calling thread, whose TEB is the base of GS, for 32-bit code.
///
/// # Errors
/// There is no descriptor left.
pub fn prepare_thread(teb: u64) -> io::Result<Thread> {
    let word = |offset: usize| Ptr::<u64>::new(teb + offset as u64);
    word(host_area::THIS).write(teb);
    word(host_area::HOST_FS).write(crate::linux::fs_base());
    gate32::load_flat_data();
    (chosen().prepare)(teb)
}

/// What the environment asks for, by the variable `LPC_FS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The best that works.
    Auto,
    /// [`flat`].
    Flat,
    /// [`ldt`].
    Ldt,
}

impl Wanted {
    /// Reads a value of `LPC_FS`; an unknown one is none.
    #[must_use]
    pub fn parse(value: &str) -> Option<Wanted> {
        match value {
            "" | "auto" => Some(Wanted::Auto),
            "flat" => Some(Wanted::Flat),
            "ldt" => Some(Wanted::Ldt),
            _ => None,
        }
    }
}
