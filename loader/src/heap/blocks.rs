//! Blocks of guest memory the loader allocates for itself and frees again.

/// Returns the address of `size` zero bytes on the process heap.
///
/// Ends the process if no memory is left.
pub fn allocate(size: usize) -> u64 {
    match super::process().allocate(size, true) {
        Some(address) => address,
        None => crate::fatal(format_args!("out of memory: {size:#x} bytes")),
    }
}

/// Frees a block of [`allocate`].
pub fn free(address: u64) {
    if super::process().free(address).is_err() {
        log::error!("block {address:#x} of the loader was freed or damaged by the program");
    }
}
