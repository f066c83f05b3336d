//! Unwinding one frame: `RtlLookupFunctionEntry` and `RtlVirtualUnwind`.
//!
//! Source: Microsoft Learn, "x64 exception handling" (unwind codes version 1, prologs, epilogs, chained information,
//! machine frames). Everything is read with guarded copies: tables and stacks may be damaged.

use ntlpc_abi::NtStatus;

use super::epilog::unwind_epilog;
use crate::context::Context;
use crate::context::reg;
use crate::export::Ptr;
use crate::gate::{self, ActivationPtr};
use crate::module;

/// `RUNTIME_FUNCTION` and the image it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionEntry {
    /// Image base its addresses are relative to.
    pub base: u64,
    /// Where the entry itself lies.
    pub address: u64,
    /// `BeginAddress`.
    pub begin: u32,
    /// `EndAddress`.
    pub end: u32,
    /// `UnwindData`.
    pub unwind: u32,
}

/// What unwinding a frame found out about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame {
    /// Establisher frame.
    pub establisher: u64,
    /// Language handler, 0 if none was asked for or applies.
    pub handler: u64,
    /// The handler's data.
    pub data: u64,
}

/// `UNW_FLAG_EHANDLER`.
pub const FLAG_EXCEPTION: u8 = 1;
/// `UNW_FLAG_UHANDLER`.
pub const FLAG_UNWIND: u8 = 2;
const FLAG_CHAINED: u8 = 4;

/// Bytes of a RUNTIME_FUNCTION.
const ENTRY_BYTES: u32 = 12;
/// Longest chain of unwind information followed.
const MAX_CHAIN: u32 = 32;

/// Finds the function that contains `pc`.
#[must_use]
pub fn lookup(pc: u64) -> Option<FunctionEntry> {
    let Some((view, table)) = module::image_containing(pc) else {
        return super::dynamic::lookup(pc);
    };
    let (rva, size) = table?;
    let target = view.rva(pc)?;
    search(
        view.base,
        view.at(rva, size as usize)?,
        size / ENTRY_BYTES,
        target,
    )
}

/// Searches a sorted table of `count` entries at `table`.
#[must_use]
pub fn search(base: u64, table: u64, count: u32, target: u32) -> Option<FunctionEntry> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        let entry = read_entry(base, table + u64::from(middle * ENTRY_BYTES)).ok()?;
        if target < entry.begin {
            high = middle;
        } else if target >= entry.end {
            low = middle + 1;
        } else {
            return Some(entry);
        }
    }
    None
}

/// Reads the entry at `address`.
pub fn read_entry(base: u64, address: u64) -> Result<FunctionEntry, NtStatus> {
    let [begin, end, unwind] = Ptr::<[u32; 3]>::new(address).try_read()?;
    Ok(FunctionEntry {
        base,
        address,
        begin,
        end,
        unwind,
    })
}

/// Where a frame of [`gate::call_guest`] leads: the guest context around it, and how far an unwind had got there.
#[derive(Clone, Copy, Debug)]
pub struct Crossing {
    /// Context of the guest frame.
    pub context: Context,
    /// Scopes of its handler that are done; only for an unwind in progress.
    pub scope_index: u32,
}

/// Steps over host frames if `context` stands at the return from [`gate::call_guest`].
///
/// `None`: it does not. `Some(None)`: nothing lies beyond, the thread started there.
#[must_use]
pub fn cross(context: &Context) -> Option<Option<Crossing>> {
    if context.rip != gate::call_guest_return() {
        return None;
    }
    let word = context.gpr[reg::RBP].wrapping_sub(gate::CROSSED_BELOW_RBP);
    let Some(activation) = Ptr::<u64>::new(word)
        .try_read()
        .ok()
        .and_then(ActivationPtr::from_address)
    else {
        return Some(None);
    };
    let activation = activation.get();
    Some(Some(match Context::of_frame(&activation) {
        Some(context) => Crossing {
            context,
            scope_index: activation.scope_index as u32,
        },
        None => Crossing {
            context: Context::after_call(&activation),
            scope_index: 0,
        },
    }))
}

/// Unwinds a function without an entry: it has no frame and its return address is on top of the stack.
pub fn unwind_leaf(context: &mut Context) -> Result<(), NtStatus> {
    context.rip = read(context.rsp())?;
    context.gpr[reg::RSP] = context.rsp().wrapping_add(8);
    Ok(())
}

/// Where registers were restored from, for `KNONVOLATILE_CONTEXT_POINTERS`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origins {
    /// Address of each saved integer register, 0 if not saved.
    pub integer: [u64; 16],
    /// Address of each saved xmm register, 0 if not saved.
    pub float: [u64; 16],
}

/// Unwinds the frame of `entry` at `pc`: `context` becomes its caller's.
///
/// `wanted` are the kinds of handler to report ([`FLAG_EXCEPTION`], [`FLAG_UNWIND`]); none is reported in a prolog or
/// epilog.
pub fn virtual_unwind(
    wanted: u8,
    pc: u64,
    entry: &FunctionEntry,
    context: &mut Context,
    origins: &mut Origins,
) -> Result<Frame, NtStatus> {
    let mut entry = *entry;
    // An odd unwind address names another entry that holds the information.
    if entry.unwind & 1 != 0 {
        entry = read_entry(entry.base, entry.base + u64::from(entry.unwind & !1))?;
    }
    let offset = pc.wrapping_sub(entry.base + u64::from(entry.begin));
    let mut info = Info::read(entry.base + u64::from(entry.unwind))?;
    let mut frame = Frame {
        establisher: establisher(&info, context, offset),
        ..Frame::default()
    };
    let is_in_prolog = offset < u64::from(info.prolog);
    if !is_in_prolog && unwind_epilog(&entry, pc, &info, context, origins)? {
        return Ok(frame);
    }
    let mut is_machine_frame = false;
    let mut is_first = true;
    for _ in 0..MAX_CHAIN {
        let limit = if is_first && is_in_prolog {
            offset
        } else {
            u64::MAX
        };
        is_machine_frame |= apply(&info, limit, frame.establisher, context, origins)?;
        if info.flags & FLAG_CHAINED == 0 {
            if !is_in_prolog && info.flags & wanted != 0 {
                let handler: u32 = read32(info.after_codes())?;
                frame.handler = entry.base + u64::from(handler);
                frame.data = info.after_codes() + 4;
            }
            if !is_machine_frame {
                unwind_leaf(context)?;
            }
            return Ok(frame);
        }
        entry = read_entry(entry.base, info.after_codes())?;
        info = Info::read(entry.base + u64::from(entry.unwind))?;
        is_first = false;
    }
    Err(NtStatus::BAD_FUNCTION_TABLE)
}

/// Header of UNWIND_INFO.
pub struct Info {
    address: u64,
    flags: u8,
    prolog: u8,
    count: u8,
    /// Register that holds the frame; 0 for none.
    pub frame_register: u8,
    frame_offset: u64,
}

impl Info {
    fn read(address: u64) -> Result<Info, NtStatus> {
        let [version_flags, prolog, count, frame] = Ptr::<[u8; 4]>::new(address).try_read()?;
        // Version 2 only adds epilog codes, which are skipped below.
        if !matches!(version_flags & 7, 1 | 2) {
            return Err(NtStatus::BAD_FUNCTION_TABLE);
        }
        Ok(Info {
            address,
            flags: version_flags >> 3,
            prolog,
            count,
            frame_register: frame & 15,
            frame_offset: u64::from(frame >> 4) * 16,
        })
    }

    fn code(&self, index: u8) -> Result<u16, NtStatus> {
        Ptr::<u16>::new(self.address + 4 + u64::from(index) * 2).try_read()
    }

    /// The code array has an even number of slots.
    fn after_codes(&self) -> u64 {
        self.address + 4 + u64::from(self.count).next_multiple_of(2) * 2
    }
}

fn establisher(info: &Info, context: &Context, offset: u64) -> u64 {
    if info.frame_register == 0 {
        return context.rsp();
    }
    // In the prolog the frame register counts only once UWOP_SET_FPREG has been passed.
    let is_set = offset >= u64::from(info.prolog)
        || info.flags & FLAG_CHAINED != 0
        || (0..info.count).any(|i| {
            info.code(i)
                .is_ok_and(|code| code >> 8 & 15 == 3 && offset >= u64::from(code & 0xff))
        });
    if is_set {
        context.gpr[usize::from(info.frame_register)].wrapping_sub(info.frame_offset)
    } else {
        context.rsp()
    }
}

/// Undoes the codes whose prolog offset is at most `limit`. Returns whether a machine frame was popped.
fn apply(
    info: &Info,
    limit: u64,
    frame: u64,
    context: &mut Context,
    origins: &mut Origins,
) -> Result<bool, NtStatus> {
    let mut is_machine_frame = false;
    let mut i = 0;
    while i < info.count {
        let code = info.code(i)?;
        let (at, operation, operand) = (
            u64::from(code & 0xff),
            code >> 8 & 15,
            usize::from(code >> 12),
        );
        let extra = |n: u8| {
            i.checked_add(n)
                .ok_or(NtStatus::BAD_FUNCTION_TABLE)
                .and_then(|i| info.code(i))
        };
        let far = || Ok::<u64, NtStatus>(u64::from(extra(1)?) | u64::from(extra(2)?) << 16);
        let slots = match operation {
            1 if operand == 0 => 2,
            1 | 5 | 9 => 3,
            4 | 8 => 2,
            6 => 1,
            7 => 3,
            _ => 1,
        };
        if at <= limit {
            match operation {
                0 => pop(context, origins, operand)?,
                1 => {
                    let bytes = if operand == 0 {
                        u64::from(extra(1)?) * 8
                    } else {
                        far()?
                    };
                    context.gpr[reg::RSP] = context.rsp().wrapping_add(bytes);
                }
                2 => context.gpr[reg::RSP] = context.rsp().wrapping_add(operand as u64 * 8 + 8),
                3 => {
                    context.gpr[reg::RSP] = context.gpr[usize::from(info.frame_register)]
                        .wrapping_sub(info.frame_offset);
                }
                4 | 5 => {
                    let offset = if operation == 4 {
                        u64::from(extra(1)?) * 8
                    } else {
                        far()?
                    };
                    let at = frame.wrapping_add(offset);
                    context.gpr[operand] = read(at)?;
                    origins.integer[operand] = at;
                }
                6 | 7 => {}
                8 | 9 => {
                    let offset = if operation == 8 {
                        u64::from(extra(1)?) * 16
                    } else {
                        far()?
                    };
                    let at = frame.wrapping_add(offset);
                    let [low, high] = Ptr::<[u64; 2]>::new(at).try_read()?;
                    context.xmm[operand] = u128::from(low) | u128::from(high) << 64;
                    origins.float[operand] = at;
                }
                10 => {
                    let at = context.rsp().wrapping_add(operand as u64 * 8);
                    context.rip = read(at)?;
                    context.gpr[reg::RSP] = read(at.wrapping_add(24))?;
                    is_machine_frame = true;
                }
                _ => return Err(NtStatus::BAD_FUNCTION_TABLE),
            }
        }
        i = i.checked_add(slots).ok_or(NtStatus::BAD_FUNCTION_TABLE)?;
    }
    Ok(is_machine_frame)
}

pub fn pop(context: &mut Context, origins: &mut Origins, register: usize) -> Result<(), NtStatus> {
    let at = context.rsp();
    context.gpr[register] = read(at)?;
    origins.integer[register] = at;
    if register != reg::RSP {
        context.gpr[reg::RSP] = at.wrapping_add(8);
    }
    Ok(())
}

fn read(at: u64) -> Result<u64, NtStatus> {
    Ptr::<u64>::new(at).try_read()
}

fn read32(at: u64) -> Result<u32, NtStatus> {
    Ptr::<u32>::new(at).try_read()
}
