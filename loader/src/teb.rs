//! The thread environment block.
//!
//! Source of the offsets: phnt `ntpebteb.h` `TEB`; pe32.md §7 for i386.
#![allow(unsafe_code, reason = "GS-relative access to the running thread's TEB")]

use ntlpc_abi::{NtStatus, Width};
use parking_lot::Mutex;

use crate::gate::gate32;
use crate::guest::Field;
use crate::vm::{self, Kind, page, sys};
use crate::width;

/// Our words behind the guest's TEB, reached through GS.
pub mod host_area {
    /// Innermost activation record of the thread.
    pub const TOP_ACTIVATION: usize = 0x2000;
    /// Host stack pointer to return to when the thread ends.
    pub const BASE_RSP: usize = 0x2008;

    /// Stack address of the innermost exception being dispatched.
    pub const RAISE_PLACE: usize = 0x2010;
    /// How many exceptions are being dispatched, each inside of the one before.
    pub const RAISE_DEPTH: usize = 0x2018;

    /// Base of FS in our code, for the i386 gate.
    pub const HOST_FS: usize = 0x2020;
    /// Where the i386 gate jumps: a 32-bit offset, then a selector.
    pub const FAR_POINTER: usize = 0x2028;
    /// Address of the TEB, for the i386 gate.
    pub const THIS: usize = 0x2030;
    /// Selector of the thread's own descriptor, if the i386 gate needs one.
    pub const SELECTOR: usize = 0x2038;

    /// Reads one word of the running thread's host area.
    #[must_use]
    #[inline]
    pub fn read(offset: usize) -> u64 {
        super::read_u64(offset)
    }
}

/// `ExceptionList` (i386 only).
pub const EXCEPTION_LIST: Field = Field(0x0, 0x0);
/// `StackBase`: highest address.
pub const STACK_BASE: Field = Field(0x4, 0x8);
/// `StackLimit`: lowest usable address.
pub const STACK_LIMIT: Field = Field(0x8, 0x10);
/// `FiberData`.
pub const FIBER_DATA: Field = Field(0x10, 0x20);
/// `Self`.
pub const SELF: Field = Field(0x18, 0x30);
/// `ClientId.UniqueProcess`.
pub const PROCESS_ID: Field = Field(0x20, 0x40);
/// `ClientId.UniqueThread`.
pub const THREAD_ID: Field = Field(0x24, 0x48);
/// `ThreadLocalStoragePointer`.
pub const TLS_ARRAY: Field = Field(0x2c, 0x58);
/// `ProcessEnvironmentBlock`.
pub const PEB: Field = Field(0x30, 0x60);
/// `LastErrorValue`.
pub const LAST_ERROR: Field = Field(0x34, 0x68);
/// `WOW32Reserved`.
pub const WOW32_RESERVED: Field = Field(0xc0, 0x100);
/// `LastStatusValue`.
pub const LAST_STATUS: Field = Field(0xbf4, 0x1250);
/// `StaticUnicodeString`.
pub const STATIC_UNICODE_STRING: Field = Field(0xbf8, 0x1258);
/// `StaticUnicodeBuffer`, 261 units.
pub const STATIC_UNICODE_BUFFER: Field = Field(0xc00, 0x1268);
/// `DeallocationStack`: lowest reserved address.
pub const DEALLOCATION_STACK: Field = Field(0xe0c, 0x1478);
/// `TlsSlots`, 64 words.
pub const TLS_SLOTS: Field = Field(0xe10, 0x1480);
/// `TlsExpansionSlots`.
pub const TLS_EXPANSION_SLOTS: Field = Field(0xf94, 0x1780);
/// `FlsData`.
pub const FLS_DATA: Field = Field(0xfb4, 0x17c8);
/// `SameTebFlags`.
pub const SAME_TEB_FLAGS: Field = Field(0xfca, 0x17ee);

/// Bytes of a TEB and our words behind it, after one inaccessible page.
pub const BYTES: usize = 0x3000;

/// Makes the TEB of a thread whose stack is `stack.0..stack.1`, and returns its address.
pub fn create(stack: (u64, u64), guard_bytes: u64, tid: u32) -> Result<u64, std::io::Error> {
    let below = match width() {
        Width::X64 => vm::HIGHEST_X64,
        Width::X86 => 0x7fff_0000,
    };
    let base = vm::SPACE
        .lock()
        .reserve_image(vm::PAGE + BYTES, libc::PROT_READ | libc::PROT_WRITE, below)
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::OutOfMemory))?;
    // Stray accesses below the TEB must trap (pe32.md §4.1).
    sys::protect(base, vm::PAGE, libc::PROT_NONE)?;
    let teb = (base + vm::PAGE) as u64;
    vm::SPACE.lock().register(
        teb as usize,
        BYTES,
        Kind::Private,
        page::READWRITE,
        page::READWRITE,
    );
    EXCEPTION_LIST.at::<usize>(teb).write(match width() {
        Width::X64 => 0,
        Width::X86 => 0xffff_ffff,
    });
    let word = |field: Field, value: u64| field.at::<usize>(teb).write(value as usize);
    word(STACK_BASE, stack.1);
    word(STACK_LIMIT, stack.0 + guard_bytes);
    word(DEALLOCATION_STACK, stack.0);
    word(SELF, teb);
    word(PROCESS_ID, u64::from(std::process::id()));
    word(THREAD_ID, u64::from(tid));
    word(PEB, crate::peb::address());
    if crate::is_wow64() {
        word(WOW32_RESERVED, gate32::system_service_address());
    }
    let buffer = STATIC_UNICODE_BUFFER.at::<u16>(teb);
    STATIC_UNICODE_STRING
        .at(teb)
        .write(crate::peb::strings::UnicodeString {
            length: 0,
            maximum_length: 522,
            buffer,
        });
    Ok(teb)
}

/// TEBs of all threads that run guest code.
static TEBS: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// Adds a TEB to those of [`all`].
pub fn publish(teb: u64) {
    TEBS.lock().push(teb);
}

/// Takes a TEB from those of [`all`].
pub fn withdraw(teb: u64) {
    TEBS.lock().retain(|&other| other != teb);
}

/// Returns the TEBs of all threads that run guest code.
#[must_use]
pub fn all() -> Vec<u64> {
    TEBS.lock().clone()
}

/// Frees the TEB of a thread that has run its last guest instruction.
pub fn destroy(teb: u64) {
    vm::SPACE.lock().unregister(teb as usize);
    sys::unmap(teb as usize - vm::PAGE, vm::PAGE + BYTES);
}

/// Makes `teb` the TEB of the calling thread.
pub fn install(teb: u64) {
    const ARCH_SET_GS: i32 = 0x1001;
    // SAFETY: GS is not used by the host on x86-64; only the base of the calling thread changes.
    let status = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, teb) };
    if status != 0 {
        crate::fatal(format_args!(
            "cannot set GS: {}",
            std::io::Error::last_os_error()
        ));
    }
}

/// Takes the TEB away from the calling thread.
pub fn uninstall() {
    install(0);
}

/// Returns the TEB of the calling thread; 0 if it runs no guest code.
#[must_use]
pub fn current() -> u64 {
    let mut base = 0_u64;
    const ARCH_GET_GS: i32 = 0x1004;
    // SAFETY: the kernel writes one word to `base`.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_GET_GS, &raw mut base) };
    if base == 0 {
        0
    } else {
        read_u64(SELF.offset())
    }
}

/// Returns the TEB of the calling thread, which must run guest code.
#[must_use]
#[inline]
pub fn this() -> u64 {
    read_word(SELF.offset())
}

/// Reads a pointer-sized word of the running thread's TEB.
#[must_use]
#[inline]
pub fn read_word(offset: usize) -> u64 {
    match width() {
        Width::X64 => read_u64(offset),
        Width::X86 => read_u64(offset) & 0xffff_ffff,
    }
}

/// Reads 64 bits of the running thread's TEB.
#[must_use]
#[inline]
pub fn read_u64(offset: usize) -> u64 {
    let value: u64;
    // SAFETY: GS is the TEB in every thread that runs guest code, and the TEB is mapped while the thread runs.
    unsafe {
        std::arch::asm!("mov {}, gs:[{}]", out(reg) value, in(reg) offset, options(nostack, preserves_flags, readonly));
    }
    value
}

/// Writes 32 bits of the running thread's TEB.
#[inline]
fn write_u32(offset: usize, value: u32) {
    // SAFETY: as for `read_u64`; callers name fields of the TEB.
    unsafe {
        std::arch::asm!("mov gs:[{}], {:e}", in(reg) offset, in(reg) value, options(nostack, preserves_flags));
    }
}

/// Writes a word of the running thread's host area.
#[inline]
pub fn write_host(offset: usize, value: u64) {
    // SAFETY: as for `read_u64`; callers name a word of `host_area`.
    unsafe {
        std::arch::asm!("mov gs:[{}], {}", in(reg) offset, in(reg) value, options(nostack, preserves_flags));
    }
}

/// Sets the Win32 error code of the running thread.
pub fn set_last_error(error: u32) {
    write_u32(LAST_ERROR.offset(), error);
}

/// Returns the Win32 error code of the running thread.
#[must_use]
pub fn last_error() -> u32 {
    read_u64(LAST_ERROR.offset()) as u32
}

/// Sets the `LastStatusValue` of the running thread.
pub fn set_last_status(status: NtStatus) {
    write_u32(LAST_STATUS.offset(), status.0);
}

/// Returns the `LastStatusValue` of the running thread.
#[must_use]
pub fn last_status() -> NtStatus {
    NtStatus(read_u64(LAST_STATUS.offset()) as u32)
}

/// Sets a thread's array of static TLS blocks.
pub fn set_tls_array(teb: u64, array: u64) {
    TLS_ARRAY.at::<usize>(teb).write(array as usize);
}

/// Returns a thread's array of static TLS blocks.
#[must_use]
pub fn tls_array(teb: u64) -> u64 {
    TLS_ARRAY.at::<usize>(teb).read() as u64
}
