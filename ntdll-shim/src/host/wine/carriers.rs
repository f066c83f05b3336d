//! Handles in messages: the sender's process keeps a handle of ours, the carrier, from which the receiver makes its own.
//!
//! Wine copies handles between processes by itself, so no descriptor travels. A carrier is closed in the process it is a handle
//! of: Wine closes one of another process by an APC there, for which the caller waits, without end if that process is just
//! being killed (race/alpc_kills). What `lpcrun` sends has
//! descriptors and no carrier (`sections.rs`).

use std::os::fd::OwnedFd;

use ntlpc_abi::{Handle, NtStatus};

use super::names;
use super::sections;
use super::service::ntdll;
use crate::host::{self, ExportedObject, exported, object_type_code};

/// Kind and handle.
const DESCRIPTION_LEN: usize = 9;

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
    let mut description = vec![exported::WINE];
    description.extend(carrier.to_le_bytes());
    Ok(ExportedObject {
        object_type,
        access: granted,
        description,
        fds: Vec::new(),
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
        return sections::import(description, fds);
    }
    let carrier = carrier_of(description)?;
    let process = Process::open(sender)?;
    let is_own = process.0 == CURRENT_PROCESS;
    let close_source = if is_last && is_own { CLOSE_SOURCE } else { 0 };
    let options = SAME_ACCESS | close_source;
    duplicate(process.0, carrier, CURRENT_PROCESS, 0, options).map(Handle)
}

/// Closes a carrier of this process.
pub fn forget(description: &[u8]) {
    if let Ok(carrier) = carrier_of(description) {
        close(carrier);
    }
}

fn carrier_of(description: &[u8]) -> Result<u64, NtStatus> {
    let bytes: &[u8; DESCRIPTION_LEN] =
        description
            .try_into()
            .map_err(|_| match description.first() {
                Some(&exported::WINE) | None => NtStatus::INVALID_PARAMETER,
                Some(_) => NtStatus::NOT_SUPPORTED,
            })?;
    match bytes.split_first() {
        Some((&exported::WINE, handle)) => {
            let handle = handle.try_into().map_err(|_| NtStatus::INVALID_PARAMETER)?;
            Ok(u64::from_le_bytes(handle))
        }
        _ => Err(NtStatus::NOT_SUPPORTED),
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
        let client_id = [u64::from(process), 0];
        // OBJECT_ATTRIBUTES: length, and nothing else.
        let attributes = [OBJECT_ATTRIBUTES_LEN, 0, 0, 0, 0, 0];
        let ntdll = ntdll();
        // SAFETY: pointers to locals: handle, access, attributes, client id.
        let status = unsafe {
            ntdll.call(
                ntdll.NtOpenProcess,
                [
                    &raw mut handle as u64,
                    PROCESS_DUP_HANDLE,
                    attributes.as_ptr() as u64,
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
const OBJECT_ATTRIBUTES_LEN: u64 = 48;
