//! i386: services, calls of Wine, the thread's environment block, places.
//!
//! Wine's PE code keeps the stack aligned to four bytes, and so do its functions that such code calls; ours want sixteen, as
//! compilers for Linux do. So every way in aligns it.

use std::arch::{asm, naked_asm};
use std::ops::Range;
use std::sync::OnceLock;

use ntlpc_abi::{CallId, ClientId, Width};

use super::super::exports::Machine;
use super::super::inject::{Extension, Refusal};
use super::super::maps::Images;
use super::super::memory::Memory;
use super::super::narrow;
use super::super::ntdll::{Entry, MOST_ARGUMENTS};
use super::super::service::ntdll;
use super::super::structures::Word;

pub mod code;
mod pool_code;
mod signals;

pub use signals::{note_thread_block, on_signal, runs_code_of_this_thread};

/// The machine of the PE ntdll that Wine's unix side calls.
pub const MACHINE: Machine = Machine::X86;
/// Ends of the paths of the PE ntdll of this machine, and of that of narrower code beside it.
pub const IMAGES: (&str, Option<&str>) = ("i386-windows/ntdll.dll", None);
/// Where the server may place views: as in any 32-bit program.
pub const ARENA: Range<u64> = super::super::host::ARENA_32;
/// As `ZeroBits`: there are no addresses but those of 32 bits.
pub const BITS_OF_32: u64 = 0;
/// Size of an `EXCEPTION_RECORD`.
pub const EXCEPTION_RECORD: usize = 0x50;

/// A function in Wine's table of unix calls.
pub type Service = unsafe extern "C" fn(*mut u32) -> u32;

/// Makes a service of a function: the calling thread is stopped and ended only in its waits.
macro_rules! service {
    ($body:expr) => {
        $crate::host::wine::arch::service!(@entry $body, answer)
    };
    // What a port call returns is not always its result.
    (@port_call $body:expr) => {
        $crate::host::wine::arch::service!(@entry $body, keep)
    };
    (@entry $body:expr, $end:ident) => {{
        unsafe extern "C" fn aligned(words: *mut u32) -> u32 {
            let _call = $crate::interrupt::begin();
            let arguments = $crate::host::wine::arch::Arguments::at(words);
            // SAFETY: Wine's own arguments.
            let result = unsafe { $body(arguments) };
            arguments.$end(result)
        }
        #[unsafe(naked)]
        unsafe extern "C" fn entered(words: *mut u32) -> u32 {
            std::arch::naked_asm!(
                "push ebp",
                "mov ebp, esp",
                "and esp, -16",
                "sub esp, 12",
                "push dword ptr [ebp + 8]",
                "call {aligned}",
                "leave",
                "ret",
                aligned = sym aligned,
            )
        }
        entered as $crate::host::wine::arch::Service
    }};
}
pub(in crate::host::wine) use service;

/// The arguments of a service, as [`narrow`] tells.
#[derive(Clone, Copy, Debug)]
pub struct Arguments(*mut u32);

impl Arguments {
    /// Takes what Wine handed over.
    pub fn at(words: *mut u32) -> Arguments {
        Arguments(words)
    }

    /// Reads the first `N`.
    ///
    /// # Safety
    /// The call has not returned yet.
    pub unsafe fn read<const N: usize>(self) -> [u64; N] {
        // SAFETY: the caller's promise.
        std::array::from_fn(|at| widen(unsafe { narrow::argument(self.0, at) }))
    }

    /// Replaces one, for the code of ours that called.
    ///
    /// # Safety
    /// As [`Arguments::read`]; the caller has such an argument.
    pub unsafe fn write(self, at: usize, value: u64) {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(narrow::FIRST + at).write_unaligned(value as u32) };
    }

    /// Makes a port call with them. Of a helper the result goes to the word for it, and what is returned says whether it
    /// faulted.
    ///
    /// # Safety
    /// As [`Arguments::read`].
    pub unsafe fn port_call(self, id: CallId) -> u32 {
        // SAFETY: the caller's promise.
        unsafe { narrow::port_call(id, self.0) }
    }

    /// Ends a service that returns its result, which also goes to the word for it.
    pub fn answer(self, result: u32) -> u32 {
        // SAFETY: the thunk made the word, and the call has not returned yet.
        unsafe { self.0.write_unaligned(result) };
        result
    }

    /// Ends a service that has written its result.
    pub fn keep(self, returned: u32) -> u32 {
        returned
    }
}

/// Widens a word that may be a pseudo-handle, or anything else: pointers do not lie in the last page.
fn widen(word: u32) -> u64 {
    const LAST_PAGE: u32 = 0xFFFF_F000;
    if word >= LAST_PAGE {
        i64::from(word.cast_signed()).cast_unsigned()
    } else {
        word.into()
    }
}

/// Calling convention of the functions `ntdll.so` exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// NT's functions stdcall, Wine's own cdecl; [`call_words`] calls both.
    Stack,
}

/// Calls a function of `ntdll.so`.
///
/// # Safety
/// The arguments must be what the function takes, in number and meaning.
pub unsafe fn call<const N: usize>(abi: Abi, entry: Entry, arguments: [u64; N]) -> u32 {
    let Abi::Stack = abi;
    const { assert!(N <= MOST_ARGUMENTS) };
    let words = arguments.map(|argument| argument as u32);
    // SAFETY: an exported function of word-sized parameters; the values are the caller's duty.
    unsafe { call_words(entry.0, words.as_ptr(), N) }
}

/// Calls `entry` with `count` words on an aligned stack, whether or not it removes them.
#[unsafe(naked)]
unsafe extern "C" fn call_words(entry: usize, words: *const u32, count: usize) -> u32 {
    naked_asm!(
        ".cfi_startproc",
        "push ebp",
        ".cfi_def_cfa_offset 8",
        ".cfi_offset ebp, -8",
        "mov ebp, esp",
        ".cfi_def_cfa_register ebp",
        "push esi",
        ".cfi_offset esi, -12",
        "push edi",
        ".cfi_offset edi, -16",
        "mov ecx, [ebp + 16]",
        "mov esi, [ebp + 12]",
        "lea eax, [4 * ecx]",
        "sub esp, eax",
        "and esp, -16",
        "mov edi, esp",
        "rep movsd",
        "call [ebp + 8]",
        "lea esp, [ebp - 8]",
        "pop edi",
        "pop esi",
        "pop ebp",
        ".cfi_def_cfa esp, 4",
        "ret",
        ".cfi_endproc",
    )
}

/// Makes sure of the convention by a pure function: `RtlNtStatusToDosError(STATUS_ACCESS_DENIED)` is 5.
pub fn probe(status_to_dos_error: Entry) -> Option<Abi> {
    const STATUS_ACCESS_DENIED: u64 = 0xC000_0022;
    // SAFETY: the function takes one integer.
    let error = unsafe { call(Abi::Stack, status_to_dos_error, [STATUS_ACCESS_DENIED]) };
    (error == 5).then_some(Abi::Stack)
}

/// Returns whose structures classic ports see: of 64-bit Windows if this process is one of a 64-bit prefix.
pub fn width_of_windows() -> Width {
    const CURRENT_PROCESS: u64 = u64::MAX;
    const PROCESS_WOW64_INFORMATION: u64 = 26;
    static WIDTH: OnceLock<Width> = OnceLock::new();
    *WIDTH.get_or_init(|| {
        let mut peb: Word = 0;
        let ntdll = ntdll();
        // SAFETY: process, class, a local and its size, no length wanted.
        let status = unsafe {
            ntdll.call(
                ntdll.NtQueryInformationProcess,
                [
                    CURRENT_PROCESS,
                    PROCESS_WOW64_INFORMATION,
                    &raw mut peb as u64,
                    size_of_val(&peb) as u64,
                    0,
                ],
            )
        };
        if status == 0 && peb != 0 {
            Width::X64
        } else {
            Width::X86
        }
    })
}

/// Returns who the calling thread of Wine is.
pub fn client_id() -> ClientId {
    let (process, thread): (u32, u32);
    // SAFETY: services run on threads of Wine, where FS leads to the TEB; ClientId is at 0x20.
    unsafe {
        asm!(
            "mov {0}, fs:[0x20]",
            "mov {1}, fs:[0x24]",
            out(reg) process,
            out(reg) thread,
            options(nostack, readonly, preserves_flags),
        );
    }
    ClientId { process, thread }
}

/// There is no narrower code in an i386 process.
pub fn extend_32_bit(_memory: &Memory<'_>, _images: &Images) -> Result<Option<Extension>, Refusal> {
    Ok(None)
}
