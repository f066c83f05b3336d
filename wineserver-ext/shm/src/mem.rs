//! Mapped shared memory as words and bytes.
//!
//! Words are atomics; bytes are copied by `rep movsb` in inline assembly, outside the language's rules about races
//! (the compiler sees an opaque copy). No reference to shared bytes ever exists.
#![allow(
    unsafe_code,
    reason = "the one place that turns mapped addresses into atomics and copies"
)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sys;
#[cfg(not(feature = "model"))]
use crate::sys::{Deadline, Woken};

#[cfg(not(feature = "model"))]
pub use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

#[cfg(feature = "model")]
pub use shuttle::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

/// A shared mapping of a sealed memfd.
#[derive(Debug)]
pub struct Mapping {
    base: *mut u8,
    len: usize,
    fd: OwnedFd,
    #[cfg(feature = "model")]
    pub(crate) words: crate::model::Words,
}

// SAFETY: the range stays mapped for the life of the value, and is only accessed through atomics and racy copies.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Creates a memfd of `len` bytes and maps it writable.
    ///
    /// # Errors
    /// No descriptor, no address space.
    pub fn create(name: &str, len: usize) -> io::Result<Mapping> {
        let fd = sys::create_memfd(name, len)?;
        Self::of(fd, len, true)
    }

    /// Maps a descriptor that came from another process, after checking that it is large enough and cannot shrink.
    ///
    /// # Errors
    /// `InvalidData` if the file is not sealed or shorter than `len`; else the system call's error.
    pub fn open(fd: OwnedFd, len: usize, writable: bool) -> io::Result<Mapping> {
        if !sys::is_sealed_against_shrinking(&fd) || sys::len_of(&fd)? < len {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "not a sealed segment",
            ));
        }
        Self::of(fd, len, writable)
    }

    fn of(fd: OwnedFd, len: usize, writable: bool) -> io::Result<Mapping> {
        let base = sys::map(&fd, len, writable)?;
        Ok(Mapping {
            base,
            len,
            fd,
            #[cfg(feature = "model")]
            words: crate::model::Words::default(),
        })
    }

    /// Returns the memfd, to hand it to another process.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Returns the address of byte `offset`, after checking that `size` bytes with that alignment lie inside.
    fn at(&self, offset: usize, size: usize) -> *mut u8 {
        assert!(
            offset.is_multiple_of(size) && offset + size <= self.len,
            "offset {offset:#x} outside of a mapping of {:#x} bytes",
            self.len
        );
        // SAFETY: the offset was just checked to lie inside the mapping.
        unsafe { self.base.add(offset) }
    }

    /// Returns the 64-bit word at `offset`.
    #[cfg(not(feature = "model"))]
    #[must_use]
    #[inline]
    pub fn w64(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: 1. `at` checks range and alignment. 2. The mapping lives as long as `self`. 3. Every access of
        // this process to the word is atomic.
        unsafe { AtomicU64::from_ptr(self.at(offset, 8).cast()) }
    }

    /// Returns the 32-bit word at `offset`.
    #[cfg(not(feature = "model"))]
    #[must_use]
    #[inline]
    pub fn w32(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: as in `w64`.
        unsafe { AtomicU32::from_ptr(self.at(offset, 4).cast()) }
    }

    /// Returns the 16-bit word at `offset`.
    #[cfg(not(feature = "model"))]
    #[must_use]
    #[inline]
    pub fn w16(&self, offset: usize) -> &AtomicU16 {
        // SAFETY: as in `w64`.
        unsafe { AtomicU16::from_ptr(self.at(offset, 2).cast()) }
    }

    /// Waits while the 32-bit word at `offset` (or the low half of a 64-bit word there) is `expected`.
    #[cfg(not(feature = "model"))]
    #[must_use]
    pub fn futex_wait(&self, offset: usize, expected: u32, deadline: Option<Deadline>) -> Woken {
        sys::futex_wait(self.w32(offset), expected, deadline)
    }

    /// Wakes up to `count` waiters of the word at `offset`.
    #[cfg(not(feature = "model"))]
    pub fn futex_wake(&self, offset: usize, count: i32) {
        sys::futex_wake(self.w32(offset), count);
    }

    /// Returns the address of the 32-bit word at `offset`, for a wait on several words.
    #[must_use]
    pub fn futex_address(&self, offset: usize) -> usize {
        self.at(offset, 4) as usize
    }

    /// Copies `bytes` to `offset`.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(
            offset + bytes.len() <= self.len,
            "write outside of a mapping"
        );
        // SAFETY: 1. Both ranges are valid for the length. 2. They do not overlap: one is private memory.
        unsafe { copy(self.base.add(offset), bytes.as_ptr(), bytes.len()) };
    }

    /// Copies from `offset` to `bytes`.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) {
        assert!(
            offset + bytes.len() <= self.len,
            "read outside of a mapping"
        );
        // SAFETY: as in `write`.
        unsafe { copy(bytes.as_mut_ptr(), self.base.add(offset), bytes.len()) };
    }

    /// Returns where the payload at `offset` lies, after checking that `len` bytes fit.
    ///
    /// The address is for guarded copies between shared memory and guest memory, which read or write it as raw bytes.
    #[must_use]
    pub fn bytes(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(
            offset.checked_add(len).is_some_and(|end| end <= self.len),
            "bytes outside of a mapping"
        );
        // SAFETY: the offset lies inside the mapping.
        unsafe { self.base.add(offset) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range came from `sys::map`, and every borrow of it ends with `self`.
        unsafe { sys::unmap(self.base, self.len) };
    }
}

/// Copies `len` bytes, one of the ranges being written or read by another process at the same time.
///
/// # Safety
/// Both ranges are mapped for `len` bytes and do not overlap.
#[inline]
unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: the caller guarantees the ranges; the direction flag is clear by the ABI; `rep movsb` changes only the
    // three registers and the destination.
    unsafe {
        core::arch::asm!(
            "rep movsb",
            inout("rdi") to => _,
            inout("rsi") from => _,
            inout("rcx") len => _,
            options(nostack, preserves_flags)
        );
    }
}
