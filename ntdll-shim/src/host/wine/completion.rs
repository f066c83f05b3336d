//! Wine's own I/O completion ports and events, kept open by handles of ours.

use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};

use super::names;
use super::service::ntdll;
use crate::host::{self, CompletionPacket, CompletionPort};

/// A handle of ours; closed when dropped.
#[derive(Debug)]
struct Kept(u64);

impl Kept {
    /// Copies a handle of the guest to an object of type `name`, if it grants `access`.
    fn copy(handle: Handle, name: &str, access: u32) -> Result<Kept, NtStatus> {
        if names::type_name(handle.0)? != name {
            return Err(NtStatus::OBJECT_TYPE_MISMATCH);
        }
        if super::handles::granted_access(handle.0)? & access != access {
            return Err(NtStatus::ACCESS_DENIED);
        }
        let mut copy = 0_u64;
        let ntdll = ntdll();
        // SAFETY: process, handle, process, pointer to a local, no access, no attributes, the access it has.
        let status = unsafe {
            ntdll.call(
                ntdll.NtDuplicateObject,
                [
                    CURRENT_PROCESS,
                    handle.0,
                    CURRENT_PROCESS,
                    &raw mut copy as u64,
                    0,
                    0,
                    SAME_ACCESS,
                ],
            )
        };
        NtStatus(status).ok()?;
        Ok(Kept(copy))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let ntdll = ntdll();
        // SAFETY: a handle of ours.
        unsafe { ntdll.call(ntdll.NtClose, [self.0]) };
    }
}

/// Keeps a completion port.
pub fn completion_port(handle: Handle) -> Result<Arc<dyn CompletionPort>, NtStatus> {
    Ok(Arc::new(Completion(Kept::copy(
        handle,
        "IoCompletion",
        MODIFY_STATE,
    )?)))
}

/// Keeps an event.
pub fn event(handle: Handle) -> Result<Arc<dyn host::Event>, NtStatus> {
    Ok(Arc::new(Event(Kept::copy(handle, "Event", MODIFY_STATE)?)))
}

#[derive(Debug)]
struct Completion(Kept);

#[derive(Debug)]
struct Event(Kept);

impl host::Event for Event {
    fn set(&self) {
        let ntdll = ntdll();
        // SAFETY: a handle of ours, no previous state wanted.
        unsafe { ntdll.call(ntdll.NtSetEvent, [self.0.0, 0]) };
    }
}

impl CompletionPort for Completion {
    fn post(&self, packet: CompletionPacket) -> Result<(), NtStatus> {
        let ntdll = ntdll();
        // SAFETY: a handle of ours, key, value, status, information: numbers to Wine.
        let status = unsafe {
            ntdll.call(
                ntdll.NtSetIoCompletion,
                [
                    self.0.0,
                    packet.key,
                    packet.context,
                    u64::from(packet.status.0),
                    packet.information,
                ],
            )
        };
        NtStatus(status).ok()
    }
}

const CURRENT_PROCESS: u64 = u64::MAX;
const SAME_ACCESS: u64 = 2;
/// `IO_COMPLETION_MODIFY_STATE`, `EVENT_MODIFY_STATE`.
const MODIFY_STATE: u32 = 2;
