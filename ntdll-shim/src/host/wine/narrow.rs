//! Calls of 32-bit code: thunks in its ntdll, and their arguments as the services find them.
//!
//! A service is called with the address of a word for the result, behind which lie the return address of the thunk's caller and the
//! arguments. The result lies there and not in eax, which Wine does not keep where a user APC runs before the call returns.
//!
//! Source: System V ABI, Intel386 supplement, and MSDN "Argument Passing and Naming Conventions" for stdcall.

use ntlpc_abi::{ArgKind, CallId};

use super::callers;
use super::code::Target;
use crate::{Fault, Slots, call};

/// Thunk of call `index` with `words` arguments: `dispatcher(table, index, &result)`, stdcall. The result lies before the return
/// address and the arguments.
pub fn thunk(target: Target, index: u32, words: usize) -> Vec<u8> {
    let mut code = Vec::with_capacity(40);
    call_service(&mut code, target, index);
    code.push(0x58); // pop eax
    ret(&mut code, words);
    code
}

/// Thunk of helper `index`: as [`thunk`]. If the service says that the helper faulted, the result is the address, which is
/// then touched so that the caller gets the exception.
pub fn helper_thunk(target: Target, index: u32, words: usize) -> Vec<u8> {
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
pub fn call_service(code: &mut Vec<u8>, target: Target, index: u32) {
    code.extend([0x6a, 0x00]); // push 0
    code.push(0x54); // push esp: where the result lies
    for word in [index, (target.table >> 32) as u32, target.table as u32] {
        code.push(0x68); // push word
        code.extend(word.to_le_bytes());
    }
    code.extend([0xff, 0x15]); // call [dispatcher_variable]
    code.extend((target.dispatcher_variable as u32).to_le_bytes());
}

/// Returns, and removes the arguments.
pub fn ret(code: &mut Vec<u8>, words: usize) {
    code.push(0xc2); // ret 4 * words
    code.extend((4 * words as u16).to_le_bytes());
}

/// Reads an argument, by its place among them: they begin behind the result and the return address.
///
/// # Safety
/// `words` is what a thunk handed over; a caller that passed fewer arguments leaves stack of its own there.
pub unsafe fn argument(words: *mut u32, at: usize) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { words.add(FIRST + at).read_unaligned() }
}

/// Where the arguments begin.
pub const FIRST: usize = 2;
/// More arguments than any call has.
const MOST: usize = 16;

/// Makes a port call whose result and arguments lie at `words`; returns what a service returns.
///
/// # Safety
/// `words` is what a thunk handed over, and nobody else uses it.
pub unsafe fn port_call(id: CallId, words: *mut u32) -> u32 {
    let args = &id.call().args[..id.call().args.len().min(MOST)];
    let mut slots = [0; MOST];
    for (at, (slot, (_, kind))) in slots.iter_mut().zip(args).enumerate() {
        // SAFETY: by contract.
        let word = unsafe { argument(words, at) };
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
