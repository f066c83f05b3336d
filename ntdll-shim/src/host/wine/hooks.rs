//! Calls of Wine that must know ports: which, when our service takes part, and what it does.

use super::code::{HandleMap, Test};
use super::service::{Service, ntdll};
use std::sync::atomic::{AtomicU8, Ordering};

/// A hooked call of PE ntdll.
pub struct Hook {
    /// Exported name.
    pub name: &'static str,
    /// Runs if one of the tests asks for it.
    pub service: Service,
    /// Decides in machine code whether Wine's own call runs without us.
    pub tests: fn() -> Vec<Test>,
}

/// Every hook.
pub const HOOKS: &[Hook] = &[Hook {
    name: "NtClose",
    service: close,
    tests: known_handles,
}];

/// Bits of a byte of [`HANDLES`].
const PORT: u8 = 1;
/// Known not to be a waitable port.
const PLAIN: u8 = 2;

/// What is known of each handle below `4 * HANDLES.len()`; greater ones always take the way through the services.
static HANDLES: [AtomicU8; 0x1_0000] = [const { AtomicU8::new(0) }; 0x1_0000];

fn map() -> HandleMap {
    HandleMap {
        address: HANDLES.as_ptr() as u64,
        length: HANDLES.len() as u32,
    }
}

fn known_handles() -> Vec<Test> {
    vec![Test::HandleHas(map(), PORT | PLAIN)]
}

/// `NtClose(Handle)`.
unsafe extern "sysv64" fn close(arguments: *mut u64) -> u32 {
    // SAFETY: Wine passes the arguments of the call.
    let handle = unsafe { *arguments };
    if let Some(known) = HANDLES.get((handle >> 2) as usize) {
        known.store(0, Ordering::Relaxed);
    }
    let ntdll = ntdll();
    // SAFETY: the caller's own argument.
    unsafe { ntdll.call(ntdll.NtClose, [handle]) }
}
