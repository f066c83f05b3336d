//! Random numbers: the kernel's generator, also under the names that have no algorithm or provider.

use crate::export::{Bool, Boolean, Ptr};
use crate::win_api;

/// Most bytes asked of the kernel at once: what it gives without interruption (`man 2 getrandom`).
const CHUNK: usize = 256;

/// Fills guest memory with random bytes.
pub fn fill(to: Ptr<u8>, length: usize) {
    let mut bytes = [0; CHUNK];
    for start in (0..length).step_by(CHUNK) {
        let chunk = &mut bytes[..CHUNK.min(length - start)];
        getrandom(chunk);
        to.add(start).write_bytes(chunk);
    }
}

fn getrandom(bytes: &mut [u8]) {
    let mut done = 0;
    while done < bytes.len() {
        match rustix::rand::getrandom(&mut bytes[done..], rustix::rand::GetRandomFlags::empty()) {
            Ok(more) => done += more,
            Err(rustix::io::Errno::INTR) => {}
            // Random numbers that are none would be worse than an end.
            Err(error) => crate::fatal(format_args!("getrandom: {error}")),
        }
    }
}

win_api! {
    /// Fills a buffer with random bytes.
    "bcryptprimitives.dll" stdcall fn ProcessPrng(to: Ptr<u8>, length: usize) -> Bool {
        fill(to, length);
        Bool::TRUE
    }

    /// Fills a buffer with random bytes.
    "advapi32.dll|cryptbase.dll" stdcall fn SystemFunction036(to: Ptr<u8>, length: u32) -> Boolean {
        fill(to, length as usize);
        true.into()
    }
}
