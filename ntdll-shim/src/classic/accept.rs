//! NtAcceptConnectPort (lpc §2.6).

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;

use ntlpc_abi::{NtStatus, UserPtr, limits};
use ntlpc_proto::Bytes;
use ntlpc_proto::port::{Accept, AcceptFailed, AcceptReply, PortKind, SetContext};
use ntlpc_shm::segment::Direction;

use super::message::{Message, width};
use super::view::{self, OwnView};
use crate::engine::{Connection, NewPort, Port, Queue, me, session};
use crate::host::MappedView;
use crate::{guest, host};

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
        host.read(
            connection_request.offset(limits::header(width())),
            &mut info,
        )?;
    }
    let server_view = view::capture_own(server_view_at)?;
    let client_view = view::capture_remote(client_view_at)?;
    // A problem with the view is reported after what the server checks first.
    let own = server_view.as_ref().filter(|_| accept).map(OwnView::map);
    let view_status = match &own {
        Some(Err(status)) => *status,
        _ => NtStatus::SUCCESS,
    };
    let own = own.and_then(Result::ok);
    let unmap_own = || {
        if let Some(own) = &own {
            host.unmap_view(own.mapped.base);
        }
    };
    // Steps 4–6.
    let request = Accept {
        tno: me()?.tno,
        pid: message.header.client_id.process,
        tid: message.header.client_id.thread,
        message_id: message.header.message_id,
        is_accepted: accept,
        context: port_context,
        info: Bytes(info),
        server_view: own.as_ref().map(OwnView::describe),
        view_status,
    };
    let fds: Vec<BorrowedFd<'_>> = own.iter().map(|own| own.section.fd.as_fd()).collect();
    let (reply, fds) = session()?
        .call(&request, &fds)
        .inspect_err(|_| unmap_own())?;
    if !accept {
        return Ok(());
    }
    let mut fds = fds.into_iter();
    let accepted = adopt(&reply, &mut fds).inspect_err(|_| {
        unmap_own();
        fail(&reply);
    });
    let (port, mapped) = accepted?;
    port.views
        .lock()
        .extend(own.as_ref().map(|own| own.mapped.base));
    let connection = port.existing_connection().cloned();
    let queue = port.queue.clone();
    let set_context = |context: u64| port.context.store(context, Ordering::Relaxed);
    set_context(port_context);
    let handle = host
        .insert_port(port.clone(), fds.next(), false)
        .inspect_err(|_| fail(&reply))?;
    // NULL means the handle (lpc#151).
    let context = if port_context == 0 {
        handle.0
    } else {
        port_context
    };
    if port_context == 0 {
        set_context(context);
        session()?.call(
            &SetContext {
                port: reply.port,
                context,
            },
            &[],
        )?;
    }
    if let Some(connection) = connection {
        queue.add_source(
            &connection,
            Direction::ToServer,
            context,
            Some(reply.client_process),
        );
    }
    let written = (|| {
        if let (Some(own), Some(captured)) = (&own, &server_view) {
            own.write(server_view_at, captured, reply.server_view_remote_base)?;
        }
        if let Some(captured) = client_view {
            view::write_remote(client_view_at, captured.length, mapped)?;
        }
        guest::write_word(port_handle, handle.0)
    })();
    written.inspect_err(|_| {
        fail(&reply);
        host.close(handle);
    })
}

/// Makes the server communication port and maps the client's view.
fn adopt(
    reply: &AcceptReply,
    fds: &mut impl Iterator<Item = std::os::fd::OwnedFd>,
) -> Result<(std::sync::Arc<Port>, Option<MappedView>), NtStatus> {
    let segment = session()?.segment(fds.next())?;
    let queue = Queue::find(reply.connection_port).ok_or(NtStatus::REPLY_MESSAGE_MISMATCH)?;
    let mapped = match &reply.client_view {
        Some(view) => Some(view::map_peer(view, fds.next())?),
        None => None,
    };
    let connection = Connection::new(segment, Direction::ToClient, reply.source, false);
    let port = Port::new(NewPort {
        id: reply.port,
        kind: PortKind::Server,
        is_alpc: false,
        connection_port: reply.connection_port,
        max_message: reply.max_message,
        tickets: queue.inbox.clone(),
        queue,
        connection: Some(connection),
    });
    port.views.lock().extend(mapped.map(|mapped| mapped.base));
    Ok((port, mapped))
}

/// Tells the server that the connection cannot be finished: the client is refused.
fn fail(reply: &AcceptReply) {
    if let Ok(session) = session() {
        // The port's close tells the same.
        let _ = session.call(&AcceptFailed { port: reply.port }, &[]);
    }
}
