//! The system calls without a fitting safe wrapper.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Who is at the other end of a socket (`man 7 unix`, SO_PEERCRED).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCredentials {
    /// Process id; `None` if the process is in a PID name space that cannot be seen from here.
    pub pid: Option<i32>,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
}

/// Returns the credentials of a connected peer at the time it connected or listened.
pub fn peer_credentials(socket: impl AsFd) -> io::Result<PeerCredentials> {
    let mut peer = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: 1. `peer` is writable for `len` bytes. 2. The option writes at most `len` bytes of plain integers.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut len,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let pid = (peer.pid > 0).then_some(peer.pid);
    Ok(PeerCredentials {
        pid,
        uid: peer.uid,
        gid: peer.gid,
    })
}

/// Marks every descriptor above the standard three close-on-exec (`man 2 close_range`, Linux 5.11).
///
/// For a program that is about to start the server and must not leak what it inherited itself.
pub fn close_inherited_on_exec() -> io::Result<()> {
    const FIRST: libc::c_uint = 3;
    // SAFETY: close_range with CLOSE_RANGE_CLOEXEC takes three integers and closes nothing in this process.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            FIRST,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Copies from the memory of another process, as far as its pages can be read (`man 2 process_vm_readv`). Returns the
/// bytes copied.
///
/// # Errors
/// `EFAULT` if the first page cannot be read, `EPERM` or `ESRCH` if the process cannot be looked into.
pub fn read_process(pid: u32, from: u64, to: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec {
        iov_base: to.as_mut_ptr().cast(),
        iov_len: to.len(),
    };
    let remote = libc::iovec {
        iov_base: from as *mut libc::c_void,
        iov_len: to.len(),
    };
    // SAFETY: 1. The local vector is a valid buffer. 2. The remote one is only an address in the other process.
    let copied = unsafe {
        libc::process_vm_readv(
            pid as libc::pid_t,
            &raw const local,
            1,
            &raw const remote,
            1,
            0,
        )
    };
    usize::try_from(copied).map_err(|_| io::Error::last_os_error())
}

/// Copies to the memory of another process, as far as its pages can be written. Returns the bytes copied.
///
/// # Errors
/// As [`read_process`].
pub fn write_process(pid: u32, to: u64, from: &[u8]) -> io::Result<usize> {
    let local = libc::iovec {
        iov_base: from.as_ptr().cast_mut().cast(),
        iov_len: from.len(),
    };
    let remote = libc::iovec {
        iov_base: to as *mut libc::c_void,
        iov_len: from.len(),
    };
    // SAFETY: 1. The local vector is a valid buffer, which process_vm_writev only reads. 2. The remote one is only an
    // address in the other process.
    let copied = unsafe {
        libc::process_vm_writev(
            pid as libc::pid_t,
            &raw const local,
            1,
            &raw const remote,
            1,
            0,
        )
    };
    usize::try_from(copied).map_err(|_| io::Error::last_os_error())
}
