//! Views of port sections (alpc §2.11), and those that came with messages.

use std::collections::BTreeMap;

use ntlpc_abi::layout::{AlpcDataViewAttr, Layout, Word};
use ntlpc_abi::{Handle, NtStatus, UserPtr};
use ntlpc_proto::port::PortKind;
use parking_lot::Mutex;

use super::frame::Answered;
use crate::engine::{Incoming, Port, PortView};
use crate::guest;
use crate::host::{self, MappedView, PORT_ALL_ACCESS};

/// An end of a connection: connection port, source number there, and which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    connection_port: u64,
    source: u32,
    is_client: bool,
}

/// A view that came with a message.
#[derive(Clone, Copy, Debug)]
struct Received {
    end: End,
    message_id: u32,
}

/// Received views of this process by address: any port of the receiving end may give them back.
static RECEIVED: Mutex<BTreeMap<u64, Received>> = Mutex::new(BTreeMap::new());

impl End {
    /// Returns whether views of this end are those of `port`: a connection port has those of all its connections.
    fn is_of(self, port: &Port) -> bool {
        self.connection_port == port.connection_port
            && self.is_client == (port.kind == PortKind::Client)
            && match (port.kind, port.existing_connection()) {
                (PortKind::Client | PortKind::Server, Some(connection)) => {
                    connection.source == self.source
                }
                _ => true,
            }
    }
}

pub(crate) fn nt_alpc_create_section_view(
    port_handle: Handle,
    flags: u32,
    view_attributes: UserPtr,
) -> Result<(), NtStatus> {
    let width = host::personality().guest;
    if flags != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let wanted: AlpcDataViewAttr = guest::read(view_attributes, width)?;
    guest::probe_write(view_attributes, AlpcDataViewAttr::size(width))?;
    if wanted.flags != 0 || !wanted.base.is_null() {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let port = host::port(port_handle, PORT_ALL_ACCESS)?;
    let section = port.resources.section(wanted.section.0)?;
    let size = match wanted.size.0 {
        0 => section.memory.size,
        size => size,
    };
    port.resources.check_view(size)?;
    let mapped = host::current().map_view(&section.memory, 0, wanted.size.0, None)?;
    let view = PortView {
        section_id: wanted.section.0,
        section,
        mapped,
    };
    let made = AlpcDataViewAttr {
        base: UserPtr(mapped.base),
        size: Word(mapped.size),
        ..wanted
    };
    guest::write(view_attributes, width, &made)?;
    port.resources.add_view(view);
    Ok(())
}

pub(crate) fn nt_alpc_delete_section_view(
    port_handle: Handle,
    flags: u32,
    view_base: UserPtr,
) -> Result<(), NtStatus> {
    if flags != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let port = host::port(port_handle, PORT_ALL_ACCESS)?;
    if port.resources.remove_view(view_base.0).is_some() {
        return Ok(());
    }
    release_received(&port, view_base.0)
}

/// Takes note of a view that came with a message.
pub(super) fn note_received(port: &Port, incoming: &Incoming, mapped: MappedView) {
    // An answer that was waited for comes by no source, and only a communication port waits.
    let source = match (port.kind, port.existing_connection()) {
        (PortKind::Client | PortKind::Server, Some(connection)) => connection.source,
        _ => incoming.source,
    };
    let received = Received {
        end: End {
            connection_port: port.connection_port,
            source,
            is_client: port.kind == PortKind::Client,
        },
        message_id: incoming.message_id,
    };
    RECEIVED.lock().insert(mapped.base, received);
}

/// Unmaps the view that came with a message which was answered (alpc#244); there may be none (alpc#245).
pub(super) fn release_of_message(port: &Port, answered: Answered) {
    let is_its = |view: &Received| {
        view.message_id == answered.id && view.end.source == answered.source && view.end.is_of(port)
    };
    let base = {
        let mut received = RECEIVED.lock();
        let found = received.iter().find(|(_, view)| is_its(view));
        let base = found.map(|(&base, _)| base);
        if let Some(base) = base {
            received.remove(&base);
        }
        base
    };
    if let Some(base) = base {
        host::current().unmap_view(base);
    }
}

/// Unmaps a received view (alpc#243).
///
/// # Errors
/// `NOT_MAPPED_VIEW` for an address where none of the port's views lies.
pub(super) fn release_received(port: &Port, base: u64) -> Result<(), NtStatus> {
    let is_found = {
        let mut received = RECEIVED.lock();
        let is_found = received.get(&base).is_some_and(|view| view.end.is_of(port));
        if is_found {
            received.remove(&base);
        }
        is_found
    };
    if !is_found {
        return Err(NtStatus::NOT_MAPPED_VIEW);
    }
    host::current().unmap_view(base);
    Ok(())
}

/// Unmaps the views a port that goes away received.
pub(crate) fn release_views(port: &Port) {
    if !port.is_alpc {
        return;
    }
    let gone: Vec<u64> = {
        let mut received = RECEIVED.lock();
        let gone: Vec<u64> = received
            .iter()
            .filter(|(_, view)| view.end.is_of(port))
            .map(|(&base, _)| base)
            .collect();
        for base in &gone {
            received.remove(base);
        }
        gone
    };
    for base in gone {
        host::current().unmap_view(base);
    }
}
