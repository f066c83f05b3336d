//! Restartable conversions: a state keeps what of a character was seen. `mbrtowc`, `wcrtomb`; `uchar.h`.

use super::multibyte::{fail, store, string_to_narrow, string_to_wide};
use crate::crt::errno;
use crate::crt::locale;
use crate::crt::mem;
use crate::crt::text::{self, CodePage, Decoded};
use crate::export::Ptr;
use crate::win_api;

/// Result of the restartable functions for an incomplete character.
const INCOMPLETE: usize = usize::MAX - 1;

/// `mbstate_t` when the low half of a surrogate pair is still to be delivered: the unit with this bit.
const PENDING: u32 = 0x8000_0000;

/// Converts the multibyte character at `from`, `count` bytes at most, by the state at `state`.
///
/// The state holds the bytes of an incomplete character, or the second half of a pair, in a 32-bit word.
fn to_wide(page: CodePage, to: Ptr<u16>, from: Ptr<u8>, count: usize, state: Ptr<u32>) -> usize {
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
        match text::decode(page, &bytes) {
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
fn to_narrow(page: CodePage, to: Ptr<u8>, unit: u16, state: Ptr<u32>) -> usize {
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
    if page == CodePage::Utf8 && kept == 0 && (0xD800..0xDC00).contains(&unit) {
        state.write(u32::from(unit));
        return 0;
    }
    state.write(0);
    match text::narrow(page, &units) {
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

win_api! {
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
        to_wide(locale::code_page(), to, from, count, state_or_own(state))
    }

    /// Returns the length of a multibyte character, restartably.
    "msvcrt.dll|ucrtbase.dll" cdecl fn mbrlen(from: Ptr<u8>, count: usize, state: Ptr<u32>) -> usize {
        if from.is_null() {
            return 0;
        }
        to_wide(locale::code_page(), Ptr::NULL, from, count, state_or_own(state))
    }

    /// Converts a wide character, restartably.
    "msvcrt.dll|ucrtbase.dll" cdecl fn wcrtomb(to: Ptr<u8>, unit: u16, state: Ptr<u32>) -> usize {
        to_narrow(locale::code_page(), to, unit, state_or_own(state))
    }

    /// Converts a multibyte string, restartably.
    "msvcrt.dll|ucrtbase.dll" cdecl fn mbsrtowcs(to: Ptr<u16>, from: Ptr<Ptr<u8>>, count: usize, _state: Ptr<u32>) -> usize {
        let done = string_to_wide(locale::code_page(), to, from.read(), count);
        if !to.is_null() && done < count {
            from.write(Ptr::NULL);
        }
        done
    }

    /// Converts a wide string, restartably.
    "msvcrt.dll|ucrtbase.dll" cdecl fn wcsrtombs(to: Ptr<u8>, from: Ptr<Ptr<u16>>, count: usize, _state: Ptr<u32>) -> usize {
        let done = string_to_narrow(locale::code_page(), to, from.read(), count);
        if !to.is_null() && done < count {
            from.write(Ptr::NULL);
        }
        done
    }

    /// Converts a wide character if it fits, restartably.
    "msvcrt.dll|ucrtbase.dll" cdecl fn wcrtomb_s(done: Ptr<usize>, to: Ptr<u8>, size: usize, unit: u16, state: Ptr<u32>) -> i32 {
        if to.is_null() {
            state_or_own(state).write(0);
            done.write_if_some(1);
            return 0;
        }
        let mut bytes = [0_u8; 8];
        let count = to_narrow(locale::code_page(), Ptr::new(bytes.as_mut_ptr() as u64), unit, state_or_own(state));
        done.write_if_some(count);
        if count == usize::MAX {
            to.write(0);
            return errno::errno();
        }
        if count > size {
            to.write(0);
            return errno::invalid(errno::code::ERANGE);
        }
        to.write_bytes(&bytes[..count]);
        0
    }

    /// Converts a multibyte string if it fits, restartably.
    "msvcrt.dll|ucrtbase.dll" cdecl fn mbsrtowcs_s(done: Ptr<usize>, to: Ptr<u16>, size: usize, from: Ptr<Ptr<u8>>, count: usize, _state: Ptr<u32>) -> i32 {
        store(done, to, size, text::wide(locale::code_page(), &mem::string(from.read())), count)
    }

    /// Converts a wide string if it fits, restartably.
    "msvcrt.dll|ucrtbase.dll" cdecl fn wcsrtombs_s(done: Ptr<usize>, to: Ptr<u8>, size: usize, from: Ptr<Ptr<u16>>, count: usize, _state: Ptr<u32>) -> i32 {
        store(done, to, size, text::narrow(locale::code_page(), &mem::string(from.read())), count)
    }

    /// Converts a UTF-8 character to UTF-16, restartably.
    "ucrtbase.dll" cdecl fn mbrtoc16(to: Ptr<u16>, from: Ptr<u8>, count: usize, state: Ptr<u32>) -> usize {
        const SECOND_HALF: usize = usize::MAX - 2;
        let state = state_or_own(state);
        if from.is_null() {
            state.write(0);
            return 0;
        }
        let is_second = state.read() & PENDING != 0;
        let used = to_wide(CodePage::Utf8, to, from, count, state);
        if is_second { SECOND_HALF } else { used }
    }

    /// Converts a UTF-8 character to UTF-32, restartably.
    "ucrtbase.dll" cdecl fn mbrtoc32(to: Ptr<u32>, from: Ptr<u8>, count: usize, state: Ptr<u32>) -> usize {
        let state = state_or_own(state);
        if from.is_null() {
            state.write(0);
            return 0;
        }
        let mut unit = 0_u16;
        let used = to_wide(CodePage::Utf8, Ptr::new(&raw mut unit as u64), from, count, state);
        let kept = state.read();
        if kept & PENDING == 0 {
            if used <= 4 {
                to.write_if_some(unit.into());
            }
            return used;
        }
        let low = kept & 0xFFFF;
        state.write(0);
        to.write_if_some(0x1_0000 + ((u32::from(unit) & 0x3FF) << 10) + (low & 0x3FF));
        used
    }

    /// Converts a UTF-16 unit to UTF-8, restartably.
    "ucrtbase.dll" cdecl fn c16rtomb(to: Ptr<u8>, unit: u16, state: Ptr<u32>) -> usize {
        to_narrow(CodePage::Utf8, to, unit, state_or_own(state))
    }

    /// Converts a UTF-32 character to UTF-8.
    "ucrtbase.dll" cdecl fn c32rtomb(to: Ptr<u8>, character: u32, state: Ptr<u32>) -> usize {
        if to.is_null() {
            state_or_own(state).write(0);
            return 1;
        }
        let Some(character) = char::from_u32(character) else {
            return fail();
        };
        let mut bytes = [0; 4];
        let bytes = character.encode_utf8(&mut bytes).as_bytes();
        to.write_bytes(bytes);
        bytes.len()
    }
}
