//! The x86-64 gate.
//!
//! Conventions. Win64 (Microsoft Learn, "x64 calling convention"): arguments in rcx, rdx, r8, r9 or
//! xmm0–3, then the stack above 32 bytes of home space; rbx, rbp, rdi, rsi, r12–r15, xmm6–15 and the
//! control bits of MXCSR are preserved. System V: rdi, rsi and all xmm registers are scratch.
//! GS is the guest's TEB; FS stays the host's thread pointer.
#![allow(
    unsafe_code,
    reason = "machine code that switches calling conventions and stacks"
)]

use std::arch::global_asm;
use std::mem::offset_of;

use super::activation::{Activation, dispatch};
use crate::teb::host_area;

global_asm!(
    ".globl lpcrun_gate64",
    ".p2align 4",
    "lpcrun_gate64:",
    "mov [rsp+8], rcx",
    "mov [rsp+16], rdx",
    "mov [rsp+24], r8",
    "mov [rsp+32], r9",
    "mov r11, rsp",
    "sub rsp, {size}",
    "and rsp, -16",
    "mov [rsp+{rsp}], r11",
    "mov [rsp+{rbx}], rbx",
    "mov [rsp+{rbp}], rbp",
    "mov [rsp+{rsi}], rsi",
    "mov [rsp+{rdi}], rdi",
    "mov [rsp+{r12}], r12",
    "mov [rsp+{r12}+8], r13",
    "mov [rsp+{r12}+16], r14",
    "mov [rsp+{r12}+24], r15",
    "movq [rsp+{floats}], xmm0",
    "movq [rsp+{floats}+8], xmm1",
    "movq [rsp+{floats}+16], xmm2",
    "movq [rsp+{floats}+24], xmm3",
    "movaps [rsp+{xmm}], xmm6",
    "movaps [rsp+{xmm}+16], xmm7",
    "movaps [rsp+{xmm}+32], xmm8",
    "movaps [rsp+{xmm}+48], xmm9",
    "movaps [rsp+{xmm}+64], xmm10",
    "movaps [rsp+{xmm}+80], xmm11",
    "movaps [rsp+{xmm}+96], xmm12",
    "movaps [rsp+{xmm}+112], xmm13",
    "movaps [rsp+{xmm}+128], xmm14",
    "movaps [rsp+{xmm}+144], xmm15",
    "stmxcsr [rsp+{mxcsr}]",
    "fnstcw [rsp+{fpcw}]",
    "mov eax, eax",
    "mov [rsp+{stub}], rax",
    "mov qword ptr [rsp+{context}], 0",
    "mov gs:[{top}], rsp",
    "mov rdi, rsp",
    "mov rbx, rsp",
    "cld",
    "call {dispatch}",
    "mov rsp, rbx",
    "mov qword ptr gs:[{top}], 0",
    "movaps xmm6, [rsp+{xmm}]",
    "movaps xmm7, [rsp+{xmm}+16]",
    "movaps xmm8, [rsp+{xmm}+32]",
    "movaps xmm9, [rsp+{xmm}+48]",
    "movaps xmm10, [rsp+{xmm}+64]",
    "movaps xmm11, [rsp+{xmm}+80]",
    "movaps xmm12, [rsp+{xmm}+96]",
    "movaps xmm13, [rsp+{xmm}+112]",
    "movaps xmm14, [rsp+{xmm}+128]",
    "movaps xmm15, [rsp+{xmm}+144]",
    "mov rbx, [rsp+{rbx}]",
    "mov rbp, [rsp+{rbp}]",
    "mov rsi, [rsp+{rsi}]",
    "mov rdi, [rsp+{rdi}]",
    "mov r12, [rsp+{r12}]",
    "mov r13, [rsp+{r12}+8]",
    "mov r14, [rsp+{r12}+16]",
    "mov r15, [rsp+{r12}+24]",
    "movq xmm0, rax",
    "mov rsp, [rsp+{rsp}]",
    "ret",

    ".globl lpcrun_gate64_end",
    "lpcrun_gate64_end:",

    // enter64(target: rdi, args: rsi, count: rdx) -> rax
    ".globl lpcrun_enter64",
    ".p2align 4",
    "lpcrun_enter64:",
    "push rbp",
    "mov rbp, rsp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    // [rbp-48]: the record this call crosses, for unwinding; none is current while the guest runs.
    "push qword ptr gs:[{top}]",
    "mov qword ptr gs:[{top}], 0",
    "mov rax, rdi",
    // Room for the arguments, at least four, an even number.
    "mov rcx, 4",
    "cmp rdx, 4",
    "cmova rcx, rdx",
    "inc rcx",
    "and rcx, -2",
    "shl rcx, 3",
    "sub rsp, rcx",
    "mov rcx, rdx",
    "mov rdi, rsp",
    "rep movsq",
    "mov rcx, [rsp]",
    "mov rdx, [rsp+8]",
    "mov r8, [rsp+16]",
    "mov r9, [rsp+24]",
    "movq xmm0, rcx",
    "movq xmm1, rdx",
    "movq xmm2, r8",
    "movq xmm3, r9",
    "call rax",
    ".globl lpcrun_enter64_return",
    "lpcrun_enter64_return:",
    "lea rsp, [rbp-48]",
    "cld",
    "pop qword ptr gs:[{top}]",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "ret",

    // enter_stack(top: rdi, function: rsi, argument: rdx) -> rax
    ".globl lpcrun_enter_stack",
    ".p2align 4",
    "lpcrun_enter_stack:",
    "push rbp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "sub rsp, 8",
    "stmxcsr [rsp]",
    "fnstcw [rsp+4]",
    "mov gs:[{base}], rsp",
    "mov rsp, rdi",
    "mov rdi, rdx",
    "xor ebp, ebp",
    "mov qword ptr gs:[{top}], 0",
    "call rsi",
    // leave_stack(value: rdi): continues here from any depth.
    "mov rdi, rax",
    ".globl lpcrun_leave_stack",
    "lpcrun_leave_stack:",
    "mov rax, rdi",
    "mov rsp, gs:[{base}]",
    "mov qword ptr gs:[{top}], 0",
    "cld",
    "ldmxcsr [rsp]",
    "fldcw [rsp+4]",
    "add rsp, 8",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "ret",
    size = const size_of::<Activation>(),
    rsp = const offset_of!(Activation, rsp),
    rbx = const offset_of!(Activation, rbx),
    rbp = const offset_of!(Activation, rbp),
    rsi = const offset_of!(Activation, rsi),
    rdi = const offset_of!(Activation, rdi),
    r12 = const offset_of!(Activation, r12),
    floats = const offset_of!(Activation, float_args),
    xmm = const offset_of!(Activation, xmm),
    mxcsr = const offset_of!(Activation, mxcsr),
    fpcw = const offset_of!(Activation, fpcw),
    stub = const offset_of!(Activation, stub),
    context = const offset_of!(Activation, context),
    top = const host_area::TOP_ACTIVATION,
    base = const host_area::BASE_RSP,
    dispatch = sym dispatch,
);

unsafe extern "C" {
    fn lpcrun_gate64();
    fn lpcrun_gate64_end();
    fn lpcrun_enter64(target: u64, args: *const u64, count: usize) -> u64;
    fn lpcrun_enter64_return();
    fn lpcrun_enter_stack(top: u64, function: extern "C" fn(u64) -> u64, argument: u64) -> u64;
    fn lpcrun_leave_stack(value: u64) -> !;
}

/// Returns the address every stub jumps to, with its index in eax.
pub fn entry_address() -> u64 {
    lpcrun_gate64 as *const () as u64
}

/// Returns the address guest functions called by [`call_guest`] return to.
pub fn return_address() -> u64 {
    lpcrun_enter64_return as *const () as u64
}

/// Calls guest code at `target` and returns `rax`.
///
/// The guest may never return from it, or unwind past it: the caller must hold no lock and own
/// nothing that needs dropping.
pub fn call_guest(target: u64, args: &[u64]) -> u64 {
    // SAFETY: (1) this thread runs on a guest stack with its TEB in GS, as everything reached from
    // `enter_stack` does; (2) the guest keeps the Win64 convention, or has already broken its own process.
    unsafe { lpcrun_enter64(target, args.as_ptr(), args.len()) }
}

/// Runs `function` on the stack that ends at `top`, until it returns or [`leave_stack`] is called.
///
/// # Safety
/// GS must be this thread's TEB, and `top` the 16-byte aligned end of a stack nothing else uses.
pub unsafe fn enter_stack(top: u64, function: extern "C" fn(u64) -> u64, argument: u64) -> u64 {
    // SAFETY: handed on to the caller.
    unsafe { lpcrun_enter_stack(top, function, argument) }
}

/// Leaves the guest stack from any depth: the thread's [`enter_stack`] returns `value`.
///
/// Abandons every frame on the guest stack, guest or host.
pub fn leave_stack(value: u64) -> ! {
    // SAFETY: reached only from code below `enter_stack`, which has stored where to return to.
    unsafe { lpcrun_leave_stack(value) }
}

/// Returns the address of [`leave_stack`] for a signal frame; its argument is in rdi.
pub fn leave_stack_address() -> u64 {
    lpcrun_leave_stack as *const () as u64
}

/// Sets the control words of the x87 and of SSE. Exceptions of the x87 that are pending are forgotten: one that is
/// unmasked would be raised by the next instruction of ours.
pub fn set_float_control(x87: u16, mxcsr: u32) {
    // SAFETY: both are loaded from valid memory; they are the program's own choice, or mask everything.
    unsafe {
        std::arch::asm!("fnclex", "fldcw [{}]", "ldmxcsr [{}]", in(reg) &raw const x87, in(reg) &raw const mxcsr, options(nostack));
    }
}

/// Returns whether `address` lies in the gate before it has built its record.
pub fn contains(address: u64) -> bool {
    (lpcrun_gate64 as *const () as u64..lpcrun_gate64_end as *const () as u64).contains(&address)
}

/// Distance from rbp in a frame of [`call_guest`] down to the word that names the record it crosses.
pub const CROSSED_BELOW_RBP: u64 = 48;
