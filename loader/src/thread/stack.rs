//! Stacks of guest threads.
//!
//! ```text
//! low                                                          high
//! | one page, never accessible | guard | usable, grows down ... |
//! ```
//!
//! The first touch of the guard raises `STATUS_STACK_OVERFLOW` and opens it, so that handlers have room.
#![allow(unsafe_code, reason = "switches to a guest stack")]

use crate::vm::{self, Kind, PAGE, page, sys};
use crate::{gate, teb, width};

/// Bytes at the low end, from the inaccessible page to the end of the guard.
pub const GUARD_BYTES: u64 = 0x1_1000;
/// Our functions run on the guest's stack; less than this would not hold them.
const LEAST: u64 = 0x4_0000;
/// Largest stack given.
const MOST: u64 = 0x4000_0000;

/// A stack; unmapped when dropped.
#[derive(Debug)]
pub struct Stack {
    base: u64,
    bytes: u64,
}

impl Stack {
    /// Makes a stack with `reserve` usable bytes.
    pub fn new(reserve: u64) -> std::io::Result<Stack> {
        let usable = reserve
            .clamp(LEAST, MOST)
            .next_multiple_of(vm::GRANULARITY as u64);
        let bytes = (usable + GUARD_BYTES).next_multiple_of(vm::GRANULARITY as u64);
        let below = width().pick(0x7fff_0000, vm::HIGHEST_X64);
        let base = vm::SPACE
            .lock()
            .reserve_image(bytes as usize, libc::PROT_READ | libc::PROT_WRITE, below)
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::OutOfMemory))?;
        sys::protect(base, GUARD_BYTES as usize, libc::PROT_NONE)?;
        let mut space = vm::SPACE.lock();
        space.register(
            base,
            bytes as usize,
            Kind::Private,
            page::READWRITE,
            page::READWRITE,
        );
        space.note_protection(base, PAGE, page::NOACCESS);
        space.note_protection(
            base + PAGE,
            GUARD_BYTES as usize - PAGE,
            page::READWRITE | page::GUARD,
        );
        Ok(Stack {
            base: base as u64,
            bytes,
        })
    }

    /// Returns lowest and end address.
    #[must_use]
    pub fn range(&self) -> (u64, u64) {
        (self.base, self.base + self.bytes)
    }

    /// Runs `body` on this stack; it may leave by [`gate::leave_stack`].
    pub fn run(&self, body: &mut dyn FnMut() -> u32) -> u32 {
        extern "C" fn trampoline(argument: u64) -> u64 {
            // SAFETY: `argument` is the address of `body` below, which lives until `enter_stack` returns.
            let body = unsafe { &mut *(argument as *mut &mut dyn FnMut() -> u32) };
            u64::from(body())
        }
        let mut body = body;
        let argument = &raw mut body as u64;
        // SAFETY: GS is this thread's TEB, installed before; the stack is fresh and 64 KiB aligned.
        unsafe { gate::enter_stack(self.range().1, trampoline, argument) as u32 }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        vm::SPACE.lock().unregister(self.base as usize);
        sys::unmap(self.base as usize, self.bytes as usize);
    }
}

/// Opens the guard of the thread with this TEB if `address` lies in it; returns whether it did.
///
/// Async-signal-safe.
pub fn open_guard(teb: u64, address: u64) -> bool {
    let low = teb::DEALLOCATION_STACK.at::<usize>(teb).read() as u64;
    if !(low + PAGE as u64..low + GUARD_BYTES).contains(&address) {
        return false;
    }
    let (at, bytes) = (low as usize + PAGE, GUARD_BYTES as usize - PAGE);
    if sys::protect(at, bytes, libc::PROT_READ | libc::PROT_WRITE).is_err() {
        return false;
    }
    vm::SPACE.lock().note_protection(at, bytes, page::READWRITE);
    teb::STACK_LIMIT.at::<usize>(teb).write(at);
    true
}

/// Closes the guard of the calling thread again: `_resetstkoflw`. Returns whether there is room.
pub fn close_guard() -> bool {
    let low = teb::read_word(teb::DEALLOCATION_STACK.offset()) as usize;
    let (at, bytes) = (low + PAGE, GUARD_BYTES as usize - PAGE);
    let here = std::ptr::from_ref(&at) as usize;
    if here < at + bytes + PAGE || sys::protect(at, bytes, libc::PROT_NONE).is_err() {
        return false;
    }
    vm::SPACE
        .lock()
        .note_protection(at, bytes, page::READWRITE | page::GUARD);
    teb::STACK_LIMIT
        .at::<usize>(teb::current())
        .write(at + bytes);
    true
}
