//! Small permanent blocks of guest memory below 2 GiB: exported variables, process parameters, stubs.
//!
//! Low addresses serve both widths. Nothing is ever freed.
#![allow(unsafe_code, reason = "maps memory")]

use parking_lot::Mutex;

/// Bytes mapped at a time.
const CHUNK: usize = 0x10000;

/// `(next free address, end)` of the current chunk.
static CHUNK_LEFT: Mutex<(usize, usize)> = Mutex::new((0, 0));

/// Returns the address of `size` fresh zero bytes, readable and writable.
///
/// Ends the process if no memory is left: nothing a guest could do would help.
pub fn allocate(size: usize, align: usize) -> u64 {
    let mut left = CHUNK_LEFT.lock();
    let mut at = left.0.next_multiple_of(align.max(16));
    if at + size > left.1 {
        let bytes = size.next_multiple_of(CHUNK);
        at = map(bytes, libc::PROT_READ | libc::PROT_WRITE);
        left.1 = at + bytes;
    }
    left.0 = at + size;
    at as u64
}

/// Maps `bytes` of fresh pages below 2 GiB and returns their address.
pub fn map(bytes: usize, protection: i32) -> usize {
    // SAFETY: an anonymous private mapping at an address of the kernel's choice disturbs nothing.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            protection,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
            -1,
            0,
        )
    };
    if at == libc::MAP_FAILED {
        crate::fatal(format_args!(
            "out of memory below 2 GiB: {}",
            std::io::Error::last_os_error()
        ));
    }
    at as usize
}
