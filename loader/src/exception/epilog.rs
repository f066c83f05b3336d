//! Epilogs: what is left of a function that is about to return is executed instead of undone.
//!
//! Source: Microsoft Learn, "x64 prolog and epilog", "Epilog code".

use ntlpc_abi::NtStatus;

use super::unwind::{FunctionEntry, Info, Origins, pop, unwind_leaf};
use crate::context::{Context, reg};
use crate::export::Ptr;

/// Bytes of code that can belong to an epilog.
const MAX_EPILOG: usize = 64;

/// If `pc` is in an epilog, executes the rest of it on `context` and returns true.
///
/// The legal epilogs: optional `add rsp, n` or `lea rsp, n[fp]`, pops, then `ret` or a jump out of the function.
pub fn unwind_epilog(
    entry: &FunctionEntry,
    pc: u64,
    info: &Info,
    context: &mut Context,
    origins: &mut Origins,
) -> Result<bool, NtStatus> {
    let end = entry.base + u64::from(entry.end);
    let len = (end.saturating_sub(pc) as usize).min(MAX_EPILOG);
    let mut buffer = [0_u8; MAX_EPILOG];
    if Ptr::<u8>::new(pc)
        .try_read_bytes(&mut buffer[..len])
        .is_err()
    {
        return Ok(false);
    }
    let code = &buffer[..len];
    let mut trial = *context;
    let mut trial_origins = *origins;
    let mut at = 0;
    if let Some((adjusted, used)) = stack_adjustment(code, info, context) {
        trial.gpr[reg::RSP] = adjusted;
        at = used;
    }
    loop {
        let (rex_b, skip) = match code.get(at) {
            Some(0x41) => (8, 1),
            Some(0x40) => (0, 1),
            _ => (0, 0),
        };
        match code.get(at + skip) {
            Some(&op @ 0x58..=0x5f) if usize::from(op - 0x58) + rex_b != reg::RSP => {
                if pop(
                    &mut trial,
                    &mut trial_origins,
                    usize::from(op - 0x58) + rex_b,
                )
                .is_err()
                {
                    return Ok(false);
                }
                at += skip + 1;
            }
            _ => break,
        }
    }
    let rest = &code[at.min(len)..];
    let is_end = match rest {
        [0xc3, ..] | [0xf3, 0xc3, ..] | [0xc2, ..] => true,
        // A jump through memory or a register with REX.W: a tail call.
        [0xff, 0x25, ..] | [0x48, 0xff, 0x25, ..] => true,
        [0x48..=0x4f, 0xff, modrm, ..] if modrm & 0xf8 == 0xe0 => true,
        [0xe9, a, b, c, d, ..] => leaves(
            entry,
            pc,
            at + 5,
            i64::from(i32::from_le_bytes([*a, *b, *c, *d])),
        ),
        [0xeb, a, ..] => leaves(entry, pc, at + 2, i64::from(a.cast_signed())),
        _ => false,
    };
    if !is_end {
        return Ok(false);
    }
    unwind_leaf(&mut trial)?;
    *context = trial;
    *origins = trial_origins;
    Ok(true)
}

/// Whether a jump of `distance` after `used` bytes leaves the function.
fn leaves(entry: &FunctionEntry, pc: u64, used: usize, distance: i64) -> bool {
    let target = pc.wrapping_add(used as u64).wrapping_add_signed(distance);
    let start = entry.base + u64::from(entry.begin);
    !(start + 1..entry.base + u64::from(entry.end)).contains(&target)
}

/// Decodes `add rsp, n` or `lea rsp, n[frame register]`; returns the new rsp and the bytes used.
fn stack_adjustment(code: &[u8], info: &Info, context: &Context) -> Option<(u64, usize)> {
    match code {
        [0x48, 0x83, 0xc4, n, ..] => Some((context.rsp().wrapping_add(u64::from(*n)), 4)),
        [0x48, 0x81, 0xc4, a, b, c, d, ..] => Some((
            context
                .rsp()
                .wrapping_add(u64::from(u32::from_le_bytes([*a, *b, *c, *d]))),
            7,
        )),
        [rex @ (0x48 | 0x49), 0x8d, modrm, rest @ ..]
            if modrm >> 3 & 7 == 4 && info.frame_register != 0 =>
        {
            let register = usize::from(modrm & 7) + if *rex == 0x49 { 8 } else { 0 };
            if register != usize::from(info.frame_register) {
                return None;
            }
            let base = context.gpr[register];
            match (modrm >> 6, rest) {
                (1, [n, ..]) => Some((base.wrapping_add_signed(i64::from(n.cast_signed())), 4)),
                (2, [a, b, c, d, ..]) => Some((
                    base.wrapping_add_signed(i64::from(i32::from_le_bytes([*a, *b, *c, *d]))),
                    7,
                )),
                _ => None,
            }
        }
        _ => None,
    }
}
