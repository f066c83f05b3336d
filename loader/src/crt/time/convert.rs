//! Times to parts and back: `gmtime`, `localtime`, `mktime`.
//!
//! Source: Microsoft Learn, "gmtime, _gmtime32, _gmtime64", "localtime", "mktime", "_mkgmtime". Times run from 1970 to
//! the end of the year 3000.

use ntlpc_abi::Width;

use super::calendar::{self, Tm};
use super::zone;
use crate::crt::errno;
use crate::export::{Guest, Ptr};
use crate::{width, win_api};

/// 3000-12-31 23:59:59 UTC.
const LAST: i64 = 32_535_215_999;

/// Returns the local parts of a time.
pub fn local(seconds: i64) -> Tm {
    zone::prepare();
    let local = zone::at(seconds);
    calendar::split(seconds + local.offset, local.is_dst)
}

fn universal(seconds: i64) -> Tm {
    calendar::split(seconds, false)
}

/// A `time_t` of either width.
pub trait Time: Guest + Into<i64> {
    /// Narrows; -1 if it does not fit.
    fn from_seconds(seconds: Option<i64>) -> Self;
}

impl Time for i32 {
    fn from_seconds(seconds: Option<i64>) -> Self {
        seconds
            .and_then(|seconds| i32::try_from(seconds).ok())
            .unwrap_or(-1)
    }
}

impl Time for i64 {
    fn from_seconds(seconds: Option<i64>) -> Self {
        seconds.unwrap_or(-1)
    }
}

/// Reads a time that can be split; reports others.
pub fn read<T: Time>(at: Ptr<T>) -> Result<i64, i32> {
    if at.is_null() {
        return Err(errno::invalid_parameter());
    }
    let seconds: i64 = at.read().into();
    if (0..=LAST).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(errno::fail(errno::code::EINVAL))
    }
}

/// Splits into the buffer of the calling thread; NULL for an error.
fn in_thread<T: Time>(at: Ptr<T>, split: fn(i64) -> Tm) -> Ptr<Tm> {
    let Ok(seconds) = read(at) else {
        return Ptr::NULL;
    };
    let to = errno::thread_field::<Tm>("tm");
    to.write(split(seconds));
    to
}

/// Splits into a caller's buffer; returns an error.
fn to_caller<T: Time>(to: Ptr<Tm>, at: Ptr<T>, split: fn(i64) -> Tm) -> i32 {
    if to.is_null() {
        return errno::invalid_parameter();
    }
    match read(at) {
        Ok(seconds) => {
            to.write(split(seconds));
            0
        }
        Err(number) => {
            to.cast::<[i32; 9]>().write([-1; 9]);
            number
        }
    }
}

/// Joins parts and stores them normalized.
fn joined(at: Ptr<Tm>, moment: fn(&Tm) -> i64, split: fn(i64) -> Tm) -> Option<i64> {
    if at.is_null() {
        errno::invalid_parameter();
        return None;
    }
    let seconds = moment(&at.read());
    if !(0..=LAST).contains(&seconds) {
        errno::set_errno(errno::code::EINVAL);
        return None;
    }
    at.write(split(seconds));
    Some(seconds)
}

fn local_moment(tm: &Tm) -> i64 {
    zone::prepare();
    zone::moment(tm)
}

/// Splits a `time_t` of `msvcrt`'s unnumbered functions, which has the width of a pointer.
fn native(at: Ptr<u8>, split: fn(i64) -> Tm) -> Ptr<Tm> {
    match width() {
        Width::X64 => in_thread::<i64>(at.cast(), split),
        Width::X86 => in_thread::<i32>(at.cast(), split),
    }
}

/// Joins to a `time_t` of `msvcrt`'s unnumbered functions.
fn native_joined(seconds: Option<i64>) -> isize {
    match width() {
        Width::X64 => i64::from_seconds(seconds) as isize,
        Width::X86 => i32::from_seconds(seconds) as isize,
    }
}

win_api! {
    /// Splits a time in UTC.
    "msvcrt.dll" cdecl fn gmtime(time: Ptr<u8>) -> Ptr<Tm> { native(time, universal) }

    /// Splits a time in UTC.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _gmtime32(time: Ptr<i32>) -> Ptr<Tm> { in_thread(time, universal) }

    /// Splits a time in UTC.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _gmtime64(time: Ptr<i64>) -> Ptr<Tm> { in_thread(time, universal) }

    /// Splits a time in UTC.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _gmtime32_s(to: Ptr<Tm>, time: Ptr<i32>) -> i32 { to_caller(to, time, universal) }

    /// Splits a time in UTC.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _gmtime64_s(to: Ptr<Tm>, time: Ptr<i64>) -> i32 { to_caller(to, time, universal) }

    /// Splits a time in the local zone.
    "msvcrt.dll" cdecl fn localtime(time: Ptr<u8>) -> Ptr<Tm> { native(time, local) }

    /// Splits a time in the local zone.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _localtime32(time: Ptr<i32>) -> Ptr<Tm> { in_thread(time, local) }

    /// Splits a time in the local zone.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _localtime64(time: Ptr<i64>) -> Ptr<Tm> { in_thread(time, local) }

    /// Splits a time in the local zone.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _localtime32_s(to: Ptr<Tm>, time: Ptr<i32>) -> i32 { to_caller(to, time, local) }

    /// Splits a time in the local zone.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _localtime64_s(to: Ptr<Tm>, time: Ptr<i64>) -> i32 { to_caller(to, time, local) }

    /// Joins local parts.
    "msvcrt.dll" cdecl fn mktime(parts: Ptr<Tm>) -> isize { native_joined(joined(parts, local_moment, local)) }

    /// Joins local parts.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mktime32(parts: Ptr<Tm>) -> i32 { i32::from_seconds(joined(parts, local_moment, local)) }

    /// Joins local parts.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mktime64(parts: Ptr<Tm>) -> i64 { i64::from_seconds(joined(parts, local_moment, local)) }

    /// Joins parts in UTC.
    "msvcrt.dll" cdecl fn _mkgmtime(parts: Ptr<Tm>) -> isize { native_joined(joined(parts, calendar::join, universal)) }

    /// Joins parts in UTC.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mkgmtime32(parts: Ptr<Tm>) -> i32 { i32::from_seconds(joined(parts, calendar::join, universal)) }

    /// Joins parts in UTC.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _mkgmtime64(parts: Ptr<Tm>) -> i64 { i64::from_seconds(joined(parts, calendar::join, universal)) }
}
