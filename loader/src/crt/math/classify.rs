//! What kind of number a number is.
//!
//! Source: Microsoft Learn, "_fpclass", "_finite", "_isnan", "Floating-point classification".

use std::num::FpCategory;

use crate::win_api;

/// Returns `_FPCLASS_*` bits.
fn fp_class(x: f64) -> i32 {
    const SNAN: i32 = 0x1;
    const QNAN: i32 = 0x2;
    let negative = x.is_sign_negative();
    let signed = |minus: i32, plus: i32| if negative { minus } else { plus };
    match x.classify() {
        FpCategory::Nan if x.to_bits() & 0x0008_0000_0000_0000 == 0 => SNAN,
        FpCategory::Nan => QNAN,
        FpCategory::Infinite => signed(0x4, 0x200),
        FpCategory::Normal => signed(0x8, 0x100),
        FpCategory::Subnormal => signed(0x10, 0x80),
        FpCategory::Zero => signed(0x20, 0x40),
    }
}

/// Returns `FP_*` of C99.
fn category(kind: FpCategory) -> i16 {
    match kind {
        FpCategory::Nan => 2,
        FpCategory::Infinite => 1,
        FpCategory::Normal => -1,
        FpCategory::Subnormal => -2,
        FpCategory::Zero => 0,
    }
}

/// The bit of the sign, as the macros of `math.h` want it.
fn sign_bit(is_negative: bool) -> i32 {
    if is_negative { 0x8000 } else { 0 }
}

/// Bits of `_dpcomp`: less, equal, greater; 0 for unordered.
fn compare(x: f64, y: f64) -> i32 {
    match x.partial_cmp(&y) {
        Some(std::cmp::Ordering::Less) => 1,
        Some(std::cmp::Ordering::Equal) => 2,
        Some(std::cmp::Ordering::Greater) => 4,
        None => 0,
    }
}

win_api! {
    /// Returns the class of a number.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _fpclass(x: f64) -> i32 { fp_class(x) }

    /// Returns the class of a number.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _fpclassf(x: f32) -> i32 {
        if x.is_subnormal() {
            return if x.is_sign_negative() { 0x10 } else { 0x80 };
        }
        fp_class(f64::from(x))
    }

    /// Tells whether a number is neither infinite nor a NaN.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _finite(x: f64) -> i32 { i32::from(x.is_finite()) }

    /// Tells whether a number is neither infinite nor a NaN.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _finitef(x: f32) -> i32 { i32::from(x.is_finite()) }

    /// Tells whether a number is a NaN.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _isnan(x: f64) -> i32 { i32::from(x.is_nan()) }

    /// Tells whether a number is a NaN.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _isnanf(x: f32) -> i32 { i32::from(x.is_nan()) }

    /// Returns the C99 category of a number.
    "ucrtbase.dll" cdecl fn _dclass = "_dclass|_ldclass" (x: f64) -> i16 { category(x.classify()) }

    /// Returns the C99 category of a number.
    "ucrtbase.dll" cdecl fn _fdclass(x: f32) -> i16 { category(x.classify()) }

    /// Returns the C99 category of the number at an address.
    "ucrtbase.dll" cdecl fn _dtest = "_dtest|_ldtest" (x: crate::export::Ptr<f64>) -> i16 { category(x.read().classify()) }

    /// Returns the C99 category of the number at an address.
    "ucrtbase.dll" cdecl fn _fdtest(x: crate::export::Ptr<f32>) -> i16 { category(x.read().classify()) }

    /// Returns the sign bit.
    "ucrtbase.dll" cdecl fn _dsign = "_dsign|_ldsign" (x: f64) -> i32 { sign_bit(x.is_sign_negative()) }

    /// Returns the sign bit.
    "ucrtbase.dll" cdecl fn _fdsign(x: f32) -> i32 { sign_bit(x.is_sign_negative()) }

    /// Compares without an exception for NaNs.
    "ucrtbase.dll" cdecl fn _dpcomp = "_dpcomp|_ldpcomp" (x: f64, y: f64) -> i32 { compare(x, y) }

    /// Compares without an exception for NaNs.
    "ucrtbase.dll" cdecl fn _fdpcomp(x: f32, y: f32) -> i32 { compare(f64::from(x), f64::from(y)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_tell_signs_and_kinds_apart() {
        let classes = [
            f64::NEG_INFINITY,
            -1.0,
            -1e-310,
            -0.0,
            0.0,
            1e-310,
            1.0,
            f64::INFINITY,
        ]
        .map(fp_class);
        assert_eq!(classes, [0x4, 0x8, 0x10, 0x20, 0x40, 0x80, 0x100, 0x200]);
        assert_eq!(fp_class(f64::NAN), 2);
        assert_eq!(fp_class(f64::from_bits(0x7ff0_0000_0000_0001)), 1);
    }
}
