//! Handles of this process: closing, comparing, and what a copy gets.

use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};

use super::pseudo_entry;
use super::table::{Entry, TABLE};

/// `DUPLICATE_CLOSE_SOURCE`.
pub const CLOSE_SOURCE: u32 = 1;
/// `DUPLICATE_SAME_ACCESS`.
pub const SAME_ACCESS: u32 = 2;
/// `DUPLICATE_SAME_ATTRIBUTES`.
pub const SAME_ATTRIBUTES: u32 = 4;

/// Closes a handle. Pseudo-handles are left alone with success, as on Windows.
pub fn close(handle: Handle) -> Result<(), NtStatus> {
    match handle {
        Handle::CURRENT_PROCESS | Handle::CURRENT_THREAD => Ok(()),
        _ => TABLE.close(handle),
    }
}

/// Returns whether two handles name one object.
#[must_use]
pub fn is_same(first: Handle, second: Handle) -> bool {
    match (pseudo_entry(first), pseudo_entry(second)) {
        (Ok(a), Ok(b)) => Arc::ptr_eq(&a.object, &b.object),
        _ => false,
    }
}

/// The entry a duplicate gets: rights and attributes by `options`.
pub(super) fn copied(
    entry: &Entry,
    access: u32,
    attributes: u32,
    options: u32,
) -> Result<Entry, NtStatus> {
    let access = if options & SAME_ACCESS != 0 {
        entry.access
    } else {
        entry.object.object_type().grant(access)?
    };
    let attributes = if options & SAME_ATTRIBUTES != 0 {
        entry.attributes
    } else {
        attributes
    };
    Ok(Entry {
        object: entry.object.clone(),
        access,
        attributes,
    })
}
