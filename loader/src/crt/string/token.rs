//! `strtok` and its relatives.

use crate::crt::errno;
use crate::crt::mem::{self, Char};
use crate::export::Ptr;
use crate::win_api;

/// Cuts the next token; `saved` keeps the place between calls.
fn token<T: Char>(text: Ptr<T>, set: Ptr<T>, saved: Ptr<Ptr<T>>) -> Ptr<T> {
    let set = mem::string(set);
    let mut next = if text.is_null() { saved.read() } else { text };
    if next.is_null() {
        return Ptr::NULL;
    }
    while next.read().code() != 0 && set.contains(&next.read()) {
        next = next.add(1);
    }
    let start = next;
    while next.read().code() != 0 && !set.contains(&next.read()) {
        next = next.add(1);
    }
    if next == start {
        saved.write(next);
        return Ptr::NULL;
    }
    if next.read().code() != 0 {
        next.write(T::from_ascii(0));
        next = next.add(1);
    }
    saved.write(next);
    start
}

fn token_checked<T: Char>(text: Ptr<T>, set: Ptr<T>, context: Ptr<Ptr<T>>) -> Ptr<T> {
    if context.is_null() || set.is_null() || (text.is_null() && context.read().is_null()) {
        errno::invalid_parameter();
        return Ptr::NULL;
    }
    token(text, set, context)
}

win_api! {
    /// Cuts the next token of a string.
    "msvcrt.dll|ucrtbase.dll" cdecl fn strtok(text: Ptr<u8>, set: Ptr<u8>) -> Ptr<u8> {
        token(text, set, errno::thread_field("strtok_next"))
    }

    /// Cuts the next token of a string.
    "msvcrt.dll" cdecl fn wcstok(text: Ptr<u16>, set: Ptr<u16>) -> Ptr<u16> {
        token(text, set, errno::thread_field("wcstok_next"))
    }

    /// Cuts the next token of a string; the place is kept by the caller, or by the thread if that is NULL.
    "ucrtbase.dll" cdecl fn wcstok_c99 = "wcstok" (text: Ptr<u16>, set: Ptr<u16>, context: Ptr<Ptr<u16>>) -> Ptr<u16> {
        token(text, set, context.non_null().unwrap_or_else(|| errno::thread_field("wcstok_next")))
    }

    /// Cuts the next token of a string.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" cdecl fn strtok_s(text: Ptr<u8>, set: Ptr<u8>, context: Ptr<Ptr<u8>>) -> Ptr<u8> {
        token_checked(text, set, context)
    }

    /// Cuts the next token of a string.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" cdecl fn wcstok_s(text: Ptr<u16>, set: Ptr<u16>, context: Ptr<Ptr<u16>>) -> Ptr<u16> {
        token_checked(text, set, context)
    }
}
