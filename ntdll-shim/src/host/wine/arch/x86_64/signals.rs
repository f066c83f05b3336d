//! Entries of signal handlers and of `pthread_exit`.

use std::arch::{global_asm, naked_asm};
use std::ffi::{c_int, c_void};

use libc::{siginfo_t, ucontext_t};

use crate::host::wine::preload::{exit_for, next_handler};

global_asm!(
    // fn(rdi = signal, rsi = info, rdx = context): goes to the handler `next_handler` returns, if it returns one. The jump
    // leaves no frame of ours: Wine ends a thread that has just begun by pthread_exit from its handler, which unwinds.
    ".globl ntlpc_on_signal",
    ".type ntlpc_on_signal, @function",
    "ntlpc_on_signal:",
    "    push rdi",
    "    push rsi",
    "    push rdx",
    "    call {next_handler}",
    "    pop rdx",
    "    pop rsi",
    "    pop rdi",
    "    test rax, rax",
    "    jz 2f",
    "    jmp rax",
    "2:  ret",
    ".size ntlpc_on_signal, . - ntlpc_on_signal",
    next_handler = sym next_handler,
);

unsafe extern "C" {
    /// Handler that goes to Wine's own, unless that has to wait.
    #[link_name = "ntlpc_on_signal"]
    pub fn on_signal(signal: c_int, info: *mut siginfo_t, context: *mut c_void);
}

/// Takes note of what [`runs_code_of_this_thread`] compares with: nothing here.
pub fn note_thread_block() {}

/// Returns whether thread-local variables may be used: in 32-bit code, and in the 64-bit code around it, FS is not the
/// C library's. Such code holds nothing of ours.
///
/// # Safety
/// `context` is that of a signal handler.
pub unsafe fn runs_code_of_this_thread(context: *mut c_void) -> bool {
    const CODE_64: i64 = 0x33;
    // SAFETY: the caller's promise.
    let context = unsafe { &*context.cast::<ucontext_t>() };
    let code_segment = context.uc_mcontext.gregs[libc::REG_CSGSFS as usize] & 0xFFFF;
    code_segment == CODE_64 && has_thread_block()
}

/// Returns whether FS leads to the C library's block of this thread, whose first word is its address. The selector does not
/// tell: Wine may set the base alone.
fn has_thread_block() -> bool {
    const ARCH_GET_FS: libc::c_int = 0x1003;
    let mut base = 0_usize;
    // SAFETY: the kernel writes the base to a local (man 2 arch_prctl); without an error no thread-local is touched.
    let result = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_GET_FS, &raw mut base) };
    // SAFETY: the base is that of the C library's block, or of a 32-bit TEB; both begin with readable words.
    result == 0 && base != 0 && unsafe { *(base as *const usize) } == base
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
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "mov rdi, [rsp + 8]",
        "call {exit}",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "test rdx, rdx",
        "jnz 2f",
        "jmp rax",
        "2:",
        ".cfi_undefined rip",
        "and rsp, -16",
        "call rax",
        "ud2",
        ".cfi_endproc",
        exit = sym exit,
    )
}

/// Where [`pthread_exit`] goes on.
#[repr(C)]
struct Exit {
    /// The C library's `pthread_exit`.
    real: *mut c_void,
    /// Not zero if Wine called.
    is_wines: usize,
}

unsafe extern "C" fn exit(return_address: *const c_void) -> Exit {
    let (real, is_wines) = exit_for(return_address);
    Exit {
        real,
        is_wines: is_wines.into(),
    }
}
