//! The HANDLE attribute: objects that go with a message (alpc §1.5, §2.5.8, §2.9).
//!
//! A receiver that takes several handles (`ALLOW_MULTIHANDLE_ATTRIBUTE`) is told how many there are and asks for each by
//! its number; another gets the one handle in the attribute.

use ntlpc_abi::layout::{AlpcHandleAttr, AlpcHandleAttr32, AlpcMessageHandleInformation, Layout};
use ntlpc_abi::{Handle, NtStatus, UserPtr, attributes};
use ntlpc_shm::segment::EndAttributes;

use super::attachment::{Bundle, Item};
use super::frame::{self, Delivery, Sending};
use super::handshake::Asked;
use super::message::{LPC_CONNECTION_REPLY, width};
use super::port::{ALLOW_DUP_OBJECT, ALLOW_MULTIHANDLE_ATTRIBUTE};
use crate::engine::session;
use crate::guest;
use crate::host;

/// `ALPC_HANDLEFLG_DUPLICATE_SAME_ACCESS`.
const SAME_ACCESS: u32 = 0x1_0000;
/// `ALPC_HANDLEFLG_DUPLICATE_SAME_ATTRIBUTES`: the copies have none either way.
const SAME_ATTRIBUTES: u32 = 0x2_0000;
/// `ALPC_HANDLEFLG_INDIRECT`.
const INDIRECT: u32 = 0x4_0000;
/// `ALPC_HANDLEFLG_DUPLICATE_INHERIT`.
const INHERIT: u32 = 0x8_0000;
const KNOWN: u32 = SAME_ACCESS | SAME_ATTRIBUTES | INDIRECT | INHERIT;
/// Handles an indirect array has (alpc#226–228).
const FEWEST_INDIRECT: u32 = 2;
const MOST_INDIRECT: u32 = 512;

/// Bytes of one handle in an entry of the record: item, type, access.
const HANDLE_LEN: usize = Item::LEN + 8;

pub(super) fn capture(at: UserPtr, sending: &mut Sending) -> Result<(), NtStatus> {
    let attribute: AlpcHandleAttr = guest::read(at, width())?;
    if attribute.flags & !KNOWN != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let wanted = if attribute.flags & INDIRECT == 0 {
        vec![AlpcHandleAttr32 {
            flags: attribute.flags,
            // A handle of any process fits (Microsoft Learn "Interprocess Communication Between 32-bit and 64-bit
            // Applications").
            handle: attribute.handle.0 as u32,
            object_type: attribute.object_type,
            access: attribute.access,
        }]
    } else {
        read_array(UserPtr(attribute.handle.0), attribute.object_type)?
    };
    let peer = sending.peer_attributes();
    let mut bundle = Bundle::new(sending);
    let mut entry = Vec::with_capacity(wanted.len() * HANDLE_LEN);
    for handle in &wanted {
        entry.extend(export(handle, peer, &mut bundle)?);
    }
    bundle.give_to(sending);
    sending.push(attributes::HANDLE, &entry);
    if peer.flags & ALLOW_MULTIHANDLE_ATTRIBUTE != 0 {
        sending.needs_release();
    }
    Ok(())
}

fn read_array(at: UserPtr, count: u32) -> Result<Vec<AlpcHandleAttr32>, NtStatus> {
    if count < FEWEST_INDIRECT {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    if count > MOST_INDIRECT {
        return Err(NtStatus::LPC_HANDLE_COUNT_EXCEEDED);
    }
    let size = AlpcHandleAttr32::size(width());
    (0..count as usize)
        .map(|index| guest::read(at.offset(index * size), width()))
        .collect()
}

/// Adds an object to the bundle; returns its part of the record.
fn export(
    wanted: &AlpcHandleAttr32,
    peer: EndAttributes,
    bundle: &mut Bundle,
) -> Result<Vec<u8>, NtStatus> {
    if wanted.flags & (!KNOWN | INDIRECT) != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let access = (wanted.flags & SAME_ACCESS == 0).then_some(wanted.access);
    let handle = Handle(i64::from(wanted.handle.cast_signed()).cast_unsigned());
    let exported = host::current().export_object(handle, access)?;
    let forget = |status: &NtStatus| {
        log::debug!("an object does not go along: {status}");
        host::current().forget_export(&exported.description);
    };
    let is_wanted_type = wanted.object_type == 0 || wanted.object_type == exported.object_type;
    let is_taken =
        peer.flags & ALLOW_DUP_OBJECT == 0 || peer.object_types & exported.object_type != 0;
    if !is_wanted_type || !is_taken {
        let status = NtStatus::OBJECT_TYPE_MISMATCH;
        forget(&status);
        return Err(status);
    }
    let added = bundle.add(exported.description.clone(), &exported.fds);
    let item = added.inspect_err(forget)?;
    let mut bytes = item.encode().to_vec();
    bytes.extend(exported.object_type.to_le_bytes());
    bytes.extend(exported.access.to_le_bytes());
    Ok(bytes)
}

/// A handle of a message, as its record has it.
struct Carried {
    item: Item,
    object_type: u32,
    access: u32,
}

fn carried(entry: &[u8], index: usize) -> Option<Carried> {
    let bytes = entry.chunks_exact(HANDLE_LEN).nth(index)?;
    let (item, rest) = Item::decode(bytes)?;
    let (object_type, access) = rest.split_first_chunk()?;
    Some(Carried {
        item,
        object_type: u32::from_le_bytes(*object_type),
        access: u32::from_le_bytes(access.try_into().ok()?),
    })
}

/// Makes a handle of this process.
fn import(carried: &Carried, sender: u32, is_last: bool) -> Result<Handle, NtStatus> {
    let (description, _, fds) = carried.item.take(is_last)?;
    host::current().import_object(sender, &description, fds, is_last)
}

pub(super) fn deliver(delivery: &Delivery<'_>) -> Result<bool, NtStatus> {
    let Some(entry) = delivery.entry.filter(|entry| !entry.is_empty()) else {
        return Ok(false);
    };
    let count = entry.len() / HANDLE_LEN;
    let is_answer = delivery.incoming.message_type == LPC_CONNECTION_REPLY;
    let takes_many = delivery.receiver().flags & ALLOW_MULTIHANDLE_ATTRIBUTE != 0;
    // Nothing is asked of the answer to a connect: it is over.
    let attribute = if takes_many && !is_answer || count != 1 {
        AlpcHandleAttr {
            flags: INDIRECT,
            handle: Handle::NULL,
            object_type: count as u32,
            access: 0,
        }
    } else {
        let Some(carried) = carried(entry, 0) else {
            return Ok(false);
        };
        match import(&carried, delivery.incoming.client_id.process, true) {
            Ok(handle) => AlpcHandleAttr {
                flags: 0,
                handle,
                object_type: carried.object_type,
                access: carried.access,
            },
            Err(status) => {
                log::debug!("the object of a message cannot be opened: {status}");
                return Ok(false);
            }
        }
    };
    guest::write(delivery.at, width(), &attribute)?;
    Ok(true)
}

/// Class 3 of NtAlpcQueryInformationMessage: a new handle to an object of a message (alpc#222–224).
pub(super) fn query(
    message: &Asked,
    buffer: UserPtr,
    length: u32,
    return_length: UserPtr,
) -> Result<(), NtStatus> {
    let size = AlpcMessageHandleInformation::size(width());
    if !return_length.is_null() {
        guest::write_u32(return_length, size as u32)?;
    }
    if (length as usize) < size {
        return Err(NtStatus::BUFFER_TOO_SMALL);
    }
    let asked: AlpcMessageHandleInformation = guest::read(buffer, width())?;
    guest::probe_write(buffer, size)?;
    let found = frame::entry(&message.record, attributes::HANDLE)
        .and_then(|entry| carried(entry, asked.index as usize));
    let found = found.ok_or(NtStatus::INVALID_HANDLE)?;
    let sender = session()?.thread(message.sender);
    let sender = sender.ok_or(NtStatus::INVALID_CID)?.process;
    let handle = import(&found, sender, false)?;
    let answer = AlpcMessageHandleInformation {
        index: asked.index,
        flags: 0,
        handle: handle.0 as u32,
        object_type: found.object_type,
        access: found.access,
    };
    guest::write(buffer, width(), &answer).inspect_err(|_| host::current().close(handle))
}
