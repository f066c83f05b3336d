//! Characters, lines and blocks.

use crate::crt::errno::{self, code};
use crate::crt::mem::{self, Char};
use crate::crt::stream::{self, File};
use crate::crt::twins::twins;
use crate::crt::unit::Unit;
use crate::export::Ptr;
use crate::win_api;

/// Returns what a function of kind `T` returns at the end of input.
fn end<T: Char>() -> i32 {
    if T::WIDE {
        i32::from(super::WEOF)
    } else {
        super::EOF
    }
}

/// Returns a character as the functions return it.
fn int<T: Char>(unit: T) -> i32 {
    unit.code().cast_signed()
}

fn get<T: Char>(file: Ptr<File>) -> i32 {
    let Some(shared) = stream::get(file) else {
        return end::<T>();
    };
    let unit = super::read_character::<T>(&mut shared.lock());
    unit.map_or_else(end::<T>, int)
}

fn put<T: Char>(unit: i32, file: Ptr<File>) -> i32 {
    let Some(shared) = stream::get(file) else {
        return end::<T>();
    };
    let unit = T::from_low(unit.cast_unsigned());
    let written = super::write_text(&mut shared.lock(), &[unit]);
    match written {
        Ok(()) => int(unit),
        Err(number) => {
            errno::set_errno(number);
            end::<T>()
        }
    }
}

fn unget<T: Char>(unit: i32, file: Ptr<File>) -> i32 {
    if unit == end::<T>() {
        return unit;
    }
    let Some(shared) = stream::get(file) else {
        return end::<T>();
    };
    let unit = T::from_low(unit.cast_unsigned());
    super::unread_character(&mut shared.lock(), unit);
    int(unit)
}

/// Takes characters up to and including a line feed, at most `limit`; `None` at the end of input.
fn line<T: Char>(file: Ptr<File>, limit: usize) -> Option<Vec<T>> {
    let shared = stream::get(file)?;
    let mut stream = shared.lock();
    let mut units = Vec::new();
    while units.len() < limit {
        let Some(unit) = super::read_character::<T>(&mut stream) else {
            break;
        };
        units.push(unit);
        if unit.ascii() == b'\n' {
            break;
        }
    }
    (!units.is_empty()).then_some(units)
}

fn put_string<T: Char>(text: Ptr<T>, file: Ptr<File>, line_end: bool) -> i32 {
    if text.is_null() {
        errno::invalid_parameter();
        return end::<T>();
    }
    let mut units = mem::string(text);
    if line_end {
        units.push(T::from_ascii(b'\n'));
    }
    let Some(shared) = stream::get(file) else {
        return end::<T>();
    };
    let written = super::write_text(&mut shared.lock(), &units);
    match written {
        Ok(()) => 0,
        Err(number) => {
            errno::set_errno(number);
            end::<T>()
        }
    }
}

/// Reads a line of standard input without its line feed.
fn get_line<T: Char>(to: Ptr<T>, size: usize, checked: bool) -> Ptr<T> {
    if to.is_null() || (checked && size == 0) {
        errno::invalid_parameter();
        return Ptr::NULL;
    }
    let Some(mut units) = line::<T>(stream::standard_file(0), usize::MAX) else {
        return Ptr::NULL;
    };
    if units.last().is_some_and(|unit| unit.ascii() == b'\n') {
        units.pop();
    }
    if checked && units.len() >= size {
        to.write(T::from_ascii(0));
        errno::invalid(code::ERANGE);
        return Ptr::NULL;
    }
    mem::write_string(to, &units);
    to
}

twins! {
    /// Reads a character.
    "msvcrt.dll|ucrtbase.dll" fn getc / getwc(file: Ptr<File>) -> i32 { get::<Char>(file) }
    /// Reads a character.
    "msvcrt.dll|ucrtbase.dll" fn fgetc / fgetwc(file: Ptr<File>) -> i32 { get::<Char>(file) }
    /// Reads a character of standard input.
    "msvcrt.dll|ucrtbase.dll" fn getchar / getwchar() -> i32 { get::<Char>(stream::standard_file(0)) }
    /// Reads a character of standard input.
    "msvcrt.dll|ucrtbase.dll" fn _fgetchar / _fgetwchar() -> i32 { get::<Char>(stream::standard_file(0)) }
    /// Reads a character, without a lock.
    "msvcrt.dll|ucrtbase.dll" fn _getc_nolock / _getwc_nolock(file: Ptr<File>) -> i32 { get::<Char>(file) }
    /// Reads a character, without a lock.
    "msvcrt.dll|ucrtbase.dll" fn _fgetc_nolock / _fgetwc_nolock(file: Ptr<File>) -> i32 { get::<Char>(file) }
    /// Reads a character: what inlined `getc` calls.
    "msvcrt.dll" fn _filbuf / _filwbuf(file: Ptr<File>) -> i32 { get::<Char>(file) }
    /// Writes a character.
    "msvcrt.dll|ucrtbase.dll" fn putc / putwc(unit: i32, file: Ptr<File>) -> i32 { put::<Char>(unit, file) }
    /// Writes a character.
    "msvcrt.dll|ucrtbase.dll" fn fputc / fputwc(unit: i32, file: Ptr<File>) -> i32 { put::<Char>(unit, file) }
    /// Writes a character to standard output.
    "msvcrt.dll|ucrtbase.dll" fn putchar / putwchar(unit: i32) -> i32 { put::<Char>(unit, stream::standard_file(1)) }
    /// Writes a character to standard output.
    "msvcrt.dll|ucrtbase.dll" fn _fputchar / _fputwchar(unit: i32) -> i32 { put::<Char>(unit, stream::standard_file(1)) }
    /// Writes a character, without a lock.
    "msvcrt.dll|ucrtbase.dll" fn _putc_nolock / _putwc_nolock(unit: i32, file: Ptr<File>) -> i32 { put::<Char>(unit, file) }
    /// Writes a character, without a lock.
    "msvcrt.dll|ucrtbase.dll" fn _fputc_nolock / _fputwc_nolock(unit: i32, file: Ptr<File>) -> i32 { put::<Char>(unit, file) }
    /// Writes a character: what inlined `putc` calls.
    "msvcrt.dll" fn _flsbuf / _flswbuf(unit: i32, file: Ptr<File>) -> i32 { put::<Char>(unit, file) }
    /// Puts a character back.
    "msvcrt.dll|ucrtbase.dll" fn ungetc / ungetwc(unit: i32, file: Ptr<File>) -> i32 { unget::<Char>(unit, file) }
    /// Puts a character back, without a lock.
    "msvcrt.dll|ucrtbase.dll" fn _ungetc_nolock / _ungetwc_nolock(unit: i32, file: Ptr<File>) -> i32 { unget::<Char>(unit, file) }

    /// Reads a line with its line feed, at most `size - 1` characters.
    "msvcrt.dll|ucrtbase.dll" fn fgets / fgetws(to: Ptr<Char>, size: i32, file: Ptr<File>) -> Ptr<Char> {
        let Ok(size @ 1..) = usize::try_from(size) else {
            errno::invalid_parameter();
            return Ptr::NULL;
        };
        match line::<Char>(file, size - 1) {
            Some(units) => mem::write_string(to, &units),
            None if size == 1 => to.write(<Char as Unit>::from_ascii(0)),
            None => return Ptr::NULL,
        }
        to
    }

    /// Reads a line of standard input.
    "msvcrt.dll|ucrtbase.dll" fn gets / _getws(to: Ptr<Char>) -> Ptr<Char> { get_line(to, usize::MAX, false) }
    /// Reads a line of standard input if it fits.
    "msvcrt.dll|ucrtbase.dll" fn gets_s / _getws_s(to: Ptr<Char>, size: usize) -> Ptr<Char> { get_line(to, size, true) }
    /// Writes a string.
    "msvcrt.dll|ucrtbase.dll" fn fputs / fputws(text: Ptr<Char>, file: Ptr<File>) -> i32 { put_string(text, file, false) }
    /// Writes a line to standard output.
    "msvcrt.dll|ucrtbase.dll" fn puts / _putws(text: Ptr<Char>) -> i32 { put_string(text, stream::standard_file(1), true) }

    /// Writes a text and the message of `errno` to standard error.
    "msvcrt.dll|ucrtbase.dll" fn perror / _wperror(text: Ptr<Char>) {
        let number = errno::errno();
        let prefix = if text.is_null() { Vec::new() } else { mem::string(text) };
        let narrow: Vec<u8> = prefix.iter().map(|unit| u8::from_low(unit.code())).collect();
        let mut line = crate::crt::strerror::described(&narrow, number);
        line.push(b'\n');
        if let Some(shared) = stream::get(stream::standard_file(2)) {
            // There is nowhere to report that standard error failed.
            let _ = shared.lock().write(&line);
        }
    }
}

/// Reads whole elements; returns how many.
fn read_block(to: Ptr<u8>, room: usize, size: usize, count: usize, file: Ptr<File>) -> usize {
    let Some(total) = size.checked_mul(count).filter(|total| *total > 0) else {
        return 0;
    };
    if to.is_null() {
        errno::invalid_parameter();
        return 0;
    }
    let Some(shared) = stream::get(file) else {
        return 0;
    };
    if total > room {
        mem::fill(to.address(), 0, room);
        errno::invalid(code::ERANGE);
        return 0;
    }
    let bytes = shared.lock().read(total);
    to.write_bytes(&bytes);
    bytes.len() / size
}

win_api! {
    /// Reads elements.
    "msvcrt.dll|ucrtbase.dll" cdecl fn fread = "fread|_fread_nolock" (to: Ptr<u8>, size: usize, count: usize, file: Ptr<File>) -> usize {
        read_block(to, usize::MAX, size, count, file)
    }

    /// Reads elements into a checked buffer.
    "msvcrt.dll|ucrtbase.dll" cdecl fn fread_s = "fread_s|_fread_nolock_s" (to: Ptr<u8>, room: usize, size: usize, count: usize, file: Ptr<File>) -> usize {
        read_block(to, room, size, count, file)
    }

    /// Writes elements.
    "msvcrt.dll|ucrtbase.dll" cdecl fn fwrite = "fwrite|_fwrite_nolock" (from: Ptr<u8>, size: usize, count: usize, file: Ptr<File>) -> usize {
        let Some(total) = size.checked_mul(count).filter(|total| *total > 0) else { return 0 };
        let bytes = from.read_bytes(total);
        let Some(shared) = stream::get(file) else { return 0 };
        let written = shared.lock().write(&bytes);
        if written.is_ok() { count } else { 0 }
    }

    /// Reads an `int`.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _getw(file: Ptr<File>) -> i32 {
        let Some(shared) = stream::get(file) else { return super::EOF };
        let bytes = shared.lock().read(4);
        bytes.try_into().map_or(super::EOF, i32::from_le_bytes)
    }

    /// Writes an `int`.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _putw(value: i32, file: Ptr<File>) -> i32 {
        let Some(shared) = stream::get(file) else { return super::EOF };
        let written = shared.lock().write(&value.to_le_bytes());
        if written.is_ok() { value } else { super::EOF }
    }
}
