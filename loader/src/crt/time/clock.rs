//! The present: `time`, `clock`, `_ftime`, `timespec_get`.
//!
//! Source: Microsoft Learn, "time, _time32, _time64", "clock", "_ftime", "timespec_get".

use ntlpc_abi::Width;

use super::zone;
use crate::crt::errno;
use crate::crt::mem::{self, Char};
use crate::crt::os;
use crate::crt::twins::twins;
use crate::crt::unit;
use crate::export::Ptr;
use crate::ob::time::{system_time, to_unix};
use crate::{guest_struct, width, win_api};

guest_struct! {
    /// `struct __timeb32`.
    pub struct TimeB32 {
        time: i32,
        milliseconds: u16,
        minutes_west: i16,
        is_dst: i16,
    }
    /// `struct __timeb64`.
    pub struct TimeB64 {
        time: i64,
        milliseconds: u16,
        minutes_west: i16,
        is_dst: i16,
    }
    /// `struct _timespec32`.
    pub struct TimeSpec32 {
        seconds: i32,
        nanoseconds: i32,
    }
    /// `struct _timespec64`.
    pub struct TimeSpec64 {
        seconds: i64,
        nanoseconds: i32,
    }
}

/// Returns seconds since 1970 and nanoseconds.
pub fn now() -> (i64, i64) {
    to_unix(system_time())
}

/// The parts of `struct timeb`: seconds, milliseconds, minutes west, daylight saving time.
fn moment() -> (i64, u16, i16, i16) {
    zone::prepare();
    let (seconds, nanoseconds) = now();
    let milliseconds = (nanoseconds / 1_000_000) as u16;
    (
        seconds,
        milliseconds,
        zone::minutes_west(),
        i16::from(zone::at(seconds).is_dst),
    )
}

fn seconds32() -> i32 {
    i32::try_from(now().0).unwrap_or(-1)
}

fn fill32(to: Ptr<TimeB32>) -> i32 {
    if to.is_null() {
        return errno::invalid_parameter();
    }
    let (time, milliseconds, minutes_west, is_dst) = moment();
    let time = i32::try_from(time).unwrap_or(-1);
    to.write(TimeB32 {
        time,
        milliseconds,
        minutes_west,
        is_dst,
    });
    0
}

fn fill64(to: Ptr<TimeB64>) -> i32 {
    if to.is_null() {
        return errno::invalid_parameter();
    }
    let (time, milliseconds, minutes_west, is_dst) = moment();
    to.write(TimeB64 {
        time,
        milliseconds,
        minutes_west,
        is_dst,
    });
    0
}

/// `TIME_UTC`, the only base.
const UTC: i32 = 1;

win_api! {
    /// Returns the time in 32 bits.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _time32(to: Ptr<i32>) -> i32 {
        let seconds = seconds32();
        to.write_if_some(seconds);
        seconds
    }

    /// Returns the time.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _time64(to: Ptr<i64>) -> i64 {
        let seconds = now().0;
        to.write_if_some(seconds);
        seconds
    }

    /// Returns the time: `time_t` has the width of a pointer in `msvcrt`.
    "msvcrt.dll" cdecl fn time(to: Ptr<usize>) -> isize {
        let seconds = match width() {
            Width::X64 => now().0 as isize,
            Width::X86 => seconds32() as isize,
        };
        to.write_if_some(seconds as usize);
        seconds
    }

    /// Returns milliseconds since the process began.
    "msvcrt.dll|ucrtbase.dll" cdecl fn clock() -> i32 {
        i32::try_from(os::process_age_ms()).unwrap_or(-1)
    }

    /// Returns the difference of two times.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _difftime32(end: i32, begin: i32) -> f64 {
        f64::from(end) - f64::from(begin)
    }

    /// Returns the difference of two times.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _difftime64(end: i64, begin: i64) -> f64 {
        end.wrapping_sub(begin) as f64
    }

    /// Returns the difference of two times.
    "msvcrt.dll" cdecl fn difftime(end: isize, begin: isize) -> f64 {
        end.wrapping_sub(begin) as f64
    }

    /// Stores the time with milliseconds and zone.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ftime32(to: Ptr<TimeB32>) {
        fill32(to);
    }

    /// Stores the time with milliseconds and zone.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ftime32_s(to: Ptr<TimeB32>) -> i32 {
        fill32(to)
    }

    /// Stores the time with milliseconds and zone.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ftime64(to: Ptr<TimeB64>) {
        fill64(to);
    }

    /// Stores the time with milliseconds and zone.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ftime64_s(to: Ptr<TimeB64>) -> i32 {
        fill64(to)
    }

    /// Stores the time with milliseconds and zone.
    "msvcrt.dll" cdecl fn _ftime(to: Ptr<u8>) {
        match width() {
            Width::X64 => fill64(to.cast()),
            Width::X86 => fill32(to.cast()),
        };
    }

    /// Stores the time with nanoseconds.
    "ucrtbase.dll" cdecl fn _timespec32_get(to: Ptr<TimeSpec32>, base: i32) -> i32 {
        if to.is_null() || base != UTC {
            return 0;
        }
        to.write(TimeSpec32 { seconds: seconds32(), nanoseconds: now().1 as i32 });
        base
    }

    /// Stores the time with nanoseconds.
    "ucrtbase.dll" cdecl fn _timespec64_get(to: Ptr<TimeSpec64>, base: i32) -> i32 {
        if to.is_null() || base != UTC {
            return 0;
        }
        let (seconds, nanoseconds) = now();
        to.write(TimeSpec64 { seconds, nanoseconds: nanoseconds as i32 });
        base
    }
}

/// Writes a text of eight characters for a caller.
fn put<T: Char>(buffer: Ptr<T>, size: usize, text: &str) -> i32 {
    if buffer.is_null() || size == 0 {
        return errno::invalid_parameter();
    }
    if size <= text.len() {
        buffer.write(T::from_ascii(0));
        return errno::fail(errno::code::ERANGE);
    }
    mem::write_string(buffer, &unit::ascii::<T>(text));
    0
}

fn date_text() -> String {
    let tm = super::convert::local(now().0);
    format!("{:02}/{:02}/{:02}", tm.month + 1, tm.day, tm.year % 100)
}

fn time_text() -> String {
    let tm = super::convert::local(now().0);
    format!("{:02}:{:02}:{:02}", tm.hour, tm.minute, tm.second)
}

twins! {
    /// Writes the date as mm/dd/yy.
    "msvcrt.dll|ucrtbase.dll" fn _strdate / _wstrdate(to: Ptr<Char>) -> Ptr<Char> {
        put(to, 9, &date_text());
        to
    }

    /// Writes the date as mm/dd/yy.
    "msvcrt.dll|ucrtbase.dll" fn _strdate_s / _wstrdate_s(to: Ptr<Char>, size: usize) -> i32 {
        put(to, size, &date_text())
    }

    /// Writes the time as hh:mm:ss.
    "msvcrt.dll|ucrtbase.dll" fn _strtime / _wstrtime(to: Ptr<Char>) -> Ptr<Char> {
        put(to, 9, &time_text());
        to
    }

    /// Writes the time as hh:mm:ss.
    "msvcrt.dll|ucrtbase.dll" fn _strtime_s / _wstrtime_s(to: Ptr<Char>, size: usize) -> i32 {
        put(to, size, &time_text())
    }
}
