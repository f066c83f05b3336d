//! Conversions between multibyte and wide characters, in the locale of the process or a given one.

use crate::crt::errno::{self, code};
use crate::crt::locale;
use crate::crt::locale_object::page_of;
use crate::crt::mem;
use crate::crt::string::copy::is_truncate;
use crate::crt::text::{self, CodePage, Decoded};
use crate::export::Ptr;
use crate::win_api;

/// Sets `EILSEQ` and returns the result of functions that count characters.
pub fn fail() -> usize {
    errno::set_errno(code::EILSEQ);
    usize::MAX
}

fn character_to_wide(page: CodePage, to: Ptr<u16>, from: Ptr<u8>, count: usize) -> i32 {
    if from.is_null() || count == 0 {
        return 0;
    }
    let bytes = mem::string_within(from, count.min(4));
    if bytes.is_empty() {
        to.write_if_some(0);
        return 0;
    }
    match text::decode(page, &bytes) {
        Decoded::Character(character, length) if character <= 0xFFFF => {
            to.write_if_some(text::units(character)[0]);
            i32::try_from(length).unwrap_or(1)
        }
        _ => {
            fail();
            -1
        }
    }
}

fn character_length(page: CodePage, from: Ptr<u8>, count: usize) -> i32 {
    character_to_wide(page, Ptr::NULL, from, count)
}

fn character_to_narrow(page: CodePage, to: Ptr<u8>, unit: u16) -> i32 {
    if to.is_null() {
        return 0;
    }
    match text::narrow(page, &[unit]) {
        Some(bytes) => {
            to.write_bytes(&bytes);
            i32::try_from(bytes.len()).unwrap_or(1)
        }
        None => {
            fail();
            -1
        }
    }
}

fn character_to_narrow_checked(
    page: CodePage,
    done: Ptr<i32>,
    to: Ptr<u8>,
    size: usize,
    unit: u16,
) -> i32 {
    if to.is_null() {
        done.write_if_some(0);
        return 0;
    }
    match text::narrow(page, &[unit]) {
        Some(bytes) if bytes.len() <= size => {
            to.write_bytes(&bytes);
            done.write_if_some(i32::try_from(bytes.len()).unwrap_or(1));
            0
        }
        Some(_) => errno::invalid(code::ERANGE),
        None => errno::fail(code::EILSEQ),
    }
}

/// Converts a multibyte string; returns the length without NUL, or `usize::MAX`.
pub fn string_to_wide(page: CodePage, to: Ptr<u16>, from: Ptr<u8>, count: usize) -> usize {
    let Some(units) = text::wide(page, &mem::string(from)) else {
        return fail();
    };
    if to.is_null() {
        return units.len();
    }
    if units.len() < count {
        mem::write_string(to, &units);
        return units.len();
    }
    <u16 as mem::Char>::write(to, &units[..count]);
    count
}

/// Converts a wide string; returns the length without NUL, or `usize::MAX`. No character is cut.
pub fn string_to_narrow(page: CodePage, to: Ptr<u8>, from: Ptr<u16>, count: usize) -> usize {
    let units = mem::string(from);
    if to.is_null() {
        return text::narrow(page, &units).map_or_else(fail, |bytes| bytes.len());
    }
    let Some(bytes) = text::narrow(page, &units) else {
        return fail();
    };
    if bytes.len() < count {
        mem::write_string(to, &bytes);
        return bytes.len();
    }
    let mut end = count;
    while page == CodePage::Utf8 && end < bytes.len() && bytes[end] & 0xC0 == 0x80 && end > 0 {
        end -= 1;
    }
    to.write_bytes(&bytes[..end]);
    end
}

fn string_to_wide_checked(
    page: CodePage,
    done: Ptr<usize>,
    to: Ptr<u16>,
    size: usize,
    from: Ptr<u8>,
    count: usize,
) -> i32 {
    let converted = text::wide(page, &mem::string(from));
    store(done, to, size, converted, count)
}

fn string_to_narrow_checked(
    page: CodePage,
    done: Ptr<usize>,
    to: Ptr<u8>,
    size: usize,
    from: Ptr<u16>,
    count: usize,
) -> i32 {
    let converted = text::narrow(page, &mem::string(from));
    store(done, to, size, converted, count)
}

/// The checked conversions of strings: `converted` is stored with a NUL, cut only for `_TRUNCATE`.
pub fn store<T: mem::Char>(
    done: Ptr<usize>,
    to: Ptr<T>,
    size: usize,
    converted: Option<Vec<T>>,
    count: usize,
) -> i32 {
    let Some(mut text) = converted else {
        if !to.is_null() && size > 0 {
            to.write(T::from_ascii(0));
        }
        return errno::fail(code::EILSEQ);
    };
    if !is_truncate(count) {
        text.truncate(count);
    }
    if to.is_null() {
        done.write_if_some(text.len() + 1);
        return if size == 0 {
            0
        } else {
            errno::invalid_parameter()
        };
    }
    if text.len() < size {
        mem::write_string(to, &text);
        done.write_if_some(text.len() + 1);
        return 0;
    }
    if is_truncate(count) && size > 0 {
        mem::write_string(to, &text[..size - 1]);
        done.write_if_some(size);
        return code::STRUNCATE;
    }
    if size > 0 {
        to.write(T::from_ascii(0));
    }
    errno::invalid(code::ERANGE)
}

/// Declares a function of the process's locale and its form that is given one.
macro_rules! in_locale {
    ($($(#[doc = $doc:literal])* $dlls:literal fn $name:ident / $given:ident = $convert:ident
        ($($arg:ident : $ty:ty),*) -> $result:ty;)*) => {$(
        win_api! {
            $(#[doc = $doc])*
            $dlls cdecl fn $name($($arg: $ty),*) -> $result { $convert(locale::code_page(), $($arg),*) }

            $(#[doc = $doc])*
            "msvcrt.dll|ucrtbase.dll" cdecl fn $given($($arg: $ty,)* locale: Ptr<u8>) -> $result { $convert(page_of(locale), $($arg),*) }
        }
    )*};
}

in_locale! {
    /// Returns the length of the multibyte character at `from`.
    "msvcrt.dll|ucrtbase.dll" fn mblen / _mblen_l = character_length(from: Ptr<u8>, count: usize) -> i32;
    /// Converts a multibyte character.
    "msvcrt.dll|ucrtbase.dll" fn mbtowc / _mbtowc_l = character_to_wide(to: Ptr<u16>, from: Ptr<u8>, count: usize) -> i32;
    /// Converts a wide character.
    "msvcrt.dll|ucrtbase.dll" fn wctomb / _wctomb_l = character_to_narrow(to: Ptr<u8>, unit: u16) -> i32;
    /// Converts a wide character if it fits.
    "msvcrt.dll|ucrtbase.dll" fn wctomb_s / _wctomb_s_l = character_to_narrow_checked(done: Ptr<i32>, to: Ptr<u8>, size: usize, unit: u16) -> i32;
    /// Converts a multibyte string.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn mbstowcs / _mbstowcs_l = string_to_wide(to: Ptr<u16>, from: Ptr<u8>, count: usize) -> usize;
    /// Converts a wide string.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn wcstombs / _wcstombs_l = string_to_narrow(to: Ptr<u8>, from: Ptr<u16>, count: usize) -> usize;
    /// Converts a multibyte string if it fits.
    "msvcrt.dll|ucrtbase.dll" fn mbstowcs_s / _mbstowcs_s_l = string_to_wide_checked(done: Ptr<usize>, to: Ptr<u16>, size: usize, from: Ptr<u8>, count: usize) -> i32;
    /// Converts a wide string if it fits.
    "msvcrt.dll|ucrtbase.dll" fn wcstombs_s / _wcstombs_s_l = string_to_narrow_checked(done: Ptr<usize>, to: Ptr<u8>, size: usize, from: Ptr<u16>, count: usize) -> i32;
}

win_api! {
    /// Converts a byte that is a whole character.
    "msvcrt.dll|ucrtbase.dll" cdecl fn btowc(byte: i32) -> u16 {
        const WEOF: u16 = 0xFFFF;
        match u8::try_from(byte) {
            Ok(byte) if byte < 0x80 || locale::code_page() == CodePage::C => u16::from(byte),
            _ => WEOF,
        }
    }

    /// Converts a wide character that is a single byte.
    "msvcrt.dll|ucrtbase.dll" cdecl fn wctob(unit: u16) -> i32 {
        match text::narrow(locale::code_page(), &[unit]).as_deref() {
            Some([byte]) => i32::from(*byte),
            _ => -1,
        }
    }
}
