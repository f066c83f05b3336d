//! Why a division trapped: the processor has one trap for a zero divisor and for a quotient that does not fit, Windows has
//! two codes.
//!
//! Source: Intel SDM volume 2, "DIV", "IDIV", chapter 2 for the encoding of operands.

use ntlpc_abi::{NtStatus, Width};

use crate::context::{Context, reg};
use crate::export::Ptr;
use crate::width;

/// Longest instruction.
const MAX_BYTES: u64 = 15;

/// Returns the status of the division that `context` stands at.
pub fn status(context: &Context) -> NtStatus {
    match divisor(context) {
        Some(value) if value != 0 => NtStatus::INTEGER_OVERFLOW,
        _ => NtStatus::INTEGER_DIVIDE_BY_ZERO,
    }
}

/// Reads the bytes of the instruction one by one.
struct Code {
    at: u64,
    end: u64,
}

impl Code {
    fn byte(&mut self) -> Option<u8> {
        let at = self.at;
        self.at += 1;
        (at < self.end).then(|| Ptr::<u8>::new(at).try_read().ok())?
    }

    fn displacement(&mut self, bytes: u8) -> Option<i64> {
        Some(match bytes {
            0 => 0,
            1 => i64::from(self.byte()?.cast_signed()),
            _ => {
                let word = [self.byte()?, self.byte()?, self.byte()?, self.byte()?];
                i64::from(i32::from_le_bytes(word))
            }
        })
    }
}

/// Returns the divisor; `None` if the instruction is no division or its operand cannot be read.
fn divisor(context: &Context) -> Option<u64> {
    let mut code = Code {
        at: context.rip,
        end: context.rip + MAX_BYTES,
    };
    let (mut rex, mut is_word, mut has_segment) = (0, false, false);
    let opcode = loop {
        match code.byte()? {
            0x66 => is_word = true,
            0x64 | 0x65 => has_segment = true,
            0x26 | 0x2e | 0x36 | 0x3e | 0xf2 | 0xf3 => {}
            byte @ 0x40..=0x4f if width() == Width::X64 => rex = byte,
            byte => break byte,
        }
    };
    let bytes: u32 = match opcode {
        0xf6 => 1,
        0xf7 if rex & 8 != 0 => 8,
        0xf7 if is_word => 2,
        0xf7 => 4,
        _ => return None,
    };
    let modrm = code.byte()?;
    // DIV and IDIV.
    if modrm >> 3 & 7 < 6 {
        return None;
    }
    let value = if modrm >> 6 == 3 {
        register(context, modrm & 7 | (rex & 1) << 3, bytes, rex)
    } else if has_segment {
        return None;
    } else {
        let at = address(context, &mut code, modrm, rex)?;
        match bytes {
            1 => Ptr::<u8>::new(at).try_read().ok()?.into(),
            2 => Ptr::<u16>::new(at).try_read().ok()?.into(),
            4 => Ptr::<u32>::new(at).try_read().ok()?.into(),
            _ => Ptr::<u64>::new(at).try_read().ok()?,
        }
    };
    Some(value & u64::MAX >> (64 - 8 * bytes))
}

/// Returns a register; without REX, byte registers 4 to 7 are ah, ch, dh and bh.
fn register(context: &Context, number: u8, bytes: u32, rex: u8) -> u64 {
    if bytes == 1 && rex == 0 && number >= 4 {
        return context.gpr[usize::from(number - 4)] >> 8;
    }
    context.gpr[usize::from(number)]
}

/// Returns the address of a memory operand in a segment that starts at 0: all but FS and GS do.
fn address(context: &Context, code: &mut Code, modrm: u8, rex: u8) -> Option<u64> {
    let (mode, low) = (modrm >> 6, modrm & 7);
    let displacement = match mode {
        0 => 0,
        1 => 1,
        _ => 4,
    };
    let value = |number: u8| context.gpr[usize::from(number)];
    let sum = if low == 4 {
        let sib = code.byte()?;
        let (scale, index, base) = (
            sib >> 6,
            sib >> 3 & 7 | (rex & 2) << 2,
            sib & 7 | (rex & 1) << 3,
        );
        let scaled = if usize::from(index) == reg::RSP {
            0
        } else {
            value(index) << scale
        };
        if mode == 0 && sib & 7 == 5 {
            return Some(scaled.wrapping_add_signed(code.displacement(4)?));
        }
        scaled.wrapping_add(value(base))
    } else if mode == 0 && low == 5 {
        let displacement = code.displacement(4)?;
        // Relative to the next instruction on x64; the divisor is the last operand.
        let start = if width() == Width::X64 { code.at } else { 0 };
        return Some(start.wrapping_add_signed(displacement));
    } else {
        value(low | (rex & 1) << 3)
    };
    let sum = sum.wrapping_add_signed(code.displacement(displacement)?);
    Some(if width() == Width::X86 {
        sum & 0xffff_ffff
    } else {
        sum
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_of(code: &[u8], rbx: u64) -> NtStatus {
        // The instruction may lie at the end of readable memory; the rest is never looked at.
        let mut place = [0x90; 32];
        place[..code.len()].copy_from_slice(code);
        let mut context = Context::new();
        context.rip = place.as_ptr() as u64;
        context.gpr[reg::RBX] = rbx;
        status(&context)
    }

    #[test]
    fn divisors_tell_zero_from_overflow() {
        let divisors = [0_u64, 7];
        let [zero, seven] = [0, 1].map(|index| &raw const divisors[index] as u64);
        // div ebx; div bh; div dword [rbx]; div qword [rbx+8]; add (no division)
        assert_eq!(
            status_of(&[0xf7, 0xf3], 0xff_0000_0000),
            NtStatus::INTEGER_DIVIDE_BY_ZERO
        );
        assert_eq!(status_of(&[0xf7, 0xf3], 1), NtStatus::INTEGER_OVERFLOW);
        assert_eq!(status_of(&[0xf6, 0xf7], 0x100), NtStatus::INTEGER_OVERFLOW);
        assert_eq!(
            status_of(&[0xf7, 0x33], zero),
            NtStatus::INTEGER_DIVIDE_BY_ZERO
        );
        assert_eq!(status_of(&[0xf7, 0x33], seven), NtStatus::INTEGER_OVERFLOW);
        assert_eq!(
            status_of(&[0x48, 0xf7, 0x73, 0x08], zero),
            NtStatus::INTEGER_OVERFLOW
        );
        assert_eq!(
            status_of(&[0x48, 0xf7, 0x34, 0x23], seven),
            NtStatus::INTEGER_OVERFLOW
        );
        assert_eq!(
            status_of(&[0x01, 0xc0], 1),
            NtStatus::INTEGER_DIVIDE_BY_ZERO
        );
    }
}
