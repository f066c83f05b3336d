//! The guarded copy and exchange in x86-64 code, and where a fault shows in a signal's registers.

use core::arch::global_asm;

global_asm!(
    // fn(rdi = to, rsi = from, rdx = len) -> rax = 0, or 1 if an access faulted.
    ".globl ntlpc_guarded_copy",
    ".type ntlpc_guarded_copy, @function",
    "ntlpc_guarded_copy:",
    "    mov rcx, rdx",
    "    cmp rdx, 16",
    "    ja 3f",
    "    jb 4f",
    ".globl ntlpc_guarded_copy_first",
    "ntlpc_guarded_copy_first:",
    // Exactly 16 bytes.
    "    mov rax, [rsi]",
    "    mov r8, [rsi + 8]",
    "    mov [rdi], rax",
    "    mov [rdi + 8], r8",
    "    xor eax, eax",
    "    ret",
    "3:  cmp rdx, 512",
    "    ja 4f",
    // 17–512 bytes: 16 at a time from the front, the last 16 from the end (overlapping).
    "    movups xmm1, [rsi + rdx - 16]",
    "5:  movups xmm0, [rsi]",
    "    movups [rdi], xmm0",
    "    add rsi, 16",
    "    add rdi, 16",
    "    sub rcx, 16",
    "    cmp rcx, 16",
    "    ja 5b",
    "    movups [rdi + rcx - 16], xmm1",
    "    xor eax, eax",
    "    ret",
    // Words and single bytes, as results and probes are.
    "4:  cmp rdx, 8",
    "    jne 6f",
    "    mov rax, [rsi]",
    "    mov [rdi], rax",
    "    xor eax, eax",
    "    ret",
    "6:  cmp rdx, 1",
    "    jne 7f",
    "    mov al, [rsi]",
    "    mov [rdi], al",
    "    xor eax, eax",
    "    ret",
    "7:  rep movsb",
    "    xor eax, eax",
    "    ret",
    // fn(rdi = at, rsi = expected, rdx = new, rcx = seen) -> rax = 0, or 1 if the access faulted.
    ".globl ntlpc_guarded_exchange",
    "ntlpc_guarded_exchange:",
    "    mov rax, rsi",
    "    lock cmpxchg [rdi], rdx",
    "    mov [rcx], rax",
    "    xor eax, eax",
    "    ret",
    ".globl ntlpc_guarded_exchange32",
    "ntlpc_guarded_exchange32:",
    "    mov eax, esi",
    "    lock cmpxchg [rdi], edx",
    "    mov [rcx], rax",
    "    xor eax, eax",
    "    ret",
    ".globl ntlpc_guarded_copy_last",
    "ntlpc_guarded_copy_last:",
    ".globl ntlpc_guarded_copy_fault",
    "ntlpc_guarded_copy_fault:",
    "    mov eax, 1",
    "    ret",
    ".size ntlpc_guarded_copy, . - ntlpc_guarded_copy",
);

/// Index in `gregs` of the address of the instruction.
pub const INSTRUCTION: usize = libc::REG_RIP as usize;

/// Addresses from here on are never guest memory on Linux x86-64 (man 2 mmap: 47-bit user space).
pub const USER_END: u64 = 0x7FFF_FFFF_0000;
