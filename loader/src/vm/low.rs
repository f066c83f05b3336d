//! One arena of guest memory below 2 GiB, made for both widths: images of built-in DLLs in its lower
//! half, exported variables and other permanent blocks in its upper half.
//!
//! So a variable always lies above the image that exports it and can be named by a relative address.
//! Nothing is ever freed.
#![allow(unsafe_code, reason = "maps memory")]

use parking_lot::Mutex;

use super::{Kind, PAGE, page, sys};

const HALF: usize = 0x100_0000;

/// Next free addresses.
struct Arena {
    images: usize,
    blocks: usize,
    end: usize,
}

static ARENA: Mutex<Option<Arena>> = Mutex::new(None);

/// Returns the address of `size` fresh zero bytes, readable and writable.
///
/// Ends the process if no memory is left: nothing a guest could do would help.
pub fn allocate(size: usize, align: usize) -> u64 {
    let mut arena = ARENA.lock();
    let arena = arena.get_or_insert_with(reserve);
    let at = arena.blocks.next_multiple_of(align.max(16));
    if at + size > arena.end {
        crate::fatal(format_args!(
            "more than {HALF:#x} bytes of permanent guest memory"
        ));
    }
    arena.blocks = at + size;
    at as u64
}

/// Returns the address of `size` fresh zero bytes for an image, aligned to 64 KiB and still writable.
pub fn allocate_image(size: usize) -> u64 {
    let mut arena = ARENA.lock();
    let arena = arena.get_or_insert_with(reserve);
    let at = arena.images;
    if at + size > arena.end - HALF {
        crate::fatal(format_args!("more than {HALF:#x} bytes of built-in DLLs"));
    }
    arena.images = (at + size).next_multiple_of(super::GRANULARITY);
    super::SPACE.lock().register(
        at,
        size.next_multiple_of(PAGE),
        Kind::Image,
        page::EXECUTE_WRITECOPY,
        page::WRITECOPY,
    );
    at as u64
}

fn reserve() -> Arena {
    let bytes = 2 * HALF + super::GRANULARITY;
    // SAFETY: an anonymous private mapping at an address of the kernel's choice disturbs nothing.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT | libc::MAP_NORESERVE,
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
    let images = (at as usize).next_multiple_of(super::GRANULARITY);
    let blocks = images + HALF;
    super::SPACE.lock().register(
        blocks,
        HALF,
        Kind::Private,
        page::READWRITE,
        page::READWRITE,
    );
    Arena {
        images,
        blocks,
        end: blocks + HALF,
    }
}

/// Makes part of an image of the arena executable and read-only.
pub fn seal(at: u64, size: usize, protect: u32) {
    let (at, size) = (at as usize, size.next_multiple_of(PAGE));
    let host = super::prot(protect).unwrap_or(libc::PROT_NONE);
    if let Err(error) = sys::protect(at, size, host) {
        crate::fatal(format_args!("cannot protect a built-in DLL: {error}"));
    }
    super::SPACE.lock().note_protection(at, size, protect);
}
