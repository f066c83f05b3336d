//! Locales and character types: `winnls.h`. One locale is known: `en-US`, with Unicode's own case and order of code points.

use ntlpc_abi::UserPtr;

use crate::dlls::win32::{error, put_string, refuse, wide_arg};
use crate::export::{Bool, Callback, Ptr};
use crate::ob::name::upcase;
use crate::win_api;

/// `LOCALE_USER_DEFAULT` and friends resolve to this: English (United States).
const EN_US: u32 = 0x409;
pub(super) const NAME: &str = "en-US";
/// `LOCALE_INVARIANT`.
const INVARIANT: u32 = 0x7F;

/// A locale whose dates and times are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locale {
    /// English (United States), the user's.
    EnUs,
    /// The invariant one.
    Invariant,
}

impl Locale {
    /// Returns the locale with a number.
    #[must_use]
    pub fn of(number: u32) -> Option<Locale> {
        match number {
            INVARIANT => Some(Locale::Invariant),
            _ => is_known(number).then_some(Locale::EnUs),
        }
    }

    /// Returns the locale of a name: NULL is the user's, an empty one the invariant.
    #[must_use]
    pub fn named(name: Ptr<u16>) -> Option<Locale> {
        let name = name
            .non_null()
            .map(|n| String::from_utf16_lossy(&n.read_wide_string()));
        Locale::of(number_of(name.as_deref())?)
    }
}

/// Whether a number is that of a locale that is known, or stands for it: those of the user and the system, custom ones.
fn is_known(number: u32) -> bool {
    matches!(
        number,
        EN_US | 0x9 | 0x400 | 0x800 | 0 | INVARIANT | 0xC00 | 0x1400
    )
}

fn number_of(name: Option<&str>) -> Option<u32> {
    Some(match name {
        None => EN_US,
        Some("") => INVARIANT,
        // LOCALE_NAME_SYSTEM_DEFAULT
        Some("!x-sys-default-locale") => EN_US,
        Some(name) if name.eq_ignore_ascii_case(NAME) => EN_US,
        Some(name) if name.eq_ignore_ascii_case("en") => 9,
        Some(_) => return None,
    })
}

/// `LCMAP_LOWERCASE`.
const LOWERCASE: u32 = 0x100;
/// `LCMAP_UPPERCASE`.
const UPPERCASE: u32 = 0x200;
/// `LCMAP_SORTKEY`.
const SORTKEY: u32 = 0x400;
/// `NORM_IGNORECASE`, `LINGUISTIC_IGNORECASE`.
const IGNORE_CASE: u32 = 0x11;

fn read(at: Ptr<u16>, length: i32) -> Vec<u16> {
    match usize::try_from(length) {
        Ok(length) => at.read_many(length),
        Err(_) => at.read_wide_string(),
    }
}

fn downcase(unit: u16) -> u16 {
    let Some(c) = char::from_u32(u32::from(unit)) else {
        return unit;
    };
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(one), None) => u16::try_from(u32::from(one)).unwrap_or(unit),
        _ => unit,
    }
}

/// Compares: 1 less, 2 equal, 3 greater. Letters of one kind stand together, lower case first, as in a dictionary.
fn compare(first: &[u16], second: &[u16], flags: u32) -> i32 {
    let folded = |units: &[u16]| units.iter().map(|&u| upcase(u)).collect::<Vec<u16>>();
    let mut order = folded(first).cmp(&folded(second));
    if order.is_eq() && flags & IGNORE_CASE == 0 {
        // Lower case sorts before upper case.
        order = second.cmp(first);
    }
    order as i32 + 2
}

fn map(flags: u32, from: Ptr<u16>, length: i32, to: Ptr<u16>, size: i32) -> i32 {
    let mut units = read(from, length);
    if length < 0 {
        units.push(0);
    }
    if flags & SORTKEY != 0 {
        // The key of a string: its folded units, big-endian, then a terminator; sizes are in bytes.
        let key: Vec<u8> = units
            .iter()
            .take_while(|&&u| u != 0)
            .flat_map(|&u| upcase(u).to_be_bytes())
            .chain([1, 1, 1, 1, 0])
            .collect();
        let count = i32::try_from(key.len()).unwrap_or(i32::MAX);
        if size == 0 {
            return count;
        }
        if size < count {
            return refuse(error::INSUFFICIENT_BUFFER, 0);
        }
        to.cast::<u8>().write_bytes(&key);
        return count;
    }
    if flags & LOWERCASE != 0 {
        units.iter_mut().for_each(|unit| *unit = downcase(*unit));
    } else if flags & UPPERCASE != 0 {
        units.iter_mut().for_each(|unit| *unit = upcase(*unit));
    }
    let count = i32::try_from(units.len()).unwrap_or(i32::MAX);
    if size == 0 {
        return count;
    }
    if size < count {
        return refuse(error::INSUFFICIENT_BUFFER, 0);
    }
    to.write_many(&units);
    count
}

/// `C1_*` bits of a character.
fn ctype1(unit: u16) -> u16 {
    let Some(c) = char::from_u32(u32::from(unit)) else {
        return 0;
    };
    let bits = [
        (c.is_uppercase(), 0x1),
        (c.is_lowercase(), 0x2),
        (c.is_numeric() && c.is_ascii_digit(), 0x4),
        (c.is_whitespace(), 0x8),
        (c.is_ascii_punctuation(), 0x10),
        (c.is_control(), 0x20),
        (matches!(c, ' ' | '\t' | '\u{a0}'), 0x40),
        (c.is_ascii_hexdigit(), 0x80),
        (c.is_alphabetic(), 0x100),
    ];
    bits.into_iter()
        .filter(|(is, _)| *is)
        .fold(0x200, |all, (_, bit)| all | bit)
}

/// Locale information by `LCTYPE`.
fn information(kind: u32) -> Option<&'static str> {
    Some(match kind & 0xFFFF {
        0x01 => "0409",
        0x02 => "English (United States)",
        0x03 => "ENU",
        0x04 | 0x1001 => "English",
        0x06 | 0x1002 => "United States",
        0x59 => "en",
        0x5A => "US",
        0x5C => NAME,
        0x0B | 0x1004 => "65001",
        0x0C => ",",
        0x0E => ".",
        0x0F => ",",
        0x10 => "3;0",
        0x11 => "2",
        0x12 => "1",
        0x13 => "0123456789",
        0x14 => "$",
        0x15 => "USD",
        0x1D => "/",
        0x1E => ":",
        0x1F => "M/d/yyyy",
        0x20 => "dddd, MMMM d, yyyy",
        0x28 => "AM",
        0x29 => "PM",
        0x50 => "-",
        0x51 => "",
        0x1003 => "h:mm:ss tt",
        _ => return None,
    })
}

fn locale_info(kind: u32, buffer: Ptr<u16>, size: i32) -> i32 {
    let Some(text) = information(kind) else {
        return refuse(error::INVALID_FLAGS, 0);
    };
    // LOCALE_RETURN_NUMBER
    if kind & 0x2000_0000 != 0 {
        if size != 0 {
            let number = if kind & 0xFFFF == 1 {
                EN_US
            } else {
                text.parse().unwrap_or(0)
            };
            buffer.cast::<u32>().write(number);
        }
        return 2;
    }
    let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
    let count = i32::try_from(units.len()).unwrap_or(0);
    if size == 0 {
        return count;
    }
    if size < count {
        return refuse(error::INSUFFICIENT_BUFFER, 0);
    }
    buffer.write_many(&units);
    count
}

win_api! {
    /// Compares strings.
    "kernel32.dll|kernelbase.dll" stdcall fn CompareStringW(_locale: u32, flags: u32, first: Ptr<u16>, first_length: i32, second: Ptr<u16>, second_length: i32) -> i32 {
        compare(&read(first, first_length), &read(second, second_length), flags)
    }

    /// Compares strings.
    "kernel32.dll|kernelbase.dll" stdcall fn CompareStringEx(_locale: Ptr<u16>, flags: u32, first: Ptr<u16>, first_length: i32, second: Ptr<u16>, second_length: i32, _version: UserPtr, _reserved: UserPtr, _parameter: usize) -> i32 {
        compare(&read(first, first_length), &read(second, second_length), flags)
    }

    /// Compares strings.
    "kernel32.dll|kernelbase.dll" stdcall fn CompareStringA(_locale: u32, flags: u32, first: Ptr<u8>, first_length: i32, second: Ptr<u8>, second_length: i32) -> i32 {
        let read = |at: Ptr<u8>, length: i32| match usize::try_from(length) {
            Ok(length) => crate::dlls::win32::wide_of(&at.read_bytes(length)),
            Err(_) => wide_arg(at).unwrap_or_default(),
        };
        compare(&read(first, first_length), &read(second, second_length), flags)
    }

    /// Changes the case of a string, or makes its sort key.
    "kernel32.dll|kernelbase.dll" stdcall fn LCMapStringW(_locale: u32, flags: u32, from: Ptr<u16>, length: i32, to: Ptr<u16>, size: i32) -> i32 {
        map(flags, from, length, to, size)
    }

    /// Changes the case of a string, or makes its sort key.
    "kernel32.dll|kernelbase.dll" stdcall fn LCMapStringEx(_locale: Ptr<u16>, flags: u32, from: Ptr<u16>, length: i32, to: Ptr<u16>, size: i32, _version: UserPtr, _reserved: UserPtr, _parameter: usize) -> i32 {
        map(flags, from, length, to, size)
    }

    /// Tells the type of each character; `CT_CTYPE1` only, the other kinds are zero.
    "kernel32.dll|kernelbase.dll" stdcall fn GetStringTypeW(kind: u32, text: Ptr<u16>, length: i32, to: Ptr<u16>) -> Bool {
        let mut units = read(text, length);
        if length < 0 {
            units.push(0);
        }
        let types: Vec<u16> = units.iter().map(|&unit| if kind == 1 { ctype1(unit) } else { 0 }).collect();
        to.write_many(&types);
        Bool::TRUE
    }

    /// Tells the type of each character.
    "kernel32.dll|kernelbase.dll" stdcall fn GetStringTypeExW(_locale: u32, kind: u32, text: Ptr<u16>, length: i32, to: Ptr<u16>) -> Bool {
        GetStringTypeW(kind, text, length, to)
    }

    /// Returns the locale of the user.
    "kernel32.dll|kernelbase.dll" stdcall fn GetUserDefaultLCID = "GetUserDefaultLCID|GetSystemDefaultLCID|GetThreadLocale" () -> u32 {
        EN_US
    }

    /// Returns the language of the user.
    "kernel32.dll|kernelbase.dll" stdcall fn GetUserDefaultLangID = "GetUserDefaultLangID|GetSystemDefaultLangID|GetUserDefaultUILanguage|GetSystemDefaultUILanguage" () -> u16 {
        EN_US as u16
    }

    /// Returns the name of the user's locale.
    "kernel32.dll|kernelbase.dll" stdcall fn GetUserDefaultLocaleName = "GetUserDefaultLocaleName|GetSystemDefaultLocaleName" (buffer: Ptr<u16>, size: i32) -> i32 {
        let units: Vec<u16> = NAME.encode_utf16().collect();
        let written = put_string(&units, buffer, u32::try_from(size).unwrap_or(0));
        if written as usize == units.len() { i32::try_from(written + 1).unwrap_or(0) } else { 0 }
    }

    /// Returns whether a locale is known.
    "kernel32.dll|kernelbase.dll" stdcall fn IsValidLocale(locale: u32, _flags: u32) -> Bool {
        is_known(locale).into()
    }

    /// Returns whether a locale name is known.
    "kernel32.dll|kernelbase.dll" stdcall fn IsValidLocaleName(name: Ptr<u16>) -> Bool {
        let name = String::from_utf16_lossy(&name.read_wide_string());
        (name.is_empty() || name.eq_ignore_ascii_case(NAME) || name.eq_ignore_ascii_case("en")).into()
    }

    /// Returns the locale of a name.
    "kernel32.dll|kernelbase.dll" stdcall fn LocaleNameToLCID(name: Ptr<u16>, _flags: u32) -> u32 {
        let name = name.non_null().map(|n| String::from_utf16_lossy(&n.read_wide_string()));
        number_of(name.as_deref()).unwrap_or_else(|| refuse(error::INVALID_PARAMETER, 0))
    }

    /// Returns the name of a locale.
    "kernel32.dll|kernelbase.dll" stdcall fn LCIDToLocaleName(_locale: u32, buffer: Ptr<u16>, size: i32, _flags: u32) -> i32 {
        GetUserDefaultLocaleName(buffer, size)
    }

    /// Tells about a locale.
    "kernel32.dll|kernelbase.dll" stdcall fn GetLocaleInfoW(_locale: u32, kind: u32, buffer: Ptr<u16>, size: i32) -> i32 {
        locale_info(kind, buffer, size)
    }

    /// Tells about a locale.
    "kernel32.dll|kernelbase.dll" stdcall fn GetLocaleInfoEx(_locale: Ptr<u16>, kind: u32, buffer: Ptr<u16>, size: i32) -> i32 {
        locale_info(kind, buffer, size)
    }

    /// Calls a function for each locale: the one there is.
    "kernel32.dll|kernelbase.dll" stdcall fn EnumSystemLocalesW(function: Callback, _flags: u32) -> Bool {
        let text = crate::peb::strings::allocate_units(&"00000409\0".encode_utf16().collect::<Vec<u16>>());
        function.call(&[text.address()]);
        Bool::TRUE
    }

    /// Calls a function for each locale: the one there is.
    "kernel32.dll|kernelbase.dll" stdcall fn EnumSystemLocalesEx(function: Callback, _flags: u32, parameter: usize, _reserved: UserPtr) -> Bool {
        let text = crate::peb::strings::allocate_units(&"en-US\0".encode_utf16().collect::<Vec<u16>>());
        function.call(&[text.address(), 0x20, parameter as u64]);
        Bool::TRUE
    }

    /// Returns whether file functions take ANSI names: yes.
    "kernel32.dll|kernelbase.dll" stdcall fn AreFileApisANSI() -> Bool {
        Bool::TRUE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dictionary_order() {
        let units = |text: &str| text.encode_utf16().collect::<Vec<u16>>();
        assert_eq!(compare(&units("abc"), &units("ABC"), 1), 2);
        assert_eq!(compare(&units("abc"), &units("ABC"), 0), 1);
        assert_eq!(compare(&units("B"), &units("a"), 0), 3);
        assert_eq!(ctype1(u16::from(b'A')) & 0x183, 0x181);
    }
}
