//! Declarations of functions that exist for `double` and `float`.

/// Declares functions of one or two numbers for both precisions; errors are reported.
///
/// ```text
/// reals! {
///     /// Returns the sine.
///     "msvcrt.dll|ucrtbase.dll" sin = "sin", sinf = "sinf" (x) = f64::sin, f32::sin;
/// }
/// ```
macro_rules! reals {
    ($($(#[doc = $doc:literal])* $dlls:literal $double:ident = $double_names:literal, $float:ident = $float_names:literal
        ($x:ident $(, $y:ident)?) = $for_double:expr, $for_float:expr;)*) => {$(
        $crate::win_api! {
            $(#[doc = $doc])*
            $dlls cdecl fn $double = $double_names ($x: f64 $(, $y: f64)?) -> f64 {
                let result = ($for_double)($x $(, $y)?);
                $crate::crt::math::real::judge!(stringify!($double), $x $(, $y)?, result)
            }

            $(#[doc = $doc])*
            $dlls cdecl fn $float = $float_names ($x: f32 $(, $y: f32)?) -> f32 {
                let result = ($for_float)($x $(, $y)?);
                $crate::crt::math::real::judge!(stringify!($double), f64::from($x) $(, f64::from($y))?, f64::from(result)) as f32
            }
        }
    )*};
}

macro_rules! judge {
    ($name:expr, $x:expr, $result:expr) => {
        $crate::crt::math::error::checked($name, $x, 0.0, $result)
    };
    ($name:expr, $x:expr, $y:expr, $result:expr) => {
        $crate::crt::math::error::checked($name, $x, $y, $result)
    };
}

pub(super) use {judge, reals};
