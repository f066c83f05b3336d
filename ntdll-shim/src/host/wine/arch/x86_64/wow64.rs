//! 32-bit programs in a 64-bit Wine process ("new WoW64"): the same calls in the ntdll of 32-bit code.
//!
//! That ntdll has a `__wine_unix_call_dispatcher` as well: a 32-bit function that switches to 64-bit code and the kernel
//! stack and calls `table[code](arguments)` there. So a thunk here needs no mode switch of its own, and the services run
//! as for 64-bit programs; only their arguments are narrow ([`narrow`]). Calls of Wine need no hooks
//! here: 32-bit code reaches them through the 64-bit ntdll.

use ntlpc_abi::{CallId, for_each_call};

use super::{Arguments, Service, service};
use crate::host::wine::code::Target;
use crate::host::wine::exports::Machine;
use crate::host::wine::inject::{DISPATCHER, Extension, Refusal};
use crate::host::wine::maps::MappedImage;
use crate::host::wine::memory::{Block, Image, Memory};
use crate::host::wine::narrow::{self, helper_thunk, thunk};
use crate::host::wine::threads;

/// Makes the calls for 32-bit code.
pub fn extend(memory: &Memory<'_>, mapped: &MappedImage) -> Result<Extension, Refusal> {
    let image = Image(mapped);
    let (headers, exports) = image.exports(Machine::X86)?;
    let variable = exports.find(DISPATCHER).ok_or(Refusal::NoDispatcher)?;
    let target = Target {
        table: TABLE.as_ptr() as u64,
        dispatcher_variable: mapped.base as u64 + u64::from(variable),
    };
    let mut code = Vec::new();
    let mut exported = Vec::new();
    for (index, id) in (0..).zip(CallId::ALL) {
        let call = id.call();
        let words = call.args.len();
        let at = add(
            &mut code,
            &match call.helper {
                None => thunk(target, index, words),
                Some(_) => helper_thunk(target, index, words),
            },
        );
        exported.extend(call.names().map(|name| (name, at)));
    }
    let thread = add(&mut code, &thunk(target, THREAD as u32, 1));
    let exported = exported.into_iter();
    let block = Block::new(
        memory,
        mapped.base,
        (&headers, &exports),
        code.len(),
        exported,
    )?;
    block.fill(memory, &code)?;
    let thread_thunk = (block.address + thread) as u64;
    Ok(Extension {
        block,
        thread_thunk,
    })
}

/// Appends code at an aligned offset, which is returned.
fn add(code: &mut Vec<u8>, thunk: &[u8]) -> usize {
    let at = code.len().next_multiple_of(16);
    code.resize(at, INT3);
    code.extend(thunk);
    at
}

macro_rules! port_calls {
    ($($name:ident = $family:ident :: $function:ident ($($arg:ident : $kind:ident),* $(,)?) $(-> $result:ident)?;)*) => {
        [$(service!(port_call::<{ CallId::$name as usize }>),)*]
    };
}

const PORT_CALLS: [Service; CallId::ALL.len()] = for_each_call!(port_calls);

/// Index of the body of threads of ours.
const THREAD: usize = PORT_CALLS.len();

/// The services in the order of their numbers.
static TABLE: [Service; THREAD + 1] = {
    let mut table: [Service; THREAD + 1] = [service!(thread); THREAD + 1];
    let mut index = 0;
    while index < THREAD {
        table[index] = PORT_CALLS[index];
        index += 1;
    }
    table
};

unsafe fn port_call<const INDEX: usize>(arguments: Arguments) -> u32 {
    // SAFETY: the thunk hands over where the words lie.
    unsafe { narrow::port_call(CallId::ALL[INDEX], arguments.0.cast()) }
}

unsafe fn thread(arguments: Arguments) -> u32 {
    // SAFETY: the first argument is what the thread was started with.
    let number = unsafe { narrow::argument(arguments.0.cast(), 0) };
    threads::run_body(number.into());
    0
}

const INT3: u8 = 0xcc;
