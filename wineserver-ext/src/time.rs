//! NT system time.

use std::time::{SystemTime, UNIX_EPOCH};

/// 100 ns units between 1601-01-01 and 1970-01-01 (MS-DTYP §2.3.3).
const UNIX_EPOCH_100NS: u64 = 116_444_736_000_000_000;

/// Returns the present time in 100 ns since 1601.
#[must_use]
pub fn now_100ns() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UNIX_EPOCH_100NS + since.as_secs() * 10_000_000 + u64::from(since.subsec_nanos()) / 100
}
