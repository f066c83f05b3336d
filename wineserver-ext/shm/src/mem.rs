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

use crate::space::{CONTIGUOUS, Space};
use crate::sys;
use crate::sys::{Deadline, Woken};

#[cfg(not(feature = "model"))]
pub use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

#[cfg(feature = "model")]
pub use shuttle::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

/// A shared mapping of a sealed memfd.
#[derive(Debug)]
pub struct Mapping {
    space: Space,
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
        let space = Space::new(&fd, len, writable)?;
        Ok(Mapping {
            space,
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
    #[inline(always)]
    fn at(&self, offset: usize, size: usize) -> *mut u8 {
        assert!(
            offset.is_multiple_of(size) && offset + size <= self.len,
            "offset {offset:#x} outside of a mapping of {:#x} bytes",
            self.len
        );
        self.address(offset)
    }

    /// Returns the address of byte `offset`, which the caller checked.
    #[inline]
    fn address(&self, offset: usize) -> *mut u8 {
        self.space.address(&self.fd, offset)
    }

    /// Makes sure that `size` bytes at `offset` can be addressed, for what a small address space may have no room for.
    #[must_use]
    #[inline]
    pub(crate) fn reach(&self, offset: usize, size: usize) -> bool {
        self.space.reach(&self.fd, offset, size)
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

    /// Returns the `LEN` bytes at `offset`, after checking once that they lie inside: their words are then reached without
    /// further checks.
    #[must_use]
    #[inline(always)]
    pub fn window<const LEN: usize>(&self, offset: usize) -> Window<'_, LEN> {
        assert!(
            offset.is_multiple_of(8) && offset.checked_add(LEN).is_some_and(|end| end <= self.len),
            "window at {offset:#x} outside of a mapping of {:#x} bytes",
            self.len
        );
        Window { mem: self, offset }
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
    #[inline(always)]
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(
            offset + bytes.len() <= self.len,
            "write outside of a mapping"
        );
        assert!(bytes.len() <= CONTIGUOUS, "more than a slot");
        // SAFETY: 1. Both ranges are valid for the length. 2. They do not overlap: one is private memory.
        unsafe { copy(self.address(offset), bytes.as_ptr(), bytes.len()) };
    }

    /// Copies from `offset` to `bytes`.
    #[inline(always)]
    pub fn read(&self, offset: usize, bytes: &mut [u8]) {
        assert!(
            offset + bytes.len() <= self.len,
            "read outside of a mapping"
        );
        assert!(bytes.len() <= CONTIGUOUS, "more than a slot");
        // SAFETY: as in `write`.
        unsafe { copy(bytes.as_mut_ptr(), self.address(offset), bytes.len()) };
    }

    /// Returns where the payload at `offset` lies, after checking that `len` bytes fit.
    ///
    /// The address is for guarded copies between shared memory and guest memory, which read or write it as raw bytes.
    #[must_use]
    pub fn bytes(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(
            len <= CONTIGUOUS && offset.checked_add(len).is_some_and(|end| end <= self.len),
            "bytes outside of a mapping"
        );
        self.address(offset)
    }
}

/// A part of a mapping that was checked to lie inside. Offsets in it are checked when the program is compiled.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a, const LEN: usize> {
    mem: &'a Mapping,
    offset: usize,
}

impl<'a, const LEN: usize> Window<'a, LEN> {
    /// Returns where the window begins in its mapping.
    #[must_use]
    #[inline]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Returns the mapping.
    #[must_use]
    #[inline]
    pub fn mapping(&self) -> &'a Mapping {
        self.mem
    }

    /// Returns the 64-bit word at `AT`.
    #[must_use]
    #[inline]
    pub fn w64<const AT: usize>(&self) -> &'a AtomicU64 {
        const { assert!(AT.is_multiple_of(8) && AT + 8 <= LEN && LEN <= CONTIGUOUS) };
        #[cfg(feature = "model")]
        return self.mem.w64(self.offset + AT);
        // SAFETY: 1. `Mapping::window` checked the range and its alignment, the constant above the rest. 2. The mapping lives
        // as long as the borrow. 3. Every access of this process to the word is atomic.
        #[cfg(not(feature = "model"))]
        unsafe {
            AtomicU64::from_ptr(self.mem.address(self.offset).add(AT).cast())
        }
    }

    /// Returns the 32-bit word at `AT`.
    #[must_use]
    #[inline]
    pub fn w32<const AT: usize>(&self) -> &'a AtomicU32 {
        const { assert!(AT.is_multiple_of(4) && AT + 4 <= LEN && LEN <= CONTIGUOUS) };
        #[cfg(feature = "model")]
        return self.mem.w32(self.offset + AT);
        // SAFETY: as in `w64`.
        #[cfg(not(feature = "model"))]
        unsafe {
            AtomicU32::from_ptr(self.mem.address(self.offset).add(AT).cast())
        }
    }

    /// Waits while the 32-bit word at `AT` (or the low half of a 64-bit word there) is `expected`.
    #[must_use]
    pub fn futex_wait<const AT: usize>(&self, expected: u32, deadline: Option<Deadline>) -> Woken {
        self.mem.futex_wait(self.offset + AT, expected, deadline)
    }

    /// Wakes up to `count` waiters of the word at `AT`.
    pub fn futex_wake<const AT: usize>(&self, count: i32) {
        self.mem.futex_wake(self.offset + AT, count);
    }

    /// Asks for the cache line at `AT` (or just behind the window), which another CPU wrote last and this thread is about to write: fetched together, lines
    /// arrive together. A hint.
    #[inline]
    pub fn prefetch<const AT: usize>(&self) {
        const { assert!(AT <= LEN) };
        // SAFETY: the address lies in the mapping or at its end, and a prefetch neither faults nor changes memory.
        unsafe {
            core::arch::asm!(
                "prefetchw [{}]",
                in(reg) self.mem.address(self.offset).wrapping_add(AT),
                options(nostack, preserves_flags)
            );
        }
    }
}

/// Copies `len` bytes, one of the ranges being written or read by another process at the same time.
///
/// # Safety
/// Both ranges are mapped for `len` bytes and do not overlap.
#[cfg(target_arch = "x86_64")]
#[inline]
unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: the caller guarantees the ranges; the direction flag is clear by the ABI; only the named registers and the
    // destination change. From 16 bytes on, what the last 16 overlap is written twice with the same bytes.
    unsafe {
        core::arch::asm!(
            // A microcoded copy is worth its start from some hundred bytes on.
            "cmp rcx, 512",
            "ja 4f",
            "cmp rcx, 16",
            "jb 4f",
            "movups {last}, [rsi + rcx - 16]",
            "cmp rcx, 16",
            "je 3f",
            "2:",
            "movups {some}, [rsi]",
            "movups [rdi], {some}",
            "add rsi, 16",
            "add rdi, 16",
            "sub rcx, 16",
            "cmp rcx, 16",
            "ja 2b",
            "3:",
            "movups [rdi + rcx - 16], {last}",
            "jmp 5f",
            "4:",
            "rep movsb",
            "5:",
            inout("rdi") to => _,
            inout("rsi") from => _,
            inout("rcx") len => _,
            last = out(xmm_reg) _,
            some = out(xmm_reg) _,
            options(nostack)
        );
    }
}

/// As for x86-64; esi is lent, since the compiler keeps it for itself.
///
/// # Safety
/// As for x86-64.
#[cfg(target_arch = "x86")]
#[inline]
unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: the caller guarantees the ranges; the direction flag is clear by the ABI; esi has its value again at the end.
    unsafe {
        core::arch::asm!(
            "xchg esi, {from}",
            "rep movsb",
            "xchg esi, {from}",
            from = inout(reg) from => _,
            inout("edi") to => _,
            inout("ecx") len => _,
            options(nostack, preserves_flags)
        );
    }
}
