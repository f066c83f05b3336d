//! `conio.h`: the console, past whatever standard input and output are.
//!
//! The console is the terminal of the process (`/dev/tty`). A process without one gets what Windows gives a process without
//! a console: EOF.
//!
//! Source: Microsoft Learn, "Console and port I/O", "_getch, _getwch" (function and arrow keys are two calls, the first
//! gives 0 or 0xE0), "_cgets, _cgetws".

use std::fs::File;
use std::io::{Read, Write};

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};

use super::errno;
use super::mem::{self, Char};
use super::scanf::Input;
use super::stdio::{print, scan};
use super::text::{self, CodePage};
use super::twins::twins;
use super::unit::Unit;
use crate::export::{Ptr, VaList, VarArgs};
use crate::win_api;

const EOF: i32 = -1;
const WEOF: u16 = 0xFFFF;
/// What the first of two calls for an arrow key gives.
const EXTENDED: u16 = 0xE0;
/// How long the rest of a key's sequence may take.
const SEQUENCE_NS: i64 = 20_000_000;

/// Units that were read and not yet given: the rest of a key, and what was pushed back.
static PENDING: Mutex<Vec<u16>> = Mutex::new(Vec::new());

fn terminal() -> Option<File> {
    File::options().read(true).write(true).open("/dev/tty").ok()
}

/// Writes text to the console.
fn write<T: Unit>(units: &[T]) -> bool {
    let bytes = if T::WIDE {
        let wide: Vec<u16> = units.iter().map(|unit| unit.code() as u16).collect();
        String::from_utf16_lossy(&wide).into_bytes()
    } else {
        units.iter().map(|unit| unit.code() as u8).collect()
    };
    let text = String::from_utf8_lossy(&bytes).replace('\n', "\r\n");
    terminal().is_some_and(|mut console| console.write_all(text.as_bytes()).is_ok())
}

fn has_input(console: &File, wait_ns: i64) -> bool {
    let wait = Timespec {
        tv_sec: 0,
        tv_nsec: wait_ns,
    };
    let mut watched = [PollFd::new(console, PollFlags::IN)];
    poll(&mut watched, Some(&wait)).is_ok_and(|ready| ready > 0)
}

/// Does something while the terminal gives keys as they are pressed and does not show them.
fn with_keys<T>(act: impl FnOnce(&mut File) -> Option<T>) -> Option<T> {
    let mut console = terminal()?;
    let before = tcgetattr(&console).ok()?;
    let mut keys = before.clone();
    keys.local_modes &= !(LocalModes::ICANON | LocalModes::ECHO);
    keys.special_codes[SpecialCodeIndex::VMIN] = 1;
    keys.special_codes[SpecialCodeIndex::VTIME] = 0;
    tcsetattr(&console, OptionalActions::Now, &keys).ok()?;
    let result = act(&mut console);
    let _ = tcsetattr(&console, OptionalActions::Now, &before);
    result
}

/// Reads the bytes of one key.
fn key_bytes(console: &mut File) -> Option<Vec<u8>> {
    let mut byte = [0];
    let mut bytes = Vec::new();
    loop {
        console.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
        let is_whole = match bytes[0] {
            0x1B => {
                bytes.len() > 2 && byte[0].is_ascii_alphabetic() || !has_input(console, SEQUENCE_NS)
            }
            _ => text::decode(CodePage::Utf8, &bytes) != text::Decoded::Incomplete,
        };
        if is_whole {
            return Some(bytes);
        }
    }
}

/// Returns the units of a key, in the order they are given.
fn key_units(bytes: &[u8]) -> Vec<u16> {
    // Arrows, Home and End: scan codes of the keyboard.
    let scan_code = match bytes {
        [0x1B, b'[' | b'O', letter] => match letter {
            b'A' => 72,
            b'B' => 80,
            b'C' => 77,
            b'D' => 75,
            b'H' => 71,
            b'F' => 79,
            _ => 0,
        },
        _ => 0,
    };
    if scan_code != 0 {
        return vec![EXTENDED, scan_code];
    }
    // Enter is CR on a Windows console, backspace is BS.
    match bytes {
        b"\n" => vec![u16::from(b'\r')],
        [0x7F] => vec![8],
        _ => String::from_utf8_lossy(bytes).encode_utf16().collect(),
    }
}

/// Reads one unit of a key; shows it if `echoes`.
fn read_key(echoes: bool) -> Option<u16> {
    if let Some(unit) = take_pending() {
        return Some(unit);
    }
    let units = with_keys(|console| key_bytes(console).map(|bytes| key_units(&bytes)))?;
    if echoes && units[0] != EXTENDED {
        write(&units);
    }
    let mut pending = PENDING.lock();
    pending.extend(&units[1..]);
    Some(units[0])
}

fn take_pending() -> Option<u16> {
    let mut pending = PENDING.lock();
    if pending.is_empty() {
        None
    } else {
        Some(pending.remove(0))
    }
}

/// Puts a unit back, for the next read.
fn unread(unit: u16) -> bool {
    let mut pending = PENDING.lock();
    let is_free = pending.is_empty();
    if is_free {
        pending.push(unit);
    }
    is_free
}

/// Reads a line as the terminal gives it, without its end.
fn read_line() -> Option<Vec<u16>> {
    let mut console = terminal()?;
    let (mut byte, mut line) = ([0], Vec::new());
    loop {
        match console.read(&mut byte) {
            Ok(1) if byte[0] != b'\n' => line.push(byte[0]),
            Ok(1) => break,
            _ if line.is_empty() => return None,
            _ => break,
        }
    }
    Some(String::from_utf8_lossy(&line).encode_utf16().collect())
}

fn narrow(unit: Option<u16>) -> i32 {
    unit.map_or(EOF, |unit| i32::from(unit as u8))
}

fn print_formatted<T: Char>(text: Option<Vec<T>>) -> i32 {
    match text {
        Some(text) if write(&text) => i32::try_from(text.len()).unwrap_or(i32::MAX),
        _ => EOF,
    }
}

/// `_cgets`: a buffer that begins with its size, where the length and the line are stored.
fn line_in_place<T: Char>(buffer: Ptr<T>) -> Ptr<T> {
    if buffer.is_null() || buffer.read().code() == 0 {
        errno::invalid_parameter();
        return Ptr::NULL;
    }
    let size = buffer.read().code() as usize;
    let Some(line) = read_line().and_then(|line| text::from_wide::<T>(CodePage::Utf8, &line))
    else {
        return Ptr::NULL;
    };
    let line = &line[..line.len().min(size - 1)];
    buffer.add(1).write(T::from_low(line.len() as u32));
    mem::write_string(buffer.add(2), line);
    buffer.add(2)
}

/// `_cgets_s`: a line that must fit.
fn line_checked<T: Char>(buffer: Ptr<T>, size: usize, read: Ptr<usize>) -> i32 {
    if buffer.is_null() || size == 0 || read.is_null() {
        return errno::invalid_parameter();
    }
    let line = read_line().and_then(|line| text::from_wide::<T>(CodePage::Utf8, &line));
    let line = line.unwrap_or_default();
    let line = &line[..line.len().min(size - 1)];
    mem::write_string(buffer, line);
    read.write(line.len());
    0
}

/// The console as what `scanf` reads: line by line.
struct Lines {
    line: Vec<u16>,
    at: usize,
}

impl<T: Char> Input<T> for Lines {
    fn next(&mut self) -> Option<T> {
        if self.at == self.line.len() {
            self.line = read_line()?;
            self.line.push(u16::from(b'\n'));
            self.at = 0;
        }
        self.at += 1;
        Some(T::from_low(self.line[self.at - 1].into()))
    }

    fn unget(&mut self, _: T) {
        self.at -= 1;
    }
}

fn scan_lines<T: Char>(dialect: super::scanf::Dialect, format: Ptr<T>, arguments: VarArgs) -> i32 {
    let mut lines = Lines {
        line: Vec::new(),
        at: 0,
    };
    scan::from_input(&mut lines, dialect, format, arguments)
}

win_api! {
    /// Reads a key without showing it.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _getch = "_getch|_getch_nolock" () -> i32 { narrow(read_key(false)) }
    /// Reads a key and shows it.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _getche = "_getche|_getche_nolock" () -> i32 { narrow(read_key(true)) }
    /// Reads a key without showing it.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _getwch = "_getwch|_getwch_nolock" () -> u16 { read_key(false).unwrap_or(WEOF) }
    /// Reads a key and shows it.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _getwche = "_getwche|_getwche_nolock" () -> u16 { read_key(true).unwrap_or(WEOF) }

    /// Puts a key back.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ungetch = "_ungetch|_ungetch_nolock" (key: i32) -> i32 {
        if key != EOF && unread(key as u16) { key } else { EOF }
    }
    /// Puts a key back.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ungetwch = "_ungetwch|_ungetwch_nolock" (key: u16) -> u16 {
        if key != WEOF && unread(key) { key } else { WEOF }
    }

    /// Tells whether a key waits.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _kbhit() -> i32 {
        let is_pending = !PENDING.lock().is_empty();
        i32::from(is_pending || with_keys(|console| Some(has_input(console, 0))).unwrap_or(false))
    }

    /// Writes a character.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _putch = "_putch|_putch_nolock" (unit: i32) -> i32 {
        if write(&[unit as u8]) { unit } else { EOF }
    }
    /// Writes a character.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _putwch = "_putwch|_putwch_nolock" (unit: u16) -> u16 {
        if write(&[unit]) { unit } else { WEOF }
    }
}

twins! {
    /// Writes a string.
    "msvcrt.dll|ucrtbase.dll" fn _cputs / _cputws(text: Ptr<Char>) -> i32 {
        if text.is_null() {
            errno::invalid_parameter();
            return EOF;
        }
        if write(&mem::string(text)) { 0 } else { EOF }
    }

    /// Reads a line.
    "msvcrt.dll|ucrtbase.dll" fn _cgets / _cgetws(buffer: Ptr<Char>) -> Ptr<Char> { line_in_place(buffer) }
    /// Reads a line.
    "msvcrt.dll|ucrtbase.dll" fn _cgets_s / _cgetws_s(buffer: Ptr<Char>, size: usize, read: Ptr<usize>) -> i32 {
        line_checked(buffer, size, read)
    }

    /// Prints.
    "msvcrt.dll" fn _cprintf = "_cprintf|_cprintf_s" / _cwprintf = "_cwprintf|_cwprintf_s" (text: Ptr<Char>, arguments: VarArgs) -> i32 {
        print_formatted(print::format(print::old_dialect(), text, arguments))
    }
    /// Prints.
    "msvcrt.dll" fn _cprintf_l = "_cprintf_l|_cprintf_s_l" / _cwprintf_l = "_cwprintf_l|_cwprintf_s_l" (text: Ptr<Char>, _locale: Ptr<u8>, arguments: VarArgs) -> i32 {
        print_formatted(print::format(print::old_dialect(), text, arguments))
    }
    /// Prints; conversions may name their arguments.
    "msvcrt.dll" fn _cprintf_p / _cwprintf_p(text: Ptr<Char>, arguments: VarArgs) -> i32 {
        print_formatted(print::format(print::old_dialect().with_positions(), text, arguments))
    }
    /// Prints.
    "msvcrt.dll" fn _vcprintf = "_vcprintf|_vcprintf_s" / _vcwprintf = "_vcwprintf|_vcwprintf_s" (text: Ptr<Char>, arguments: VaList) -> i32 {
        print_formatted(print::format(print::old_dialect(), text, arguments.args()))
    }
    /// Prints; conversions may name their arguments.
    "msvcrt.dll" fn _vcprintf_p / _vcwprintf_p(text: Ptr<Char>, arguments: VaList) -> i32 {
        print_formatted(print::format(print::old_dialect().with_positions(), text, arguments.args()))
    }
    /// Reads fields.
    "msvcrt.dll" fn _cscanf / _cwscanf(text: Ptr<Char>, arguments: VarArgs) -> i32 {
        scan_lines(scan::old_dialect(false), text, arguments)
    }
    /// Reads fields; buffer sizes follow pointers.
    "msvcrt.dll" fn _cscanf_s / _cwscanf_s(text: Ptr<Char>, arguments: VarArgs) -> i32 {
        scan_lines(scan::old_dialect(true), text, arguments)
    }

    /// Prints.
    "ucrtbase.dll" fn __conio_common_vcprintf = "__conio_common_vcprintf|__conio_common_vcprintf_s" / __conio_common_vcwprintf = "__conio_common_vcwprintf|__conio_common_vcwprintf_s" (options: u64, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 {
        print_formatted(print::format(print::new_dialect(options), text, arguments.args()))
    }
    /// Prints; conversions may name their arguments.
    "ucrtbase.dll" fn __conio_common_vcprintf_p / __conio_common_vcwprintf_p(options: u64, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 {
        print_formatted(print::format(print::new_dialect(options).with_positions(), text, arguments.args()))
    }
    /// Reads fields.
    "ucrtbase.dll" fn __conio_common_vcscanf / __conio_common_vcwscanf(options: u64, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 {
        scan_lines(scan::new_dialect(options), text, arguments.args())
    }
}

#[cfg(test)]
mod tests {
    use super::{EXTENDED, key_units};

    #[test]
    fn keys_are_given_as_on_a_windows_console() {
        assert_eq!(key_units(b"a"), [0x61]);
        assert_eq!(key_units(b"\n"), [0x0D]);
        assert_eq!(key_units(b"\x7f"), [8]);
        assert_eq!(key_units("é".as_bytes()), [0xE9]);
        assert_eq!(key_units(b"\x1b[A"), [EXTENDED, 72]);
        assert_eq!(key_units(b"\x1b"), [0x1B]);
    }
}
