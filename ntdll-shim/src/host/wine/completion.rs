//! Wine's own I/O completion ports.

use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};

use super::names;
use super::service::ntdll;
use crate::host::{CompletionPacket, CompletionPort};

/// A handle of ours to a completion port.
#[derive(Debug)]
struct Completion(u64);

/// Makes a handle of ours from the guest's.
pub fn open(handle: Handle) -> Result<Arc<dyn CompletionPort>, NtStatus> {
    if names::type_name(handle.0)? != "IoCompletion" {
        return Err(NtStatus::OBJECT_TYPE_MISMATCH);
    }
    if super::handles::granted_access(handle.0)? & MODIFY_STATE == 0 {
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
    Ok(Arc::new(Completion(copy)))
}

impl CompletionPort for Completion {
    fn post(&self, packet: CompletionPacket) -> Result<(), NtStatus> {
        let ntdll = ntdll();
        // SAFETY: a handle of ours, key, value, status, information: numbers to Wine.
        let status = unsafe {
            ntdll.call(
                ntdll.NtSetIoCompletion,
                [
                    self.0,
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

impl Drop for Completion {
    fn drop(&mut self) {
        let ntdll = ntdll();
        // SAFETY: a handle of ours.
        unsafe { ntdll.call(ntdll.NtClose, [self.0]) };
    }
}

const CURRENT_PROCESS: u64 = u64::MAX;
const SAME_ACCESS: u64 = 2;
/// `IO_COMPLETION_MODIFY_STATE`.
const MODIFY_STATE: u32 = 2;
