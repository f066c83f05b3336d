//! `BOOL` and `BOOLEAN`.

use std::fmt::Write as _;

use super::arg::{Arg, ArgCursor, Ret, put};

/// Win32 `BOOL`: 32 bits, any non-zero value is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bool(pub i32);

impl Bool {
    /// `TRUE`.
    pub const TRUE: Bool = Bool(1);
    /// `FALSE`.
    pub const FALSE: Bool = Bool(0);

    /// Returns whether it is not zero.
    #[must_use]
    pub const fn get(self) -> bool {
        self.0 != 0
    }
}

impl From<bool> for Bool {
    fn from(value: bool) -> Self {
        Bool(i32::from(value))
    }
}

impl Arg for Bool {
    const SLOTS32: u32 = 1;
    fn fetch(cursor: &mut ArgCursor<'_>) -> Self {
        Bool(i32::fetch(cursor))
    }
    fn show(&self, out: &mut String) {
        put!(out, "{}", self.0);
    }
}

impl Ret for Bool {
    fn encode(self) -> u64 {
        u64::from(self.0.cast_unsigned())
    }
    fn show(bits: u64, out: &mut String) {
        put!(out, "{}", if bits as u32 == 0 { "FALSE" } else { "TRUE" });
    }
}

/// NT `BOOLEAN`: only the low byte counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boolean(pub u8);

impl Boolean {
    /// Returns whether it is not zero.
    #[must_use]
    pub const fn get(self) -> bool {
        self.0 != 0
    }
}

impl From<bool> for Boolean {
    fn from(value: bool) -> Self {
        Boolean(u8::from(value))
    }
}

impl Arg for Boolean {
    const SLOTS32: u32 = 1;
    fn fetch(cursor: &mut ArgCursor<'_>) -> Self {
        Boolean(u8::fetch(cursor))
    }
    fn show(&self, out: &mut String) {
        put!(out, "{}", self.0);
    }
}

impl Ret for Boolean {
    fn encode(self) -> u64 {
        u64::from(self.0)
    }
    fn show(bits: u64, out: &mut String) {
        put!(out, "{}", if bits as u8 == 0 { "FALSE" } else { "TRUE" });
    }
}
