//! Whether this machine runs 32-bit code in a 64-bit process.
#![allow(unsafe_code, reason = "tries 32-bit code in a forked child")]

use std::arch::global_asm;

use super::gate32;
use crate::guest::Ptr;

/// `HWCAP2_FSGSBASE`. Source: Linux `arch/x86/include/uapi/asm/hwcap2.h`.
const HWCAP2_FSGSBASE: u64 = 2;

global_asm!(
    // probe32(page: rdi, code selector: esi) -> eax: far jump to the 32-bit code at the page and back.
    ".globl lpcrun_probe32",
    "lpcrun_probe32:",
    "push r12",
    "push r14",
    "push r15",
    "mov r15, rdi",
    "mov r14, rsp",
    "rdfsbase r12",
    "lea rax, [rip+2f]",
    "mov [rdi+{back}], rax",
    "mov eax, {flat}",
    "mov ds, eax",
    "mov es, eax",
    "mov fs, eax",
    "wrfsbase rdi",
    "jmp fword ptr [r15+{far}]",
    "2:",
    "mov rsp, r14",
    "wrfsbase r12",
    "pop r15",
    "pop r14",
    "pop r12",
    "ret",
    back = const BACK + 6,
    far = const FAR,
    flat = const gate32::FLAT_DATA,
);

unsafe extern "C" {
    fn lpcrun_probe32(page: u64) -> u32;
}

/// Where the word lies that the probe reads through FS, as the TEB's own address does.
const SELF: u64 = 0x18;
/// The far pointer to [`CODE`].
const FAR: u64 = 0x20;
/// 32-bit code.
const CODE: u64 = 0x40;
/// 64-bit `jmp [rip+0]` with its target behind it.
const BACK: u64 = 0x60;

/// Says why 32-bit programs cannot run on this machine and what would help.
///
/// # Errors
/// One line of text.
pub fn check() -> Result<(), &'static str> {
    // SAFETY: getauxval only reads the auxiliary vector.
    if unsafe { libc::getauxval(libc::AT_HWCAP2) } & HWCAP2_FSGSBASE == 0 {
        return Err("32-bit programs need the FSGSBASE instructions: \
            a CPU of 2013 or later and Linux 5.9 or later, not booted with nofsgsbase");
    }
    let page = crate::vm::low::allocate_image(crate::vm::PAGE);
    let put = |offset: u64, bytes: &[u8]| Ptr::<u8>::new(page + offset).write_bytes(bytes);
    put(SELF, &(page as u32).to_le_bytes());
    put(FAR, &((page + CODE) as u32).to_le_bytes());
    put(FAR + 4, &gate32::GUEST_CODE.to_le_bytes());
    // mov eax, fs:[0x18]
    put(CODE, &[0x64, 0xa1, SELF as u8, 0, 0, 0]);
    put(CODE + 6, &gate32::far_jump(page + BACK));
    put(BACK, &[0xff, 0x25, 0, 0, 0, 0]);
    let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    if crate::vm::sys::protect(page as usize, crate::vm::PAGE, protection).is_err() {
        return Err(
            "32-bit programs need memory below 4 GiB that may be executed: \
            the security policy of this system forbids it",
        );
    }
    let works = runs_in_child(page);
    crate::vm::low::seal(page, crate::vm::PAGE, crate::vm::page::READONLY);
    if works {
        Ok(())
    } else {
        Err(
            "this system does not run 32-bit code in 64-bit processes (an emulator or a sandbox \
            without 32-bit segments); run 32-bit programs on a plain Linux x86-64 kernel, or with --host wine",
        )
    }
}

/// Tries it where a fault, or a kill by a system call filter, hurts nobody.
fn runs_in_child(page: u64) -> bool {
    // SAFETY: the process has one thread yet, so the child may run anything.
    let child = unsafe { libc::fork() };
    if child == 0 {
        for signal in super::signals::FAULTS {
            // SAFETY: SIG_DFL is a valid disposition.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        // SAFETY: `check` has written the page; if the machine does not do what it should, the child dies.
        let is_right = unsafe { lpcrun_probe32(page) } == page as u32;
        // SAFETY: always; nothing of the parent's is flushed twice.
        unsafe { libc::_exit(i32::from(!is_right)) };
    }
    let mut status = -1;
    // SAFETY: `status` is valid for the call.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    child > 0 && waited == child && status == 0
}
