//! The entry of every signal handler of the process.
//!
//! A signal may find FS belonging to 32-bit code. The entry gives the handler our FS and GS, and the interrupted code
//! its own back, whatever the handler made of the frame. That needs every handler to block every signal but those of
//! faults: a second frame stacked upon the first would look like code of ours with the guest's FS (pe32.md §4.2).
#![allow(unsafe_code, reason = "signal handlers and their frames")]

use std::arch::global_asm;
use std::mem::{MaybeUninit, offset_of};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::gate32;
use crate::teb::host_area;

/// Signals that faults give.
pub const FAULTS: [i32; 5] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
];

/// A handler; the last argument is the FS base found if 32-bit code was interrupted, else 0.
pub type Handler = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::ucontext_t, u64);

/// Handlers by signal.
static HANDLERS: [AtomicUsize; 65] = [const { AtomicUsize::new(0) }; 65];
/// Whether this process runs 32-bit code.
static HAS_32_BIT_CODE: AtomicBool = AtomicBool::new(false);

const GREGS: usize =
    offset_of!(libc::ucontext_t, uc_mcontext) + offset_of!(libc::mcontext_t, gregs);

global_asm!(
    ".globl lpcrun_signal",
    ".p2align 4",
    // lpcrun_signal(signal: edi, info: rsi, frame: rdx)
    "lpcrun_signal:",
    "push rbx",
    "push r12",
    "push r13",
    "mov rbx, rdx",
    "xor r12d, r12d",
    "xor r13d, r13d",
    "cmp byte ptr [rip+{has_32}], 0",
    "je 3f",
    "call lpcrun_signal_is_guest",
    "jc 3f",
    "inc r13d",
    "rdfsbase r12",
    "mov rax, [rbx+{r15}]",
    "mov rcx, [rax+{host_fs}]",
    "wrfsbase rcx",
    "wrgsbase rax",
    "3:",
    "mov rcx, r12",
    "movsxd rax, edi",
    "lea r11, [rip+{handlers}]",
    "call [r11+rax*8]",
    "test r13d, r13d",
    "je 5f",
    // The handler may have sent the thread elsewhere: to code of ours, which keeps our FS.
    "call lpcrun_signal_is_guest",
    "jc 5f",
    "mov eax, cs",
    "cmp ax, [rbx+{cs}]",
    "je 4f",
    "mov rcx, [rbx+{r15}]",
    "cmp rcx, r12",
    "je 4f",
    // The program has loaded FS itself, which cleared its base.
    "mov eax, {flat}",
    "mov fs, eax",
    "mov r12, rcx",
    "4:",
    "wrfsbase r12",
    "5:",
    "pop r13",
    "pop r12",
    "pop rbx",
    "ret",
    // Clears the carry flag if the frame at rbx is of 32-bit code, of the window, or of low 64-bit code.
    "lpcrun_signal_is_guest:",
    "mov eax, cs",
    "cmp ax, [rbx+{cs}]",
    "jne 6f",
    "mov rax, [rbx+{rip}]",
    "mov ecx, 0xffffffff",
    "cmp rcx, rax",
    "jae 6f",
    "lea rcx, [rip+lpcrun_window32]",
    "cmp rax, rcx",
    "jb 7f",
    "lea rcx, [rip+lpcrun_window32_end]",
    "cmp rcx, rax",
    "jbe 7f",
    "6:",
    "clc",
    "ret",
    "7:",
    "stc",
    "ret",
    has_32 = sym HAS_32_BIT_CODE,
    handlers = sym HANDLERS,
    flat = const gate32::FLAT_DATA,
    host_fs = const host_area::HOST_FS,
    r15 = const GREGS + 8 * libc::REG_R15 as usize,
    rip = const GREGS + 8 * libc::REG_RIP as usize,
    cs = const GREGS + 8 * libc::REG_CSGSFS as usize,
);

unsafe extern "C" {
    fn lpcrun_signal();
}

/// Says that this process runs 32-bit code; before the first handler is installed.
pub fn expect_32_bit_code() {
    HAS_32_BIT_CODE.store(true, Ordering::Relaxed);
}

/// Makes `handler` handle `signal` on the alternate stack, with all signals blocked but those of faults. `flags` are
/// `SA_*` flags beyond those.
///
/// `handler` must be async-signal-safe.
pub fn install(signal: i32, handler: Handler, flags: i32) {
    HANDLERS[signal as usize].store(handler as usize, Ordering::Release);
    // SAFETY: the entry has the signature of SA_SIGINFO; all other fields of the zeroed structure are valid as zero.
    let status = unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = lpcrun_signal as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | flags;
        libc::sigfillset(&raw mut action.sa_mask);
        for fault in FAULTS {
            libc::sigdelset(&raw mut action.sa_mask, fault);
        }
        libc::sigaction(signal, &raw const action, std::ptr::null_mut())
    };
    if status != 0 {
        crate::fatal(format_args!("cannot handle signal {signal}"));
    }
}
