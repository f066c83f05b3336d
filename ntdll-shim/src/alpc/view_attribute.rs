//! The VIEW attribute (alpc §1.5, §2.5.8, §3.5).
//!
//! The memory of the sender's section goes along as a descriptor, and the receiver maps it. What is sent as secured the
//! receiver gets a copy of: nothing else would keep a hostile sender, who may have the memory mapped twice, from changing it.

use std::fs::File;
use std::io::Seek;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ntlpc_abi::layout::{AlpcDataViewAttr, Word};
use ntlpc_abi::{Handle, NtStatus, UserPtr, attributes};

use super::attachment::{Bundle, Item};
use super::frame::{Delivery, Sending};
use super::message::width;
use super::view;
use crate::engine::{PortView, Sent};
use crate::guest;
use crate::host::{self, Section};

/// `ALPC_VIEWFLG_UNMAP_EXISTING`: the view that came with the request goes.
const UNMAP_EXISTING: u32 = 0x1_0000;
/// `ALPC_VIEWFLG_AUTO_RELEASE`: the sender's view goes when the message is over.
const AUTO_RELEASE: u32 = 0x2_0000;
/// `ALPC_VIEWFLG_SECURED_ACCESS`: what is in the view does not change any more.
const SECURED: u32 = 0x4_0000;

pub(super) fn capture(at: UserPtr, sending: &mut Sending) -> Result<(), NtStatus> {
    let wanted: AlpcDataViewAttr = guest::read(at, width())?;
    if wanted.flags & !(UNMAP_EXISTING | AUTO_RELEASE | SECURED) != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    if wanted.flags & UNMAP_EXISTING != 0
        && let (Some(answered), Some(port)) = (sending.answered(), sending.sender())
    {
        let port = Arc::clone(port);
        sending.when_sent(move |_| {
            view::release_of_message(&port, answered);
            Ok(())
        });
    }
    if wanted.base.is_null() {
        return match wanted.flags & UNMAP_EXISTING {
            0 => Err(NtStatus::INVALID_PARAMETER),
            _ => Ok(()),
        };
    }
    let resources = Arc::clone(sending.resources());
    let view = resources
        .view(wanted.base.0)
        .ok_or(NtStatus::INVALID_PARAMETER)?;
    check(&wanted, &view)?;
    let size = match wanted.size.0 {
        0 => view.mapped.size,
        size => size,
    };
    let is_secured = wanted.flags & SECURED != 0;
    let memory = view.section.memory.fd.try_clone();
    let memory = memory.map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
    if is_secured {
        host::current().protect_view(view.mapped, false)?;
        let mapped = view.mapped;
        sending.undo_with(move || {
            if let Err(status) = host::current().protect_view(mapped, true) {
                log::debug!("a view that was not sent stays read-only: {status}");
            }
        });
    }
    let mut bundle = Bundle::new(sending);
    let item = bundle.add(Vec::new(), &[memory])?;
    bundle.give_to(sending);
    let mut entry = item.encode().to_vec();
    entry.extend((wanted.flags & SECURED).to_le_bytes());
    entry.extend(size.to_le_bytes());
    sending.push(attributes::VIEW, &entry);
    if wanted.flags & AUTO_RELEASE != 0 {
        let base = wanted.base.0;
        sending.when_sent(move |id| {
            let sent = Sent {
                released_view: base,
                ..Sent::default()
            };
            resources.message_sent(id, sent);
            Ok(())
        });
    }
    Ok(())
}

fn check(wanted: &AlpcDataViewAttr, view: &PortView) -> Result<(), NtStatus> {
    if wanted.section != Handle::NULL && wanted.section.0 != view.section_id {
        return Err(NtStatus::INVALID_HANDLE);
    }
    if wanted.size.0 > view.mapped.size {
        return Err(NtStatus::INVALID_VIEW_SIZE);
    }
    if wanted.flags & SECURED != 0 && !view.section.is_secure {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    Ok(())
}

pub(super) fn deliver(delivery: &Delivery<'_>) -> Result<bool, NtStatus> {
    let Some((item, is_secured, size)) = delivery.entry.and_then(decode) else {
        return Ok(false);
    };
    let mapped = delivery
        .port
        .resources
        .check_view(size)
        .and_then(|()| item.take(true))
        .and_then(|(_, _, fds)| fds.into_iter().next().ok_or(NtStatus::INVALID_PARAMETER))
        .and_then(|memory| section(memory, is_secured, size))
        .and_then(|section| host::current().map_view(&section, 0, size, None));
    let mapped = match mapped {
        Ok(mapped) => mapped,
        Err(status) => {
            log::debug!("the view of a message cannot be mapped: {status}");
            return Ok(false);
        }
    };
    view::note_received(delivery.port, delivery.incoming, mapped);
    let view = AlpcDataViewAttr {
        flags: if is_secured { SECURED } else { 0 },
        section: Handle::NULL,
        base: UserPtr(mapped.base),
        size: Word(mapped.size),
    };
    guest::write(delivery.at, width(), &view)?;
    Ok(true)
}

fn decode(entry: &[u8]) -> Option<(Item, bool, u64)> {
    let (item, rest) = Item::decode(entry)?;
    let (flags, rest) = rest.split_first_chunk()?;
    let size = u64::from_le_bytes(rest.try_into().ok()?);
    Some((item, u32::from_le_bytes(*flags) & SECURED != 0, size))
}

/// Makes what is mapped of the sender's memory, which has at least `size` bytes: else pages without memory would be mapped.
fn section(memory: OwnedFd, is_secured: bool, size: u64) -> Result<Section, NtStatus> {
    let no_room = |_| NtStatus::INSUFFICIENT_RESOURCES;
    let memory = File::from(memory);
    let len = memory.metadata().map_err(no_room)?.len();
    if size == 0 || size > len {
        return Err(NtStatus::INVALID_VIEW_SIZE);
    }
    if !is_secured {
        return Ok(Section {
            fd: memory.into(),
            size: len,
        });
    }
    let copy =
        ntlpc_shm::sys::create_memfd("ntlpc-secured-view", size as usize).map_err(no_room)?;
    let mut copy = File::from(copy);
    let mut from = std::io::Read::take(memory, size);
    // The sender's descriptor shares its position.
    from.get_mut().rewind().map_err(no_room)?;
    let copied = std::io::copy(&mut from, &mut copy).map_err(no_room)?;
    if copied < size {
        return Err(NtStatus::INVALID_VIEW_SIZE);
    }
    Ok(Section {
        fd: copy.into(),
        size,
    })
}
