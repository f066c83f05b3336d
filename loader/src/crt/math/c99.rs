//! The functions of `math.h` that came with C99: `ucrtbase` only.
//!
//! Source: Microsoft Learn, "Math and floating-point support".

use super::error::checked;
use super::real::reals;
use crate::export::Ptr;
use crate::win_api;

reals! {
    /// Returns the area hyperbolic cosine.
    "ucrtbase.dll" acosh = "acosh|acoshl", acoshf = "acoshf" (x) = libm::acosh, libm::acoshf;
    /// Returns the area hyperbolic sine.
    "ucrtbase.dll" asinh = "asinh|asinhl", asinhf = "asinhf" (x) = libm::asinh, libm::asinhf;
    /// Returns the area hyperbolic tangent.
    "ucrtbase.dll" atanh = "atanh|atanhl", atanhf = "atanhf" (x) = libm::atanh, libm::atanhf;
    /// Returns the cube root.
    "ucrtbase.dll" cbrt = "cbrt|cbrtl", cbrtf = "cbrtf" (x) = f64::cbrt, f32::cbrt;
    /// Returns the error function.
    "ucrtbase.dll" erf = "erf|erfl", erff = "erff" (x) = libm::erf, libm::erff;
    /// Returns the complementary error function.
    "ucrtbase.dll" erfc = "erfc|erfcl", erfcf = "erfcf" (x) = libm::erfc, libm::erfcf;
    /// Returns a power of two.
    "ucrtbase.dll" exp2 = "exp2|exp2l", exp2f = "exp2f" (x) = f64::exp2, f32::exp2;
    /// Returns a power of e, minus one.
    "ucrtbase.dll" expm1 = "expm1|expm1l", expm1f = "expm1f" (x) = f64::exp_m1, f32::exp_m1;
    /// Returns the positive difference.
    "ucrtbase.dll" fdim = "fdim|fdiml", fdimf = "fdimf" (x, y) = libm::fdim, libm::fdimf;
    /// Returns the larger number.
    "ucrtbase.dll" fmax = "fmax|fmaxl", fmaxf = "fmaxf" (x, y) = f64::max, f32::max;
    /// Returns the smaller number.
    "ucrtbase.dll" fmin = "fmin|fminl", fminf = "fminf" (x, y) = f64::min, f32::min;
    /// Returns the logarithm of the gamma function's absolute value.
    "ucrtbase.dll" lgamma = "lgamma|lgammal", lgammaf = "lgammaf" (x) = libm::lgamma, libm::lgammaf;
    /// Returns the natural logarithm of one more.
    "ucrtbase.dll" log1p = "log1p|log1pl", log1pf = "log1pf" (x) = f64::ln_1p, f32::ln_1p;
    /// Returns the binary logarithm.
    "ucrtbase.dll" log2 = "log2|log2l", log2f = "log2f" (x) = f64::log2, f32::log2;
    /// Rounds in the current direction.
    "ucrtbase.dll" rint = "rint|rintl|nearbyint|nearbyintl", rintf = "rintf|nearbyintf" (x) = in_direction, in_direction_f;
    /// Returns the remainder of a division rounded to the nearest.
    "ucrtbase.dll" remainder = "remainder|remainderl", remainderf = "remainderf" (x, y) = libm::remainder, libm::remainderf;
    /// Rounds to the nearest, halves away from zero.
    "ucrtbase.dll" round = "round|roundl", roundf = "roundf" (x) = f64::round, f32::round;
    /// Returns the gamma function.
    "ucrtbase.dll" tgamma = "tgamma|tgammal", tgammaf = "tgammaf" (x) = libm::tgamma, libm::tgammaf;
    /// Rounds toward zero.
    "ucrtbase.dll" trunc = "trunc|truncl", truncf = "truncf" (x) = f64::trunc, f32::trunc;
}

/// Rounds to a whole number by the processor's current direction: adding and taking away 2^52 leaves no fraction.
fn in_direction(x: f64) -> f64 {
    const TWO_52: f64 = 4_503_599_627_370_496.0;
    if x.is_nan() || x.abs() >= TWO_52 {
        return x;
    }
    let large = std::hint::black_box(TWO_52.copysign(x));
    (std::hint::black_box(x + large) - large).copysign(x)
}

fn in_direction_f(x: f32) -> f32 {
    in_direction(f64::from(x)) as f32
}

/// Converts to an integer; what does not fit is a domain error and gives the most negative number.
fn integer(name: &str, x: f64, bits: u32) -> i64 {
    let limit = libm::scalbn(1.0, i32::try_from(bits - 1).unwrap_or(0));
    if x >= -limit && x < limit {
        return x as i64;
    }
    checked(name, 0.0, 0.0, f64::NAN);
    if bits == 32 {
        i64::from(i32::MIN)
    } else {
        i64::MIN
    }
}

/// `ilogb`: `FP_ILOGB0` and `FP_ILOGBNAN` of the runtime are `INT_MIN` and `INT_MAX`.
fn integer_exponent(x: f64) -> i32 {
    match x {
        0.0 => i32::MIN,
        x if !x.is_finite() => i32::MAX,
        x => libm::ilogb(x),
    }
}

win_api! {
    /// Multiplies and adds with one rounding.
    "ucrtbase.dll" cdecl fn fma = "fma|fmal" (x: f64, y: f64, z: f64) -> f64 { x.mul_add(y, z) }

    /// Multiplies and adds with one rounding.
    "ucrtbase.dll" cdecl fn fmaf(x: f32, y: f32, z: f32) -> f32 { x.mul_add(y, z) }

    /// Returns the binary exponent.
    "ucrtbase.dll" cdecl fn ilogb = "ilogb|ilogbl" (x: f64) -> i32 { integer_exponent(x) }

    /// Returns the binary exponent.
    "ucrtbase.dll" cdecl fn ilogbf(x: f32) -> i32 { integer_exponent(f64::from(x)) }

    /// Rounds in the current direction.
    "ucrtbase.dll" cdecl fn lrint = "lrint|lrintl" (x: f64) -> i32 { integer("lrint", in_direction(x), 32) as i32 }

    /// Rounds in the current direction.
    "ucrtbase.dll" cdecl fn lrintf(x: f32) -> i32 { integer("lrint", in_direction(f64::from(x)), 32) as i32 }

    /// Rounds in the current direction.
    "ucrtbase.dll" cdecl fn llrint = "llrint|llrintl" (x: f64) -> i64 { integer("llrint", in_direction(x), 64) }

    /// Rounds in the current direction.
    "ucrtbase.dll" cdecl fn llrintf(x: f32) -> i64 { integer("llrint", in_direction(f64::from(x)), 64) }

    /// Rounds to the nearest, halves away from zero.
    "ucrtbase.dll" cdecl fn lround = "lround|lroundl" (x: f64) -> i32 { integer("lround", x.round(), 32) as i32 }

    /// Rounds to the nearest, halves away from zero.
    "ucrtbase.dll" cdecl fn lroundf(x: f32) -> i32 { integer("lround", f64::from(x.round()), 32) as i32 }

    /// Rounds to the nearest, halves away from zero.
    "ucrtbase.dll" cdecl fn llround = "llround|llroundl" (x: f64) -> i64 { integer("llround", x.round(), 64) }

    /// Rounds to the nearest, halves away from zero.
    "ucrtbase.dll" cdecl fn llroundf(x: f32) -> i64 { integer("llround", f64::from(x.round()), 64) }

    /// Returns a quiet NaN.
    "ucrtbase.dll" cdecl fn nan = "nan|nanl" (tag: Ptr<u8>) -> f64 { f64::NAN }

    /// Returns a quiet NaN.
    "ucrtbase.dll" cdecl fn nanf(tag: Ptr<u8>) -> f32 { f32::NAN }

    /// Returns the next number on the way to the second.
    "ucrtbase.dll" cdecl fn nexttowardf(x: f32, y: f64) -> f32 {
        match f64::from(x).partial_cmp(&y) {
            Some(std::cmp::Ordering::Less) => x.next_up(),
            Some(std::cmp::Ordering::Greater) => x.next_down(),
            Some(std::cmp::Ordering::Equal) => y as f32,
            None => f32::NAN,
        }
    }

    /// Returns the remainder, and the low bits of the quotient.
    "ucrtbase.dll" cdecl fn remquo = "remquo|remquol" (x: f64, y: f64, quotient: Ptr<i32>) -> f64 {
        let (rest, bits) = libm::remquo(x, y);
        quotient.write(bits);
        checked("remquo", x, y, rest)
    }

    /// Returns the remainder, and the low bits of the quotient.
    "ucrtbase.dll" cdecl fn remquof(x: f32, y: f32, quotient: Ptr<i32>) -> f32 {
        let (rest, bits) = libm::remquof(x, y);
        quotient.write(bits);
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_in_the_current_direction_goes_to_even() {
        assert_eq!(
            [0.5, 1.5, -2.5, 1e300].map(in_direction),
            [0.0, 2.0, -2.0, 1e300]
        );
        assert!(in_direction(-0.2).is_sign_negative());
    }

    #[test]
    fn exponents_of_special_numbers() {
        assert_eq!(integer_exponent(0.0), i32::MIN);
        assert_eq!(integer_exponent(f64::NAN), i32::MAX);
        assert_eq!(integer_exponent(10.0), 3);
    }
}
