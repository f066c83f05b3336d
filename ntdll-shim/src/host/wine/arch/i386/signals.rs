//! Entries of signal handlers and of `pthread_exit`. The kernel calls a handler on an aligned stack.

use std::arch::{asm, global_asm, naked_asm};
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicI32, Ordering};

use libc::{siginfo_t, ucontext_t};

use crate::host::wine::preload::{exit_for, next_handler};

global_asm!(
    // fn(signal, info, context): goes to the handler `next_handler` returns, if it returns one. The jump leaves no frame of
    // ours: Wine ends a thread that has just begun by pthread_exit from its handler, which unwinds.
    ".globl ntlpc_on_signal",
    ".type ntlpc_on_signal, @function",
    "ntlpc_on_signal:",
    "    push [esp + 12]",
    "    push [esp + 12]",
    "    push [esp + 12]",
    "    call {next_handler}",
    "    add esp, 12",
    "    test eax, eax",
    "    jz 2f",
    "    jmp eax",
    "2:  ret",
    ".size ntlpc_on_signal, . - ntlpc_on_signal",
    next_handler = sym next_handler,
);

unsafe extern "C" {
    /// Handler that goes to Wine's own, unless that has to wait.
    #[link_name = "ntlpc_on_signal"]
    pub fn on_signal(signal: c_int, info: *mut siginfo_t, context: *mut c_void);
}

/// The selector of GS in code of the C library: the same in all threads, each of which has its own descriptor (man 2
/// set_thread_area).
static SELECTOR: AtomicI32 = AtomicI32::new(0);

/// Takes note of what [`runs_code_of_this_thread`] compares with.
pub fn note_thread_block() {
    let selector: u32;
    // SAFETY: reads a selector.
    unsafe {
        asm!(
            "mov {0:e}, gs",
            out(reg) selector,
            options(nomem, nostack, preserves_flags),
        );
    }
    SELECTOR.store(selector.cast_signed() & 0xFFFF, Ordering::Relaxed);
}

/// Returns whether thread-local variables may be used: GS is the C library's, unless the program changed it.
///
/// # Safety
/// `context` is that of a signal handler.
pub unsafe fn runs_code_of_this_thread(context: *mut c_void) -> bool {
    // SAFETY: the caller's promise.
    let context = unsafe { &*context.cast::<ucontext_t>() };
    let interrupted = context.uc_mcontext.gregs[libc::REG_GS as usize] & 0xFFFF;
    interrupted == SELECTOR.load(Ordering::Relaxed)
}

/// `pthread_exit(3)`; its caller is the end of the stack if it is Wine.
///
/// # Safety
/// As for the C library's function.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_exit(value: *mut c_void) -> ! {
    naked_asm!(
        ".cfi_startproc",
        "push ebp",
        ".cfi_def_cfa_offset 8",
        ".cfi_offset ebp, -8",
        "mov ebp, esp",
        ".cfi_def_cfa_register ebp",
        "and esp, -16",
        "sub esp, 12",
        "push [ebp + 4]",
        "call {exit}",
        "leave",
        ".cfi_def_cfa esp, 4",
        "test edx, edx",
        "jnz 2f",
        "jmp eax",
        "2:",
        ".cfi_undefined eip",
        "mov ecx, [esp + 4]",
        "and esp, -16",
        "sub esp, 12",
        "push ecx",
        "call eax",
        "ud2",
        ".cfi_endproc",
        exit = sym exit,
    )
}

/// Returns in eax where [`pthread_exit`] goes on, and in edx whether Wine called.
unsafe extern "C" fn exit(return_address: *const c_void) -> u64 {
    let (real, is_wines) = exit_for(return_address);
    u64::from(is_wines) << 32 | real as u64
}
