//! Characters and lines.

use crate::crt::errno;
use crate::crt::mem::{self, Char};
use crate::crt::stdio::{EOF, read_character, unread_character, write_text};
use crate::crt::stream::{self, File};
use crate::crt::twins::twins;
use crate::crt::unit::Unit;
use crate::export::Ptr;

fn put<T: Char>(unit: i32, file: Ptr<File>) -> i32 {
    let Some(shared) = stream::get(file) else {
        return EOF;
    };
    let unit = T::from_low(unit.cast_unsigned());
    let written = write_text(&mut shared.lock(), &[unit]);
    written.map_or(EOF, |()| unit.code().cast_signed())
}

fn get<T: Char>(file: Ptr<File>) -> i32 {
    let Some(shared) = stream::get(file) else {
        return EOF;
    };
    let unit = read_character::<T>(&mut shared.lock());
    unit.map_or(if T::WIDE { 0xFFFF } else { EOF }, |unit| {
        unit.code().cast_signed()
    })
}

fn put_line<T: Char>(text: Ptr<T>, file: Ptr<File>, ends_line: bool) -> i32 {
    if text.is_null() {
        errno::invalid_parameter();
        return EOF;
    }
    let Some(shared) = stream::get(file) else {
        return EOF;
    };
    let mut text = mem::string(text);
    if ends_line {
        text.push(T::from_ascii(b'\n'));
    }
    let written = write_text(&mut shared.lock(), &text);
    written.map_or(EOF, |()| 0)
}

fn get_line<T: Char>(to: Ptr<T>, size: i32, file: Ptr<File>) -> Ptr<T> {
    let Some(room) = usize::try_from(size)
        .ok()
        .filter(|&size| size > 0 && !to.is_null())
    else {
        errno::invalid_parameter();
        return Ptr::NULL;
    };
    let Some(shared) = stream::get(file) else {
        return Ptr::NULL;
    };
    let mut line = Vec::new();
    let mut stream = shared.lock();
    while line.len() + 1 < room {
        let Some(unit) = read_character::<T>(&mut stream) else {
            break;
        };
        line.push(unit);
        if unit.code() == u32::from(b'\n') {
            break;
        }
    }
    drop(stream);
    if line.is_empty() && room > 1 {
        return Ptr::NULL;
    }
    mem::write_string(to, &line);
    to
}

twins! {
    /// Writes a character.
    "msvcrt.dll|ucrtbase.dll" fn fputc / fputwc(unit: i32, file: Ptr<File>) -> i32 { put::<Char>(unit, file) }
    /// Writes a character.
    "msvcrt.dll|ucrtbase.dll" fn putc / putwc(unit: i32, file: Ptr<File>) -> i32 { put::<Char>(unit, file) }
    /// Writes a character to standard output.
    "msvcrt.dll|ucrtbase.dll" fn putchar / putwchar(unit: i32) -> i32 { put::<Char>(unit, stream::standard_file(1)) }
    /// Reads a character.
    "msvcrt.dll|ucrtbase.dll" fn fgetc / fgetwc(file: Ptr<File>) -> i32 { get::<Char>(file) }
    /// Reads a character.
    "msvcrt.dll|ucrtbase.dll" fn getc / getwc(file: Ptr<File>) -> i32 { get::<Char>(file) }
    /// Reads a character from standard input.
    "msvcrt.dll|ucrtbase.dll" fn getchar / getwchar() -> i32 { get::<Char>(stream::standard_file(0)) }
    /// Writes a string.
    "msvcrt.dll|ucrtbase.dll" fn fputs / fputws(text: Ptr<Char>, file: Ptr<File>) -> i32 { put_line(text, file, false) }
    /// Writes a line to standard output.
    "msvcrt.dll|ucrtbase.dll" fn puts / _putws(text: Ptr<Char>) -> i32 { put_line(text, stream::standard_file(1), true) }
    /// Reads a line.
    "msvcrt.dll|ucrtbase.dll" fn fgets / fgetws(to: Ptr<Char>, size: i32, file: Ptr<File>) -> Ptr<Char> { get_line(to, size, file) }
    /// Puts a character back.
    "msvcrt.dll|ucrtbase.dll" fn ungetc / ungetwc(unit: i32, file: Ptr<File>) -> i32 {
        let Some(shared) = stream::get(file) else { return EOF };
        if unit == EOF {
            return EOF;
        }
        unread_character(&mut shared.lock(), Char::from_low(unit.cast_unsigned()));
        unit
    }
}
