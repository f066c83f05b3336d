//! Taking the oldest visible message out of shared memory.
//!
//! 1. Claim it, or map the source that rang and look again.
//! 2. Ask the server once a source and process whether the sender may use it; drop what a stranger wrote.
//! 3. Copy header and data, check them, and hold the slot for an answer or free it.
//! 4. Wake another receiver if there is more; settle the signal of a waitable port.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use ntlpc_abi::{ClientId, NtStatus};
use ntlpc_proto::port::{CheckSender, OpenSource};
use ntlpc_shm::receive::{Found, Taken};
use ntlpc_shm::segment::{Direction, SYSTEM_SOURCE};
use ntlpc_shm::slot::{CONTINUES, Header, Kind, WANTS_REPLY};
use ntlpc_shm::{SERVER, Tno};

use super::message::{Data, Incoming, LPC_CANCELED, LPC_DATAGRAM, read_data, read_record};
use super::port::Connection;
use super::queue::{Cookie, Outstanding, Queue, QueueState};
use super::session::{Me, session};
use super::wait::LPC_REQUEST;
use crate::host;

/// Types a sender may give its own messages (lpc §1.9).
const LPC_REPLY: u16 = 2;
const LPC_PORT_CLOSED: u16 = 5;

/// Takes the next message that is still in shared memory: for the notifier, which keeps it for receivers.
pub(super) fn take_new(
    queue: &Queue,
    me: Me,
    incoming: &mut Incoming,
    data: &mut Data,
) -> Result<bool, NtStatus> {
    take_from_inbox(queue, me, None, incoming, data)
}

/// As [`take_new`], of `source` alone if there is one.
pub(super) fn take_from_inbox(
    queue: &Queue,
    me: Me,
    source: Option<u32>,
    incoming: &mut Incoming,
    data: &mut Data,
) -> Result<bool, NtStatus> {
    loop {
        let mut state = queue.state.lock();
        let found = match source {
            Some(source) => match state.receiver.take_from(&queue.inbox, me.tno, source) {
                Some(taken) => Found::Message(taken),
                None => return Ok(false),
            },
            None => state.receiver.take(&queue.inbox, me.tno),
        };
        let taken = match found {
            Found::Message(taken) => taken,
            Found::Nothing => {
                drop(state);
                settle_signal(queue);
                return Ok(false);
            }
            Found::Unknown(source) => {
                drop(state);
                open_source(queue, source);
                continue;
            }
        };
        let is_accepted = match sender_of(queue, &mut state, &taken) {
            Some(sender) => accept(queue, &mut state, me, &taken, sender, incoming, data),
            None => {
                drop_message(&state, &taken, me.tno);
                false
            }
        };
        let has_more = state.receiver.is_crowded();
        drop(state);
        if has_more && queue.inbox.has_sleepers() {
            queue.inbox.wake_one();
        }
        if !is_accepted {
            continue;
        }
        queue.peer_cpu.store(taken.header.cpu, Relaxed);
        settle_signal(queue);
        return Ok(true);
    }
}

/// A waitable port whose queue looks empty is not signalled any more, unless nothing will ever come to it.
#[inline(always)]
pub(super) fn settle_signal(queue: &Queue) {
    if !queue.inbox.is_waitable() || !queue.inbox.sources().is_empty() {
        return;
    }
    if queue.is_ended() || !queue.state.lock().kept.is_empty() {
        return;
    }
    queue.inbox.clear_signal();
    if queue.is_ended() {
        queue.inbox.signal();
    }
    host::current().port_signal_changed(queue.port, queue.inbox.is_signalled());
}

/// Finds out who sent a taken message; `None` if it is forged.
fn sender_of(queue: &Queue, state: &mut QueueState, taken: &Taken) -> Option<ClientId> {
    let session = session().ok()?;
    let tno = taken.header.sender;
    let thread = session.thread(tno)?;
    let peer = &mut state.receiver.source_mut(taken.source)?.peer;
    if taken.source != SYSTEM_SOURCE && !peer.processes.contains(&thread.process_no) {
        let check = CheckSender {
            port: queue.port,
            source: taken.source,
            tno,
        };
        if let Err(status) = session.call(&check, &[]) {
            log::warn!(
                "source {} of port {}: a message from a stranger: {status}",
                taken.source,
                queue.port
            );
            return None;
        }
        peer.processes.push(thread.process_no);
    }
    Some(ClientId {
        process: thread.process,
        thread: thread.thread,
    })
}

/// Returns whether a message may say what it says of itself.
fn is_allowed(queue: &Queue, connection: Option<&Connection>, header: &Header) -> bool {
    match connection {
        Some(connection) if connection.is_kernel => true,
        _ if header.flags & WANTS_REPLY != 0 => header.message_type == LPC_REQUEST,
        _ if header.flags & CONTINUES != 0 => {
            matches!(header.message_type, LPC_REQUEST | LPC_DATAGRAM)
        }
        _ => {
            header.message_type == LPC_DATAGRAM || queue.is_alpc && header.message_type == LPC_REPLY
        }
    }
}

/// Copies a claimed message and settles its slot. Returns false if a peer wrote impossible lengths or types.
fn accept(
    queue: &Queue,
    state: &mut QueueState,
    me: Me,
    taken: &Taken,
    client_id: ClientId,
    incoming: &mut Incoming,
    data: &mut Data,
) -> bool {
    let Some(source) = state.receiver.source(taken.source) else {
        return false;
    };
    let is_system = taken.source == SYSTEM_SOURCE;
    let connection = source.peer.connection.as_ref();
    let header = &taken.header;
    let wants_reply = header.flags & WANTS_REPLY != 0;
    let continues = header.flags & CONTINUES != 0 && !is_system;
    let is_allowed = is_system || is_allowed(queue, connection.map(Arc::as_ref), header);
    let lane = source.segment.lane(source.direction);
    let Some(slot) = lane.slot(taken.slot) else {
        return false;
    };
    // What a client left behind that went away is known by its end alone (alpc#201).
    let is_cancelled = queue.is_alpc
        && !is_system
        && source.direction == Direction::ToServer
        && source.segment.is_closed()
        && !source.segment.takes_datagrams();
    *incoming = Incoming {
        message_type: header.message_type,
        data_len: header.data_len,
        body_len: header.body_len,
        data_info: header.data_info,
        flags: header.flags,
        client_id,
        message_id: header.message_id,
        callback_id: if is_system { 0 } else { header.callback_id },
        view_size: header.view_size,
        context: if is_system {
            header.context
        } else {
            source.peer.context
        },
        record: Vec::new(),
        source: taken.source,
        about: if is_system {
            header.attributes
        } else {
            taken.source
        },
        sender: header.sender,
        cookie: None,
    };
    if is_cancelled {
        incoming.cancel();
    } else if !is_system && header.attributes != 0 {
        incoming.record = read_record(&slot, header.attributes);
    }
    let copied = read_data(&slot, incoming.data_len, incoming.body_len, data);
    let is_kept = is_allowed && !is_cancelled;
    let outstanding = connection
        .filter(|_| (wants_reply || continues) && is_kept)
        .map(|connection| Outstanding {
            connection: Arc::clone(connection),
            direction: source.direction,
            slot: taken.slot,
            conversation: continues.then(|| slot.state().generation),
            callback_id: header.callback_id,
            sender: header.sender,
            has_record: header.attributes != 0,
        });
    if wants_reply {
        lane.hold(&slot, me.tno, header.sender);
    } else if continues && is_kept {
        lane.hold(&slot, me.tno, SERVER);
    } else {
        lane.free(&slot, Kind::Taken, me.tno, None);
    }
    state.note(taken.source);
    if let Some(outstanding) = outstanding {
        state.remember(header.message_id, client_id, outstanding);
    }
    if is_system && header.message_type == LPC_PORT_CLOSED {
        state.forget(header.attributes);
    }
    if let Some(cookie) = take_cookie(state, taken, incoming.message_type) {
        incoming.cookie = Some(cookie);
    }
    if !is_allowed || copied.is_err() {
        log::warn!(
            "source {}: a damaged message of type {} was dropped",
            taken.source,
            header.message_type
        );
        return false;
    }
    true
}

/// Returns what this end remembers of the conversation a message belongs to, and forgets it with the last word.
fn take_cookie(state: &mut QueueState, taken: &Taken, message_type: u16) -> Option<Cookie> {
    let id = taken.header.message_id;
    let is_system = taken.source == SYSTEM_SOURCE;
    if is_system && message_type == LPC_CANCELED {
        state.remember_cancelled(id);
    }
    if state.cookies.is_empty() {
        return None;
    }
    let cookie = state.cookies.get(&id)?;
    if !is_system && cookie.source != taken.source {
        return None;
    }
    match message_type {
        LPC_REPLY | LPC_CANCELED => state.cookies.remove(&id),
        _ => Some(cookie.clone()),
    }
}

fn drop_message(state: &QueueState, taken: &Taken, me: Tno) {
    if let Some(source) = state.receiver.source(taken.source) {
        let lane = source.segment.lane(source.direction);
        if let Some(slot) = lane.slot(taken.slot) {
            lane.free(&slot, Kind::Taken, me, None);
        }
    }
}

/// Maps a source another process of the port added, or takes its bit away if the server knows none.
#[cold]
fn open_source(queue: &Queue, source: u32) {
    let opened = session().and_then(|session| {
        let (reply, mut fds) = session.call(
            &OpenSource {
                port: queue.port,
                source,
            },
            &[],
        )?;
        let segment = session.segment(fds.pop())?;
        Ok((
            Connection::new(segment, Direction::ToClient, source, reply.is_kernel, 0),
            reply.context,
        ))
    });
    match opened {
        Ok((connection, context)) => {
            queue.add_source(&connection, Direction::ToServer, context, None);
        }
        Err(status) => {
            log::debug!(
                "port {}: source {source} rang and cannot be opened: {status}",
                queue.port
            );
            queue.inbox.silence(source);
        }
    }
}
