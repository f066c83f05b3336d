//! What is put beside PE ntdll, whatever the machine: where thunks lead, what the stubs of hooked calls test and how they are
//! laid out. The machine code of each step is made by [`super::arch`]; short jumps are the same on both machines.

use super::arch::code::{SYSCALL_THUNK, compare_handle, compare_word, test_handle, thunk};

/// Bytes of the jump that replaces the start of a hooked thunk.
pub const JUMP: usize = 5;

/// Where thunks lead: the table of services and Wine's exported variable `__wine_unix_call_dispatcher`.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Address of the table of services, Wine's "unixlib handle".
    pub table: u64,
    /// Address of the variable; Wine may fill it later than the thunk is made.
    pub dispatcher_variable: u64,
}

/// One test of a stub. Tests run in order; if none decides, the original call runs.
#[derive(Clone, Copy, Debug)]
pub enum Test {
    /// Service if the 32-bit word at this address is not zero.
    ServiceIf(u64),
    /// Original call if the 32-bit word at this address is zero.
    OriginalUnless(u64),
    /// Service if the first argument is a handle with one of the mask's bits in the map, or lies beyond the map.
    HandleHas(HandleMap, u8),
    /// Service if the first argument is a handle with none of the mask's bits in the map, or lies beyond the map.
    HandleLacks(HandleMap, u8),
}

/// A byte for every low handle, indexed by handle / 4.
#[derive(Clone, Copy, Debug)]
pub struct HandleMap {
    /// Address of the first byte.
    pub address: u64,
    /// Number of bytes.
    pub length: u32,
}

/// Opcodes of short jumps.
pub const JAE: u8 = 0x73;
pub const JE: u8 = 0x74;
pub const JNE: u8 = 0x75;

#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Service,
    Original,
}

/// Stub of a hooked call of `words` arguments: tests, the original thunk, the thunk of service `index`; without tests the last
/// alone.
pub fn hook(
    target: Target,
    index: u32,
    words: usize,
    tests: &[Test],
    original: &[u8; SYSCALL_THUNK],
) -> Vec<u8> {
    if tests.is_empty() {
        return thunk(target, index, words);
    }
    let mut code = Vec::with_capacity(192);
    let mut jumps = Vec::new();
    for test in tests {
        emit(&mut code, &mut jumps, *test);
    }
    let to_original = code.len();
    code.extend(original);
    let to_service = code.len();
    code.extend(thunk(target, index, words));
    for (operand, to) in jumps {
        let destination = if to == To::Service {
            to_service
        } else {
            to_original
        };
        let distance = destination - (operand + 1);
        debug_assert!(
            distance < 0x80,
            "short jumps reach over three tests and a thunk"
        );
        code[operand] = distance as u8;
    }
    code
}

/// Appends a test; notes where the operands of its short jumps are.
fn emit(code: &mut Vec<u8>, jumps: &mut Vec<(usize, To)>, test: Test) {
    let mut jump = |code: &mut Vec<u8>, opcode: u8, to: To| {
        code.extend([opcode, 0]);
        jumps.push((code.len() - 1, to));
    };
    match test {
        Test::ServiceIf(address) => {
            compare_word(code, address);
            jump(code, JNE, To::Service);
        }
        Test::OriginalUnless(address) => {
            compare_word(code, address);
            jump(code, JE, To::Original);
        }
        Test::HandleHas(map, mask) | Test::HandleLacks(map, mask) => {
            compare_handle(code, map);
            jump(code, JAE, To::Service);
            test_handle(code, map, mask);
            let has = matches!(test, Test::HandleHas(..));
            jump(code, if has { JNE } else { JE }, To::Service);
        }
    }
}

/// `jmp rel32` at `from` to `to`, if it is in reach.
pub fn jump(from: u64, to: u64) -> Option<[u8; JUMP]> {
    let distance = to
        .wrapping_sub(from.wrapping_add(JUMP as u64))
        .cast_signed();
    let distance = i32::try_from(distance).ok()?.to_le_bytes();
    Some([0xe9, distance[0], distance[1], distance[2], distance[3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jump_out_of_reach_is_none() {
        assert!(jump(0x1000, 0x1_0000_0000_0000).is_none());
        assert_eq!(jump(0x1000, 0x1005), Some([0xe9, 0, 0, 0, 0]));
    }
}
