//! `mbstring.h`: strings of multibyte characters.
//!
//! Source: Microsoft Learn, "Interpretation of multibyte-character sequences", "_setmbcp". The code pages of this runtime are
//! "C" and UTF-8, and these functions know double-byte code pages only: each byte is a character of its own, as Windows
//! has it for both.

use super::copy::narrow as copy;
use super::search::narrow as search;
use super::{lower, token, upper};
use crate::crt::mem;
use crate::export::Ptr;
use crate::win_api;

/// Declares functions that do what functions for single bytes do.
macro_rules! multibyte {
    ($($(#[doc = $doc:literal])* $names:literal $name:ident = $function:path, ($($arg:ident : $ty:ty),*) -> $result:ty;)*) => {$(
        win_api! {
            $(#[doc = $doc])*
            "msvcrt.dll|ucrtbase.dll" cdecl fn $name = $names ($($arg: $ty),*) -> $result { $function($($arg),*) }
        }
    )*};
}

multibyte! {
    /// Appends a string.
    "_mbscat" _mbscat = copy::strcat, (to: Ptr<u8>, from: Ptr<u8>) -> Ptr<u8>;
    /// Copies a string.
    "_mbscpy" _mbscpy = copy::strcpy, (to: Ptr<u8>, from: Ptr<u8>) -> Ptr<u8>;
    /// Duplicates a string.
    "_mbsdup" _mbsdup = copy::_strdup, (text: Ptr<u8>) -> Ptr<u8>;
    /// Appends at most some characters.
    "_mbsncat|_mbsnbcat" _mbsncat = copy::strncat, (to: Ptr<u8>, from: Ptr<u8>, count: usize) -> Ptr<u8>;
    /// Copies at most some characters.
    "_mbsncpy|_mbsnbcpy" _mbsncpy = copy::strncpy, (to: Ptr<u8>, from: Ptr<u8>, count: usize) -> Ptr<u8>;
    /// Copies a string into a buffer.
    "_mbscpy_s" _mbscpy_s = copy::strcpy_s, (to: Ptr<u8>, size: usize, from: Ptr<u8>) -> i32;
    /// Appends a string in a buffer.
    "_mbscat_s" _mbscat_s = copy::strcat_s, (to: Ptr<u8>, size: usize, from: Ptr<u8>) -> i32;
    /// Copies at most some characters into a buffer.
    "_mbsncpy_s|_mbsnbcpy_s" _mbsncpy_s = copy::strncpy_s, (to: Ptr<u8>, size: usize, from: Ptr<u8>, count: usize) -> i32;
    /// Appends at most some characters in a buffer.
    "_mbsncat_s|_mbsnbcat_s" _mbsncat_s = copy::strncat_s, (to: Ptr<u8>, size: usize, from: Ptr<u8>, count: usize) -> i32;
    /// Makes a string lower case.
    "_mbslwr" _mbslwr = copy::_strlwr, (text: Ptr<u8>) -> Ptr<u8>;
    /// Makes a string upper case.
    "_mbsupr" _mbsupr = copy::_strupr, (text: Ptr<u8>) -> Ptr<u8>;
    /// Makes the string in a buffer lower case.
    "_mbslwr_s" _mbslwr_s = copy::_strlwr_s, (text: Ptr<u8>, size: usize) -> i32;
    /// Makes the string in a buffer upper case.
    "_mbsupr_s" _mbsupr_s = copy::_strupr_s, (text: Ptr<u8>, size: usize) -> i32;
    /// Reverses a string.
    "_mbsrev" _mbsrev = copy::_strrev, (text: Ptr<u8>) -> Ptr<u8>;
    /// Fills a string.
    "_mbsset" _mbsset = copy::_strset, (text: Ptr<u8>, unit: i32) -> Ptr<u8>;
    /// Fills the start of a string.
    "_mbsnset|_mbsnbset" _mbsnset = copy::_strnset, (text: Ptr<u8>, unit: i32, count: usize) -> Ptr<u8>;
    /// Compares strings.
    "_mbscmp|_mbscoll" _mbscmp = search::strcmp, (left: Ptr<u8>, right: Ptr<u8>) -> i32;
    /// Compares strings without case.
    "_mbsicmp|_mbsicoll" _mbsicmp = search::_stricmp, (left: Ptr<u8>, right: Ptr<u8>) -> i32;
    /// Compares the starts of strings.
    "_mbsncmp|_mbsnbcmp|_mbsncoll|_mbsnbcoll" _mbsncmp = search::strncmp, (left: Ptr<u8>, right: Ptr<u8>, count: usize) -> i32;
    /// Compares the starts of strings without case.
    "_mbsnicmp|_mbsnbicmp|_mbsnicoll|_mbsnbicoll" _mbsnicmp = search::_strnicmp, (left: Ptr<u8>, right: Ptr<u8>, count: usize) -> i32;
    /// Finds the first of a character.
    "_mbschr" _mbschr = search::strchr, (text: Ptr<u8>, unit: i32) -> Ptr<u8>;
    /// Finds the last of a character.
    "_mbsrchr" _mbsrchr = search::strrchr, (text: Ptr<u8>, unit: i32) -> Ptr<u8>;
    /// Finds a string in a string.
    "_mbsstr" _mbsstr = search::strstr, (text: Ptr<u8>, wanted: Ptr<u8>) -> Ptr<u8>;
    /// Finds the first character of a set.
    "_mbspbrk" _mbspbrk = search::strpbrk, (text: Ptr<u8>, set: Ptr<u8>) -> Ptr<u8>;
    /// Counts characters of a set.
    "_mbsspn" _mbsspn = search::strspn, (text: Ptr<u8>, set: Ptr<u8>) -> usize;
    /// Counts characters outside of a set.
    "_mbscspn" _mbscspn = search::strcspn, (text: Ptr<u8>, set: Ptr<u8>) -> usize;
    /// Counts the characters of a string.
    "_mbslen|_mbstrlen" _mbslen = search::strlen, (text: Ptr<u8>) -> usize;
    /// Counts the characters of a string up to a limit.
    "_mbsnlen|_mbstrnlen" _mbsnlen = search::strnlen, (text: Ptr<u8>, limit: usize) -> usize;
    /// Finds the next token.
    "_mbstok" _mbstok = token::strtok, (text: Ptr<u8>, set: Ptr<u8>) -> Ptr<u8>;
    /// Finds the next token.
    "_mbstok_s" _mbstok_s = token::strtok_s, (text: Ptr<u8>, set: Ptr<u8>, context: Ptr<Ptr<u8>>) -> Ptr<u8>;
}

/// `_MBC_SINGLE` and `_MBC_ILLEGAL`.
const SINGLE: i32 = 0;
const ILLEGAL: i32 = -1;

fn is_in(code: u32, test: fn(&u8) -> bool) -> i32 {
    i32::from(u8::try_from(code).is_ok_and(|byte| test(&byte)))
}

win_api! {
    /// Returns the address of the next character.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbsinc(text: Ptr<u8>) -> Ptr<u8> { text.add(1) }

    /// Returns the address of the character before; NULL at the start.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbsdec(start: Ptr<u8>, at: Ptr<u8>) -> Ptr<u8> {
        if at.address() <= start.address() { Ptr::NULL } else { Ptr::new(at.address() - 1) }
    }

    /// Returns the address some characters on; NULL behind the end.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbsninc(text: Ptr<u8>, count: usize) -> Ptr<u8> {
        if text.is_null() || mem::length_within(text, count) < count { Ptr::NULL } else { text.add(count) }
    }

    /// Returns a character.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbsnextc(text: Ptr<u8>) -> u32 { text.read().into() }

    /// Returns the bytes of a character.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbclen(text: Ptr<u8>) -> usize { 1 }

    /// Copies a character.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbccpy(to: Ptr<u8>, from: Ptr<u8>) { to.write(from.read()); }

    /// Counts bytes by characters.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbsnbcnt = "_mbsnbcnt|_mbsnccnt" (text: Ptr<u8>, count: usize) -> usize {
        mem::length_within(text, count)
    }

    /// Returns what a byte is after one of a kind.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbbtype(byte: u8, kind: i32) -> i32 {
        if byte.is_ascii_graphic() || byte == b' ' || byte > 0x7F { SINGLE } else { ILLEGAL }
    }

    /// Returns what a byte of a string is.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbsbtype(text: Ptr<u8>, offset: usize) -> i32 {
        if mem::length_within(text, offset + 1) <= offset { ILLEGAL } else { SINGLE }
    }

    /// Tells whether a byte begins a character of two.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbblead = "_ismbblead|_ismbbtrail|_ismbbkana|_ismbbkalnum|_ismbbkpunct|_ismbbkprint" (byte: u32) -> i32 { 0 }

    /// Tells whether a byte of a string belongs to a character of two.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbslead = "_ismbslead|_ismbstrail" (start: Ptr<u8>, at: Ptr<u8>) -> i32 { 0 }

    /// Tells whether a character is one.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbclegal = "_ismbclegal|_ismbcl0|_ismbcl1|_ismbcl2|_ismbchira|_ismbckata|_ismbcsymbol" (code: u32) -> i32 { 0 }

    /// Tells whether a character is a letter.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbcalpha = "_ismbcalpha|_ismbbalpha" (code: u32) -> i32 { is_in(code, u8::is_ascii_alphabetic) }

    /// Tells whether a character is a letter or digit.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbcalnum = "_ismbcalnum|_ismbbalnum" (code: u32) -> i32 { is_in(code, u8::is_ascii_alphanumeric) }

    /// Tells whether a character is a digit.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbcdigit(code: u32) -> i32 { is_in(code, u8::is_ascii_digit) }

    /// Tells whether a character is white space.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbcspace(code: u32) -> i32 { is_in(code, |byte| matches!(byte, 0x09..=0x0D | b' ')) }

    /// Tells whether a character is a lower-case letter.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbclower(code: u32) -> i32 { is_in(code, u8::is_ascii_lowercase) }

    /// Tells whether a character is an upper-case letter.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbcupper(code: u32) -> i32 { is_in(code, u8::is_ascii_uppercase) }

    /// Tells whether a character is punctuation.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbcpunct = "_ismbcpunct|_ismbbpunct" (code: u32) -> i32 { is_in(code, u8::is_ascii_punctuation) }

    /// Tells whether a character is visible.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbcgraph = "_ismbcgraph|_ismbbgraph" (code: u32) -> i32 { is_in(code, u8::is_ascii_graphic) }

    /// Tells whether a character can be printed.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbcprint = "_ismbcprint|_ismbbprint" (code: u32) -> i32 { is_in(code, |byte| byte.is_ascii_graphic() || *byte == b' ') }

    /// Returns the lower case of a character.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbctolower(code: u32) -> u32 { lower::<u8>(code) }

    /// Returns the upper case of a character.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbctoupper(code: u32) -> u32 { upper::<u8>(code) }
}
