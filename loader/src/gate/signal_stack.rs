//! The stack a thread's signal handlers run on: the guest's own may be what faults.
#![allow(unsafe_code, reason = "sets the alternate stack")]

use crate::vm;

/// Bytes of a thread's alternate stack.
const ALTERNATE_STACK: usize = 0x1_0000;

/// Gives the calling thread an alternate stack; returns what [`remove`] takes.
pub fn install() -> usize {
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    let Ok(base) = vm::sys::map(
        None,
        ALTERNATE_STACK,
        prot,
        vm::sys::Backing::Anonymous,
        false,
    ) else {
        crate::fatal(format_args!("no memory for a signal stack"));
    };
    set_alternate_stack(base as *mut libc::c_void, 0);
    base
}

/// Takes the alternate stack of the calling thread away.
pub fn remove(base: usize) {
    set_alternate_stack(std::ptr::null_mut(), libc::SS_DISABLE);
    vm::sys::unmap(base, ALTERNATE_STACK);
}

fn set_alternate_stack(base: *mut libc::c_void, flags: i32) {
    let stack = libc::stack_t {
        ss_sp: base,
        ss_flags: flags,
        ss_size: ALTERNATE_STACK,
    };
    // SAFETY: the stack is mapped until it is taken away again.
    if unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) } != 0 {
        crate::fatal(format_args!(
            "cannot set a signal stack: {}",
            std::io::Error::last_os_error()
        ));
    }
}
