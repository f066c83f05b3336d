//! Handles in messages: the sender's process keeps a handle of ours, the carrier, from which the receiver makes its own.
//!
//! Wine copies handles between processes by itself. For a receiver under `lpcrun` the descriptor of a section or a file goes along
//! (`descriptors.rs`). A carrier is closed in the process it is a handle
//! of: Wine closes one of another process by an APC there, for which the caller waits, without end if that process is just
//! being killed (race/alpc_kills). What `lpcrun` sends has
//! descriptors and no carrier.

use std::os::fd::OwnedFd;

use ntlpc_abi::{ClientId, Handle, NtStatus};

use super::descriptors;
use super::names;
use super::service::ntdll;
use super::structures::{ObjectAttributes, client_id_words};
use crate::host::{self, ExportedObject, exported, object_type_code};

/// Makes a carrier.
pub fn export(handle: Handle, access: Option<u32>) -> Result<ExportedObject, NtStatus> {
    let code = object_type_code(&names::type_name(handle.0)?);
    let object_type = code.ok_or(NtStatus::OBJECT_TYPE_MISMATCH)?;
    let options = if access.is_none() { SAME_ACCESS } else { 0 };
    let carrier = duplicate(
        CURRENT_PROCESS,
        handle.0,
        CURRENT_PROCESS,
        access.unwrap_or(0),
        options,
    )?;
    let granted = super::handles::granted_access(carrier).inspect_err(|_| close(carrier))?;
    let described = descriptors::describe(carrier).inspect_err(|_| close(carrier))?;
    let (described, fd) = described.unzip();
    Ok(ExportedObject {
        object_type,
        access: granted,
        description: exported::with_carrier(carrier, &described.unwrap_or_default()),
        fds: fd.into_iter().collect(),
    })
}

/// Makes a handle of this process from a carrier of `sender`, or from what `lpcrun` sent.
pub fn import(
    sender: u32,
    description: &[u8],
    fds: &[OwnedFd],
    is_last: bool,
) -> Result<Handle, NtStatus> {
    if description.first() == Some(&exported::STANDALONE) {
        return descriptors::import(description, fds);
    }
    let carrier = exported::carrier(description)?;
    let process = Process::open(sender)?;
    let is_own = process.0 == CURRENT_PROCESS;
    let close_source = if is_last && is_own { CLOSE_SOURCE } else { 0 };
    let options = SAME_ACCESS | close_source;
    duplicate(process.0, carrier, CURRENT_PROCESS, 0, options).map(Handle)
}

/// Closes a carrier of this process.
pub fn forget(description: &[u8]) {
    if let Ok(carrier) = exported::carrier(description) {
        close(carrier);
    }
}

fn duplicate(from: u64, handle: u64, to: u64, access: u32, options: u64) -> Result<u64, NtStatus> {
    let mut copy = 0_u64;
    let ntdll = ntdll();
    // SAFETY: source process and handle, target process (0: none, the source is closed alone), pointer to a local, access,
    // no attributes, options.
    let status = unsafe {
        ntdll.call(
            ntdll.NtDuplicateObject,
            [
                from,
                handle,
                to,
                &raw mut copy as u64,
                u64::from(access),
                0,
                options,
            ],
        )
    };
    NtStatus(status).ok()?;
    Ok(copy)
}

fn close(handle: u64) {
    let ntdll = ntdll();
    // SAFETY: a handle of ours.
    unsafe { ntdll.call(ntdll.NtClose, [handle]) };
}

/// A handle of ours to a process whose handles may be copied; closed when dropped, unless it is the pseudo-handle.
struct Process(u64);

impl Process {
    fn open(process: u32) -> Result<Process, NtStatus> {
        if process == host::current().client_id().process {
            return Ok(Process(CURRENT_PROCESS));
        }
        let mut handle = 0_u64;
        let client_id = client_id_words(ClientId { process, thread: 0 });
        let attributes = ObjectAttributes::new(0);
        let ntdll = ntdll();
        // SAFETY: pointers to locals: handle, access, attributes, client id.
        let status = unsafe {
            ntdll.call(
                ntdll.NtOpenProcess,
                [
                    &raw mut handle as u64,
                    PROCESS_DUP_HANDLE,
                    &raw const attributes as u64,
                    client_id.as_ptr() as u64,
                ],
            )
        };
        NtStatus(status).ok()?;
        Ok(Process(handle))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.0 != CURRENT_PROCESS {
            close(self.0);
        }
    }
}

const CURRENT_PROCESS: u64 = u64::MAX;
const CLOSE_SOURCE: u64 = 1;
const SAME_ACCESS: u64 = 2;
const PROCESS_DUP_HANDLE: u64 = 0x40;
