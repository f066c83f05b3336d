//! Routines that compilers for i386 call with conventions of their own: they move the caller's stack, so they are 32-bit code and
//! not calls of ours.
//!
//! Sources: Microsoft Learn, "_chkstk Routine"; I. Skochinsky, "Reversing Microsoft Visual C++ Part II" (the frame `_EH_prolog`
//! makes). Both were compared with stock Wine 8.0 (loader/i386_routines).
#![allow(unsafe_code, reason = "machine code between labels")]

use std::arch::global_asm;

use crate::export::Code32;
use crate::win_api;

global_asm!(
    ".code32",
    // Takes eax bytes of stack and touches each page on the way, since the page below the guard page cannot grow.
    "lpcrun_chkstk:",
    "    push ecx",
    "    lea ecx, [esp + 8]",
    "2:  cmp eax, 0x1000",
    "    jb 3f",
    "    sub ecx, 0x1000",
    "    test [ecx], eax",
    "    sub eax, 0x1000",
    "    jmp 2b",
    "3:  sub ecx, eax",
    "    test [ecx], eax",
    "    mov eax, esp",
    "    mov esp, ecx",
    "    mov ecx, [eax]",
    "    mov eax, [eax + 4]",
    "    push eax",
    "    ret",
    "lpcrun_chkstk_end:",
    // Makes ebp's frame with an exception registration: -1, the handler in eax, the chain.
    "lpcrun_eh_prolog:",
    "    push -1",
    "    push eax",
    "    push dword ptr fs:[0]",
    "    mov fs:[0], esp",
    "    mov eax, [esp + 12]",
    "    mov [esp + 12], ebp",
    "    lea ebp, [esp + 12]",
    "    jmp eax",
    "lpcrun_eh_prolog_end:",
    ".code64",
);

/// Declares the code between two labels.
macro_rules! between {
    ($start:ident, $end:ident) => {{
        unsafe extern "C" {
            static $start: u8;
            static $end: u8;
        }
        Code32::new(&raw const $start, &raw const $end)
    }};
}

win_api! {
    /// Takes eax bytes of stack.
    "ntdll.dll" code32 _chkstk = "_chkstk|_alloca_probe" : between!(lpcrun_chkstk, lpcrun_chkstk_end);
    /// Makes the frame of a C++ function with an exception handler, which is in eax.
    "msvcrt.dll|ucrtbase.dll" code32 _EH_prolog : between!(lpcrun_eh_prolog, lpcrun_eh_prolog_end);
}
