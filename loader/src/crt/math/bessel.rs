//! Bessel functions.
//!
//! Source: Microsoft Learn, "Bessel functions".

use super::error::checked;
use crate::win_api;

/// Reports a negative or zero argument of the second kind as a domain error, as the runtime does.
fn second_kind(name: &str, x: f64, value: f64) -> f64 {
    checked(name, x, 0.0, if x < 0.0 { f64::NAN } else { value })
}

win_api! {
    /// Bessel function of the first kind, order 0.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _j0(x: f64) -> f64 { libm::j0(x) }

    /// Bessel function of the first kind, order 1.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _j1(x: f64) -> f64 { libm::j1(x) }

    /// Bessel function of the first kind, order `n`.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _jn(n: i32, x: f64) -> f64 { libm::jn(n, x) }

    /// Bessel function of the second kind, order 0.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _y0(x: f64) -> f64 { second_kind("_y0", x, libm::y0(x)) }

    /// Bessel function of the second kind, order 1.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _y1(x: f64) -> f64 { second_kind("_y1", x, libm::y1(x)) }

    /// Bessel function of the second kind, order `n`.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _yn(n: i32, x: f64) -> f64 { second_kind("_yn", x, libm::yn(n, x)) }
}
