//! Copying handles within and across processes: `NtDuplicateObject`.

use ntlpc_abi::{Handle, NtStatus};

use super::handle::{CLOSE_SOURCE, close, copied};
use super::process::{self, Process, rights};
use super::pseudo_entry;
use super::table::{TABLE, lookup};

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
