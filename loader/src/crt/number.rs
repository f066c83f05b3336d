//! Numbers from text: the `strtol`, `strtod` and `atoi` families for narrow and wide strings.
//!
//! Sources: Microsoft Learn, "strtol", "strtod", "atof"; C11 7.22.1.

use super::unit::Unit;

/// The result of reading an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integer {
    /// Magnitude, clamped to `u64::MAX` on overflow.
    pub magnitude: u64,
    /// Whether a minus sign was read.
    pub negative: bool,
    /// Whether the magnitude does not fit 64 bits.
    pub overflow: bool,
    /// Characters read, 0 if there is no number.
    pub used: usize,
}

impl Integer {
    /// Returns the value as a signed number of `bits` bits; the flag tells that it was clamped.
    pub fn signed(self, bits: u32) -> (i64, bool) {
        let max = u64::MAX >> (65 - bits);
        let limit = if self.negative { max + 1 } else { max };
        let clamped = self.overflow || self.magnitude > limit;
        let magnitude = if clamped { limit } else { self.magnitude };
        let value = magnitude.cast_signed();
        (
            if self.negative {
                value.wrapping_neg()
            } else {
                value
            },
            clamped,
        )
    }

    /// Returns the value as an unsigned number of `bits` bits, negated modulo its range after a minus sign.
    pub fn unsigned(self, bits: u32) -> (u64, bool) {
        let max = u64::MAX >> (64 - bits);
        if self.overflow || self.magnitude > max {
            return (max, true);
        }
        let value = if self.negative {
            self.magnitude.wrapping_neg() & max
        } else {
            self.magnitude
        };
        (value, false)
    }
}

/// Reads an integer in `base` (2 to 36, or 0 to tell the base by the prefix) from the start of `text`.
pub fn integer<U: Unit>(text: &[U], base: u32) -> Integer {
    let byte = |at: usize| text.get(at).map_or(0, |unit| unit.ascii());
    let mut at = text.iter().take_while(|unit| unit.is_space()).count();
    let negative = byte(at) == b'-';
    at += usize::from(matches!(byte(at), b'+' | b'-'));
    let mut result = Integer {
        magnitude: 0,
        negative,
        overflow: false,
        used: 0,
    };
    let has_hex_prefix = byte(at) == b'0'
        && byte(at + 1) | 0x20 == b'x'
        && char::from(byte(at + 2)).is_ascii_hexdigit();
    let base = match base {
        0 if has_hex_prefix => 16,
        0 if byte(at) == b'0' => 8,
        0 => 10,
        other => other,
    };
    if base == 16 && has_hex_prefix {
        at += 2;
    }
    while let Some(digit) = char::from(byte(at))
        .to_digit(36)
        .filter(|digit| *digit < base)
    {
        match result
            .magnitude
            .checked_mul(u64::from(base))
            .and_then(|m| m.checked_add(u64::from(digit)))
        {
            Some(next) if !result.overflow => result.magnitude = next,
            _ => {
                result.overflow = true;
                result.magnitude = u64::MAX;
            }
        }
        at += 1;
        result.used = at;
    }
    result
}

/// The result of reading a floating point number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Float {
    /// Value; infinite on overflow.
    pub value: f64,
    /// Whether the number is too large, or too small and not zero: ERANGE.
    pub range: bool,
    /// Characters read, 0 if there is no number.
    pub used: usize,
}

/// Reads a floating point number from the start of `text`.
///
/// `c99` allows hexadecimal numbers, `inf` and `nan`, which `msvcrt` does not know.
pub fn float<U: Unit>(text: &[U], c99: bool) -> Float {
    let none = Float {
        value: 0.0,
        range: false,
        used: 0,
    };
    let start = text.iter().take_while(|unit| unit.is_space()).count();
    let bytes: Vec<u8> = text[start..]
        .iter()
        .map(|unit| unit.ascii())
        .take_while(|b| *b != 0xFF && *b != 0)
        .collect();
    let sign_len = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let negative = bytes.first() == Some(&b'-');
    let body = &bytes[sign_len..];
    let parsed = if c99 {
        special(body)
            .or_else(|| hexadecimal(body))
            .or_else(|| decimal(body))
    } else {
        decimal(body)
    };
    match parsed {
        Some(Float { value, range, used }) => Float {
            value: if negative { -value } else { value },
            range,
            used: start + sign_len + used,
        },
        None => none,
    }
}

/// Reads `inf`, `infinity`, `nan` or `nan(…)`.
fn special(text: &[u8]) -> Option<Float> {
    let starts = |word: &str| {
        text.get(..word.len())
            .is_some_and(|t| t.eq_ignore_ascii_case(word.as_bytes()))
    };
    if starts("infinity") {
        return Some(Float {
            value: f64::INFINITY,
            range: false,
            used: 8,
        });
    }
    if starts("inf") {
        return Some(Float {
            value: f64::INFINITY,
            range: false,
            used: 3,
        });
    }
    if !starts("nan") {
        return None;
    }
    let tail = text.get(3..).unwrap_or_default();
    let inside = tail
        .iter()
        .skip(1)
        .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
        .count();
    let closed = tail.first() == Some(&b'(') && tail.get(inside + 1) == Some(&b')');
    Some(Float {
        value: f64::NAN,
        range: false,
        used: if closed { inside + 5 } else { 3 },
    })
}

/// Reads `0x1.8p3`, rounding halves to even.
fn hexadecimal(text: &[u8]) -> Option<Float> {
    if text.len() < 3 || text[0] != b'0' || text[1] | 0x20 != b'x' {
        return None;
    }
    let (mut mantissa, mut exponent, mut sticky) = (0_u64, 0_i64, false);
    let (mut at, mut digits, mut after_point) = (2, 0, false);
    while let Some(&byte) = text.get(at) {
        if byte == b'.' && !after_point {
            after_point = true;
        } else if let Some(digit) = char::from(byte).to_digit(16) {
            digits += 1;
            if mantissa >> 60 == 0 {
                mantissa = mantissa << 4 | u64::from(digit);
                exponent -= if after_point { 4 } else { 0 };
            } else {
                sticky |= digit != 0;
                exponent += if after_point { 0 } else { 4 };
            }
        } else {
            break;
        }
        at += 1;
    }
    if digits == 0 {
        return None;
    }
    let (power, used) = exponent_part(&text[at..], b'p');
    let value = scale(mantissa, sticky, exponent.saturating_add(power));
    let range = mantissa != 0 && (value.is_infinite() || value < f64::MIN_POSITIVE);
    Some(Float {
        value,
        range,
        used: at + used,
    })
}

/// Returns `mantissa × 2^exponent` rounded to nearest, halves to even.
fn scale(mantissa: u64, sticky: bool, exponent: i64) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let shift = mantissa.leading_zeros();
    let mantissa = mantissa << shift;
    // The value is 1.xxx × 2^top.
    let top = exponent.saturating_add(63 - i64::from(shift));
    if top > 1023 {
        return f64::INFINITY;
    }
    let dropped = if top >= -1022 {
        11
    } else {
        11_i64.saturating_add(-1022 - top)
    };
    let Ok(dropped @ 0..=64) = u32::try_from(dropped) else {
        return 0.0;
    };
    let wide = u128::from(mantissa);
    let kept = wide >> dropped;
    let rest = wide & ((1 << dropped) - 1);
    let half = 1_u128 << (dropped - 1);
    let up = rest > half || (rest == half && (sticky || kept & 1 == 1));
    let kept = u64::try_from(kept).unwrap_or(u64::MAX) + u64::from(up);
    // The implicit bit adds one to the biased exponent, and so does a carry out of the mantissa.
    let biased = u64::try_from((top + 1022).max(0)).unwrap_or(0);
    f64::from_bits((biased << 52) + kept)
}

/// Reads a decimal number.
fn decimal(text: &[u8]) -> Option<Float> {
    let digits = |from: usize| {
        text.get(from..)
            .map_or(0, |t| t.iter().take_while(|b| b.is_ascii_digit()).count())
    };
    let whole = digits(0);
    let mut at = whole;
    let mut places = 0;
    if text.get(at) == Some(&b'.') {
        places = digits(at + 1);
        at += 1 + places;
    }
    if whole + places == 0 {
        return None;
    }
    let mantissa = String::from_utf8_lossy(&text[..at]);
    let (mut power, mut used) = exponent_part(&text[at..], b'e');
    if used == 0 {
        // The Microsoft runtimes also take a FORTRAN exponent.
        (power, used) = exponent_part(&text[at..], b'd');
    }
    let value: f64 = format!("{mantissa}e{power}").parse().ok()?;
    let is_zero = mantissa.bytes().all(|b| matches!(b, b'0' | b'.'));
    let range = value.is_infinite() || (!is_zero && value < f64::MIN_POSITIVE);
    Some(Float {
        value,
        range,
        used: at + used,
    })
}

/// Reads `letter`, an optional sign and digits; returns the exponent, clamped, and the characters read.
fn exponent_part(text: &[u8], letter: u8) -> (i64, usize) {
    const CLAMP: i64 = 1_000_000;
    if text.first().is_none_or(|b| b | 0x20 != letter) {
        return (0, 0);
    }
    let sign_len = usize::from(matches!(text.get(1), Some(b'+' | b'-')));
    let digits: Vec<u8> = text[1 + sign_len..]
        .iter()
        .copied()
        .take_while(u8::is_ascii_digit)
        .collect();
    if digits.is_empty() {
        return (0, 0);
    }
    let magnitude = digits
        .iter()
        .fold(0, |sum: i64, b| (sum * 10 + i64::from(b - b'0')).min(CLAMP));
    (
        if text[1] == b'-' {
            -magnitude
        } else {
            magnitude
        },
        1 + sign_len + digits.len(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(text: &str, base: u32) -> Integer {
        integer(text.as_bytes(), base)
    }

    #[test]
    fn integers_know_bases_signs_and_limits() {
        assert_eq!(int(" \t-12x", 10).signed(32), (-12, false));
        assert_eq!(int(" \t-12x", 10).used, 5);
        assert_eq!(int("0x1F", 0).unsigned(32), (31, false));
        assert_eq!(int("0x", 16).used, 1);
        assert_eq!(int("017", 0).signed(32), (15, false));
        assert_eq!(int("zz", 36).signed(64), (1295, false));
        assert_eq!(int("99999999999", 10).signed(32), (2_147_483_647, true));
        assert_eq!(int("-2147483648", 10).signed(32), (-2_147_483_648, false));
        assert_eq!(
            int("-9223372036854775808", 10).signed(64),
            (i64::MIN, false)
        );
        assert_eq!(int("-1", 10).unsigned(32), (0xFFFF_FFFF, false));
        assert_eq!(
            int("18446744073709551616", 10).unsigned(64),
            (u64::MAX, true)
        );
        assert_eq!(int("x", 10).used, 0);
    }

    #[test]
    fn decimal_floats_are_exact_and_report_range() {
        assert_eq!(
            float(b" 1.5e3abc", true),
            Float {
                value: 1500.0,
                range: false,
                used: 6
            }
        );
        assert_eq!(float(b".5", true).value, 0.5);
        assert_eq!(float(b"5.e", true).used, 2);
        assert_eq!(
            float(b"1e400", true),
            Float {
                value: f64::INFINITY,
                range: true,
                used: 5
            }
        );
        assert!(float(b"1e-400", true).range);
        assert_eq!(float(b"-0", true).value.to_bits(), (-0.0_f64).to_bits());
        assert_eq!(float(b"e5", true).used, 0);
        assert_eq!(float(b"1d2", false).value, 100.0);
    }

    #[test]
    fn hexadecimal_and_special_floats_are_c99_only() {
        assert_eq!(
            float(b"0x1.8p1", true),
            Float {
                value: 3.0,
                range: false,
                used: 7
            }
        );
        assert_eq!(
            float(b"0x1.8p1", false),
            Float {
                value: 0.0,
                range: false,
                used: 1
            }
        );
        assert_eq!(float(b"0x1p-1074", true).value, f64::from_bits(1));
        assert_eq!(float(b"0x1.fffffffffffff8p1023", true).value, f64::INFINITY);
        assert_eq!(
            float(b"0x1.fffffffffffffp-1023", true).value,
            f64::MIN_POSITIVE
        );
        assert_eq!(float(b"0x0.8p-1074", true).value, 0.0);
        assert_eq!(float(b"-INFINITYx", true).used, 9);
        assert!(float(b"nan(12)", true).value.is_nan());
        assert_eq!(float(b"nan(12)", true).used, 7);
    }
}
