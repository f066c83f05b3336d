//! FS by a descriptor of each thread's own, whose base is the TEB (pe32.md §1.1, method D): for machines without FSGSBASE.
//!
//! 32-bit code has the descriptor's selector in FS. In code of ours the selector is 0, and the base, the host's thread
//! pointer, is set by a system call each time 32-bit code comes to us: without FSGSBASE the kernel keeps a selector or
//! a base, not both. GS has the descriptor in both, so that a program which loads GS is noticed by the selector.
//!
//! No instruction of FSGSBASE is executed. A signal finds the host's FS base behind the TEB, whose address is in r15.
#![allow(
    unsafe_code,
    reason = "machine code that switches FS between 32-bit and 64-bit code"
)]

use std::arch::{asm, global_asm};
use std::io;

use super::table;
use super::{Method, Thread};
use crate::guest::Ptr;
use crate::linux::ARCH_SET_FS;
use crate::teb::host_area;

global_asm!(
    ".globl lpcrun_ldt_window",
    ".globl lpcrun_ldt_gate",
    ".globl lpcrun_ldt_returned",
    ".globl lpcrun_ldt_leave",
    ".globl lpcrun_ldt_leave_context",
    ".globl lpcrun_ldt_window_end",
    ".globl lpcrun_ldt_signal_take",
    ".globl lpcrun_ldt_signal_guest",
    ".globl lpcrun_ldt_signal_window",
    ".p2align 4",
    "lpcrun_ldt_window:",
    "lpcrun_ldt_gate:",
    // The call changes rax, rcx and r11 (System V ABI, A.2.1); r8 to r14 are ours here.
    "mov r14d, esp",
    "mov r8d, eax",
    "mov r9d, ecx",
    "mov r12d, edi",
    "mov r13d, esi",
    "mov edi, {set_fs}",
    "mov rsi, [r15+{host_fs}]",
    "mov eax, {arch_prctl}",
    "syscall",
    "mov eax, r8d",
    "mov ecx, r9d",
    "mov edi, r12d",
    "mov esi, r13d",
    "mov r11d, r14d",
    "mov r10d, gs",
    "cmp r10w, [r15+{selector}]",
    "je lpcrun_gate32_host",
    "mov gs, word ptr [r15+{selector}]",
    "jmp lpcrun_gate32_host",
    "lpcrun_ldt_returned:",
    "mov r8d, eax",
    "mov edi, {set_fs}",
    "mov rsi, [r15+{host_fs}]",
    "mov eax, {arch_prctl}",
    "syscall",
    "mov eax, r8d",
    "mov r10d, gs",
    "cmp r10w, [r15+{selector}]",
    "je lpcrun_return32_host",
    "mov gs, word ptr [r15+{selector}]",
    "jmp lpcrun_return32_host",
    "lpcrun_ldt_leave:",
    "mov fs, word ptr [r15+{selector}]",
    "mov esp, r11d",
    "jmp fword ptr [r15+{far}]",
    "lpcrun_ldt_leave_context:",
    "mov fs, word ptr [r15+{selector}]",
    "iretq",
    "lpcrun_ldt_window_end:",

    "lpcrun_ldt_signal_take:",
    "mov r12d, fs",
    "mov r8, rdi",
    "mov r9, rsi",
    "mov r10, rax",
    "mov edi, {set_fs}",
    "mov rsi, [r10+{host_fs}]",
    "mov eax, {arch_prctl}",
    "syscall",
    "mov rdi, r8",
    "mov rsi, r9",
    "mov gs, word ptr [r10+{selector}]",
    "xor ecx, ecx",
    "cmp r12w, [r10+{selector}]",
    "setne cl",
    "ret",
    "lpcrun_ldt_signal_guest:",
    "mov fs, word ptr [rax+{selector}]",
    "ret",
    "lpcrun_ldt_signal_window:",
    // With selector 0 it was ours already, or about to become ours.
    "test r12d, r12d",
    "je 2f",
    "mov fs, r12d",
    "2:",
    "ret",
    host_fs = const host_area::HOST_FS,
    selector = const host_area::SELECTOR,
    far = const host_area::FAR_POINTER,
    set_fs = const ARCH_SET_FS,
    arch_prctl = const libc::SYS_arch_prctl,
);

unsafe extern "C" {
    fn lpcrun_ldt_gate();
    fn lpcrun_ldt_returned();
    fn lpcrun_ldt_leave();
    fn lpcrun_ldt_leave_context();
    fn lpcrun_ldt_window();
    fn lpcrun_ldt_window_end();
    fn lpcrun_ldt_signal_take();
    fn lpcrun_ldt_signal_guest();
    fn lpcrun_ldt_signal_window();
}

/// The method.
pub static LDT: Method = Method {
    gate: lpcrun_ldt_gate,
    returned: lpcrun_ldt_returned,
    leave: lpcrun_ldt_leave,
    leave_context: lpcrun_ldt_leave_context,
    window: lpcrun_ldt_window,
    window_end: lpcrun_ldt_window_end,
    signal_take: lpcrun_ldt_signal_take,
    signal_guest: lpcrun_ldt_signal_guest,
    signal_window: lpcrun_ldt_signal_window,
    prepare,
};

/// The descriptor of the thread that made it.
#[derive(Debug)]
pub struct Descriptor {
    index: u16,
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        load_gs(0);
        table::free(self.index);
    }
}

fn prepare(teb: u64) -> io::Result<Thread> {
    let index = table::allocate(teb as u32)?;
    let selector = table::selector(index);
    Ptr::<u16>::new(teb + host_area::SELECTOR as u64).write(selector);
    load_gs(selector);
    Ok(Thread {
        _descriptor: Some(Descriptor { index }),
    })
}

/// Loads GS with 0 or the selector of a descriptor in the table.
fn load_gs(selector: u16) {
    // SAFETY: such a selector does not fault. GS is not the host's; its base becomes 0 at the end of a thread, and in
    // `prepare` the TEB's address, which it was before.
    unsafe { asm!("mov gs, {:x}", in(reg) selector, options(nostack, preserves_flags)) };
}
