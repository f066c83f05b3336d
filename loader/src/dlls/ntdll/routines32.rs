//! Routines that compilers for i386 call for single operations. They are 32-bit code and not calls of ours: some move the
//! caller's stack, and the others are arithmetic, which a crossing would make ten times as long.
//!
//! Sources: Microsoft Learn, "_chkstk Routine"; I. Skochinsky, "Reversing Microsoft Visual C++ Part II" (the frame `_EH_prolog`
//! makes); LLVM `X86ISelLowering.cpp` (`_alldiv` and its like: stdcall). All were compared with stock Wine 8.0
//! (loader/i386_routines).
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
    // Two numbers of 64 bits on the stack, removed; the low half of their product in edx:eax.
    "lpcrun_allmul:",
    "    mov ecx, [esp + 8]",
    "    imul ecx, [esp + 12]",
    "    mov edx, [esp + 16]",
    "    imul edx, [esp + 4]",
    "    add ecx, edx",
    "    mov eax, [esp + 4]",
    "    mul dword ptr [esp + 12]",
    "    add edx, ecx",
    "    ret 16",
    "lpcrun_allmul_end:",
    // Makes the number at esp + at positive, and changes the sign in esi if it was not.
    ".macro lpcrun_absolute at",
    "    cmp dword ptr [esp + \\at + 4], 0",
    "    jge 9f",
    "    not esi",
    "    neg dword ptr [esp + \\at]",
    "    adc dword ptr [esp + \\at + 4], 0",
    "    neg dword ptr [esp + \\at + 4]",
    "9:",
    ".endm",
    // Dividend and divisor on the stack, removed; the quotient or the remainder in edx:eax. A divisor of 0 faults here.
    ".macro lpcrun_divide is_signed, is_remainder",
    "    push ebx",
    "    push esi",
    "    xor esi, esi",
    ".if \\is_signed",
    "    lpcrun_absolute 20",
    ".if \\is_remainder",
    "    xor esi, esi",
    ".endif",
    "    lpcrun_absolute 12",
    ".endif",
    "    mov eax, [esp + 12]",
    "    mov edx, [esp + 16]",
    "    mov ebx, [esp + 20]",
    "    mov ecx, [esp + 24]",
    "    test ecx, ecx",
    "    jnz 2f",
    // A divisor of 32 bits: one half after the other.
    "    mov ecx, eax",
    "    mov eax, edx",
    "    xor edx, edx",
    "    div ebx",
    "    xchg eax, ecx",
    "    div ebx",
    ".if \\is_remainder",
    "    mov eax, edx",
    "    xor edx, edx",
    ".else",
    "    mov edx, ecx",
    ".endif",
    "    jmp 4f",
    // Else the quotient has 32 bits. That of both shifted right, until the divisor has 32, is the same or one too large.
    "2:  shr edx, 1",
    "    rcr eax, 1",
    "    shr ecx, 1",
    "    rcr ebx, 1",
    "    test ecx, ecx",
    "    jnz 2b",
    "    div ebx",
    // One less, unless it is 0, is the same or one too small: a remainder that the divisor is not greater than says so.
    "    sub eax, 1",
    "    adc eax, 0",
    "    mov ebx, eax",
    "    mov ecx, [esp + 24]",
    "    imul ecx, eax",
    "    mul dword ptr [esp + 20]",
    "    add edx, ecx",
    "    sub [esp + 12], eax",
    "    sbb [esp + 16], edx",
    "    mov eax, [esp + 12]",
    "    mov edx, [esp + 16]",
    "    sub eax, [esp + 20]",
    "    sbb edx, [esp + 24]",
    ".if \\is_remainder",
    "    jae 4f",
    "    mov eax, [esp + 12]",
    "    mov edx, [esp + 16]",
    ".else",
    "    cmc",
    "    adc ebx, 0",
    "    mov eax, ebx",
    "    xor edx, edx",
    ".endif",
    "4:",
    ".if \\is_signed",
    "    xor eax, esi",
    "    xor edx, esi",
    "    sub eax, esi",
    "    sbb edx, esi",
    ".endif",
    "    pop esi",
    "    pop ebx",
    "    ret 16",
    ".endm",
    "lpcrun_alldiv:",
    "    lpcrun_divide 1, 0",
    "lpcrun_alldiv_end:",
    "lpcrun_allrem:",
    "    lpcrun_divide 1, 1",
    "lpcrun_allrem_end:",
    "lpcrun_aulldiv:",
    "    lpcrun_divide 0, 0",
    "lpcrun_aulldiv_end:",
    "lpcrun_aullrem:",
    "    lpcrun_divide 0, 1",
    "lpcrun_aullrem_end:",
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
    /// Multiplies.
    "ntdll.dll" code32 _allmul : between!(lpcrun_allmul, lpcrun_allmul_end);
    /// Divides with sign.
    "ntdll.dll" code32 _alldiv : between!(lpcrun_alldiv, lpcrun_alldiv_end);
    /// Returns the remainder of a division with sign, which is the dividend's.
    "ntdll.dll" code32 _allrem : between!(lpcrun_allrem, lpcrun_allrem_end);
    /// Divides without sign.
    "ntdll.dll" code32 _aulldiv : between!(lpcrun_aulldiv, lpcrun_aulldiv_end);
    /// Returns the remainder of a division without sign.
    "ntdll.dll" code32 _aullrem : between!(lpcrun_aullrem, lpcrun_aullrem_end);
}
