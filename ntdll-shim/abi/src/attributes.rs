//! `ALPC_MESSAGE_ATTRIBUTES` (alpc §1.4): a header, then the allocated attributes from the highest bit to the lowest,
//! without padding.

use crate::Width;

/// Size of the header: `AllocatedAttributes` and `ValidAttributes`.
pub const HEADER: usize = 8;
/// Offset of `AllocatedAttributes`.
pub const ALLOCATED: usize = 0;
/// Offset of `ValidAttributes`.
pub const VALID: usize = 4;

macro_rules! attributes {
    ($($(#[$doc:meta])* $name:ident = $bit:literal ($x86:literal, $x64:literal);)*) => {
        $($(#[$doc])* pub const $name: u32 = $bit;)*

        /// Every attribute with its sizes for i386 and x86-64, highest bit first.
        const SIZES: &[(u32, usize, usize)] = &[$(($bit, $x86, $x64),)*];
    };
}

// Bits and sizes: phnt ntlpcapi.h, alpc#3–9.
attributes! {
    /// `ALPC_SECURITY_ATTR`.
    SECURITY = 0x8000_0000 (0x0C, 0x18);
    /// `ALPC_DATA_VIEW_ATTR`.
    VIEW = 0x4000_0000 (0x10, 0x20);
    /// `ALPC_CONTEXT_ATTR`.
    CONTEXT = 0x2000_0000 (0x14, 0x20);
    /// `ALPC_HANDLE_ATTR`.
    HANDLE = 0x1000_0000 (0x10, 0x18);
    /// `ALPC_TOKEN_ATTR`.
    TOKEN = 0x0800_0000 (0x18, 0x18);
    /// `ALPC_DIRECT_ATTR`.
    DIRECT = 0x0400_0000 (0x04, 0x08);
    /// `ALPC_WORK_ON_BEHALF_ATTR`.
    WORK_ON_BEHALF = 0x0200_0000 (0x08, 0x08);
}

/// Returns the size of a buffer for `flags`; unknown bits take no room (alpc#1–11).
#[must_use]
pub fn buffer_size(width: Width, flags: u32) -> usize {
    let taken = SIZES.iter().filter(|(bit, ..)| flags & bit != 0);
    HEADER
        + taken
            .map(|(_, x86, x64)| width.pick(*x86, *x64))
            .sum::<usize>()
}

/// Returns where attribute `flag` lies in a buffer with the `allocated` ones; `None` unless it is exactly one of them
/// (alpc#17–23).
#[must_use]
pub fn offset(width: Width, allocated: u32, flag: u32) -> Option<usize> {
    let is_known = SIZES.iter().any(|(bit, ..)| *bit == flag);
    // The bits above a single bit are those of its negation without itself.
    (is_known && allocated & flag != 0)
        .then(|| buffer_size(width, allocated & flag.wrapping_neg() & !flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_attributes_take_the_documented_room() {
        assert_eq!(buffer_size(Width::X64, u32::MAX), 0xA0);
        assert_eq!(buffer_size(Width::X86, u32::MAX), 0x6C);
        assert_eq!(buffer_size(Width::X64, 0x01FF_FFFF), HEADER);
    }

    #[test]
    fn attribute_lies_behind_the_allocated_ones_of_higher_bits() {
        assert_eq!(offset(Width::X64, u32::MAX, SECURITY), Some(8));
        assert_eq!(offset(Width::X64, u32::MAX, VIEW), Some(0x20));
        assert_eq!(offset(Width::X86, VIEW | HANDLE, HANDLE), Some(0x18));
        assert_eq!(offset(Width::X64, HANDLE, HANDLE), Some(8));
        assert_eq!(offset(Width::X64, !VIEW, VIEW), None);
        assert_eq!(offset(Width::X64, u32::MAX, VIEW | HANDLE), None);
        assert_eq!(offset(Width::X64, u32::MAX, 1), None);
        assert_eq!(offset(Width::X64, u32::MAX, 0), None);
    }
}
