//! The stubs that guest code calls, one per export or missing import, and what each leads to.
//!
//! A stub is 16 bytes: `mov eax, index; jmp [gate]` for x64, `mov eax, index; jmp far gate; ret n` for i386, after
//! `mov edx, eax` where the caller passes an argument in eax. Pages of stubs are filled, then made executable, and never
//! written again.
#![allow(unsafe_code, reason = "holds leaked targets")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use parking_lot::Mutex;

use ntlpc_abi::Width;

use super::{ActivationPtr, CallFrame, gate32, gate64};
use crate::guest::Ptr;
use crate::vm::{PAGE, low, page};
use crate::width;

/// Bytes of one stub.
pub const STUB_BYTES: usize = 16;
/// Most stubs a process can have.
const MAX: usize = 1 << 16;

/// What answers the calls of a stub.
pub trait Target: Sync + std::fmt::Debug {
    /// Answers one call and returns the bits of its result.
    fn call(&self, stub: &'static Stub, frame: &CallFrame) -> u64;
    /// Returns how many bytes of arguments an i386 callee removes from the stack.
    fn stack_bytes32(&self) -> u32 {
        0
    }
    /// Returns whether an i386 caller expects the result in `st0`.
    fn returns_float(&self) -> bool {
        false
    }
    /// Returns whether an i386 caller passes an argument in eax.
    fn takes_eax(&self) -> bool {
        false
    }
}

/// What a stub leads to.
#[derive(Debug)]
pub struct Stub {
    /// Where the guest calls it.
    pub address: u64,
    /// DLL it belongs to, lower case.
    pub dll: String,
    /// Function, or `#ordinal`.
    pub name: String,
    /// What answers the call.
    pub target: &'static dyn Target,
}

/// Targets by stub index. Slots are written once, before the stub's address is handed out.
static STUBS: [AtomicPtr<Stub>; MAX] = [const { AtomicPtr::new(std::ptr::null_mut()) }; MAX];
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Takes `count` consecutive indexes.
pub fn take_indexes(count: usize) -> usize {
    let first = COUNT.fetch_add(count, Ordering::Relaxed);
    if first + count > MAX {
        crate::fatal(format_args!("more than {MAX} imported functions"));
    }
    first
}

/// Says what the stub with this index leads to.
pub fn define(index: usize, stub: Stub) {
    STUBS[index].store(Box::leak(Box::new(stub)), Ordering::Release);
}

/// `mov edx, eax`
const MOVE_EAX: [u8; 2] = [0x89, 0xc2];

/// Returns where the i386 stub of a target returns to its caller, from its start.
fn return32(target: &dyn Target) -> u64 {
    /// Bytes of `mov eax, index; jmp far gate`.
    const CALL: usize = 12;
    (CALL
        + if target.takes_eax() {
            MOVE_EAX.len()
        } else {
            0
        }) as u64
}

/// Returns the code of the stub of a target at `at`, which reaches the gate through the pointer at `gate_cell` on x64.
pub fn code(
    index: usize,
    at: u64,
    gate_cell: u64,
    target: Option<&dyn Target>,
) -> [u8; STUB_BYTES] {
    let mut code = vec![];
    let load_index = |code: &mut Vec<u8>| {
        code.push(0xb8); // mov eax, imm32
        code.extend((index as u32).to_le_bytes());
    };
    match width() {
        Width::X64 => {
            load_index(&mut code);
            code.extend([0xff, 0x25]); // jmp [rip+disp32]
            code.extend((gate_cell.wrapping_sub(at + 11) as u32).to_le_bytes());
        }
        Width::X86 => {
            if target.is_some_and(Target::takes_eax) {
                code.extend(MOVE_EAX);
            }
            load_index(&mut code);
            code.extend(gate32::far_jump(gate32::entry_address()));
            match target.map_or(0, Target::stack_bytes32) {
                0 => code.push(0xc3), // ret
                bytes => {
                    code.push(0xc2); // ret imm16
                    code.extend((bytes as u16).to_le_bytes());
                }
            }
        }
    }
    let mut stub = [0xcc_u8; STUB_BYTES];
    stub[..code.len()].copy_from_slice(&code);
    stub
}

/// Returns the 64-bit code of a jump to `target` that changes no register.
pub fn jump(target: u64) -> [u8; STUB_BYTES] {
    let mut code = [0xcc_u8; STUB_BYTES];
    code[..6].copy_from_slice(&[0xff, 0x25, 0, 0, 0, 0]); // jmp [rip+0]
    code[6..14].copy_from_slice(&target.to_le_bytes());
    code
}

/// Returns the address that stubs jump to.
pub fn gate_address() -> u64 {
    gate64::entry_address()
}

/// Returns what the stub with this index leads to.
pub fn stub(index: u64) -> Option<&'static Stub> {
    let slot = STUBS.get(usize::try_from(index).ok()?)?;
    // SAFETY: a non-null slot was made from a leaked box and is never replaced.
    unsafe { slot.load(Ordering::Acquire).as_ref() }
}

/// Returns the stub at `address`.
pub fn at(address: u64) -> Option<&'static Stub> {
    (0..COUNT.load(Ordering::Relaxed) as u64)
        .filter_map(stub)
        .find(|stub| stub.address == address)
}

/// What answers calls of missing imports.
static MISSING_TARGET: OnceLock<&'static dyn Target> = OnceLock::new();

/// Says what answers calls of missing imports; the first choice stays.
pub fn set_missing_target(target: &'static dyn Target) {
    let _ = MISSING_TARGET.set(target);
}

/// Stubs that belong to no image are made a page at a time.
struct LoosePage {
    base: u64,
    first: usize,
    used: usize,
}

const PER_PAGE: usize = PAGE / STUB_BYTES - 1;
static LOOSE: Mutex<LoosePage> = Mutex::new(LoosePage {
    base: 0,
    first: 0,
    used: PER_PAGE,
});

/// Returns the address of a fresh stub that reports a missing import when called.
pub fn missing(dll: &str, name: String) -> u64 {
    let Some(target) = MISSING_TARGET.get() else {
        crate::fatal(format_args!(
            "{dll}!{name} is missing, and nothing to say so"
        ))
    };
    loose(dll, name, *target)
}

/// Returns the address of a fresh stub that no image exports, for a target whose i386 callers remove the arguments.
pub fn loose(dll: &str, name: String, target: &'static dyn Target) -> u64 {
    let mut page = LOOSE.lock();
    if page.used == PER_PAGE {
        *page = LoosePage {
            base: low::allocate_image(PAGE),
            first: take_indexes(PER_PAGE),
            used: 0,
        };
        Ptr::<u64>::new(page.base).write(gate_address());
        for i in 0..PER_PAGE {
            let at = page.base + ((i + 1) * STUB_BYTES) as u64;
            Ptr::<u8>::new(at).write_bytes(&code(page.first + i, at, page.base, None));
        }
        low::seal(page.base, PAGE, page::EXECUTE_READ);
    }
    let address = page.base + ((page.used + 1) * STUB_BYTES) as u64;
    define(
        page.first + page.used,
        Stub {
            address,
            dll: dll.to_owned(),
            name,
            target,
        },
    );
    page.used += 1;
    address
}

/// Runs the target of a stub; called by the gate.
pub(super) fn dispatch(activation: ActivationPtr) -> u64 {
    let Some(stub) = stub(activation.get().stub) else {
        crate::fatal(format_args!("a stub without a target was called"))
    };
    if width() == Width::X86 {
        activation.set_return(
            stub.address + return32(stub.target),
            stub.target.returns_float(),
        );
    }
    stub.target.call(stub, &CallFrame { activation })
}
