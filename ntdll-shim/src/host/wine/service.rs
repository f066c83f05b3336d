//! The functions behind the thunks. Wine calls each with one pointer to its arguments, eight bytes each, on its kernel
//! stack; narrow arguments carry garbage in their upper bits.

use super::hooks;
use super::ntdll::Ntdll;
use crate::interrupt;
use ntlpc_abi::{CallId, NtStatus, for_each_call};
use std::sync::OnceLock;

/// A function in Wine's table of unix calls.
pub type Service = unsafe extern "sysv64" fn(*mut u64) -> u32;

macro_rules! port_calls {
    ($($name:ident = $family:ident :: $function:ident ($($arg:ident : $kind:ident),* $(,)?);)*) => {
        [$(port_call::<{ CallId::$name as usize }>,)*]
    };
}

const PORT_CALLS: [Service; CallId::ALL.len()] = for_each_call!(port_calls);

/// The services in the order of their numbers: port calls, then hooks.
pub static TABLE: [Service; CallId::ALL.len() + hooks::HOOKS.len()] = {
    let mut table = [PORT_CALLS[0]; CallId::ALL.len() + hooks::HOOKS.len()];
    let mut index = 0;
    while index < table.len() {
        table[index] = if index < PORT_CALLS.len() {
            PORT_CALLS[index]
        } else {
            hooks::HOOKS[index - PORT_CALLS.len()].service
        };
        index += 1;
    }
    table
};

static NTDLL: OnceLock<Ntdll> = OnceLock::new();

/// Makes Wine's functions known to the services, before any of them can be called.
pub fn start(ntdll: Ntdll) {
    let _ = NTDLL.set(ntdll);
}

/// Wine's functions.
///
/// # Panics
/// If called before [`start`], which precedes every thunk.
pub fn ntdll() -> &'static Ntdll {
    NTDLL.get().expect("services run after the injection")
}

unsafe extern "sysv64" fn port_call<const INDEX: usize>(_arguments: *mut u64) -> u32 {
    interrupt::reset();
    log::warn!("{} is not supported", CallId::ALL[INDEX].call().name);
    NtStatus::NOT_SUPPORTED.0
}
