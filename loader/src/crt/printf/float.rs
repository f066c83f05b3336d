//! The conversions `a`, `e`, `f` and `g`.

use super::Dialect;
use super::output::{self, Field};
use super::spec::Spec;
use crate::crt::decimal::{self, Digits};
use crate::crt::unit::Unit;

/// Appends `number` converted by `letter` of `spec`.
pub fn write<U: Unit>(dialect: Dialect, spec: &Spec, letter: u8, number: f64, out: &mut Vec<U>) {
    let sign = output::sign(spec, number.is_sign_negative());
    let kind = letter.to_ascii_lowercase();
    let mut prefix = sign.to_owned();
    let finite = number.is_finite();
    let body = if !finite && (!dialect.legacy_special || kind == b'a') {
        special(number).to_owned()
    } else if kind == b'a' {
        // `msvcrt` has six digits by default, `ucrtbase` all thirteen.
        let precision = spec.precision.unwrap_or(if dialect.c99 { 13 } else { 6 });
        let text = decimal::hexadecimal(number.abs(), precision, spec.alternate);
        prefix.push_str("0x");
        text.trim_start_matches("0x").to_owned()
    } else {
        finite_or_legacy(dialect, spec, kind, number)
    };
    let upper = letter.is_ascii_uppercase();
    let (prefix, body) = if upper {
        (prefix.to_ascii_uppercase(), body.to_ascii_uppercase())
    } else {
        (prefix, body)
    };
    let zero_fill = finite || dialect.legacy_special;
    Field {
        prefix: &prefix,
        digits: body.as_bytes(),
        zero_fill,
    }
    .write(spec, out);
}

/// Returns what `ucrtbase` prints for an infinity or NaN, without sign.
fn special(number: f64) -> &'static str {
    const QUIET: u64 = 1 << 51;
    const MANTISSA: u64 = (1 << 52) - 1;
    let mantissa = number.to_bits() & MANTISSA;
    match mantissa {
        0 => "inf",
        QUIET if number.is_sign_negative() => "nan(ind)",
        m if m & QUIET == 0 => "nan(snan)",
        _ => "nan",
    }
}

/// Returns the digits `msvcrt` uses for an infinity or NaN; they go through its rounding like numbers.
fn legacy_special(number: f64) -> Digits {
    let text = match special(number) {
        "inf" => "1#INF",
        "nan(ind)" => "1#IND",
        "nan(snan)" => "1#SNAN",
        _ => "1#QNAN",
    };
    Digits {
        digits: text.as_bytes().to_vec(),
        exponent: 0,
    }
}

fn finite_or_legacy(dialect: Dialect, spec: &Spec, kind: u8, number: f64) -> String {
    // NaNs keep their sign: it tells an indefinite from a quiet one.
    let value = if number.is_nan() {
        number
    } else {
        number.abs()
    };
    let precision = spec.precision.unwrap_or(6);
    match kind {
        b'f' => fixed(dialect, value, precision, spec.alternate),
        b'e' => exponential(dialect, value, precision, spec.alternate),
        _ => general(dialect, value, precision.max(1), spec.alternate),
    }
}

fn fixed(dialect: Dialect, value: f64, places: usize, force_point: bool) -> String {
    let number = if value.is_finite() {
        decimal::fraction(value, places, dialect.rounding)
    } else {
        padded(
            decimal::round_half_up(legacy_special(value), places + 1),
            places + 1,
        )
    };
    let whole = usize::try_from(number.exponent).map_or(1, |e| e + 1);
    with_point(&number.digits, whole, force_point)
}

fn exponential(dialect: Dialect, value: f64, places: usize, force_point: bool) -> String {
    let number = significant(dialect, value, places + 1);
    format!(
        "{}{}",
        with_point(&number.digits, 1, force_point),
        exponent(dialect, number.exponent)
    )
}

fn general(dialect: Dialect, value: f64, precision: usize, alternate: bool) -> String {
    let mut number = significant(dialect, value, precision);
    let limit = i32::try_from(precision).unwrap_or(i32::MAX);
    let is_fixed = (-4..limit).contains(&number.exponent);
    if is_fixed && number.exponent < 0 {
        let zeros = usize::try_from(-number.exponent).unwrap_or(0);
        number.digits.splice(0..0, std::iter::repeat_n(b'0', zeros));
    }
    let whole = if is_fixed {
        usize::try_from(number.exponent).map_or(1, |e| e + 1)
    } else {
        1
    };
    if !alternate {
        while number.digits.len() > whole && number.digits.last() == Some(&b'0') {
            number.digits.pop();
        }
    }
    let mut text = with_point(&number.digits, whole, alternate);
    if !is_fixed {
        text.push_str(&exponent(dialect, number.exponent));
    }
    text
}

fn significant(dialect: Dialect, value: f64, count: usize) -> Digits {
    if value == 0.0 {
        // An exact zero has exponent 0 in every runtime.
        return Digits {
            digits: vec![b'0'; count],
            exponent: 0,
        };
    }
    if value.is_finite() {
        return decimal::significant(value, count, dialect.rounding);
    }
    padded(decimal::round_half_up(legacy_special(value), count), count)
}

fn padded(mut number: Digits, count: usize) -> Digits {
    number.digits.resize(count, b'0');
    number
}

fn with_point(digits: &[u8], whole: usize, force_point: bool) -> String {
    let (before, after) = digits.split_at(whole.min(digits.len()));
    let mut text = String::from_utf8_lossy(before).into_owned();
    if force_point || !after.is_empty() {
        text.push('.');
    }
    text.push_str(&String::from_utf8_lossy(after));
    text
}

fn exponent(dialect: Dialect, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!(
        "e{sign}{:0width$}",
        exponent.unsigned_abs(),
        width = dialect.exponent_digits
    )
}
