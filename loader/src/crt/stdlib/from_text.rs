//! Numbers from strings: `atoi`, `strtol`, `strtod` and their relatives.

use crate::crt::errno::{self, code};
use crate::crt::mem::{self, Char};
use crate::crt::number::{self, Integer};
use crate::crt::startup;
use crate::crt::twins::twins;
use crate::export::Ptr;
use crate::win_api;

/// Reads an integer at `text` and stores where it ends; `None` after an invalid parameter.
fn read<T: Char>(text: Ptr<T>, end: Ptr<Ptr<T>>, base: i32) -> Option<Integer> {
    let base = u32::try_from(base)
        .ok()
        .filter(|base| *base == 0 || (2..=36).contains(base));
    let (Some(text_at), Some(base)) = (text.non_null(), base) else {
        end.write_if_some(text);
        errno::invalid_parameter();
        return None;
    };
    let number = number::integer(&mem::string(text_at), base);
    end.write_if_some(text.add(number.used));
    Some(number)
}

/// Reads a signed number of `bits` bits, clamped with ERANGE.
fn signed<T: Char>(text: Ptr<T>, end: Ptr<Ptr<T>>, base: i32, bits: u32) -> i64 {
    let Some(number) = read(text, end, base) else {
        return 0;
    };
    let (value, clamped) = number.signed(bits);
    if clamped {
        errno::set_errno(code::ERANGE);
    }
    value
}

/// Reads an unsigned number of `bits` bits, clamped with ERANGE.
fn unsigned<T: Char>(text: Ptr<T>, end: Ptr<Ptr<T>>, base: i32, bits: u32) -> u64 {
    let Some(number) = read(text, end, base) else {
        return 0;
    };
    let (value, clamped) = number.unsigned(bits);
    if clamped {
        errno::set_errno(code::ERANGE);
    }
    value
}

/// Reads a floating point number and stores where it ends.
fn float<T: Char>(text: Ptr<T>, end: Ptr<Ptr<T>>) -> f64 {
    if text.is_null() {
        errno::invalid_parameter();
        return 0.0;
    }
    let number = number::float(&mem::string(text), startup::is_ucrt());
    end.write_if_some(text.add(number.used));
    if number.range {
        errno::set_errno(code::ERANGE);
    }
    number.value
}

fn low(value: i64) -> i32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

#[allow(clippy::cast_possible_truncation, reason = "rounds as C does")]
fn single(value: f64) -> f32 {
    value as f32
}

twins! {
    /// Reads an `int`.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn atoi = "atoi|_atoi_l" / _wtoi = "_wtoi|_wtoi_l" (text: Ptr<Char>) -> i32 {
        low(signed(text, Ptr::NULL, 10, 32))
    }

    /// Reads a `long`.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn atol = "atol|_atol_l" / _wtol = "_wtol|_wtol_l" (text: Ptr<Char>) -> i32 {
        low(signed(text, Ptr::NULL, 10, 32))
    }

    /// Reads a 64-bit integer.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn _atoi64 = "_atoi64|_atoi64_l" / _wtoi64 = "_wtoi64|_wtoi64_l" (text: Ptr<Char>) -> i64 {
        signed(text, Ptr::NULL, 10, 64)
    }

    /// Reads a 64-bit integer.
    "ucrtbase.dll" fn atoll = "atoll|_atoll_l" / _wtoll = "_wtoll|_wtoll_l" (text: Ptr<Char>) -> i64 {
        signed(text, Ptr::NULL, 10, 64)
    }

    /// Reads a floating point number.
    "msvcrt.dll|ucrtbase.dll" fn atof = "atof|_atof_l" / _wtof = "_wtof|_wtof_l" (text: Ptr<Char>) -> f64 {
        float(text, Ptr::NULL)
    }

    /// Reads a `long` in a base.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn strtol = "strtol|_strtol_l" / wcstol = "wcstol|_wcstol_l" (text: Ptr<Char>, end: Ptr<Ptr<Char>>, base: i32) -> i32 {
        low(signed(text, end, base, 32))
    }

    /// Reads an `unsigned long` in a base.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn strtoul = "strtoul|_strtoul_l" / wcstoul = "wcstoul|_wcstoul_l" (text: Ptr<Char>, end: Ptr<Ptr<Char>>, base: i32) -> u32 {
        low(unsigned(text, end, base, 32).cast_signed()).cast_unsigned()
    }

    /// Reads a signed 64-bit integer in a base.
    "msvcrt.dll|ucrtbase.dll" fn _strtoi64 = "_strtoi64|_strtoi64_l" / _wcstoi64 = "_wcstoi64|_wcstoi64_l" (text: Ptr<Char>, end: Ptr<Ptr<Char>>, base: i32) -> i64 {
        signed(text, end, base, 64)
    }

    /// Reads an unsigned 64-bit integer in a base.
    "msvcrt.dll|ucrtbase.dll" fn _strtoui64 = "_strtoui64|_strtoui64_l" / _wcstoui64 = "_wcstoui64|_wcstoui64_l" (text: Ptr<Char>, end: Ptr<Ptr<Char>>, base: i32) -> u64 {
        unsigned(text, end, base, 64)
    }

    /// Reads a `long long` in a base.
    "ucrtbase.dll" fn strtoll = "strtoll|_strtoll_l" / wcstoll = "wcstoll|_wcstoll_l" (text: Ptr<Char>, end: Ptr<Ptr<Char>>, base: i32) -> i64 {
        signed(text, end, base, 64)
    }

    /// Reads an `unsigned long long` in a base.
    "ucrtbase.dll" fn strtoull = "strtoull|_strtoull_l" / wcstoull = "wcstoull|_wcstoull_l" (text: Ptr<Char>, end: Ptr<Ptr<Char>>, base: i32) -> u64 {
        unsigned(text, end, base, 64)
    }

    /// Reads an `intmax_t` in a base.
    "ucrtbase.dll" fn strtoimax = "strtoimax|_strtoimax_l" / wcstoimax = "wcstoimax|_wcstoimax_l" (text: Ptr<Char>, end: Ptr<Ptr<Char>>, base: i32) -> i64 {
        signed(text, end, base, 64)
    }

    /// Reads a `uintmax_t` in a base.
    "ucrtbase.dll" fn strtoumax = "strtoumax|_strtoumax_l" / wcstoumax = "wcstoumax|_wcstoumax_l" (text: Ptr<Char>, end: Ptr<Ptr<Char>>, base: i32) -> u64 {
        unsigned(text, end, base, 64)
    }

    /// Reads a `double`.
    "msvcrt.dll|ucrtbase.dll" fn strtod / wcstod(text: Ptr<Char>, end: Ptr<Ptr<Char>>) -> f64 {
        float(text, end)
    }

    /// Reads a `double`, in a given locale.
    "msvcrt.dll|ucrtbase.dll" fn _strtod_l / _wcstod_l(text: Ptr<Char>, end: Ptr<Ptr<Char>>, _locale: Ptr<u8>) -> f64 {
        float(text, end)
    }

    /// Reads a `float`.
    "ucrtbase.dll" fn strtof = "strtof|_strtof_l" / wcstof = "wcstof|_wcstof_l" (text: Ptr<Char>, end: Ptr<Ptr<Char>>) -> f32 {
        single(float(text, end))
    }

    /// Reads a `long double`, which is a `double`.
    "ucrtbase.dll" fn strtold = "strtold|_strtold_l" / wcstold = "wcstold|_wcstold_l" (text: Ptr<Char>, end: Ptr<Ptr<Char>>) -> f64 {
        float(text, end)
    }
}

/// Reads a number from a string and reports range errors as `_atodbl` does.
fn read_checked(text: Ptr<u8>) -> (f64, i32) {
    let number = number::float(&mem::string(text), true);
    (
        number.value,
        range_error(number.range, number.value.is_infinite()),
    )
}

fn range_error(is_outside: bool, is_infinite: bool) -> i32 {
    const UNDERFLOW: i32 = 4;
    const OVERFLOW: i32 = 3;
    match (is_outside, is_infinite) {
        (false, _) => 0,
        (true, true) => OVERFLOW,
        (true, false) => UNDERFLOW,
    }
}

win_api! {
    /// Reads a `double`; the result tells overflow and underflow.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _atodbl = "_atodbl|_atodbl_l" (value: Ptr<f64>, text: Ptr<u8>) -> i32 {
        let (number, outcome) = read_checked(text);
        value.write(number);
        outcome
    }

    /// Reads a `float`; the result tells overflow and underflow.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _atoflt = "_atoflt|_atoflt_l" (value: Ptr<f32>, text: Ptr<u8>) -> i32 {
        let (number, outcome) = read_checked(text);
        let narrow = single(number);
        value.write(narrow);
        if outcome != 0 {
            return outcome;
        }
        let is_tiny = number != 0.0 && narrow.abs() < f32::MIN_POSITIVE;
        range_error(is_tiny || narrow.is_infinite() && number.is_finite(), narrow.is_infinite())
    }
}
