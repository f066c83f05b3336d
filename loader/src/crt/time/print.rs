//! Times as text: `asctime`, `ctime`, `strftime`.
//!
//! Source: Microsoft Learn, "asctime, _wasctime", "ctime", "strftime".

use ntlpc_abi::Width;

use super::calendar::{DAYS, MONTHS, Tm};
use super::convert::{self, Time, local};
use super::format::{self, Dialect, Zone};
use super::zone;
use crate::crt::errno::{self, code};
use crate::crt::mem::{self, Char};
use crate::crt::text::{self, CodePage};
use crate::crt::twins::twins;
use crate::crt::{startup, unit};
use crate::export::Ptr;
use crate::width;

/// Characters of an `asctime` text without NUL.
const LENGTH: usize = 25;

/// Returns `Wed Jan 02 02:03:55 1980\n`; `None` for parts out of range.
fn described(tm: &Tm) -> Option<String> {
    let name = |names: &[&'static str], index: i32| {
        usize::try_from(index)
            .ok()
            .and_then(|i| names.get(i))
            .copied()
    };
    let (day, month) = (name(&DAYS, tm.week_day)?, name(&MONTHS, tm.month)?);
    let is_valid =
        (0..24).contains(&tm.hour) && (0..60).contains(&tm.minute) && (0..=60).contains(&tm.second);
    let is_day = (1..=31).contains(&tm.day) && (0..=8099).contains(&tm.year);
    (is_valid && is_day).then(|| {
        let date = if startup::is_ucrt() {
            format!("{:2}", tm.day)
        } else {
            format!("{:02}", tm.day)
        };
        format!(
            "{} {} {date} {:02}:{:02}:{:02} {}\n",
            &day[..3],
            &month[..3],
            tm.hour,
            tm.minute,
            tm.second,
            1900 + tm.year
        )
    })
}

/// Returns the parts as text in the calling thread's buffer; NULL for an error.
fn in_thread<T: Char>(tm: Option<Tm>) -> Ptr<T> {
    let Some(text) = tm.and_then(|tm| described(&tm)) else {
        errno::set_errno(code::EINVAL);
        return Ptr::NULL;
    };
    let buffer = errno::thread_field::<T>(if T::WIDE { "wasctime" } else { "asctime" });
    mem::write_string(buffer, &unit::ascii::<T>(&text));
    buffer
}

/// Returns the parts as text in a caller's buffer; returns an error.
fn to_caller<T: Char>(to: Ptr<T>, size: usize, tm: Option<Tm>) -> i32 {
    if to.is_null() || size == 0 {
        return errno::invalid_parameter();
    }
    to.write(T::from_ascii(0));
    if size <= LENGTH {
        return errno::invalid_parameter();
    }
    let Some(text) = tm.and_then(|tm| described(&tm)) else {
        return errno::fail(code::EINVAL);
    };
    mem::write_string(to, &unit::ascii::<T>(&text));
    0
}

fn parts(at: Ptr<Tm>) -> Option<Tm> {
    at.non_null().map(Ptr::read)
}

fn local_parts<T: Time>(at: Ptr<T>) -> Option<Tm> {
    convert::read(at).ok().map(local)
}

fn native_parts(at: Ptr<u8>) -> Option<Tm> {
    match width() {
        Width::X64 => local_parts::<i64>(at.cast()),
        Width::X86 => local_parts::<i32>(at.cast()),
    }
}

/// Writes a formatted time; returns the characters without NUL, 0 for an error.
fn formatted<T: Char>(to: Ptr<T>, size: usize, pattern: Ptr<T>, tm: Ptr<Tm>) -> usize {
    if to.is_null() || size == 0 || pattern.is_null() {
        errno::invalid_parameter();
        return 0;
    }
    to.write(T::from_ascii(0));
    let Some(tm) = parts(tm) else {
        errno::invalid_parameter();
        return 0;
    };
    zone::prepare();
    let is_dst = tm.is_dst > 0;
    let minutes =
        -i64::from(zone::minutes_west()) + if is_dst { zone::saving_minutes() } else { 0 };
    let shown = Zone {
        name: zone::name(is_dst),
        minutes,
    };
    let dialect = if startup::is_ucrt() {
        Dialect::Ucrt
    } else {
        Dialect::Msvcrt
    };
    let pattern: Vec<u16> = mem::string(pattern)
        .iter()
        .map(|unit| unit.code() as u16)
        .collect();
    let Some(out) = format::format(&pattern, &tm, &shown, dialect) else {
        errno::invalid_parameter();
        return 0;
    };
    // The pattern's bytes were widened one by one, so they are narrowed one by one.
    let out = text::from_wide::<T>(CodePage::C, &out).unwrap_or_default();
    if out.len() >= size {
        errno::set_errno(code::ERANGE);
        return 0;
    }
    mem::write_string(to, &out);
    out.len()
}

twins! {
    /// Returns parts as text.
    "msvcrt.dll|ucrtbase.dll" fn asctime / _wasctime(tm: Ptr<Tm>) -> Ptr<Char> {
        in_thread(parts(tm))
    }

    /// Writes parts as text.
    "msvcrt.dll|ucrtbase.dll" fn asctime_s / _wasctime_s(to: Ptr<Char>, size: usize, tm: Ptr<Tm>) -> i32 {
        to_caller(to, size, parts(tm))
    }

    /// Returns a local time as text.
    "msvcrt.dll" fn ctime / _wctime(time: Ptr<u8>) -> Ptr<Char> {
        in_thread(native_parts(time))
    }

    /// Returns a local time as text.
    "msvcrt.dll|ucrtbase.dll" fn _ctime32 / _wctime32(time: Ptr<i32>) -> Ptr<Char> {
        in_thread(local_parts(time))
    }

    /// Returns a local time as text.
    "msvcrt.dll|ucrtbase.dll" fn _ctime64 / _wctime64(time: Ptr<i64>) -> Ptr<Char> {
        in_thread(local_parts(time))
    }

    /// Writes a local time as text.
    "msvcrt.dll|ucrtbase.dll" fn _ctime32_s / _wctime32_s(to: Ptr<Char>, size: usize, time: Ptr<i32>) -> i32 {
        to_caller(to, size, local_parts(time))
    }

    /// Writes a local time as text.
    "msvcrt.dll|ucrtbase.dll" fn _ctime64_s / _wctime64_s(to: Ptr<Char>, size: usize, time: Ptr<i64>) -> i32 {
        to_caller(to, size, local_parts(time))
    }

    /// Writes parts in a format; every locale has the dates of "C".
    "msvcrt.dll|ucrtbase.dll" fn strftime = "strftime|_strftime_l|_Strftime" / wcsftime = "wcsftime|_wcsftime_l|_Wcsftime" (to: Ptr<Char>, size: usize, format: Ptr<Char>, tm: Ptr<Tm>) -> usize {
        formatted(to, size, format, tm)
    }
}
