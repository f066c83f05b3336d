//! Flat FS: the selector of flat data stays in FS, and each crossing writes its base (pe32.md §1.1, method C).
//!
//! A program that loads FS clears the base; the signal entry repairs that. GS is the TEB by its base alone.
#![allow(
    unsafe_code,
    reason = "machine code that switches FS between 32-bit and 64-bit code"
)]

use std::arch::{asm, global_asm};
use std::io;

use super::{Method, Thread};
use crate::gate::gate32::FLAT_DATA;
use crate::teb::host_area;

global_asm!(
    ".globl lpcrun_flat_window",
    ".globl lpcrun_flat_gate",
    ".globl lpcrun_flat_returned",
    ".globl lpcrun_flat_leave",
    ".globl lpcrun_flat_leave_context",
    ".globl lpcrun_flat_window_end",
    ".globl lpcrun_flat_signal_take",
    ".globl lpcrun_flat_signal_guest",
    ".globl lpcrun_flat_signal_window",
    ".p2align 4",
    "lpcrun_flat_window:",
    "lpcrun_flat_gate:",
    "mov r11d, esp",
    "mov r10, [r15+{host_fs}]",
    "wrfsbase r10",
    "rdgsbase r10",
    "cmp r10, r15",
    "je lpcrun_gate32_host",
    "wrgsbase r15",
    "jmp lpcrun_gate32_host",
    "lpcrun_flat_returned:",
    "mov r10, [r15+{host_fs}]",
    "wrfsbase r10",
    "rdgsbase r10",
    "cmp r10, r15",
    "je lpcrun_return32_host",
    "wrgsbase r15",
    "jmp lpcrun_return32_host",
    "lpcrun_flat_leave:",
    "wrfsbase r15",
    "mov esp, r11d",
    "jmp fword ptr [r15+{far}]",
    "lpcrun_flat_leave_context:",
    "wrfsbase r15",
    "iretq",
    "lpcrun_flat_window_end:",

    "lpcrun_flat_signal_take:",
    "rdfsbase r12",
    "mov rcx, [rax+{host_fs}]",
    "wrfsbase rcx",
    "wrgsbase rax",
    // With selector 0, 32-bit code faults whatever the base is.
    "mov r10d, fs",
    "xor r10d, {flat}",
    "mov rcx, r12",
    "xor rcx, rax",
    "or rcx, r10",
    "neg rcx",
    "sbb ecx, ecx",
    "neg ecx",
    "ret",
    "lpcrun_flat_signal_guest:",
    // The program may have loaded FS itself.
    "mov ecx, {flat}",
    "mov fs, ecx",
    "wrfsbase rax",
    "ret",
    "lpcrun_flat_signal_window:",
    "wrfsbase r12",
    "ret",
    host_fs = const host_area::HOST_FS,
    far = const host_area::FAR_POINTER,
    flat = const FLAT_DATA,
);

unsafe extern "C" {
    fn lpcrun_flat_gate();
    fn lpcrun_flat_returned();
    fn lpcrun_flat_leave();
    fn lpcrun_flat_leave_context();
    fn lpcrun_flat_window();
    fn lpcrun_flat_window_end();
    fn lpcrun_flat_signal_take();
    fn lpcrun_flat_signal_guest();
    fn lpcrun_flat_signal_window();
}

/// The method.
pub static FLAT: Method = Method {
    gate: lpcrun_flat_gate,
    returned: lpcrun_flat_returned,
    leave: lpcrun_flat_leave,
    leave_context: lpcrun_flat_leave_context,
    window: lpcrun_flat_window,
    window_end: lpcrun_flat_window_end,
    signal_take: lpcrun_flat_signal_take,
    signal_guest: lpcrun_flat_signal_guest,
    signal_window: lpcrun_flat_signal_window,
    prepare,
};

/// `HWCAP2_FSGSBASE`. Source: Linux `arch/x86/include/uapi/asm/hwcap2.h`.
const HWCAP2_FSGSBASE: u64 = 2;

/// Returns whether the kernel lets programs use the instructions.
#[must_use]
pub fn is_possible() -> bool {
    // SAFETY: getauxval only reads the auxiliary vector.
    unsafe { libc::getauxval(libc::AT_HWCAP2) & HWCAP2_FSGSBASE != 0 }
}

fn prepare(_teb: u64) -> io::Result<Thread> {
    // SAFETY: FS keeps its base: nothing uses it between the selector's load and the restored base.
    unsafe {
        asm!(
            "rdfsbase {base}",
            "mov fs, {flat:x}",
            "wrfsbase {base}",
            flat = in(reg) u64::from(FLAT_DATA),
            base = out(reg) _,
            options(nostack, preserves_flags),
        );
    }
    Ok(Thread { _descriptor: None })
}
