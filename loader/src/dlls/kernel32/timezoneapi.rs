//! Time zones and times in parts: `timezoneapi.h`.
//!
//! Source: Microsoft Learn, "TIME_ZONE_INFORMATION structure" (transition dates, biases),
//! "GetDynamicTimeZoneInformation function".

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::dlls::win32::{error, refuse};
use crate::export::{Bool, Ptr};
use crate::ob::time::{self, civil_from_days, days_from_civil};
use crate::{guest_struct, win_api};

guest_struct! {
    /// `SYSTEMTIME`.
    pub struct SystemTime {
        year: u16,
        month: u16,
        day_of_week: u16,
        day: u16,
        hour: u16,
        minute: u16,
        second: u16,
        milliseconds: u16,
    }
    /// `TIME_ZONE_INFORMATION`.
    pub struct TimeZoneInformation {
        bias: i32,
        standard_name: [u16; 32],
        standard_date: SystemTime,
        standard_bias: i32,
        daylight_name: [u16; 32],
        daylight_date: SystemTime,
        daylight_bias: i32,
    }
    /// `DYNAMIC_TIME_ZONE_INFORMATION`.
    pub struct DynamicTimeZoneInformation {
        zone: TimeZoneInformation,
        key_name: [u16; 128],
        is_dynamic_daylight_disabled: u8,
    }
}

const MINUTE: i64 = 60 * time::UNITS_PER_SECOND;
const DAY: i64 = 86_400 * time::UNITS_PER_SECOND;

/// Splits a time.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "each part is in its range by arithmetic"
)]
pub fn parts(time_100ns: i64) -> SystemTime {
    let days = time_100ns.div_euclid(DAY);
    let (year, month, day) = civil_from_days(days);
    let milliseconds = time_100ns.rem_euclid(DAY) / 10_000;
    SystemTime {
        year: year as u16,
        month: month as u16,
        // 1601-01-01 was a Monday.
        day_of_week: ((days + 1).rem_euclid(7)) as u16,
        day: day as u16,
        hour: (milliseconds / 3_600_000) as u16,
        minute: (milliseconds / 60_000 % 60) as u16,
        second: (milliseconds / 1000 % 60) as u16,
        milliseconds: (milliseconds % 1000) as u16,
    }
}

/// Joins a time; `None` if a part is out of its range.
pub fn whole(parts: SystemTime) -> Option<i64> {
    let valid = (1..=12).contains(&parts.month)
        && parts.day >= 1
        && parts.hour < 24
        && parts.minute < 60
        && parts.second < 60
        && parts.milliseconds < 1000;
    let (year, month, day) = (
        i64::from(parts.year),
        i64::from(parts.month),
        i64::from(parts.day),
    );
    let days = days_from_civil(year, month, day);
    if !valid || !(1601..=30827).contains(&year) || civil_from_days(days) != (year, month, day) {
        return None;
    }
    let seconds =
        i64::from(parts.hour) * 3600 + i64::from(parts.minute) * 60 + i64::from(parts.second);
    Some(days * DAY + seconds * time::UNITS_PER_SECOND + i64::from(parts.milliseconds) * 10_000)
}

/// Returns how much local time is ahead of UTC at a moment, in 100 ns.
pub fn local_offset(time_100ns: i64) -> i64 {
    let (seconds, _) = time::to_unix(time_100ns);
    jiff::Timestamp::from_second(seconds).map_or(0, |stamp| {
        i64::from(jiff::tz::TimeZone::system().to_offset(stamp).seconds())
    }) * time::UNITS_PER_SECOND
}

impl SystemTime {
    /// No date: in a zone, that of a change that never comes.
    pub const NEVER: SystemTime = SystemTime {
        year: 0,
        month: 0,
        day_of_week: 0,
        day: 0,
        hour: 0,
        minute: 0,
        second: 0,
        milliseconds: 0,
    };
}

/// `TIME_ZONE_ID_UNKNOWN`: the zone has no daylight saving time.
const UNKNOWN: u32 = 0;
/// `TIME_ZONE_ID_STANDARD`.
const STANDARD: u32 = 1;
/// `TIME_ZONE_ID_DAYLIGHT`.
const DAYLIGHT: u32 = 2;

/// A change of the clock at a moment, as its rule for every year: the nth such day of the week of the month, 5 for the last,
/// at a time of the clock that is in force before.
fn rule(moment: i64, offset_before: i64) -> SystemTime {
    let local = parts(moment + offset_before);
    let (year, month) = (i64::from(local.year), i64::from(local.month));
    let days =
        days_from_civil(year + month / 12, month % 12 + 1, 1) - days_from_civil(year, month, 1);
    let is_last = i64::from(local.day) + 7 > days;
    SystemTime {
        year: 0,
        day: if is_last { 5 } else { (local.day - 1) / 7 + 1 },
        ..local
    }
}

/// Returns when a rule applies in a year, by the clock that is in force before; `None` for a rule that never does.
fn moment_of(rule: SystemTime, year: i64) -> Option<i64> {
    if rule.month == 0 {
        return None;
    }
    if rule.year != 0 {
        return whole(rule).filter(|_| i64::from(rule.year) == year);
    }
    let month = i64::from(rule.month);
    let first = days_from_civil(year, month, 1);
    let first_weekday = (first + 1).rem_euclid(7);
    let mut day =
        (i64::from(rule.day_of_week) - first_weekday).rem_euclid(7) + 7 * (i64::from(rule.day) - 1);
    let days = days_from_civil(year + month / 12, month % 12 + 1, 1) - first;
    while day >= days {
        day -= 7;
    }
    let at = whole(SystemTime {
        year: year as u16,
        day: (day + 1) as u16,
        ..rule
    })?;
    Some(at)
}

/// Returns how much a zone is ahead of UTC at a moment.
fn offset_in(zone: &TimeZoneInformation, moment: i64) -> i64 {
    let standard = -i64::from(zone.bias + zone.standard_bias) * MINUTE;
    let daylight = -i64::from(zone.bias + zone.daylight_bias) * MINUTE;
    let year = i64::from(parts(moment + standard).year);
    let begin = moment_of(zone.daylight_date, year).map(|at| at - standard);
    let end = moment_of(zone.standard_date, year).map(|at| at - daylight);
    let (Some(begin), Some(end)) = (begin, end) else {
        return standard;
    };
    let is_daylight = if begin < end {
        (begin..end).contains(&moment)
    } else {
        !(end..begin).contains(&moment)
    };
    if is_daylight { daylight } else { standard }
}

fn name(text: &str) -> [u16; 32] {
    let mut units = [0; 32];
    let text = text.encode_utf16().take(31);
    units.iter_mut().zip(text).for_each(|(to, unit)| *to = unit);
    units
}

/// Describes a zone by the changes of the year around `now`, and says which of its times is in force.
fn describe(zone: &TimeZone, now: Timestamp) -> (TimeZoneInformation, u32) {
    let nt = |stamp: Timestamp| time::from_unix(stamp.as_second(), 0);
    let year = i64::from(parts(nt(now)).year);
    let new_year = |year: i64| days_from_civil(year, 1, 1) * DAY;
    let (start, _) = time::to_unix(new_year(year));
    let start = Timestamp::from_second(start).unwrap_or(now);
    let seconds = |stamp: Timestamp| i64::from(zone.to_offset(stamp).seconds());
    let mut before = seconds(start);
    let mut changes = vec![];
    for change in zone.following(start) {
        if nt(change.timestamp()) >= new_year(year + 1) {
            break;
        }
        let after = i64::from(change.offset().seconds());
        if after != before {
            changes.push((nt(change.timestamp()), before, after));
        }
        before = after;
    }
    let info = zone.to_offset_info(now);
    let present = i64::from(info.offset().seconds());
    let never = TimeZoneInformation {
        bias: (-present / 60) as i32,
        standard_name: name(info.abbreviation()),
        standard_date: SystemTime::NEVER,
        standard_bias: 0,
        daylight_name: name(info.abbreviation()),
        daylight_date: SystemTime::NEVER,
        daylight_bias: 0,
    };
    let &[one, other] = &changes[..] else {
        return (never, UNKNOWN);
    };
    // The change that puts the clock forward begins daylight saving time.
    let (begin, end) = if one.2 > one.1 {
        (one, other)
    } else {
        (other, one)
    };
    if begin.1 != end.2 || begin.2 != end.1 {
        return (never, UNKNOWN);
    }
    let name_at = |moment: i64| {
        let stamp = Timestamp::from_second(time::to_unix(moment).0).unwrap_or(now);
        name(zone.to_offset_info(stamp).abbreviation())
    };
    let described = TimeZoneInformation {
        bias: (-begin.1 / 60) as i32,
        standard_name: name_at(end.0),
        standard_date: rule(end.0, end.1 * time::UNITS_PER_SECOND),
        standard_bias: 0,
        daylight_name: name_at(begin.0),
        daylight_date: rule(begin.0, begin.1 * time::UNITS_PER_SECOND),
        daylight_bias: ((begin.1 - begin.2) / 60) as i32,
    };
    (
        described,
        if present == begin.2 {
            DAYLIGHT
        } else {
            STANDARD
        },
    )
}

win_api! {
    /// Splits a time.
    "kernel32.dll|kernelbase.dll" stdcall fn FileTimeToSystemTime(from: Ptr<i64>, to: Ptr<SystemTime>) -> Bool {
        let time = from.read();
        if time < 0 {
            return refuse(error::INVALID_PARAMETER, Bool::FALSE);
        }
        to.write(parts(time));
        Bool::TRUE
    }

    /// Joins a time.
    "kernel32.dll|kernelbase.dll" stdcall fn SystemTimeToFileTime(from: Ptr<SystemTime>, to: Ptr<i64>) -> Bool {
        match whole(from.read()) {
            Some(time) => {
                to.write(time);
                Bool::TRUE
            }
            None => refuse(error::INVALID_PARAMETER, Bool::FALSE),
        }
    }

    /// Converts UTC to local time in parts, of the system's zone or of a given one.
    "kernel32.dll|kernelbase.dll" stdcall fn SystemTimeToTzSpecificLocalTime(zone: Ptr<TimeZoneInformation>, from: Ptr<SystemTime>, to: Ptr<SystemTime>) -> Bool {
        let Some(time) = whole(from.read()) else { return refuse(error::INVALID_PARAMETER, Bool::FALSE) };
        let offset = match zone.non_null() {
            Some(zone) => offset_in(&zone.read(), time),
            None => local_offset(time),
        };
        to.write(parts(time + offset));
        Bool::TRUE
    }

    /// Converts local time in parts, of the system's zone or of a given one, to UTC.
    "kernel32.dll|kernelbase.dll" stdcall fn TzSpecificLocalTimeToSystemTime(zone: Ptr<TimeZoneInformation>, from: Ptr<SystemTime>, to: Ptr<SystemTime>) -> Bool {
        let Some(time) = whole(from.read()) else { return refuse(error::INVALID_PARAMETER, Bool::FALSE) };
        let zone = zone.non_null().map(Ptr::read);
        let offset = |moment: i64| zone.as_ref().map_or_else(|| local_offset(moment), |zone| offset_in(zone, moment));
        // A moment that the clock shows twice is the first; one that it skips counts on from before.
        let guess = time - offset(time);
        let earlier = time - offset(guess - 60 * MINUTE);
        let moment = if earlier + offset(earlier) == time { earlier } else { time - offset(guess) };
        to.write(parts(moment));
        Bool::TRUE
    }

    /// Describes the time zone by this year's rules.
    "kernel32.dll|kernelbase.dll" stdcall fn GetTimeZoneInformation(to: Ptr<TimeZoneInformation>) -> u32 {
        let (described, which) = describe(&TimeZone::system(), Timestamp::now());
        to.write(described);
        which
    }

    /// Describes a zone by the rules of a year: the system's, UTC, or one without a key, whose rules are the same every year.
    "kernel32.dll|kernelbase.dll" stdcall fn GetTimeZoneInformationForYear(year: u16, zone: Ptr<DynamicTimeZoneInformation>, to: Ptr<TimeZoneInformation>) -> Bool {
        let system = match zone.non_null().map(Ptr::read) {
            None => TimeZone::system(),
            Some(given) if given.key_name[0] == 0 => {
                to.write(given.zone);
                return Bool::TRUE;
            }
            Some(given) if given.key_name[..4] == [b'U', b'T', b'C', 0].map(u16::from) => TimeZone::UTC,
            Some(_) => return refuse(error::FILE_NOT_FOUND, Bool::FALSE),
        };
        let (start, _) = time::to_unix(days_from_civil(i64::from(year), 1, 1) * DAY);
        match Timestamp::from_second(start) {
            Ok(start) if (1601..=30827).contains(&year) => {
                to.write(describe(&system, start).0);
                Bool::TRUE
            }
            _ => refuse(error::INVALID_PARAMETER, Bool::FALSE),
        }
    }

    /// Describes the time zone by this year's rules, with the name of its registry key: there is one for UTC only.
    "kernel32.dll|kernelbase.dll" stdcall fn GetDynamicTimeZoneInformation(to: Ptr<DynamicTimeZoneInformation>) -> u32 {
        let zone = TimeZone::system();
        let (described, which) = describe(&zone, Timestamp::now());
        let mut key_name = [0; 128];
        if described.bias == 0 && zone.iana_name().is_none_or(|name| name.ends_with("UTC")) {
            key_name[..3].copy_from_slice(&[b'U', b'T', b'C'].map(u16::from));
        }
        to.write(DynamicTimeZoneInformation { zone: described, key_name, is_dynamic_daylight_disabled: 0 });
        which
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_split_and_join() {
        let time = time::from_unix(1_700_000_000, 123_000_000);
        let split = parts(time);
        assert_eq!(
            (split.year, split.month, split.day, split.day_of_week),
            (2023, 11, 14, 2)
        );
        assert_eq!(whole(split), Some(time));
        assert_eq!(whole(SystemTime { day: 31, ..split }), None);
    }

    #[test]
    fn zones_are_told_by_their_rules() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("valid");
        // 2024-07-01 and 2024-12-01.
        for (now, which) in [(1_719_792_000, DAYLIGHT), (1_733_011_200, STANDARD)] {
            let now = Timestamp::from_second(now).expect("valid");
            let (zone, present) = describe(&berlin, now);
            assert_eq!(
                (zone.bias, zone.standard_bias, zone.daylight_bias, present),
                (-60, 0, -60, which)
            );
            let of =
                |date: SystemTime| (date.year, date.month, date.day_of_week, date.day, date.hour);
            assert_eq!(of(zone.daylight_date), (0, 3, 0, 5, 2));
            assert_eq!(of(zone.standard_date), (0, 10, 0, 5, 3));
            assert_eq!(String::from_utf16_lossy(&zone.daylight_name[..4]), "CEST");
            for seconds in (1_700_000_000..1_740_000_000).step_by(5000) {
                let stamp = Timestamp::from_second(seconds).expect("valid");
                let expected =
                    i64::from(berlin.to_offset(stamp).seconds()) * time::UNITS_PER_SECOND;
                assert_eq!(
                    offset_in(&zone, time::from_unix(seconds, 0)),
                    expected,
                    "{stamp}"
                );
            }
        }
        let sydney = TimeZone::posix("AEST-10AEDT,M10.1.0,M4.1.0/3").expect("valid");
        let (zone, present) = describe(
            &sydney,
            Timestamp::from_second(1_719_792_000).expect("valid"),
        );
        assert_eq!(
            (zone.bias, zone.daylight_bias, present),
            (-600, -60, STANDARD)
        );
        assert_eq!((zone.daylight_date.month, zone.daylight_date.day), (10, 1));
        for seconds in (1_700_000_000..1_740_000_000).step_by(5000) {
            let stamp = Timestamp::from_second(seconds).expect("valid");
            let expected = i64::from(sydney.to_offset(stamp).seconds()) * time::UNITS_PER_SECOND;
            assert_eq!(
                offset_in(&zone, time::from_unix(seconds, 0)),
                expected,
                "{stamp}"
            );
        }
        let (zone, present) = describe(&TimeZone::UTC, Timestamp::UNIX_EPOCH);
        assert_eq!(
            (zone.bias, zone.daylight_date.month, present),
            (0, 0, UNKNOWN)
        );
    }
}
