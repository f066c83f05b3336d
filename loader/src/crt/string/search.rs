//! Measuring, comparing and searching strings.

use super::{compare, lower};
use crate::crt::errno::{self, code};
use crate::crt::mem::{self, Char};
use crate::crt::twins::twins;
use crate::crt::unit::Unit;
use crate::export::Ptr;

/// The result of the comparing functions when an argument is invalid: `_NLSCMPERROR`.
const COMPARE_ERROR: i32 = i32::MAX;

fn compare_folded<T: Char>(left: Ptr<T>, right: Ptr<T>, limit: usize) -> i32 {
    if left.is_null() || right.is_null() {
        errno::invalid_parameter();
        return COMPARE_ERROR;
    }
    compare(left, right, limit, lower::<T>)
}

fn same(code: u32) -> u32 {
    code
}

/// Returns the length of the beginning of `text` whose characters are (or are not) in `set`.
fn span<T: Char>(text: Ptr<T>, set: Ptr<T>, inside: bool) -> usize {
    let set = mem::string(set);
    let mut length = 0;
    loop {
        let unit = text.add(length).read();
        if unit.code() == 0 || set.contains(&unit) != inside {
            return length;
        }
        length += 1;
    }
}

fn first<T: Char>(text: Ptr<T>, unit: T) -> Ptr<T> {
    let mut next = text;
    loop {
        let found = next.read();
        if found == unit {
            return next;
        }
        if found.code() == 0 {
            return Ptr::NULL;
        }
        next = next.add(1);
    }
}

fn substring<T: Char>(text: Ptr<T>, wanted: Ptr<T>) -> Ptr<T> {
    let (all, wanted) = (mem::string(text), mem::string(wanted));
    if wanted.is_empty() {
        return text;
    }
    all.windows(wanted.len())
        .position(|window| window == wanted)
        .map_or(Ptr::NULL, |index| text.add(index))
}

twins! {
    /// Returns the length of a string.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn strlen / wcslen(text: Ptr<Char>) -> usize {
        <Char as mem::Char>::length(text)
    }

    /// Returns the length of a string, at most `limit`.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn strnlen = "strnlen|__strncnt" / wcsnlen = "wcsnlen|__wcsncnt" (text: Ptr<Char>, limit: usize) -> usize {
        mem::length_within(text, limit)
    }

    /// Compares two strings.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn strcmp / wcscmp(left: Ptr<Char>, right: Ptr<Char>) -> i32 {
        compare(left, right, usize::MAX, same)
    }

    /// Compares at most `limit` characters.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn strncmp / wcsncmp(left: Ptr<Char>, right: Ptr<Char>, limit: usize) -> i32 {
        compare(left, right, limit, same)
    }

    /// Compares two strings by the collation of the locale, which is that of their codes.
    "msvcrt.dll|ucrtbase.dll" fn strcoll = "strcoll|_strcoll_l" / wcscoll = "wcscoll|_wcscoll_l" (left: Ptr<Char>, right: Ptr<Char>) -> i32 {
        compare(left, right, usize::MAX, same)
    }

    /// Compares at most `limit` characters by the collation of the locale.
    "msvcrt.dll|ucrtbase.dll" fn _strncoll = "_strncoll|_strncoll_l" / _wcsncoll = "_wcsncoll|_wcsncoll_l" (left: Ptr<Char>, right: Ptr<Char>, limit: usize) -> i32 {
        compare(left, right, limit, same)
    }

    /// Compares two strings without regard to case.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn _stricmp / _wcsicmp(left: Ptr<Char>, right: Ptr<Char>) -> i32 {
        compare_folded(left, right, usize::MAX)
    }

    /// Compares two strings without regard to case.
    "msvcrt.dll|ucrtbase.dll" fn _stricoll = "_stricoll|_stricoll_l" / _wcsicoll = "_wcsicoll|_wcsicoll_l" (left: Ptr<Char>, right: Ptr<Char>) -> i32 {
        compare_folded(left, right, usize::MAX)
    }

    /// Compares two strings without regard to case, in a given locale.
    "msvcrt.dll|ucrtbase.dll" fn _stricmp_l / _wcsicmp_l(left: Ptr<Char>, right: Ptr<Char>, _locale: Ptr<u8>) -> i32 {
        compare_folded(left, right, usize::MAX)
    }

    /// Compares at most `limit` characters without regard to case.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn _strnicmp / _wcsnicmp(left: Ptr<Char>, right: Ptr<Char>, limit: usize) -> i32 {
        compare_folded(left, right, limit)
    }

    /// Compares at most `limit` characters without regard to case.
    "msvcrt.dll|ucrtbase.dll" fn _strnicoll = "_strnicoll|_strnicoll_l" / _wcsnicoll = "_wcsnicoll|_wcsnicoll_l" (left: Ptr<Char>, right: Ptr<Char>, limit: usize) -> i32 {
        compare_folded(left, right, limit)
    }

    /// Compares at most `limit` characters without regard to case, in a given locale.
    "msvcrt.dll|ucrtbase.dll" fn _strnicmp_l / _wcsnicmp_l(left: Ptr<Char>, right: Ptr<Char>, limit: usize, _locale: Ptr<u8>) -> i32 {
        compare_folded(left, right, limit)
    }

    /// Makes a string whose comparison is the collation of the locale; returns its length.
    "msvcrt.dll|ucrtbase.dll" fn strxfrm = "strxfrm|_strxfrm_l" / wcsxfrm = "wcsxfrm|_wcsxfrm_l" (to: Ptr<Char>, from: Ptr<Char>, size: usize) -> usize {
        let text = mem::string(from);
        if text.len() < size {
            mem::write_string(to, &text);
        } else if size > 0 {
            to.write(<Char as crate::crt::unit::Unit>::from_ascii(0));
            errno::set_errno(code::ERANGE);
        }
        text.len()
    }

    /// Finds the first occurrence of a character.
    "msvcrt.dll|ucrtbase.dll|vcruntime140.dll|ntdll.dll" fn strchr / wcschr(text: Ptr<Char>, unit: i32) -> Ptr<Char> {
        first(text, Char::from_low(unit.cast_unsigned()))
    }

    /// Finds the last occurrence of a character.
    "msvcrt.dll|ucrtbase.dll|vcruntime140.dll|ntdll.dll" fn strrchr / wcsrchr(text: Ptr<Char>, unit: i32) -> Ptr<Char> {
        let unit = Char::from_low(unit.cast_unsigned());
        let length = <Char as mem::Char>::length(text);
        (0..=length).rev().map(|index| text.add(index)).find(|at| at.read() == unit).unwrap_or(Ptr::NULL)
    }

    /// Finds a string in a string.
    "msvcrt.dll|ucrtbase.dll|vcruntime140.dll|ntdll.dll" fn strstr / wcsstr(text: Ptr<Char>, wanted: Ptr<Char>) -> Ptr<Char> {
        substring(text, wanted)
    }

    /// Returns the length of the beginning made of characters of `set`.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn strspn / wcsspn(text: Ptr<Char>, set: Ptr<Char>) -> usize {
        span(text, set, true)
    }

    /// Returns the length of the beginning without characters of `set`.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn strcspn / wcscspn(text: Ptr<Char>, set: Ptr<Char>) -> usize {
        span(text, set, false)
    }

    /// Finds the first character of `set`.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn strpbrk / wcspbrk(text: Ptr<Char>, set: Ptr<Char>) -> Ptr<Char> {
        let found = text.add(span(text, set, false));
        if found.read().code() == 0 { Ptr::NULL } else { found }
    }
}
