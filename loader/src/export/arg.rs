//! How arguments and results cross the gate, for both widths.

use std::fmt::Write as _;
use std::ops::Range;

use ntlpc_abi::{Handle, NtStatus, UserPtr, Width};

use super::Convention;
use crate::gate::CallFrame;
use crate::guest::{Guest, Ptr};
use crate::width;

/// Walks over the arguments of one call.
#[derive(Debug)]
pub struct ArgCursor<'a> {
    frame: &'a CallFrame,
    /// Address of the first slot.
    slots: u64,
    width: Width,
    next: usize,
    /// Which of ecx and edx hold the next words of an i386 call.
    registers: Range<usize>,
}

impl<'a> ArgCursor<'a> {
    /// Starts at the first argument of a function of this convention.
    #[inline]
    pub(crate) fn new(frame: &'a CallFrame, convention: Convention) -> Self {
        ArgCursor {
            frame,
            slots: frame.slots(),
            width: width(),
            next: 0,
            registers: 0..convention.registers32(),
        }
    }

    /// Takes the next pointer-sized slot: 8 bytes on x64, 4 zero-extended bytes on i386.
    #[inline]
    pub fn word(&mut self) -> u64 {
        if self.width == Width::X86
            && let Some(register) = self.registers.next()
        {
            return self.frame.activation().get().registers32[register].into();
        }
        let at = self.address();
        self.next += 1;
        match self.width {
            Width::X64 => Ptr::<u64>::new(at).read(),
            Width::X86 => u64::from(Ptr::<u32>::new(at).read()),
        }
    }

    /// Takes the next 64-bit value: one slot on x64, two on i386.
    pub fn long(&mut self) -> u64 {
        let at = self.address();
        self.next += match self.width {
            Width::X64 => 1,
            Width::X86 => 2,
        };
        Ptr::<u64>::new(at).read()
    }

    /// Takes the next floating-point argument as raw bits; `f64` takes two slots on i386.
    fn float(&mut self, is_double: bool) -> u64 {
        match self.width {
            Width::X64 if self.next < 4 => {
                let bits = self.frame.float_register(self.next);
                self.next += 1;
                bits
            }
            Width::X86 if is_double => self.long(),
            _ => self.word(),
        }
    }

    /// Returns where the next argument lies in guest memory.
    #[inline]
    pub fn address(&self) -> u64 {
        self.slots
            .wrapping_add((self.next * self.width.pointer()) as u64)
    }

    /// Returns the call the arguments belong to.
    pub fn frame(&self) -> &'a CallFrame {
        self.frame
    }
}

/// A type that can be a parameter of an export.
pub trait Arg: Sized {
    /// 4-byte slots taken on an i386 stack.
    const SLOTS32: u32;
    /// Whether i386 callers pass it in eax.
    const IN_EAX: bool = false;
    /// Takes the argument from the cursor.
    fn fetch(cursor: &mut ArgCursor<'_>) -> Self;
    /// Prints it for the trace.
    fn show(&self, out: &mut String);
}

/// A type that can be the result of an export.
pub trait Ret: Sized {
    /// Whether i386 callers expect it in `st0`.
    const IS_FLOAT: bool = false;
    /// Returns the bits for `rax`/`xmm0` or `edx:eax`/`st0`.
    fn encode(self) -> u64;
    /// Prints encoded bits for the trace.
    fn show(bits: u64, out: &mut String);
}

/// Appends formatted text; writing to a `String` cannot fail.
macro_rules! put {
    ($out:expr, $($format:tt)*) => { let _ = write!($out, $($format)*); };
}
pub(super) use put;

macro_rules! integers {
    ($($ty:ident, $unsigned:ident, $slots:literal, $fetch:ident, $print:literal;)*) => {$(
        impl Arg for $ty {
            const SLOTS32: u32 = $slots;
            #[inline]
            #[allow(clippy::cast_possible_truncation, reason = "the upper part of a slot is garbage by the ABI")]
            fn fetch(cursor: &mut ArgCursor<'_>) -> Self { cursor.$fetch() as $ty }
            fn show(&self, out: &mut String) { put!(out, $print, self); }
        }
        impl Ret for $ty {
            /// Zero-extended: what compiled code leaves in `eax`. Go compares all of `rax`.
            #[inline]
            fn encode(self) -> u64 { self as $unsigned as u64 }
            fn show(bits: u64, out: &mut String) { put!(out, $print, bits as $ty); }
        }
    )*};
}
integers! {
    u8, u8, 1, word, "{}"; i8, u8, 1, word, "{}"; u16, u16, 1, word, "{}"; i16, u16, 1, word, "{}";
    u32, u32, 1, word, "{:#x}"; i32, u32, 1, word, "{}";
    u64, u64, 2, long, "{:#x}"; i64, u64, 2, long, "{}";
    usize, usize, 1, word, "{:#x}";
}

impl Arg for isize {
    const SLOTS32: u32 = 1;
    fn fetch(cursor: &mut ArgCursor<'_>) -> Self {
        sign_extend(cursor.word()).cast_signed() as isize
    }
    fn show(&self, out: &mut String) {
        put!(out, "{self}");
    }
}

impl Ret for isize {
    fn encode(self) -> u64 {
        self as u64
    }
    fn show(bits: u64, out: &mut String) {
        put!(out, "{}", bits.cast_signed());
    }
}

/// Widens a pointer-sized signed value of the guest.
fn sign_extend(word: u64) -> u64 {
    match width() {
        Width::X64 => word,
        Width::X86 => i64::from((word as u32).cast_signed()).cast_unsigned(),
    }
}

impl Arg for f64 {
    const SLOTS32: u32 = 2;
    fn fetch(cursor: &mut ArgCursor<'_>) -> Self {
        f64::from_bits(cursor.float(true))
    }
    fn show(&self, out: &mut String) {
        put!(out, "{self}");
    }
}

impl Ret for f64 {
    const IS_FLOAT: bool = true;
    fn encode(self) -> u64 {
        self.to_bits()
    }
    fn show(bits: u64, out: &mut String) {
        put!(out, "{}", f64::from_bits(bits));
    }
}

impl Arg for f32 {
    const SLOTS32: u32 = 1;
    fn fetch(cursor: &mut ArgCursor<'_>) -> Self {
        f32::from_bits(cursor.float(false) as u32)
    }
    fn show(&self, out: &mut String) {
        put!(out, "{self}");
    }
}

impl Ret for f32 {
    const IS_FLOAT: bool = true;
    fn encode(self) -> u64 {
        match width() {
            Width::X64 => u64::from(self.to_bits()),
            // st0 is loaded from a double.
            Width::X86 => f64::from(self).to_bits(),
        }
    }
    fn show(bits: u64, out: &mut String) {
        match width() {
            Width::X64 => put_float(f64::from(f32::from_bits(bits as u32)), out),
            Width::X86 => put_float(f64::from_bits(bits), out),
        }
    }
}

fn put_float(value: f64, out: &mut String) {
    put!(out, "{value}");
}

impl Ret for () {
    fn encode(self) -> u64 {
        0
    }
    fn show(_bits: u64, out: &mut String) {
        out.push_str("void");
    }
}

impl Arg for Handle {
    const SLOTS32: u32 = 1;
    fn fetch(cursor: &mut ArgCursor<'_>) -> Self {
        Handle(sign_extend(cursor.word()))
    }
    fn show(&self, out: &mut String) {
        put!(out, "{self:?}");
    }
}

impl Ret for Handle {
    fn encode(self) -> u64 {
        self.0
    }
    fn show(bits: u64, out: &mut String) {
        put!(out, "{bits:#x}");
    }
}

impl Arg for UserPtr {
    const SLOTS32: u32 = 1;
    fn fetch(cursor: &mut ArgCursor<'_>) -> Self {
        UserPtr(cursor.word())
    }
    fn show(&self, out: &mut String) {
        put!(out, "{self:?}");
    }
}

impl Ret for UserPtr {
    fn encode(self) -> u64 {
        self.0
    }
    fn show(bits: u64, out: &mut String) {
        put!(out, "{bits:#x}");
    }
}

impl Arg for NtStatus {
    const SLOTS32: u32 = 1;
    fn fetch(cursor: &mut ArgCursor<'_>) -> Self {
        NtStatus(cursor.word() as u32)
    }
    fn show(&self, out: &mut String) {
        put!(out, "{self}");
    }
}

impl Ret for NtStatus {
    fn encode(self) -> u64 {
        u64::from(self.0)
    }
    fn show(bits: u64, out: &mut String) {
        put!(out, "{}", NtStatus(bits as u32));
    }
}

impl Ret for Result<(), NtStatus> {
    fn encode(self) -> u64 {
        u64::from(self.err().unwrap_or(NtStatus::SUCCESS).0)
    }
    fn show(bits: u64, out: &mut String) {
        <NtStatus as Ret>::show(bits, out);
    }
}

/// Short strings are shown in the trace; everything else as an address.
impl<T: Guest> Arg for Ptr<T> {
    const SLOTS32: u32 = 1;
    #[inline]
    fn fetch(cursor: &mut ArgCursor<'_>) -> Self {
        Ptr::new(cursor.word())
    }
    fn show(&self, out: &mut String) {
        put!(out, "{self:?}");
    }
}

impl<T: Guest> Ret for Ptr<T> {
    fn encode(self) -> u64 {
        self.address()
    }
    fn show(bits: u64, out: &mut String) {
        put!(out, "{bits:#x}");
    }
}
