//! NtAlpcAcceptConnectPort (alpc §2.4b).

use std::sync::atomic::Ordering;

use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus, UserPtr};
use ntlpc_proto::Bytes;
use ntlpc_proto::port::{Accept, AcceptFailed, AcceptReply, AlpcMessage, PortKind};
use ntlpc_shm::segment::{Direction, EndAttributes};

use super::frame::{self, Sending};
use super::message::Message;
use super::object;
use super::port::PortAttributes;
use crate::engine::{Connection, NewPort, Port, me, session};
use crate::host::PORT_ALL_ACCESS;
use crate::{guest, host};

pub(crate) fn nt_alpc_accept_connect_port(
    port_handle: UserPtr,
    connection_port_handle: Handle,
    _flags: u32,
    object_attributes: UserPtr,
    port_attributes: UserPtr,
    port_context: u64,
    connection_request: UserPtr,
    connection_message_attributes: UserPtr,
    accept: bool,
) -> Result<(), NtStatus> {
    let host = host::current();
    if accept {
        guest::probe_handle(port_handle)?;
    }
    let named = object::capture(object_attributes)?;
    let attributes = PortAttributes::capture(port_attributes)?;
    let mut message = Message::capture(connection_request)?;
    let port = host::port(connection_port_handle, PORT_ALL_ACCESS)?;
    if !matches!(port.kind, PortKind::Connection | PortKind::Unconnected) {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    message.check_lengths()?;
    message.check_fits(port.max_message)?;
    let mut info = Vec::new();
    message.read_data(&mut info)?;
    info.truncate(usize::from(message.header.data_length));
    let alpc = match port_attributes.is_null() {
        // Inherited from the connection port.
        true => {
            let inherited = port.attributes();
            ntlpc_proto::port::AlpcPort {
                flags: inherited.flags,
                object_types: inherited.object_types,
            }
        }
        false => attributes.for_server(),
    };
    let name = message.name();
    let mut sending = match accept {
        true => Sending::capture_handshake(&port.resources, true, connection_message_attributes)?,
        false => Sending::default(),
    };
    let request = Accept {
        tno: me()?.tno,
        pid: name.client_id.process,
        tid: name.client_id.thread,
        message_id: name.id,
        is_accepted: accept,
        context: port_context,
        info: Bytes(info),
        port: port.id,
        alpc: alpc.clone(),
        message: AlpcMessage {
            body_len: u32::from(message.body_len()),
            attributes: Bytes(sending.record().to_vec()),
        },
        bundles: std::mem::take(&mut sending.bundles),
        ..Accept::default()
    };
    let session = session()?;
    let (reply, fds) = session.call(&request, &[])?;
    if !accept {
        return Ok(());
    }
    sending.commit(name.id).inspect_err(|_| fail(&reply))?;
    // What was sent with the answer is over with its delivery, which nobody tells of.
    frame::datagram_sent(&port, name.id);
    let mut fds = fds.into_iter();
    let segment = session.segment(fds.next()).inspect_err(|_| fail(&reply))?;
    if reply.client_view.is_some() {
        // A classic client's view has no place in an ALPC accept: its section is not mapped here.
        drop(fds.next());
    }
    let connection = Connection::new(
        segment,
        Direction::ToClient,
        reply.source,
        false,
        reply.client_pid,
    );
    let queue = port.queue.clone();
    queue.add_source(
        &connection,
        Direction::ToServer,
        port_context,
        Some(reply.client_process),
    );
    let server = Port::new(NewPort {
        id: reply.port,
        kind: PortKind::Server,
        is_alpc: true,
        attributes: EndAttributes {
            flags: alpc.flags,
            object_types: alpc.object_types,
        },
        connection_port: reply.connection_port,
        max_message: reply
            .max_message
            .max(attributes_maximum(&attributes, port_attributes)),
        tickets: queue.inbox.clone(),
        queue,
        connection: Some(connection),
        resources: Arc::default(),
    });
    server
        .resources
        .set_limits(match port_attributes.is_null() {
            true => port.resources.limits(),
            false => attributes.limits(),
        });
    server.context.store(port_context, Ordering::Relaxed);
    let handle = host
        .insert_port(server, fds.next(), named.is_inheritable)
        .inspect_err(|_| fail(&reply))?;
    guest::write_word(port_handle, handle.0).inspect_err(|_| host.close(handle))
}

/// Returns the maximum an acceptor asked for, which counts if it is the larger one (alpc §0.1).
fn attributes_maximum(attributes: &PortAttributes, at: UserPtr) -> u32 {
    if at.is_null() {
        0
    } else {
        attributes.max_message()
    }
}

/// Tells the server that the port cannot be used: its client is disconnected.
fn fail(reply: &AcceptReply) {
    if let Ok(session) = session() {
        // The port's close tells the same.
        let _ = session.call(&AcceptFailed { port: reply.port }, &[]);
    }
}
