//! `_findfirst`: directory listings, in four layouts.
//!
//! Source: Microsoft Learn, "_findfirst functions", "_findnext"; mingw-w64 `io.h` `_finddata_t`.

use ntlpc_abi::Handle;

use super::errno::{self, code};
use super::fd;
use super::io::{path, status};
use super::mem::{self, Char};
use super::os::files::{self, Entry};
use super::stat::{LAYOUT_32, LAYOUT_32_I64, LAYOUT_64, LAYOUT_64_I32, Layout, Writer};
use super::text::{self, CodePage};
use super::twins::twins;
use crate::export::Ptr;
use crate::win_api;

/// Characters of a name with NUL.
const NAME: usize = 260;

/// Writes `_finddata_t`: attributes, three times, size, name.
fn put<T: Char>(to: Ptr<T>, entry: &Entry, layout: Layout) {
    let info = &entry.info;
    let attributes = if info.attributes == files::NORMAL {
        0
    } else {
        info.attributes
    };
    let mut out = Writer::new(to.address(), 0);
    out.put(attributes.into(), false, 0);
    for time in info.times {
        out.put(time, layout.has_long_times, -1);
    }
    out.put(info.size, layout.has_long_size, i32::MAX);
    let mut name = text::from_wide::<T>(CodePage::Utf8, &entry.name).unwrap_or_default();
    name.truncate(NAME - 1);
    mem::write_string(Ptr::new(out.next()), &name);
}

fn failed(error: u32) -> i32 {
    const NO_MORE_FILES: u32 = 18;
    match fd::win32(error) {
        _ if error == NO_MORE_FILES => code::ENOENT,
        code::EACCES => code::EINVAL,
        number => number,
    }
}

fn first<T: Char>(pattern: Ptr<T>, to: Ptr<T>, layout: Layout) -> isize {
    if pattern.is_null() || to.is_null() {
        errno::invalid_parameter();
        return -1;
    }
    match files::find_first(&path(pattern)) {
        Ok((handle, entry)) => {
            put(to, &entry, layout);
            handle.0 as isize
        }
        Err(error) => {
            errno::set_errno(failed(error));
            -1
        }
    }
}

fn next<T: Char>(search: isize, to: Ptr<T>, layout: Layout) -> i32 {
    status(
        files::find_next(Handle(search as u64))
            .map(|entry| put(to, &entry, layout))
            .map_err(failed),
    )
}

twins! {
    /// Starts a listing.
    "msvcrt.dll" fn _findfirst / _wfindfirst(pattern: Ptr<Char>, to: Ptr<Char>) -> isize { first(pattern, to, Layout::native(false)) }

    /// Starts a listing.
    "msvcrt.dll" fn _findfirsti64 / _wfindfirsti64(pattern: Ptr<Char>, to: Ptr<Char>) -> isize { first(pattern, to, Layout::native(true)) }

    /// Starts a listing.
    "msvcrt.dll|ucrtbase.dll" fn _findfirst32 / _wfindfirst32(pattern: Ptr<Char>, to: Ptr<Char>) -> isize { first(pattern, to, LAYOUT_32) }

    /// Starts a listing.
    "msvcrt.dll|ucrtbase.dll" fn _findfirst32i64 / _wfindfirst32i64(pattern: Ptr<Char>, to: Ptr<Char>) -> isize { first(pattern, to, LAYOUT_32_I64) }

    /// Starts a listing.
    "msvcrt.dll|ucrtbase.dll" fn _findfirst64i32 / _wfindfirst64i32(pattern: Ptr<Char>, to: Ptr<Char>) -> isize { first(pattern, to, LAYOUT_64_I32) }

    /// Starts a listing.
    "msvcrt.dll|ucrtbase.dll" fn _findfirst64 / _wfindfirst64(pattern: Ptr<Char>, to: Ptr<Char>) -> isize { first(pattern, to, LAYOUT_64) }

    /// Goes on with a listing.
    "msvcrt.dll" fn _findnext / _wfindnext(search: isize, to: Ptr<Char>) -> i32 { next(search, to, Layout::native(false)) }

    /// Goes on with a listing.
    "msvcrt.dll" fn _findnexti64 / _wfindnexti64(search: isize, to: Ptr<Char>) -> i32 { next(search, to, Layout::native(true)) }

    /// Goes on with a listing.
    "msvcrt.dll|ucrtbase.dll" fn _findnext32 / _wfindnext32(search: isize, to: Ptr<Char>) -> i32 { next(search, to, LAYOUT_32) }

    /// Goes on with a listing.
    "msvcrt.dll|ucrtbase.dll" fn _findnext32i64 / _wfindnext32i64(search: isize, to: Ptr<Char>) -> i32 { next(search, to, LAYOUT_32_I64) }

    /// Goes on with a listing.
    "msvcrt.dll|ucrtbase.dll" fn _findnext64i32 / _wfindnext64i32(search: isize, to: Ptr<Char>) -> i32 { next(search, to, LAYOUT_64_I32) }

    /// Goes on with a listing.
    "msvcrt.dll|ucrtbase.dll" fn _findnext64 / _wfindnext64(search: isize, to: Ptr<Char>) -> i32 { next(search, to, LAYOUT_64) }
}

win_api! {
    /// Ends a listing.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _findclose(search: isize) -> i32 {
        status(files::find_close(Handle(search as u64)).map_err(|error| {
            fd::win32(error);
            code::EINVAL
        }))
    }
}
