//! `...` and `va_list` arguments.
//!
//! Both are a cursor over consecutive slots: 8 bytes each on x64 (Microsoft Learn, "x64 calling
//! convention": floats are passed in the integer register too), 4 bytes on i386 with 8-byte values
//! taking two.

use std::fmt::Write as _;

use ntlpc_abi::Width;

use super::arg::{Arg, ArgCursor};
use crate::guest::{Guest, Ptr};
use crate::width;

/// The arguments of a variadic call that follow the named ones.
#[derive(Clone, Copy, Debug)]
pub struct VarArgs {
    at: u64,
}

impl VarArgs {
    /// Reads from a guest `va_list` value.
    #[must_use]
    pub const fn at(address: u64) -> Self {
        VarArgs { at: address }
    }

    /// Takes a value of at most pointer size: `int`, `long`, pointers, `size_t`.
    pub fn next_word(&mut self) -> u64 {
        match width() {
            Width::X64 => self.take::<u64>(8),
            Width::X86 => u64::from(self.take::<u32>(4)),
        }
    }

    /// Takes an `int`.
    pub fn next_i32(&mut self) -> i32 {
        (self.next_word() as u32).cast_signed()
    }

    /// Takes a 64-bit integer.
    pub fn next_i64(&mut self) -> i64 {
        self.take::<i64>(8)
    }

    /// Takes a `double`.
    pub fn next_f64(&mut self) -> f64 {
        self.take::<f64>(8)
    }

    /// Takes a pointer.
    pub fn next_ptr<T>(&mut self) -> Ptr<T> {
        Ptr::new(self.next_word())
    }

    fn take<T: Guest>(&mut self, bytes: u64) -> T {
        let value = Ptr::<T>::new(self.at).read();
        self.at = self.at.wrapping_add(bytes);
        value
    }
}

/// `...`: what follows the named arguments.
impl Arg for VarArgs {
    const SLOTS32: u32 = 0;
    fn fetch(cursor: &mut ArgCursor<'_>) -> Self {
        VarArgs {
            at: cursor.address(),
        }
    }
    fn show(&self, out: &mut String) {
        out.push_str("...");
    }
}

/// A `va_list` passed as an argument.
#[derive(Clone, Copy, Debug)]
pub struct VaList(pub u64);

impl VaList {
    /// Returns a cursor over its arguments.
    #[must_use]
    pub const fn args(self) -> VarArgs {
        VarArgs { at: self.0 }
    }
}

impl Arg for VaList {
    const SLOTS32: u32 = 1;
    fn fetch(cursor: &mut ArgCursor<'_>) -> Self {
        VaList(cursor.word())
    }
    fn show(&self, out: &mut String) {
        let _ = write!(out, "va_list {:#x}", self.0);
    }
}
