//! Numbers to strings: `_itoa`, `_ecvt` and their relatives.

use crate::crt::decimal::{self, Digits, Rounding};
use crate::crt::errno::{self, code};
use crate::crt::mem::{self, Char};
use crate::crt::string::store_checked;
use crate::crt::twins::twins;
use crate::crt::unit;
use crate::export::Ptr;
use crate::win_api;

/// Returns a number in `radix`, `None` if that is not 2 to 36. Only radix 10 shows a sign.
fn digits(magnitude: u64, negative: bool, radix: i32) -> Option<String> {
    let radix = u64::try_from(radix)
        .ok()
        .filter(|radix| (2..=36).contains(radix))?;
    let mut rest = magnitude;
    let mut text = Vec::new();
    loop {
        let digit = u32::try_from(rest % radix).unwrap_or(0);
        text.push(char::from_digit(digit, 36).unwrap_or('0'));
        rest /= radix;
        if rest == 0 {
            break;
        }
    }
    if negative {
        text.push('-');
    }
    Some(text.iter().rev().collect())
}

fn signed_digits(value: i64, bits: u32, radix: i32) -> Option<String> {
    if radix == 10 {
        return digits(value.unsigned_abs(), value < 0, radix);
    }
    digits(
        value.cast_unsigned() & (u64::MAX >> (64 - bits)),
        false,
        radix,
    )
}

fn write<T: Char>(text: Option<String>, to: Ptr<T>) -> Ptr<T> {
    match text {
        Some(text) => mem::write_string(to, &unit::ascii::<T>(&text)),
        None => {
            errno::invalid_parameter();
        }
    }
    to
}

fn write_checked<T: Char>(text: Option<String>, to: Ptr<T>, size: usize) -> i32 {
    let (Some(text), false) = (text, to.is_null() || size == 0) else {
        return errno::invalid_parameter();
    };
    store_checked(to, size, &unit::ascii::<T>(&text))
}

twins! {
    /// Writes an `int` in a radix.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn _itoa / _itow(value: i32, to: Ptr<Char>, radix: i32) -> Ptr<Char> {
        write(signed_digits(i64::from(value), 32, radix), to)
    }

    /// Writes a `long` in a radix.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn _ltoa / _ltow(value: i32, to: Ptr<Char>, radix: i32) -> Ptr<Char> {
        write(signed_digits(i64::from(value), 32, radix), to)
    }

    /// Writes an `unsigned long` in a radix.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn _ultoa / _ultow(value: u32, to: Ptr<Char>, radix: i32) -> Ptr<Char> {
        write(digits(u64::from(value), false, radix), to)
    }

    /// Writes a 64-bit integer in a radix.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn _i64toa / _i64tow(value: i64, to: Ptr<Char>, radix: i32) -> Ptr<Char> {
        write(signed_digits(value, 64, radix), to)
    }

    /// Writes an unsigned 64-bit integer in a radix.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn _ui64toa / _ui64tow(value: u64, to: Ptr<Char>, radix: i32) -> Ptr<Char> {
        write(digits(value, false, radix), to)
    }

    /// Writes an `int` in a radix if it fits.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn _itoa_s / _itow_s(value: i32, to: Ptr<Char>, size: usize, radix: i32) -> i32 {
        write_checked(signed_digits(i64::from(value), 32, radix), to, size)
    }

    /// Writes a `long` in a radix if it fits.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn _ltoa_s / _ltow_s(value: i32, to: Ptr<Char>, size: usize, radix: i32) -> i32 {
        write_checked(signed_digits(i64::from(value), 32, radix), to, size)
    }

    /// Writes an `unsigned long` in a radix if it fits.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn _ultoa_s / _ultow_s(value: u32, to: Ptr<Char>, size: usize, radix: i32) -> i32 {
        write_checked(digits(u64::from(value), false, radix), to, size)
    }

    /// Writes a 64-bit integer in a radix if it fits.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn _i64toa_s / _i64tow_s(value: i64, to: Ptr<Char>, size: usize, radix: i32) -> i32 {
        write_checked(signed_digits(value, 64, radix), to, size)
    }

    /// Writes an unsigned 64-bit integer in a radix if it fits.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn _ui64toa_s / _ui64tow_s(value: u64, to: Ptr<Char>, size: usize, radix: i32) -> i32 {
        write_checked(digits(value, false, radix), to, size)
    }
}

/// Most digits `_ecvt` and `_fcvt` give.
const MAX_DIGITS: usize = 340;

/// Writes digits to the thread's buffer and their point and sign to the caller.
fn describe(value: f64, number: &Digits, point: Ptr<i32>, sign: Ptr<i32>) {
    point.write(if value == 0.0 { 0 } else { number.exponent + 1 });
    sign.write(i32::from(value.is_sign_negative()));
}

fn convert(value: f64, number: &Digits, point: Ptr<i32>, sign: Ptr<i32>) -> Ptr<u8> {
    describe(value, number, point, sign);
    let buffer = errno::thread_field::<u8>("digits");
    mem::write_string(buffer, &number.digits);
    buffer
}

/// Stores the digits of a number in a caller's buffer.
fn convert_checked(
    to: Ptr<u8>,
    size: usize,
    value: f64,
    number: &Digits,
    point: Ptr<i32>,
    sign: Ptr<i32>,
) -> i32 {
    if to.is_null() || size == 0 || point.is_null() || sign.is_null() {
        return errno::invalid_parameter();
    }
    describe(value, number, point, sign);
    store_checked(to, size, &number.digits)
}

fn count(value: i32) -> usize {
    usize::try_from(value).unwrap_or(0).min(MAX_DIGITS)
}

fn significant(value: f64, digits: i32) -> Digits {
    let mut number = decimal::significant(value.abs(), count(digits).max(1), Rounding::HalfUp);
    number.digits.truncate(count(digits));
    number
}

fn fraction(value: f64, places: i32) -> Digits {
    let mut number = decimal::fraction(value.abs(), count(places), Rounding::HalfUp);
    while number.digits.len() > 1 && number.digits[0] == b'0' {
        number.digits.remove(0);
        number.exponent -= 1;
    }
    number.digits.truncate(MAX_DIGITS);
    number
}

win_api! {
    /// Returns `digits` significant digits of a number.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ecvt(value: f64, digits: i32, point: Ptr<i32>, sign: Ptr<i32>) -> Ptr<u8> {
        convert(value, &significant(value, digits), point, sign)
    }

    /// Writes `digits` significant digits of a number if they fit.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ecvt_s(to: Ptr<u8>, size: usize, value: f64, digits: i32, point: Ptr<i32>, sign: Ptr<i32>) -> i32 {
        convert_checked(to, size, value, &significant(value, digits), point, sign)
    }

    /// Returns the digits of a number up to `places` after the point.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _fcvt(value: f64, places: i32, point: Ptr<i32>, sign: Ptr<i32>) -> Ptr<u8> {
        convert(value, &fraction(value, places), point, sign)
    }

    /// Writes the digits of a number up to `places` after the point if they fit.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _fcvt_s(to: Ptr<u8>, size: usize, value: f64, places: i32, point: Ptr<i32>, sign: Ptr<i32>) -> i32 {
        convert_checked(to, size, value, &fraction(value, places), point, sign)
    }

    /// Writes a number with `digits` significant digits, in the shorter of two forms.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _gcvt(value: f64, digits: i32, to: Ptr<u8>) -> Ptr<u8> {
        mem::write_string(to, general(value, count(digits).max(1)).as_bytes());
        to
    }

    /// Writes a number with `digits` significant digits if it fits.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _gcvt_s(to: Ptr<u8>, size: usize, value: f64, digits: i32) -> i32 {
        if to.is_null() || size == 0 {
            return errno::invalid_parameter();
        }
        let text = general(value, count(digits).max(1));
        if text.len() >= size {
            to.write(0);
            return errno::fail(code::ERANGE);
        }
        mem::write_string(to, text.as_bytes());
        0
    }
}

/// Returns a number as `%g` does, but with the point kept, as `_gcvt` documents.
fn general(value: f64, digits: usize) -> String {
    let number = decimal::significant(value.abs(), digits, Rounding::HalfUp);
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let text: String = number.digits.iter().map(|byte| char::from(*byte)).collect();
    let trimmed = text.trim_end_matches('0');
    let whole = usize::try_from(number.exponent).map_or(0, |e| e + 1);
    if number.exponent < -4 || number.exponent >= i32::try_from(digits).unwrap_or(i32::MAX) {
        let rest = trimmed.get(1..).unwrap_or("");
        let mark = if number.exponent < 0 { '-' } else { '+' };
        return format!(
            "{sign}{}.{rest}e{mark}{:03}",
            &text[..1],
            number.exponent.unsigned_abs()
        );
    }
    if number.exponent < 0 {
        let zeros = "0".repeat(usize::try_from(-number.exponent).unwrap_or(1) - 1);
        return format!("{sign}0.{zeros}{trimmed}");
    }
    format!(
        "{sign}{}.{}",
        &text[..whole],
        text[whole..].trim_end_matches('0')
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn radixes_and_signs() {
        assert_eq!(signed_digits(-255, 32, 16).as_deref(), Some("ffffff01"));
        assert_eq!(signed_digits(-255, 32, 10).as_deref(), Some("-255"));
        assert_eq!(
            signed_digits(i64::MIN, 64, 10).as_deref(),
            Some("-9223372036854775808")
        );
        assert_eq!(digits(35, false, 36).as_deref(), Some("z"));
        assert_eq!(digits(1, false, 1), None);
    }

    #[test]
    fn gcvt_keeps_the_point() {
        assert_eq!(general(2.7125, 5), "2.7125");
        assert_eq!(general(100.0, 5), "100.");
        assert_eq!(general(-0.0125, 4), "-0.0125");
        assert_eq!(general(1e10, 5), "1.e+010");
    }
}
