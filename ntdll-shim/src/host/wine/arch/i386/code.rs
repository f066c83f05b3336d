//! Machine code put beside PE ntdll: stubs of hooked calls (Intel SDM vol. 2). The thunks are those of any 32-bit ntdll.
//!
//! At the entry of a call its arguments follow the return address at `[esp]`; eax, ecx and edx are free to use.

use crate::host::wine::code::{HandleMap, JE, JNE, Target};
use crate::host::wine::narrow::{call_service, ret};
pub use crate::host::wine::narrow::{helper_thunk, thunk};

/// Length of a system call thunk of Wine's PE ntdll, without what pads it.
pub const SYSCALL_THUNK: usize = 15;

/// Stub of NtRaiseException(Record, Context, FirstChance). A second chance, if the word at `has_port` is not zero, goes to
/// service `index` first; if it returns 0, the thread goes on by NtContinue(Context, FALSE) at `go_on`.
pub fn second_chance(
    target: Target,
    index: u32,
    has_port: u64,
    go_on: u64,
    original: &[u8; SYSCALL_THUNK],
) -> Vec<u8> {
    let mut code = Vec::with_capacity(96);
    let mut jumps = Vec::new();
    let mut to_original = |code: &mut Vec<u8>, opcode: u8| {
        code.extend([opcode, 0]);
        jumps.push(code.len() - 1);
    };
    code.extend([0x80, 0x7c, 0x24, 0x0c, 0x00]); // cmp byte [esp+12], 0
    to_original(&mut code, JNE);
    code.extend([0x83, 0x3d]); // cmp dword [has_port], 0
    code.extend((has_port as u32).to_le_bytes());
    code.push(0x00);
    to_original(&mut code, JE);
    call_service(&mut code, target, index);
    code.push(0x58); // pop eax
    code.extend([0x85, 0xc0]); // test eax, eax
    to_original(&mut code, JNE);
    code.extend([0x8b, 0x44, 0x24, 0x08]); // mov eax, [esp+8]
    code.extend([0x6a, 0x00]); // push 0
    code.push(0x50); // push eax
    code.push(0xb8); // mov eax, go_on
    code.extend((go_on as u32).to_le_bytes());
    code.extend([0xff, 0xd0]); // call eax
    ret(&mut code, 3);
    for operand in jumps {
        code[operand] = (code.len() - (operand + 1)) as u8;
    }
    code.extend(original);
    code
}

/// Returns whether `bytes` are the system call thunk of a function with `words` arguments: `mov eax, number; mov edx, dispatcher;
/// call edx; ret 4 * words`.
pub fn is_syscall_thunk(bytes: &[u8; SYSCALL_THUNK], words: usize) -> bool {
    let mut end = vec![0xff, 0xd2];
    ret(&mut end, words);
    bytes[0] == 0xb8 && bytes[5] == 0xba && bytes.ends_with(&end)
}

/// Compares the word at an address with 0.
pub fn compare_word(code: &mut Vec<u8>, address: u64) {
    code.extend([0x83, 0x3d]); // cmp dword [address], 0
    code.extend((address as u32).to_le_bytes());
    code.push(0x00);
}

/// Makes the index of the first argument, a handle, and compares it with the length of a map.
pub fn compare_handle(code: &mut Vec<u8>, map: HandleMap) {
    code.extend([0x8b, 0x4c, 0x24, 0x04]); // mov ecx, [esp+4]
    code.extend([0xc1, 0xe9, 0x02]); // shr ecx, 2
    code.extend([0x81, 0xf9]); // cmp ecx, length
    code.extend(map.length.to_le_bytes());
}

/// Tests the bits of a mask in the map's byte of that index.
pub fn test_handle(code: &mut Vec<u8>, map: HandleMap, mask: u8) {
    code.extend([0xf6, 0x81]); // test byte [ecx+map], mask
    code.extend((map.address as u32).to_le_bytes());
    code.push(mask);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::wine::code::{JAE, Test, hook};

    const TARGET: Target = Target {
        table: 0x1122_3344,
        dispatcher_variable: 0x10,
    };
    const ORIGINAL: [u8; SYSCALL_THUNK] = [
        0xb8, 0x15, 0x00, 0x00, 0x00, 0xba, 0x20, 0xc6, 0xc0, 0x7b, 0xff, 0xd2, 0xc2, 0x04, 0x00,
    ];

    #[test]
    fn every_jump_of_a_stub_leads_to_its_part() {
        let map = HandleMap {
            address: 0x30,
            length: 0x1_0000,
        };
        let tests = [Test::OriginalUnless(0x20), Test::HandleLacks(map, 1)];
        let stub = hook(TARGET, 3, 1, &tests, &ORIGINAL);
        let original = 9 + 24;
        let service = original + SYSCALL_THUNK;
        for (operand, opcode, destination) in
            [(8, JE, original), (23, JAE, service), (32, JE, service)]
        {
            assert_eq!(stub[operand - 1], opcode);
            assert_eq!(operand + 1 + usize::from(stub[operand]), destination);
        }
        assert_eq!(stub[original..service], ORIGINAL);
        assert_eq!(stub[service..], thunk(TARGET, 3, 1));
    }

    #[test]
    fn second_chance_ends_with_the_original() {
        let stub = second_chance(TARGET, 3, 0x20, 0x30, &ORIGINAL);
        let original = stub.len() - SYSCALL_THUNK;
        assert_eq!(stub[original..], ORIGINAL);
        assert_eq!(stub[5], JNE);
        assert_eq!(7 + usize::from(stub[6]), original);
    }

    #[test]
    fn unknown_thunk_bytes_are_told() {
        assert!(is_syscall_thunk(&ORIGINAL, 1));
        assert!(
            !is_syscall_thunk(&ORIGINAL, 2),
            "another count of arguments"
        );
        let mut jumped = ORIGINAL;
        jumped[0] = 0xe9;
        assert!(!is_syscall_thunk(&jumped, 1));
    }
}
