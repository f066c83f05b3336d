//! The `printf` family.
//!
//! Sources: Microsoft Learn, "snprintf, _snprintf, …", "vsnprintf_s", "sprintf_s"; corecrt_stdio_config.h of the SDK
//! for the option bits of the `__stdio_common_v*` functions.

use crate::crt::errno::{self, code};
use crate::crt::locale;
use crate::crt::mem::{self, Char};
use crate::crt::printf::{self, Dialect, FormatError, Operands};
use crate::crt::stream::{self, File};
use crate::crt::string::copy::is_truncate;
use crate::crt::twins::twins;
use crate::export::{Ptr, VaList, VarArgs};
use crate::{width, win_api};

/// Arguments in guest memory.
struct Arguments(VarArgs);

impl Operands for Arguments {
    fn next_u32(&mut self) -> u32 {
        self.0.next_i32().cast_unsigned()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_i64().cast_unsigned()
    }

    fn next_pointer(&mut self) -> u64 {
        self.0.next_word()
    }

    fn next_f64(&mut self) -> f64 {
        self.0.next_f64()
    }

    fn narrow(&mut self, address: u64, limit: usize) -> Vec<u8> {
        text_at(Ptr::new(address), limit)
    }

    fn wide(&mut self, address: u64, limit: usize) -> Vec<u16> {
        text_at(Ptr::new(address), limit)
    }

    fn counted(&mut self, address: u64) -> (u16, u64) {
        let string = Ptr::<crate::ob::attributes::UnicodeString>::new(address).read();
        (string.length, string.buffer.address())
    }
}

fn text_at<T: Char>(at: Ptr<T>, limit: usize) -> Vec<T> {
    if limit == usize::MAX {
        mem::string(at)
    } else {
        mem::string_within(at, limit)
    }
}

pub fn old_dialect() -> Dialect {
    Dialect::msvcrt(locale::code_page(), width().pointer())
}

pub fn new_dialect(options: u64) -> Dialect {
    Dialect::ucrt(options, locale::code_page(), width().pointer())
}

/// Formats; `None` after an error, which was reported.
pub fn format<T: Char>(dialect: Dialect, format: Ptr<T>, arguments: VarArgs) -> Option<Vec<T>> {
    if format.is_null() {
        errno::invalid_parameter();
        return None;
    }
    match printf::print(dialect, &mem::string(format), &mut Arguments(arguments)) {
        Ok(text) => Some(text),
        Err(FormatError::Invalid) => {
            errno::invalid_parameter();
            None
        }
        Err(FormatError::Encoding) => {
            errno::set_errno(code::EILSEQ);
            None
        }
    }
}

fn length<T>(text: &[T]) -> i32 {
    i32::try_from(text.len()).unwrap_or(-1)
}

pub fn to_stream<T: Char>(
    file: Ptr<File>,
    dialect: Dialect,
    text: Ptr<T>,
    arguments: VarArgs,
) -> i32 {
    if file.is_null() {
        errno::invalid_parameter();
        return -1;
    }
    let Some(text) = format(dialect, text, arguments) else {
        return -1;
    };
    let Some(shared) = stream::get(file) else {
        return -1;
    };
    let written = super::write_text(&mut shared.lock(), &text);
    match written {
        Ok(()) => length(&text),
        Err(_) => -1,
    }
}

pub fn to_stdout<T: Char>(text: Ptr<T>, arguments: VarArgs) -> i32 {
    to_stream(stream::standard_file(1), old_dialect(), text, arguments)
}

/// How a buffer that is too small is treated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// `_snprintf`: as much as fits, without NUL, -1.
    Legacy,
    /// C99 `snprintf`: as much as fits with NUL, the full length.
    Standard,
    /// Other functions of `ucrtbase`: as much as fits with NUL, -1.
    Terminated,
}

pub fn to_buffer<T: Char>(
    to: Ptr<T>,
    count: usize,
    text: Option<Vec<T>>,
    overflow: Overflow,
) -> i32 {
    let Some(text) = text else {
        if !to.is_null() && count > 0 && overflow != Overflow::Legacy {
            to.write(T::from_ascii(0));
        }
        return -1;
    };
    if to.is_null() {
        if count == 0 {
            return length(&text);
        }
        errno::invalid_parameter();
        return -1;
    }
    if text.len() < count {
        mem::write_string(to, &text);
        return length(&text);
    }
    if overflow == Overflow::Legacy {
        T::write(to, &text[..count]);
        return if text.len() == count {
            length(&text)
        } else {
            -1
        };
    }
    if count > 0 {
        mem::write_string(to, &text[..count - 1]);
    }
    if overflow == Overflow::Standard {
        length(&text)
    } else {
        -1
    }
}

/// The `_s` functions: the whole text or nothing, or what fits if `limit` allows cutting.
pub fn to_checked_buffer<T: Char>(
    to: Ptr<T>,
    size: usize,
    limit: usize,
    text: Option<Vec<T>>,
) -> i32 {
    if to.is_null() || size == 0 {
        errno::invalid_parameter();
        return -1;
    }
    let Some(text) = text else {
        to.write(T::from_ascii(0));
        return -1;
    };
    if text.len() < size && (text.len() <= limit || is_truncate(limit)) {
        mem::write_string(to, &text);
        return length(&text);
    }
    if is_truncate(limit) {
        mem::write_string(to, &text[..size - 1]);
        return -1;
    }
    if limit < size {
        mem::write_string(to, &text[..limit]);
        return -1;
    }
    to.write(T::from_ascii(0));
    errno::invalid(code::ERANGE);
    -1
}

/// The `_p` functions: the whole text or none of it.
pub fn positional_to_buffer<T: Char>(
    to: Ptr<T>,
    size: usize,
    dialect: Dialect,
    text: Ptr<T>,
    arguments: VarArgs,
) -> i32 {
    to_checked_buffer(
        to,
        size,
        WHOLE,
        format(dialect.with_positions(), text, arguments),
    )
}

/// `_CRT_INTERNAL_PRINTF_LEGACY_VSPRINTF_NULL_TERMINATION` and `…STANDARD_SNPRINTF_BEHAVIOR`.
fn overflow_of(options: u64) -> Overflow {
    const LEGACY: u64 = 1;
    const STANDARD: u64 = 2;
    match options {
        o if o & STANDARD != 0 => Overflow::Standard,
        o if o & LEGACY != 0 => Overflow::Legacy,
        _ => Overflow::Terminated,
    }
}

/// Count of functions without one.
pub const UNLIMITED: usize = usize::MAX;
/// Limit of `_s` functions without a count: nothing is cut.
pub const WHOLE: usize = usize::MAX - 1;

twins! {
    /// Prints to standard output.
    "msvcrt.dll" fn printf / wprintf(text: Ptr<Char>, arguments: VarArgs) -> i32 { to_stdout(text, arguments) }
    /// Prints to standard output.
    "msvcrt.dll" fn printf_s / wprintf_s(text: Ptr<Char>, arguments: VarArgs) -> i32 { to_stdout(text, arguments) }
    /// Prints to standard output.
    "msvcrt.dll" fn vprintf / vwprintf(text: Ptr<Char>, arguments: VaList) -> i32 { to_stdout(text, arguments.args()) }
    /// Prints to standard output.
    "msvcrt.dll" fn vprintf_s / vwprintf_s(text: Ptr<Char>, arguments: VaList) -> i32 { to_stdout(text, arguments.args()) }

    /// Prints to a stream.
    "msvcrt.dll" fn fprintf / fwprintf(file: Ptr<File>, text: Ptr<Char>, arguments: VarArgs) -> i32 {
        to_stream(file, old_dialect(), text, arguments)
    }
    /// Prints to a stream.
    "msvcrt.dll" fn fprintf_s / fwprintf_s(file: Ptr<File>, text: Ptr<Char>, arguments: VarArgs) -> i32 {
        to_stream(file, old_dialect(), text, arguments)
    }
    /// Prints to a stream.
    "msvcrt.dll" fn vfprintf / vfwprintf(file: Ptr<File>, text: Ptr<Char>, arguments: VaList) -> i32 {
        to_stream(file, old_dialect(), text, arguments.args())
    }
    /// Prints to a stream.
    "msvcrt.dll" fn vfprintf_s / vfwprintf_s(file: Ptr<File>, text: Ptr<Char>, arguments: VaList) -> i32 {
        to_stream(file, old_dialect(), text, arguments.args())
    }

    /// Prints to a string of unknown size.
    "msvcrt.dll|ntdll.dll" fn sprintf / swprintf(to: Ptr<Char>, text: Ptr<Char>, arguments: VarArgs) -> i32 {
        to_buffer(to, UNLIMITED, format(old_dialect(), text, arguments), Overflow::Legacy)
    }
    /// Prints to a string of unknown size.
    "msvcrt.dll|ntdll.dll" fn vsprintf / vswprintf(to: Ptr<Char>, text: Ptr<Char>, arguments: VaList) -> i32 {
        to_buffer(to, UNLIMITED, format(old_dialect(), text, arguments.args()), Overflow::Legacy)
    }
    /// Prints at most `count` characters, without NUL if there are more.
    "msvcrt.dll|ntdll.dll" fn _snprintf / _snwprintf(to: Ptr<Char>, count: usize, text: Ptr<Char>, arguments: VarArgs) -> i32 {
        to_buffer(to, count, format(old_dialect(), text, arguments), Overflow::Legacy)
    }
    /// Prints at most `count` characters, without NUL if there are more.
    "msvcrt.dll|ntdll.dll" fn _vsnprintf / _vsnwprintf(to: Ptr<Char>, count: usize, text: Ptr<Char>, arguments: VaList) -> i32 {
        to_buffer(to, count, format(old_dialect(), text, arguments.args()), Overflow::Legacy)
    }
    /// Prints to a string of `count` characters, always with NUL.
    "msvcrt.dll" fn _snprintf_c / _swprintf_c(to: Ptr<Char>, count: usize, text: Ptr<Char>, arguments: VarArgs) -> i32 {
        to_buffer(to, count, format(old_dialect(), text, arguments), Overflow::Terminated)
    }
    /// Prints to a string of `count` characters, always with NUL.
    "msvcrt.dll" fn _vsnprintf_c / _vswprintf_c(to: Ptr<Char>, count: usize, text: Ptr<Char>, arguments: VaList) -> i32 {
        to_buffer(to, count, format(old_dialect(), text, arguments.args()), Overflow::Terminated)
    }
    /// Prints to a string if it fits.
    "msvcrt.dll|ntdll.dll" fn sprintf_s / swprintf_s(to: Ptr<Char>, size: usize, text: Ptr<Char>, arguments: VarArgs) -> i32 {
        to_checked_buffer(to, size, WHOLE, format(old_dialect(), text, arguments))
    }
    /// Prints to a string if it fits.
    "msvcrt.dll|ntdll.dll" fn vsprintf_s / vswprintf_s(to: Ptr<Char>, size: usize, text: Ptr<Char>, arguments: VaList) -> i32 {
        to_checked_buffer(to, size, WHOLE, format(old_dialect(), text, arguments.args()))
    }
    /// Prints at most `count` characters to a checked string.
    "msvcrt.dll|ntdll.dll" fn _snprintf_s / _snwprintf_s(to: Ptr<Char>, size: usize, count: usize, text: Ptr<Char>, arguments: VarArgs) -> i32 {
        to_checked_buffer(to, size, count, format(old_dialect(), text, arguments))
    }
    /// Prints at most `count` characters to a checked string.
    "msvcrt.dll|ntdll.dll" fn _vsnprintf_s / _vsnwprintf_s(to: Ptr<Char>, size: usize, count: usize, text: Ptr<Char>, arguments: VaList) -> i32 {
        to_checked_buffer(to, size, count, format(old_dialect(), text, arguments.args()))
    }
    /// Returns the length of the text.
    "msvcrt.dll" fn _scprintf / _scwprintf(text: Ptr<Char>, arguments: VarArgs) -> i32 {
        to_buffer(Ptr::NULL, 0, format(old_dialect(), text, arguments), Overflow::Standard)
    }
    /// Returns the length of the text.
    "msvcrt.dll" fn _vscprintf / _vscwprintf(text: Ptr<Char>, arguments: VaList) -> i32 {
        to_buffer(Ptr::NULL, 0, format(old_dialect(), text, arguments.args()), Overflow::Standard)
    }

    /// Prints to a stream.
    "ucrtbase.dll" fn __stdio_common_vfprintf / __stdio_common_vfwprintf(options: u64, file: Ptr<File>, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 {
        to_stream(file, new_dialect(options), text, arguments.args())
    }
    /// Prints to a stream, checked.
    "ucrtbase.dll" fn __stdio_common_vfprintf_s / __stdio_common_vfwprintf_s(options: u64, file: Ptr<File>, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 {
        to_stream(file, new_dialect(options), text, arguments.args())
    }
    /// Prints to a stream; conversions may name their arguments.
    "ucrtbase.dll" fn __stdio_common_vfprintf_p / __stdio_common_vfwprintf_p(options: u64, file: Ptr<File>, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 {
        to_stream(file, new_dialect(options).with_positions(), text, arguments.args())
    }
    /// Prints to a string if it fits; conversions may name their arguments.
    "ucrtbase.dll" fn __stdio_common_vsprintf_p / __stdio_common_vswprintf_p(options: u64, to: Ptr<Char>, size: usize, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 {
        positional_to_buffer(to, size, new_dialect(options), text, arguments.args())
    }
    /// Prints to a string.
    "ucrtbase.dll" fn __stdio_common_vsprintf / __stdio_common_vswprintf(options: u64, to: Ptr<Char>, count: usize, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 {
        to_buffer(to, count, format(new_dialect(options), text, arguments.args()), overflow_of(options))
    }
    /// Prints to a string if it fits.
    "ucrtbase.dll" fn __stdio_common_vsprintf_s / __stdio_common_vswprintf_s(options: u64, to: Ptr<Char>, size: usize, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 {
        to_checked_buffer(to, size, WHOLE, format(new_dialect(options), text, arguments.args()))
    }
    /// Prints at most `count` characters to a checked string.
    "ucrtbase.dll" fn __stdio_common_vsnprintf_s / __stdio_common_vsnwprintf_s(options: u64, to: Ptr<Char>, size: usize, count: usize, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 {
        to_checked_buffer(to, size, count, format(new_dialect(options), text, arguments.args()))
    }
}

win_api! {
    /// C99 `vsnprintf`, which newer `msvcrt.dll` versions have.
    "msvcrt.dll" cdecl fn vsnprintf(to: Ptr<u8>, count: usize, text: Ptr<u8>, arguments: VaList) -> i32 {
        to_buffer(to, count, format(old_dialect(), text, arguments.args()), Overflow::Standard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `to_buffer` on memory of our own; returns the result and the buffer.
    fn stored(count: usize, text: &[u8], overflow: Overflow) -> (i32, Vec<u8>) {
        let buffer = [b'.'; 8];
        let at = Ptr::<u8>::new(buffer.as_ptr() as u64);
        let result = to_buffer(at, count, Some(text.to_vec()), overflow);
        (result, at.read_bytes(8))
    }

    #[test]
    fn legacy_functions_leave_the_nul_out_and_standard_ones_count_on() {
        assert_eq!(
            stored(4, b"abc", Overflow::Legacy),
            (3, b"abc\0....".to_vec())
        );
        assert_eq!(
            stored(3, b"abc", Overflow::Legacy),
            (3, b"abc.....".to_vec())
        );
        assert_eq!(
            stored(2, b"abc", Overflow::Legacy),
            (-1, b"ab......".to_vec())
        );
        assert_eq!(
            stored(2, b"abc", Overflow::Standard),
            (3, b"a\0......".to_vec())
        );
        assert_eq!(
            stored(2, b"abc", Overflow::Terminated),
            (-1, b"a\0......".to_vec())
        );
    }
}
