//! `CONTEXT` of x86-64, and continuing at a context. An i386 program sees that of [`super::i386`]; inside, the wider
//! one serves for both.
//!
//! Source: mingw-w64 `winnt.h` `CONTEXT` (AMD64).
#![allow(
    unsafe_code,
    reason = "copies contexts to and from guest memory and loads them into the CPU"
)]

use std::arch::{asm, global_asm};
use std::mem::offset_of;

use ntlpc_abi::Width;

use super::i386;
use crate::gate::{Activation, gate32, stubs};
use crate::guest::Ptr;
use crate::teb::host_area;
use crate::width;

/// Indexes into [`Context::gpr`], in the order of unwind codes.
#[allow(missing_docs, reason = "register names")]
pub mod reg {
    pub const RAX: usize = 0;
    pub const RCX: usize = 1;
    pub const RDX: usize = 2;
    pub const RBX: usize = 3;
    pub const RSP: usize = 4;
    pub const RBP: usize = 5;
    pub const RSI: usize = 6;
    pub const RDI: usize = 7;
    pub const R8: usize = 8;
    pub const R9: usize = 9;
    pub const R12: usize = 12;
}

/// `CONTEXT`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct Context {
    home: [u64; 6],
    /// `ContextFlags`.
    pub flags: u32,
    /// `MxCsr`.
    pub mxcsr: u32,
    /// cs, ds, es, fs, gs, ss.
    pub segments: [u16; 6],
    /// `EFlags`.
    pub eflags: u32,
    debug: [u64; 6],
    /// rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8–r15.
    pub gpr: [u64; 16],
    /// `Rip`.
    pub rip: u64,
    /// FXSAVE image up to the registers: control word first.
    pub fx_header: [u8; 32],
    /// x87 registers.
    pub st: [u128; 8],
    /// xmm0–xmm15.
    pub xmm: [u128; 16],
    fx_rest: [u8; 96],
    vector: [u128; 26],
    vector_control: u64,
    debug_control: [u64; 5],
}

const _: () = assert!(size_of::<Context>() == 0x4d0);
const _: () = assert!(offset_of!(Context, flags) == 0x30);
const _: () = assert!(offset_of!(Context, eflags) == 0x44);
const _: () = assert!(offset_of!(Context, gpr) == 0x78);
const _: () = assert!(offset_of!(Context, rip) == 0xf8);
const _: () = assert!(offset_of!(Context, fx_header) == 0x100);
const _: () = assert!(offset_of!(Context, xmm) == 0x1a0);
const _: () = assert!(offset_of!(Context, vector) == 0x300);

/// `CONTEXT_FULL | CONTEXT_SEGMENTS`: everything but debug registers.
pub const CONTEXT_ALL: u32 = 0x10_000f;
/// `CONTEXT_FLOATING_POINT`.
const CONTEXT_FLOATING_POINT: u32 = 0x8;

impl Context {
    /// Returns an empty context that claims to be complete.
    #[must_use]
    pub fn new() -> Context {
        let mut fx_header = [0; 32];
        fx_header[..2].copy_from_slice(&0x27f_u16.to_le_bytes());
        fx_header[24..28].copy_from_slice(&0x1f80_u32.to_le_bytes());
        fx_header[28..32].copy_from_slice(&0xffff_u32.to_le_bytes());
        Context {
            home: [0; 6],
            flags: CONTEXT_ALL,
            mxcsr: 0x1f80,
            segments: [0x33, 0x2b, 0x2b, 0x53, 0x2b, 0x2b],
            eflags: 0x202,
            debug: [0; 6],
            gpr: [0; 16],
            rip: 0,
            fx_header,
            st: [0; 8],
            xmm: [0; 16],
            fx_rest: [0; 96],
            vector: [0; 26],
            vector_control: 0,
            debug_control: [0; 5],
        }
    }

    /// Returns where `ContextFlags` lies in the guest's structure.
    #[must_use]
    pub fn flags_offset() -> u64 {
        width().pick(0, 0x30) as u64
    }

    /// Returns the FXSAVE image.
    #[must_use]
    pub fn fxsave(&self) -> [u8; 512] {
        let mut image = [0; 512];
        let at = offset_of!(Context, fx_header);
        image.copy_from_slice(&self.as_bytes()[at..at + 512]);
        image
    }

    /// Replaces the FXSAVE image.
    pub fn set_fxsave(&mut self, image: &[u8; 512]) {
        let (header, rest) = image.split_at(32);
        self.fx_header.copy_from_slice(header);
        let (st, rest) = rest.split_at(128);
        let (xmm, rest) = rest.split_at(256);
        let slots = self.st.iter_mut().chain(&mut self.xmm);
        for (to, from) in slots.zip(st.chunks_exact(16).chain(xmm.chunks_exact(16))) {
            *to = from
                .iter()
                .rev()
                .fold(0, |value, &byte| value << 8 | u128::from(byte));
        }
        self.fx_rest.copy_from_slice(rest);
        self.mxcsr = u32::from_le_bytes([image[24], image[25], image[26], image[27]]);
    }

    /// Takes the chosen parts of `other`, as `SetThreadContext` does.
    pub fn merge(&mut self, other: &Context, control: bool, integer: bool, float: bool) {
        for (register, (mine, theirs)) in self.gpr.iter_mut().zip(other.gpr).enumerate() {
            let is_wanted = if register == reg::RSP {
                control
            } else {
                integer
            };
            if is_wanted {
                *mine = theirs;
            }
        }
        if control {
            self.rip = other.rip;
            self.eflags = other.eflags;
        }
        if float {
            self.fx_header = other.fx_header;
            self.st = other.st;
            self.xmm = other.xmm;
            self.mxcsr = other.mxcsr;
        }
    }

    /// Returns the stack pointer.
    #[must_use]
    pub fn rsp(&self) -> u64 {
        self.gpr[reg::RSP]
    }

    /// Makes the activation record of an exception or unwind in progress whose frame is this context's. The record names
    /// this context: it must live as long.
    #[must_use]
    pub fn activation(&self, scope_index: u32) -> Activation {
        Activation::of_frame(std::ptr::from_ref(self) as u64, scope_index)
    }

    /// Returns the context of the frame around an exception or unwind in progress; `None` for a call.
    #[must_use]
    pub fn of_frame(activation: &Activation) -> Option<Context> {
        // SAFETY: an address that is not null was set by `activation`, and the frame that owns the context lies above every
        // frame that can ask.
        unsafe { (activation.context as *const Context).as_ref() }.copied()
    }

    /// Returns the context of a guest at its call of one of our functions: it stands at the stub.
    #[must_use]
    pub fn of_call(activation: &Activation) -> Context {
        let mut context = Context::new();
        let gpr = &mut context.gpr;
        gpr[reg::RBX] = activation.rbx;
        gpr[reg::RSP] = activation.rsp;
        gpr[reg::RBP] = activation.rbp;
        gpr[reg::RSI] = activation.rsi;
        gpr[reg::RDI] = activation.rdi;
        match width() {
            Width::X64 => {
                gpr[reg::R12..].copy_from_slice(&activation.r12);
                let home = |index: u64| Ptr::<u64>::new(activation.rsp + 8 + 8 * index).read();
                gpr[reg::RCX] = home(0);
                gpr[reg::RDX] = home(1);
                gpr[reg::R8] = home(2);
                gpr[reg::R9] = home(3);
            }
            Width::X86 => {
                let [ecx, edx] = activation.registers32;
                gpr[reg::RCX] = ecx.into();
                gpr[reg::RDX] = edx.into();
            }
        }
        context.rip = stubs::stub(activation.stub).map_or(0, |stub| stub.address);
        if width() == Width::X64 {
            context.set_float_arguments(activation);
        }
        context.mxcsr = activation.mxcsr;
        context.fx_header[..2].copy_from_slice(&activation.fpcw.to_le_bytes());
        context.fx_header[24..28].copy_from_slice(&activation.mxcsr.to_le_bytes());
        context
    }

    /// Returns the context of a guest just after its call of one of our functions.
    #[must_use]
    pub fn after_call(activation: &Activation) -> Context {
        let mut context = Context::of_call(activation);
        context.rip = Ptr::<usize>::new(context.rsp()).read() as u64;
        let removed = match width() {
            Width::X64 => 0,
            Width::X86 => {
                stubs::stub(activation.stub).map_or(0, |stub| stub.target.stack_bytes32())
            }
        };
        context.gpr[reg::RSP] += width().pointer() as u64 + u64::from(removed);
        context
    }

    fn set_float_arguments(&mut self, activation: &Activation) {
        for (to, from) in self.xmm.iter_mut().zip(activation.float_args) {
            *to = from.into();
        }
        self.xmm[6..].copy_from_slice(&activation.xmm);
    }

    /// Sets the result of the call that the context stands behind.
    pub fn set_result(&mut self, result: u64) {
        match width() {
            Width::X64 => self.gpr[reg::RAX] = result,
            Width::X86 => {
                self.gpr[reg::RAX] = result & 0xffff_ffff;
                self.gpr[reg::RDX] = result >> 32;
            }
        }
    }

    /// Reads a context of the guest; a bad address raises an exception in the guest.
    #[must_use]
    pub fn load(at: u64) -> Context {
        match width() {
            // SAFETY: as for `Raw::read`; every bit pattern is a context.
            Width::X64 => unsafe { (at as *const Context).read_unaligned() },
            Width::X86 => i386::decode(&Ptr::new(at).read()),
        }
    }

    /// Writes it to the guest; a bad address raises an exception in the guest.
    pub fn store(&self, at: u64) {
        Ptr::<u8>::new(at).write_bytes(&self.guest_bytes());
    }

    /// Returns the guest's structure.
    #[must_use]
    pub fn guest_bytes(&self) -> Vec<u8> {
        match width() {
            Width::X64 => self.as_bytes().to_vec(),
            Width::X86 => i386::encode(self).to_vec(),
        }
    }

    /// Returns the bytes of this structure itself.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: the asserts above show that no padding lies between fields; the tail is a field too.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).cast(), size_of::<Context>()) }
    }

    /// Loads every register from this context: the guest continues there. Abandons all frames of this thread's stack
    /// below the context's stack pointer.
    pub fn resume(&self) -> ! {
        let mut context = *self;
        // Keep the arithmetic flags, DF and TF; interrupts stay enabled.
        context.eflags = context.eflags & 0x0dd5 | 0x202;
        if context.flags & CONTEXT_FLOATING_POINT == CONTEXT_FLOATING_POINT {
            // Reserved bits of MXCSR would trap in fxrstor.
            context.mxcsr &= 0xffff;
            context.fx_header[24..28].copy_from_slice(&context.mxcsr.to_le_bytes());
        } else {
            // SAFETY: fxsave64 writes 512 bytes at a 16-aligned field of that size.
            unsafe { asm!("fxsave64 [{}]", in(reg) &raw mut context.fx_header, options(nostack)) };
        }
        if width() == Width::X86 {
            gate32::resume(&i386::registers(&context));
        }
        // SAFETY: the routine reads the context, which stays valid on this frame until its last access before iretq.
        unsafe { lpcrun_resume64(&raw const context) }
    }
}

unsafe extern "C" {
    fn lpcrun_resume64(context: *const Context) -> !;
}

global_asm!(
    ".globl lpcrun_resume64",
    ".p2align 4",
    "lpcrun_resume64:",
    "fxrstor64 [rdi+{fx}]",
    "sub rsp, 48",
    "mov rax, [rdi+{rip}]",
    "mov [rsp], rax",
    "mov eax, cs",
    "mov [rsp+8], rax",
    "mov eax, [rdi+{eflags}]",
    "mov [rsp+16], rax",
    "mov rax, [rdi+{gpr}+32]",
    "mov [rsp+24], rax",
    "mov eax, ss",
    "mov [rsp+32], rax",
    "mov qword ptr gs:[{top}], 0",
    "mov rax, [rdi+{gpr}]",
    "mov rcx, [rdi+{gpr}+8]",
    "mov rdx, [rdi+{gpr}+16]",
    "mov rbx, [rdi+{gpr}+24]",
    "mov rbp, [rdi+{gpr}+40]",
    "mov rsi, [rdi+{gpr}+48]",
    "mov r8, [rdi+{gpr}+64]",
    "mov r9, [rdi+{gpr}+72]",
    "mov r10, [rdi+{gpr}+80]",
    "mov r11, [rdi+{gpr}+88]",
    "mov r12, [rdi+{gpr}+96]",
    "mov r13, [rdi+{gpr}+104]",
    "mov r14, [rdi+{gpr}+112]",
    "mov r15, [rdi+{gpr}+120]",
    "mov rdi, [rdi+{gpr}+56]",
    "iretq",
    fx = const offset_of!(Context, fx_header),
    rip = const offset_of!(Context, rip),
    eflags = const offset_of!(Context, eflags),
    gpr = const offset_of!(Context, gpr),
    top = const host_area::TOP_ACTIVATION,
);
