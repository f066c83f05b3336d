//! `float.h`: the control and status words of the processor.
//!
//! Source: Microsoft Learn, "_control87, _controlfp", "_status87, _statusfp", "_fpreset". On x64 they are those of SSE;
//! i386 programs may use the x87 too, so both are kept alike.
#![allow(unsafe_code, reason = "reads and loads control registers")]

use std::arch::asm;

use ntlpc_abi::Width;

use crate::crt::errno;
use crate::export::Ptr;
use crate::gate::set_float_control;
use crate::{width, win_api};

/// Bits of the runtime's control word that hide exceptions.
pub const MASK_EXCEPTIONS: u32 = 0x0008_001f;
/// `_EM_DENORMAL`, which `_controlfp` leaves alone.
const DENORMAL: u32 = 0x0008_0000;
/// Bits that choose the rounding.
pub const MASK_ROUNDING: u32 = 0x0000_0300;
/// Bits that choose the precision of the x87: 64, 53 or 24 bits.
const MASK_PRECISION: u32 = 0x0003_0000;
/// Bits that choose what happens to denormal numbers.
const MASK_DENORMALS: u32 = 0x0300_0000;
const FLUSH_DENORMALS: u32 = 0x0100_0000;

/// The exceptions in the order of the hardware's bits: invalid, denormal, zero divide, overflow, underflow, inexact.
const HARDWARE_ORDER: [u32; 6] = [0x10, DENORMAL, 0x8, 0x4, 0x2, 0x1];

const MXCSR_MASK_SHIFT: u32 = 7;
const MXCSR_ROUNDING_SHIFT: u32 = 13;
const MXCSR_FLUSH: u32 = 0x8000;
const X87_ROUNDING_SHIFT: u32 = 10;
/// Both words as a program finds them.
const X87_DEFAULT: u16 = 0x27f;
const MXCSR_DEFAULT: u32 = 0x1f80;

/// Turns hardware exception bits into those of the runtime.
fn exceptions_of(hardware: u32) -> u32 {
    let bits = HARDWARE_ORDER.iter().enumerate();
    bits.fold(0, |sum, (i, bit)| {
        if hardware & 1 << i == 0 {
            sum
        } else {
            sum | bit
        }
    })
}

/// Turns exception bits of the runtime into those of the hardware.
fn hardware_of(exceptions: u32) -> u32 {
    let bits = HARDWARE_ORDER.iter().enumerate();
    bits.fold(0, |sum, (i, bit)| {
        if exceptions & bit == 0 {
            sum
        } else {
            sum | 1 << i
        }
    })
}

fn mxcsr() -> u32 {
    let mut word = 0_u32;
    // SAFETY: stores four bytes in a local.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut word, options(nostack)) };
    word
}

fn x87_control() -> u16 {
    let mut word = 0_u16;
    // SAFETY: stores two bytes in a local.
    unsafe { asm!("fnstcw [{}]", in(reg) &raw mut word, options(nostack)) };
    word
}

fn x87_status() -> u16 {
    let mut word = 0_u16;
    // SAFETY: stores two bytes in a local.
    unsafe { asm!("fnstsw [{}]", in(reg) &raw mut word, options(nostack)) };
    word
}

/// Returns the control word of the runtime.
pub fn control() -> u32 {
    let word = mxcsr();
    let precision = match (width(), x87_control() >> 8 & 3) {
        (Width::X64, _) | (_, 3) => 0,
        (_, 0) => 0x2_0000,
        _ => 0x1_0000,
    };
    let flush = if word & MXCSR_FLUSH == 0 {
        0
    } else {
        FLUSH_DENORMALS
    };
    exceptions_of(word >> MXCSR_MASK_SHIFT & 0x3f)
        | (word >> MXCSR_ROUNDING_SHIFT & 3) << 8
        | precision
        | flush
}

/// Replaces the bits of `mask` in the control word; returns the whole.
pub fn set_control(value: u32, mask: u32) -> u32 {
    let wanted = control() & !mask | value & mask;
    let exceptions = hardware_of(wanted & MASK_EXCEPTIONS);
    let rounding = (wanted & MASK_ROUNDING) >> 8;
    let flush = if wanted & MASK_DENORMALS == FLUSH_DENORMALS {
        MXCSR_FLUSH
    } else {
        0
    };
    let sse = mxcsr() & !(0x3f << MXCSR_MASK_SHIFT | 3 << MXCSR_ROUNDING_SHIFT | MXCSR_FLUSH)
        | exceptions << MXCSR_MASK_SHIFT
        | rounding << MXCSR_ROUNDING_SHIFT
        | flush;
    let mut x87 = u32::from(x87_control());
    if width() == Width::X86 {
        let precision = match wanted & MASK_PRECISION {
            0 => 3,
            0x2_0000 => 0,
            _ => 2,
        };
        x87 = x87 & !(0x3f | 3 << 8 | 3 << X87_ROUNDING_SHIFT)
            | exceptions
            | precision << 8
            | rounding << X87_ROUNDING_SHIFT;
    }
    set_float_control(x87 as u16, sse);
    wanted
}

/// Returns the status bits of the runtime.
pub fn status() -> u32 {
    let x87 = if width() == Width::X86 {
        u32::from(x87_status())
    } else {
        0
    };
    exceptions_of((mxcsr() | x87) & 0x3f)
}

/// Sets or clears status bits of SSE; clears the x87's.
pub fn set_status(exceptions: u32) {
    set_float_control(x87_control(), mxcsr() & !0x3f | hardware_of(exceptions));
}

/// Bits of the x64 control word that exist; an infinity or precision mask is ignored there.
fn known(mask: u32) -> u32 {
    let all = MASK_EXCEPTIONS | MASK_ROUNDING | MASK_DENORMALS;
    match width() {
        Width::X64 => mask & all,
        Width::X86 => mask & (all | MASK_PRECISION),
    }
}

win_api! {
    /// Changes the control word without the denormal mask; returns it.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _controlfp(value: u32, mask: u32) -> u32 {
        set_control(value, known(mask) & !DENORMAL)
    }

    /// Changes the control word; returns it.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _control87(value: u32, mask: u32) -> u32 {
        set_control(value, known(mask))
    }

    /// Changes the control word and stores it; returns an error.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _controlfp_s(current: Ptr<u32>, value: u32, mask: u32) -> i32 {
        const ALL: u32 = MASK_EXCEPTIONS | MASK_ROUNDING | MASK_PRECISION | MASK_DENORMALS | 0x0004_0000;
        if value & mask & !ALL != 0 {
            current.write_if_some(control());
            return errno::invalid_parameter();
        }
        let word = set_control(value, known(mask) & !DENORMAL);
        current.write_if_some(word);
        0
    }

    /// Returns the status word.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _statusfp = "_statusfp|_status87" () -> u32 {
        status()
    }

    /// Returns the status word and clears it.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _clearfp = "_clearfp|_clear87" () -> u32 {
        let before = status();
        set_status(0);
        before
    }

    /// Makes control and status words as they are when a program starts.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _fpreset = "_fpreset|fpreset" () {
        set_float_control(X87_DEFAULT, MXCSR_DEFAULT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exception_bits_go_both_ways() {
        for bit in [0x10, DENORMAL, 0x8, 0x4, 0x2, 0x1] {
            assert_eq!(exceptions_of(hardware_of(bit)), bit);
        }
        assert_eq!(hardware_of(0x8), 4);
        assert_eq!(exceptions_of(0x3f), MASK_EXCEPTIONS);
    }
}
