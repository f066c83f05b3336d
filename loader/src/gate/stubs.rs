//! The stubs that guest code calls, one per export or missing import, and what each leads to.
//!
//! A stub is 16 bytes: `mov eax, index; jmp [gate]`. Pages of stubs are filled, then made executable.
#![allow(unsafe_code, reason = "writes machine code")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::{ActivationPtr, CallFrame, gate64, low_memory};
use crate::export::{Entry, Export, Function};

/// Bytes of one stub.
pub const STUB_BYTES: usize = 16;
/// Bytes of a page of stubs; the first stub's place holds the pointer to the gate.
const PAGE: usize = 0x1000;
/// Most stubs a process can have.
const MAX: usize = 1 << 16;

/// What a stub leads to.
#[derive(Debug)]
pub enum Target {
    /// A declared function.
    Export(&'static Export, &'static Function),
    /// An import nothing provides.
    Missing(Missing),
}

/// An import nothing provides.
#[derive(Debug)]
pub struct Missing {
    /// `dll!function`.
    pub name: String,
}

/// Targets by stub index. Slots are written once, before the stub's address is handed out.
static TARGETS: [AtomicPtr<Target>; MAX] = [const { AtomicPtr::new(std::ptr::null_mut()) }; MAX];
static COUNT: AtomicUsize = AtomicUsize::new(0);
static MAKER: Mutex<Maker> = Mutex::new(Maker {
    page: 0,
    used: PAGE,
    by_export: None,
    pages: Vec::new(),
});

struct Maker {
    page: usize,
    used: usize,
    by_export: Option<HashMap<usize, u64>>,
    /// `(address, index of the first stub)` of every page.
    pages: Vec<(u64, usize)>,
}

/// Returns the address a guest may use for `export`: a stub, a variable or machine code.
pub fn address_of(export: &'static Export) -> u64 {
    match &export.entry {
        Entry::Data(slot) => slot.address(),
        Entry::Code(code) => *code as *const () as u64,
        Entry::Function(function) => {
            let mut maker = MAKER.lock();
            let key = std::ptr::from_ref(export) as usize;
            if let Some(&known) = maker.by_export.get_or_insert_default().get(&key) {
                return known;
            }
            let address = maker.make(Target::Export(export, function));
            maker.by_export.get_or_insert_default().insert(key, address);
            address
        }
    }
}

/// Returns the address of a fresh stub that reports a missing import when called.
pub fn missing(name: String) -> u64 {
    MAKER.lock().make(Target::Missing(Missing { name }))
}

/// Returns what the stub with this index leads to.
pub fn target(index: u64) -> Option<&'static Target> {
    let slot = TARGETS.get(usize::try_from(index).ok()?)?;
    // SAFETY: a non-null slot was made from a leaked box and is never replaced.
    unsafe { slot.load(Ordering::Acquire).as_ref() }
}

/// Returns the address of the stub with this index.
pub fn address_of_index(index: u64) -> u64 {
    let maker = MAKER.lock();
    let index = index as usize;
    maker
        .pages
        .iter()
        .rev()
        .find(|(_, first)| *first <= index)
        .map_or(0, |(address, first)| {
            address + ((index - first + 1) * STUB_BYTES) as u64
        })
}

/// Returns what the stub at `address` leads to, if a stub lies there.
pub fn target_at(address: u64) -> Option<&'static Target> {
    let index = {
        let maker = MAKER.lock();
        let (page, first) = *maker
            .pages
            .iter()
            .find(|(page, _)| (*page..*page + PAGE as u64).contains(&address))?;
        first + ((address - page) as usize / STUB_BYTES).checked_sub(1)?
    };
    target(index as u64)
}

impl Maker {
    fn make(&mut self, target: Target) -> u64 {
        let index = COUNT.load(Ordering::Relaxed);
        if index == MAX {
            crate::fatal(format_args!("more than {MAX} imported functions"));
        }
        if self.used == PAGE {
            self.page = low_memory::map(PAGE, libc::PROT_READ | libc::PROT_WRITE);
            let gate = gate64::entry_address();
            // SAFETY: the page was just mapped writable and nobody else knows it.
            unsafe { (self.page as *mut u64).write(gate) };
            self.used = STUB_BYTES;
            self.pages.push((self.page as u64, index));
        } else {
            self.protect(libc::PROT_READ | libc::PROT_WRITE);
        }
        TARGETS[index].store(Box::leak(Box::new(target)), Ordering::Release);
        COUNT.store(index + 1, Ordering::Release);

        let at = self.page + self.used;
        let mut code = [0xcc_u8; STUB_BYTES];
        code[0] = 0xb8; // mov eax, imm32
        code[1..5].copy_from_slice(&(index as u32).to_le_bytes());
        code[5..7].copy_from_slice(&[0xff, 0x25]); // jmp [rip+disp32]
        let displacement = -((self.used + 11) as i32);
        code[7..11].copy_from_slice(&displacement.to_le_bytes());
        // SAFETY: `at` lies in the writable page, and `used` leaves room for a whole stub.
        unsafe { (at as *mut [u8; STUB_BYTES]).write(code) };
        self.used += STUB_BYTES;
        self.protect(libc::PROT_READ | libc::PROT_EXEC);
        at as u64
    }

    fn protect(&self, protection: i32) {
        // SAFETY: the page is ours.
        let status = unsafe { libc::mprotect(self.page as *mut libc::c_void, PAGE, protection) };
        if status != 0 {
            crate::fatal(format_args!(
                "cannot protect stubs: {}",
                std::io::Error::last_os_error()
            ));
        }
    }
}

/// Runs the target of a stub; called by the gate.
pub(super) fn dispatch(activation: ActivationPtr) -> u64 {
    let frame = CallFrame { activation };
    match target(activation.get().stub) {
        Some(Target::Export(_, function)) => (function.call)(&frame),
        Some(Target::Missing(missing)) => {
            crate::fatal(format_args!("{} is not implemented", missing.name))
        }
        None => crate::fatal(format_args!("a stub without a target was called")),
    }
}
