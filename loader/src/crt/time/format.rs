//! The engine of `strftime` in the "C" locale.
//!
//! Source: Microsoft Learn, "strftime, wcsftime, _strftime_l, _wcsftime_l".

use std::fmt::Write as _;

use super::calendar::{DAYS, MONTHS, Tm, iso_week};

/// What the parts alone do not tell.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Name of the time in force.
    pub name: String,
    /// Minutes ahead of UTC.
    pub minutes: i64,
}

/// Which runtime's meanings count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `msvcrt`: C89, `%z` is the zone's name.
    Msvcrt,
    /// `ucrtbase`: C99.
    Ucrt,
}

/// Returns the text of one conversion; `None` if there is no such one or a part is out of its range.
pub fn conversion(
    letter: char,
    is_alternate: bool,
    tm: &Tm,
    zone: &Zone,
    dialect: Dialect,
) -> Option<String> {
    let mut out = String::new();
    put(letter, is_alternate, tm, zone, dialect, &mut out)?;
    Some(out)
}

fn put(
    letter: char,
    alternate: bool,
    tm: &Tm,
    zone: &Zone,
    dialect: Dialect,
    out: &mut String,
) -> Option<()> {
    let is_c99 = dialect == Dialect::Ucrt;
    let year = 1900 + i64::from(tm.year);
    let in_range = |value: i32, low: i32, high: i32| (low..=high).contains(&value).then_some(value);
    let mut number = |value: i64, width: usize| {
        let width = if alternate { 1 } else { width };
        // Writing to a String cannot fail.
        let _ = write!(out, "{value:0width$}");
        Some(())
    };
    let day = || in_range(tm.day, 1, 31);
    let hour = || in_range(tm.hour, 0, 23);
    let week_day = || in_range(tm.week_day, 0, 6);
    let year_day = || in_range(tm.year_day, 0, 365);
    match letter {
        'd' => return number(day()?.into(), 2),
        'H' => return number(hour()?.into(), 2),
        'I' => return number(((hour()? + 11) % 12 + 1).into(), 2),
        'j' => return number((year_day()? + 1).into(), 3),
        'm' => return number((in_range(tm.month, 0, 11)? + 1).into(), 2),
        'M' => return number(in_range(tm.minute, 0, 59)?.into(), 2),
        'S' => return number(in_range(tm.second, 0, 60)?.into(), 2),
        'U' => return number(((year_day()? + 7 - week_day()?) / 7).into(), 2),
        'w' => return number(week_day()?.into(), 1),
        'W' => return number(((year_day()? + 7 - (week_day()? + 6) % 7) / 7).into(), 2),
        'y' => return number(year.rem_euclid(100), 2),
        'Y' => {
            return number(
                in_range(tm.year, -1900, 8099).map(|_| year)?,
                if is_c99 { 1 } else { 4 },
            );
        }
        'C' if is_c99 => return number(year.div_euclid(100), 2),
        'g' if is_c99 => return number(iso_week(tm).0.rem_euclid(100), 2),
        'G' if is_c99 => return number(iso_week(tm).0, 4),
        'u' if is_c99 => return number(((week_day()? + 6) % 7 + 1).into(), 1),
        'V' if is_c99 => return number(iso_week(tm).1.into(), 2),
        _ => {}
    }
    match letter {
        'a' => out.push_str(&DAYS[week_day()? as usize][..3]),
        'A' => out.push_str(DAYS[week_day()? as usize]),
        'b' => out.push_str(&MONTHS[in_range(tm.month, 0, 11)? as usize][..3]),
        'h' if is_c99 => out.push_str(&MONTHS[in_range(tm.month, 0, 11)? as usize][..3]),
        'B' => out.push_str(MONTHS[in_range(tm.month, 0, 11)? as usize]),
        'e' if is_c99 => {
            let width = if alternate { 1 } else { 2 };
            let _ = write!(out, "{:width$}", day()?);
        }
        'p' => out.push_str(if hour()? < 12 { "AM" } else { "PM" }),
        'z' if is_c99 => {
            let sign = if zone.minutes < 0 { '-' } else { '+' };
            let minutes = zone.minutes.abs();
            let _ = write!(out, "{sign}{:02}{:02}", minutes / 60, minutes % 60);
        }
        'z' | 'Z' => out.push_str(&zone.name),
        '%' => out.push('%'),
        'n' if is_c99 => out.push('\n'),
        't' if is_c99 => out.push('\t'),
        _ => {
            let parts = match letter {
                'c' if alternate => "A, B d, Y H:M:S",
                'c' if is_c99 => "a b e H:M:S Y",
                'c' => "m/d/y H:M:S",
                'x' if alternate => "A, B d, Y",
                'D' if is_c99 => "m/d/y",
                'x' => "m/d/y",
                'F' if is_c99 => "Y-m-d",
                'r' if is_c99 => "I:M:S p",
                'R' if is_c99 => "H:M",
                'T' if is_c99 => "H:M:S",
                'X' => "H:M:S",
                _ => return None,
            };
            for part in parts.chars() {
                if part.is_ascii_alphabetic() {
                    put(part, false, tm, zone, dialect, out)?;
                } else {
                    out.push(part);
                }
            }
        }
    }
    Some(())
}

/// Formats a whole text; `None` for an unknown conversion or a part out of its range.
pub fn format(pattern: &[u16], tm: &Tm, zone: &Zone, dialect: Dialect) -> Option<Vec<u16>> {
    let mut out = Vec::with_capacity(pattern.len() * 2);
    let mut units = pattern.iter().copied();
    while let Some(unit) = units.next() {
        if unit != u16::from(b'%') {
            out.push(unit);
            continue;
        }
        let mut next = || {
            units
                .next()
                .and_then(|unit| char::from_u32(u32::from(unit)))
        };
        let mut letter = next()?;
        let is_alternate = letter == '#';
        // E and O ask for forms that the "C" locale does not have.
        if is_alternate || dialect == Dialect::Ucrt && matches!(letter, 'E' | 'O') {
            letter = next()?;
        }
        out.extend(conversion(letter, is_alternate, tm, zone, dialect)?.encode_utf16());
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::super::calendar::split;
    use super::*;

    fn shown(pattern: &str, dialect: Dialect) -> Option<String> {
        let zone = Zone {
            name: "CET".into(),
            minutes: 60,
        };
        let units: Vec<u16> = pattern.encode_utf16().collect();
        // 2026-01-05 07:08:09, a Monday.
        format(&units, &split(1_767_596_889, false), &zone, dialect)
            .map(|text| String::from_utf16_lossy(&text))
    }

    #[test]
    fn conversions_of_both_runtimes() {
        let both = |pattern| {
            [Dialect::Msvcrt, Dialect::Ucrt].map(|dialect| shown(pattern, dialect).expect("valid"))
        };
        assert_eq!(both("%a %A %b %B"), ["Mon Monday Jan January"; 2]);
        assert_eq!(
            both("%d %H %I %j %m %M %p %S"),
            ["05 07 07 005 01 08 AM 09"; 2]
        );
        assert_eq!(
            both("%U %w %W %x %X %y %Y %Z %%"),
            ["01 1 01 01/05/26 07:08:09 26 2026 CET %"; 2]
        );
        assert_eq!(
            both("%#d %#H %#j %#x"),
            ["5 7 5 Monday, January 05, 2026"; 2]
        );
        assert_eq!(
            both("%c"),
            ["01/05/26 07:08:09", "Mon Jan  5 07:08:09 2026"]
        );
        assert_eq!(both("%z"), ["CET", "+0100"]);
    }

    #[test]
    fn conversions_of_c99_are_unknown_to_the_old_runtime() {
        assert_eq!(
            shown("%C %D %e %F %G %g %V %u %R %T %r", Dialect::Ucrt).as_deref(),
            Some("20 01/05/26  5 2026-01-05 2026 26 02 1 07:08 07:08:09 07:08:09 AM")
        );
        assert_eq!(shown("%F", Dialect::Msvcrt), None);
        assert_eq!(shown("%Q", Dialect::Ucrt), None);
        assert_eq!(shown("%", Dialect::Ucrt), None);
    }
}
