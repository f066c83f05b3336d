//! Machine code put beside PE ntdll: thunks of new calls and stubs of hooked ones (Intel SDM vol. 2, Microsoft x64 ABI).
//!
//! At the entry of a call rcx, rdx, r8, r9 hold its first four arguments, `[rsp+8]` is the home area for them, the
//! others follow it; rax, r10 and r11 are free to use. The caller removes them, however many there are.

use crate::host::wine::code::{HandleMap, JE, JNE, Target};

/// Length of a system call thunk of Wine's PE ntdll.
pub const SYSCALL_THUNK: usize = 32;

/// What every thunk begins with: spills the register arguments so that all of them lie in a row, and loads the arguments of
/// Wine's dispatcher for call `index`; rax points at the variable that holds its address.
fn to_dispatcher(target: Target, index: u32) -> Vec<u8> {
    let mut code = Vec::with_capacity(80);
    code.extend([0x48, 0x89, 0x4c, 0x24, 0x08]); // mov [rsp+8], rcx
    code.extend([0x48, 0x89, 0x54, 0x24, 0x10]); // mov [rsp+16], rdx
    code.extend([0x4c, 0x89, 0x44, 0x24, 0x18]); // mov [rsp+24], r8
    code.extend([0x4c, 0x89, 0x4c, 0x24, 0x20]); // mov [rsp+32], r9
    code.extend([0x4c, 0x8d, 0x44, 0x24, 0x08]); // lea r8, [rsp+8]
    code.push(0xba); // mov edx, index
    code.extend(index.to_le_bytes());
    code.extend([0x48, 0xb9]); // mov rcx, table
    code.extend(target.table.to_le_bytes());
    code.extend([0x48, 0xb8]); // mov rax, dispatcher_variable
    code.extend(target.dispatcher_variable.to_le_bytes());
    code
}

/// Thunk of call `index`: lets Wine's dispatcher call `table[index](&args)`.
pub fn thunk(target: Target, index: u32, _words: usize) -> Vec<u8> {
    let mut code = to_dispatcher(target, index);
    code.extend([0xff, 0x20]); // jmp [rax]
    code
}

/// Thunk of helper `index`: as [`thunk`], with the result from the first slot. If the service says that the helper
/// faulted, the slot holds the address, which is then touched so that the caller gets the exception: once the frame is
/// gone, for the block has no unwind data.
pub fn helper_thunk(target: Target, index: u32, _words: usize) -> Vec<u8> {
    let mut code = to_dispatcher(target, index);
    code.extend([0x48, 0x83, 0xec, 0x28]); // sub rsp, 40
    code.extend([0xff, 0x10]); // call [rax]
    code.extend([0x48, 0x83, 0xc4, 0x28]); // add rsp, 40
    code.extend([0x85, 0xc0]); // test eax, eax
    code.extend([0x48, 0x8b, 0x44, 0x24, 0x08]); // mov rax, [rsp+8]
    code.extend([JNE, 0x01]); // jne fault
    code.push(0xc3); // ret
    code.extend([0x8a, 0x08]); // fault: mov cl, [rax]
    code.extend([0x80, 0x08, 0x00]); // or byte [rax], 0
    code.extend([0x31, 0xc0]); // xor eax, eax
    code.push(0xc3); // ret
    code
}

/// Stub of NtRaiseException(Record, Context, FirstChance). A second chance, if the word at `has_port` is not zero, goes to
/// service `index` first; if it returns 0, the thread goes on by NtContinue(Context, FALSE) at `go_on`.
pub fn second_chance(
    target: Target,
    index: u32,
    has_port: u64,
    go_on: u64,
    original: &[u8; SYSCALL_THUNK],
) -> Vec<u8> {
    let mut code = Vec::with_capacity(192);
    let mut jumps = Vec::new();
    let mut to_original = |code: &mut Vec<u8>, opcode: u8| {
        code.extend([opcode, 0]);
        jumps.push(code.len() - 1);
    };
    code.extend([0x45, 0x84, 0xc0]); // test r8b, r8b
    to_original(&mut code, JNE);
    code.extend([0x49, 0xbb]); // mov r11, has_port
    code.extend(has_port.to_le_bytes());
    code.extend([0x41, 0x83, 0x3b, 0x00]); // cmp dword [r11], 0
    to_original(&mut code, JE);
    code.extend([0x48, 0x83, 0xec, 0x38]); // sub rsp, 56
    code.extend([0x48, 0x89, 0x4c, 0x24, 0x20]); // mov [rsp+32], rcx
    code.extend([0x48, 0x89, 0x54, 0x24, 0x28]); // mov [rsp+40], rdx
    code.push(0xe8); // call service
    let call = code.len();
    code.extend([0; 4]);
    code.extend([0x48, 0x8b, 0x4c, 0x24, 0x20]); // mov rcx, [rsp+32]
    code.extend([0x48, 0x8b, 0x54, 0x24, 0x28]); // mov rdx, [rsp+40]
    code.extend([0x48, 0x83, 0xc4, 0x38]); // add rsp, 56
    code.extend([0x45, 0x31, 0xc0]); // xor r8d, r8d
    code.extend([0x85, 0xc0]); // test eax, eax
    to_original(&mut code, JNE);
    code.extend([0x48, 0x89, 0xd1]); // mov rcx, rdx
    code.extend([0x31, 0xd2]); // xor edx, edx
    code.extend([0x48, 0xb8]); // mov rax, go_on
    code.extend(go_on.to_le_bytes());
    code.extend([0xff, 0xe0]); // jmp rax
    for operand in jumps {
        code[operand] = (code.len() - (operand + 1)) as u8;
    }
    code.extend(original);
    let distance = (code.len() - (call + 4)) as u32;
    code[call..call + 4].copy_from_slice(&distance.to_le_bytes());
    code.extend(thunk(target, index, 3));
    code
}

/// Returns whether `bytes` are a system call thunk: `mov r10, rcx; mov eax, number`, …
pub fn is_syscall_thunk(bytes: &[u8; SYSCALL_THUNK], _words: usize) -> bool {
    const TAIL: [u8; 24] = [
        0xf6, 0x04, 0x25, 0x08, 0x03, 0xfe, 0x7f, 0x01, 0x75, 0x03, 0x0f, 0x05, 0xc3, 0xeb, 0x01,
        0xc3, 0xff, 0x14, 0x25, 0x00, 0x10, 0xfe, 0x7f, 0xc3,
    ];
    bytes.starts_with(&[0x4c, 0x8b, 0xd1, 0xb8]) && bytes.ends_with(&TAIL)
}

/// Compares the word at an address with 0.
pub fn compare_word(code: &mut Vec<u8>, address: u64) {
    code.extend([0x49, 0xbb]); // mov r11, address
    code.extend(address.to_le_bytes());
    code.extend([0x41, 0x83, 0x3b, 0x00]); // cmp dword [r11], 0
}

/// Makes the index of the first argument, a handle, and compares it with the length of a map.
pub fn compare_handle(code: &mut Vec<u8>, map: HandleMap) {
    code.extend([0x49, 0x89, 0xca]); // mov r10, rcx
    code.extend([0x49, 0xc1, 0xea, 0x02]); // shr r10, 2
    code.extend([0x49, 0x81, 0xfa]); // cmp r10, length
    code.extend(map.length.to_le_bytes());
}

/// Tests the bits of a mask in the map's byte of that index.
pub fn test_handle(code: &mut Vec<u8>, map: HandleMap, mask: u8) {
    code.extend([0x49, 0xbb]); // mov r11, map
    code.extend(map.address.to_le_bytes());
    code.extend([0x43, 0xf6, 0x04, 0x13, mask]); // test byte [r11+r10], mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::wine::code::{JAE, Test, hook};

    const TARGET: Target = Target {
        table: 0x1122_3344_5566_7788,
        dispatcher_variable: 0x10,
    };
    const ORIGINAL: [u8; SYSCALL_THUNK] = [
        0x4c, 0x8b, 0xd1, 0xb8, 0x15, 0x00, 0x00, 0x00, 0xf6, 0x04, 0x25, 0x08, 0x03, 0xfe, 0x7f,
        0x01, 0x75, 0x03, 0x0f, 0x05, 0xc3, 0xeb, 0x01, 0xc3, 0xff, 0x14, 0x25, 0x00, 0x10, 0xfe,
        0x7f, 0xc3,
    ];

    #[test]
    fn thunk_is_52_bytes_long() {
        assert_eq!(thunk(TARGET, 7, 1).len(), 52);
    }

    #[test]
    fn every_jump_of_a_stub_leads_to_its_part() {
        let map = HandleMap {
            address: 0x30,
            length: 0x1_0000,
        };
        let stub = hook(
            TARGET,
            3,
            1,
            &[Test::OriginalUnless(0x20), Test::HandleLacks(map, 1)],
            &ORIGINAL,
        );
        let (original, service) = (16 + 33, 16 + 33 + SYSCALL_THUNK);
        assert_eq!(stub.len(), service + 52);
        for (operand, opcode, destination) in
            [(15, JE, original), (31, JAE, service), (48, JE, service)]
        {
            assert_eq!(stub[operand - 1], opcode);
            assert_eq!(operand + 1 + usize::from(stub[operand]), destination);
        }
        assert_eq!(stub[original..service], ORIGINAL);
        assert_eq!(stub[service..], thunk(TARGET, 3, 1));
    }

    #[test]
    fn second_chance_leads_to_the_original_and_calls_the_service() {
        let stub = second_chance(TARGET, 3, 0x20, 0x30, &ORIGINAL);
        let service = stub.len() - 52;
        let original = service - SYSCALL_THUNK;
        assert_eq!(stub[original..service], ORIGINAL);
        assert_eq!(stub[service..], thunk(TARGET, 3, 1));
        for (operand, opcode) in [(4, JNE), (20, JE), (60, JNE)] {
            assert_eq!(stub[operand - 1], opcode);
            assert_eq!(operand + 1 + usize::from(stub[operand]), original);
        }
        assert_eq!(stub[35], 0xe8);
        assert_eq!(40 + usize::from(stub[36]), service);
    }

    #[test]
    fn unknown_thunk_bytes_are_told() {
        assert!(is_syscall_thunk(&ORIGINAL, 1));
        let mut jumped = ORIGINAL;
        jumped[0] = 0xe9;
        assert!(!is_syscall_thunk(&jumped, 1));
    }
}
