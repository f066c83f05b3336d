//! Which code is ours: whatever Linux's loader mapped.
#![allow(unsafe_code, reason = "lists loaded objects")]

use std::sync::OnceLock;

/// Executable ranges of `lpcrun` and its libraries.
static HOST_CODE: OnceLock<Vec<(u64, u64)>> = OnceLock::new();

/// Takes note of what is mapped now. Called once, before handlers are installed.
pub fn note() {
    let _ = HOST_CODE.set(ranges());
}

/// Returns whether an instruction belongs to the host. Async-signal-safe.
#[must_use]
pub fn contains(rip: u64) -> bool {
    let ranges = HOST_CODE.get().map_or(&[][..], Vec::as_slice);
    ranges
        .iter()
        .any(|&(start, end)| (start..end).contains(&rip))
}

/// Lists the executable segments of `lpcrun` and its libraries. Source: `man 3 dl_iterate_phdr`.
fn ranges() -> Vec<(u64, u64)> {
    unsafe extern "C" fn add(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        out: *mut libc::c_void,
    ) -> i32 {
        // SAFETY: dl_iterate_phdr passes a valid record, and `out` is the vector below.
        let (info, out) = unsafe { (&*info, &mut *out.cast::<Vec<(u64, u64)>>()) };
        for i in 0..usize::from(info.dlpi_phnum) {
            // SAFETY: `dlpi_phdr` has `dlpi_phnum` entries.
            let header = unsafe { &*info.dlpi_phdr.add(i) };
            if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0 {
                let start = info.dlpi_addr + header.p_vaddr;
                out.push((start, start + header.p_memsz));
            }
        }
        0
    }
    let mut found: Vec<(u64, u64)> = Vec::new();
    // SAFETY: the callback uses the vector only during the call.
    unsafe { libc::dl_iterate_phdr(Some(add), (&raw mut found).cast()) };
    found
}
