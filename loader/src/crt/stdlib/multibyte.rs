//! Conversions between multibyte and wide characters.

use crate::crt::errno::{self, code};
use crate::crt::locale;
use crate::crt::mem;
use crate::crt::string::copy::is_truncate;
use crate::crt::text::{self, CodePage, Decoded};
use crate::export::Ptr;
use crate::win_api;

/// Result of the restartable functions for an invalid character.
const INVALID: usize = usize::MAX;
/// Result of the restartable functions for an incomplete character.
const INCOMPLETE: usize = usize::MAX - 1;

/// `mbstate_t` when the low half of a surrogate pair is still to be delivered: the unit with this bit.
const PENDING: u32 = 0x8000_0000;

fn fail() -> usize {
    errno::set_errno(code::EILSEQ);
    INVALID
}

/// Converts the multibyte character at `from`, `count` bytes at most, by the state at `state`.
///
/// The state holds the bytes of an incomplete character, or the second half of a pair, in a 32-bit word.
fn to_wide(to: Ptr<u16>, from: Ptr<u8>, count: usize, state: Ptr<u32>) -> usize {
    let kept = state.read();
    if kept & PENDING != 0 {
        let [low, high, ..] = kept.to_le_bytes();
        to.write_if_some(u16::from_le_bytes([low, high]));
        state.write(0);
        return 0;
    }
    let mut bytes: Vec<u8> = kept
        .to_le_bytes()
        .into_iter()
        .take_while(|byte| *byte != 0)
        .collect();
    let before = bytes.len();
    for index in 0..count {
        bytes.push(from.add(index).read());
        match text::decode(locale::code_page(), &bytes) {
            Decoded::Character(character, length) => {
                let units = text::units(character);
                to.write_if_some(units[0]);
                let rest = units.get(1).map_or(0, |unit| u32::from(*unit) | PENDING);
                state.write(rest);
                return if character == 0 { 0 } else { length - before };
            }
            Decoded::Incomplete => {}
            Decoded::Invalid => {
                state.write(0);
                return fail();
            }
        }
    }
    bytes.resize(4, 0);
    state.write(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    INCOMPLETE
}

/// Converts one wide unit to bytes; the first half of a pair waits in the state.
fn to_narrow(to: Ptr<u8>, unit: u16, state: Ptr<u32>) -> usize {
    if to.is_null() {
        state.write(0);
        return 1;
    }
    let kept = state.read();
    let [low, high, ..] = kept.to_le_bytes();
    let units = if kept == 0 {
        vec![unit]
    } else {
        vec![u16::from_le_bytes([low, high]), unit]
    };
    if locale::code_page() == CodePage::Utf8 && kept == 0 && (0xD800..0xDC00).contains(&unit) {
        state.write(u32::from(unit));
        return 0;
    }
    state.write(0);
    match text::narrow(locale::code_page(), &units) {
        Some(bytes) => {
            to.write_bytes(&bytes);
            bytes.len()
        }
        None => fail(),
    }
}

/// The state of functions that are given none.
static STATE: crate::export::Data<u32> = crate::export::Data::new(|| 0);

fn state_or_own(state: Ptr<u32>) -> Ptr<u32> {
    state.non_null().unwrap_or_else(|| STATE.ptr())
}

/// Converts a multibyte string; returns the length without NUL, or `usize::MAX`.
fn string_to_wide(to: Ptr<u16>, from: Ptr<u8>, count: usize) -> usize {
    let Some(units) = text::wide(locale::code_page(), &mem::string(from)) else {
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
fn string_to_narrow(to: Ptr<u8>, from: Ptr<u16>, count: usize) -> usize {
    let units = mem::string(from);
    let page = locale::code_page();
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

/// The checked conversions of strings: `converted` is stored with a NUL, cut only for `_TRUNCATE`.
fn store<T: mem::Char>(
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

win_api! {
    /// Returns the length of the multibyte character at `from`.
    "msvcrt.dll|ucrtbase.dll" cdecl fn mblen(from: Ptr<u8>, count: usize) -> i32 {
        mbtowc(Ptr::NULL, from, count)
    }

    /// Converts a multibyte character.
    "msvcrt.dll|ucrtbase.dll" cdecl fn mbtowc = "mbtowc|_mbtowc_l" (to: Ptr<u16>, from: Ptr<u8>, count: usize) -> i32 {
        if from.is_null() || count == 0 {
            return 0;
        }
        let bytes = mem::string_within(from, count.min(4));
        if bytes.is_empty() {
            to.write_if_some(0);
            return 0;
        }
        match text::decode(locale::code_page(), &bytes) {
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

    /// Converts a wide character.
    "msvcrt.dll|ucrtbase.dll" cdecl fn wctomb = "wctomb|_wctomb_l" (to: Ptr<u8>, unit: u16) -> i32 {
        if to.is_null() {
            return 0;
        }
        match text::narrow(locale::code_page(), &[unit]) {
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

    /// Converts a wide character if it fits.
    "msvcrt.dll|ucrtbase.dll" cdecl fn wctomb_s(done: Ptr<i32>, to: Ptr<u8>, size: usize, unit: u16) -> i32 {
        if to.is_null() {
            done.write_if_some(0);
            return 0;
        }
        match text::narrow(locale::code_page(), &[unit]) {
            Some(bytes) if bytes.len() <= size => {
                to.write_bytes(&bytes);
                done.write_if_some(i32::try_from(bytes.len()).unwrap_or(1));
                0
            }
            Some(_) => errno::invalid(code::ERANGE),
            None => errno::fail(code::EILSEQ),
        }
    }

    /// Converts a multibyte string.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" cdecl fn mbstowcs = "mbstowcs|_mbstowcs_l" (to: Ptr<u16>, from: Ptr<u8>, count: usize) -> usize {
        string_to_wide(to, from, count)
    }

    /// Converts a wide string.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" cdecl fn wcstombs = "wcstombs|_wcstombs_l" (to: Ptr<u8>, from: Ptr<u16>, count: usize) -> usize {
        string_to_narrow(to, from, count)
    }

    /// Converts a multibyte string if it fits.
    "msvcrt.dll|ucrtbase.dll" cdecl fn mbstowcs_s(done: Ptr<usize>, to: Ptr<u16>, size: usize, from: Ptr<u8>, count: usize) -> i32 {
        store(done, to, size, text::wide(locale::code_page(), &mem::string(from)), count)
    }

    /// Converts a wide string if it fits.
    "msvcrt.dll|ucrtbase.dll" cdecl fn wcstombs_s(done: Ptr<usize>, to: Ptr<u8>, size: usize, from: Ptr<u16>, count: usize) -> i32 {
        store(done, to, size, text::narrow(locale::code_page(), &mem::string(from)), count)
    }

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

    /// Tells whether a conversion state is the initial one.
    "ucrtbase.dll" cdecl fn mbsinit(state: Ptr<u32>) -> i32 {
        i32::from(state.is_null() || state.read() == 0)
    }

    /// Converts a multibyte character, restartably.
    "msvcrt.dll|ucrtbase.dll" cdecl fn mbrtowc(to: Ptr<u16>, from: Ptr<u8>, count: usize, state: Ptr<u32>) -> usize {
        if from.is_null() {
            state_or_own(state).write(0);
            return 0;
        }
        to_wide(to, from, count, state_or_own(state))
    }

    /// Returns the length of a multibyte character, restartably.
    "msvcrt.dll|ucrtbase.dll" cdecl fn mbrlen(from: Ptr<u8>, count: usize, state: Ptr<u32>) -> usize {
        if from.is_null() {
            return 0;
        }
        to_wide(Ptr::NULL, from, count, state_or_own(state))
    }

    /// Converts a wide character, restartably.
    "msvcrt.dll|ucrtbase.dll" cdecl fn wcrtomb(to: Ptr<u8>, unit: u16, state: Ptr<u32>) -> usize {
        to_narrow(to, unit, state_or_own(state))
    }

    /// Converts a multibyte string, restartably.
    "msvcrt.dll|ucrtbase.dll" cdecl fn mbsrtowcs(to: Ptr<u16>, from: Ptr<Ptr<u8>>, count: usize, _state: Ptr<u32>) -> usize {
        let done = string_to_wide(to, from.read(), count);
        if !to.is_null() && done < count {
            from.write(Ptr::NULL);
        }
        done
    }

    /// Converts a wide string, restartably.
    "msvcrt.dll|ucrtbase.dll" cdecl fn wcsrtombs(to: Ptr<u8>, from: Ptr<Ptr<u16>>, count: usize, _state: Ptr<u32>) -> usize {
        let done = string_to_narrow(to, from.read(), count);
        if !to.is_null() && done < count {
            from.write(Ptr::NULL);
        }
        done
    }
}
