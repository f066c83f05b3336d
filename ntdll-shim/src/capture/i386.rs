//! The guarded copy and exchange in i386 code, and where a fault shows in a signal's registers.

use core::arch::global_asm;

global_asm!(
    // Between the labels `first` and `last` the stack is that of the label `fault`: edi, esi, ebx, the return address.
    // fn(to, from, len) -> eax = 0, or 1 if an access faulted.
    ".globl ntlpc_guarded_copy",
    ".type ntlpc_guarded_copy, @function",
    "ntlpc_guarded_copy:",
    "    push ebx",
    "    push esi",
    "    push edi",
    "    mov edi, [esp + 16]",
    "    mov esi, [esp + 20]",
    "    mov ecx, [esp + 24]",
    ".globl ntlpc_guarded_copy_first",
    "ntlpc_guarded_copy_first:",
    // Words are written at once, as results are.
    "    mov edx, ecx",
    "    shr ecx, 2",
    "    rep movsd",
    "    mov ecx, edx",
    "    and ecx, 3",
    "    rep movsb",
    "    xor eax, eax",
    "    jmp ntlpc_guarded_copy_last",
    // fn(at, expected: u64, new: u64, seen) -> eax = 0, or 1 if the access faulted. The address has 64 bits.
    ".globl ntlpc_guarded_exchange",
    "ntlpc_guarded_exchange:",
    "    push ebx",
    "    push esi",
    "    push edi",
    "    mov edi, [esp + 16]",
    "    mov eax, [esp + 24]",
    "    mov edx, [esp + 28]",
    "    mov ebx, [esp + 32]",
    "    mov ecx, [esp + 36]",
    "    mov esi, [esp + 40]",
    "    lock cmpxchg8b [edi]",
    "    mov [esi], eax",
    "    mov [esi + 4], edx",
    "    xor eax, eax",
    "    jmp ntlpc_guarded_copy_last",
    ".globl ntlpc_guarded_exchange32",
    "ntlpc_guarded_exchange32:",
    "    push ebx",
    "    push esi",
    "    push edi",
    "    mov edi, [esp + 16]",
    "    mov eax, [esp + 24]",
    "    mov ebx, [esp + 32]",
    "    mov esi, [esp + 40]",
    "    lock cmpxchg [edi], ebx",
    "    mov [esi], eax",
    "    xor eax, eax",
    ".globl ntlpc_guarded_copy_last",
    "ntlpc_guarded_copy_last:",
    "    pop edi",
    "    pop esi",
    "    pop ebx",
    "    ret",
    ".globl ntlpc_guarded_copy_fault",
    "ntlpc_guarded_copy_fault:",
    "    mov eax, 1",
    "    jmp ntlpc_guarded_copy_last",
    ".size ntlpc_guarded_copy, . - ntlpc_guarded_copy",
);

/// Index in `gregs` of the address of the instruction.
pub const INSTRUCTION: usize = libc::REG_EIP as usize;

/// Addresses from here on are never guest memory: the kernel's, or its page for system calls (a 64-bit kernel leaves a 32-bit
/// process everything below).
pub const USER_END: u64 = 0xFFFF_0000;
