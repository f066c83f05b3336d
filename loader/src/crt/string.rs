//! `string.h` and the string part of `wchar.h`: blocks of memory and strings.
//!
//! Source of the `_s` variants' results: Microsoft Learn, "strcpy_s, wcscpy_s", "strncpy_s", "strcat_s".

pub mod copy;
mod memory;
mod multibyte;
mod search;
mod token;

use std::cmp::Ordering;

pub use copy::store_checked;

use super::locale;
use super::mem::Char;
use crate::export::Ptr;

/// Returns C's result of a comparison.
fn sign(order: Ordering) -> i32 {
    order as i32
}

/// Compares two strings character by character, at most `limit` characters, each mapped by `map`.
pub fn compare<T: Char>(
    left: Ptr<T>,
    right: Ptr<T>,
    limit: usize,
    map: impl Fn(u32) -> u32,
) -> i32 {
    for index in 0..limit {
        let (a, b) = (
            left.add(index).read().code(),
            right.add(index).read().code(),
        );
        let (mapped_a, mapped_b) = (map(a), map(b));
        if mapped_a != mapped_b || a == 0 {
            return sign(mapped_a.cmp(&mapped_b));
        }
    }
    0
}

/// Returns the lower case of a character in the current locale.
pub fn lower<T: Char>(code: u32) -> u32 {
    if T::WIDE {
        locale::to_lower_wide(code)
    } else {
        locale::to_lower_narrow(code)
    }
}

/// Returns the upper case of a character in the current locale.
pub fn upper<T: Char>(code: u32) -> u32 {
    if T::WIDE {
        locale::to_upper_wide(code)
    } else {
        locale::to_upper_narrow(code)
    }
}

/// Applies `map` to every character of the string at `at`.
fn map_in_place<T: Char>(at: Ptr<T>, map: impl Fn(u32) -> u32) {
    let mut next = at;
    loop {
        let code = next.read().code();
        if code == 0 {
            return;
        }
        next.write(T::from_low(map(code)));
        next = next.add(1);
    }
}
