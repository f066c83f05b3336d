//! `__try` of i386 programs: `_except_handler3`, `_except_handler4_common` and the unwinds they call.
//!
//! Both keep a registration with more fields in each frame, 16 bytes below its frame pointer, and a scope table per
//! function. Source: Matt Pietrek, "A Crash Course on the Depths of Win32 Structured Exception Handling", Microsoft
//! Systems Journal, January 1997 (version 3); LLVM `X86WinEHState.cpp`, `WinException.cpp` (version 4).

use super::chain32;
use crate::context::{Context, Record, flag, reg};
use crate::export::{Callback, Ptr};
use crate::gate::{ActivationPtr, gate32};
use crate::guest_struct;

guest_struct! {
    /// The registration of a frame with `__try`; the frame pointer is the address behind it.
    struct TryFrame {
        next: u32,
        handler: Callback,
        table: u32,
        level: u32,
    }

    /// One `__try`; a NULL filter means `__finally`.
    struct Scope {
        enclosing: u32,
        filter: Callback,
        handler: Callback,
    }

    /// What lies before the scopes of version 4; offsets from the frame pointer, -2 for none.
    struct Cookies {
        gs_offset: i32,
        gs_xor: i32,
        eh_offset: i32,
        eh_xor: i32,
    }
}

/// Bytes from a registration to its frame pointer.
const FRAME_POINTER: u64 = 0x10;
/// Where the frame keeps the address of `EXCEPTION_POINTERS`, before its registration.
const POINTERS_BEFORE: u64 = 4;
/// `ExceptionContinueExecution`, `ExceptionContinueSearch`.
const CONTINUE_EXECUTION: i32 = 0;
const CONTINUE_SEARCH: i32 = 1;

/// Which layout of scope tables a handler understands.
#[derive(Clone, Copy, Debug)]
pub enum Version {
    /// Plain.
    Three,
    /// The table's address is mixed with the cookie; the image's check of a cookie is called.
    Four {
        /// The image's `__security_cookie`.
        cookie: u32,
        /// The image's `__security_check_cookie`, which takes its argument in ecx.
        check: Callback,
    },
}

impl Version {
    /// The level of a frame outside of any `__try`.
    fn outside(self) -> u32 {
        match self {
            Version::Three => u32::MAX,
            Version::Four { .. } => u32::MAX - 1,
        }
    }

    fn scopes(self, frame: &TryFrame) -> Ptr<Scope> {
        match self {
            Version::Three => Ptr::new(frame.table.into()),
            Version::Four { cookie, .. } => Ptr::<Cookies>::new((frame.table ^ cookie).into())
                .add(1)
                .cast(),
        }
    }

    /// Lets the image check the cookies of a frame.
    fn check(self, at: Ptr<TryFrame>) {
        /// No cookie at this offset.
        const NONE: i32 = -2;
        let Version::Four { cookie, check } = self else {
            return;
        };
        let pointer = at.address() as u32 + FRAME_POINTER as u32;
        let cookies = Ptr::<Cookies>::new((at.read().table ^ cookie).into()).read();
        let check_one = |offset: i32, xor: i32| {
            let stored = Ptr::<u32>::new(pointer.wrapping_add_signed(offset).into()).read();
            check.call_method(&[u64::from(stored ^ pointer.wrapping_add_signed(xor))]);
        };
        if cookies.gs_offset != NONE {
            check_one(cookies.gs_offset, cookies.gs_xor);
        }
        check_one(cookies.eh_offset, cookies.eh_xor);
    }
}

/// Handles one frame in the search or unwind phase; returns the disposition.
///
/// Runs guest code: hold no lock.
pub fn handle(
    version: Version,
    record_at: u64,
    frame: u64,
    context_at: u64,
    caller: ActivationPtr,
) -> i32 {
    let at = Ptr::<TryFrame>::new(frame);
    version.check(at);
    let record = Record::load(record_at);
    if record.flags & flag::UNWIND != 0 {
        // The frame keeps its level: another unwind that collides with this one may ask again and goes on.
        chain32::set_first(frame);
        unwind_local(version, frame, version.outside());
        return CONTINUE_SEARCH;
    }
    // EXCEPTION_POINTERS lie on this thread's stack, which is the guest's.
    let pointers = [record_at as u32, context_at as u32];
    Ptr::<u32>::new(frame - POINTERS_BEFORE).write((&raw const pointers) as u32);
    let scopes = version.scopes(&at.read());
    let mut level = at.read().level;
    while level != version.outside() {
        let scope = scopes.add(level as usize).read();
        if !scope.filter.is_null() {
            let verdict = gate32::call_in_frame(scope.filter.0, frame + FRAME_POINTER);
            match verdict.cast_signed() {
                0 => {}
                ..0 => return CONTINUE_EXECUTION,
                1.. => execute(version, frame, level, &scope, record, caller),
            }
        }
        level = scope.enclosing;
    }
    CONTINUE_SEARCH
}

/// Unwinds to a frame and continues in its `__except` block, which loads the stack pointer itself.
fn execute(
    version: Version,
    frame: u64,
    level: u32,
    scope: &Scope,
    record: Record,
    caller: ActivationPtr,
) -> ! {
    let mut context = Context::after_call(&caller.get());
    chain32::unwind(&context, frame, record);
    unwind_local(version, frame, level);
    let at = Ptr::<TryFrame>::new(frame);
    let mut stored = at.read();
    stored.level = scope.enclosing;
    at.write(stored);
    context.gpr[reg::RBP] = frame + FRAME_POINTER;
    context.rip = scope.handler.0;
    context.resume()
}

/// Runs the `__finally` blocks of a frame from its present level out to `stop`: `_local_unwind2`.
///
/// Runs guest code: hold no lock.
pub fn unwind_local(version: Version, frame: u64, stop: u32) {
    let at = Ptr::<TryFrame>::new(frame);
    loop {
        let mut now = at.read();
        if now.level == version.outside() || now.level == stop {
            return;
        }
        let scope = version.scopes(&now).add(now.level as usize).read();
        // Before the block runs: an exception in it must not run it again.
        now.level = scope.enclosing;
        at.write(now);
        if scope.filter.is_null() {
            gate32::call_in_frame(scope.handler.0, frame + FRAME_POINTER);
        }
    }
}
