//! The entry of every signal handler of the process.
//!
//! A signal may find FS belonging to 32-bit code. The entry gives the handler our FS and GS, and the interrupted code
//! its own back, whatever the handler made of the frame; the process's [method](Method) does both. That needs every
//! handler to block every signal but those of faults: a second frame stacked upon the first would look like code of ours
//! with the guest's FS (pe32.md §4.2).
#![allow(unsafe_code, reason = "signal handlers and their frames")]

use std::arch::global_asm;
use std::mem::{MaybeUninit, offset_of};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::fs::{self, Method};

/// Signals that faults give.
pub const FAULTS: [i32; 5] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
];

/// A handler; the last argument says that 32-bit code was interrupted after it loaded FS itself. The entry puts that
/// right when the handler returns.
pub type Handler = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::ucontext_t, bool);

/// Handlers by signal.
static HANDLERS: [AtomicUsize; 65] = [const { AtomicUsize::new(0) }; 65];

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
    // Only the method's routines and the handler change registers below.
    "xor ecx, ecx",
    "mov r13, [rip+{method}]",
    "test r13, r13",
    "je 3f",
    "call lpcrun_signal_is_guest",
    "jnc 2f",
    "xor r13d, r13d",
    "jmp 3f",
    "2:",
    "mov rax, [rbx+{r15}]",
    "call [r13+{take}]",
    // In the window FS may be either.
    "mov eax, cs",
    "cmp ax, [rbx+{cs}]",
    "jne 3f",
    "xor ecx, ecx",
    "3:",
    "movsxd rax, edi",
    "lea r11, [rip+{handlers}]",
    "call [r11+rax*8]",
    "test r13, r13",
    "je 5f",
    // The handler may have sent the thread elsewhere: to code of ours, which keeps our FS.
    "call lpcrun_signal_is_guest",
    "jc 5f",
    "mov rax, [rbx+{r15}]",
    "mov ecx, cs",
    "cmp cx, [rbx+{cs}]",
    "je 4f",
    "call [r13+{guest}]",
    "jmp 5f",
    "4:",
    "call [r13+{window_back}]",
    "5:",
    "pop r13",
    "pop r12",
    "pop rbx",
    "ret",
    // Clears the carry flag if the frame at rbx is of 32-bit code, of the window, or of low 64-bit code. Changes rax
    // and r11.
    "lpcrun_signal_is_guest:",
    "mov eax, cs",
    "cmp ax, [rbx+{cs}]",
    "jne 6f",
    "mov rax, [rbx+{rip}]",
    "mov r11d, 0xffffffff",
    "cmp r11, rax",
    "jae 6f",
    "cmp rax, [r13+{window}]",
    "jb 7f",
    "cmp [r13+{window_end}], rax",
    "jbe 7f",
    "6:",
    "clc",
    "ret",
    "7:",
    "stc",
    "ret",
    handlers = sym HANDLERS,
    method = sym fs::METHOD,
    take = const offset_of!(Method, signal_take),
    guest = const offset_of!(Method, signal_guest),
    window_back = const offset_of!(Method, signal_window),
    window = const offset_of!(Method, window),
    window_end = const offset_of!(Method, window_end),
    r15 = const GREGS + 8 * libc::REG_R15 as usize,
    rip = const GREGS + 8 * libc::REG_RIP as usize,
    cs = const GREGS + 8 * libc::REG_CSGSFS as usize,
);

unsafe extern "C" {
    fn lpcrun_signal();
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
