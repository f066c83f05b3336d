//! Functions that compilers call for i386 programs with arguments on the x87 stack or in xmm registers.
//!
//! Source: LLVM `X86ISelLowering.cpp` (`_ftol2`); Microsoft Learn, "CRT Library Features" and the import libraries of
//! mingw-w64 for the names.

use super::elementary as math;
use crate::export::{Popped, St, Xmm};
use crate::win_api;

macro_rules! of_one {
    ($($x87:ident, $sse:ident: $function:path;)*) => {win_api! {$(
        /// The function of one number on the x87 stack; i386 only.
        "msvcrt.dll|ucrtbase.dll|vcruntime140.dll" cdecl fn $x87(x: St<0>) -> Popped<1, f64> { Popped($function(x.0)) }
        /// The function of one number in xmm0; i386 only.
        "msvcrt.dll|ucrtbase.dll" cdecl fn $sse(x: Xmm<0>) -> Xmm<0> { Xmm($function(x.0)) }
    )*}};
}
of_one! {
    _CIacos, _libm_sse2_acos_precise: math::acos;
    _CIasin, _libm_sse2_asin_precise: math::asin;
    _CIatan, _libm_sse2_atan_precise: math::atan;
    _CIcos, _libm_sse2_cos_precise: math::cos;
    _CIexp, _libm_sse2_exp_precise: math::exp;
    _CIlog, _libm_sse2_log_precise: math::log;
    _CIlog10, _libm_sse2_log10_precise: math::log10;
    _CIsin, _libm_sse2_sin_precise: math::sin;
    _CIsqrt, _libm_sse2_sqrt_precise: math::sqrt;
    _CItan, _libm_sse2_tan_precise: math::tan;
}

win_api! {
    /// Returns the hyperbolic cosine of a number on the x87 stack; i386 only.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _CIcosh(x: St<0>) -> Popped<1, f64> { Popped(math::cosh(x.0)) }

    /// Returns the hyperbolic sine of a number on the x87 stack; i386 only.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _CIsinh(x: St<0>) -> Popped<1, f64> { Popped(math::sinh(x.0)) }

    /// Returns the hyperbolic tangent of a number on the x87 stack; i386 only.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _CItanh(x: St<0>) -> Popped<1, f64> { Popped(math::tanh(x.0)) }

    /// Returns the angle of a point on the x87 stack; i386 only.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _CIatan2(x: St<0>, y: St<1>) -> Popped<2, f64> { Popped(math::atan2(y.0, x.0)) }

    /// Returns the remainder of a division of numbers on the x87 stack; i386 only.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _CIfmod(y: St<0>, x: St<1>) -> Popped<2, f64> { Popped(math::fmod(x.0, y.0)) }

    /// Returns a power of numbers on the x87 stack; i386 only.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _CIpow(y: St<0>, x: St<1>) -> Popped<2, f64> { Popped(math::pow(x.0, y.0)) }

    /// Returns a power of numbers in xmm0 and xmm1; i386 only.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _libm_sse2_pow_precise(x: Xmm<0>, y: Xmm<1>) -> Xmm<0> { Xmm(math::pow(x.0, y.0)) }

    /// Converts a number on the x87 stack to an integer, towards zero; i386 only.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ftol = "_ftol|_ftol2|_ftol2_sse" (x: St<0>) -> Popped<1, i64> {
        Popped(if x.0.is_nan() || x.0.abs() >= 9_223_372_036_854_775_808.0 { i64::MIN } else { x.0 as i64 })
    }

    /// Whether divisions must avoid the fault of the first Pentium; i386 only.
    "msvcrt.dll" data _adjust_fdiv: i32 = 0;
}
