//! The `scanf` family.

use crate::crt::errno;
use crate::crt::locale;
use crate::crt::mem::{self, Char};
use crate::crt::scanf::{self, Dialect, EOF, Input, Targets};
use crate::crt::stream::{self, File, Stream};
use crate::crt::twins::twins;
use crate::export::{Ptr, VaList, VarArgs};
use crate::width;

/// Characters of a string in the guest, copied before anything is stored.
struct Text<T> {
    units: Vec<T>,
    at: usize,
}

impl<T: Char> Input<T> for Text<T> {
    fn next(&mut self) -> Option<T> {
        let unit = self.units.get(self.at).copied();
        self.at += usize::from(unit.is_some());
        unit
    }

    fn unget(&mut self, _: T) {
        self.at -= 1;
    }
}

/// Characters of a stream.
struct FromStream<'a>(&'a mut Stream);

impl<T: Char> Input<T> for FromStream<'_> {
    fn next(&mut self) -> Option<T> {
        super::read_character(self.0)
    }

    fn unget(&mut self, unit: T) {
        super::unread_character(self.0, unit);
    }
}

/// Results to be stored once the stream's lock is free: a bad pointer is the guest's exception.
struct Arguments {
    arguments: VarArgs,
    results: Vec<(u64, Vec<u8>)>,
}

impl Targets for Arguments {
    fn next_pointer(&mut self) -> u64 {
        self.arguments.next_word()
    }

    fn next_size(&mut self) -> u32 {
        self.arguments.next_i32().cast_unsigned()
    }

    fn store(&mut self, address: u64, bytes: &[u8]) {
        self.results.push((address, bytes.to_vec()));
    }
}

impl Arguments {
    fn new(arguments: VarArgs) -> Self {
        Self {
            arguments,
            results: Vec::new(),
        }
    }

    fn finish(self) {
        for (address, bytes) in self.results {
            Ptr::<u8>::new(address).write_bytes(&bytes);
        }
    }
}

pub fn old_dialect(secure: bool) -> Dialect {
    Dialect::msvcrt(secure, locale::code_page(), width().pointer())
}

pub fn new_dialect(options: u64) -> Dialect {
    Dialect::ucrt(options, locale::code_page(), width().pointer())
}

pub fn from_text<T: Char>(
    text: Ptr<T>,
    limit: usize,
    dialect: Dialect,
    format: Ptr<T>,
    arguments: VarArgs,
) -> i32 {
    if text.is_null() || format.is_null() {
        errno::invalid_parameter();
        return EOF;
    }
    let units = if limit == usize::MAX {
        mem::string(text)
    } else {
        mem::string_within(text, limit)
    };
    from_input(&mut Text { units, at: 0 }, dialect, format, arguments)
}

pub fn from_stream<T: Char>(
    file: Ptr<File>,
    dialect: Dialect,
    format: Ptr<T>,
    arguments: VarArgs,
) -> i32 {
    if file.is_null() || format.is_null() {
        errno::invalid_parameter();
        return EOF;
    }
    let Some(shared) = stream::get(file) else {
        return EOF;
    };
    // A format that cannot be read must fault before the stream is locked.
    let format = mem::string(format);
    let mut arguments = Arguments::new(arguments);
    let count = scanf::scan(
        dialect,
        &format,
        &mut FromStream(&mut shared.lock()),
        &mut arguments,
    );
    arguments.finish();
    count
}

/// Reads fields of any input, which must hold no lock.
pub fn from_input<T: Char>(
    input: &mut impl Input<T>,
    dialect: Dialect,
    format: Ptr<T>,
    arguments: VarArgs,
) -> i32 {
    if format.is_null() {
        errno::invalid_parameter();
        return EOF;
    }
    let mut arguments = Arguments::new(arguments);
    let count = scanf::scan(dialect, &mem::string(format), input, &mut arguments);
    arguments.finish();
    count
}

/// Returns how many characters a count argument allows; all bits set means no limit in either width.
fn limit_of(count: usize) -> usize {
    if crate::crt::string::copy::is_truncate(count) {
        usize::MAX
    } else {
        count
    }
}

twins! {
    /// Reads from standard input.
    "msvcrt.dll" fn scanf / wscanf(format: Ptr<Char>, arguments: VarArgs) -> i32 {
        from_stream(stream::standard_file(0), old_dialect(false), format, arguments)
    }
    /// Reads from standard input; buffer sizes follow pointers.
    "msvcrt.dll" fn scanf_s / wscanf_s(format: Ptr<Char>, arguments: VarArgs) -> i32 {
        from_stream(stream::standard_file(0), old_dialect(true), format, arguments)
    }
    /// Reads from a stream.
    "msvcrt.dll" fn fscanf / fwscanf(file: Ptr<File>, format: Ptr<Char>, arguments: VarArgs) -> i32 {
        from_stream(file, old_dialect(false), format, arguments)
    }
    /// Reads from a stream; buffer sizes follow pointers.
    "msvcrt.dll" fn fscanf_s / fwscanf_s(file: Ptr<File>, format: Ptr<Char>, arguments: VarArgs) -> i32 {
        from_stream(file, old_dialect(true), format, arguments)
    }
    /// Reads from a string.
    "msvcrt.dll|ntdll.dll" fn sscanf / swscanf(text: Ptr<Char>, format: Ptr<Char>, arguments: VarArgs) -> i32 {
        from_text(text, usize::MAX, old_dialect(false), format, arguments)
    }
    /// Reads from a string; buffer sizes follow pointers.
    "msvcrt.dll|ntdll.dll" fn sscanf_s / swscanf_s(text: Ptr<Char>, format: Ptr<Char>, arguments: VarArgs) -> i32 {
        from_text(text, usize::MAX, old_dialect(true), format, arguments)
    }
    /// Reads from at most `count` characters of a string.
    "msvcrt.dll" fn _snscanf / _snwscanf(text: Ptr<Char>, count: usize, format: Ptr<Char>, arguments: VarArgs) -> i32 {
        from_text(text, count, old_dialect(false), format, arguments)
    }

    /// Reads from at most `count` characters of a string; buffer sizes follow pointers.
    "msvcrt.dll" fn _snscanf_s / _snwscanf_s(text: Ptr<Char>, count: usize, format: Ptr<Char>, arguments: VarArgs) -> i32 {
        from_text(text, count, old_dialect(true), format, arguments)
    }

    /// Reads from a string.
    "ucrtbase.dll" fn __stdio_common_vsscanf / __stdio_common_vswscanf(options: u64, text: Ptr<Char>, count: usize, format: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 {
        from_text(text, limit_of(count), new_dialect(options), format, arguments.args())
    }
    /// Reads from a stream.
    "ucrtbase.dll" fn __stdio_common_vfscanf / __stdio_common_vfwscanf(options: u64, file: Ptr<File>, format: Ptr<Char>, _locale: Ptr<u8>, arguments: VaList) -> i32 {
        from_stream(file, new_dialect(options), format, arguments.args())
    }
}
