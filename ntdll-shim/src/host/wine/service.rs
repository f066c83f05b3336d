//! The functions behind the thunks. Wine calls each with one pointer to its arguments, eight bytes each, on its kernel
//! stack; narrow arguments carry garbage in their upper bits.

use std::sync::OnceLock;

use ntlpc_abi::{CallId, for_each_call};

use super::host::Wine;
use super::ntdll::Ntdll;
use super::{callers, hooks, pool, threads};
use crate::{Fault, Slots, call, host};

/// A function in Wine's table of unix calls.
pub type Service = unsafe extern "sysv64" fn(*mut u64) -> u32;

/// Makes a service of a function: the calling thread is stopped and ended only in its waits.
macro_rules! service {
    ($body:expr) => {{
        unsafe extern "sysv64" fn entered(arguments: *mut u64) -> u32 {
            let _call = $crate::interrupt::begin();
            // SAFETY: Wine's own arguments.
            unsafe { $body(arguments) }
        }
        entered
    }};
}
pub(super) use service;

macro_rules! port_calls {
    ($($name:ident = $family:ident :: $function:ident ($($arg:ident : $kind:ident),* $(,)?) $(-> $result:ident)?;)*) => {
        [$(service!(port_call::<{ CallId::$name as usize }>),)*]
    };
}

const PORT_CALLS: [Service; CallId::ALL.len()] = for_each_call!(port_calls);

/// Index of the body of threads of ours.
pub const THREAD: usize = PORT_CALLS.len() + hooks::HOOKS.len();

/// The services in the order of their numbers: port calls, hooks, threads of ours, the pool.
pub static TABLE: [Service; pool::FIRST + pool::SERVICES.len()] = {
    let mut table: [Service; pool::FIRST + pool::SERVICES.len()] =
        [service!(threads::run); pool::FIRST + pool::SERVICES.len()];
    let mut index = 0;
    while index < THREAD {
        table[index] = if index < PORT_CALLS.len() {
            PORT_CALLS[index]
        } else {
            hooks::HOOKS[index - PORT_CALLS.len()].service
        };
        index += 1;
    }
    index = 0;
    while index < pool::SERVICES.len() {
        table[pool::FIRST + index] = pool::SERVICES[index];
        index += 1;
    }
    table
};

static NTDLL: OnceLock<Ntdll> = OnceLock::new();
static GUEST: OnceLock<Guest> = OnceLock::new();

/// What runs in this process.
#[derive(Clone, Copy, Debug)]
pub struct Guest {
    /// Whether it is a 32-bit program, whose threads start in 32-bit code.
    pub is_wow64: bool,
    /// Start address of threads of ours: the thunk that leads to their body.
    pub thread_thunk: u64,
}

/// Makes Wine's functions known to the services and Wine the host, before any of them can be called.
pub fn start(ntdll: Ntdll, guest: Guest) {
    let _ = NTDLL.set(ntdll);
    let _ = GUEST.set(guest);
    host::install(Box::new(Wine));
}

/// What runs in this process.
///
/// # Panics
/// If called before [`start`], which precedes every thunk.
pub fn guest() -> Guest {
    *GUEST.get().expect("services run after the injection")
}

/// Wine's functions.
///
/// # Panics
/// If called before [`start`], which precedes every thunk.
pub fn ntdll() -> &'static Ntdll {
    NTDLL.get().expect("services run after the injection")
}

unsafe extern "sysv64" fn port_call<const INDEX: usize>(arguments: *mut u64) -> u32 {
    let id = CallId::ALL[INDEX];
    let helper = id.call().helper;
    // A helper's thunk fetches the result from the first slot, even of a helper without arguments (home area).
    let count = id.call().args.len();
    // SAFETY: the thunk made the arguments lie in a row; a caller that passed fewer leaves stack of its own there. Nobody
    // writes to them while the call runs.
    let slots = unsafe { std::slice::from_raw_parts(arguments, count) };
    let outcome = call(id, Slots(slots));
    callers::leave();
    if helper.is_none() {
        return outcome.unwrap_or_default() as u32;
    }
    let (result, has_faulted) = match outcome {
        Ok(bits) => (bits, 0),
        Err(Fault(address)) => (address.0, 1),
    };
    // SAFETY: the first slot is the caller's home area, and the slice above is used no more.
    unsafe { arguments.write(result) };
    has_faulted
}
