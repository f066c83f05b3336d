//! Files by name: existence, removal, new names, times; full paths and searches along a path.
//!
//! Source: Microsoft Learn, "_access", "remove", "rename", "_unlink", "_utime", "_fullpath", "_searchenv".

use ntlpc_abi::{Handle, Width};

use super::errno::{self, code};
use super::io::{path, status};
use super::mem::{self, Char};
use super::os::files;
use super::os::{self, Open};
use super::text::{self, CodePage};
use super::twins::twins;
use super::{environment, fd, malloc};
use crate::export::Ptr;
use crate::ob::time::{from_unix, system_time};
use crate::{guest_struct, width, win_api};

guest_struct! {
    /// `__utimbuf32`.
    pub struct Times32 {
        accessed: i32,
        modified: i32,
    }
    /// `__utimbuf64`.
    pub struct Times64 {
        accessed: i64,
        modified: i64,
    }
}

/// Returns the error of an access that a mode asks for; 0 for none.
fn access_error<T: Char>(name: Ptr<T>, mode: i32) -> i32 {
    const WRITE: i32 = 2;
    if name.is_null() || mode & !6 != 0 {
        return errno::invalid_parameter();
    }
    match files::info(&path(name)) {
        Err(error) => fd::win32(error),
        Ok(info) => {
            let is_refused = mode & WRITE != 0
                && info.attributes & files::READONLY != 0
                && info.attributes & files::DIRECTORY == 0;
            if is_refused { code::EACCES } else { 0 }
        }
    }
}

/// Last access and change in 100 ns since 1601; now without a structure.
fn times32(at: Ptr<Times32>) -> [i64; 2] {
    at.non_null().map_or([system_time(); 2], |at| {
        let times = at.read();
        [times.accessed, times.modified].map(|time| from_unix(time.into(), 0))
    })
}

fn times64(at: Ptr<Times64>) -> [i64; 2] {
    at.non_null().map_or([system_time(); 2], |at| {
        let times = at.read();
        [times.accessed, times.modified].map(|time| from_unix(time, 0))
    })
}

/// Reads `struct _utimbuf` of `msvcrt`'s name without a number.
fn native_times(at: Ptr<u8>) -> [i64; 2] {
    match width() {
        Width::X64 => times64(at.cast()),
        Width::X86 => times32(at.cast()),
    }
}

fn set_times_by_name<T: Char>(name: Ptr<T>, times: [i64; 2]) -> i32 {
    const WRITE_ATTRIBUTES: u32 = 0x100;
    const SHARE_EVERYTHING: u32 = 7;
    const OPEN_EXISTING: u32 = 3;
    const BACKUP_SEMANTICS: u32 = 0x0200_0000;
    let how = Open {
        access: WRITE_ATTRIBUTES,
        share: SHARE_EVERYTHING,
        disposition: OPEN_EXISTING,
        flags: BACKUP_SEMANTICS,
    };
    let done = os::open(&path(name), how, false).and_then(|handle| {
        let done = set_times(handle, times);
        os::close(handle)?;
        done
    });
    status(done.map_err(fd::win32))
}

fn set_times(handle: Handle, [accessed, modified]: [i64; 2]) -> Result<(), u32> {
    files::set_times(handle, accessed, modified)
}

fn set_times_by_descriptor(number: i32, times: [i64; 2]) -> i32 {
    status(fd::get(number).and_then(|fd| set_times(fd.handle, times).map_err(fd::win32)))
}

/// Gives a path to a caller: in its buffer, or in a block of `malloc` if it has none.
pub fn give<T: Char>(text: &[u16], buffer: Ptr<T>, size: usize) -> Ptr<T> {
    let text = text::from_wide::<T>(CodePage::Utf8, text).unwrap_or_default();
    let to = if buffer.is_null() {
        malloc::malloc((text.len() + 1).max(size) * T::size()).cast()
    } else if text.len() >= size {
        errno::set_errno(code::ERANGE);
        return Ptr::NULL;
    } else {
        buffer
    };
    if !to.is_null() {
        mem::write_string(to, &text);
    }
    to
}

fn full_path<T: Char>(buffer: Ptr<T>, name: Ptr<T>, size: usize) -> Ptr<T> {
    let name = if name.is_null() {
        Vec::new()
    } else {
        path(name)
    };
    let full = if name.is_empty() {
        Ok(files::current_directory())
    } else {
        files::full_path(&name)
    };
    match full {
        Ok(full) => give(&full, buffer, size),
        Err(error) => {
            fd::win32(error);
            Ptr::NULL
        }
    }
}

/// Returns the full path of a file that is here or in a directory that a variable lists.
fn search<T: Char>(name: Ptr<T>, variable: Ptr<T>) -> Result<Vec<u16>, i32> {
    let name = path(name);
    if name.is_empty() {
        return Err(code::ENOENT);
    }
    let here = std::iter::once(Vec::new());
    let listed = environment::get(&String::from_utf16_lossy(&path(variable))).unwrap_or_default();
    let listed = listed
        .split(|unit| *unit == u16::from(b';'))
        .filter(|part| !part.is_empty())
        .map(|part| {
            let mut directory: Vec<u16> = part
                .iter()
                .copied()
                .filter(|unit| *unit != u16::from(b'"'))
                .collect();
            if !matches!(
                directory.last().map(|unit| u8::try_from(*unit)),
                Some(Ok(b'\\' | b'/' | b':'))
            ) {
                directory.push(u16::from(b'\\'));
            }
            directory
        });
    here.chain(listed)
        .map(|directory| [directory.as_slice(), name.as_slice()].concat())
        .find(|candidate| files::info(candidate).is_ok())
        .ok_or(code::ENOENT)
        .and_then(|found| files::full_path(&found).map_err(fd::win32))
}

fn search_into<T: Char>(name: Ptr<T>, variable: Ptr<T>, buffer: Ptr<T>, size: usize) -> i32 {
    if buffer.is_null() || size == 0 || name.is_null() || variable.is_null() {
        return errno::invalid_parameter();
    }
    let found = search(name, variable);
    match found {
        Ok(found) if !give(&found, buffer, size).is_null() => 0,
        Ok(_) => {
            buffer.write(T::from_ascii(0));
            code::ERANGE
        }
        Err(number) => {
            buffer.write(T::from_ascii(0));
            errno::fail(number)
        }
    }
}

/// `_MAX_PATH`.
const MAX_PATH: usize = 260;

twins! {
    /// Tells whether a file can be read or written.
    "msvcrt.dll|ucrtbase.dll" fn _access / _waccess(name: Ptr<Char>, mode: i32) -> i32 {
        match access_error(name, mode) {
            0 => 0,
            number => status(Err(number)),
        }
    }

    /// Tells whether a file can be read or written; returns the error.
    "msvcrt.dll|ucrtbase.dll" fn _access_s / _waccess_s(name: Ptr<Char>, mode: i32) -> i32 {
        match access_error(name, mode) {
            0 => 0,
            number => errno::fail(number),
        }
    }

    /// Deletes a file.
    "msvcrt.dll|ucrtbase.dll" fn remove / _wremove(name: Ptr<Char>) -> i32 {
        status(files::delete(&path(name)).map_err(fd::win32))
    }

    /// Deletes a file.
    "msvcrt.dll|ucrtbase.dll" fn _unlink / _wunlink(name: Ptr<Char>) -> i32 {
        status(files::delete(&path(name)).map_err(fd::win32))
    }

    /// Renames a file or directory.
    "msvcrt.dll|ucrtbase.dll" fn rename / _wrename(from: Ptr<Char>, to: Ptr<Char>) -> i32 {
        status(files::rename(&path(from), &path(to)).map_err(fd::win32))
    }

    /// Sets the times of a file.
    "msvcrt.dll" fn _utime / _wutime(name: Ptr<Char>, times: Ptr<u8>) -> i32 { set_times_by_name(name, native_times(times)) }

    /// Sets the times of a file.
    "msvcrt.dll|ucrtbase.dll" fn _utime32 / _wutime32(name: Ptr<Char>, times: Ptr<Times32>) -> i32 { set_times_by_name(name, times32(times)) }

    /// Sets the times of a file.
    "msvcrt.dll|ucrtbase.dll" fn _utime64 / _wutime64(name: Ptr<Char>, times: Ptr<Times64>) -> i32 { set_times_by_name(name, times64(times)) }

    /// Returns the full form of a path.
    "msvcrt.dll|ucrtbase.dll" fn _fullpath / _wfullpath(buffer: Ptr<Char>, name: Ptr<Char>, size: usize) -> Ptr<Char> {
        full_path(buffer, name, size)
    }

    /// Finds a file here or in the directories of a variable.
    "msvcrt.dll|ucrtbase.dll" fn _searchenv / _wsearchenv(name: Ptr<Char>, variable: Ptr<Char>, buffer: Ptr<Char>) {
        search_into(name, variable, buffer, MAX_PATH);
    }

    /// Finds a file here or in the directories of a variable; returns the error.
    "msvcrt.dll|ucrtbase.dll" fn _searchenv_s / _wsearchenv_s(name: Ptr<Char>, variable: Ptr<Char>, buffer: Ptr<Char>, size: usize) -> i32 {
        search_into(name, variable, buffer, size)
    }
}

win_api! {
    /// Sets the times of an open file.
    "msvcrt.dll" cdecl fn _futime(number: i32, times: Ptr<u8>) -> i32 { set_times_by_descriptor(number, native_times(times)) }

    /// Sets the times of an open file.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _futime32(number: i32, times: Ptr<Times32>) -> i32 { set_times_by_descriptor(number, times32(times)) }

    /// Sets the times of an open file.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _futime64(number: i32, times: Ptr<Times64>) -> i32 { set_times_by_descriptor(number, times64(times)) }
}
