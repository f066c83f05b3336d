//! `CONTEXT` and `EXCEPTION_RECORD` of i386, made from and into ours.
//!
//! Source: mingw-w64 `winnt.h` `CONTEXT` (i386), `FLOATING_SAVE_AREA`, `EXCEPTION_RECORD`; the FXSAVE and FSAVE images:
//! Intel SDM volume 1, §8.1.10 and §10.5.1.

use super::registers::CONTEXT_ALL;
use super::{Context, Record, reg};
use crate::gate::gate32::{self, Registers};

/// Bytes of `CONTEXT`.
pub const CONTEXT_BYTES: usize = 0x2cc;
/// Bytes of `EXCEPTION_RECORD`.
pub const RECORD_BYTES: usize = 0x50;

/// `CONTEXT_i386`.
const CONTEXT_I386: u32 = 0x1_0000;
/// Control, integer, segments, floating point, debug and extended registers.
const ALL32: u32 = CONTEXT_I386 | 0x3f;
const FLOATING_POINT: u32 = 0x8;
const EXTENDED: u32 = 0x20;

const FLOAT_SAVE: usize = 0x1c;
const FLOAT_REGISTERS: usize = FLOAT_SAVE + 28;
const SEGMENTS: usize = 0x8c;
const EIP: usize = 0xb8;
const CS: usize = 0xbc;
const EFLAGS: usize = 0xc0;
const SS: usize = 0xc8;
const FXSAVE: usize = 0xcc;
/// Where eax, ecx, edx, ebx, esp, ebp, esi, edi lie.
const GPR: [usize; 8] = [0xb0, 0xac, 0xa8, 0xa4, 0xc4, 0xb4, 0xa0, 0x9c];
/// gs, fs, es, ds as a 32-bit process of Windows has them, whatever they are here (pe32.md §8.1).
fn segments() -> [u32; 4] {
    if crate::is_wow64() {
        [0x2b, 0x53, 0x2b, 0x2b]
    } else {
        [0, 0x3b, 0x23, 0x23]
    }
}

/// Returns the i386 structure.
pub fn encode(context: &Context) -> [u8; CONTEXT_BYTES] {
    let mut bytes = [0; CONTEXT_BYTES];
    let mut put = |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    let flags = if context.flags == CONTEXT_ALL {
        ALL32
    } else {
        context.flags
    };
    put(0, flags);
    for (at, value) in GPR.into_iter().zip(context.gpr) {
        put(at, value as u32);
    }
    for (i, value) in segments().into_iter().enumerate() {
        put(SEGMENTS + 4 * i, value);
    }
    put(EIP, context.rip as u32);
    put(CS, gate32::GUEST_CODE.into());
    put(EFLAGS, context.eflags);
    put(SS, gate32::FLAT_DATA.into());
    let fx = context.fxsave();
    let half = |at: usize| u32::from(u16::from_le_bytes([fx[at], fx[at + 1]]));
    let word = |at: usize| u32::from_le_bytes([fx[at], fx[at + 1], fx[at + 2], fx[at + 3]]);
    put(FLOAT_SAVE, 0xffff_0000 | half(0));
    put(FLOAT_SAVE + 4, 0xffff_0000 | half(2));
    put(FLOAT_SAVE + 8, 0xffff_0000 | u32::from(full_tags(&fx)));
    put(FLOAT_SAVE + 12, word(8));
    put(FLOAT_SAVE + 16, half(12) | half(6) << 16);
    put(FLOAT_SAVE + 20, word(16));
    put(FLOAT_SAVE + 24, 0xffff_0000 | half(20));
    for i in 0..8 {
        let (to, from) = (FLOAT_REGISTERS + 10 * i, 32 + 16 * i);
        bytes[to..to + 10].copy_from_slice(&fx[from..from + 10]);
    }
    bytes[FXSAVE..].copy_from_slice(&fx);
    bytes
}

/// Reads an i386 structure.
pub fn decode(bytes: &[u8; CONTEXT_BYTES]) -> Context {
    let word =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let mut context = Context::new();
    let flags = word(0);
    for (register, at) in GPR.into_iter().enumerate() {
        context.gpr[register] = word(at).into();
    }
    context.rip = word(EIP).into();
    context.eflags = word(EFLAGS);
    let has_float = flags & (FLOATING_POINT | EXTENDED) & !CONTEXT_I386 != 0;
    context.flags = CONTEXT_ALL & !FLOATING_POINT | if has_float { FLOATING_POINT } else { 0 };
    if flags & EXTENDED != 0 {
        let mut fx = [0; 512];
        fx.copy_from_slice(&bytes[FXSAVE..]);
        context.set_fxsave(&fx);
    } else if flags & FLOATING_POINT != 0 {
        let mut fx = context.fxsave();
        fx[0..2].copy_from_slice(&bytes[FLOAT_SAVE..FLOAT_SAVE + 2]);
        fx[2..4].copy_from_slice(&bytes[FLOAT_SAVE + 4..FLOAT_SAVE + 6]);
        fx[4] = short_tags(word(FLOAT_SAVE + 8) as u16);
        for i in 0..8 {
            let (from, to) = (FLOAT_REGISTERS + 10 * i, 32 + 16 * i);
            fx[to..to + 10].copy_from_slice(&bytes[from..from + 10]);
        }
        context.set_fxsave(&fx);
    }
    context
}

/// Returns the tag word of FSAVE: two bits a register, where FXSAVE has one.
fn full_tags(fx: &[u8; 512]) -> u16 {
    let top = usize::from(fx[3] >> 3 & 7);
    (0..8).fold(0, |tags, physical| {
        let tag = if fx[4] >> physical & 1 == 0 {
            3
        } else {
            let at = 32 + 16 * ((physical + 8 - top) % 8);
            let mantissa_is_zero = fx[at..at + 8].iter().all(|&byte| byte == 0);
            let exponent = u16::from_le_bytes([fx[at + 8], fx[at + 9]]) & 0x7fff;
            match exponent {
                0 if mantissa_is_zero => 1,
                0 | 0x7fff => 2,
                _ if fx[at + 7] & 0x80 == 0 => 2,
                _ => 0,
            }
        };
        tags | tag << (2 * physical)
    })
}

fn short_tags(tags: u16) -> u8 {
    (0..8).fold(0, |short, physical| {
        let is_used = tags >> (2 * physical) & 3 != 3;
        short | u8::from(is_used) << physical
    })
}

/// Returns what the gate loads for this context.
pub fn registers(context: &Context) -> Registers {
    let mut gpr = [0; 8];
    for (to, from) in gpr.iter_mut().zip(context.gpr) {
        *to = from as u32;
    }
    Registers {
        fx: context.fxsave(),
        gpr,
        iret: [
            context.rip & 0xffff_ffff,
            gate32::GUEST_CODE.into(),
            context.eflags.into(),
            context.gpr[reg::RSP] & 0xffff_ffff,
            gate32::FLAT_DATA.into(),
        ],
    }
}

/// Returns the i386 structure.
pub fn encode_record(record: &Record) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    let head = [
        record.code,
        record.flags,
        record.record as u32,
        record.address as u32,
        record.parameters,
    ];
    let words = head
        .into_iter()
        .chain(record.information.iter().map(|&word| word as u32));
    for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// Reads an i386 structure.
pub fn decode_record(bytes: &[u8; RECORD_BYTES]) -> Record {
    let word = |i: usize| {
        let at = 4 * i;
        u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    };
    let count = word(4).min(15) as usize;
    let mut information = [0; 15];
    for (i, to) in information.iter_mut().enumerate() {
        *to = word(5 + i).into();
    }
    let mut record = Record::new(word(0), word(1), word(3).into(), &information[..count]);
    record.record = word(2).into();
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_come_back_as_they_went() {
        let mut context = Context::new();
        for (i, register) in context.gpr.iter_mut().take(8).enumerate() {
            *register = 0x1111_1111 * i as u64;
        }
        context.rip = 0x0040_1000;
        context.xmm[7] = 7;
        context.st[0] = 1 << 63 | 0x3fff << 64;
        let again = decode(&encode(&context));
        assert_eq!(
            (again.gpr, again.rip, again.xmm, again.st, again.flags),
            (
                context.gpr,
                context.rip,
                context.xmm,
                context.st,
                context.flags
            )
        );
    }

    #[test]
    fn tags_tell_empty_zero_and_valid_registers() {
        let mut fx = Context::new().fxsave();
        // Two values pushed: TOP is 6, st0 is 1.0, st1 is 0.0.
        fx[3] = 6 << 3;
        fx[4] = 0b1100_0000;
        fx[39] = 0x80;
        fx[40..42].copy_from_slice(&0x3fff_u16.to_le_bytes());
        assert_eq!(full_tags(&fx), 0b01_00_11_11_11_11_11_11);
        assert_eq!(short_tags(full_tags(&fx)), 0b1100_0000);
    }

    #[test]
    fn records_come_back_as_they_went() {
        let mut record = Record::new(0xc000_0005, 1, 0x40_1234, &[1, 0xdead_0000]);
        record.record = 0x12_3450;
        let again = decode_record(&encode_record(&record));
        assert_eq!(again.as_bytes(), record.as_bytes());
    }
}
