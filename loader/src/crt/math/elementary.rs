//! The functions of `math.h` that both runtimes have.
//!
//! Source: Microsoft Learn, "Math and floating-point support".

use ntlpc_abi::Width;

use super::real::reals;
use crate::export::{Arg, ArgCursor, Ptr};
use crate::{width, win_api};

reals! {
    /// Returns the arc cosine.
    "msvcrt.dll|ucrtbase.dll" acos = "acos", acosf = "acosf" (x) = f64::acos, f32::acos;
    /// Returns the arc sine.
    "msvcrt.dll|ucrtbase.dll" asin = "asin", asinf = "asinf" (x) = f64::asin, f32::asin;
    /// Returns the arc tangent.
    "msvcrt.dll|ucrtbase.dll" atan = "atan", atanf = "atanf" (x) = f64::atan, f32::atan;
    /// Returns the angle of a point.
    "msvcrt.dll|ucrtbase.dll" atan2 = "atan2", atan2f = "atan2f" (y, x) = f64::atan2, f32::atan2;
    /// Rounds up.
    "msvcrt.dll|ucrtbase.dll" ceil = "ceil", ceilf = "ceilf" (x) = f64::ceil, f32::ceil;
    /// Returns the cosine.
    "msvcrt.dll|ucrtbase.dll" cos = "cos", cosf = "cosf" (x) = f64::cos, f32::cos;
    /// Returns the hyperbolic cosine.
    "msvcrt.dll|ucrtbase.dll" cosh = "cosh", coshf = "coshf" (x) = f64::cosh, f32::cosh;
    /// Returns a power of e.
    "msvcrt.dll|ucrtbase.dll" exp = "exp", expf = "expf" (x) = f64::exp, f32::exp;
    /// Returns the absolute value.
    "msvcrt.dll|ucrtbase.dll" fabs = "fabs", fabsf = "fabsf" (x) = f64::abs, f32::abs;
    /// Rounds down.
    "msvcrt.dll|ucrtbase.dll" floor = "floor", floorf = "floorf" (x) = f64::floor, f32::floor;
    /// Returns the remainder of a division rounded toward zero.
    "msvcrt.dll|ucrtbase.dll" fmod = "fmod", fmodf = "fmodf" (x, y) = |x: f64, y: f64| x % y, |x: f32, y: f32| x % y;
    /// Returns the natural logarithm.
    "msvcrt.dll|ucrtbase.dll" log = "log", logf = "logf" (x) = f64::ln, f32::ln;
    /// Returns the decimal logarithm.
    "msvcrt.dll|ucrtbase.dll" log10 = "log10", log10f = "log10f" (x) = f64::log10, f32::log10;
    /// Returns a power.
    "msvcrt.dll|ucrtbase.dll" pow = "pow", powf = "powf" (x, y) = f64::powf, f32::powf;
    /// Returns the sine.
    "msvcrt.dll|ucrtbase.dll" sin = "sin", sinf = "sinf" (x) = f64::sin, f32::sin;
    /// Returns the hyperbolic sine.
    "msvcrt.dll|ucrtbase.dll" sinh = "sinh", sinhf = "sinhf" (x) = f64::sinh, f32::sinh;
    /// Returns the square root.
    "msvcrt.dll|ucrtbase.dll" sqrt = "sqrt", sqrtf = "sqrtf" (x) = f64::sqrt, f32::sqrt;
    /// Returns the tangent.
    "msvcrt.dll|ucrtbase.dll" tan = "tan", tanf = "tanf" (x) = f64::tan, f32::tan;
    /// Returns the hyperbolic tangent.
    "msvcrt.dll|ucrtbase.dll" tanh = "tanh", tanhf = "tanhf" (x) = f64::tanh, f32::tanh;
    /// Returns the length of the hypotenuse.
    "msvcrt.dll|ucrtbase.dll" hypot = "hypot|_hypot|hypotl", hypotf = "_hypotf|hypotf" (x, y) = f64::hypot, f32::hypot;
    /// Returns the first number with the sign of the second.
    "msvcrt.dll|ucrtbase.dll" copysign = "_copysign|copysign|copysignl", copysignf = "_copysignf|copysignf" (x, y) = f64::copysign, f32::copysign;
    /// Returns the number with the other sign.
    "msvcrt.dll|ucrtbase.dll" _chgsign = "_chgsign|chgsign|_chgsignl", _chgsignf = "_chgsignf" (x) = |x: f64| -x, |x: f32| -x;
    /// Returns the next number on the way to the second.
    "msvcrt.dll|ucrtbase.dll" nextafter = "_nextafter|nextafter|nextafterl|nexttoward|nexttowardl", nextafterf = "_nextafterf|nextafterf" (x, y) = libm::nextafter, libm::nextafterf;
    /// Returns the exponent.
    "msvcrt.dll|ucrtbase.dll" logb = "_logb|logb|logbl", logbf = "_logbf|logbf" (x) = exponent, |x: f32| exponent(f64::from(x)) as f32;
}

/// Returns the binary exponent of a number as a number.
fn exponent(x: f64) -> f64 {
    match x {
        0.0 => f64::NEG_INFINITY,
        x if x.is_infinite() => f64::INFINITY,
        x if x.is_nan() => x,
        x => f64::from(libm::ilogb(x)),
    }
}

/// Returns mantissa and exponent.
fn split(x: f64) -> (f64, i32) {
    if x.is_finite() {
        libm::frexp(x)
    } else {
        (x, 0)
    }
}

/// Multiplies by a power of two.
fn scaled(x: f64, exponent: i32) -> f64 {
    super::error::checked("ldexp", x, 0.0, libm::scalbn(x, exponent))
}

win_api! {
    /// Splits a number into mantissa and exponent.
    "msvcrt.dll|ucrtbase.dll" cdecl fn frexp(x: f64, exponent: Ptr<i32>) -> f64 {
        let (mantissa, power) = split(x);
        exponent.write(power);
        mantissa
    }

    /// Multiplies by a power of two.
    "msvcrt.dll|ucrtbase.dll" cdecl fn ldexp = "ldexp|scalbn|scalbnl|scalbln|scalblnl" (x: f64, exponent: i32) -> f64 {
        scaled(x, exponent)
    }

    /// Multiplies by a power of two.
    "ucrtbase.dll" cdecl fn scalbnf = "scalbnf|scalblnf" (x: f32, exponent: i32) -> f32 {
        scaled(f64::from(x), exponent) as f32
    }

    /// Multiplies by a power of two.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _scalb(x: f64, exponent: i32) -> f64 {
        scaled(x, exponent)
    }

    /// Multiplies by a power of two.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _scalbf(x: f32, exponent: i32) -> f32 {
        scaled(f64::from(x), exponent) as f32
    }

    /// Splits a number into whole part and fraction.
    "msvcrt.dll|ucrtbase.dll" cdecl fn modf(x: f64, whole: Ptr<f64>) -> f64 {
        let (fraction, integer) = if x.is_infinite() { (0.0_f64.copysign(x), x) } else { (x.fract().copysign(x), x.trunc()) };
        whole.write(integer);
        fraction
    }

    /// Splits a number into whole part and fraction.
    "msvcrt.dll|ucrtbase.dll" cdecl fn modff(x: f32, whole: Ptr<f32>) -> f32 {
        let (fraction, integer) = if x.is_infinite() { (0.0_f32.copysign(x), x) } else { (x.fract().copysign(x), x.trunc()) };
        whole.write(integer);
        fraction
    }

    /// Returns the absolute value of a complex number.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _cabs = "_cabs|cabs|cabsl" (z: Complex) -> f64 {
        hypot(z.re, z.im)
    }
}

/// A `struct _complex` argument: by address on x64, on the stack on i386.
#[derive(Clone, Copy, Debug)]
pub struct Complex {
    re: f64,
    im: f64,
}

impl Arg for Complex {
    const SLOTS32: u32 = 4;

    fn fetch(cursor: &mut ArgCursor<'_>) -> Self {
        let [re, im] = match width() {
            Width::X64 => Ptr::<[f64; 2]>::new(cursor.word()).read(),
            Width::X86 => [f64::fetch(cursor), f64::fetch(cursor)],
        };
        Complex { re, im }
    }

    fn show(&self, out: &mut String) {
        out.push_str(&format!("{}+{}i", self.re, self.im));
    }
}
