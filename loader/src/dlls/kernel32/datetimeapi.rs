//! Dates and times as text: `datetimeapi.h`, for English (United States) and the invariant locale.
//!
//! Source: Microsoft Learn, "GetDateFormatEx", "GetTimeFormatEx", "Day, Month, Year, and Era Format Pictures", "Hour,
//! Minute, and Second Format Pictures".

use super::timezoneapi::{SystemTime, local_offset, parts, whole};
use super::winnls::Locale;
use crate::crt::time::calendar::{DAYS, MONTHS};
use crate::dlls::win32::{ansi_of, error, refuse, units_arg, wide_arg};
use crate::export::{Guest, Ptr};
use crate::ob::time;
use crate::win_api;

/// `DATE_SHORTDATE`, `DATE_LONGDATE`, `DATE_YEARMONTH` and `DATE_MONTHDAY`, one of which chooses a picture.
const PICTURES: [u32; 4] = [1, 2, 8, 0x80];
/// The pictures of those, of either locale.
const DATES: [[&str; 4]; 2] = [
    ["M/d/yyyy", "dddd, MMMM d, yyyy", "MMMM yyyy", "MMMM d"],
    ["MM/dd/yyyy", "dddd, dd MMMM yyyy", "yyyy MMMM", "MMMM dd"],
];
/// The pictures of times.
const TIMES: [&str; 2] = ["h:mm:ss tt", "HH:mm:ss"];
/// `DATE_USE_ALT_CALENDAR`, of which these locales have none, and `DATE_LTRREADING` to `DATE_AUTOLAYOUT`, which add marks to
/// text that is not read from left to right.
const DATE_OTHERS: u32 = 0x74;
/// `LOCALE_NOUSEROVERRIDE`, `LOCALE_USE_CP_ACP`.
const LOCALE_FLAGS: u32 = 0xC000_0000;

/// `TIME_NOMINUTESORSECONDS`.
const NO_MINUTES: u32 = 1;
/// `TIME_NOSECONDS`.
const NO_SECONDS: u32 = 2;
/// `TIME_NOTIMEMARKER`.
const NO_MARKER: u32 = 4;
/// `TIME_FORCE24HOURFORMAT`.
const FORCE_24: u32 = 8;

/// A part of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// A letter that stands for something, and how often it is there.
    Element(char, usize),
    /// Text that stands for itself.
    Text(String),
}

/// Splits a picture: letters of `elements` mean something, other characters and what is in quotes are themselves; two
/// quotes in a quotation are one.
fn split(picture: &str, elements: &str) -> Vec<Part> {
    let mut all: Vec<Part> = vec![];
    let mut rest = picture.chars().peekable();
    let text = |all: &mut Vec<Part>, c: char| match all.last_mut() {
        Some(Part::Text(text)) => text.push(c),
        _ => all.push(Part::Text(c.into())),
    };
    while let Some(c) = rest.next() {
        if c == '\'' {
            while let Some(quoted) = rest.next() {
                if quoted == '\'' && rest.next_if_eq(&'\'').is_none() {
                    break;
                }
                text(&mut all, quoted);
            }
        } else if elements.contains(c) {
            let mut count = 1;
            while rest.next_if_eq(&c).is_some() {
                count += 1;
            }
            all.push(Part::Element(c, count));
        } else {
            text(&mut all, c);
        }
    }
    all
}

/// A number with a zero before a single digit where the letter is doubled.
fn digits(value: u16, count: usize) -> String {
    if count == 1 {
        value.to_string()
    } else {
        format!("{value:02}")
    }
}

fn date_text(date: &SystemTime, picture: &str) -> String {
    let day = DAYS[usize::from(date.day_of_week)];
    let month = MONTHS[usize::from(date.month) - 1];
    let each = |part| match part {
        Part::Text(text) => text,
        Part::Element('d', count @ 1..=2) => digits(date.day, count),
        Part::Element('d', 3) => day[..3].to_owned(),
        Part::Element('d', _) => day.to_owned(),
        Part::Element('M', count @ 1..=2) => digits(date.month, count),
        Part::Element('M', 3) => month[..3].to_owned(),
        Part::Element('M', _) => month.to_owned(),
        Part::Element('y', count @ 1..=2) => digits(date.year % 100, count),
        Part::Element('y', _) => date.year.to_string(),
        // The era: these locales write none.
        Part::Element(..) => String::new(),
    };
    split(picture, "dMyg").into_iter().map(each).collect()
}

fn time_text(time: &SystemTime, picture: &str, flags: u32) -> String {
    let mut out: Vec<String> = vec![];
    let mut is_separator = false;
    let mut skips_separator = false;
    for part in split(picture, "hHmst") {
        let (letter, count) = match part {
            Part::Text(text) => {
                if !std::mem::take(&mut skips_separator) {
                    out.push(text);
                    is_separator = true;
                }
                continue;
            }
            Part::Element(letter, count) => (letter, count),
        };
        let is_left_out = match letter {
            'm' => flags & NO_MINUTES != 0,
            's' => flags & (NO_MINUTES | NO_SECONDS) != 0,
            't' => flags & NO_MARKER != 0,
            _ => false,
        };
        skips_separator = is_left_out && letter == 't';
        if is_left_out {
            // What separates it from the part before goes too.
            if is_separator {
                out.pop();
            }
        } else {
            let twelve = match time.hour % 12 {
                0 => 12,
                hour => hour,
            };
            let marker = if time.hour < 12 { "AM" } else { "PM" };
            out.push(match letter {
                'h' if flags & FORCE_24 == 0 => digits(twelve, count),
                'h' | 'H' => digits(time.hour, count),
                'm' => digits(time.minute, count),
                's' => digits(time.second, count),
                _ if count == 1 => marker[..1].to_owned(),
                _ => marker.to_owned(),
            });
        }
        is_separator = false;
    }
    out.concat()
}

fn now() -> SystemTime {
    let now = time::system_time();
    parts(now + local_offset(now))
}

/// Returns a date as text.
///
/// # Errors
/// `INVALID_FLAGS`, `INVALID_PARAMETER`.
fn date(
    locale: Option<Locale>,
    flags: u32,
    date: Ptr<SystemTime>,
    picture: Option<Vec<u16>>,
) -> Result<String, u32> {
    let locale = locale.ok_or(error::INVALID_PARAMETER)?;
    let chosen = PICTURES.iter().filter(|&&flag| flags & flag != 0).count();
    let known = PICTURES.iter().sum::<u32>() | DATE_OTHERS | LOCALE_FLAGS;
    if flags & !known != 0 || chosen > 1 || chosen == 1 && picture.is_some() {
        return Err(error::INVALID_FLAGS);
    }
    let date = match date.non_null() {
        Some(date) => {
            // The day of the week is found anew; the time does not count.
            let SystemTime {
                year, month, day, ..
            } = date.read();
            let midnight = SystemTime {
                year,
                month,
                day,
                ..SystemTime::NEVER
            };
            parts(whole(midnight).ok_or(error::INVALID_PARAMETER)?)
        }
        None => now(),
    };
    let index = PICTURES.iter().position(|&flag| flags & flag != 0);
    let known = DATES[locale as usize][index.unwrap_or(0)];
    let picture = picture.map_or_else(
        || known.to_owned(),
        |units| String::from_utf16_lossy(&units),
    );
    Ok(date_text(&date, &picture))
}

/// Returns a time as text.
///
/// # Errors
/// As [`date`].
fn time_of_day(
    locale: Option<Locale>,
    flags: u32,
    time: Ptr<SystemTime>,
    picture: Option<Vec<u16>>,
) -> Result<String, u32> {
    let locale = locale.ok_or(error::INVALID_PARAMETER)?;
    if flags & !(NO_MINUTES | NO_SECONDS | NO_MARKER | FORCE_24 | LOCALE_FLAGS) != 0 {
        return Err(error::INVALID_FLAGS);
    }
    let time = time.non_null().map_or_else(now, Ptr::read);
    if time.hour > 23 || time.minute > 59 || time.second > 59 {
        return Err(error::INVALID_PARAMETER);
    }
    let known = TIMES[locale as usize];
    let picture = picture.map_or_else(
        || known.to_owned(),
        |units| String::from_utf16_lossy(&units),
    );
    Ok(time_text(&time, &picture, flags))
}

/// Gives text with its NUL, or says how much room it takes.
fn give<T: Guest + Default>(units: &[T], buffer: Ptr<T>, size: i32) -> i32 {
    let count = i32::try_from(units.len() + 1).unwrap_or(i32::MAX);
    match size {
        ..0 => refuse(error::INVALID_PARAMETER, 0),
        0 => count,
        _ if size < count => refuse(error::INSUFFICIENT_BUFFER, 0),
        _ => {
            buffer.write_many(units);
            buffer.add(units.len()).write(T::default());
            count
        }
    }
}

fn give_wide(text: Result<String, u32>, buffer: Ptr<u16>, size: i32) -> i32 {
    match text {
        Ok(text) => give(&text.encode_utf16().collect::<Vec<_>>(), buffer, size),
        Err(code) => refuse(code, 0),
    }
}

fn give_ansi(text: Result<String, u32>, buffer: Ptr<u8>, size: i32) -> i32 {
    match text {
        Ok(text) => give(
            &ansi_of(&text.encode_utf16().collect::<Vec<_>>()),
            buffer,
            size,
        ),
        Err(code) => refuse(code, 0),
    }
}

win_api! {
    /// Writes a date.
    "kernel32.dll|kernelbase.dll" stdcall fn GetDateFormatW(locale: u32, flags: u32, value: Ptr<SystemTime>, picture: Ptr<u16>, buffer: Ptr<u16>, size: i32) -> i32 {
        give_wide(date(Locale::of(locale), flags, value, units_arg(picture)), buffer, size)
    }

    /// Writes a date.
    "kernel32.dll|kernelbase.dll" stdcall fn GetDateFormatA(locale: u32, flags: u32, value: Ptr<SystemTime>, picture: Ptr<u8>, buffer: Ptr<u8>, size: i32) -> i32 {
        give_ansi(date(Locale::of(locale), flags, value, wide_arg(picture)), buffer, size)
    }

    /// Writes a date.
    "kernel32.dll|kernelbase.dll" stdcall fn GetDateFormatEx(locale: Ptr<u16>, flags: u32, value: Ptr<SystemTime>, picture: Ptr<u16>, buffer: Ptr<u16>, size: i32, calendar: Ptr<u16>) -> i32 {
        if !calendar.is_null() {
            return refuse(error::INVALID_PARAMETER, 0);
        }
        give_wide(date(Locale::named(locale), flags, value, units_arg(picture)), buffer, size)
    }

    /// Writes a time.
    "kernel32.dll|kernelbase.dll" stdcall fn GetTimeFormatW(locale: u32, flags: u32, value: Ptr<SystemTime>, picture: Ptr<u16>, buffer: Ptr<u16>, size: i32) -> i32 {
        give_wide(time_of_day(Locale::of(locale), flags, value, units_arg(picture)), buffer, size)
    }

    /// Writes a time.
    "kernel32.dll|kernelbase.dll" stdcall fn GetTimeFormatA(locale: u32, flags: u32, value: Ptr<SystemTime>, picture: Ptr<u8>, buffer: Ptr<u8>, size: i32) -> i32 {
        give_ansi(time_of_day(Locale::of(locale), flags, value, wide_arg(picture)), buffer, size)
    }

    /// Writes a time.
    "kernel32.dll|kernelbase.dll" stdcall fn GetTimeFormatEx(locale: Ptr<u16>, flags: u32, value: Ptr<SystemTime>, picture: Ptr<u16>, buffer: Ptr<u16>, size: i32) -> i32 {
        give_wide(time_of_day(Locale::named(locale), flags, value, units_arg(picture)), buffer, size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: SystemTime = SystemTime {
        year: 2024,
        month: 2,
        day_of_week: 4,
        day: 9,
        hour: 15,
        minute: 4,
        second: 5,
        milliseconds: 0,
    };

    #[test]
    fn pictures() {
        assert_eq!(
            date_text(&MOMENT, "d dd M MM y yy yyyy"),
            "9 09 2 02 24 24 2024"
        );
        assert_eq!(
            date_text(&MOMENT, "ddd',' MMM 'o''clock'"),
            "Thu, Feb o'clock"
        );
        assert_eq!(
            time_text(&MOMENT, "h hh H HH m mm s ss t tt", 0),
            "3 03 15 15 4 04 5 05 P PM"
        );
    }

    #[test]
    fn parts_of_times_go_with_their_separators() {
        let text = |flags| time_text(&MOMENT, "h:mm:ss tt", flags);
        assert_eq!(text(NO_SECONDS), "3:04 PM");
        assert_eq!(text(NO_MINUTES), "3 PM");
        assert_eq!(text(NO_MARKER), "3:04:05");
        assert_eq!(text(FORCE_24 | NO_MARKER), "15:04:05");
        assert_eq!(text(FORCE_24), "15:04:05 PM");
    }
}
