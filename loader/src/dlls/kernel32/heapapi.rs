//! Heaps: `heapapi.h`, and the local and global memory of `winbase.h`.

use std::sync::{Arc, OnceLock};

use ntlpc_abi::{Handle, NtStatus};
use parking_lot::RwLock;

use crate::dlls::win32::{error, failed, refuse};
use crate::export::{Bool, Boolean, Ptr};
use crate::heap::{self, Heap};
use crate::win_api;

/// `HEAP_ZERO_MEMORY`.
const ZERO_MEMORY: u32 = 0x8;
/// `HEAP_REALLOC_IN_PLACE_ONLY`.
const IN_PLACE_ONLY: u32 = 0x10;

/// Heaps made by `HeapCreate`; the handle is an address the guest cannot mistake for memory of its own.
static HEAPS: RwLock<Vec<(u64, Arc<Heap>)>> = RwLock::new(Vec::new());

/// Runs `act` on a heap by handle. NULL and the process heap's handle name the process heap.
fn with<T>(handle: u64, act: impl FnOnce(&Heap) -> T) -> Option<T> {
    if handle == process_heap() {
        return Some(act(heap::process()));
    }
    let found = HEAPS
        .read()
        .iter()
        .find(|(key, _)| *key == handle)
        .map(|(_, heap)| heap.clone());
    found.map(|heap| act(&heap))
}

/// Returns the handle of the process heap, which is also in `PEB.ProcessHeap`.
pub fn process_heap() -> u64 {
    static HANDLE: OnceLock<u64> = OnceLock::new();
    *HANDLE.get_or_init(|| crate::vm::low::allocate(16, 16))
}

fn allocate(handle: u64, flags: u32, size: usize) -> u64 {
    with(handle, |heap| heap.allocate(size, flags & ZERO_MEMORY != 0))
        .flatten()
        .unwrap_or(0)
}

fn reallocate(handle: u64, flags: u32, block: u64, size: usize) -> u64 {
    let is_in_place = flags & IN_PLACE_ONLY != 0;
    let done = with(handle, |heap| {
        heap.reallocate(block, size, flags & ZERO_MEMORY != 0, is_in_place)
    });
    done.and_then(Result::ok).flatten().unwrap_or(0)
}

fn free(handle: u64, block: u64) -> Result<(), NtStatus> {
    if block == 0 {
        return Ok(());
    }
    with(handle, |heap| heap.free(block)).unwrap_or(Err(NtStatus::INVALID_HANDLE))
}

fn create() -> u64 {
    let handle = crate::vm::low::allocate(16, 16);
    HEAPS.write().push((handle, Arc::new(Heap::new())));
    handle
}

fn destroy(handle: u64) -> bool {
    let mut heaps = HEAPS.write();
    let before = heaps.len();
    heaps.retain(|(key, _)| *key != handle);
    heaps.len() != before
}

win_api! {
    /// Returns the process heap.
    "kernel32.dll|kernelbase.dll" stdcall fn GetProcessHeap() -> Handle {
        Handle(process_heap())
    }

    /// Stores the handles of all heaps.
    "kernel32.dll|kernelbase.dll" stdcall fn GetProcessHeaps(count: u32, handles: Ptr<Handle>) -> u32 {
        let mut all = vec![Handle(process_heap())];
        all.extend(HEAPS.read().iter().map(|(key, _)| Handle(*key)));
        if count as usize >= all.len() {
            handles.write_many(&all);
        }
        u32::try_from(all.len()).unwrap_or(u32::MAX)
    }

    /// Makes a heap.
    "kernel32.dll|kernelbase.dll" stdcall fn HeapCreate(_options: u32, _initial: usize, _maximum: usize) -> Handle {
        Handle(create())
    }

    /// Makes a heap.
    "ntdll.dll" stdcall fn RtlCreateHeap(_flags: u32, _base: Ptr<u8>, _reserve: usize, _commit: usize, _lock: Ptr<u8>, _parameters: Ptr<u8>) -> Handle {
        Handle(create())
    }

    /// Destroys a heap.
    "kernel32.dll|kernelbase.dll" stdcall fn HeapDestroy(heap: Handle) -> Bool {
        if destroy(heap.0) { Bool::TRUE } else { refuse(error::INVALID_HANDLE, Bool::FALSE) }
    }

    /// Destroys a heap; returns NULL on success.
    "ntdll.dll" stdcall fn RtlDestroyHeap(heap: Handle) -> Handle {
        if destroy(heap.0) { Handle::NULL } else { heap }
    }

    /// Allocates a block of a heap.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn HeapAlloc = "HeapAlloc|RtlAllocateHeap" (heap: Handle, flags: u32, size: usize) -> Ptr<u8> {
        let block = allocate(heap.0, flags, size);
        if block == 0 {
            return refuse(error::NOT_ENOUGH_MEMORY, Ptr::NULL);
        }
        Ptr::new(block)
    }

    /// Resizes a block of a heap.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn HeapReAlloc = "HeapReAlloc|RtlReAllocateHeap" (heap: Handle, flags: u32, block: Ptr<u8>, size: usize) -> Ptr<u8> {
        match reallocate(heap.0, flags, block.address(), size) {
            0 => refuse(error::NOT_ENOUGH_MEMORY, Ptr::NULL),
            moved => Ptr::new(moved),
        }
    }

    /// Frees a block of a heap.
    "kernel32.dll|kernelbase.dll" stdcall fn HeapFree(heap: Handle, _flags: u32, block: Ptr<u8>) -> Bool {
        match free(heap.0, block.address()) {
            Ok(()) => Bool::TRUE,
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Frees a block of a heap.
    "ntdll.dll" stdcall fn RtlFreeHeap(heap: Handle, _flags: u32, block: Ptr<u8>) -> Boolean {
        free(heap.0, block.address()).is_ok().into()
    }

    /// Returns the size of a block, or the largest value for what is no block.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn HeapSize = "HeapSize|RtlSizeHeap" (heap: Handle, _flags: u32, block: Ptr<u8>) -> usize {
        let size = with(heap.0, |heap| heap.size(block.address())).flatten();
        size.unwrap_or(match crate::width() {
            ntlpc_abi::Width::X64 => usize::MAX,
            ntlpc_abi::Width::X86 => u32::MAX as usize,
        })
    }

    /// Checks a block, or the heap.
    "kernel32.dll|kernelbase.dll" stdcall fn HeapValidate(heap: Handle, _flags: u32, block: Ptr<u8>) -> Bool {
        with(heap.0, |heap| block.is_null() || heap.size(block.address()).is_some()).unwrap_or(false).into()
    }

    /// Takes note that the heap could be compacted; nothing to do here.
    "kernel32.dll|kernelbase.dll" stdcall fn HeapCompact(_heap: Handle, _flags: u32) -> usize {
        0x10_0000
    }

    /// Sets a heap option: low fragmentation and termination on corruption are always on.
    "kernel32.dll|kernelbase.dll" stdcall fn HeapSetInformation(_heap: Handle, _class: u32, _information: Ptr<u8>, _length: usize) -> Bool {
        Bool::TRUE
    }

    /// Reads the compatibility mode of a heap: low fragmentation.
    "kernel32.dll|kernelbase.dll" stdcall fn HeapQueryInformation(_heap: Handle, class: u32, information: Ptr<u32>, length: usize, returned: Ptr<usize>) -> Bool {
        if class != 0 {
            return refuse(error::INVALID_PARAMETER, Bool::FALSE);
        }
        returned.write_if_some(4);
        if length < 4 {
            return refuse(error::INSUFFICIENT_BUFFER, Bool::FALSE);
        }
        information.write(2);
        Bool::TRUE
    }

    /// Locks a heap against other threads; heaps here lock themselves.
    "kernel32.dll|kernelbase.dll" stdcall fn HeapLock = "HeapLock|HeapUnlock" (heap: Handle) -> Bool {
        with(heap.0, |_| ()).is_some().into()
    }

    /// Allocates fixed memory of the process heap.
    "kernel32.dll|kernelbase.dll" stdcall fn LocalAlloc = "LocalAlloc|GlobalAlloc" (flags: u32, size: usize) -> Ptr<u8> {
        // LMEM_ZEROINIT; movable memory is fixed here, as Microsoft Learn allows.
        let zero = if flags & 0x40 != 0 { ZERO_MEMORY } else { 0 };
        match allocate(process_heap(), zero, size) {
            0 => refuse(error::NOT_ENOUGH_MEMORY, Ptr::NULL),
            block => Ptr::new(block),
        }
    }

    /// Resizes memory of `LocalAlloc`.
    "kernel32.dll|kernelbase.dll" stdcall fn LocalReAlloc = "LocalReAlloc|GlobalReAlloc" (block: Ptr<u8>, size: usize, flags: u32) -> Ptr<u8> {
        let zero = if flags & 0x40 != 0 { ZERO_MEMORY } else { 0 };
        match reallocate(process_heap(), zero, block.address(), size) {
            0 => refuse(error::NOT_ENOUGH_MEMORY, Ptr::NULL),
            moved => Ptr::new(moved),
        }
    }

    /// Frees memory of `LocalAlloc`; returns NULL on success.
    "kernel32.dll|kernelbase.dll" stdcall fn LocalFree = "LocalFree|GlobalFree" (block: Ptr<u8>) -> Ptr<u8> {
        match free(process_heap(), block.address()) {
            Ok(()) => Ptr::NULL,
            Err(status) => failed(status, block),
        }
    }

    /// Returns the address of memory of `LocalAlloc`.
    "kernel32.dll|kernelbase.dll" stdcall fn LocalLock = "LocalLock|GlobalLock" (block: Ptr<u8>) -> Ptr<u8> {
        block
    }

    /// Takes back `LocalLock`: fixed memory stays where it is.
    "kernel32.dll|kernelbase.dll" stdcall fn LocalUnlock = "LocalUnlock|GlobalUnlock" (_block: Ptr<u8>) -> Bool {
        refuse(error::SUCCESS, Bool::FALSE)
    }

    /// Returns the size of memory of `LocalAlloc`.
    "kernel32.dll|kernelbase.dll" stdcall fn LocalSize = "LocalSize|GlobalSize" (block: Ptr<u8>) -> usize {
        heap::process().size(block.address()).unwrap_or(0)
    }
}
