//! Work on the handle table of another process.

use ntlpc_abi::{Handle, NtStatus};

use super::process::Process;
use super::table::Entry;

/// Makes a handle in another process.
pub fn give(_to: &Process, _entry: &Entry) -> Result<Handle, NtStatus> {
    Err(NtStatus::NOT_SUPPORTED)
}

/// Fetches what a handle of another process stands for.
pub fn take(
    _from: &Process,
    _source: Handle,
    _access: u32,
    _attributes: u32,
    _options: u32,
) -> Result<Entry, NtStatus> {
    Err(NtStatus::NOT_SUPPORTED)
}

/// Fetches the page another process shares with whoever has a handle to it.
pub fn page_of(_pid: u32) -> Result<super::sync::Signal, NtStatus> {
    Ok(super::sync::Signal::new(false))
}
