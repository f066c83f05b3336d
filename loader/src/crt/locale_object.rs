//! Locales as objects. There are two locales, and the functions that take an object use the one of the process; so an
//! object is a block that can be told from NULL and freed.
//!
//! Source: Microsoft Learn, "_create_locale, _wcreate_locale", "_free_locale", "_get_current_locale".

use super::locale::is_known;
use super::malloc;
use super::mem::{self, Char};
use super::twins::twins;
use crate::export::Ptr;
use crate::win_api;

/// Bytes of a locale: two pointers to what programs must not look at.
const BYTES: usize = 16;

fn make() -> Ptr<u8> {
    malloc::calloc(1, BYTES)
}

fn create<T: Char>(name: Ptr<T>) -> Ptr<u8> {
    let name: String = mem::string(name)
        .iter()
        .map(|unit| char::from(unit.ascii()))
        .collect();
    if is_known(&name) { make() } else { Ptr::NULL }
}

twins! {
    /// Makes a locale by its name; NULL if there is none.
    "msvcrt.dll|ucrtbase.dll" fn _create_locale / _wcreate_locale(category: i32, name: Ptr<Char>) -> Ptr<u8> {
        if name.is_null() { Ptr::NULL } else { create(name) }
    }
}

win_api! {
    /// Makes an object of the current locale.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _get_current_locale() -> Ptr<u8> {
        make()
    }

    /// Frees a locale.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _free_locale(locale: Ptr<u8>) {
        malloc::free(locale);
    }
}
