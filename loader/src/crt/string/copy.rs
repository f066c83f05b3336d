//! Copying, appending, duplicating and changing strings.

use super::{lower, map_in_place, upper};
use crate::crt::errno::{self, code};
use crate::crt::mem::{self, Char};
use crate::crt::twins::twins;
use crate::export::{Guest, Ptr};
use crate::heap;

/// `_TRUNCATE`: copy what fits.
pub const TRUNCATE: usize = usize::MAX;

/// Tells whether a count argument is `_TRUNCATE` in the width of the guest.
pub fn is_truncate(count: usize) -> bool {
    count == TRUNCATE || (crate::width() == ntlpc_abi::Width::X86 && count == 0xFFFF_FFFF)
}

/// Writes `text` to a buffer of `size` characters; empties the buffer and gives ERANGE if it does not fit.
pub fn store_checked<T: Char>(to: Ptr<T>, size: usize, text: &[T]) -> i32 {
    if text.len() >= size {
        to.write(T::from_ascii(0));
        return errno::invalid(code::ERANGE);
    }
    mem::write_string(to, text);
    0
}

/// Copies `text` behind the first `kept` characters of a checked buffer, cutting it if asked to.
fn append_checked<T: Char>(
    to: Ptr<T>,
    size: usize,
    kept: usize,
    text: &[T],
    truncate: bool,
) -> i32 {
    let room = size - kept;
    if text.len() < room {
        mem::write_string(to.add(kept), text);
        return 0;
    }
    if truncate {
        mem::write_string(to.add(kept), &text[..room - 1]);
        return code::STRUNCATE;
    }
    to.write(T::from_ascii(0));
    errno::invalid(code::ERANGE)
}

/// Overwrites the first `count` characters of a string.
fn overwrite<T: Char>(text: Ptr<T>, unit: i32, count: usize) {
    for index in 0..mem::length_within(text, count) {
        text.add(index).write(T::from_low(unit.cast_unsigned()));
    }
}

fn duplicate<T: Char>(text: Ptr<T>) -> Ptr<T> {
    if text.is_null() {
        return Ptr::NULL;
    }
    let length = T::length(text);
    let Some(copy) = heap::process().allocate((length + 1) * T::size(), false) else {
        errno::set_errno(code::ENOMEM);
        return Ptr::NULL;
    };
    mem::copy(copy, text.address(), (length + 1) * T::size());
    Ptr::new(copy)
}

/// Checks the buffer of an in-place `_s` function: NULL or without a NUL in `size` is a mistake.
fn check_buffer<T: Char>(text: Ptr<T>, size: usize) -> Result<(), i32> {
    if text.is_null() {
        return Err(errno::invalid_parameter());
    }
    if mem::length_within(text, size) == size {
        if size > 0 {
            text.write(T::from_ascii(0));
        }
        return Err(errno::invalid_parameter());
    }
    Ok(())
}

twins! {
    /// Copies a string.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn strcpy / wcscpy(to: Ptr<Char>, from: Ptr<Char>) -> Ptr<Char> {
        mem::copy(to.address(), from.address(), (<Char as mem::Char>::length(from) + 1) * Char::size());
        to
    }

    /// Appends a string.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn strcat / wcscat(to: Ptr<Char>, from: Ptr<Char>) -> Ptr<Char> {
        let end = to.add(<Char as mem::Char>::length(to));
        mem::copy(end.address(), from.address(), (<Char as mem::Char>::length(from) + 1) * Char::size());
        to
    }

    /// Copies at most `count` characters and fills up with NULs.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn strncpy / wcsncpy(to: Ptr<Char>, from: Ptr<Char>, count: usize) -> Ptr<Char> {
        let length = mem::length_within(from, count);
        mem::copy(to.address(), from.address(), length * Char::size());
        mem::fill(to.add(length).address(), 0, (count - length) * Char::size());
        to
    }

    /// Appends at most `count` characters and a NUL.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn strncat / wcsncat(to: Ptr<Char>, from: Ptr<Char>, count: usize) -> Ptr<Char> {
        let end = to.add(<Char as mem::Char>::length(to));
        let length = mem::length_within(from, count);
        mem::copy(end.address(), from.address(), length * Char::size());
        end.add(length).write(<Char as crate::crt::unit::Unit>::from_ascii(0));
        to
    }

    /// Copies a string if it fits.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn strcpy_s / wcscpy_s(to: Ptr<Char>, size: usize, from: Ptr<Char>) -> i32 {
        if to.is_null() || size == 0 {
            return errno::invalid_parameter();
        }
        if from.is_null() {
            to.write(<Char as crate::crt::unit::Unit>::from_ascii(0));
            return errno::invalid_parameter();
        }
        store_checked(to, size, &mem::string(from))
    }

    /// Appends a string if it fits.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn strcat_s / wcscat_s(to: Ptr<Char>, size: usize, from: Ptr<Char>) -> i32 {
        if to.is_null() || size == 0 {
            return errno::invalid_parameter();
        }
        let kept = mem::length_within(to, size);
        if from.is_null() || kept == size {
            to.write(<Char as crate::crt::unit::Unit>::from_ascii(0));
            return errno::invalid_parameter();
        }
        append_checked(to, size, kept, &mem::string(from), false)
    }

    /// Copies at most `count` characters if they fit, or what fits if the count is `_TRUNCATE`.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn strncpy_s / wcsncpy_s(to: Ptr<Char>, size: usize, from: Ptr<Char>, count: usize) -> i32 {
        if count == 0 && to.is_null() && size == 0 {
            return 0;
        }
        if to.is_null() || size == 0 {
            return errno::invalid_parameter();
        }
        if from.is_null() && count != 0 {
            to.write(<Char as crate::crt::unit::Unit>::from_ascii(0));
            return errno::invalid_parameter();
        }
        let text = if count == 0 { Vec::new() } else { mem::string_within(from, count) };
        append_checked(to, size, 0, &text, is_truncate(count))
    }

    /// Appends at most `count` characters if they fit, or what fits if the count is `_TRUNCATE`.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn strncat_s / wcsncat_s(to: Ptr<Char>, size: usize, from: Ptr<Char>, count: usize) -> i32 {
        if to.is_null() || size == 0 {
            return errno::invalid_parameter();
        }
        let kept = mem::length_within(to, size);
        if (from.is_null() && count != 0) || kept == size {
            to.write(<Char as crate::crt::unit::Unit>::from_ascii(0));
            return errno::invalid_parameter();
        }
        let text = if count == 0 { Vec::new() } else { mem::string_within(from, count) };
        append_checked(to, size, kept, &text, is_truncate(count))
    }

    /// Copies a string to memory of its own.
    "msvcrt.dll|ucrtbase.dll" fn _strdup / _wcsdup(text: Ptr<Char>) -> Ptr<Char> {
        duplicate(text)
    }

    /// Turns a string to lower case.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn _strlwr = "_strlwr|_strlwr_l" / _wcslwr = "_wcslwr|_wcslwr_l" (text: Ptr<Char>) -> Ptr<Char> {
        map_in_place(text, lower::<Char>);
        text
    }

    /// Turns a string to upper case.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn _strupr = "_strupr|_strupr_l" / _wcsupr = "_wcsupr|_wcsupr_l" (text: Ptr<Char>) -> Ptr<Char> {
        map_in_place(text, upper::<Char>);
        text
    }

    /// Turns a string of a checked buffer to lower case.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn _strlwr_s = "_strlwr_s|_strlwr_s_l" / _wcslwr_s = "_wcslwr_s|_wcslwr_s_l" (text: Ptr<Char>, size: usize) -> i32 {
        if let Err(number) = check_buffer(text, size) {
            return number;
        }
        map_in_place(text, lower::<Char>);
        0
    }

    /// Turns a string of a checked buffer to upper case.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn _strupr_s = "_strupr_s|_strupr_s_l" / _wcsupr_s = "_wcsupr_s|_wcsupr_s_l" (text: Ptr<Char>, size: usize) -> i32 {
        if let Err(number) = check_buffer(text, size) {
            return number;
        }
        map_in_place(text, upper::<Char>);
        0
    }

    /// Reverses a string.
    "msvcrt.dll|ucrtbase.dll" fn _strrev / _wcsrev(text: Ptr<Char>) -> Ptr<Char> {
        let mut units = mem::string(text);
        units.reverse();
        <Char as mem::Char>::write(text, &units);
        text
    }

    /// Overwrites every character of a string.
    "msvcrt.dll|ucrtbase.dll" fn _strset / _wcsset(text: Ptr<Char>, unit: i32) -> Ptr<Char> {
        overwrite(text, unit, usize::MAX);
        text
    }

    /// Overwrites every character of the string in a buffer.
    "msvcrt.dll|ucrtbase.dll" fn _strset_s / _wcsset_s(text: Ptr<Char>, size: usize, unit: i32) -> i32 {
        if let Err(number) = check_buffer(text, size) {
            return number;
        }
        overwrite(text, unit, usize::MAX);
        0
    }

    /// Overwrites the first `count` characters of the string in a buffer.
    "msvcrt.dll|ucrtbase.dll" fn _strnset_s / _wcsnset_s(text: Ptr<Char>, size: usize, unit: i32, count: usize) -> i32 {
        if let Err(number) = check_buffer(text, size) {
            return number;
        }
        overwrite(text, unit, count);
        0
    }

    /// Overwrites the first `count` characters of a string.
    "msvcrt.dll|ucrtbase.dll" fn _strnset / _wcsnset(text: Ptr<Char>, unit: i32, count: usize) -> Ptr<Char> {
        overwrite(text, unit, count);
        text
    }
}
