//! Where the user is, and the locales behind names: the geographical part of `winnls.h`. There is one place: the United States,
//! as there is one locale.
//!
//! Source: Microsoft Learn, "GetGeoInfoW function", "GetUserGeoID function", "ResolveLocaleName function", "Table of
//! Geographical Locations".

use crate::dlls::win32::{error, refuse, units_arg};
use crate::export::Ptr;
use crate::win_api;

use super::winnls::NAME;

/// `GEOID` of the United States.
const UNITED_STATES: i32 = 244;
/// `GEOCLASS_NATION`; the other classes are `GEOID_NOT_AVAILABLE`.
const NATION: u32 = 16;
const NOT_AVAILABLE: i32 = -1;

/// What a `SYSGEOTYPE` asks for: number, two and three letters, locale, names, number of ISO 3166.
fn information(kind: u32) -> Option<&'static str> {
    Some(match kind {
        1 => "244",
        4 => "US",
        5 => "USA",
        6 => "00000409",
        8 | 9 => "United States",
        12 => "840",
        _ => return None,
    })
}

/// Writes a text with its NUL, or tells the room it needs if `size` is 0; 0 with a last error if it does not fit.
fn put(text: &str, buffer: Ptr<u16>, size: i32) -> i32 {
    let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
    let needed = i32::try_from(units.len()).unwrap_or(i32::MAX);
    if size != 0 {
        if size < needed || buffer.is_null() {
            return refuse(error::INSUFFICIENT_BUFFER, 0);
        }
        buffer.write_many(&units);
    }
    needed
}

win_api! {
    /// Returns the place of the user.
    "kernel32.dll|kernelbase.dll" stdcall fn GetUserGeoID(class: u32) -> i32 {
        if class == NATION { UNITED_STATES } else { NOT_AVAILABLE }
    }

    /// Tells about a place (`SYSGEOTYPE`).
    "kernel32.dll|kernelbase.dll" stdcall fn GetGeoInfoW(place: i32, kind: u32, buffer: Ptr<u16>, size: i32, _language: u16) -> i32 {
        if place != UNITED_STATES {
            return refuse(error::INVALID_PARAMETER, 0);
        }
        match information(kind) {
            Some(text) => put(text, buffer, size),
            None => refuse(error::INVALID_FLAGS, 0),
        }
    }

    /// Returns the locale that stands for a name: the one there is, or none for a language it does not have.
    "kernel32.dll|kernelbase.dll" stdcall fn ResolveLocaleName(name: Ptr<u16>, buffer: Ptr<u16>, size: i32) -> i32 {
        let name = units_arg(name).map(|units| String::from_utf16_lossy(&units));
        let is_known = name.is_none_or(|name| name.split(['-', '_']).next().is_some_and(|language| language.eq_ignore_ascii_case("en")));
        put(if is_known { NAME } else { "" }, buffer, size)
    }
}
