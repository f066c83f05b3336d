//! `strerror` and its relatives: error numbers as text.
//!
//! Source: Microsoft Learn, "strerror, _strerror, _wcserror, __wcserror", "errno constants".

use super::errno::{errno, invalid_parameter, thread_field};
use super::{mem, unit};
use crate::export::Ptr;
use crate::win_api;

const MESSAGES: [&str; 43] = [
    "No error",
    "Operation not permitted",
    "No such file or directory",
    "No such process",
    "Interrupted function call",
    "Input/output error",
    "No such device or address",
    "Arg list too long",
    "Exec format error",
    "Bad file descriptor",
    "No child processes",
    "Resource temporarily unavailable",
    "Not enough space",
    "Permission denied",
    "Bad address",
    "Unknown error",
    "Resource device",
    "File exists",
    "Improper link",
    "No such device",
    "Not a directory",
    "Is a directory",
    "Invalid argument",
    "Too many open files in system",
    "Too many open files",
    "Inappropriate I/O control operation",
    "Unknown error",
    "File too large",
    "No space left on device",
    "Invalid seek",
    "Read-only file system",
    "Too many links",
    "Broken pipe",
    "Domain error",
    "Result too large",
    "Unknown error",
    "Resource deadlock avoided",
    "Unknown error",
    "Filename too long",
    "No locks available",
    "Function not implemented",
    "Directory not empty",
    "Illegal byte sequence",
];

/// Returns the message of an error number.
pub fn message(number: i32) -> &'static str {
    usize::try_from(number)
        .ok()
        .and_then(|index| MESSAGES.get(index))
        .copied()
        .unwrap_or("Unknown error")
}

/// Returns `text: message`, as `_strerror` and `perror` print it.
pub fn described(text: &[u8], number: i32) -> Vec<u8> {
    let mut line = text.to_vec();
    if !text.is_empty() {
        line.extend_from_slice(b": ");
    }
    line.extend_from_slice(message(number).as_bytes());
    line
}

/// Writes text, cut to fit, into a buffer of the calling thread and returns it.
fn in_thread_buffer<T: mem::Char>(field: &str, text: &[T]) -> Ptr<T> {
    let buffer = thread_field::<T>(field);
    mem::write_string(buffer, &text[..text.len().min(255)]);
    buffer
}

/// Writes `text` to a caller's buffer, cut to fit.
fn to_buffer<T: mem::Char>(buffer: Ptr<T>, size: usize, text: &[T]) -> i32 {
    if buffer.is_null() || size == 0 {
        return invalid_parameter();
    }
    mem::write_string(buffer, &text[..text.len().min(size - 1)]);
    0
}

/// Returns `text: message` and a line end, as `_strerror` gives it.
fn line(text: &[u8]) -> Vec<u8> {
    let mut line = described(text, errno());
    line.push(b'\n');
    line
}

fn wide_line(text: Ptr<u16>) -> Vec<u16> {
    let mut line = text.non_null().map(mem::string).unwrap_or_default();
    if !line.is_empty() {
        line.extend(unit::ascii::<u16>(": "));
    }
    line.extend(unit::ascii::<u16>(message(errno())));
    line.push(u16::from(b'\n'));
    line
}

/// Returns guest copies of all messages; the last entry is that of unknown numbers.
fn messages() -> [Ptr<u8>; 44] {
    std::array::from_fn(|number| {
        super::startup::permanent_string(message(number as i32).as_bytes())
    })
}

fn table() -> Ptr<Ptr<u8>> {
    _sys_errlist.ptr().cast()
}

win_api! {
    /// Returns the message of an error number.
    "msvcrt.dll|ucrtbase.dll" cdecl fn strerror(number: i32) -> Ptr<u8> {
        in_thread_buffer("strerror", message(number).as_bytes())
    }

    /// Returns the message of an error number.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _wcserror(number: i32) -> Ptr<u16> {
        in_thread_buffer("wcserror", &unit::ascii::<u16>(message(number)))
    }

    /// Writes the message of an error number.
    "msvcrt.dll|ucrtbase.dll" cdecl fn strerror_s(buffer: Ptr<u8>, size: usize, number: i32) -> i32 {
        to_buffer(buffer, size, message(number).as_bytes())
    }

    /// Writes the message of an error number.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _wcserror_s(buffer: Ptr<u16>, size: usize, number: i32) -> i32 {
        to_buffer(buffer, size, &unit::ascii::<u16>(message(number)))
    }

    /// Returns a text, a colon and the message of `errno`.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _strerror(text: Ptr<u8>) -> Ptr<u8> {
        in_thread_buffer("strerror", &line(&text.non_null().map(mem::string).unwrap_or_default()))
    }

    /// Writes a text, a colon and the message of `errno`.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _strerror_s(buffer: Ptr<u8>, size: usize, text: Ptr<u8>) -> i32 {
        to_buffer(buffer, size, &line(&text.non_null().map(mem::string).unwrap_or_default()))
    }

    /// Returns a text, a colon and the message of `errno`.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __wcserror(text: Ptr<u16>) -> Ptr<u16> {
        in_thread_buffer("wcserror", &wide_line(text))
    }

    /// Writes a text, a colon and the message of `errno`.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __wcserror_s(buffer: Ptr<u16>, size: usize, text: Ptr<u16>) -> i32 {
        to_buffer(buffer, size, &wide_line(text))
    }

    /// Returns the table of messages.
    "ucrtbase.dll" cdecl fn __sys_errlist() -> Ptr<Ptr<u8>> {
        table()
    }

    /// Returns the address of the number of messages.
    "ucrtbase.dll" cdecl fn __sys_nerr() -> Ptr<i32> {
        _sys_nerr.ptr()
    }

    /// The number of messages.
    "msvcrt.dll" data _sys_nerr: i32 = MESSAGES.len() as i32;

    /// The table of messages.
    "msvcrt.dll" data _sys_errlist: [Ptr<u8>; 44] = messages();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_the_runtime() {
        assert_eq!(message(2), "No such file or directory");
        assert_eq!(message(-1), "Unknown error");
        assert_eq!(described(b"x", 13), b"x: Permission denied");
    }
}
