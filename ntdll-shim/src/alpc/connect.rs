//! NtAlpcConnectPort, NtAlpcConnectPortEx (alpc §2.3, §2.4).
//!
//! 1. Capture and probe.
//! 2. The server looks the port up, checks, and queues the request. What is wrong with the message travels there, since the
//!    name is looked up first.
//! 3. An asynchronous connect is done: the port is pending, and its answer will be a message.
//! 4. A synchronous one waits on the segment's connect word: decided (→ 5), too late, or this thread must end (the request is
//!    withdrawn).
//! 5. Fetch the outcome and write the answer. If it does not fit, the port is closed again.

use std::sync::Arc;

use ntlpc_abi::{NtStatus, UserPtr};
use ntlpc_proto::port::{
    AlpcMessage, Connect, ConnectAbort, ConnectReply, ConnectResult, ConnectResultReply, PortKind,
};
use ntlpc_proto::{Bytes, Name};
use ntlpc_shm::segment::{Direction, Segment};
use ntlpc_shm::sys::{Deadline, Woken};

use super::frame::{self, Receiving, Sending};
use super::message::{Buffer, LPC_CONNECTION_REPLY, Message};
use super::object::{self, Named};
use super::port::PortAttributes;
use super::transfer::{SYNC_REQUEST, WAIT_ALERTABLE};
use crate::engine::{
    self, Connection, Incoming, NewPort, PendingConnect, Port, Queue, Resources, renewed, session,
};
use crate::{guest, host, interrupt, names};

pub(crate) fn nt_alpc_connect_port(
    port_handle: UserPtr,
    port_name: UserPtr,
    object_attributes: UserPtr,
    port_attributes: UserPtr,
    flags: u32,
    required_server_sid: UserPtr,
    connection_message: UserPtr,
    buffer_length: UserPtr,
    out_message_attributes: UserPtr,
    in_message_attributes: UserPtr,
    timeout: UserPtr,
) -> Result<(), NtStatus> {
    guest::probe_handle(port_handle)?;
    let target = Target {
        named: Named {
            name: guest::string(port_name)?,
            ..Named::default()
        },
        required_sid: guest::sid(required_server_sid)?,
        server_security: Vec::new(),
    };
    let message = Exchange {
        message: connection_message,
        length: buffer_length,
        out: out_message_attributes,
        into: in_message_attributes,
    };
    connect(
        port_handle,
        target,
        (object_attributes, port_attributes),
        flags,
        message,
        timeout,
    )
}

pub(crate) fn nt_alpc_connect_port_ex(
    port_handle: UserPtr,
    connection_port_attributes: UserPtr,
    client_port_attributes: UserPtr,
    port_attributes: UserPtr,
    flags: u32,
    server_security_requirements: UserPtr,
    connection_message: UserPtr,
    buffer_length: UserPtr,
    out_message_attributes: UserPtr,
    in_message_attributes: UserPtr,
    timeout: UserPtr,
) -> Result<(), NtStatus> {
    guest::probe_handle(port_handle)?;
    if connection_port_attributes.is_null() {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let target = Target {
        named: object::capture(connection_port_attributes)?,
        required_sid: Vec::new(),
        server_security: guest::security_descriptor(server_security_requirements)?,
    };
    let message = Exchange {
        message: connection_message,
        length: buffer_length,
        out: out_message_attributes,
        into: in_message_attributes,
    };
    connect(
        port_handle,
        target,
        (client_port_attributes, port_attributes),
        flags,
        message,
        timeout,
    )
}

/// Whom to connect to.
struct Target {
    named: Named,
    required_sid: Vec<u8>,
    server_security: Vec<u8>,
}

/// Where the request's message is and the answer's goes.
struct Exchange {
    message: UserPtr,
    length: UserPtr,
    out: UserPtr,
    into: UserPtr,
}

fn connect(
    port_handle: UserPtr,
    target: Target,
    (object_attributes, port_attributes): (UserPtr, UserPtr),
    flags: u32,
    exchange: Exchange,
    timeout: UserPtr,
) -> Result<(), NtStatus> {
    let host = host::current();
    // Step 1.
    let client = object::capture(object_attributes)?;
    let attributes = PortAttributes::capture(port_attributes)?;
    let waits = flags & SYNC_REQUEST != 0;
    let mut message = match exchange.message.is_null() {
        true => None,
        false => Some(Message::capture(exchange.message)?),
    };
    let buffer = match waits {
        true => Some(Buffer::capture(exchange.message, exchange.length)?),
        false => None,
    };
    let deadline = guest::timeout(timeout)?;
    let receiving = Receiving::capture(exchange.into)?;
    let mut info = Vec::new();
    let message_status = match &mut message {
        Some(message) => message.check_lengths().and_then(|()| {
            message.read_data(&mut info)?;
            info.truncate(usize::from(message.header.data_length));
            Ok(())
        }),
        None => Ok(()),
    };
    let resources = Arc::<Resources>::default();
    let mut sending = Sending::capture_handshake(&resources, false, exchange.out)?;
    // Step 2.
    let mut name = Name(target.named.name);
    let root = names::resolve(target.named.root, &mut name)?;
    let request = Connect {
        tno: renewed()?.tno,
        root,
        name,
        attributes: target.named.attributes,
        is_alpc: true,
        waits,
        alpc: attributes.for_server(),
        message: AlpcMessage {
            body_len: message.map_or(0, |message| u32::from(message.body_len())),
            attributes: Bytes(sending.record().to_vec()),
        },
        qos: attributes.qos(),
        token: Bytes(host.effective_token()),
        required_sid: Bytes(target.required_sid),
        server_security: Bytes(target.server_security),
        view: None,
        view_status: message_status.err().unwrap_or(NtStatus::SUCCESS),
        info: Bytes(info),
        bundles: std::mem::take(&mut sending.bundles),
        known_port: 0,
    };
    let session = session()?;
    let (pending, fds) = session
        .call(&request, &[])
        .map_err(|status| names::connect_status(status, &request.name.0))?;
    let mut fds = fds.into_iter();
    let parts = session
        .segment(fds.next())
        .and_then(|segment| Ok((segment, session.inbox(fds.next())?)));
    let (segment, tickets) = parts.inspect_err(|_| abort(&pending))?;
    if waits {
        let _alertable = engine::alertable(flags & WAIT_ALERTABLE != 0);
        wait(&segment, &pending, deadline)?;
    }
    let outcome = match waits {
        true => {
            let (outcome, _) = session.call(&ConnectResult { port: pending.port }, &[])?;
            if !outcome.status.is_success() {
                return Err(outcome.status);
            }
            Some(outcome)
        }
        false => None,
    };
    let connection = Connection::new(
        segment,
        Direction::ToServer,
        pending.source,
        false,
        pending.server_pid,
    );
    let port = Port::new(NewPort {
        id: pending.port,
        kind: PortKind::Client,
        is_alpc: true,
        attributes: attributes.for_peer(),
        connection_port: 0,
        max_message: pending.max_message,
        queue: Queue::of_client_port(pending.port, &connection, true, pending.server_process),
        tickets,
        connection: Some(connection),
        resources,
    });
    port.resources.set_limits(attributes.limits());
    sending
        .commit(pending.message_id)
        .inspect_err(|_| abort(&pending))?;
    let lifetime = fds.next();
    // Step 5.
    if let (Some(outcome), Some(buffer)) = (&outcome, &buffer) {
        *port.lifetime.lock() = lifetime;
        answer(&port, &pending, outcome, buffer, &receiving)?;
        let lifetime = port.lifetime.lock().take();
        return finish(port_handle, port, lifetime, client.is_inheritable);
    }
    // Step 3.
    finish(port_handle, port, lifetime, client.is_inheritable)
}

fn finish(
    port_handle: UserPtr,
    port: Arc<Port>,
    lifetime: Option<std::os::fd::OwnedFd>,
    is_inheritable: bool,
) -> Result<(), NtStatus> {
    let host = host::current();
    let handle = host.insert_port(port, lifetime, is_inheritable)?;
    guest::write_word(port_handle, handle.0).inspect_err(|_| host.close(handle))
}

/// Waits until the request is decided (step 4).
fn wait(
    segment: &Segment,
    pending: &ConnectReply,
    deadline: Option<Deadline>,
) -> Result<(), NtStatus> {
    let host = host::current();
    let _waiting = PendingConnect::new(segment, session()?);
    while !segment.is_connect_done() {
        if let Some(status) = engine::alerted() {
            abort(pending);
            return Err(status);
        }
        let woken = interrupt::waiting(|| segment.wait_connect(deadline));
        match woken {
            Woken::Look => {}
            Woken::Deadline => {
                if !segment.is_connect_done() {
                    abort(pending);
                    return Err(NtStatus::TIMEOUT);
                }
            }
            Woken::Signal => {
                host.interrupted();
                if host.is_thread_terminating() {
                    abort(pending);
                    return Err(NtStatus::THREAD_IS_TERMINATING);
                }
            }
        }
    }
    Ok(())
}

fn abort(pending: &ConnectReply) {
    if let Ok(session) = session() {
        // The server drops the request with this process at the latest.
        let _ = session.call(&ConnectAbort { port: pending.port }, &[]);
    }
}

/// Writes the acceptor's message (alpc#79–90).
fn answer(
    port: &Arc<Port>,
    pending: &ConnectReply,
    outcome: &ConnectResultReply,
    buffer: &Buffer,
    receiving: &Receiving,
) -> Result<(), NtStatus> {
    let data = &outcome.info.0;
    let data_len = u16::try_from(data.len()).unwrap_or(u16::MAX);
    let body_len = u16::try_from(outcome.message.body_len)
        .unwrap_or(u16::MAX)
        .max(data_len);
    buffer.write_length(body_len)?;
    if i64::from(body_len) > buffer.room() {
        return Err(NtStatus::BUFFER_TOO_SMALL);
    }
    let incoming = Incoming {
        message_type: LPC_CONNECTION_REPLY,
        data_len,
        body_len,
        client_id: ntlpc_abi::ClientId {
            process: outcome.pid,
            thread: outcome.tid,
        },
        message_id: pending.message_id,
        record: outcome.message.attributes.0.clone(),
        ..Incoming::default()
    };
    frame::message_over(port, pending.message_id);
    // The answer counts as received (alpc#109).
    port.sequence
        .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    buffer.deliver(&incoming, data)?;
    receiving.deliver(port, &incoming)
}
