//! The system calls behind the region map. The only file of `vm` that uses `unsafe`.
//!
//! Every function takes plain addresses; the region map above guarantees that they lie in ranges it owns, so no
//! mapping of the host (its heap, stacks, libraries) is ever changed.
#![allow(
    unsafe_code,
    reason = "wraps mmap, mprotect and munmap for ranges owned by the region map"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// What a fresh mapping shows.
#[derive(Clone, Copy, Debug)]
pub enum Backing<'a> {
    /// Zero pages of this process.
    Anonymous,
    /// Bytes of a file or memfd, shared with its other users.
    Shared(BorrowedFd<'a>, u64),
    /// Bytes of a file or memfd, copied at the first write.
    Private(BorrowedFd<'a>, u64),
}

/// Maps `len` bytes. With `at` the mapping lies exactly there or the call fails with `EEXIST`; `replace` allows
/// what lies there to be replaced (only for ranges the region map owns).
pub fn map(
    at: Option<usize>,
    len: usize,
    prot: i32,
    backing: Backing<'_>,
    replace: bool,
) -> io::Result<usize> {
    let (kind, fd, offset) = match backing {
        Backing::Anonymous => (
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        ),
        Backing::Shared(fd, offset) => (libc::MAP_SHARED, fd.as_raw_fd(), offset),
        Backing::Private(fd, offset) => (libc::MAP_PRIVATE, fd.as_raw_fd(), offset),
    };
    let fixed = match at {
        Some(_) if replace => libc::MAP_FIXED,
        Some(_) => libc::MAP_FIXED_NOREPLACE,
        None => 0,
    };
    let offset = i64::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let hint = ptr::without_provenance_mut(at.unwrap_or(0));
    // SAFETY: without MAP_FIXED the call only adds a mapping; with it, the caller owns the range (see the module).
    let base = unsafe { libc::mmap(hint, len, prot, kind | fixed, fd, offset) };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    match at {
        // Kernels before 4.17 treat MAP_FIXED_NOREPLACE as a hint.
        Some(at) if base.addr() != at => {
            unmap(base.addr(), len);
            Err(io::Error::from_raw_os_error(libc::EEXIST))
        }
        _ => Ok(base.addr()),
    }
}

/// Removes the mapping of a range the region map owns.
pub fn unmap(base: usize, len: usize) {
    // SAFETY: the range belongs to the region map; nothing of the host lies in it.
    unsafe { libc::munmap(ptr::without_provenance_mut(base), len) };
}

/// Changes the protection of a range the region map owns.
pub fn protect(base: usize, len: usize, prot: i32) -> io::Result<()> {
    // SAFETY: the range belongs to the region map; nothing of the host lies in it.
    match unsafe { libc::mprotect(ptr::without_provenance_mut(base), len, prot) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Writes the changed pages of a shared file mapping back.
pub fn sync(base: usize, len: usize) -> io::Result<()> {
    // SAFETY: msync reads no memory of ours; an unmapped range gives ENOMEM.
    match unsafe { libc::msync(ptr::without_provenance_mut(base), len, libc::MS_SYNC) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
