//! NT time: 100 ns units since 1601, from Linux clocks.

use rustix::time::{ClockId, clock_gettime};

/// Seconds from 1601-01-01 to 1970-01-01.
const EPOCH_DIFFERENCE: i64 = 11_644_473_600;
/// NT time units per second.
pub const UNITS_PER_SECOND: i64 = 10_000_000;

/// Returns the system time: 100 ns units since 1601-01-01 UTC.
#[must_use]
pub fn system_time() -> i64 {
    let now = clock_gettime(ClockId::Realtime);
    from_unix(now.tv_sec, now.tv_nsec)
}

/// Converts Unix seconds and nanoseconds to NT time.
#[must_use]
pub const fn from_unix(seconds: i64, nanoseconds: i64) -> i64 {
    (seconds.saturating_add(EPOCH_DIFFERENCE))
        .saturating_mul(UNITS_PER_SECOND)
        .saturating_add(nanoseconds / 100)
}

/// Converts NT time to Unix seconds and nanoseconds.
#[must_use]
pub const fn to_unix(time_100ns: i64) -> (i64, i64) {
    let seconds = time_100ns.div_euclid(UNITS_PER_SECOND);
    (
        seconds - EPOCH_DIFFERENCE,
        time_100ns.rem_euclid(UNITS_PER_SECOND) * 100,
    )
}

/// Returns the performance counter: 100 ns units of the monotonic clock, Windows' usual 10 MHz.
#[must_use]
pub fn performance_counter() -> i64 {
    (super::futex::now_ns() / 100).cast_signed()
}

/// Returns the time since boot in 100 ns units, counting time asleep.
#[must_use]
pub fn interrupt_time() -> i64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec * UNITS_PER_SECOND + now.tv_nsec / 100
}

/// Days from 1601-01-01 to a proleptic Gregorian date (month 1–12).
///
/// Source of the arithmetic: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil.
#[must_use]
pub const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    // Day 0 of the algorithm is 0000-03-01; 1601-01-01 is 584_694 days later.
    era * 146_097 + day_of_era - 584_694
}

/// Year, month and day of a day count since 1601-01-01. Source: as [`days_from_civil`], civil_from_days.
#[must_use]
pub const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 584_694;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (
        year_of_era + era * 400 + if month <= 2 { 1 } else { 0 },
        month,
        day,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        assert_eq!(from_unix(0, 0), 116_444_736_000_000_000);
        assert_eq!(to_unix(116_444_736_000_000_001), (0, 100));
        assert_eq!(days_from_civil(1601, 1, 1), 0);
        assert_eq!(days_from_civil(1970, 1, 1) * 86_400, EPOCH_DIFFERENCE);
        assert_eq!(civil_from_days(days_from_civil(2024, 2, 29)), (2024, 2, 29));
        for day in (0..400_000).step_by(97) {
            let (y, m, d) = civil_from_days(day);
            assert_eq!(days_from_civil(y, m, d), day);
        }
    }
}
