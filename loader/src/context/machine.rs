//! The registers of a thread that a signal interrupted.
#![allow(unsafe_code, reason = "signal frames")]

use ntlpc_abi::Width;

use super::Context;
use crate::gate::{self, gate32, host_code};
use crate::width;

/// The registers in a signal frame.
#[derive(Debug)]
pub struct Machine<'a> {
    frame: &'a mut libc::ucontext_t,
}

/// General registers in the order of `Context::gpr`.
const ORDER: [i32; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

impl<'a> Machine<'a> {
    /// Gives access to the registers of a frame.
    pub fn new(frame: &'a mut libc::ucontext_t) -> Self {
        Machine { frame }
    }

    /// Returns the instruction pointer.
    #[must_use]
    pub fn rip(&self) -> u64 {
        self.get(libc::REG_RIP)
    }

    /// Returns whether the thread was interrupted in code of the program.
    #[must_use]
    pub fn is_in_guest_code(&self) -> bool {
        let rip = self.rip();
        match width() {
            Width::X64 => !gate::gate_contains(rip) && !host_code::contains(rip),
            Width::X86 => self.code_selector() != gate32::host_code_selector(),
        }
    }

    fn code_selector(&self) -> u16 {
        self.get(libc::REG_CSGSFS) as u16
    }

    /// Makes the thread continue in code of ours.
    pub fn go_to_host(&mut self, rip: u64) {
        let segments = self.get(libc::REG_CSGSFS) & !0xffff;
        let selector = gate32::host_code_selector();
        self.set(libc::REG_CSGSFS, segments | u64::from(selector));
        self.set(libc::REG_RIP, rip);
    }

    /// Makes the thread continue with these registers.
    pub fn set_context(&mut self, context: &Context) {
        // r8–r15 are not the program's in 32-bit code.
        let count = width().pick(8, 16);
        for (value, register) in context.gpr.into_iter().zip(ORDER).take(count) {
            self.set(register, value);
        }
        self.set(libc::REG_RIP, context.rip);
        self.set(libc::REG_EFL, u64::from(context.eflags & 0x0dd5 | 0x202));
        let float = self.frame.uc_mcontext.fpregs;
        if !float.is_null() {
            let mut image = *context;
            image.fx_header[24..28].copy_from_slice(&(context.mxcsr & 0xffff).to_le_bytes());
            // SAFETY: as in `context`. The first 464 bytes are registers; the rest says what else the frame holds.
            unsafe {
                let from = (&raw const image.fx_header).cast::<u8>();
                std::ptr::copy_nonoverlapping(from, float.cast::<u8>(), 464);
            }
        }
    }

    /// Makes the thread continue in a function that does not return, on its present stack.
    pub fn call(&mut self, function: u64, argument: u64) {
        self.set(libc::REG_RDI, argument);
        self.go_to_host(function);
    }

    pub fn get(&self, register: i32) -> u64 {
        self.frame.uc_mcontext.gregs[register as usize].cast_unsigned()
    }

    pub fn set(&mut self, register: i32, value: u64) {
        self.frame.uc_mcontext.gregs[register as usize] = value.cast_signed();
    }

    /// Returns the whole context that was interrupted.
    #[must_use]
    pub fn context(&self) -> Context {
        let mut context = Context::new();
        let (count, mask) = match width() {
            Width::X64 => (16, u64::MAX),
            Width::X86 => (8, 0xffff_ffff),
        };
        for (to, register) in context.gpr.iter_mut().zip(ORDER).take(count) {
            *to = self.get(register) & mask;
        }
        context.rip = self.get(libc::REG_RIP);
        context.eflags = self.get(libc::REG_EFL) as u32;
        let float = self.frame.uc_mcontext.fpregs;
        if !float.is_null() {
            // SAFETY: the kernel stores a 512-byte FXSAVE image there; the context's has the same layout.
            unsafe {
                let to = (&raw mut context.fx_header).cast::<u8>();
                std::ptr::copy_nonoverlapping(float.cast::<u8>(), to, 512);
                context.mxcsr = (*float).mxcsr;
            }
        }
        context
    }

    /// Gives host code the default rounding and masks.
    pub fn reset_float_control(&mut self) {
        let float = self.frame.uc_mcontext.fpregs;
        if !float.is_null() {
            // SAFETY: as in `context`.
            unsafe {
                (*float).mxcsr = 0x1f80;
                (*float).cwd = 0x27f;
            }
        }
    }
}
