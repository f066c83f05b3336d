//! NtConnectPort, NtSecureConnectPort (lpc §2.3, §2.4).
//!
//! 1. Capture and probe in the order Windows was seen to use (table of lpc §2.3, steps 1–7).
//! 2. Map the client view. A problem with it travels to the server, which knows what is checked before it.
//! 3. The server looks the port up, checks and queues the request.
//! 4. Wait on the segment's connect word: decided (→ 5) or this thread must end (the request is withdrawn).
//! 5. Read the outcome, or fetch it if there is a server view; on success map the view, make the port and the handle, write
//!    everything.

use std::sync::Arc;

use ntlpc_abi::{NtStatus, UserPtr, limits};
use ntlpc_proto::port::{ClosePort, Connect, ConnectAbort, ConnectReply, ConnectResult, PortKind};
use ntlpc_proto::{Bytes, Name};
use ntlpc_shm::segment::{Connecting, Direction, EndAttributes};
use ntlpc_shm::sys::Woken;

use super::message::width;
use super::view::{self, OwnView};
use crate::engine::{
    Connection, NewPort, PendingConnect, Port, Queue, inboxes, me, renewed, session,
};
use crate::{capture, guest, host, interrupt, names};

pub(crate) fn nt_connect_port(
    port_handle: UserPtr,
    port_name: UserPtr,
    security_qos: UserPtr,
    client_view: UserPtr,
    server_view: UserPtr,
    max_message_length: UserPtr,
    info: UserPtr,
    info_length: UserPtr,
) -> Result<(), NtStatus> {
    nt_secure_connect_port(
        port_handle,
        port_name,
        security_qos,
        client_view,
        UserPtr::NULL,
        server_view,
        max_message_length,
        info,
        info_length,
    )
}

pub(crate) fn nt_secure_connect_port(
    port_handle: UserPtr,
    port_name: UserPtr,
    security_qos: UserPtr,
    client_view_at: UserPtr,
    required_server_sid: UserPtr,
    server_view_at: UserPtr,
    max_message_length: UserPtr,
    info_at: UserPtr,
    info_length_at: UserPtr,
) -> Result<(), NtStatus> {
    let host = host::current();
    // Step 1.
    guest::probe_handle(port_handle)?;
    let mut own = OwnView::capture(client_view_at)?;
    view::capture_remote(server_view_at)?;
    if !max_message_length.is_null() {
        guest::probe_write(max_message_length, 4)?;
    }
    let info_length = if info_length_at.is_null() {
        0
    } else {
        guest::read_u32(info_length_at)?
    };
    if !info_length_at.is_null() {
        guest::probe_write(info_length_at, 4)?;
    }
    // A length without a buffer counts as no information.
    let info_length = if info_at.is_null() { 0 } else { info_length };
    if info_length != 0 {
        guest::probe_write(info_at, info_length as usize)?;
    }
    let qos = guest::qos(security_qos)?;
    let required_sid = guest::sid(required_server_sid)?;
    let name = guest::string(port_name)?;
    let mut info = vec![0; (info_length as usize).min(limits::max_connection_info(width()))];
    if !info.is_empty() {
        capture::read(info_at, &mut info)?;
    }
    // Step 2.
    own.map();
    // Step 3.
    let known = inboxes::last();
    let request = Connect {
        tno: renewed()?.tno,
        name: Name(name),
        waits: true,
        qos,
        token: Bytes(host.effective_token()),
        required_sid: Bytes(required_sid),
        view: own.describe(),
        view_status: own.status(),
        info: Bytes(info),
        known_port: known.as_ref().map_or(0, |known| known.port),
        ..Connect::default()
    };
    let (pending, fds) = session()?
        .call(&request, &own.fds())
        .map_err(|status| names::connect_status(status, &request.name.0))?;
    let mut fds = fds.into_iter();
    let (segment, tickets) = session()?
        .segment(fds.next())
        .and_then(|segment| Ok((segment, inboxes::of(&pending, &mut fds, known)?)))
        .inspect_err(|_| abort(&pending))?;
    // Step 4.
    let waiting = PendingConnect::new(&segment, session()?);
    while !segment.is_connect_done() {
        let woken = interrupt::waiting(|| segment.wait_connect(None));
        if woken == Woken::Signal {
            host.interrupted();
            if host.is_thread_terminating() {
                abort(&pending);
                return Err(NtStatus::THREAD_IS_TERMINATING);
            }
        }
    }
    drop(waiting);
    // Step 5.
    let outcome = segment.outcome();
    if segment.connecting() != Connecting::Accepted {
        close(&pending);
        write_info(&outcome.info, info_at, info_length_at, info_length)?;
        return Err(NtStatus::PORT_CONNECTION_REFUSED);
    }
    let (server_view, section) = match outcome.has_more {
        true => {
            let (result, mut fds) = session()?.call(&ConnectResult { port: pending.port }, &[])?;
            (result.server_view, fds.pop())
        }
        false => (None, None),
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
        is_alpc: false,
        attributes: EndAttributes::default(),
        connection_port: 0,
        max_message: pending.max_message,
        queue: Queue::of_client_port(pending.port, &connection, false, pending.server_process),
        tickets,
        connection: Some(Arc::clone(&connection)),
        resources: Arc::default(),
    });
    own.keep(&port);
    let server_view = view::map_peer(server_view.as_ref(), section, &port)?;
    let handle = host.insert_port(port, fds.next(), false)?;
    let written = (|| {
        own.write(outcome.client_view_base)?;
        if !server_view_at.is_null() {
            // NtConnectPort leaves 0 in the length (lpc#93).
            view::write_remote(server_view_at, 0, server_view)?;
        }
        if !max_message_length.is_null() {
            guest::write_u32(max_message_length, pending.max_message)?;
        }
        write_info(&outcome.info, info_at, info_length_at, info_length)?;
        guest::write_word(port_handle, handle.0)
    })();
    written.inspect_err(|_| host.close(handle))
}

fn abort(pending: &ConnectReply) {
    if let Ok(session) = session() {
        // The server drops the request with this process at the latest.
        let _ = session.call(&ConnectAbort { port: pending.port }, &[]);
    }
}

/// Gives up a port that is no use to anybody.
fn close(pending: &ConnectReply) {
    if let (Ok(session), Ok(me)) = (session(), me()) {
        let request = ClosePort {
            port: pending.port,
            tno: me.tno,
        };
        // As above.
        let _ = session.post(&request);
    }
}

/// Returns the server's information, never more than the client's buffer holds (lpc#84), also on refusal (lpc#86).
fn write_info(
    info: &[u8],
    info_at: UserPtr,
    length_at: UserPtr,
    capacity: u32,
) -> Result<(), NtStatus> {
    if info_at.is_null() {
        return Ok(());
    }
    let info = &info[..info.len().min(capacity as usize)];
    if !info.is_empty() {
        capture::write(info_at, info)?;
    }
    if !length_at.is_null() {
        guest::write_u32(length_at, info.len() as u32)?;
    }
    Ok(())
}
