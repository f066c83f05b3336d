//! Broken-down time in the Gregorian calendar.

use crate::guest_struct;
use crate::ob::time::{civil_from_days, days_from_civil};

guest_struct! {
    /// `struct tm`.
    pub struct Tm {
        second: i32,
        minute: i32,
        hour: i32,
        day: i32,
        month: i32,
        year: i32,
        week_day: i32,
        year_day: i32,
        is_dst: i32,
    }
}

const DAY: i64 = 86_400;
/// Days from 1601-01-01 to 1970-01-01.
const EPOCH_DAYS: i64 = days_from_civil(1970, 1, 1);

/// Names of the days of the week.
pub const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
/// Names of the months.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Splits seconds since 1970.
pub fn split(seconds: i64, is_dst: bool) -> Tm {
    let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY) as i32);
    let (year, month, day) = civil_from_days(days + EPOCH_DAYS);
    let new_year = days_from_civil(year, 1, 1) - EPOCH_DAYS;
    Tm {
        second: rest % 60,
        minute: rest / 60 % 60,
        hour: rest / 3600,
        day: day as i32,
        month: month as i32 - 1,
        year: (year - 1900) as i32,
        // 1970-01-01 was a Thursday.
        week_day: (days + 4).rem_euclid(7) as i32,
        year_day: (days - new_year) as i32,
        is_dst: i32::from(is_dst),
    }
}

/// Joins parts, each of which may be out of its range, to seconds since 1970.
pub fn join(tm: &Tm) -> i64 {
    let months = i64::from(tm.year) * 12 + i64::from(tm.month);
    let (year, month) = (1900 + months.div_euclid(12), months.rem_euclid(12) + 1);
    let days = days_from_civil(year, month, 1) - EPOCH_DAYS + i64::from(tm.day) - 1;
    days * DAY + i64::from(tm.hour) * 3600 + i64::from(tm.minute) * 60 + i64::from(tm.second)
}

/// Returns year and number of the ISO 8601 week.
pub fn iso_week(tm: &Tm) -> (i64, i32) {
    let year = 1900 + i64::from(tm.year);
    // The week of a day is that of its Thursday.
    let from_monday = (tm.week_day + 6).rem_euclid(7);
    let thursday = tm.year_day - from_monday + 3;
    let length = |year: i64| (days_from_civil(year + 1, 1, 1) - days_from_civil(year, 1, 1)) as i32;
    if thursday < 0 {
        (year - 1, (thursday + length(year - 1)) / 7 + 1)
    } else if thursday >= length(year) {
        (year + 1, 1)
    } else {
        (year, thursday / 7 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_split_and_joined() {
        let tm = split(951_782_399, false);
        assert_eq!(
            (tm.year, tm.month, tm.day, tm.hour, tm.minute, tm.second),
            (100, 1, 28, 23, 59, 59)
        );
        assert_eq!((tm.week_day, tm.year_day), (1, 58));
        for seconds in [-1, 0, 1_709_164_800, 32_535_215_999] {
            assert_eq!(join(&split(seconds, false)), seconds);
        }
    }

    #[test]
    fn parts_out_of_range_are_carried() {
        let mut tm = split(0, false);
        (tm.month, tm.day, tm.hour) = (14, 0, 25);
        // 1971-03-01 01:00
        assert_eq!(join(&tm), 36_637_200);
    }

    #[test]
    fn iso_weeks_belong_to_the_year_of_their_thursday() {
        let week = |seconds| iso_week(&split(seconds, false));
        // 2021-01-01 was a Friday, 2018-12-31 a Monday.
        assert_eq!(week(1_609_459_200), (2020, 53));
        assert_eq!(week(1_546_214_400), (2019, 1));
    }
}
