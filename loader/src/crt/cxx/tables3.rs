//! `FuncInfo` of `__CxxFrameHandler3`: tables of fixed records.
//!
//! Source: LLVM's `WinException.cpp`, which writes them (`emitCXXFrameHandler3Table`), and its page "Exception handling in
//! LLVM", "Windows runtime support". All addresses are relative to the image on x64, and absolute on i386: there the
//! image's base counts as 0. Fields that only x64 has are left out below and skipped.

use ntlpc_abi::Width;

use super::tables::{Action, EMPTY, Handler, Try};
use crate::export::{Guest, Ptr};
use crate::{guest_struct, width};

guest_struct! {
    /// `FuncInfo`.
    pub struct FuncInfo {
        magic: u32,
        state_count: i32,
        unwind_map: u32,
        try_count: u32,
        try_map: u32,
        ip_count: u32,
        ip_map: u32,
    }
    /// What follows; on x64 behind the place where a frame keeps its state.
    struct FuncInfoRest {
        specification: u32,
        flags: u32,
    }
    struct UnwindEntry {
        to_state: i32,
        action: u32,
    }
    struct TryEntry {
        low: i32,
        high: i32,
        catch_high: i32,
        count: u32,
        handlers: u32,
    }
    /// On x64 followed by the offset in the block's frame where it keeps the function's frame.
    struct HandlerEntry {
        adjectives: u32,
        kind: u32,
        object: i32,
        address: u32,
    }
    struct IpEntry {
        ip: u32,
        state: i32,
    }
}

/// First of the three magic numbers; later ones have more fields.
const MAGIC_FIRST: u32 = 0x1993_0520;
const MAGIC_LAST: u32 = 0x1993_0522;
/// The other bits of the magic word are flags.
const MAGIC_MASK: u32 = 0x1FFF_FFFF;
const SYNCHRONOUS: u32 = 1;
const NOEXCEPT: u32 = 4;

/// The tables of a function.
#[derive(Clone, Copy, Debug)]
pub struct Tables3 {
    info: FuncInfo,
    flags: u32,
}

/// Bytes that x64 has more than i386 in the head and in each handler.
fn extra_bytes() -> usize {
    match width() {
        Width::X64 => 4,
        Width::X86 => 0,
    }
}

impl Tables3 {
    /// Reads the head of the tables; `None` if it is none.
    pub fn read(at: u64) -> Option<Tables3> {
        let mut info = Ptr::<FuncInfo>::new(at).read();
        info.magic &= MAGIC_MASK;
        // The flags came with the last number; before it every exception counted.
        let flags = if info.magic == MAGIC_LAST {
            let rest = at + (FuncInfo::size() + extra_bytes()) as u64;
            Ptr::<FuncInfoRest>::new(rest).read().flags
        } else {
            0
        };
        (MAGIC_FIRST..=MAGIC_LAST)
            .contains(&info.magic)
            .then_some(Tables3 { info, flags })
    }

    /// Returns the state at an address relative to the image.
    pub fn state_at(&self, image: u64, pc: u32) -> i32 {
        let map = Ptr::<IpEntry>::new(image + u64::from(self.info.ip_map));
        // The compilers write addresses so that a return address belongs to the call before it.
        let behind = (0..self.info.ip_count)
            .find(|index| map.add(*index as usize).read().ip > pc)
            .unwrap_or(self.info.ip_count);
        match behind {
            0 => EMPTY,
            index => map.add(index as usize - 1).read().state,
        }
    }

    /// Returns the state around a state and what leaving it does.
    pub fn leave(&self, image: u64, state: i32) -> (i32, Action) {
        if state < 0 || state >= self.info.state_count {
            return (EMPTY, Action::None);
        }
        let map = Ptr::<UnwindEntry>::new(image + u64::from(self.info.unwind_map));
        let entry = map.add(state as usize).read();
        let action = match entry.action {
            0 => Action::None,
            action => Action::Funclet(action),
        };
        // Damaged tables must not make a loop.
        (entry.to_state.clamp(EMPTY, state - 1), action)
    }

    /// Returns the `try` block with a number.
    pub fn try_block(&self, image: u64, index: u32) -> Option<Try> {
        (index < self.info.try_count).then(|| {
            let entry = Ptr::<TryEntry>::new(image + u64::from(self.info.try_map))
                .add(index as usize)
                .read();
            Try {
                low: entry.low,
                high: entry.high,
                catch_high: entry.catch_high,
                count: entry.count,
                handlers: Ptr::new(image + u64::from(entry.handlers)),
            }
        })
    }

    /// Returns the `catch` block with a number.
    pub fn handler(&self, block: &Try, index: u32) -> Option<Handler> {
        let stride = HandlerEntry::size() + extra_bytes();
        let at = block.handlers.add(index as usize * stride);
        let entry = at.cast::<HandlerEntry>().read();
        let parent = match extra_bytes() {
            0 => 0,
            _ => at.add(HandlerEntry::size()).cast::<u32>().read(),
        };
        Some(Handler {
            adjectives: entry.adjectives,
            kind: entry.kind,
            object: entry.object,
            address: entry.address,
            parent,
            ..Handler::default()
        })
    }

    /// Returns whether no exception may leave the function.
    pub fn is_noexcept(&self) -> bool {
        self.flags & NOEXCEPT != 0
    }

    /// Returns whether only C++ exceptions count.
    pub fn is_synchronous(&self) -> bool {
        self.flags & SYNCHRONOUS != 0
    }
}
