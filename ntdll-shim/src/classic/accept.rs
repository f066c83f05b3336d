//! NtAcceptConnectPort (lpc §2.6).

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ntlpc_abi::{Handle, NtStatus, UserPtr, limits};
use ntlpc_proto::Bytes;
use ntlpc_proto::port::{Accept, AcceptFailed, AcceptReply, PortKind, SetContext};
use ntlpc_shm::segment::{Direction, EndAttributes};

use super::message::{Message, width};
use super::view::{self, OwnView};
use crate::engine::{Connection, NewPort, Port, Queue, me, session};
use crate::host::MappedView;
use crate::{capture, guest, host};

pub(crate) fn nt_accept_connect_port(
    port_handle: UserPtr,
    port_context: u64,
    connection_request: UserPtr,
    accept: bool,
    server_view_at: UserPtr,
    client_view_at: UserPtr,
) -> Result<(), NtStatus> {
    let host = host::current();
    // Steps 1–3.
    guest::probe_handle(port_handle)?;
    let message = Message::capture(connection_request)?;
    let info_len =
        usize::from(message.header.data_length).min(limits::max_connection_info(width()));
    let mut info = vec![0; info_len];
    if info_len != 0 {
        capture::read(
            connection_request.offset(limits::header(width())),
            &mut info,
        )?;
    }
    let mut own = OwnView::capture(server_view_at)?;
    let client_view = view::capture_remote(client_view_at)?;
    if accept {
        own.map();
    }
    // Steps 4–6.
    let request = Accept {
        tno: me()?.tno,
        pid: message.header.client_id.process,
        tid: message.header.client_id.thread,
        message_id: message.header.message_id,
        is_accepted: accept,
        context: port_context,
        info: Bytes(info),
        server_view: own.describe(),
        view_status: own.status(),
        ..Accept::default()
    };
    let (reply, fds) = session()?.call(&request, &own.fds())?;
    if !accept {
        return Ok(());
    }
    let mut fds = fds.into_iter();
    let (port, client_view_mapped) = adopt(&reply, &mut fds).inspect_err(|_| fail(&reply))?;
    own.keep(&port);
    port.context.store(port_context, Ordering::Relaxed);
    let handle = host
        .insert_port(port.clone(), fds.next(), false)
        .inspect_err(|_| fail(&reply))?;
    let written = (|| {
        let context = settle_context(&port, port_context, handle)?;
        if let Some(connection) = port.existing_connection() {
            let client = Some(reply.client_process);
            port.queue
                .add_source(connection, Direction::ToServer, context, client);
        }
        own.write(reply.server_view_remote_base)?;
        if let Some(captured) = client_view {
            view::write_remote(client_view_at, captured.length, client_view_mapped)?;
        }
        guest::write_word(port_handle, handle.0)
    })();
    written.inspect_err(|_| {
        fail(&reply);
        host.close(handle);
    })
}

/// Returns the port's context: what the caller gave, or the handle for NULL (lpc#151), which the server is told.
fn settle_context(port: &Port, given: u64, handle: Handle) -> Result<u64, NtStatus> {
    if given != 0 {
        return Ok(given);
    }
    port.context.store(handle.0, Ordering::Relaxed);
    let request = SetContext {
        port: port.id,
        context: handle.0,
    };
    session()?.post(&request)?;
    Ok(handle.0)
}

/// Makes the server communication port and maps the client's view.
fn adopt(
    reply: &AcceptReply,
    fds: &mut impl Iterator<Item = OwnedFd>,
) -> Result<(Arc<Port>, Option<MappedView>), NtStatus> {
    let segment = session()?.segment(fds.next())?;
    let queue = Queue::find(reply.connection_port).ok_or(NtStatus::REPLY_MESSAGE_MISMATCH)?;
    let connection = Connection::new(
        segment,
        Direction::ToClient,
        reply.source,
        false,
        reply.client_pid,
    );
    let port = Port::new(NewPort {
        id: reply.port,
        kind: PortKind::Server,
        is_alpc: false,
        attributes: EndAttributes::default(),
        connection_port: reply.connection_port,
        max_message: reply.max_message,
        tickets: queue.inbox.clone(),
        queue,
        connection: Some(connection),
        resources: Arc::default(),
    });
    // The section comes only with a view; the lifetime descriptor follows it.
    let section = reply.client_view.as_ref().and_then(|_| fds.next());
    let mapped = view::map_peer(reply.client_view.as_ref(), section, &port)?;
    Ok((port, mapped))
}

/// Tells the server that the connection cannot be finished: the client is refused.
fn fail(reply: &AcceptReply) {
    if let Ok(session) = session() {
        // The port's close tells the same.
        let _ = session.post(&AcceptFailed { port: reply.port });
    }
}
