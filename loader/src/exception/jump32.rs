//! `setjmp` and `longjmp` of i386 programs.
//!
//! Source: mingw-w64 `setjmp.h` `_JUMP_BUFFER` (i386); Microsoft Learn, "setjmp", "longjmp".

use super::chain32;
use super::scope32::{self, Version};
use crate::context::{Context, Record, reg};
use crate::export::{Callback, Ptr, VarArgs};
use crate::guest_struct;
use crate::teb;

guest_struct! {
    /// `_JUMP_BUFFER`.
    pub struct JumpBuffer {
        ebp: u32,
        ebx: u32,
        edi: u32,
        esi: u32,
        /// Where the return address of `_setjmp3` lay.
        esp: u32,
        eip: u32,
        /// Innermost registration of the thread.
        registration: u32,
        try_level: u32,
        /// [`HAS_UNWIND_FUNCTION`] if the fields behind it count.
        cookie: u32,
        unwind_function: Callback,
        unwind_data: [u32; 6],
    }
}

/// "VC20".
const HAS_UNWIND_FUNCTION: u32 = 0x5643_3230;
/// No registration; also the level outside of any `__try`.
const NONE: u32 = u32::MAX;
/// `STATUS_LONGJUMP`.
const LONGJUMP: u32 = 0x8000_0026;

/// Fills a buffer with the registers of `context`, which stands behind the call. The compiler passes `count` values:
/// a function that unwinds the frame, the present level, and data for that function.
pub fn store(context: &Context, buffer: Ptr<JumpBuffer>, count: u32, mut values: VarArgs) {
    let word = |register: usize| context.gpr[register] as u32;
    let registration = teb::EXCEPTION_LIST.at::<u32>(teb::this()).read();
    let mut stored = JumpBuffer {
        ebp: word(reg::RBP),
        ebx: word(reg::RBX),
        edi: word(reg::RDI),
        esi: word(reg::RSI),
        esp: word(reg::RSP).wrapping_sub(4),
        eip: context.rip as u32,
        registration,
        try_level: NONE,
        cookie: HAS_UNWIND_FUNCTION,
        unwind_function: Callback(0),
        unwind_data: [0; 6],
    };
    if registration != NONE {
        if count > 0 {
            stored.unwind_function = Callback(values.next_word());
        }
        stored.try_level = match count {
            // A plain registration has no level: then there is nothing to unwind in the frame either.
            0 | 1 => NONE,
            _ => values.next_word() as u32,
        };
        let data = stored.unwind_data.iter_mut();
        for to in data.take(count.saturating_sub(2) as usize) {
            *to = values.next_word() as u32;
        }
    }
    buffer.write(stored);
}

/// What a C++ function passed to `_setjmp3`.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The function's registration.
    pub registration: u64,
    /// State at the call.
    pub state: i32,
    /// The function's tables.
    pub tables: u64,
}

/// Returns what a C++ function passed when a buffer was filled.
pub fn place(buffer: Ptr<JumpBuffer>) -> Place {
    let stored = buffer.read();
    Place {
        registration: stored.registration.into(),
        state: stored.try_level.cast_signed(),
        tables: stored.unwind_data[0].into(),
    }
}

/// Continues where a buffer was filled, with `value`, after unwinding what lies between.
///
/// Runs guest code: hold no lock.
pub fn jump(caller: &Context, buffer: Ptr<JumpBuffer>, value: u32) -> ! {
    let stored = buffer.read();
    if stored.registration != NONE && stored.registration != 0 {
        let now = teb::EXCEPTION_LIST.at::<u32>(teb::this()).read();
        if now != stored.registration {
            let record = Record::new(LONGJUMP, 0, caller.rip, &[buffer.address()]);
            chain32::unwind(caller, stored.registration.into(), record);
        }
        if stored.cookie == HAS_UNWIND_FUNCTION && !stored.unwind_function.is_null() {
            stored.unwind_function.call(&[buffer.address()]);
        } else if stored.try_level != NONE {
            let frame = u64::from(stored.registration);
            scope32::unwind_local(Version::Three, frame, stored.try_level);
        }
    }
    let mut context = *caller;
    context.gpr[reg::RBP] = stored.ebp.into();
    context.gpr[reg::RBX] = stored.ebx.into();
    context.gpr[reg::RDI] = stored.edi.into();
    context.gpr[reg::RSI] = stored.esi.into();
    context.gpr[reg::RSP] = stored.esp.wrapping_add(4).into();
    context.gpr[reg::RAX] = value.into();
    context.rip = stored.eip.into();
    context.resume()
}
