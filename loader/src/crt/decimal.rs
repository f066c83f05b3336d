//! Floating point numbers as digits: the conversions `e f g a` of `printf`, and `_ecvt` and its relatives.
//!
//! Rust's own formatting is exact for any number of digits, so only the rules for *rounding* and *layout* are here.
//! Sources: Microsoft Learn, "Format specification syntax: printf and wprintf functions" (rounding since Windows 10
//! 2004, `1.#INF` of older runtimes, three exponent digits); C11 7.21.6.1.

/// How a runtime turns a number into digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Exact digits, halves to even: `ucrtbase` asked for standard rounding.
    Exact,
    /// Exact digits, halves away from zero: `ucrtbase` by default for old callers.
    HalfUp,
    /// Seventeen significant digits and then zeros, halves away from zero: `msvcrt`.
    Seventeen,
}

/// Decimal digits `d1 d2 d3…` of the value `d1.d2d3… × 10^exponent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digits {
    /// ASCII digits, at least one.
    pub digits: Vec<u8>,
    /// Power of ten of the first digit.
    pub exponent: i32,
}

/// More significant digits than any `f64` has.
const ALL_DIGITS: usize = 770;
/// Most digits after the point that can differ from zero.
const MAX_FRACTION: usize = 1100;

/// Returns the first `count` significant digits of the finite `value`, which is not negative.
pub fn significant(value: f64, count: usize, rounding: Rounding) -> Digits {
    let count = count.max(1);
    if rounding == Rounding::Exact {
        return pad(scientific(value, count.min(ALL_DIGITS)), count);
    }
    let source = source_digits(value, count, rounding);
    pad(round_half_up(source, count), count)
}

/// Returns the digits of the finite `value`, which is not negative, up to `places` digits after the point.
///
/// The exponent is 0 for values below one, whose digits start with the zero before the point.
pub fn fraction(value: f64, places: usize, rounding: Rounding) -> Digits {
    if rounding == Rounding::Exact {
        let text = format!("{:.*}", places.min(MAX_FRACTION), value);
        let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
        let mut digits = whole.as_bytes().to_vec();
        digits.extend_from_slice(rest.as_bytes());
        digits.resize(whole.len() + places, b'0');
        return Digits {
            digits,
            exponent: exponent_of(whole.len()),
        };
    }
    let leading = if value == 0.0 {
        0
    } else {
        scientific(value, 17).exponent
    };
    // Digits wanted, counted from the first significant one; none or fewer if the value lies beyond the last place.
    let wanted = i64::from(leading) + 1 + i64::try_from(places).unwrap_or(i64::MAX / 2);
    let kept = usize::try_from(wanted).unwrap_or(0);
    let source = source_digits(value, kept, rounding);
    let rounded = if wanted < 0 {
        Digits {
            digits: vec![b'0'],
            exponent: 0,
        }
    } else if kept == 0 {
        let up = source.digits[0] >= b'5';
        Digits {
            digits: vec![if up { b'1' } else { b'0' }],
            exponent: leading + 1,
        }
    } else {
        round_half_up(source, kept)
    };
    lay_out_fraction(&rounded, places)
}

/// Rewrites `number` so that it starts at the units and ends `places` digits after the point.
fn lay_out_fraction(number: &Digits, places: usize) -> Digits {
    let whole = usize::try_from(number.exponent).map_or(1, |e| e + 1);
    let mut digits = Vec::with_capacity(whole + places);
    if number.exponent < 0 {
        let zeros = usize::try_from(-i64::from(number.exponent)).unwrap_or(0);
        digits.resize(zeros, b'0');
    }
    digits.extend_from_slice(&number.digits);
    digits.resize(whole + places, b'0');
    Digits {
        digits,
        exponent: exponent_of(whole),
    }
}

/// Rounds ASCII `number` to `count` digits, a digit of five or more counting upwards.
///
/// Works on any ASCII characters: `msvcrt` runs its `1#INF` through the same code (`%.2f` gives `1.#J`).
pub fn round_half_up(mut number: Digits, count: usize) -> Digits {
    if number.digits.len() <= count {
        return number;
    }
    let up = number.digits[count] >= b'5';
    number.digits.truncate(count);
    if up {
        for index in (0..count).rev() {
            if number.digits[index] != b'9' {
                number.digits[index] += 1;
                return number;
            }
            number.digits[index] = b'0';
        }
        number.digits.insert(0, b'1');
        number.digits.truncate(count);
        number.exponent += 1;
    }
    number
}

/// Returns digits from which `count` digits can be rounded by looking at one more.
fn source_digits(value: f64, count: usize, rounding: Rounding) -> Digits {
    match rounding {
        Rounding::Seventeen => scientific(value, 17),
        Rounding::Exact | Rounding::HalfUp => {
            scientific(value, ALL_DIGITS.max(count.min(ALL_DIGITS)))
        }
    }
}

/// Returns `count` significant digits of `value`, exact, halves to even.
fn scientific(value: f64, count: usize) -> Digits {
    let text = format!("{:.*e}", count - 1, value);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    Digits {
        digits: mantissa.bytes().filter(|b| *b != b'.').collect(),
        exponent: exponent.parse().unwrap_or(0),
    }
}

fn pad(mut number: Digits, count: usize) -> Digits {
    number.digits.resize(count, b'0');
    number
}

fn exponent_of(whole_digits: usize) -> i32 {
    i32::try_from(whole_digits).unwrap_or(i32::MAX) - 1
}

/// Returns `value`, finite and not negative, in the `%a` form without sign: `0x1.8p+1`.
///
/// `precision` is the number of hexadecimal digits after the point. Rounds halves to even.
pub fn hexadecimal(value: f64, precision: usize, force_point: bool) -> String {
    const MANTISSA_BITS: u32 = 52;
    const BIAS: i64 = 1023;
    let bits = value.to_bits();
    let stored = bits & ((1 << MANTISSA_BITS) - 1);
    let biased = i64::try_from((bits >> MANTISSA_BITS) & 0x7FF).unwrap_or(0);
    let (mut whole, mut mantissa, exponent) = match (biased, stored) {
        (0, 0) => (0_u64, 0, 0),
        (0, _) => (0, stored, 1 - BIAS),
        _ => (1, stored, biased - BIAS),
    };
    if precision < 13 {
        let dropped = 52 - 4 * u32::try_from(precision).unwrap_or(0);
        let all = (whole << MANTISSA_BITS) | mantissa;
        let half = 1_u64 << (dropped - 1);
        let rest = all & ((1 << dropped) - 1);
        let mut kept = all >> dropped;
        if rest > half || (rest == half && kept & 1 == 1) {
            kept += 1;
        }
        let all = kept << dropped;
        whole = all >> MANTISSA_BITS;
        mantissa = all & ((1 << MANTISSA_BITS) - 1);
    }
    let mut fraction = format!("{mantissa:013x}");
    fraction.truncate(precision);
    while fraction.len() < precision {
        fraction.push('0');
    }
    let point = if fraction.is_empty() && !force_point {
        ""
    } else {
        "."
    };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("0x{whole:x}{point}{fraction}p{sign}{}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: &Digits) -> (String, i32) {
        (
            String::from_utf8_lossy(&number.digits).into_owned(),
            number.exponent,
        )
    }

    #[test]
    fn seventeen_digits_are_followed_by_zeros() {
        assert_eq!(
            text(&fraction(0.1, 20, Rounding::Seventeen)),
            ("010000000000000001000".into(), 0)
        );
        assert_eq!(
            text(&fraction(0.1, 20, Rounding::Exact)),
            ("010000000000000000555".into(), 0)
        );
    }

    #[test]
    fn halves_round_up_or_to_even() {
        assert_eq!(
            text(&fraction(2.5, 0, Rounding::Seventeen)),
            ("3".into(), 0)
        );
        assert_eq!(text(&fraction(2.5, 0, Rounding::HalfUp)), ("3".into(), 0));
        assert_eq!(text(&fraction(2.5, 0, Rounding::Exact)), ("2".into(), 0));
        assert_eq!(text(&fraction(0.5, 0, Rounding::HalfUp)), ("1".into(), 0));
        assert_eq!(text(&fraction(0.05, 0, Rounding::HalfUp)), ("0".into(), 0));
        assert_eq!(
            text(&fraction(9.96, 1, Rounding::Seventeen)),
            ("100".into(), 1)
        );
        assert_eq!(
            text(&significant(9.996, 3, Rounding::HalfUp)),
            ("100".into(), 1)
        );
    }

    #[test]
    fn small_values_keep_their_leading_zeros() {
        assert_eq!(
            text(&fraction(0.001234, 5, Rounding::Seventeen)),
            ("000123".into(), 0)
        );
        assert_eq!(
            text(&fraction(0.0, 3, Rounding::Seventeen)),
            ("0000".into(), 0)
        );
        assert_eq!(
            text(&fraction(1e-9, 3, Rounding::HalfUp)),
            ("0000".into(), 0)
        );
        assert_eq!(
            text(&fraction(0.0996, 1, Rounding::Seventeen)),
            ("01".into(), 0)
        );
    }

    #[test]
    fn hexadecimal_floats_round_to_the_precision() {
        assert_eq!(hexadecimal(1.0, 13, false), "0x1.0000000000000p+0");
        assert_eq!(hexadecimal(3.0, 1, false), "0x1.8p+1");
        assert_eq!(hexadecimal(1.999_999, 0, false), "0x2p+0");
        assert_eq!(hexadecimal(0.0, 0, true), "0x0.p+0");
        assert_eq!(
            hexadecimal(f64::from_bits(1), 13, false),
            "0x0.0000000000001p-1022"
        );
    }
}
