//! Temporary files and their names.
//!
//! Source: Microsoft Learn, "_tempnam, tmpnam", "tmpfile", "_mktemp".

use std::sync::atomic::{AtomicU32, Ordering};

use super::errno::{self, code};
use super::fcntl::flags;
use super::io::{self, path};
use super::mem::{self, Char};
use super::names::give;
use super::os::files;
use super::stream::{self, File};
use super::twins::twins;
use super::{environment, startup, unit};
use crate::export::Ptr;
use crate::win_api;

/// Most names of one process: `TMP_MAX` of `ucrtbase`.
const MAX_NAMES: u32 = i32::MAX as u32;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Returns a number in the digits of base 32.
fn digits(mut number: u32) -> String {
    let mut text = Vec::new();
    while number != 0 || text.is_empty() {
        text.push(char::from_digit(number % 32, 32).unwrap_or('0'));
        number /= 32;
    }
    text.into_iter().rev().collect()
}

/// Returns a path that names no file: a prefix, the process, a number.
fn unused(prefix: &[u16]) -> Option<Vec<u16>> {
    let process = digits(std::process::id());
    (0..MAX_NAMES).find_map(|_| {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut name = prefix.to_vec();
        name.extend(format!("s{process}.{}", digits(number)).encode_utf16());
        files::info(&name).is_err().then_some(name)
    })
}

/// Returns what names of `tmpnam` begin with: the root for `msvcrt`, the directory of temporary files for `ucrtbase`.
fn start_of_names() -> Vec<u16> {
    if startup::is_ucrt() {
        files::temporary_directory().unwrap_or_default()
    } else {
        vec![u16::from(b'\\')]
    }
}

/// `L_tmpnam` of `ucrtbase`, the larger of the two.
const MAX_NAME: usize = 260;

fn name_into<T: Char>(buffer: Ptr<T>) -> Ptr<T> {
    let Some(name) = unused(&start_of_names()) else {
        return Ptr::NULL;
    };
    let to = if buffer.is_null() {
        errno::thread_field::<T>(if T::WIDE { "wtmpnam" } else { "tmpnam" })
    } else {
        buffer
    };
    give(&name, to, MAX_NAME)
}

fn name_checked<T: Char>(buffer: Ptr<T>, size: usize) -> i32 {
    if buffer.is_null() || size == 0 {
        return errno::invalid_parameter();
    }
    let name = unused(&start_of_names()).unwrap_or_default();
    if give(&name, buffer, size).is_null() {
        buffer.write(T::from_ascii(0));
        return code::ERANGE;
    }
    0
}

/// `_tempnam`: a name in the directory of `TMP`, else in `directory`, else in that of temporary files.
fn name_in<T: Char>(directory: Ptr<T>, prefix: Ptr<T>) -> Ptr<T> {
    let is_directory =
        |path: &[u16]| files::info(path).is_ok_and(|info| info.attributes & files::DIRECTORY != 0);
    let own = environment::get("TMP").filter(|path| is_directory(path));
    let given = directory
        .non_null()
        .map(path)
        .filter(|path| is_directory(path));
    let mut start = own
        .or(given)
        .unwrap_or_else(|| files::temporary_directory().unwrap_or_default());
    if start.last() != Some(&u16::from(b'\\')) {
        start.push(u16::from(b'\\'));
    }
    start.extend(prefix.non_null().map(path).unwrap_or_default());
    unused(&start).map_or(Ptr::NULL, |name| give(&name, Ptr::NULL, 0))
}

/// Replaces the six `X` at the end of a name by a letter and five digits of the process.
fn fill_template<T: Char>(template: Ptr<T>) -> i32 {
    const LENGTH: usize = 6;
    let length = T::length(template);
    let is_template = length >= LENGTH
        && T::read(template.add(length - LENGTH), LENGTH)
            .iter()
            .all(|unit| unit.ascii() == b'X');
    if !is_template {
        return errno::invalid_parameter();
    }
    let at = template.add(length - LENGTH);
    for letter in 'a'..='z' {
        let text = format!("{letter}{:05}", std::process::id() % 100_000);
        T::write(at, &unit::ascii::<T>(&text));
        if files::info(&path(template)).is_err() {
            return 0;
        }
    }
    template.write(T::from_ascii(0));
    errno::fail(code::EEXIST)
}

/// Opens a file that goes when it is closed.
fn open() -> Result<Ptr<File>, i32> {
    const SHARE_ALL: i32 = 0x40;
    const MODE: i32 = flags::RDWR
        | flags::CREAT
        | flags::EXCL
        | flags::BINARY
        | flags::TEMPORARY
        | flags::NOINHERIT;
    let directory = files::temporary_directory().map_err(super::fd::win32)?;
    let name = unused(&directory).ok_or(code::EMFILE)?;
    let number = io::open(&name, MODE, SHARE_ALL, 0o600)?;
    let stream = stream::create(number).ok_or(code::ENOMEM)?;
    if let Some(shared) = stream::get(stream) {
        shared.lock().is_temporary = true;
    }
    Ok(stream)
}

twins! {
    /// Returns a name for a temporary file.
    "msvcrt.dll|ucrtbase.dll" fn tmpnam / _wtmpnam(buffer: Ptr<Char>) -> Ptr<Char> {
        name_into(buffer)
    }

    /// Writes a name for a temporary file.
    "msvcrt.dll|ucrtbase.dll" fn tmpnam_s / _wtmpnam_s(buffer: Ptr<Char>, size: usize) -> i32 {
        name_checked(buffer, size)
    }

    /// Returns a name for a temporary file in a directory, in a block of `malloc`.
    "msvcrt.dll|ucrtbase.dll" fn _tempnam / _wtempnam(directory: Ptr<Char>, prefix: Ptr<Char>) -> Ptr<Char> {
        name_in(directory, prefix)
    }

    /// Completes a name that ends in a template of six X.
    "msvcrt.dll|ucrtbase.dll" fn _mktemp / _wmktemp(template: Ptr<Char>) -> Ptr<Char> {
        if fill_template(template) == 0 { template } else { Ptr::NULL }
    }

    /// Completes a name that ends in a template of six X; returns the error.
    "msvcrt.dll|ucrtbase.dll" fn _mktemp_s / _wmktemp_s(template: Ptr<Char>, size: usize) -> i32 {
        if template.is_null() || mem::length_within(template, size) >= size {
            return errno::invalid_parameter();
        }
        fill_template(template)
    }
}

win_api! {
    /// Opens a temporary file.
    "msvcrt.dll|ucrtbase.dll" cdecl fn tmpfile() -> Ptr<File> {
        open().unwrap_or_else(|number| {
            errno::set_errno(number);
            Ptr::NULL
        })
    }

    /// Opens a temporary file and stores the stream.
    "msvcrt.dll|ucrtbase.dll" cdecl fn tmpfile_s(to: Ptr<Ptr<File>>) -> i32 {
        if to.is_null() {
            return errno::invalid_parameter();
        }
        match open() {
            Ok(stream) => {
                to.write(stream);
                0
            }
            Err(number) => errno::fail(number),
        }
    }

    /// Closes the files of `tmpfile`; returns how many.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _rmtmp() -> i32 {
        let temporary = stream::all().into_iter().filter(|(_, shared)| shared.lock().is_temporary);
        temporary.filter(|(file, _)| stream::close(*file).is_ok()).count() as i32
    }
}

#[cfg(test)]
mod tests {
    use super::digits;

    #[test]
    fn numbers_have_digits_of_base_32() {
        assert_eq!([0, 31, 32, 1023].map(digits), ["0", "v", "10", "vv"]);
    }
}
