//! NtCreatePort, NtCreateWaitablePort (lpc §2.1, §2.2).

use std::sync::Arc;

use ntlpc_abi::{NtStatus, UserPtr, limits};
use ntlpc_proto::port::{AlpcPort, CreatePort, PortKind};
use ntlpc_proto::{Bytes, Name};
use ntlpc_shm::segment::EndAttributes;

use super::message::width;
use crate::engine::{NewPort, Port, Queue, renewed, session};
use crate::{guest, host, names};

/// The one attribute a port may be created with (lpc#28).
const OBJ_CASE_INSENSITIVE: u32 = 0x40;

pub(crate) fn nt_create_port(
    port_handle: UserPtr,
    object_attributes: UserPtr,
    max_info: u32,
    max_message: u32,
    _max_pool_usage: u32,
) -> Result<(), NtStatus> {
    create(port_handle, object_attributes, max_info, max_message, false)
}

pub(crate) fn nt_create_waitable_port(
    port_handle: UserPtr,
    object_attributes: UserPtr,
    max_info: u32,
    max_message: u32,
    _max_pool_usage: u32,
) -> Result<(), NtStatus> {
    create(port_handle, object_attributes, max_info, max_message, true)
}

fn create(
    port_handle: UserPtr,
    object_attributes: UserPtr,
    max_info: u32,
    max_message: u32,
    is_waitable: bool,
) -> Result<(), NtStatus> {
    guest::probe_handle(port_handle)?;
    let attributes = guest::attributes(object_attributes, OBJ_CASE_INSENSITIVE, || {
        // Parameter 4 first: lpc#11.
        if max_message as usize > limits::max_total(width()) {
            return Err(NtStatus::INVALID_PARAMETER_4);
        }
        if max_info as usize > limits::max_connection_info(width()) {
            return Err(NtStatus::INVALID_PARAMETER_3);
        }
        Ok(())
    })?;
    let host = host::current();
    let is_named = !attributes.name.is_empty();
    let request = CreatePort {
        tno: renewed()?.tno,
        is_waitable,
        is_alpc: false,
        alpc: AlpcPort::default(),
        max_message,
        max_info,
        root: 0,
        name: Name(attributes.name),
        attributes: attributes.flags,
        security: Bytes(attributes.security),
        token: Bytes(host.effective_token()),
    };
    let (reply, fds) = names::create_port(request, attributes.root)?;
    let session = session()?;
    let mut fds = fds.into_iter();
    let inbox = session.inbox(fds.next())?;
    let system = session.segment(fds.next())?;
    let queue = Queue::of_connection_port(reply.port, inbox.clone(), false, Some(system));
    let port = Port::new(NewPort {
        id: reply.port,
        kind: if is_named {
            PortKind::Connection
        } else {
            PortKind::Unconnected
        },
        is_alpc: false,
        attributes: EndAttributes::default(),
        connection_port: reply.port,
        max_message,
        queue,
        tickets: inbox,
        connection: None,
        resources: Arc::default(),
    });
    let handle = host.insert_port(port, fds.next(), false)?;
    guest::write_word(port_handle, handle.0).inspect_err(|_| host.close(handle))
}
