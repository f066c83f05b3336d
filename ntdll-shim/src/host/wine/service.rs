//! The functions behind the thunks. Wine calls each with one pointer to its arguments, on its kernel stack.

use std::sync::OnceLock;

use ntlpc_abi::{CallId, for_each_call};

use super::arch::{Arguments, Service, service};
use super::host::Wine;
use super::ntdll::Ntdll;
use super::{hooks, pool, threads};
use crate::host;

macro_rules! port_calls {
    ($($name:ident = $family:ident :: $function:ident ($($arg:ident : $kind:ident),* $(,)?) $(-> $result:ident)?;)*) => {
        [$(service!(@port_call port_call::<{ CallId::$name as usize }>),)*]
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
    pub is_narrow: bool,
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

unsafe fn port_call<const INDEX: usize>(arguments: Arguments) -> u32 {
    // SAFETY: the arguments are those of this call.
    unsafe { arguments.port_call(CallId::ALL[INDEX]) }
}
