//! NT heaps: `RtlAllocateHeap` and its relatives, and `malloc` on top of them.
//!
//! A heap is a few `dlmalloc` instances in guest memory, one lock each, so that threads rarely meet. Every block has a
//! header with its exact size and a check word; a pointer that is no block of the heap is told apart by it.
//! `dlmalloc` is used because it takes memory from wherever it is told to, which the guest's address space needs.
#![allow(unsafe_code, reason = "allocates guest memory")]

pub mod blocks;

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use dlmalloc::{Allocator, Dlmalloc};
use ntlpc_abi::{NtStatus, Width};
use parking_lot::Mutex;

use crate::guest::Ptr;
use crate::vm::{self, HIGHEST_X64, PAGE, Placement, mem, page};
use crate::width;

/// Bytes in front of a block: its size and check word. Keeps blocks aligned to 16, which i386 does not even ask for.
const HEADER: u64 = 16;
/// `dlmalloc` instances of a heap.
const ARENAS: usize = 4;
/// Largest block: beyond it sizes are surely wrong.
const MAX_BLOCK: usize = 1 << 44;

/// A heap of the guest.
pub struct Heap {
    arenas: [Mutex<Dlmalloc<Pages>>; ARENAS],
    /// Mixed into every check word, so that a block of another heap is recognised.
    secret: u64,
}

/// The header of a live block.
struct Block {
    size: usize,
    arena: usize,
}

impl Heap {
    /// Makes an empty heap.
    #[must_use]
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self {
            arenas: std::array::from_fn(|_| Mutex::new(Dlmalloc::new_with_allocator(Pages))),
            secret: number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
        }
    }

    /// Allocates `size` bytes, zeroed if `zero`; `None` when memory is exhausted.
    #[must_use]
    pub fn allocate(&self, size: usize, zero: bool) -> Option<u64> {
        if size > MAX_BLOCK {
            return None;
        }
        let arena = own_arena();
        let total = size + HEADER as usize;
        let mut memory = self.arenas[arena].lock();
        // SAFETY: the size is not zero and the alignment is a power of two.
        let at = unsafe {
            if zero {
                memory.calloc(total, 16)
            } else {
                memory.malloc(total, 16)
            }
        };
        drop(memory);
        if at.is_null() {
            return None;
        }
        Some(self.write_header(at as u64, size, arena))
    }

    /// Changes the size of a block, moving it unless `in_place`; `Ok(None)` when that is impossible.
    ///
    /// Returns `INVALID_PARAMETER` if `address` is no block of this heap. New bytes are zeroed if `zero`.
    pub fn reallocate(
        &self,
        address: u64,
        size: usize,
        zero: bool,
        in_place: bool,
    ) -> Result<Option<u64>, NtStatus> {
        let block = self.block(address).ok_or(NtStatus::INVALID_PARAMETER)?;
        if size > MAX_BLOCK {
            return Ok(None);
        }
        let base = address - HEADER;
        let moved = if size <= usable(block.size) && size >= block.size / 2 {
            base
        } else if in_place {
            if size > block.size {
                return Ok(None);
            }
            base
        } else {
            // SAFETY: the header proves that `base` is a live block of this arena.
            let at = unsafe {
                self.arenas[block.arena]
                    .lock()
                    .c_realloc(base as *mut u8, size + HEADER as usize)
            };
            if at.is_null() {
                return Ok(None);
            }
            at as u64
        };
        let address = self.write_header(moved, size, block.arena);
        if zero && size > block.size {
            // SAFETY: these bytes belong to the block, whose size is at least `size`.
            unsafe {
                std::ptr::write_bytes((address as *mut u8).add(block.size), 0, size - block.size)
            };
        }
        Ok(Some(address))
    }

    /// Frees a block, or returns `INVALID_PARAMETER` if `address` is none of this heap.
    pub fn free(&self, address: u64) -> Result<(), NtStatus> {
        let block = self.block(address).ok_or(NtStatus::INVALID_PARAMETER)?;
        let base = address - HEADER;
        Ptr::<u64>::new(base + 8).write(0);
        // SAFETY: the header proved that `base` is a live block of this arena, and it is forgotten now.
        unsafe { self.arenas[block.arena].lock().c_free(base as *mut u8) };
        Ok(())
    }

    /// Returns the size a block was asked for; `None` if `address` is no block of this heap.
    #[must_use]
    pub fn size(&self, address: u64) -> Option<usize> {
        self.block(address).map(|block| block.size)
    }

    fn check(&self, base: u64, size: usize, arena: usize) -> u64 {
        ((size as u64) ^ base.rotate_left(17)).wrapping_mul(self.secret) << 8 | arena as u64
    }

    fn write_header(&self, base: u64, size: usize, arena: usize) -> u64 {
        Ptr::<u64>::new(base).write(size as u64);
        Ptr::<u64>::new(base + 8).write(self.check(base, size, arena));
        base + HEADER
    }

    /// Reads the header in front of `address`. An unmapped address is the guest's access violation.
    fn block(&self, address: u64) -> Option<Block> {
        if address < HEADER || !address.is_multiple_of(16) {
            return None;
        }
        let base = address - HEADER;
        let size = usize::try_from(Ptr::<u64>::new(base).read()).ok()?;
        let check = Ptr::<u64>::new(base + 8).read();
        let arena = usize::from(check.to_le_bytes()[0]);
        (arena < ARENAS && check == self.check(base, size, arena)).then_some(Block { size, arena })
    }
}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        for arena in &mut self.arenas {
            let memory = std::mem::replace(arena.get_mut(), Dlmalloc::new_with_allocator(Pages));
            // SAFETY: the heap is gone; a guest that still uses its blocks faults, as on Windows.
            unsafe { memory.destroy() };
        }
    }
}

/// Returns the heap of the process.
pub fn process() -> &'static Heap {
    static PROCESS: OnceLock<Heap> = OnceLock::new();
    PROCESS.get_or_init(Heap::new)
}

/// Returns how large a block can grow without moving: `dlmalloc` rounds chunks up to 16 and keeps 8 bytes.
fn usable(size: usize) -> usize {
    (size + HEADER as usize + 8).next_multiple_of(16) - 8 - HEADER as usize
}

/// Returns the arena the calling thread allocates from.
fn own_arena() -> usize {
    thread_local! {
        static OWN: Cell<usize> = {
            static NEXT: AtomicUsize = AtomicUsize::new(0);
            Cell::new(NEXT.fetch_add(1, Ordering::Relaxed) % ARENAS)
        };
    }
    OWN.get()
}

/// Pages of the guest's address space.
struct Pages;

impl Pages {
    fn highest() -> usize {
        match width() {
            Width::X64 => HIGHEST_X64,
            Width::X86 => 0x7FFF_0000,
        }
    }
}

// SAFETY: regions come from the guest's address space, belong to the caller alone until freed, and are zero when new.
unsafe impl Allocator for Pages {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        let placement = Placement {
            at: None,
            below: Self::highest(),
        };
        match vm::SPACE.lock().allocate(
            placement,
            size,
            mem::RESERVE | mem::COMMIT,
            page::READWRITE,
        ) {
            Ok((base, size)) => (base as *mut u8, size, 0),
            Err(_) => (std::ptr::null_mut(), 0, 0),
        }
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        std::ptr::null_mut()
    }

    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }

    /// Releases every allocation of the region: `dlmalloc` merges neighbours.
    fn free(&self, base: *mut u8, size: usize) -> bool {
        let mut space = vm::SPACE.lock();
        let mut at = base as usize;
        while at < base as usize + size {
            match space.free(at, 0, mem::RELEASE) {
                Ok((_, len)) => at += len,
                Err(_) => return false,
            }
        }
        true
    }

    fn can_release_part(&self, _: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        PAGE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_exact_and_blocks_aligned() {
        let heap = Heap::new();
        for size in [0, 1, 15, 16, 17, 4096, 1 << 20] {
            let at = heap.allocate(size, true).expect("memory");
            assert_eq!((heap.size(at), at % 16), (Some(size), 0));
            assert_eq!(Ptr::<u8>::new(at).read_bytes(size), vec![0; size]);
            heap.free(at).expect("a live block");
        }
    }

    #[test]
    fn pointers_that_are_no_blocks_are_refused() {
        let (heap, other) = (Heap::new(), Heap::new());
        let at = heap.allocate(64, false).expect("memory");
        assert_eq!(heap.free(at + 16), Err(NtStatus::INVALID_PARAMETER));
        assert_eq!(heap.free(at + 1), Err(NtStatus::INVALID_PARAMETER));
        assert_eq!(other.free(at), Err(NtStatus::INVALID_PARAMETER));
        assert_eq!(heap.free(at), Ok(()));
        assert_eq!(heap.free(at), Err(NtStatus::INVALID_PARAMETER));
    }

    #[test]
    fn reallocation_keeps_contents_and_zeroes_the_rest() {
        let heap = Heap::new();
        let at = heap.allocate(3, false).expect("memory");
        Ptr::<u8>::new(at).write_bytes(b"abc");
        let at = heap
            .reallocate(at, 100_000, true, false)
            .expect("a block")
            .expect("memory");
        assert_eq!(Ptr::<u8>::new(at).read_bytes(5), b"abc\0\0");
        assert_eq!(heap.size(at), Some(100_000));
        assert_eq!(heap.reallocate(at, 200_000, false, true), Ok(None));
        assert_eq!(heap.reallocate(at, 10, false, true), Ok(Some(at)));
        assert_eq!(heap.size(at), Some(10));
    }

    #[test]
    fn threads_free_each_others_blocks() {
        static HEAP: OnceLock<Heap> = OnceLock::new();
        let heap = HEAP.get_or_init(Heap::new);
        let blocks: Vec<u64> = (0..1000)
            .map(|n| heap.allocate(n, false).expect("memory"))
            .collect();
        let freed =
            std::thread::spawn(move || blocks.into_iter().all(|at| heap.free(at).is_ok())).join();
        assert!(freed.expect("no panic"));
    }
}
