//! Views of a native program: mappings, and the address space the server chooses from for views of peers.
#![allow(
    unsafe_code,
    reason = "maps and unmaps address space that nothing else uses"
)]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr::null_mut;

use ntlpc_abi::NtStatus;
use parking_lot::Mutex;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mmap_anonymous, mprotect, munmap};

use crate::host::{MappedView, Section};

/// Address space kept for views of peers, in bytes: address space only, no memory.
const ARENA_BYTES: usize = if usize::BITS == 64 {
    0x10_0000_0000_u64 as usize
} else {
    0x1000_0000
};
const PAGE: u64 = 0x1000;
/// `MM_ALLOCATION_GRANULARITY`: offsets and fixed addresses are multiples of it.
const GRANULARITY: u64 = 0x1_0000;

/// What is mapped.
#[derive(Debug, Default)]
struct Views {
    /// First address and length of the arena; zero until there is one.
    arena: (u64, u64),
    /// Sizes of views by their address.
    sizes: BTreeMap<u64, usize>,
}

static VIEWS: Mutex<Views> = Mutex::new(Views {
    arena: (0, 0),
    sizes: BTreeMap::new(),
});

impl Views {
    fn is_in_arena(&self, base: u64, size: u64) -> bool {
        let (first, bytes) = self.arena;
        base >= first && base.saturating_add(size) <= first + bytes
    }
}

/// Returns base and size of the address space the server may place views in; zeros if there is no room.
pub(super) fn reserve_arena() -> (u64, u64) {
    let mut views = VIEWS.lock();
    if views.arena.1 == 0 {
        // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
        let mapped = unsafe {
            mmap_anonymous(
                null_mut(),
                ARENA_BYTES,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        };
        match mapped {
            Ok(base) => views.arena = (base as u64, ARENA_BYTES as u64),
            Err(error) => log::warn!("no room for views of other processes' sections: {error}"),
        }
    }
    views.arena
}

/// Maps `size` bytes (0: to the end) of a section from `offset`, readable and writable, at `at` or anywhere.
///
/// # Errors
/// `MAPPED_ALIGNMENT`, `INVALID_VIEW_SIZE`, `CONFLICTING_ADDRESSES`, `NO_MEMORY`.
pub(super) fn map(
    section: &Section,
    offset: u64,
    size: u64,
    at: Option<u64>,
) -> Result<MappedView, NtStatus> {
    if !offset.is_multiple_of(GRANULARITY) || at.is_some_and(|at| !at.is_multiple_of(GRANULARITY)) {
        return Err(NtStatus::MAPPED_ALIGNMENT);
    }
    let rest = section.size.checked_sub(offset).filter(|&rest| rest != 0);
    let rest = rest.ok_or(NtStatus::INVALID_VIEW_SIZE)?;
    let size = if size == 0 { rest } else { size };
    if size > rest.next_multiple_of(PAGE) {
        return Err(NtStatus::INVALID_VIEW_SIZE);
    }
    let size = size.next_multiple_of(PAGE);
    let len = usize::try_from(size).map_err(|_| NtStatus::INVALID_VIEW_SIZE)?;
    let mut views = VIEWS.lock();
    let (address, fixed) = match at {
        None => (null_mut(), MapFlags::empty()),
        Some(at) if views.is_in_arena(at, size) => (at as *mut c_void, MapFlags::FIXED),
        Some(at) => (at as *mut c_void, MapFlags::FIXED_NOREPLACE),
    };
    // SAFETY: 1. Without a fixed address, or with NOREPLACE, the mapping replaces nothing. 2. A fixed one lies in the
    // arena, which holds views only, and the server gives each part of it out once.
    let mapped = unsafe {
        mmap(
            address,
            len,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::SHARED | fixed,
            &section.fd,
            offset,
        )
    };
    let base = mapped.map_err(|error| match error {
        rustix::io::Errno::EXIST => NtStatus::CONFLICTING_ADDRESSES,
        rustix::io::Errno::ACCESS | rustix::io::Errno::PERM => NtStatus::SECTION_PROTECTION,
        _ => NtStatus::NO_MEMORY,
    })? as u64;
    views.sizes.insert(base, len);
    Ok(MappedView { base, size })
}

/// Unmaps a view; no effect if there is none at `base`.
pub(super) fn unmap(base: u64) {
    let mut views = VIEWS.lock();
    let Some(len) = views.sizes.remove(&base) else {
        return;
    };
    let address = base as *mut c_void;
    if views.is_in_arena(base, len as u64) {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: replaces a view of ours, which its port gave up, by address space without access. A failure leaves the
        // view mapped, which hurts nobody.
        let _ = unsafe { mmap_anonymous(address, len, ProtFlags::empty(), flags) };
    } else {
        // SAFETY: a view of ours, which its port gave up.
        let _ = unsafe { munmap(address, len) };
    }
}

/// Makes a view read-only, or writable again.
///
/// # Errors
/// `INVALID_PARAMETER` for anything but a whole view, `NO_MEMORY`.
pub(super) fn protect(view: MappedView, is_writable: bool) -> Result<(), NtStatus> {
    let views = VIEWS.lock();
    let len = views.sizes.get(&view.base).copied();
    let len = len.filter(|&len| len as u64 == view.size);
    let len = len.ok_or(NtStatus::INVALID_PARAMETER)?;
    let write = if is_writable {
        MprotectFlags::WRITE
    } else {
        MprotectFlags::empty()
    };
    // SAFETY: a view of ours, whose protection is the port calls' to change.
    unsafe { mprotect(view.base as *mut c_void, len, MprotectFlags::READ | write) }
        .map_err(|_| NtStatus::NO_MEMORY)
}
