//! The thread environment block, as far as fixed offsets matter to the gate and to functions.
#![allow(unsafe_code, reason = "GS-relative access to the running thread's TEB")]

/// Our words behind the guest's TEB, reached through GS.
pub mod host_area {
    /// Innermost activation record of the thread.
    pub const TOP_ACTIVATION: usize = 0x2000;
    /// Host stack pointer to return to when the thread ends.
    pub const BASE_RSP: usize = 0x2008;

    /// Reads one word of the running thread's host area.
    #[must_use]
    #[inline]
    pub fn read(offset: usize) -> u64 {
        super::read_u64(offset)
    }
}

/// Reads a word of the running thread's TEB.
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
pub fn write_u32(offset: usize, value: u32) {
    // SAFETY: as for `read_u64`; callers name fields of the TEB.
    unsafe {
        std::arch::asm!("mov gs:[{}], {:e}", in(reg) offset, in(reg) value, options(nostack, preserves_flags));
    }
}

/// `TEB.LastErrorValue` on x64.
const LAST_ERROR: usize = 0x68;

/// Sets the Win32 error code of the running thread.
pub fn set_last_error(error: u32) {
    write_u32(LAST_ERROR, error);
}

/// Returns the Win32 error code of the running thread.
#[must_use]
pub fn last_error() -> u32 {
    read_u64(LAST_ERROR) as u32
}
