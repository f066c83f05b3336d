//! 32-bit programs in a 64-bit Wine process ("new WoW64"): the same calls in the ntdll of 32-bit code.
//!
//! That ntdll has a `__wine_unix_call_dispatcher` as well: a 32-bit function that switches to 64-bit code and the kernel
//! stack and calls `table[code](arguments)` there. So a thunk here needs no mode switch of its own, and the services run
//! as for 64-bit programs; only their arguments are narrow. The result lies on the caller's stack and not in eax, which
//! Wine does not keep where a user APC runs before the call returns. Calls of Wine need no hooks here: 32-bit code reaches them
//! through the 64-bit ntdll.
//!
//! Source: System V ABI, Intel386 supplement, and MSDN "Argument Passing and Naming Conventions" for stdcall.

use ntlpc_abi::{ArgKind, CallId, for_each_call};

use super::callers;
use super::exports::Machine;
use super::inject::Refusal;
use super::maps::MappedImage;
use super::memory::{Block, Image, Memory};
use super::service::{Service, service};
use super::threads;
use crate::{Fault, Slots, call};

/// The exported variable, in the ntdll of either width.
pub const DISPATCHER: &str = "__wine_unix_call_dispatcher";

/// What was put beside the ntdll of 32-bit code.
#[derive(Debug)]
pub struct Extension {
    /// Where; not yet published.
    pub block: Block,
    /// Start address of threads of ours.
    pub thread_thunk: u64,
}

/// Makes the calls for 32-bit code.
pub fn extend(memory: &Memory<'_>, mapped: &MappedImage) -> Result<Extension, Refusal> {
    let image = Image(mapped);
    let (headers, exports) = image.exports(Machine::X86)?;
    let variable = exports.find(DISPATCHER).ok_or(Refusal::NoDispatcher)?;
    let target = Target {
        table: TABLE.as_ptr() as u64,
        dispatcher_variable: mapped.base as u32 + variable,
    };
    let mut code = Vec::new();
    let mut exported = Vec::new();
    for (index, id) in CallId::ALL.iter().enumerate() {
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
    let thread = add(&mut code, &thunk(target, THREAD, 1));
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

/// Where thunks lead.
#[derive(Clone, Copy, Debug)]
struct Target {
    /// Address of the table of services, somewhere in 64-bit memory.
    table: u64,
    /// Address of the variable that holds the dispatcher's; Wine fills it later.
    dispatcher_variable: u32,
}

/// Thunk of call `index` with `words` arguments: `dispatcher(table, index, &result)`, stdcall. The result lies before the return
/// address and the arguments.
fn thunk(target: Target, index: usize, words: usize) -> Vec<u8> {
    let mut code = Vec::with_capacity(40);
    call_service(&mut code, target, index);
    code.push(0x58); // pop eax
    ret(&mut code, words);
    code
}

/// Thunk of helper `index`: as [`thunk`]. If the service says that the helper faulted, the result is the address, which is
/// then touched so that the caller gets the exception.
fn helper_thunk(target: Target, index: usize, words: usize) -> Vec<u8> {
    let mut code = Vec::with_capacity(48);
    call_service(&mut code, target, index);
    code.extend([0x85, 0xc0]); // test eax, eax
    code.push(0x58); // pop eax
    code.extend([0x74, 0x07]); // je done
    code.extend([0x8a, 0x08]); // mov cl, [eax]
    code.extend([0x80, 0x08, 0x00]); // or byte [eax], 0
    code.extend([0x31, 0xc0]); // xor eax, eax
    ret(&mut code, words); // done:
    code
}

/// Makes room for the result and calls service `index`.
fn call_service(code: &mut Vec<u8>, target: Target, index: usize) {
    code.extend([0x6a, 0x00]); // push 0
    code.push(0x54); // push esp: where the result lies
    for word in [
        index as u32,
        (target.table >> 32) as u32,
        target.table as u32,
    ] {
        code.push(0x68); // push word
        code.extend(word.to_le_bytes());
    }
    code.extend([0xff, 0x15]); // call [dispatcher_variable]
    code.extend(target.dispatcher_variable.to_le_bytes());
}

/// Returns, and removes the arguments.
fn ret(code: &mut Vec<u8>, words: usize) {
    code.push(0xc2); // ret 4 * words
    code.extend((4 * words as u16).to_le_bytes());
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

/// The result and the return address lie before the arguments.
const FIRST: usize = 2;
/// More arguments than any call has.
const MOST: usize = 16;

unsafe extern "sysv64" fn port_call<const INDEX: usize>(words: *mut u64) -> u32 {
    let words = words.cast::<u32>();
    let id = CallId::ALL[INDEX];
    let args = id.call().args;
    const { assert!(CallId::ALL[INDEX].call().args.len() <= MOST) };
    let mut slots = [0; MOST];
    for (at, (slot, (_, kind))) in slots.iter_mut().zip(args).enumerate() {
        // SAFETY: the thunk hands over where the arguments lie in a row; a caller that passed fewer leaves stack of its own
        // there.
        let word = unsafe { words.add(FIRST + at).read_unaligned() };
        *slot = match kind {
            ArgKind::Handle => i64::from(word.cast_signed()).cast_unsigned(),
            _ => word.into(),
        };
    }
    let outcome = call(id, Slots(&slots[..args.len()]));
    callers::leave();
    let (result, has_faulted) = match outcome {
        Ok(bits) => (bits as u32, 0),
        Err(Fault(address)) => (address.0 as u32, 1),
    };
    // SAFETY: the thunk made the word.
    unsafe { words.write_unaligned(result) };
    if id.call().helper.is_some() {
        has_faulted
    } else {
        result
    }
}

unsafe extern "sysv64" fn thread(words: *mut u64) -> u32 {
    // SAFETY: the first argument is what the thread was started with.
    let number = unsafe { words.cast::<u32>().add(FIRST).read_unaligned() };
    threads::run_body(number.into());
    0
}

const INT3: u8 = 0xcc;

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Target = Target {
        table: 0x1122_3344_5566_7788,
        dispatcher_variable: 0x7bc6_a4e0,
    };

    #[test]
    fn thunk_pushes_the_dispatchers_arguments_and_removes_its_own() {
        let code = thunk(TARGET, 7, 11);
        let expected = [
            &[0x6a, 0x00, 0x54][..],
            &[0x68, 7, 0, 0, 0],
            &[0x68, 0x44, 0x33, 0x22, 0x11],
            &[0x68, 0x88, 0x77, 0x66, 0x55],
            &[0xff, 0x15, 0xe0, 0xa4, 0xc6, 0x7b],
            &[0x58, 0xc2, 44, 0],
        ];
        assert_eq!(code, expected.concat());
    }

    #[test]
    fn helper_jumps_over_the_touch() {
        let code = helper_thunk(TARGET, 7, 2);
        let operand = code.len() - 3 - 7 - 1;
        assert_eq!(code[operand - 1..=operand], [0x74, 7]);
        assert_eq!(code[code.len() - 3..], [0xc2, 8, 0]);
    }
}
