//! The system calls without a safe wrapper.

use std::io;

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
