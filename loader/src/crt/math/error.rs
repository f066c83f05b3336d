//! Domain and range errors: `errno`, and the handler of `__setusermatherr`.
//!
//! Source: Microsoft Learn, "_matherr", "__setusermatherr", `struct _exception` of `math.h`.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::crt::errno::{self, code};
use crate::export::{Callback, Ptr};
use crate::{guest_struct, win_api};

/// Bytes for the name of a function, with NUL.
const NAME_BYTES: usize = 16;

guest_struct! {
    /// `struct _exception`, and the name it points to.
    pub struct MathException {
        kind: i32,
        name: Ptr<u8>,
        first: f64,
        second: f64,
        result: f64,
        name_bytes: [u8; NAME_BYTES],
    }
}

static HANDLER: AtomicU64 = AtomicU64::new(0);

const DOMAIN: i32 = 1;
const SINGULARITY: i32 = 2;
const OVERFLOW: i32 = 3;

/// Returns the result of a function, after reporting that it shows an error.
#[inline]
pub fn checked(name: &str, first: f64, second: f64, result: f64) -> f64 {
    if result.is_finite() || first.is_nan() || second.is_nan() {
        return result;
    }
    let are_finite = first.is_finite() && second.is_finite();
    let kind = match (result.is_nan(), are_finite) {
        (true, _) => DOMAIN,
        (false, false) => return result,
        // An infinite result of finite arguments: a pole where the logarithm, the power or the gamma function has one.
        (false, true)
            if first == 0.0 || matches!(name, "atanh" | "lgamma" | "tgamma" | "log1p") =>
        {
            SINGULARITY
        }
        (false, true) => OVERFLOW,
    };
    report(name, kind, first, second, result)
}

#[cold]
fn report(name: &str, kind: i32, first: f64, second: f64, result: f64) -> f64 {
    let handler = Callback(HANDLER.load(Ordering::Relaxed));
    let mut result = result;
    if !handler.is_null() {
        let at = errno::thread_field::<MathException>("math_exception");
        let mut name_bytes = [0; NAME_BYTES];
        let len = name.len().min(NAME_BYTES - 1);
        name_bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
        let offset = MathException::offset_of("name_bytes") as u64;
        at.write(MathException {
            kind,
            name: at.byte_add(offset).cast(),
            first,
            second,
            result,
            name_bytes,
        });
        let is_handled = handler.call(&[at.address()]) & 0xFFFF_FFFF != 0;
        result = at.read().result;
        if is_handled {
            return result;
        }
    }
    errno::set_errno(if kind == DOMAIN {
        code::EDOM
    } else {
        code::ERANGE
    });
    result
}

win_api! {
    /// Sets the handler of errors of mathematical functions.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __setusermatherr(handler: Callback) {
        HANDLER.store(handler.0, Ordering::Relaxed);
    }
}
