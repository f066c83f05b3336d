//! Completion ports: the `Nt` calls.
//!
//! Prototypes and structures: phnt `ntioapi.h`; Microsoft Learn where documented.

use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use super::objects::{create, probe, timeout};
use crate::dlls::kernel32::synchapi::run_apcs;
use crate::export::{Boolean, Ptr};
use crate::guest_struct;
use crate::ob::attributes::ObjectAttributes;
use crate::ob::completion::{Completion, Packet};
use crate::ob::object::{Object, access};
use crate::ob::sync::MODIFY_STATE;
use crate::ob::table::{lookup, lookup_any};
use crate::ob::wait::{WaitKind, deadline, wait};
use crate::ob::wait_packet::WaitPacket;
use crate::win_api;

guest_struct! {
    /// `IO_STATUS_BLOCK`.
    pub struct IoStatusBlock {
        status: usize,
        information: usize,
    }
    /// `FILE_IO_COMPLETION_INFORMATION`.
    pub struct FileIoCompletionInformation {
        key: UserPtr,
        value: UserPtr,
        status: usize,
        information: usize,
    }
}

/// `WAIT_COMPLETION_PACKET_MODIFY_STATE`.
const PACKET_MODIFY_STATE: u32 = 1;

/// Takes up to `most` packets, waiting for the first; none at the deadline. An alertable wait that runs the thread's APCs gives
/// `USER_APC` (Microsoft Learn, "GetQueuedCompletionStatusEx function").
pub fn remove(
    port: Handle,
    most: usize,
    deadline_ns: Option<u64>,
    is_alertable: bool,
) -> Result<Vec<Packet>, NtStatus> {
    let port = lookup::<Completion>(port, MODIFY_STATE)?;
    if !is_alertable {
        return Ok(port.remove(most, deadline_ns));
    }
    let object: [Arc<dyn Object>; 1] = [port.clone()];
    loop {
        let packets = port.remove(most, Some(0));
        if !packets.is_empty() {
            return Ok(packets);
        }
        match wait(&object, WaitKind::Any, true, deadline_ns) {
            NtStatus::SUCCESS => {}
            NtStatus::TIMEOUT => return Ok(Vec::new()),
            NtStatus::USER_APC => {
                run_apcs();
                return Err(NtStatus::USER_APC);
            }
            status => return Err(status),
        }
    }
}

win_api! {
    /// Makes a completion port.
    "ntdll.dll" stdcall fn NtCreateIoCompletion = "NtCreateIoCompletion|ZwCreateIoCompletion" (handle: Ptr<Handle>, access: u32, attributes: Ptr<ObjectAttributes>, _concurrency: u32) -> NtStatus {
        create(handle, attributes, access, || Ok(Completion::default()))
    }

    /// Queues a packet to a completion port.
    "ntdll.dll" stdcall fn NtSetIoCompletion = "NtSetIoCompletion|ZwSetIoCompletion" (port: Handle, key: UserPtr, value: UserPtr, status: NtStatus, information: usize) -> Result<(), NtStatus> {
        let packet = Packet { key: key.0, value: value.0, status: status.0, information: information as u64 };
        lookup::<Completion>(port, MODIFY_STATE)?.post(packet);
        Ok(())
    }

    /// Takes a packet from a completion port.
    "ntdll.dll" stdcall fn NtRemoveIoCompletion = "NtRemoveIoCompletion|ZwRemoveIoCompletion" (port: Handle, key: Ptr<UserPtr>, value: Ptr<UserPtr>, io: Ptr<IoStatusBlock>, time: Ptr<i64>) -> Result<(), NtStatus> {
        let time = timeout(time)?;
        let port = lookup::<Completion>(port, MODIFY_STATE)?;
        let packet = *port.remove(1, deadline(time)).first().ok_or(NtStatus::TIMEOUT)?;
        key.try_write(UserPtr(packet.key))?;
        value.try_write(UserPtr(packet.value))?;
        io.try_write(IoStatusBlock { status: packet.status as usize, information: packet.information as usize })
    }

    /// Takes up to `count` packets from a completion port.
    "ntdll.dll" stdcall fn NtRemoveIoCompletionEx = "NtRemoveIoCompletionEx|ZwRemoveIoCompletionEx" (port: Handle, list: Ptr<FileIoCompletionInformation>, count: u32, removed: Ptr<u32>, time: Ptr<i64>, alertable: Boolean) -> Result<(), NtStatus> {
        let time = timeout(time)?;
        let packets = remove(port, count as usize, deadline(time), alertable.get())?;
        for (i, packet) in packets.iter().enumerate() {
            list.add(i).try_write(FileIoCompletionInformation {
                key: UserPtr(packet.key),
                value: UserPtr(packet.value),
                status: packet.status as usize,
                information: packet.information as usize,
            })?;
        }
        removed.try_write(u32::try_from(packets.len()).unwrap_or(u32::MAX))?;
        if packets.is_empty() { Err(NtStatus::TIMEOUT) } else { Ok(()) }
    }

    /// Makes a packet that tells a completion port of an object.
    "ntdll.dll" stdcall fn NtCreateWaitCompletionPacket = "NtCreateWaitCompletionPacket|ZwCreateWaitCompletionPacket" (handle: Ptr<Handle>, access: u32, attributes: Ptr<ObjectAttributes>) -> NtStatus {
        create(handle, attributes, access, || Ok(WaitPacket::default()))
    }

    /// Queues a packet to a completion port when an object is signaled.
    "ntdll.dll" stdcall fn NtAssociateWaitCompletionPacket = "NtAssociateWaitCompletionPacket|ZwAssociateWaitCompletionPacket" (packet: Handle, port: Handle, target: Handle, key: UserPtr, value: UserPtr, status: NtStatus, information: usize, already: Ptr<u8>) -> Result<(), NtStatus> {
        already.non_null().map_or(Ok(()), probe)?;
        let packet = lookup::<WaitPacket>(packet, PACKET_MODIFY_STATE)?;
        let port = lookup::<Completion>(port, MODIFY_STATE)?;
        let target = lookup_any(target, access::SYNCHRONIZE)?;
        let message = Packet { key: key.0, value: value.0, status: status.0, information: information as u64 };
        let is_signaled = packet.associate(&port, target, message)?;
        already.non_null().map_or(Ok(()), |to| to.try_write(is_signaled.into()))
    }

    /// Takes an association back, and a packet that is queued if wanted.
    "ntdll.dll" stdcall fn NtCancelWaitCompletionPacket = "NtCancelWaitCompletionPacket|ZwCancelWaitCompletionPacket" (packet: Handle, remove: Boolean) -> NtStatus {
        match lookup::<WaitPacket>(packet, PACKET_MODIFY_STATE) {
            Ok(packet) => packet.cancel(remove.get()),
            Err(status) => status,
        }
    }
}
