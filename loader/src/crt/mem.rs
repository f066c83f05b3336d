//! Blocks and strings in guest memory, by address.
//!
//! Like [`Ptr`], these touch memory the guest could touch itself; a bad address is the guest's access violation.
#![allow(unsafe_code, reason = "works on guest memory in place")]

use super::unit::Unit;
use crate::export::{Guest, Ptr};

/// A character of a guest string.
pub trait Char: Unit + Guest {
    /// Returns the length of the string at `at` in characters.
    fn length(at: Ptr<Self>) -> usize;
    /// Copies `count` characters out of the guest.
    fn read(at: Ptr<Self>, count: usize) -> Vec<Self>;
    /// Copies characters into the guest.
    fn write(at: Ptr<Self>, text: &[Self]);
}

impl Char for u8 {
    fn length(at: Ptr<Self>) -> usize {
        // SAFETY: `strlen` only reads; without a NUL it ends in unmapped memory, and the guest faults.
        unsafe { libc::strlen(at.address() as *const libc::c_char) }
    }

    fn read(at: Ptr<Self>, count: usize) -> Vec<Self> {
        at.read_bytes(count)
    }

    fn write(at: Ptr<Self>, text: &[Self]) {
        at.write_bytes(text);
    }
}

impl Char for u16 {
    fn length(at: Ptr<Self>) -> usize {
        let start = at.address() as *const u16;
        let mut length = 0;
        // SAFETY: the loop only reads up to the NUL; without one it ends in unmapped memory, and the guest faults.
        while unsafe { start.wrapping_add(length).read_unaligned() } != 0 {
            length += 1;
        }
        length
    }

    fn read(at: Ptr<Self>, count: usize) -> Vec<Self> {
        at.cast::<u8>()
            .read_bytes(count.saturating_mul(2))
            .chunks_exact(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .collect()
    }

    fn write(at: Ptr<Self>, text: &[Self]) {
        let bytes: Vec<u8> = text.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        at.cast::<u8>().write_bytes(&bytes);
    }
}

/// Returns the string at `at` without its NUL.
pub fn string<T: Char>(at: Ptr<T>) -> Vec<T> {
    T::read(at, T::length(at))
}

/// Returns the string at `at`, at most `limit` characters of it.
pub fn string_within<T: Char>(at: Ptr<T>, limit: usize) -> Vec<T> {
    T::read(at, length_within(at, limit))
}

/// Returns the length of the string at `at`, or `limit` if there is no NUL before.
pub fn length_within<T: Char>(at: Ptr<T>, limit: usize) -> usize {
    let zero = T::from_ascii(0);
    (0..limit)
        .find(|index| at.add(*index).read() == zero)
        .unwrap_or(limit)
}

/// Writes `text` and a NUL.
pub fn write_string<T: Char>(at: Ptr<T>, text: &[T]) {
    T::write(at, text);
    at.add(text.len()).write(T::from_ascii(0));
}

/// Copies `count` bytes; the ranges may overlap.
pub fn copy(to: u64, from: u64, count: usize) {
    // SAFETY: both ranges are named by the guest, which could copy them itself; unmapped ones fault in its name.
    unsafe { libc::memmove(to as *mut libc::c_void, from as *const libc::c_void, count) };
}

/// Fills `count` bytes.
pub fn fill(to: u64, byte: u8, count: usize) {
    // SAFETY: as for `copy`.
    unsafe { libc::memset(to as *mut libc::c_void, i32::from(byte), count) };
}

/// Compares `count` bytes like `memcmp`.
pub fn compare(left: u64, right: u64, count: usize) -> i32 {
    // SAFETY: as for `copy`; only reads.
    unsafe {
        libc::memcmp(
            left as *const libc::c_void,
            right as *const libc::c_void,
            count,
        )
    }
    .signum()
}

/// Returns the address of the first `byte` among `count` bytes.
pub fn find(at: u64, byte: u8, count: usize) -> Option<u64> {
    // SAFETY: as for `copy`; only reads.
    let found = unsafe { libc::memchr(at as *const libc::c_void, i32::from(byte), count) };
    (!found.is_null()).then_some(found as u64)
}

/// Exchanges two blocks of `count` bytes that do not overlap.
pub fn swap(left: u64, right: u64, count: usize) {
    let (left, right) = (left as *mut u8, right as *mut u8);
    for index in 0..count {
        // SAFETY: as for `copy`; byte by byte, so overlapping blocks of a hostile caller only mix bytes.
        unsafe {
            let saved = left.wrapping_add(index).read();
            left.wrapping_add(index)
                .write(right.wrapping_add(index).read());
            right.wrapping_add(index).write(saved);
        }
    }
}
