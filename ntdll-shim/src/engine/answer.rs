//! Answers to waiting threads: replies, callbacks, reply-and-wait.
//!
//! Answers are not queued; they end the wait of exactly one thread (lpc §3.4). The target is found by the message's
//! ClientId and MessageId and the port used (lpc §2.0.5).

use std::sync::atomic::{AtomicU32, Ordering};

use ntlpc_abi::{ClientId, NtStatus};
use ntlpc_proto::port::PortKind;
use ntlpc_shm::segment::{Direction, EndAttributes, SELF_SOURCE};
use ntlpc_shm::slot::{ANSWER_CONTINUES, Answer, CONTINUES, CROWDED, Kind, Slot};
use ntlpc_shm::sys;
use ntlpc_shm::turn::{Filling, Phase};
use ntlpc_shm::{SERVER, Tno};

use super::converse::answer_conversation;
use super::message::{LPC_DATAGRAM, Outgoing, read_record};
use super::port::Port;
use super::queue::Outstanding;
use super::send::{Expects, Waiting};
use super::session::{Me, me, session};
use super::wait::take_called_back;

/// Whom to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct To {
    /// The waiting thread, as the message names it.
    pub client_id: ClientId,
    /// The message it waits for.
    pub message_id: u32,
}

/// Answers and does not wait (lpc §2.9). The calling thread's own request of that id, if it was called back, ends.
///
/// # Errors
/// `INVALID_CID`, `REPLY_MESSAGE_MISMATCH`, `NO_MEMORY`.
#[inline(always)]
pub fn reply(port: &Port, to: To, message: &Outgoing<'_>) -> Result<(), NtStatus> {
    let me = me()?;
    let (target, is_crowded) = take(port, to, me)?;
    let answered = if target.conversation.is_some() {
        answer_conversation(port, to, &target, message, Expects::Nothing).map(drop)
    } else {
        deliver_to(to, &target, message, me.tno, &Extra::default(), || {
            is_crowded
        })
    };
    match answered {
        Ok(()) if target.conversation.is_some() => Ok(()),
        Ok(()) => {
            if let Some(waiting) = take_called_back(to.message_id) {
                waiting.release();
            }
            Ok(())
        }
        Err(status @ (NtStatus::NO_MEMORY | NtStatus::PORT_DISCONNECTED)) => {
            // It can be answered again.
            let mut state = port.queue.state.lock();
            state.remember(to.message_id, to.client_id, target);
            Err(status)
        }
        Err(_) => Err(not_waiting(to, me)),
    }
}

/// Answers a callback and waits again for the answer to the original request (lpc §2.12): one step for any third party.
///
/// # Errors
/// As [`reply`], and `PORT_DISCONNECTED`.
pub fn reply_and_wait(port: &Port, to: To, message: &Outgoing<'_>) -> Result<Waiting, NtStatus> {
    let me = me()?;
    let target = find(port, to, me)?;
    let waiting = match take_called_back(to.message_id) {
        Some(waiting) => waiting,
        None => Waiting::without_message(
            &target.connection,
            target.direction.opposite(),
            to.message_id,
            me,
        )?,
    };
    let sequence = target.slot().turn().sequence;
    waiting
        .slot()
        .begin_armed(to.message_id, target.slot, sequence);
    refuse_if_closed(&waiting)?;
    let extra = Extra {
        waiter: waiting.slot + 1,
        ..Extra::default()
    };
    match deliver(port, to, me, &target, message, &extra) {
        Ok(()) => {
            waiting.slot().disarm();
            Ok(waiting)
        }
        Err(status) => {
            abandon(&waiting);
            Err(status)
        }
    }
}

/// Calls the waiting thread back and begins to wait for its answer (lpc §3.4).
///
/// # Errors
/// As [`reply_and_wait`].
pub fn call_back(port: &Port, to: To, message: &Outgoing<'_>) -> Result<Waiting, NtStatus> {
    let me = me()?;
    let target = find(port, to, me)?;
    call_back_at(port, to, me, &target, message)
}

pub(super) fn call_back_at(
    port: &Port,
    to: To,
    me: Me,
    target: &Outstanding,
    message: &Outgoing<'_>,
) -> Result<Waiting, NtStatus> {
    let waiting = Waiting::without_message(
        &target.connection,
        target.direction.opposite(),
        to.message_id,
        me,
    )?;
    waiting.slot().begin_wait(to.message_id);
    refuse_if_closed(&waiting)?;
    let extra = Extra {
        waiter: waiting.slot + 1,
        callback_id: next_callback_id(),
        keeps_request: true,
        continues: false,
    };
    match deliver(port, to, me, target, message, &extra) {
        Ok(()) => Ok(waiting),
        Err(status) => {
            abandon(&waiting);
            Err(status)
        }
    }
}

/// The server closes first and sweeps afterwards; this thread begins to wait first and looks afterwards.
fn refuse_if_closed(waiting: &Waiting) -> Result<(), NtStatus> {
    if !waiting.connection.segment.is_closed() {
        return Ok(());
    }
    abandon(waiting);
    Err(NtStatus::PORT_DISCONNECTED)
}

fn abandon(waiting: &Waiting) {
    // An end that came first (LOST) needs no answer either.
    let _ = waiting.slot().end_wait();
    waiting.slot().reset_turn();
    waiting.release();
}

/// Callback ids only distinguish levels of nesting for the programs; matching uses id and thread (lpc §3.4).
pub(super) fn next_callback_id() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    loop {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        if id != 0 {
            return id;
        }
    }
}

/// What an answer says besides its message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extra {
    /// Slot the answerer waits in, plus one.
    pub waiter: u32,
    /// Callback id to deliver.
    pub callback_id: u32,
    /// The request stays outstanding: its data must not be overwritten.
    pub keeps_request: bool,
    /// The requester owes an answer in its turn.
    pub continues: bool,
}

/// Finds the wait that `to` names, as far as `port` may answer it.
///
/// # Errors
/// `INVALID_CID` if no such thread lives, else `REPLY_MESSAGE_MISMATCH`.
fn find(port: &Port, to: To, me: Me) -> Result<Outstanding, NtStatus> {
    let known = port
        .queue
        .state
        .lock()
        .outstanding
        .get(to.message_id, to.client_id)
        .cloned();
    let found = known.or_else(|| search(port, to));
    match found {
        Some(target) if may_answer(port, &target) => Ok(target),
        _ => Err(not_waiting(to, me)),
    }
}

/// Takes the wait that `to` names from what `port` owes, as [`find`]; also returns whether the queue is crowded.
fn take(port: &Port, to: To, me: Me) -> Result<(Outstanding, bool), NtStatus> {
    let mut state = port.queue.state.lock();
    let is_crowded = state.is_crowded();
    match state.outstanding.remove(to.message_id, to.client_id) {
        Some(target) if may_answer(port, &target) => Ok((target, is_crowded)),
        Some(others) => {
            state.remember(to.message_id, to.client_id, others);
            drop(state);
            Err(not_waiting(to, me))
        }
        None => {
            drop(state);
            find(port, to, me).map(|target| (target, is_crowded))
        }
    }
}

/// A server communication port answers its own client and requests made on the connection port itself, not a sibling's
/// client (lpc#114).
pub(super) fn may_answer(port: &Port, target: &Outstanding) -> bool {
    port.kind != PortKind::Server
        || target.connection.source == SELF_SOURCE
        || port
            .existing_connection()
            .is_some_and(|connection| connection.source == target.connection.source)
}

/// Looks for a wait that this process did not receive: another process did, or the requester itself answers.
#[cold]
pub(super) fn search(port: &Port, to: To) -> Option<Outstanding> {
    let mut connections: Vec<_> = port.existing_connection().into_iter().cloned().collect();
    for (_, source) in port.queue.state.lock().receiver.sources() {
        connections.extend(source.peer.connection.clone());
    }
    let session = session().ok()?;
    for connection in connections {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let mut found = None;
            connection.segment.lane(direction).for_each_used(|slot| {
                let turn = slot.turn();
                let (state, header) = (slot.state(), slot.header());
                let is_awaited =
                    turn.who == to.message_id && matches!(turn.phase, Phase::Wait | Phase::Armed);
                let is_conversation = header.message_id == to.message_id
                    && header.flags & CONTINUES != 0
                    && state.owner == SERVER
                    && direction == connection.outgoing.opposite();
                if !is_awaited && !is_conversation {
                    return;
                }
                let waiter = session.thread(header.sender);
                let is_him = waiter.is_some_and(|thread| {
                    ClientId {
                        process: thread.process,
                        thread: thread.thread,
                    } == to.client_id
                });
                if is_him && state.kind == Kind::Held {
                    let conversation = is_conversation.then_some(state.generation);
                    found = Some((slot.index(), conversation, header));
                }
            });
            if let Some((slot, conversation, header)) = found {
                return Some(Outstanding {
                    connection,
                    direction,
                    slot,
                    conversation,
                    callback_id: header.callback_id,
                    sender: header.sender,
                    has_record: header.attributes != 0,
                });
            }
        }
    }
    None
}

pub(super) fn not_waiting(to: To, me: Me) -> NtStatus {
    if to.client_id == me.id {
        return NtStatus::REPLY_MESSAGE_MISMATCH;
    }
    match session().and_then(|session| session.check_alive(to.client_id)) {
        Ok(()) => NtStatus::REPLY_MESSAGE_MISMATCH,
        Err(status) => status,
    }
}

/// Answers a request that `port` may still owe, and forgets it.
pub(super) fn deliver(
    port: &Port,
    to: To,
    me: Me,
    target: &Outstanding,
    message: &Outgoing<'_>,
    extra: &Extra,
) -> Result<(), NtStatus> {
    deliver_to(to, target, message, me.tno, extra, || {
        let mut state = port.queue.state.lock();
        state.outstanding.remove(to.message_id, to.client_id);
        state.is_crowded()
    })
    .map_err(|status| match status {
        NtStatus::REPLY_MESSAGE_MISMATCH => not_waiting(to, me),
        other => other,
    })
}

/// Answers a request. `forget` is called once it is sure that nobody else will; it returns whether the queue is crowded.
///
/// # Errors
/// `NO_MEMORY`; `REPLY_MESSAGE_MISMATCH` if nobody waits.
pub(super) fn deliver_to(
    to: To,
    target: &Outstanding,
    message: &Outgoing<'_>,
    me: Tno,
    extra: &Extra,
    forget: impl FnOnce() -> bool,
) -> Result<(), NtStatus> {
    let slot = target.slot();
    let is_delivered = |peer: u32, sequence: u32| {
        let peer = target
            .connection
            .segment
            .lane(target.direction.opposite())
            .slot(peer);
        peer.is_some_and(|peer| peer.is_answered_by(target.slot, sequence))
    };
    let Ok(filling) = slot.claim_answer(to.message_id, me, is_delivered) else {
        forget();
        return Err(NtStatus::REPLY_MESSAGE_MISMATCH);
    };
    let side = match place(target, &filling, message, extra, me) {
        Ok(side) => side,
        Err(status) => {
            filling.give_back();
            return Err(status);
        }
    };
    let answer = Answer {
        data_len: message.data_len,
        body_len: message.body_len,
        message_type: message.message_type,
        data_info: message.data_info,
        callback_id: extra.callback_id,
        sender: me,
        slot: 0,
        waiter: extra.waiter,
        cpu: sys::current_cpu(),
        flags: if forget() { CROWDED } else { 0 }
            | if extra.continues { ANSWER_CONTINUES } else { 0 },
    };
    filling
        .deliver(&answer, side.as_ref())
        .map_err(|_| NtStatus::REPLY_MESSAGE_MISMATCH)
}

/// Writes the answer's data into the request's slot, or into one of the other lane if it does not fit or the request's data
/// must stay. Returns that other slot.
#[inline(always)]
fn place<'a>(
    target: &'a Outstanding,
    filling: &Filling<'_>,
    message: &Outgoing<'_>,
    extra: &Extra,
    me: Tno,
) -> Result<Option<Slot<'a>>, NtStatus> {
    let slot = filling.slot();
    let fits = message.record.is_empty() && message.data.len() <= slot.capacity();
    if fits && !extra.keeps_request && !extra.continues {
        slot.write(0, message.data);
        return Ok(None);
    }
    let direction = target.direction.opposite();
    let lane = target.connection.segment.lane(direction);
    let cursor = target.connection.cursor(direction);
    let side = lane
        .allocate(cursor, message.payload_len(), me)
        .map_err(|_| NtStatus::NO_MEMORY)?;
    let expected = if extra.continues { CONTINUES } else { 0 };
    message.fill(&side, me, expected);
    side.set_message_id(slot.header().message_id);
    Ok(Some(side))
}

impl Outstanding {
    /// Returns whether it is a datagram, kept until it is released.
    pub(super) fn is_datagram(&self) -> bool {
        self.conversation.is_some() && self.slot().header().message_type == LPC_DATAGRAM
    }

    /// Returns what the end that gets the answer says of itself.
    #[must_use]
    pub fn peer_attributes(&self) -> EndAttributes {
        let segment = &self.connection.segment;
        segment.attributes(self.direction.opposite())
    }

    /// Reads the record that came with the message, again as a peer's word.
    #[must_use]
    pub fn record(&self) -> Vec<u8> {
        let slot = self.slot();
        read_record(&slot, slot.header().attributes)
    }

    /// Returns the slot the requester waits in.
    #[inline(always)]
    pub(super) fn slot(&self) -> Slot<'_> {
        self.connection
            .segment
            .lane(self.direction)
            .slot(self.slot)
            .expect("an outstanding request has a valid slot")
    }

    /// Returns whether its requester still waits for message `id`.
    #[must_use]
    pub(super) fn is_awaited(&self, id: u32) -> bool {
        if let Some(generation) = self.conversation {
            return self.slot().is_conversation(generation);
        }
        let turn = self.slot().turn();
        turn.who == id && matches!(turn.phase, Phase::Wait | Phase::Armed)
    }
}

/// Returns where the request that `to` names waits: source and slot; `None` if no such wait is known here.
#[must_use]
pub fn locate(port: &Port, to: To) -> Option<(u32, u32)> {
    let known = port
        .queue
        .state
        .lock()
        .outstanding
        .get(to.message_id, to.client_id)
        .cloned();
    let target = known.or_else(|| search(port, to))?;
    target
        .is_awaited(to.message_id)
        .then_some((target.connection.source, target.slot))
}
