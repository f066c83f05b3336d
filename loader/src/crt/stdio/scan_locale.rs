//! `scanf` of `msvcrt.dll` with a locale, which is not looked at: every locale has the numbers of "C".

use super::scan::{from_stream, from_text, old_dialect};
use crate::crt::stream::{self, File};
use crate::crt::twins::twins;
use crate::export::{Ptr, VarArgs};

twins! {
    /// Reads from standard input.
    "msvcrt.dll" fn _scanf_l / _wscanf_l(format: Ptr<Char>, _locale: Ptr<u8>, arguments: VarArgs) -> i32 { from_stream(stream::standard_file(0), old_dialect(false), format, arguments) }
    /// Reads from a stream.
    "msvcrt.dll" fn _fscanf_l / _fwscanf_l(file: Ptr<File>, format: Ptr<Char>, _locale: Ptr<u8>, arguments: VarArgs) -> i32 { from_stream(file, old_dialect(false), format, arguments) }
    /// Reads from a string.
    "msvcrt.dll" fn _sscanf_l / _swscanf_l(text: Ptr<Char>, format: Ptr<Char>, _locale: Ptr<u8>, arguments: VarArgs) -> i32 { from_text(text, usize::MAX, old_dialect(false), format, arguments) }
    /// Reads from at most `count` characters of a string.
    "msvcrt.dll" fn _snscanf_l / _snwscanf_l(text: Ptr<Char>, count: usize, format: Ptr<Char>, _locale: Ptr<u8>, arguments: VarArgs) -> i32 { from_text(text, count, old_dialect(false), format, arguments) }
    /// Reads from standard input; buffer sizes follow pointers.
    "msvcrt.dll" fn _scanf_s_l / _wscanf_s_l(format: Ptr<Char>, _locale: Ptr<u8>, arguments: VarArgs) -> i32 { from_stream(stream::standard_file(0), old_dialect(true), format, arguments) }
    /// Reads from a stream; buffer sizes follow pointers.
    "msvcrt.dll" fn _fscanf_s_l / _fwscanf_s_l(file: Ptr<File>, format: Ptr<Char>, _locale: Ptr<u8>, arguments: VarArgs) -> i32 { from_stream(file, old_dialect(true), format, arguments) }
    /// Reads from a string; buffer sizes follow pointers.
    "msvcrt.dll" fn _sscanf_s_l / _swscanf_s_l(text: Ptr<Char>, format: Ptr<Char>, _locale: Ptr<u8>, arguments: VarArgs) -> i32 { from_text(text, usize::MAX, old_dialect(true), format, arguments) }
    /// Reads from at most `count` characters of a string; buffer sizes follow pointers.
    "msvcrt.dll" fn _snscanf_s_l / _snwscanf_s_l(text: Ptr<Char>, count: usize, format: Ptr<Char>, _locale: Ptr<u8>, arguments: VarArgs) -> i32 { from_text(text, count, old_dialect(true), format, arguments) }
}
