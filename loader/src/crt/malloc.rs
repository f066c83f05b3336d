//! `malloc.h`: memory from the heap of the process.

use super::errno::{self, code};
use super::mem;
use crate::export::{Callback, Guest, Ptr};
use crate::heap;
use crate::{guest_struct, win_api};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// Allocates, asking the guest's new-handler for memory when there is none and `_set_new_mode(1)` was called.
fn allocate(size: usize, zero: bool) -> Ptr<u8> {
    loop {
        if let Some(at) = heap::process().allocate(size, zero) {
            return Ptr::new(at);
        }
        if NEW_MODE.load(Ordering::Relaxed) == 0 || _callnewh(size) == 0 {
            errno::set_errno(code::ENOMEM);
            return Ptr::NULL;
        }
    }
}

fn reallocate(block: Ptr<u8>, size: usize) -> Ptr<u8> {
    if block.is_null() {
        return allocate(size, false);
    }
    if size == 0 {
        free(block);
        return Ptr::NULL;
    }
    match heap::process().reallocate(block.address(), size, false, false) {
        Ok(Some(at)) => Ptr::new(at),
        Ok(None) => {
            errno::set_errno(code::ENOMEM);
            Ptr::NULL
        }
        Err(_) => {
            corrupted("realloc", block);
            Ptr::NULL
        }
    }
}

fn corrupted(function: &str, block: Ptr<u8>) {
    log::error!("{function}({block:?}): not a block of the process heap");
    super::os::heap_corruption();
}

static NEW_MODE: AtomicI32 = AtomicI32::new(0);
static NEW_HANDLER: AtomicU64 = AtomicU64::new(0);

guest_struct! {
    /// What lies in front of a block of `_aligned_malloc`: the block it was cut from, and the size asked for.
    struct AlignedHeader {
        block: Ptr<u8>,
        size: usize,
    }
}

fn aligned_header(at: Ptr<u8>) -> Ptr<AlignedHeader> {
    let back = (AlignedHeader::size() as u64).wrapping_neg();
    Ptr::new(at.address() & !(AlignedHeader::align() as u64 - 1)).byte_add(back)
}

/// Allocates so that `address + offset` is a multiple of `alignment`.
fn allocate_aligned(size: usize, alignment: usize, offset: usize) -> Ptr<u8> {
    if !alignment.is_power_of_two() || (offset != 0 && offset >= size) {
        errno::invalid_parameter();
        return Ptr::NULL;
    }
    let alignment = alignment.max(AlignedHeader::align());
    let Some(total) = size.checked_add(alignment + AlignedHeader::size() + AlignedHeader::align())
    else {
        errno::set_errno(code::ENOMEM);
        return Ptr::NULL;
    };
    let block = allocate(total, false);
    if block.is_null() {
        return Ptr::NULL;
    }
    let first =
        block.address() + (AlignedHeader::size() + AlignedHeader::align()) as u64 + offset as u64;
    let at = Ptr::new(first.next_multiple_of(alignment as u64) - offset as u64);
    aligned_header(at).write(AlignedHeader { block, size });
    at
}

fn reallocate_aligned(at: Ptr<u8>, size: usize, alignment: usize, offset: usize) -> Ptr<u8> {
    if at.is_null() {
        return allocate_aligned(size, alignment, offset);
    }
    if size == 0 {
        _aligned_free(at);
        return Ptr::NULL;
    }
    let new = allocate_aligned(size, alignment, offset);
    if !new.is_null() {
        mem::copy(
            new.address(),
            at.address(),
            size.min(aligned_header(at).read().size),
        );
        _aligned_free(at);
    }
    new
}

win_api! {
    /// Makes the stack's guard page anew after an overflow; 0 if the stack in use is too near it.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _resetstkoflw() -> i32 {
        i32::from(crate::thread::close_guard())
    }

    /// Allocates memory.
    "msvcrt.dll|ucrtbase.dll" cdecl fn malloc = "malloc|_malloc_base|_malloc_crt" (size: usize) -> Ptr<u8> {
        allocate(size, false)
    }

    /// Allocates zeroed memory for `count` elements.
    "msvcrt.dll|ucrtbase.dll" cdecl fn calloc = "calloc|_calloc_base|_calloc_crt" (count: usize, size: usize) -> Ptr<u8> {
        match count.checked_mul(size) {
            Some(total) => allocate(total, true),
            None => {
                errno::set_errno(code::ENOMEM);
                Ptr::NULL
            }
        }
    }

    /// Changes the size of a block.
    "msvcrt.dll|ucrtbase.dll" cdecl fn realloc = "realloc|_realloc_base|_realloc_crt" (block: Ptr<u8>, size: usize) -> Ptr<u8> {
        reallocate(block, size)
    }

    /// Changes the size of a block of `count` elements and zeroes the new ones.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _recalloc = "_recalloc|_recalloc_base|_recalloc_crt" (block: Ptr<u8>, count: usize, size: usize) -> Ptr<u8> {
        let Some(total) = count.checked_mul(size) else {
            errno::set_errno(code::ENOMEM);
            return Ptr::NULL;
        };
        let before = if block.is_null() { 0 } else { _msize(block) };
        let new = reallocate(block, total);
        if !new.is_null() && total > before {
            mem::fill(new.address() + before as u64, 0, total - before);
        }
        new
    }

    /// Frees a block.
    "msvcrt.dll|ucrtbase.dll" cdecl fn free = "free|_free_base" (block: Ptr<u8>) {
        if !block.is_null() && heap::process().free(block.address()).is_err() {
            corrupted("free", block);
        }
    }

    /// Returns the size of a block.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _msize = "_msize|_msize_base" (block: Ptr<u8>) -> usize {
        if block.is_null() {
            errno::invalid_parameter();
            return usize::MAX;
        }
        heap::process().size(block.address()).unwrap_or(usize::MAX)
    }

    /// Changes the size of a block where it is, or fails.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _expand(block: Ptr<u8>, size: usize) -> Ptr<u8> {
        if block.is_null() {
            errno::invalid_parameter();
            return Ptr::NULL;
        }
        match heap::process().reallocate(block.address(), size, false, true) {
            Ok(Some(at)) => Ptr::new(at),
            _ => Ptr::NULL,
        }
    }

    /// Allocates memory with an alignment.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _aligned_malloc(size: usize, alignment: usize) -> Ptr<u8> {
        allocate_aligned(size, alignment, 0)
    }

    /// Allocates memory in which the byte at `offset` has an alignment.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _aligned_offset_malloc(size: usize, alignment: usize, offset: usize) -> Ptr<u8> {
        allocate_aligned(size, alignment, offset)
    }

    /// Changes the size of an aligned block.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _aligned_realloc(block: Ptr<u8>, size: usize, alignment: usize) -> Ptr<u8> {
        reallocate_aligned(block, size, alignment, 0)
    }

    /// Changes the size of an aligned block with an offset.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _aligned_offset_realloc(block: Ptr<u8>, size: usize, alignment: usize, offset: usize) -> Ptr<u8> {
        reallocate_aligned(block, size, alignment, offset)
    }

    /// Changes the size of an aligned block of `count` elements and zeroes the new ones.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _aligned_recalloc(block: Ptr<u8>, count: usize, size: usize, alignment: usize) -> Ptr<u8> {
        _aligned_offset_recalloc(block, count, size, alignment, 0)
    }

    /// Changes the size of an aligned block with an offset and zeroes the new elements.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _aligned_offset_recalloc(block: Ptr<u8>, count: usize, size: usize, alignment: usize, offset: usize) -> Ptr<u8> {
        let Some(total) = count.checked_mul(size) else {
            errno::set_errno(code::ENOMEM);
            return Ptr::NULL;
        };
        let before = if block.is_null() { 0 } else { aligned_header(block).read().size };
        let new = reallocate_aligned(block, total, alignment, offset);
        if !new.is_null() && total > before {
            mem::fill(new.address() + before as u64, 0, total - before);
        }
        new
    }

    /// Returns the size of an aligned block.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _aligned_msize(block: Ptr<u8>, _alignment: usize, _offset: usize) -> usize {
        if block.is_null() {
            errno::invalid_parameter();
            return usize::MAX;
        }
        aligned_header(block).read().size
    }

    /// Frees an aligned block.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _aligned_free(block: Ptr<u8>) {
        if !block.is_null() {
            free(aligned_header(block).read().block);
        }
    }

    /// Calls the new-handler; returns whether it wants another try.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _callnewh(size: usize) -> i32 {
        let handler = Callback(NEW_HANDLER.load(Ordering::Relaxed));
        i32::from(!handler.is_null() && handler.call(&[size as u64]) & 0xFFFF_FFFF != 0)
    }

    /// Sets the new-handler; returns the one before.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _set_new_handler = "_set_new_handler|?_set_new_handler@@YAP6AH_K@ZP6AH0@Z@Z|?_set_new_handler@@YAP6AHI@ZP6AHI@Z@Z" (handler: Callback) -> Callback {
        Callback(NEW_HANDLER.swap(handler.0, Ordering::Relaxed))
    }

    /// Returns the new-handler.
    "ucrtbase.dll" cdecl fn _query_new_handler() -> Callback {
        Callback(NEW_HANDLER.load(Ordering::Relaxed))
    }

    /// Chooses whether `malloc` calls the new-handler; returns the choice before.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _set_new_mode = "_set_new_mode|?_set_new_mode@@YAHH@Z" (mode: i32) -> i32 {
        if mode == 0 || mode == 1 {
            return NEW_MODE.swap(mode, Ordering::Relaxed);
        }
        errno::invalid_parameter();
        -1
    }

    /// Returns whether `malloc` calls the new-handler.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _query_new_mode() -> i32 {
        NEW_MODE.load(Ordering::Relaxed)
    }

    /// Checks the heap. Blocks are checked when they are used.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _heapchk() -> i32 {
        const HEAP_OK: i32 = -2;
        HEAP_OK
    }

    /// Gives unused heap memory back; it goes back by itself.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _heapmin() -> i32 {
        0
    }

    /// Returns the handle of the heap `malloc` uses.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _get_heap_handle() -> u64 {
        super::os::process_heap_handle()
    }

    /// `operator new`.
    "msvcrt.dll" cdecl fn operator_new = "??2@YAPEAX_K@Z|??_U@YAPEAX_K@Z|??2@YAPAXI@Z|??_U@YAPAXI@Z" (size: usize) -> Ptr<u8> {
        allocate(size, false)
    }

    /// `operator delete`.
    "msvcrt.dll" cdecl fn operator_delete = "??3@YAXPEAX@Z|??_V@YAXPEAX@Z|??3@YAXPAX@Z|??_V@YAXPAX@Z" (block: Ptr<u8>) {
        free(block);
    }
}
