//! `fenv.h` of `ucrtbase`.
//!
//! Source: Microsoft Learn, "fegetenv", "fesetround", "fetestexcept"; the values are those of `float.h`.

use super::control::{self, MASK_EXCEPTIONS, MASK_ROUNDING};
use crate::export::Ptr;
use crate::{guest_struct, win_api};

guest_struct! {
    /// `fenv_t`.
    pub struct FloatEnvironment {
        control: u32,
        status: u32,
    }
}

/// `FE_ALL_EXCEPT`.
const ALL: u32 = 0x1f;
const SUCCESS: i32 = 0;
const FAILURE: i32 = 1;

fn current() -> FloatEnvironment {
    FloatEnvironment {
        control: control::control(),
        status: control::status() & ALL,
    }
}

win_api! {
    /// Returns the rounding mode.
    "ucrtbase.dll" cdecl fn fegetround() -> i32 {
        (control::control() & MASK_ROUNDING).cast_signed()
    }

    /// Sets the rounding mode.
    "ucrtbase.dll" cdecl fn fesetround(mode: u32) -> i32 {
        if mode & !MASK_ROUNDING != 0 {
            return FAILURE;
        }
        control::set_control(mode, MASK_ROUNDING);
        SUCCESS
    }

    /// Stores control and status words.
    "ucrtbase.dll" cdecl fn fegetenv(to: Ptr<FloatEnvironment>) -> i32 {
        to.write(current());
        SUCCESS
    }

    /// Loads control and status words; zeros are the environment a program starts with.
    "ucrtbase.dll" cdecl fn fesetenv(from: Ptr<FloatEnvironment>) -> i32 {
        let wanted = from.read();
        let word = if wanted.control == 0 && wanted.status == 0 { MASK_EXCEPTIONS } else { wanted.control };
        control::set_control(word, MASK_EXCEPTIONS | MASK_ROUNDING);
        control::set_status(wanted.status & ALL);
        SUCCESS
    }

    /// Stores control and status words, clears the status and hides all exceptions.
    "ucrtbase.dll" cdecl fn feholdexcept(to: Ptr<FloatEnvironment>) -> i32 {
        to.write(current());
        control::set_status(0);
        control::set_control(MASK_EXCEPTIONS, MASK_EXCEPTIONS);
        SUCCESS
    }

    /// Returns which of some exceptions happened.
    "ucrtbase.dll" cdecl fn fetestexcept(exceptions: u32) -> i32 {
        (control::status() & exceptions & ALL).cast_signed()
    }

    /// Forgets some exceptions.
    "ucrtbase.dll" cdecl fn feclearexcept(exceptions: u32) -> i32 {
        control::set_status(control::status() & !(exceptions & ALL));
        SUCCESS
    }

    /// Stores which of some exceptions happened.
    "ucrtbase.dll" cdecl fn fegetexceptflag(to: Ptr<u32>, exceptions: u32) -> i32 {
        to.write(control::status() & exceptions & ALL);
        SUCCESS
    }

    /// Loads which of some exceptions happened.
    "ucrtbase.dll" cdecl fn fesetexceptflag(from: Ptr<u32>, exceptions: u32) -> i32 {
        let exceptions = exceptions & ALL;
        control::set_status(control::status() & !exceptions | from.read() & exceptions);
        SUCCESS
    }

    /// Returns `FLT_ROUNDS`: 0 toward zero, 1 to the nearest, 2 up, 3 down.
    "ucrtbase.dll" cdecl fn __fpe_flt_rounds() -> i32 {
        [1, 3, 2, 0][(control::control() as usize & 0x300) >> 8]
    }
}
