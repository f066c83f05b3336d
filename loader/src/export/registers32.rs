//! Arguments and results in registers, as i386 helper functions of the C runtime have them.
#![allow(unsafe_code, reason = "reads and pops the x87 stack of the caller")]

use std::arch::asm;
use std::fmt::Write as _;

use super::arg::{Arg, ArgCursor, Ret};

/// An argument in st(N). Our own code does not use the x87, so that it is still there; the result removes it.
#[derive(Clone, Copy, Debug)]
pub struct St<const N: usize>(pub f64);

impl<const N: usize> Arg for St<N> {
    const SLOTS32: u32 = 0;
    fn fetch(_: &mut ArgCursor<'_>) -> Self {
        const { assert!(N < 2) };
        let mut value = 0.0_f64;
        let to = &raw mut value;
        // SAFETY: one more register is used and given back; `to` is valid for the store.
        unsafe {
            match N {
                0 => asm!("fld st(0)", "fstp qword ptr [{}]", in(reg) to, options(nostack)),
                _ => asm!("fld st(1)", "fstp qword ptr [{}]", in(reg) to, options(nostack)),
            }
        }
        St(value)
    }
    fn show(&self, out: &mut String) {
        let _ = write!(out, "st{N}={}", self.0);
    }
}

/// A result of a function with N arguments on the x87 stack, which it takes off.
#[derive(Clone, Copy, Debug)]
pub struct Popped<const N: usize, T>(pub T);

impl<const N: usize, T: Ret> Ret for Popped<N, T> {
    const IS_FLOAT: bool = T::IS_FLOAT;
    fn encode(self) -> u64 {
        for _ in 0..N {
            // SAFETY: takes one of the caller's arguments off the stack, as the function must.
            unsafe { asm!("fstp st(0)", options(nostack)) };
        }
        self.0.encode()
    }
    fn show(bits: u64, out: &mut String) {
        T::show(bits, out);
    }
}

/// An argument in eax, which the stub moves to edx because it needs eax itself; 0 on x64.
#[derive(Clone, Copy, Debug)]
pub struct Eax(pub u32);

impl Arg for Eax {
    const SLOTS32: u32 = 0;
    const IN_EAX: bool = true;
    fn fetch(cursor: &mut ArgCursor<'_>) -> Self {
        Eax(cursor.frame().activation().get().registers32[1])
    }
    fn show(&self, out: &mut String) {
        let _ = write!(out, "eax={:#x}", self.0);
    }
}

/// An argument in xmm(N), or a result in xmm0.
#[derive(Clone, Copy, Debug)]
pub struct Xmm<const N: usize>(pub f64);

impl<const N: usize> Arg for Xmm<N> {
    const SLOTS32: u32 = 0;
    fn fetch(cursor: &mut ArgCursor<'_>) -> Self {
        Xmm(f64::from_bits(cursor.frame().float_register(N)))
    }
    fn show(&self, out: &mut String) {
        let _ = write!(out, "xmm{N}={}", self.0);
    }
}

/// The gate stores every result to xmm0 too.
impl Ret for Xmm<0> {
    fn encode(self) -> u64 {
        self.0.to_bits()
    }
    fn show(bits: u64, out: &mut String) {
        <f64 as Ret>::show(bits, out);
    }
}
