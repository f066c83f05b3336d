//! Size limits of classic ports (lpc §1.10). Source: arithmetic of the public `lpctypes.h`, lpc#7–15.

use crate::Width;

/// Size of `PORT_MESSAGE`, where the data starts (lpc#1).
#[must_use]
pub const fn header(width: Width) -> usize {
    width.pick(0x18, 0x28)
}

/// Largest `TotalLength` of a classic message (lpc#7, lpc#8).
#[must_use]
pub const fn max_total(width: Width) -> usize {
    width.pick(0x148, 0x288)
}

/// Largest `DataLength` of a classic message (lpc#15).
#[must_use]
pub const fn max_data(width: Width) -> usize {
    max_total(width) - header(width)
}

/// Largest connection information (lpc#9, lpc#10).
#[must_use]
pub const fn max_connection_info(width: Width) -> usize {
    width.pick(0x104, 0x208)
}

/// Largest `TotalLength` of an ALPC message (alpc §2.5).
pub const ALPC_MAX_TOTAL: usize = 0xFFFF;

/// Returns the result of AlpcMaxAllowedMessageLength (alpc#24).
#[must_use]
pub const fn alpc_max_allowed(width: Width) -> usize {
    width.pick(0xFFEF, ALPC_MAX_TOTAL)
}

const _: () = assert!(max_data(Width::X86) == 0x130 && max_data(Width::X64) == 0x260);
