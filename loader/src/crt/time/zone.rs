//! The local time zone: `TZ` in the runtime's own syntax, else the system's; `_tzset` and its variables.
//!
//! Source: Microsoft Learn, "_tzset", "_daylight, _dstbias, _timezone, and _tzname".

use jiff::Timestamp;
use jiff::tz::TimeZone;
use parking_lot::Mutex;

use super::calendar::{self, Tm};
use crate::crt::environment;
use crate::crt::errno;
use crate::crt::mem;
use crate::crt::startup::permanent;
use crate::export::Ptr;
use crate::win_api;

/// What holds at a moment.
#[derive(Clone, Debug)]
pub struct Local {
    /// Seconds ahead of UTC.
    pub offset: i64,
    /// Whether daylight saving time is in force.
    pub is_dst: bool,
}

struct Zone {
    zone: TimeZone,
    /// Names of standard and daylight saving time.
    names: [String; 2],
    /// Seconds ahead of UTC in standard time.
    standard: i64,
    /// Seconds that daylight saving time adds; 0 without one.
    saving: i64,
}

static ZONE: Mutex<Option<Zone>> = Mutex::new(None);

fn with_zone<T>(act: impl FnOnce(&Zone) -> T) -> T {
    let mut zone = ZONE.lock();
    act(zone.get_or_insert_with(load))
}

/// Reads the zone of the program.
fn load() -> Zone {
    let own = environment::get("TZ").and_then(|text| parse(&String::from_utf16_lossy(&text)));
    let (zone, names) = own.map_or_else(
        || (TimeZone::system(), None),
        |(zone, names)| (zone, Some(names)),
    );
    let year = calendar::split(Timestamp::now().as_second(), false).year;
    // Noon of the first days of January and July: one of them is standard time on either hemisphere.
    let moments = [0, 6].map(|month| {
        let noon = Tm {
            year,
            month,
            day: 1,
            hour: 12,
            ..calendar::split(0, false)
        };
        let stamp = Timestamp::from_second(calendar::join(&noon)).unwrap_or(Timestamp::UNIX_EPOCH);
        let info = zone.to_offset_info(stamp);
        (
            i64::from(info.offset().seconds()),
            info.dst().is_dst(),
            info.abbreviation().to_owned(),
        )
    });
    let standard = moments
        .iter()
        .find(|(_, is_dst, _)| !is_dst)
        .unwrap_or(&moments[0])
        .clone();
    let daylight = moments.iter().find(|(_, is_dst, _)| *is_dst);
    let saving = daylight.map_or(0, |(offset, ..)| offset - standard.0);
    let names = names.unwrap_or_else(|| {
        let second = daylight.map_or_else(|| standard.2.clone(), |(.., name)| name.clone());
        [standard.2.clone(), second]
    });
    Zone {
        zone,
        names,
        standard: standard.0,
        saving,
    }
}

/// Parses `tzn[+|-]hh[:mm[:ss]][dzn]`; a second name means daylight saving time by the rules of the United States.
fn parse(text: &str) -> Option<(TimeZone, [String; 2])> {
    let (first, rest) = text.split_at_checked(3)?;
    let digits = rest.trim_start_matches(['+', '-']);
    let end = digits
        .find(|c: char| !c.is_ascii_digit() && c != ':')
        .unwrap_or(digits.len());
    let (offset, second) = digits.split_at(end);
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphabetic());
    if offset.is_empty() || !is_name(first) || !is_name(second) || second.len() > 3 {
        return None;
    }
    let sign = if rest.starts_with('-') { "-" } else { "" };
    let rule = if second.is_empty() {
        String::new()
    } else {
        format!("{second:A<3},M3.2.0,M11.1.0")
    };
    let zone = TimeZone::posix(&format!("{first}{sign}{offset}{rule}")).ok()?;
    Some((zone, [first.to_owned(), second.to_owned()]))
}

/// Returns what holds at a moment in seconds since 1970.
pub fn at(seconds: i64) -> Local {
    with_zone(|zone| {
        let stamp = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        let info = zone.zone.to_offset_info(stamp);
        Local {
            offset: i64::from(info.offset().seconds()),
            is_dst: info.dst().is_dst(),
        }
    })
}

/// Returns the moment of local parts; `is_dst` of them chooses, a negative one leaves it to the zone.
pub fn moment(tm: &Tm) -> i64 {
    let civil = calendar::join(tm);
    let (standard, saving) = with_zone(|zone| (zone.standard, zone.saving));
    match tm.is_dst {
        0 => civil - standard,
        1.. => civil - standard - if saving == 0 { 3600 } else { saving },
        _ => {
            let guess = civil - standard;
            let local = at(guess - saving);
            let earlier = civil - local.offset;
            if at(earlier).offset == local.offset {
                earlier
            } else {
                guess
            }
        }
    }
}

/// Returns the name of standard or daylight saving time.
pub fn name(is_dst: bool) -> String {
    with_zone(|zone| zone.names[usize::from(is_dst)].clone())
}

/// Returns minutes west of UTC in standard time.
pub fn minutes_west() -> i16 {
    with_zone(|zone| (-zone.standard / 60) as i16)
}

/// Returns the minutes that daylight saving time adds.
pub fn saving_minutes() -> i64 {
    with_zone(|zone| zone.saving / 60)
}

/// Bytes of a name in `_tzname`.
const NAME_BYTES: usize = 64;

/// Fills the variables from the zone.
fn publish() {
    *ZONE.lock() = Some(load());
    let (names, standard, saving) =
        with_zone(|zone| (zone.names.clone(), zone.standard, zone.saving));
    _timezone.ptr().write(-standard as i32);
    _daylight.ptr().write(i32::from(saving != 0));
    _dstbias
        .ptr()
        .write(if saving == 0 { 0 } else { -saving as i32 });
    for (at, name) in _tzname.ptr().read().into_iter().zip(names) {
        let bytes = name.as_bytes();
        mem::write_string(at, &bytes[..bytes.len().min(NAME_BYTES - 1)]);
    }
}

/// Reads the zone once, as the functions that use local time do.
pub fn prepare() {
    static DONE: std::sync::Once = std::sync::Once::new();
    DONE.call_once(publish);
}

fn name_buffer(initial: &str) -> Ptr<u8> {
    let at = Ptr::new(permanent(NAME_BYTES));
    mem::write_string(at, initial.as_bytes());
    at
}

/// Stores a value for a caller, or refuses NULL.
fn give<T: crate::export::Guest>(to: Ptr<T>, value: T) -> i32 {
    if to.is_null() {
        return errno::invalid_parameter();
    }
    to.write(value);
    0
}

win_api! {
    /// Seconds west of UTC.
    "msvcrt.dll" data _timezone: i32 = 28800;
    /// Whether there is daylight saving time.
    "msvcrt.dll" data _daylight: i32 = 1;
    /// Seconds that daylight saving time adds, negative.
    "msvcrt.dll" data _dstbias: i32 = -3600;
    /// Names of standard and daylight saving time.
    "msvcrt.dll" data _tzname: [Ptr<u8>; 2] = [name_buffer("PST"), name_buffer("PDT")];

    /// Reads the time zone anew.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _tzset() {
        publish();
    }

    /// Address of the seconds west of UTC.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __timezone = "__timezone|__p__timezone" () -> Ptr<i32> {
        _timezone.ptr()
    }

    /// Address of the daylight saving time flag.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __daylight = "__daylight|__p__daylight" () -> Ptr<i32> {
        _daylight.ptr()
    }

    /// Address of the seconds that daylight saving time adds.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __dstbias = "__dstbias|__p__dstbias" () -> Ptr<i32> {
        _dstbias.ptr()
    }

    /// Address of the zone's names.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __tzname = "__tzname|__p__tzname" () -> Ptr<[Ptr<u8>; 2]> {
        _tzname.ptr()
    }

    /// Stores the seconds west of UTC.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _get_timezone(to: Ptr<i32>) -> i32 {
        give(to, _timezone.ptr().read())
    }

    /// Stores the daylight saving time flag.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _get_daylight(to: Ptr<i32>) -> i32 {
        give(to, _daylight.ptr().read())
    }

    /// Stores the seconds that daylight saving time adds.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _get_dstbias(to: Ptr<i32>) -> i32 {
        give(to, _dstbias.ptr().read())
    }

    /// Stores a name of the zone and its length with NUL.
    "ucrtbase.dll" cdecl fn _get_tzname(length: Ptr<usize>, buffer: Ptr<u8>, size: usize, index: i32) -> i32 {
        if length.is_null() || !(0..2).contains(&index) || buffer.is_null() != (size == 0) {
            return errno::invalid_parameter();
        }
        let text = mem::string(_tzname.ptr().read()[index as usize]);
        length.write(text.len() + 1);
        if buffer.is_null() {
            return 0;
        }
        if text.len() >= size {
            return errno::fail(errno::code::ERANGE);
        }
        mem::write_string(buffer, &text);
        0
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn zones_of_the_runtimes_syntax() {
        let (zone, names) = parse("PST8PDT").expect("valid");
        assert_eq!(names, ["PST", "PDT"]);
        let july = jiff::Timestamp::from_second(1_752_000_000).expect("valid");
        assert_eq!(zone.to_offset(july).seconds(), -7 * 3600);
        let (zone, names) = parse("CET-1").expect("valid");
        assert_eq!(
            (zone.to_offset(july).seconds(), names[1].as_str()),
            (3600, "")
        );
        assert!(parse("Europe/Berlin").is_none());
        assert!(parse("UT").is_none());
    }
}
