//! Guest memory in bulk: checked copies, system calls that read and write it directly, atomic words.
#![allow(
    unsafe_code,
    reason = "hands guest addresses to the kernel and to atomics"
)]

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, AtomicU64};

use ntlpc_abi::NtStatus;

use super::memory::Ptr;

fn vector(at: u64, len: usize) -> libc::iovec {
    libc::iovec {
        iov_base: std::ptr::with_exposed_provenance_mut(at as usize),
        iov_len: len,
    }
}

impl Ptr<u8> {
    /// Copies guest bytes into `bytes`, or returns `ACCESS_VIOLATION`.
    pub fn try_read_bytes(self, bytes: &mut [u8]) -> Result<(), NtStatus> {
        let local = libc::iovec {
            iov_base: bytes.as_mut_ptr().cast(),
            iov_len: bytes.len(),
        };
        let remote = vector(self.address(), bytes.len());
        // SAFETY: `local` describes `bytes`; the kernel checks `remote`.
        let done = unsafe {
            libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0)
        };
        if usize::try_from(done) == Ok(bytes.len()) {
            Ok(())
        } else {
            Err(NtStatus::ACCESS_VIOLATION)
        }
    }

    /// Copies `bytes` to the guest, or returns `ACCESS_VIOLATION`.
    pub fn try_write_bytes(self, bytes: &[u8]) -> Result<(), NtStatus> {
        let local = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        let remote = vector(self.address(), bytes.len());
        // SAFETY: `local` is only read and describes `bytes`; the kernel checks `remote`.
        let done = unsafe {
            libc::process_vm_writev(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0)
        };
        if usize::try_from(done) == Ok(bytes.len()) {
            Ok(())
        } else {
            Err(NtStatus::ACCESS_VIOLATION)
        }
    }
}

/// Copies memory of another process (or this one) into `bytes`; returns how much could be read.
pub fn read_process(pid: u32, at: u64, bytes: &mut [u8]) -> usize {
    let local = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let remote = vector(at, bytes.len());
    // SAFETY: `local` describes `bytes`; the kernel checks `remote` and the right to read.
    let done = unsafe {
        libc::process_vm_readv(
            pid.cast_signed(),
            &raw const local,
            1,
            &raw const remote,
            1,
            0,
        )
    };
    usize::try_from(done).unwrap_or(0)
}

/// Copies `bytes` into memory of another process; returns how much could be written.
pub fn write_process(pid: u32, at: u64, bytes: &[u8]) -> usize {
    let local = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let remote = vector(at, bytes.len());
    // SAFETY: `local` is only read and describes `bytes`; the kernel checks `remote` and the right to write.
    let done = unsafe {
        libc::process_vm_writev(
            pid.cast_signed(),
            &raw const local,
            1,
            &raw const remote,
            1,
            0,
        )
    };
    usize::try_from(done).unwrap_or(0)
}

fn done(result: isize) -> std::io::Result<usize> {
    usize::try_from(result).map_err(|_| std::io::Error::last_os_error())
}

/// `read` or `pread` straight into guest memory; a bad address gives `EFAULT`.
pub fn read_into(
    fd: BorrowedFd<'_>,
    at: Ptr<u8>,
    len: usize,
    offset: Option<u64>,
) -> std::io::Result<usize> {
    let buffer = std::ptr::with_exposed_provenance_mut(at.address() as usize);
    done(match offset {
        // SAFETY: the kernel checks the buffer, which the guest handed us to be written.
        Some(offset) => unsafe { libc::pread(fd.as_raw_fd(), buffer, len, offset.cast_signed()) },
        // SAFETY: as above.
        None => unsafe { libc::read(fd.as_raw_fd(), buffer, len) },
    })
}

/// `write` or `pwrite` straight from guest memory; a bad address gives `EFAULT`.
pub fn write_from(
    fd: BorrowedFd<'_>,
    at: Ptr<u8>,
    len: usize,
    offset: Option<u64>,
) -> std::io::Result<usize> {
    let buffer = std::ptr::with_exposed_provenance(at.address() as usize);
    done(match offset {
        // SAFETY: the kernel checks the buffer.
        Some(offset) => unsafe { libc::pwrite(fd.as_raw_fd(), buffer, len, offset.cast_signed()) },
        // SAFETY: as above.
        None => unsafe { libc::write(fd.as_raw_fd(), buffer, len) },
    })
}

/// Returns a guest word as an atomic. A bad or misaligned address faults like an access by the guest itself.
#[must_use]
pub fn atomic_u32(at: u64) -> &'static AtomicU32 {
    // SAFETY: guest memory may go away under any access; the fault then is the guest's (see [`Raw`](super::memory::Raw)). The
    // guest and we only ever access such words atomically, and x86 atomics work at any alignment.
    unsafe { AtomicU32::from_ptr(std::ptr::with_exposed_provenance_mut(at as usize)) }
}

/// Returns a guest quad word as an atomic; see [`atomic_u32`].
#[must_use]
pub fn atomic_u64(at: u64) -> &'static AtomicU64 {
    // SAFETY: as for `atomic_u32`.
    unsafe { AtomicU64::from_ptr(std::ptr::with_exposed_provenance_mut(at as usize)) }
}
