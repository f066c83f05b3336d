//! `mbstring.h`: strings of multibyte characters.
//!
//! Source: Microsoft Learn, "Interpretation of multibyte-character sequences", "_setmbcp". The code pages of this runtime are
//! "C" and UTF-8, and these functions know double-byte code pages only: each byte is a character of its own, as Windows
//! has it for both.

use super::copy::narrow as copy;
use super::search::narrow as search;
use super::{lower, token, upper};
use crate::crt::errno::{self, code};
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
    "_mbsncat|_mbsnbcat|_mbsnbcat_l|_mbsncat_l" _mbsncat = copy::strncat, (to: Ptr<u8>, from: Ptr<u8>, count: usize) -> Ptr<u8>;
    /// Copies at most some characters.
    "_mbsncpy|_mbsnbcpy|_mbsnbcpy_l|_mbsncpy_l" _mbsncpy = copy::strncpy, (to: Ptr<u8>, from: Ptr<u8>, count: usize) -> Ptr<u8>;
    /// Copies a string into a buffer.
    "_mbscpy_s|_mbscpy_s_l" _mbscpy_s = copy::strcpy_s, (to: Ptr<u8>, size: usize, from: Ptr<u8>) -> i32;
    /// Appends a string in a buffer.
    "_mbscat_s|_mbscat_s_l" _mbscat_s = copy::strcat_s, (to: Ptr<u8>, size: usize, from: Ptr<u8>) -> i32;
    /// Copies at most some characters into a buffer.
    "_mbsncpy_s|_mbsnbcpy_s|_mbsnbcpy_s_l|_mbsncpy_s_l" _mbsncpy_s = copy::strncpy_s, (to: Ptr<u8>, size: usize, from: Ptr<u8>, count: usize) -> i32;
    /// Appends at most some characters in a buffer.
    "_mbsncat_s|_mbsnbcat_s|_mbsnbcat_s_l|_mbsncat_s_l" _mbsncat_s = copy::strncat_s, (to: Ptr<u8>, size: usize, from: Ptr<u8>, count: usize) -> i32;
    /// Makes a string lower case.
    "_mbslwr|_mbslwr_l" _mbslwr = copy::_strlwr, (text: Ptr<u8>) -> Ptr<u8>;
    /// Makes a string upper case.
    "_mbsupr|_mbsupr_l" _mbsupr = copy::_strupr, (text: Ptr<u8>) -> Ptr<u8>;
    /// Makes the string in a buffer lower case.
    "_mbslwr_s|_mbslwr_s_l" _mbslwr_s = copy::_strlwr_s, (text: Ptr<u8>, size: usize) -> i32;
    /// Makes the string in a buffer upper case.
    "_mbsupr_s|_mbsupr_s_l" _mbsupr_s = copy::_strupr_s, (text: Ptr<u8>, size: usize) -> i32;
    /// Reverses a string.
    "_mbsrev|_mbsrev_l" _mbsrev = copy::_strrev, (text: Ptr<u8>) -> Ptr<u8>;
    /// Fills a string.
    "_mbsset|_mbsset_l" _mbsset = copy::_strset, (text: Ptr<u8>, unit: i32) -> Ptr<u8>;
    /// Fills the start of a string.
    "_mbsnset|_mbsnbset|_mbsnbset_l|_mbsnset_l" _mbsnset = copy::_strnset, (text: Ptr<u8>, unit: i32, count: usize) -> Ptr<u8>;
    /// Fills the string in a buffer.
    "_mbsset_s|_mbsset_s_l" _mbsset_s = copy::_strset_s, (text: Ptr<u8>, size: usize, unit: i32) -> i32;
    /// Fills the start of the string in a buffer.
    "_mbsnset_s|_mbsnset_s_l|_mbsnbset_s|_mbsnbset_s_l" _mbsnset_s = copy::_strnset_s, (text: Ptr<u8>, size: usize, unit: i32, count: usize) -> i32;
    /// Compares strings.
    "_mbscmp|_mbscoll|_mbscmp_l|_mbscoll_l" _mbscmp = search::strcmp, (left: Ptr<u8>, right: Ptr<u8>) -> i32;
    /// Compares strings without case.
    "_mbsicmp|_mbsicoll|_mbsicmp_l|_mbsicoll_l" _mbsicmp = search::_stricmp, (left: Ptr<u8>, right: Ptr<u8>) -> i32;
    /// Compares the starts of strings.
    "_mbsncmp|_mbsnbcmp|_mbsncoll|_mbsnbcoll|_mbsnbcmp_l|_mbsnbcoll_l|_mbsncmp_l|_mbsncoll_l" _mbsncmp = search::strncmp, (left: Ptr<u8>, right: Ptr<u8>, count: usize) -> i32;
    /// Compares the starts of strings without case.
    "_mbsnicmp|_mbsnbicmp|_mbsnicoll|_mbsnbicoll|_mbsnbicmp_l|_mbsnbicoll_l|_mbsnicmp_l|_mbsnicoll_l" _mbsnicmp = search::_strnicmp, (left: Ptr<u8>, right: Ptr<u8>, count: usize) -> i32;
    /// Finds the first of a character.
    "_mbschr|_mbschr_l" _mbschr = search::strchr, (text: Ptr<u8>, unit: i32) -> Ptr<u8>;
    /// Finds the last of a character.
    "_mbsrchr|_mbsrchr_l" _mbsrchr = search::strrchr, (text: Ptr<u8>, unit: i32) -> Ptr<u8>;
    /// Finds a string in a string.
    "_mbsstr|_mbsstr_l" _mbsstr = search::strstr, (text: Ptr<u8>, wanted: Ptr<u8>) -> Ptr<u8>;
    /// Finds the first character of a set.
    "_mbspbrk|_mbspbrk_l" _mbspbrk = search::strpbrk, (text: Ptr<u8>, set: Ptr<u8>) -> Ptr<u8>;
    /// Counts characters of a set.
    "_mbsspn|_mbsspn_l" _mbsspn = search::strspn, (text: Ptr<u8>, set: Ptr<u8>) -> usize;
    /// Counts characters outside of a set.
    "_mbscspn|_mbscspn_l" _mbscspn = search::strcspn, (text: Ptr<u8>, set: Ptr<u8>) -> usize;
    /// Counts the characters of a string.
    "_mbslen|_mbstrlen|_mbslen_l|_mbstrlen_l" _mbslen = search::strlen, (text: Ptr<u8>) -> usize;
    /// Counts the characters of a string up to a limit.
    "_mbsnlen|_mbstrnlen|_mbsnlen_l|_mbstrnlen_l" _mbsnlen = search::strnlen, (text: Ptr<u8>, limit: usize) -> usize;
    /// Finds the next token.
    "_mbstok|_mbstok_l" _mbstok = token::strtok, (text: Ptr<u8>, set: Ptr<u8>) -> Ptr<u8>;
    /// Finds the next token.
    "_mbstok_s|_mbstok_s_l" _mbstok_s = token::strtok_s, (text: Ptr<u8>, set: Ptr<u8>, context: Ptr<Ptr<u8>>) -> Ptr<u8>;
}

/// `_MBC_SINGLE` and `_MBC_ILLEGAL`.
const SINGLE: i32 = 0;
const ILLEGAL: i32 = -1;

fn is_in(code: u32, test: fn(&u8) -> bool) -> i32 {
    i32::from(u8::try_from(code).is_ok_and(|byte| test(&byte)))
}

win_api! {
    /// Returns the address of the next character.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbsinc = "_mbsinc|_mbsinc_l" (text: Ptr<u8>) -> Ptr<u8> { text.add(1) }

    /// Returns the address of the character before; NULL at the start.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbsdec = "_mbsdec|_mbsdec_l" (start: Ptr<u8>, at: Ptr<u8>) -> Ptr<u8> {
        if at.address() <= start.address() { Ptr::NULL } else { Ptr::new(at.address() - 1) }
    }

    /// Returns the address some characters on; NULL behind the end.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbsninc = "_mbsninc|_mbsninc_l" (text: Ptr<u8>, count: usize) -> Ptr<u8> {
        if text.is_null() || mem::length_within(text, count) < count { Ptr::NULL } else { text.add(count) }
    }

    /// Returns a character.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbsnextc = "_mbsnextc|_mbsnextc_l" (text: Ptr<u8>) -> u32 { text.read().into() }

    /// Returns the bytes of a character.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbclen = "_mbclen|_mbclen_l" (text: Ptr<u8>) -> usize { 1 }

    /// Copies a character.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbccpy = "_mbccpy|_mbccpy_l" (to: Ptr<u8>, from: Ptr<u8>) { to.write(from.read()); }

    /// Counts bytes by characters.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbsnbcnt = "_mbsnbcnt|_mbsnccnt|_mbsnbcnt_l|_mbsnccnt_l" (text: Ptr<u8>, count: usize) -> usize {
        mem::length_within(text, count)
    }

    /// Returns what a byte is after one of a kind.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbbtype = "_mbbtype|_mbbtype_l" (byte: u8, kind: i32) -> i32 {
        if byte.is_ascii_graphic() || byte == b' ' || byte > 0x7F { SINGLE } else { ILLEGAL }
    }

    /// Returns what a byte of a string is.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbsbtype = "_mbsbtype|_mbsbtype_l" (text: Ptr<u8>, offset: usize) -> i32 {
        if mem::length_within(text, offset + 1) <= offset { ILLEGAL } else { SINGLE }
    }

    /// Tells whether a byte begins a character of two.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbblead = "_ismbblead|_ismbbtrail|_ismbbkana|_ismbbkalnum|_ismbbkpunct|_ismbbkprint|_ismbbkalnum_l|_ismbbkana_l|_ismbbkprint_l|_ismbbkpunct_l|_ismbblead_l|_ismbbtrail_l" (byte: u32) -> i32 { 0 }

    /// Tells whether a byte of a string belongs to a character of two.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbslead = "_ismbslead|_ismbstrail|_ismbslead_l|_ismbstrail_l" (start: Ptr<u8>, at: Ptr<u8>) -> i32 { 0 }

    /// Tells whether a character is one.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbclegal = "_ismbclegal|_ismbcl0|_ismbcl1|_ismbcl2|_ismbchira|_ismbckata|_ismbcsymbol|_ismbchira_l|_ismbckata_l|_ismbcl0_l|_ismbcl1_l|_ismbcl2_l|_ismbclegal_l|_ismbcsymbol_l" (code: u32) -> i32 { 0 }

    /// Tells whether a character is a letter.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbcalpha = "_ismbcalpha|_ismbbalpha|_ismbbalpha_l|_ismbcalpha_l" (code: u32) -> i32 { is_in(code, u8::is_ascii_alphabetic) }

    /// Tells whether a character is a letter or digit.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbcalnum = "_ismbcalnum|_ismbbalnum|_ismbbalnum_l|_ismbcalnum_l" (code: u32) -> i32 { is_in(code, u8::is_ascii_alphanumeric) }

    /// Tells whether a character is a digit.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbcdigit = "_ismbcdigit|_ismbcdigit_l" (code: u32) -> i32 { is_in(code, u8::is_ascii_digit) }

    /// Tells whether a character is white space.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbcspace = "_ismbcspace|_ismbcspace_l" (code: u32) -> i32 { is_in(code, |byte| matches!(byte, 0x09..=0x0D | b' ')) }

    /// Tells whether a character is a lower-case letter.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbclower = "_ismbclower|_ismbclower_l" (code: u32) -> i32 { is_in(code, u8::is_ascii_lowercase) }

    /// Tells whether a character is an upper-case letter.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbcupper = "_ismbcupper|_ismbcupper_l" (code: u32) -> i32 { is_in(code, u8::is_ascii_uppercase) }

    /// Tells whether a character is punctuation.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbcpunct = "_ismbcpunct|_ismbbpunct|_ismbbpunct_l|_ismbcpunct_l" (code: u32) -> i32 { is_in(code, u8::is_ascii_punctuation) }

    /// Tells whether a character is visible.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbcgraph = "_ismbcgraph|_ismbbgraph|_ismbbgraph_l|_ismbcgraph_l" (code: u32) -> i32 { is_in(code, u8::is_ascii_graphic) }

    /// Tells whether a character can be printed.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbcprint = "_ismbcprint|_ismbbprint|_ismbbprint_l|_ismbcprint_l" (code: u32) -> i32 { is_in(code, |byte| byte.is_ascii_graphic() || *byte == b' ') }

    /// Returns the lower case of a character.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbctolower = "_mbctolower|_mbctolower_l" (code: u32) -> u32 { lower::<u8>(code) }

    /// Returns the upper case of a character.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbctoupper = "_mbctoupper|_mbctoupper_l" (code: u32) -> u32 { upper::<u8>(code) }

    /// Tells whether a character is a space or tab.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ismbcblank = "_ismbcblank|_ismbcblank_l|_ismbbblank|_ismbbblank_l" (code: u32) -> i32 { is_in(code, |byte| matches!(byte, b' ' | b'\t')) }

    /// Returns the character of the other form (width, kana, standard): itself, as there is none.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbbtombc = "_mbbtombc|_mbbtombc_l|_mbctombb|_mbctombb_l|_mbctohira|_mbctohira_l|_mbctokata|_mbctokata_l" (code: u32) -> u32 { code }

    /// Returns the character of a Japanese standard in the other's code: 0, as this code page has neither.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbcjistojms = "_mbcjistojms|_mbcjistojms_l|_mbcjmstojis|_mbcjmstojis_l" (code: u32) -> u32 {
        errno::set_errno(code::EILSEQ);
        0
    }

    /// Copies a character into a buffer and stores its bytes.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbccpy_s = "_mbccpy_s|_mbccpy_s_l" (to: Ptr<u8>, size: usize, copied: Ptr<i32>, from: Ptr<u8>) -> i32 {
        copied.write_if_some(0);
        if to.is_null() || size == 0 {
            return errno::invalid_parameter();
        }
        if from.is_null() {
            to.write(0);
            return errno::invalid_parameter();
        }
        to.write(from.read());
        copied.write_if_some(1);
        0
    }

    /// Finds the first character that is not of a set; NULL if all are.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mbsspnp = "_mbsspnp|_mbsspnp_l" (text: Ptr<u8>, set: Ptr<u8>) -> Ptr<u8> {
        let found = text.add(search::strspn(text, set));
        if found.read() == 0 { Ptr::NULL } else { found }
    }
}
