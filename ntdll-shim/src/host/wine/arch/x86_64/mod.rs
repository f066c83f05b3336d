//! x86-64: services, calls of Wine, the thread's environment block, places.

use std::arch::asm;
use std::ops::Range;

use ntlpc_abi::{CallId, ClientId, Width};

use super::super::exports::Machine;
use super::super::inject::{Extension, Refusal};
use super::super::maps::Images;
use super::super::memory::Memory;
use super::super::ntdll::{Entry, MOST_ARGUMENTS};
use crate::{Fault, Slots};

pub mod code;
mod pool_code;
mod signals;
mod wow64;

pub use signals::{note_thread_block, on_signal, runs_code_of_this_thread};

/// The machine of the PE ntdll that Wine's unix side calls.
pub const MACHINE: Machine = Machine::X64;
/// Ends of the paths of the PE ntdll of this machine, and of that of 32-bit code beside it.
pub const IMAGES: (&str, Option<&str>) =
    ("x86_64-windows/ntdll.dll", Some("i386-windows/ntdll.dll"));
/// Where the server may place views: far above Wine's PE images and heaps, far below the libraries.
pub const ARENA: Range<u64> = 0x3000_0000_0000..0x3100_0000_0000;
/// As `ZeroBits`: a mask of the bits an address of a 32-bit program may have (phnt `ntmmapi.h`).
pub const BITS_OF_32: u64 = 0x7fff_ffff;
/// Size of an `EXCEPTION_RECORD`.
pub const EXCEPTION_RECORD: usize = 0x98;

/// A function in Wine's table of unix calls.
pub type Service = unsafe extern "C" fn(*mut u64) -> u32;

/// Makes a service of a function: the calling thread is stopped and ended only in its waits.
macro_rules! service {
    ($body:expr) => {{
        unsafe extern "C" fn entered(arguments: *mut u64) -> u32 {
            let _call = $crate::interrupt::begin();
            // SAFETY: Wine's own arguments.
            unsafe { $body($crate::host::wine::arch::Arguments::at(arguments)) }
        }
        entered
    }};
    (@port_call $body:expr) => {
        $crate::host::wine::arch::service!($body)
    };
}
pub(in crate::host::wine) use service;

/// The arguments of a service: the thunk made them lie in a row. A caller that passed fewer leaves stack of its own there.
#[derive(Clone, Copy, Debug)]
pub struct Arguments(*mut u64);

impl Arguments {
    /// Takes what Wine handed over.
    pub fn at(arguments: *mut u64) -> Arguments {
        Arguments(arguments)
    }

    /// Reads the first `N`. Narrow ones carry garbage in their upper bits.
    ///
    /// # Safety
    /// The call has not returned yet.
    pub unsafe fn read<const N: usize>(self) -> [u64; N] {
        // SAFETY: they lie in a row, and nobody writes to them while the call runs.
        unsafe { self.0.cast::<[u64; N]>().read() }
    }

    /// Replaces one, for the code of ours that called.
    ///
    /// # Safety
    /// As [`Arguments::read`]; the caller has such an argument.
    pub unsafe fn write(self, at: usize, value: u64) {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(at).write(value) };
    }

    /// Makes a port call with them. Of a helper the result goes to the first slot (the home area, even without arguments), and
    /// what is returned says whether it faulted.
    ///
    /// # Safety
    /// As [`Arguments::read`].
    pub unsafe fn port_call(self, id: CallId) -> u32 {
        // SAFETY: they lie in a row, and nobody writes to them while the call runs.
        let slots = unsafe { std::slice::from_raw_parts(self.0, id.call().args.len()) };
        let outcome = crate::call(id, Slots(slots));
        super::super::callers::leave();
        if id.call().helper.is_none() {
            return outcome.unwrap_or_default() as u32;
        }
        let (result, has_faulted) = match outcome {
            Ok(bits) => (bits, 0),
            Err(Fault(address)) => (address.0, 1),
        };
        // SAFETY: the first slot is the caller's home area, and the slice above is used no more.
        unsafe { self.write(0, result) };
        has_faulted
    }
}

/// Calling convention of the functions `ntdll.so` exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// Microsoft x64.
    Microsoft,
    /// System V.
    SystemV,
}

/// Calls a function of `ntdll.so`; surplus arguments are harmless in both conventions.
///
/// # Safety
/// The arguments must be what the function takes, in number and meaning, and the convention its own.
pub unsafe fn call<const N: usize>(abi: Abi, entry: Entry, arguments: [u64; N]) -> u32 {
    let mut a = [0_u64; MOST_ARGUMENTS];
    a[..N].copy_from_slice(&arguments);
    // SAFETY: 1. `entry` is an exported function of integer parameters, called in the convention that was probed.
    // 2. Both conventions let the caller pass more arguments than are read. 3. The values are the caller's duty.
    unsafe {
        match abi {
            Abi::Microsoft => {
                let function = std::mem::transmute::<usize, Microsoft>(entry.0);
                function(
                    a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10],
                )
            }
            Abi::SystemV => {
                let function = std::mem::transmute::<usize, SystemV>(entry.0);
                function(
                    a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10],
                )
            }
        }
    }
}

type Microsoft =
    unsafe extern "win64" fn(u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64) -> u32;
type SystemV =
    unsafe extern "sysv64" fn(u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64) -> u32;

/// Tells the convention by a pure function: `RtlNtStatusToDosError(STATUS_ACCESS_DENIED)` is 5 and of
/// STATUS_INVALID_HANDLE it is 6, and only one of the two is in the register it reads.
pub fn probe(status_to_dos_error: Entry) -> Option<Abi> {
    let error: u64;
    // SAFETY: 1. The function takes one integer and, whichever convention it has, gets one in the register it looks
    // at, 32 bytes of home area and an aligned stack. 2. The clobbers are those of the System V convention, a superset
    // of the other's.
    unsafe {
        asm!(
            "sub rsp, 32",
            "call rax",
            "add rsp, 32",
            inout("rax") status_to_dos_error.0 as u64 => error,
            inout("rcx") 0xC000_0022_u64 => _,
            inout("rdi") 0xC000_0008_u64 => _,
            clobber_abi("sysv64"),
        );
    }
    match error & 0xFFFF_FFFF {
        5 => Some(Abi::Microsoft),
        6 => Some(Abi::SystemV),
        _ => None,
    }
}

/// Returns whose structures classic ports see; a 32-bit program is one on 64-bit Windows here.
pub fn width_of_windows() -> Width {
    Width::X64
}

/// Returns who the calling thread of Wine is.
pub fn client_id() -> ClientId {
    let (process, thread): (u64, u64);
    // SAFETY: services run on threads of Wine, where GS leads to the TEB; ClientId is at 0x40.
    unsafe {
        asm!(
            "mov {0}, gs:[0x40]",
            "mov {1}, gs:[0x48]",
            out(reg) process,
            out(reg) thread,
            options(nostack, readonly, preserves_flags),
        );
    }
    ClientId {
        process: process as u32,
        thread: thread as u32,
    }
}

/// Makes the calls for 32-bit code, if the process runs such.
pub fn extend_32_bit(memory: &Memory<'_>, images: &Images) -> Result<Option<Extension>, Refusal> {
    let image = images.wow64.as_ref();
    image.map(|image| wow64::extend(memory, image)).transpose()
}
