//! Closing and copying handles: `NtClose`, `NtDuplicateObject`.

use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};

use super::process::{self, Process, rights};
use super::pseudo_entry;
use super::table::{Entry, TABLE, lookup};

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

/// `NtDuplicateObject`: copies `source` of one process into another; returns the new value in the target.
pub fn duplicate(
    source_process: Handle,
    source: Handle,
    target_process: Handle,
    access: u32,
    attributes: u32,
    options: u32,
) -> Result<Handle, NtStatus> {
    let from = lookup::<Process>(source_process, rights::DUP_HANDLE)?;
    // A NULL target only closes the source.
    let to = match target_process {
        Handle::NULL if options & CLOSE_SOURCE != 0 => None,
        handle => Some(lookup::<Process>(handle, rights::DUP_HANDLE)?),
    };
    let here = process::current();
    if from.pid == here.pid {
        let entry = pseudo_entry(source);
        if options & CLOSE_SOURCE != 0 {
            close(source)?;
        }
        let Some(to) = to else {
            return Ok(Handle::NULL);
        };
        let entry = copied(&entry?, access, attributes, options)?;
        if to.pid == here.pid {
            return TABLE.insert(entry.object, entry.access, entry.attributes);
        }
        return super::agent::give(&to, &entry);
    }
    let entry = super::agent::take(&from, source, access, attributes, options)?;
    match to {
        None => Ok(Handle::NULL),
        Some(to) if to.pid == here.pid => {
            TABLE.insert(entry.object, entry.access, entry.attributes)
        }
        Some(to) => super::agent::give(&to, &entry),
    }
}
