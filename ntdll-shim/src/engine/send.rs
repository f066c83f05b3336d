//! Messages into a queue: datagrams, and requests that wait for an answer.

use std::sync::Arc;

use ntlpc_abi::NtStatus;
use ntlpc_shm::segment::Direction;
use ntlpc_shm::slot::{CONTINUES, Kind, Slot, WANTS_REPLY};

use super::message::Outgoing;
use super::port::{Connection, Port};
use super::queue::Cookie;
use super::session::{Me, me};

/// A wait that was begun: the slot in which the calling thread waits for answers to `id`.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub(super) connection: Arc<Connection>,
    pub(super) direction: Direction,
    pub(super) slot: u32,
    pub(super) me: Me,
    /// Awaited message id.
    pub id: u32,
}

/// What a sender expects of its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expects {
    /// Nothing: a datagram, or the last word of a conversation.
    Nothing,
    /// An answer that is a message of its own.
    Message,
    /// An answer the calling thread waits for.
    Answer,
}

/// Queues a datagram at the other end of `port` (lpc §2.8 steps 5–6). Returns its message id.
///
/// # Errors
/// `PORT_DISCONNECTED`, `NO_MEMORY` when the queue is full.
#[inline(always)]
pub fn send(port: &Port, message: &Outgoing<'_>, is_released: bool) -> Result<u32, NtStatus> {
    let connection = port.connection()?;
    let path = (connection, connection.outgoing);
    let expects = match is_released {
        true => Expects::Message,
        false => Expects::Nothing,
    };
    post(port, path, None, message, expects).map(|posted| posted.id)
}

/// Queues a request at the other end of `port` whose answer will be a message there (alpc §2.5.3). Returns its message id.
/// `cookie` is remembered for that answer.
///
/// # Errors
/// As [`send`].
pub fn ask(port: &Arc<Port>, message: &Outgoing<'_>, cookie: Option<u64>) -> Result<u32, NtStatus> {
    let connection = port.connection()?;
    let path = (connection, connection.outgoing);
    // Locked, the answer cannot be received before the cookie is there.
    let state = cookie.map(|_| port.queue.state.lock());
    let id = post(port, path, None, message, Expects::Message)?.id;
    if let (Some(mut state), Some(value)) = (state, cookie) {
        state
            .cookies
            .insert(id, Cookie::new(port, connection, value));
    }
    Ok(id)
}

/// Queues a request at the other end of `port` and begins to wait for its answer (lpc §2.11 steps 6–7).
///
/// # Errors
/// `PORT_DISCONNECTED`, `NO_MEMORY` when the queue is full.
#[inline(always)]
pub fn request(port: &Port, message: &Outgoing<'_>) -> Result<Waiting, NtStatus> {
    let connection = port.connection()?;
    let path = (connection, connection.outgoing);
    let posted = post(port, path, None, message, Expects::Answer)?;
    Ok(posted.waiting(path))
}

/// As [`request`], with a cookie for who cancels it. The caller forgets it when the wait is over.
///
/// # Errors
/// As [`request`].
pub fn request_remembered(
    port: &Arc<Port>,
    message: &Outgoing<'_>,
    cookie: u64,
) -> Result<Waiting, NtStatus> {
    // Locked, nobody can look for the cookie before it is there.
    let mut state = port.queue.state.lock();
    let waiting = request(port, message)?;
    let cookie = Cookie::new(port, &waiting.connection, cookie);
    state.cookies.insert(waiting.id, cookie);
    Ok(waiting)
}

/// A message in a lane. With [`Expects::Answer`] the wait for that is begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Posted {
    slot: u32,
    sender: Me,
    id: u32,
}

impl Posted {
    /// Returns the wait for the answer.
    #[inline]
    pub fn waiting(self, (connection, direction): (&Arc<Connection>, Direction)) -> Waiting {
        Waiting {
            connection: Arc::clone(connection),
            direction,
            slot: self.slot,
            me: self.sender,
            id: self.id,
        }
    }
}

/// Queues a message in a lane of a connection of `port`, in the conversation `id` or a new one.
#[inline(always)]
pub(super) fn post(
    port: &Port,
    (connection, direction): (&Arc<Connection>, Direction),
    id: Option<u32>,
    message: &Outgoing<'_>,
    expects: Expects,
) -> Result<Posted, NtStatus> {
    let me = me()?;
    let segment = &connection.segment;
    let lane = segment.lane(direction);
    let is_refused = || {
        let takes = expects == Expects::Nothing && direction == Direction::ToServer;
        segment.is_closed() && !(takes && segment.takes_datagrams())
    };
    if is_refused() {
        return Err(NtStatus::PORT_DISCONNECTED);
    }
    let cursor = connection.cursor(direction);
    lane.prefetch_next(cursor);
    let slot = lane
        .allocate(cursor, message.payload_len(), me.tno)
        .map_err(|_| NtStatus::NO_MEMORY)?;
    let expected = match expects {
        Expects::Nothing => 0,
        Expects::Message => CONTINUES,
        Expects::Answer => WANTS_REPLY,
    };
    message.fill(&slot, me.tno, expected);
    let (inbox, source) = port.end_of(connection, direction);
    let waits = expects == Expects::Answer;
    let id = lane.publish_as(&slot, id, (&port.tickets, inbox), source, me.tno, waits);
    if direction == Direction::ToServer {
        segment.ring_lane();
    }
    // The server closes first and sweeps afterwards; this thread publishes first and looks afterwards.
    if is_refused() && (!waits || slot.end_wait().is_ok()) && lane.withdraw(&slot, me.tno) {
        return Err(NtStatus::PORT_DISCONNECTED);
    }
    port.signal_peer(inbox);
    Ok(Posted {
        slot: slot.index(),
        sender: me,
        id,
    })
}

impl Waiting {
    /// Begins a wait without a message: the calling thread calls back, or answers and waits again.
    ///
    /// # Errors
    /// `NO_MEMORY` when the lane is full, `PORT_DISCONNECTED`.
    pub(super) fn without_message(
        connection: &Arc<Connection>,
        direction: Direction,
        id: u32,
        me: Me,
    ) -> Result<Waiting, NtStatus> {
        if connection.segment.is_closed() {
            return Err(NtStatus::PORT_DISCONNECTED);
        }
        let lane = connection.segment.lane(direction);
        let slot = lane
            .allocate(connection.cursor(direction), 0, me.tno)
            .map_err(|_| NtStatus::NO_MEMORY)?;
        let empty = Outgoing {
            message_type: 0,
            data_len: 0,
            body_len: 0,
            data_info: 0,
            flags: 0,
            callback_id: 0,
            data: &[],
            record: &[],
        };
        empty.fill(&slot, me.tno, WANTS_REPLY);
        slot.set_message_id(id);
        slot.advance(slot.state(), Kind::Held, me.tno);
        Ok(Waiting {
            connection: Arc::clone(connection),
            direction,
            slot: slot.index(),
            me,
            id,
        })
    }

    /// Returns the slot.
    #[inline(always)]
    pub(super) fn slot(&self) -> Slot<'_> {
        self.connection
            .segment
            .lane(self.direction)
            .slot(self.slot)
            .expect("a wait holds a slot index of its lane")
    }

    /// Frees the slot: the wait is over.
    pub(super) fn release(&self) {
        self.free(&self.slot());
    }

    /// As [`Waiting::release`], of the slot at hand.
    pub(super) fn free(&self, slot: &Slot<'_>) {
        let lane = self.connection.segment.lane(self.direction);
        lane.free(
            slot,
            Kind::Held,
            self.me.tno,
            Some(self.connection.cursor(self.direction)),
        );
    }
}
