//! The i386 gate: far jumps between our 64-bit code and the program's 32-bit code.
//!
//! Facts and measurements: pe32.md §1–§4. In 32-bit code r15 holds the address of the thread's TEB, which that code
//! can neither see nor change; FS has the TEB as its base. In our code FS is the host's thread pointer and GS the TEB,
//! as for x64 programs. Both run on the guest's stack, below 4 GiB.
//!
//! How FS changes is the business of the [method](fs::Method). All instructions at which FS may be the guest's lie in
//! its *window*, which [`super::signals`] knows.
#![allow(
    unsafe_code,
    reason = "machine code that switches between 32-bit and 64-bit code"
)]

use std::arch::{asm, global_asm};
use std::io;
use std::mem::offset_of;
use std::sync::atomic::{AtomicU32, Ordering};

use super::activation::{Activation, dispatch};
use super::{fs, stubs};
use crate::guest::Ptr;
use crate::teb::host_area;
use crate::vm::{self, PAGE, page};

/// Selector of 32-bit code in the descriptor table of every x86-64 Linux (pe32.md §1).
pub const GUEST_CODE: u16 = 0x23;
/// Selector of flat data, for DS, ES, SS and, with one method, FS.
pub const FLAT_DATA: u16 = 0x2b;

global_asm!(
    // A stub was called, and the method has given us FS and GS: eax is its index, r11 the guest's esp.
    ".globl lpcrun_gate32_host",
    ".p2align 4",
    "lpcrun_gate32_host:",
    "lea rsp, [r11-{size}]",
    "and rsp, -16",
    "mov [rsp+{rsp}], r11",
    "mov ebx, ebx",
    "mov [rsp+{rbx}], rbx",
    "mov ebp, ebp",
    "mov [rsp+{rbp}], rbp",
    "mov esi, esi",
    "mov [rsp+{rsi}], rsi",
    "mov edi, edi",
    "mov [rsp+{rdi}], rdi",
    "movq [rsp+{floats}], xmm0",
    "movq [rsp+{floats}+8], xmm1",
    "mov [rsp+{registers}], ecx",
    "mov [rsp+{registers}+4], edx",
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
    "mov r15, gs:[{this}]",
    "mov ecx, [rsp+{stub_return}]",
    "mov [r15+{far}], ecx",
    "cmp dword ptr [rsp+{is_float}], 0",
    "je 2f",
    "mov [rsp+{floats}], rax",
    "fld qword ptr [rsp+{floats}]",
    "2:",
    "movq xmm0, rax",
    "mov rdx, rax",
    "shr rdx, 32",
    "mov r11, [rsp+{rsp}]",
    "mov rbx, [rsp+{rbx}]",
    "mov rbp, [rsp+{rbp}]",
    "mov rsi, [rsp+{rsi}]",
    "mov rdi, [rsp+{rdi}]",
    "mov r10, [rip+{method}]",
    "jmp qword ptr [r10+{leave}]",
    ".globl lpcrun_gate32_end",
    "lpcrun_gate32_end:",

    // enter32(target: rdi, args: rsi, count: rdx, return stub: rcx) -> edx:eax
    ".globl lpcrun_enter32",
    ".p2align 4",
    "lpcrun_enter32:",
    "push rbp",
    "mov rbp, rsp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    // [rbp-48]: the record this call crosses; none is current while the guest runs.
    "push qword ptr gs:[{top}]",
    "mov qword ptr gs:[{top}], 0",
    "lea rax, [rdx*4+15]",
    "and rax, -16",
    "sub rsp, rax",
    "and rsp, -16",
    "xor r8d, r8d",
    "2:",
    "cmp r8, rdx",
    "jae 3f",
    "mov eax, [rsi+r8*8]",
    "mov [rsp+r8*4], eax",
    "inc r8",
    "jmp 2b",
    "3:",
    "mov [rsp-4], ecx",
    "lea r11, [rsp-4]",
    "mov r15, gs:[{this}]",
    "mov [r15+{far}], edi",
    // No addresses of ours for the program to see.
    "xor eax, eax",
    "xor ebx, ebx",
    "xor ecx, ecx",
    "xor edx, edx",
    "xor esi, esi",
    "xor edi, edi",
    "mov r10, [rip+{method}]",
    "jmp qword ptr [r10+{leave}]",
    ".globl lpcrun_return32_host",
    "lpcrun_return32_host:",
    "mov ebp, ebp",
    "lea rsp, [rbp-48]",
    "cld",
    "mov eax, eax",
    "shl rdx, 32",
    "or rax, rdx",
    "pop qword ptr gs:[{top}]",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "ret",

    // resume32(registers: rdi, in the order of Registers) -> !
    ".globl lpcrun_resume32",
    "lpcrun_resume32:",
    "fxrstor64 [rdi+{fx}]",
    "mov qword ptr gs:[{top}], 0",
    "mov r15, gs:[{this}]",
    "mov eax, [rdi+{gpr}]",
    "mov ecx, [rdi+{gpr}+4]",
    "mov edx, [rdi+{gpr}+8]",
    "mov ebx, [rdi+{gpr}+12]",
    "mov ebp, [rdi+{gpr}+20]",
    "mov esi, [rdi+{gpr}+24]",
    "lea rsp, [rdi+{iret}]",
    "mov edi, [rdi+{gpr}+28]",
    "mov r10, [rip+{method}]",
    "jmp qword ptr [r10+{leave_context}]",
    size = const size_of::<Activation>(),
    rsp = const offset_of!(Activation, rsp),
    rbx = const offset_of!(Activation, rbx),
    rbp = const offset_of!(Activation, rbp),
    rsi = const offset_of!(Activation, rsi),
    rdi = const offset_of!(Activation, rdi),
    registers = const offset_of!(Activation, registers32),
    stub_return = const offset_of!(Activation, stub_return),
    is_float = const offset_of!(Activation, is_float),
    floats = const offset_of!(Activation, float_args),
    mxcsr = const offset_of!(Activation, mxcsr),
    fpcw = const offset_of!(Activation, fpcw),
    stub = const offset_of!(Activation, stub),
    context = const offset_of!(Activation, context),
    top = const host_area::TOP_ACTIVATION,
    this = const host_area::THIS,
    far = const host_area::FAR_POINTER,
    fx = const offset_of!(Registers, fx),
    gpr = const offset_of!(Registers, gpr),
    iret = const offset_of!(Registers, iret),
    dispatch = sym dispatch,
    method = sym fs::METHOD,
    leave = const offset_of!(fs::Method, leave),
    leave_context = const offset_of!(fs::Method, leave_context),
);

unsafe extern "C" {
    fn lpcrun_gate32_host();
    fn lpcrun_gate32_end();
    fn lpcrun_enter32(target: u64, args: *const u64, count: usize, return_stub: u64) -> u64;
    fn lpcrun_resume32(registers: *const Registers) -> !;
}

/// Every register of a 32-bit context, as [`resume`] loads them.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct Registers {
    /// FXSAVE image.
    pub fx: [u8; 512],
    /// eax, ecx, edx, ebx, esp, ebp, esi, edi.
    pub gpr: [u32; 8],
    /// eip, cs, eflags, esp, ss.
    pub iret: [u64; 5],
}

/// Code in low memory that the gate needs, each part in its place on one page.
mod low {
    /// 64-bit: to the gate.
    pub const GATE: u64 = 0x00;
    /// 64-bit: to the return of [`super::call_guest`].
    pub const RETURN: u64 = 0x10;
    /// 32-bit: where functions called by [`super::call_guest`] return to.
    pub const RETURN_STUB: u64 = 0x20;
    /// 32-bit: calls a function with another frame pointer.
    pub const CALL_IN_FRAME: u64 = 0x30;
    /// 32-bit: calls a function with its first argument in ecx.
    pub const CALL_METHOD: u64 = 0x50;
    /// 32-bit: what programs call for a system service.
    pub const SYSTEM_SERVICE: u64 = 0x60;
}

/// `push ebp; push ebx; push esi; push edi; mov ebp, [esp+24]; call [esp+20]; pop edi; pop esi; pop ebx; pop ebp; ret`
const CALL_IN_FRAME: [u8; 17] = [
    0x55, 0x53, 0x56, 0x57, 0x8b, 0x6c, 0x24, 0x18, 0xff, 0x54, 0x24, 0x14, 0x5f, 0x5e, 0x5b, 0x5d,
    0xc3,
];
/// `pop edx; pop eax; pop ecx; push edx; jmp eax`
const CALL_METHOD: [u8; 6] = [0x5a, 0x58, 0x59, 0x52, 0xff, 0xe0];
/// `mov eax, STATUS_INVALID_SYSTEM_SERVICE; ret`: the numbers are private to each version of Windows, so none is known.
const SYSTEM_SERVICE: [u8; 6] = [0xb8, 0x1c, 0x00, 0x00, 0xc0, 0xc3];

/// Returns the page of low code, made on first use.
fn low_page() -> u64 {
    static PAGE_AT: AtomicU32 = AtomicU32::new(0);
    let known = PAGE_AT.load(Ordering::Acquire);
    if known != 0 {
        return known.into();
    }
    let base = vm::low::allocate_image(PAGE);
    let put = |offset: u64, code: &[u8]| Ptr::<u8>::new(base + offset).write_bytes(code);
    let method = fs::chosen();
    put(low::GATE, &stubs::jump(method.gate as *const () as u64));
    put(
        low::RETURN,
        &stubs::jump(method.returned as *const () as u64),
    );
    put(low::RETURN_STUB, &far_jump(base + low::RETURN));
    put(low::CALL_IN_FRAME, &CALL_IN_FRAME);
    put(low::CALL_METHOD, &CALL_METHOD);
    put(low::SYSTEM_SERVICE, &SYSTEM_SERVICE);
    vm::low::seal(base, PAGE, page::EXECUTE_READ);
    // A second thread that came here at the same time has made a page as good as this one.
    PAGE_AT.store(base as u32, Ordering::Release);
    base
}

/// Returns the 64-bit code address, below 4 GiB, that stubs jump to with their index in eax.
pub fn entry_address() -> u64 {
    low_page() + low::GATE
}

/// Returns the address guest functions called by [`call_guest`] return to.
pub fn return_address() -> u64 {
    low_page() + low::RETURN_STUB
}

/// Returns the 32-bit code address that programs call for a system service where they find a 64-bit Windows.
pub fn system_service_address() -> u64 {
    low_page() + low::SYSTEM_SERVICE
}

/// Returns the code of `jmp far` from 32-bit code to 64-bit code at `target`.
pub fn far_jump(target: u64) -> [u8; 7] {
    let mut code = [0xea; 7];
    code[1..5].copy_from_slice(&(target as u32).to_le_bytes());
    code[5..].copy_from_slice(&host_code_selector().to_le_bytes());
    code
}

/// Returns the selector of our own code.
pub fn host_code_selector() -> u16 {
    let selector: u16;
    // SAFETY: reading CS has no effect.
    unsafe { asm!("mov {:x}, cs", out(reg) selector, options(nomem, nostack, preserves_flags)) };
    selector
}

/// Calls 32-bit guest code at `target` and returns `edx:eax`.
///
/// The guest may never return from it, or unwind past it: the caller must hold no lock and own nothing that needs
/// dropping.
pub fn call_guest(target: u64, args: &[u64]) -> u64 {
    // SAFETY: (1) this thread runs on a guest stack with its TEB in GS and was prepared by `prepare_thread`; (2) the
    // guest preserves ebp and its stack, or has already broken its own process.
    unsafe { lpcrun_enter32(target, args.as_ptr(), args.len(), return_address()) }
}

/// Calls guest code at `target` with `frame` in ebp, as exception filters of a frame expect, and returns `eax`.
pub fn call_in_frame(target: u64, frame: u64) -> u32 {
    call_guest(low_page() + low::CALL_IN_FRAME, &[target, frame]) as u32
}

/// Calls a method at `target`: the first argument is in ecx, the method removes the others from the stack.
pub fn call_method(target: u64, args: &[u64]) -> u64 {
    /// Most arguments; functions of the runtime library pass no more.
    const MAX: usize = 3;
    let mut all = [target; 1 + MAX];
    all[1..=args.len()].copy_from_slice(args);
    call_guest(low_page() + low::CALL_METHOD, &all[..=args.len()])
}

/// Continues at a 32-bit context. Abandons all frames of this thread's stack below the context's stack pointer.
pub fn resume(registers: &Registers) -> ! {
    // SAFETY: the routine reads the registers, which stay valid on this frame until the last access in iretq.
    unsafe { lpcrun_resume32(registers) }
}

/// Loads DS and ES of the calling thread for 32-bit code.
pub fn load_flat_data() {
    // SAFETY: both mean nothing to 64-bit code.
    unsafe {
        asm!("mov ds, {flat:x}", "mov es, {flat:x}", flat = in(reg) FLAT_DATA, options(nostack, preserves_flags));
    }
}

/// Prepares the calling thread, whose TEB is the base of GS, for 32-bit code: its segment registers, and what the gate
/// must find.
///
/// # Errors
/// There is no descriptor left.
pub fn prepare_thread(teb: u64) -> io::Result<fs::Thread> {
    let far = teb + host_area::FAR_POINTER as u64;
    Ptr::<u16>::new(far + 4).write(GUEST_CODE);
    low_page();
    fs::prepare_thread(teb)
}

/// Returns whether `address` lies in the gate before it has built its record.
pub fn contains(address: u64) -> bool {
    let start = lpcrun_gate32_host as *const () as u64;
    (start..lpcrun_gate32_end as *const () as u64).contains(&address)
}
