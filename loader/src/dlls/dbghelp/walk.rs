//! `StackWalk64` over stacks of this process.
//!
//! Source: Microsoft Learn "`StackWalk64` function", "`STACKFRAME64` structure". The first call describes the frame the caller
//! gives, each further one the caller of the frame before. On x64 the frames are unwound by their tables; on i386 they are those
//! that `ebp` chains. The caller's functions for memory and modules are not called: the stack is ours.

use ntlpc_abi::{Handle, UserPtr, Width};

use super::modules::function_entry;
use crate::context::Context;
use crate::dlls::win32::{error, refuse};
use crate::exception::unwind::{self, Origins};
use crate::export::{Bool, Ptr};
use crate::guest_struct;
use crate::width;
use crate::win_api;

/// `IMAGE_FILE_MACHINE_I386`, `IMAGE_FILE_MACHINE_AMD64`.
const I386: u32 = 0x14C;
const AMD64: u32 = 0x8664;
/// `AddrModeFlat`.
const FLAT: u32 = 3;
/// In the last reserved word of a frame this walk has described.
const WALKED: u64 = 0x4B4C_4157;

guest_struct! {
    /// `ADDRESS64`.
    pub struct Address {
        offset: u64,
        segment: u16,
        mode: u32,
    }

    /// `STACKFRAME64` up to `KdHelp`.
    pub struct StackFrame {
        pc: Address,
        return_address: Address,
        frame: Address,
        stack: Address,
        store: Address,
        function: UserPtr,
        parameters: [u64; 4],
        is_far: i32,
        is_virtual: i32,
        reserved: [u64; 3],
    }
}

fn flat(offset: u64) -> Address {
    Address {
        offset,
        segment: 0,
        mode: FLAT,
    }
}

fn word64(at: u64) -> u64 {
    Ptr::<u64>::new(at).try_read().unwrap_or(0)
}

fn word32(at: u64) -> Option<u64> {
    Ptr::<u32>::new(at).try_read().ok().map(u64::from)
}

/// Makes a context that of the caller. `false` at the end of the stack.
fn step(context: &mut Context) -> bool {
    if let Some(crossing) = unwind::cross(context) {
        match crossing {
            Some(crossing) => *context = crossing.context,
            None => return false,
        }
        return context.rip != 0;
    }
    let before = (context.rip, context.rsp());
    let pc = context.rip;
    let unwound = match unwind::lookup(pc) {
        Some(entry) => {
            unwind::virtual_unwind(0, pc, &entry, context, &mut Origins::default()).map(|_| ())
        }
        None => unwind::unwind_leaf(context),
    };
    unwound.is_ok() && context.rip != 0 && (context.rip, context.rsp()) != before
}

fn walk64(frame: Ptr<StackFrame>, context_at: Ptr<u8>) -> bool {
    let old = frame.read();
    let mut context = Context::load(context_at.address());
    if old.reserved[2] == WALKED {
        if !step(&mut context) {
            return false;
        }
        context.store(context_at.address());
    } else if context.rip == 0 {
        return false;
    }
    let mut caller = context;
    let return_address = if step(&mut caller) { caller.rip } else { 0 };
    let home = caller.rsp();
    frame.write(StackFrame {
        pc: flat(context.rip),
        return_address: flat(return_address),
        frame: flat(home.wrapping_sub(16)),
        stack: flat(context.rsp()),
        function: UserPtr(function_entry(context.rip)),
        parameters: [0, 8, 16, 24].map(|offset| word64(home.wrapping_add(offset))),
        is_far: 0,
        is_virtual: 1,
        reserved: [0, 0, WALKED],
        ..old
    });
    true
}

fn walk32(frame: Ptr<StackFrame>) -> bool {
    let old = frame.read();
    let (pc, base) = if old.reserved[2] == WALKED {
        let base = old.frame.offset;
        let (Some(next), true) = (word32(base), old.return_address.offset != 0) else {
            return false;
        };
        (old.return_address.offset, next)
    } else {
        (old.pc.offset, old.frame.offset)
    };
    // Frames lie higher the longer ago they were made.
    let is_chained = base != 0 && (old.reserved[2] != WALKED || base > old.frame.offset);
    let return_address = if is_chained {
        word32(base + 4).unwrap_or(0)
    } else {
        0
    };
    if pc == 0 {
        return false;
    }
    frame.write(StackFrame {
        pc: flat(pc),
        return_address: flat(return_address),
        frame: flat(if is_chained { base } else { old.frame.offset }),
        stack: flat(base),
        function: UserPtr::NULL,
        parameters: [8, 12, 16, 20].map(|offset| word32(base + offset).unwrap_or(0)),
        is_far: 0,
        is_virtual: 1,
        reserved: [0, 0, WALKED],
        ..old
    });
    true
}

win_api! {
    /// Describes the next frame of a stack of this process.
    "dbghelp.dll" stdcall fn StackWalk64(machine: u32, _process: Handle, _thread: Handle, frame: Ptr<StackFrame>, context: Ptr<u8>, _read: UserPtr, _table: UserPtr, _base: UserPtr, _translate: UserPtr) -> Bool {
        match (machine, width()) {
            (AMD64, Width::X64) => walk64(frame, context).into(),
            (I386, Width::X86) => walk32(frame).into(),
            _ => refuse(error::INVALID_PARAMETER, Bool::FALSE),
        }
    }
}
