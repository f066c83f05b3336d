//! `printf` of `msvcrt.dll` with a locale, and with conversions that name their arguments (`_p`).
//!
//! Every locale has the numbers of "C" and the characters are those of the process's locale, so the argument is not
//! looked at. Programs for `ucrtbase.dll` have these functions inside, around `__stdio_common_v*`.

use super::print::{
    Overflow, UNLIMITED, WHOLE, format, old_dialect, positional_to_buffer, to_buffer,
    to_checked_buffer, to_stdout, to_stream,
};
use crate::crt::mem::Char;
use crate::crt::stream::{self, File};
use crate::crt::twins::twins;
use crate::export::{Ptr, VaList, VarArgs};
use crate::win_api;

fn positional<T: Char>(file: Ptr<File>, text: Ptr<T>, arguments: VarArgs) -> i32 {
    to_stream(file, old_dialect().with_positions(), text, arguments)
}

fn counted<T: Char>(dialect: crate::crt::printf::Dialect, text: Ptr<T>, arguments: VarArgs) -> i32 {
    to_buffer(
        Ptr::NULL,
        0,
        format(dialect, text, arguments),
        Overflow::Standard,
    )
}

twins! {
    /// Prints to standard output.
    "msvcrt.dll" fn _printf_l = "_printf_l|_printf_s_l"  / _wprintf_l = "_wprintf_l|_wprintf_s_l" (text: Ptr<Char>, _locale: Ptr<u8>, arguments: VarArgs) -> i32 { to_stdout(text, arguments) }
    /// Prints to standard output.
    "msvcrt.dll" fn _printf_p / _wprintf_p(text: Ptr<Char>, arguments: VarArgs) -> i32 { positional(stream::standard_file(1), text, arguments) }
    /// Prints to standard output.
    "msvcrt.dll" fn _printf_p_l / _wprintf_p_l(text: Ptr<Char>, _locale: Ptr<u8>, arguments: VarArgs) -> i32 { positional(stream::standard_file(1), text, arguments) }
    /// Prints to a stream.
    "msvcrt.dll" fn _fprintf_l = "_fprintf_l|_fprintf_s_l"  / _fwprintf_l = "_fwprintf_l|_fwprintf_s_l" (file: Ptr<File>, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VarArgs) -> i32 { to_stream(file, old_dialect(), text, arguments) }
    /// Prints to a stream.
    "msvcrt.dll" fn _fprintf_p / _fwprintf_p(file: Ptr<File>, text: Ptr<Char>, arguments: VarArgs) -> i32 { positional(file, text, arguments) }
    /// Prints to a stream.
    "msvcrt.dll" fn _fprintf_p_l / _fwprintf_p_l(file: Ptr<File>, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VarArgs) -> i32 { positional(file, text, arguments) }
    /// Prints to a string of `count` characters, always with NUL.
    "msvcrt.dll" fn _snprintf_c_l / _swprintf_c_l(to: Ptr<Char>, count: usize, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VarArgs) -> i32 { to_buffer(to, count, format(old_dialect(), text, arguments), Overflow::Terminated) }
    /// Prints at most `count` characters, without NUL if there are more.
    "msvcrt.dll" fn _snprintf_l / _snwprintf_l(to: Ptr<Char>, count: usize, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VarArgs) -> i32 { to_buffer(to, count, format(old_dialect(), text, arguments), Overflow::Legacy) }
    /// Prints to a string if it fits.
    "msvcrt.dll" fn _sprintf_s_l / _swprintf_s_l(to: Ptr<Char>, size: usize, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VarArgs) -> i32 { to_checked_buffer(to, size, WHOLE, format(old_dialect(), text, arguments)) }
    /// Prints at most `count` characters to a checked string.
    "msvcrt.dll" fn _snprintf_s_l / _snwprintf_s_l(to: Ptr<Char>, size: usize, count: usize, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VarArgs) -> i32 { to_checked_buffer(to, size, count, format(old_dialect(), text, arguments)) }
    /// Prints to a string if it fits.
    "msvcrt.dll" fn _sprintf_p / _swprintf_p(to: Ptr<Char>, size: usize, text: Ptr<Char>, arguments: VarArgs) -> i32 { positional_to_buffer(to, size, old_dialect(), text, arguments) }
    /// Prints to a string if it fits.
    "msvcrt.dll" fn _sprintf_p_l / _swprintf_p_l(to: Ptr<Char>, size: usize, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VarArgs) -> i32 { positional_to_buffer(to, size, old_dialect(), text, arguments) }
    /// Returns the length of the text.
    "msvcrt.dll" fn _scprintf_l / _scwprintf_l(text: Ptr<Char>, _locale: Ptr<u8>, arguments: VarArgs) -> i32 { counted(old_dialect(), text, arguments) }
    /// Returns the length of the text.
    "msvcrt.dll" fn _scprintf_p / _scwprintf_p(text: Ptr<Char>, arguments: VarArgs) -> i32 { counted(old_dialect().with_positions(), text, arguments) }
    /// Returns the length of the text.
    "msvcrt.dll" fn _scprintf_p_l / _scwprintf_p_l(text: Ptr<Char>, _locale: Ptr<u8>, arguments: VarArgs) -> i32 { counted(old_dialect().with_positions(), text, arguments) }
    /// Prints to standard output.
    "msvcrt.dll" fn _vprintf_l = "_vprintf_l|_vprintf_s_l"  / _vwprintf_l = "_vwprintf_l|_vwprintf_s_l" (text: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 { to_stdout(text, arguments.args()) }
    /// Prints to standard output.
    "msvcrt.dll" fn _vprintf_p / _vwprintf_p(text: Ptr<Char>, arguments: VaList) -> i32 { positional(stream::standard_file(1), text, arguments.args()) }
    /// Prints to standard output.
    "msvcrt.dll" fn _vprintf_p_l / _vwprintf_p_l(text: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 { positional(stream::standard_file(1), text, arguments.args()) }
    /// Prints to a stream.
    "msvcrt.dll" fn _vfprintf_l = "_vfprintf_l|_vfprintf_s_l"  / _vfwprintf_l = "_vfwprintf_l|_vfwprintf_s_l" (file: Ptr<File>, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 { to_stream(file, old_dialect(), text, arguments.args()) }
    /// Prints to a stream.
    "msvcrt.dll" fn _vfprintf_p / _vfwprintf_p(file: Ptr<File>, text: Ptr<Char>, arguments: VaList) -> i32 { positional(file, text, arguments.args()) }
    /// Prints to a stream.
    "msvcrt.dll" fn _vfprintf_p_l / _vfwprintf_p_l(file: Ptr<File>, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 { positional(file, text, arguments.args()) }
    /// Prints to a string of `count` characters, always with NUL.
    "msvcrt.dll" fn _vsnprintf_c_l / _vswprintf_c_l(to: Ptr<Char>, count: usize, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 { to_buffer(to, count, format(old_dialect(), text, arguments.args()), Overflow::Terminated) }
    /// Prints at most `count` characters, without NUL if there are more.
    "msvcrt.dll" fn _vsnprintf_l / _vsnwprintf_l(to: Ptr<Char>, count: usize, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 { to_buffer(to, count, format(old_dialect(), text, arguments.args()), Overflow::Legacy) }
    /// Prints to a string if it fits.
    "msvcrt.dll" fn _vsprintf_s_l / _vswprintf_s_l(to: Ptr<Char>, size: usize, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 { to_checked_buffer(to, size, WHOLE, format(old_dialect(), text, arguments.args())) }
    /// Prints at most `count` characters to a checked string.
    "msvcrt.dll" fn _vsnprintf_s_l / _vsnwprintf_s_l(to: Ptr<Char>, size: usize, count: usize, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 { to_checked_buffer(to, size, count, format(old_dialect(), text, arguments.args())) }
    /// Prints to a string if it fits.
    "msvcrt.dll" fn _vsprintf_p / _vswprintf_p(to: Ptr<Char>, size: usize, text: Ptr<Char>, arguments: VaList) -> i32 { positional_to_buffer(to, size, old_dialect(), text, arguments.args()) }
    /// Prints to a string if it fits.
    "msvcrt.dll" fn _vsprintf_p_l / _vswprintf_p_l(to: Ptr<Char>, size: usize, text: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 { positional_to_buffer(to, size, old_dialect(), text, arguments.args()) }
    /// Returns the length of the text.
    "msvcrt.dll" fn _vscprintf_l / _vscwprintf_l(text: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 { counted(old_dialect(), text, arguments.args()) }
    /// Returns the length of the text.
    "msvcrt.dll" fn _vscprintf_p / _vscwprintf_p(text: Ptr<Char>, arguments: VaList) -> i32 { counted(old_dialect().with_positions(), text, arguments.args()) }
    /// Returns the length of the text.
    "msvcrt.dll" fn _vscprintf_p_l / _vscwprintf_p_l(text: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 { counted(old_dialect().with_positions(), text, arguments.args()) }
}

win_api! {
    /// Prints to a string of unknown size.
    "msvcrt.dll" cdecl fn _sprintf_l(to: Ptr<u8>, text: Ptr<u8>, _locale: Ptr<u8>, arguments: VarArgs) -> i32 {
        to_buffer(to, UNLIMITED, format(old_dialect(), text, arguments), Overflow::Legacy)
    }
    /// Prints to a string of unknown size.
    "msvcrt.dll" cdecl fn _vsprintf_l(to: Ptr<u8>, text: Ptr<u8>, _locale: Ptr<u8>, arguments: VaList) -> i32 {
        to_buffer(to, UNLIMITED, format(old_dialect(), text, arguments.args()), Overflow::Legacy)
    }
}
