//! Routines that compilers for i386 call with conventions of their own: they move the caller's stack or take registers, so they are
//! 32-bit code and not calls of ours.
//!
//! Sources: Microsoft Learn, "/Gs (Control Stack Checking Calls)" and "_chkstk Routine"; LLVM `X86FrameLowering.cpp` and
//! `X86ISelLowering.cpp` (`_chkstk`, shifts of 64 bits); R. Rolles and I. Skochinsky, "Reversing Microsoft Visual C++" (the frame
//! `_EH_prolog` makes).
#![allow(unsafe_code, reason = "machine code between labels")]

use std::arch::global_asm;

use crate::export::Code32;
use crate::win_api;

global_asm!(
    ".code32",
    // Takes eax bytes of stack and touches each page on the way, since the page below the guard page cannot grow.
    ".macro lpcrun_take_stack",
    "    push ecx",
    "    lea ecx, [esp + 8]",
    "91: cmp eax, 0x1000",
    "    jb 92f",
    "    sub ecx, 0x1000",
    "    test [ecx], eax",
    "    sub eax, 0x1000",
    "    jmp 91b",
    "92: sub ecx, eax",
    "    test [ecx], eax",
    "    mov eax, esp",
    "    mov esp, ecx",
    "    mov ecx, [eax]",
    "    mov eax, [eax + 4]",
    "    push eax",
    "    ret",
    ".endm",
    // Rounds eax up so that the new top of the stack is a multiple; too much stays too much.
    ".macro lpcrun_round multiple",
    "    push ecx",
    "    lea ecx, [esp + 8]",
    "    sub ecx, eax",
    "    and ecx, \\multiple - 1",
    "    add eax, ecx",
    "    sbb ecx, ecx",
    "    or eax, ecx",
    "    pop ecx",
    ".endm",
    "lpcrun_chkstk:",
    "    lpcrun_take_stack",
    "lpcrun_chkstk_end:",
    "lpcrun_alloca_probe_8:",
    "    lpcrun_round 8",
    "    lpcrun_take_stack",
    "lpcrun_alloca_probe_8_end:",
    "lpcrun_alloca_probe_16:",
    "    lpcrun_round 16",
    "    lpcrun_take_stack",
    "lpcrun_alloca_probe_16_end:",
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
    // edx:eax by cl bits.
    "lpcrun_allshl:",
    "    cmp cl, 64",
    "    jae 94f",
    "    cmp cl, 32",
    "    jae 93f",
    "    shld edx, eax, cl",
    "    shl eax, cl",
    "    ret",
    "93: mov edx, eax",
    "    xor eax, eax",
    "    shl edx, cl",
    "    ret",
    "94: xor eax, eax",
    "    xor edx, edx",
    "    ret",
    "lpcrun_allshl_end:",
    "lpcrun_allshr:",
    "    cmp cl, 64",
    "    jae 94f",
    "    cmp cl, 32",
    "    jae 93f",
    "    shrd eax, edx, cl",
    "    sar edx, cl",
    "    ret",
    "93: mov eax, edx",
    "    sar edx, 31",
    "    sar eax, cl",
    "    ret",
    "94: sar edx, 31",
    "    mov eax, edx",
    "    ret",
    "lpcrun_allshr_end:",
    "lpcrun_aullshr:",
    "    cmp cl, 64",
    "    jae 94f",
    "    cmp cl, 32",
    "    jae 93f",
    "    shrd eax, edx, cl",
    "    shr edx, cl",
    "    ret",
    "93: mov eax, edx",
    "    xor edx, edx",
    "    shr eax, cl",
    "    ret",
    "94: xor eax, eax",
    "    xor edx, edx",
    "    ret",
    "lpcrun_aullshr_end:",
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
    /// Takes eax bytes of stack and a few more, down to a multiple of 8.
    "ntdll.dll" code32 _alloca_probe_8 : between!(lpcrun_alloca_probe_8, lpcrun_alloca_probe_8_end);
    /// Takes eax bytes of stack and a few more, down to a multiple of 16.
    "ntdll.dll" code32 _alloca_probe_16 : between!(lpcrun_alloca_probe_16, lpcrun_alloca_probe_16_end);
    /// Makes the frame of a C++ function with an exception handler, which is in eax.
    "msvcrt.dll|ucrtbase.dll" code32 _EH_prolog : between!(lpcrun_eh_prolog, lpcrun_eh_prolog_end);
    /// Shifts edx:eax left by cl.
    "ntdll.dll" code32 _allshl : between!(lpcrun_allshl, lpcrun_allshl_end);
    /// Shifts edx:eax right by cl, with sign.
    "ntdll.dll" code32 _allshr : between!(lpcrun_allshr, lpcrun_allshr_end);
    /// Shifts edx:eax right by cl, without sign.
    "ntdll.dll" code32 _aullshr : between!(lpcrun_aullshr, lpcrun_aullshr_end);
}
