//! Absolute values, quotients, rotations and byte order.

use crate::export::Ptr;
use crate::{guest_struct, win_api};

guest_struct! {
    /// `lldiv_t`.
    pub struct LongQuotient {
        quot: i64,
        rem: i64,
    }
}

/// Divides as the processor does, except that overflow wraps; division by zero is the guest's exception.
fn quotient(numerator: i64, denominator: i64) -> (i64, i64) {
    if denominator == 0 {
        crate::crt::os::raise_divide_by_zero();
    }
    (
        numerator.wrapping_div(denominator),
        numerator.wrapping_rem(denominator),
    )
}

/// Packs `div_t`, which both ABIs return in registers.
fn packed(numerator: i32, denominator: i32) -> u64 {
    let (quot, rem) = quotient(i64::from(numerator), i64::from(denominator));
    (quot.cast_unsigned() & 0xFFFF_FFFF) | rem.cast_unsigned() << 32
}

win_api! {
    /// Returns the absolute value of an `int`.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" cdecl fn abs = "abs|labs" (value: i32) -> i32 {
        value.wrapping_abs()
    }

    /// Returns the absolute value of a 64-bit integer.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _abs64 = "_abs64|llabs|imaxabs" (value: i64) -> i64 {
        value.wrapping_abs()
    }

    /// Returns quotient and remainder of two `int`s.
    "msvcrt.dll|ucrtbase.dll" cdecl fn div = "div|ldiv" (numerator: i32, denominator: i32) -> u64 {
        packed(numerator, denominator)
    }

    /// Stores quotient and remainder of two `long long`s where the hidden argument points.
    "ucrtbase.dll" cdecl fn lldiv = "lldiv|imaxdiv" (result: Ptr<LongQuotient>, numerator: i64, denominator: i64) -> Ptr<LongQuotient> {
        let (quot, rem) = quotient(numerator, denominator);
        result.write(LongQuotient { quot, rem });
        result
    }

    /// Rotates 32 bits left.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _rotl = "_rotl|_lrotl" (value: u32, shift: i32) -> u32 {
        value.rotate_left(shift.cast_unsigned() & 31)
    }

    /// Rotates 32 bits right.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _rotr = "_rotr|_lrotr" (value: u32, shift: i32) -> u32 {
        value.rotate_right(shift.cast_unsigned() & 31)
    }

    /// Rotates 64 bits left.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _rotl64(value: u64, shift: i32) -> u64 {
        value.rotate_left(shift.cast_unsigned() & 63)
    }

    /// Rotates 64 bits right.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _rotr64(value: u64, shift: i32) -> u64 {
        value.rotate_right(shift.cast_unsigned() & 63)
    }

    /// Reverses the bytes of a 16-bit number.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _byteswap_ushort(value: u16) -> u16 {
        value.swap_bytes()
    }

    /// Reverses the bytes of a 32-bit number.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _byteswap_ulong(value: u32) -> u32 {
        value.swap_bytes()
    }

    /// Reverses the bytes of a 64-bit number.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _byteswap_uint64(value: u64) -> u64 {
        value.swap_bytes()
    }
}
