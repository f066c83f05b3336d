//! Messages into a queue: datagrams, and requests that wait for an answer.

use std::sync::Arc;

use ntlpc_abi::NtStatus;
use ntlpc_shm::segment::Direction;
use ntlpc_shm::slot::{Kind, Slot, WANTS_REPLY};

use super::message::Outgoing;
use super::port::{Connection, Port};
use super::session::{Me, me};
use crate::interrupt;

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

/// Queues a datagram at the other end of `port` (lpc §2.8 steps 5–6). Returns its message id.
///
/// # Errors
/// `PORT_DISCONNECTED`, `NO_MEMORY` when the queue is full.
pub fn send(port: &Port, message: &Outgoing<'_>) -> Result<u32, NtStatus> {
    let me = me()?;
    let connection = port.connection()?;
    let _guard = interrupt::enter();
    let lane = connection.segment.lane(connection.outgoing);
    let slot = prepare(connection, message, me)?;
    let (inbox, source) = port.destination(connection);
    let id = lane.publish(&slot, &port.tickets, &inbox, source, me.tno, false);
    // The server closes first and sweeps afterwards; this thread publishes first and looks afterwards.
    if connection.segment.is_closed() && lane.withdraw(&slot, me.tno) {
        return Err(NtStatus::PORT_DISCONNECTED);
    }
    port.signal_peer(&inbox);
    Ok(id)
}

/// Queues a request at the other end of `port` and begins to wait for its answer (lpc §2.11 steps 6–7).
///
/// # Errors
/// `PORT_DISCONNECTED`, `NO_MEMORY` when the queue is full.
pub fn request(port: &Port, message: &Outgoing<'_>) -> Result<Waiting, NtStatus> {
    let me = me()?;
    let connection = port.connection()?;
    let _guard = interrupt::enter();
    let lane = connection.segment.lane(connection.outgoing);
    let message = Outgoing {
        flags: message.flags | WANTS_REPLY,
        ..*message
    };
    let slot = prepare(connection, &message, me)?;
    let (inbox, source) = port.destination(connection);
    let id = lane.publish(&slot, &port.tickets, &inbox, source, me.tno, true);
    let waiting = Waiting {
        connection: Arc::clone(connection),
        direction: connection.outgoing,
        slot: slot.index(),
        me,
        id,
    };
    if connection.segment.is_closed() && slot.end_wait().is_ok() && lane.withdraw(&slot, me.tno) {
        return Err(NtStatus::PORT_DISCONNECTED);
    }
    port.signal_peer(&inbox);
    Ok(waiting)
}

fn prepare<'a>(
    connection: &'a Connection,
    message: &Outgoing<'_>,
    me: Me,
) -> Result<Slot<'a>, NtStatus> {
    if connection.segment.is_closed() {
        return Err(NtStatus::PORT_DISCONNECTED);
    }
    let lane = connection.segment.lane(connection.outgoing);
    let cursor = connection.cursor(connection.outgoing);
    let slot = lane
        .allocate(cursor, message.data.len(), me.tno)
        .map_err(|_| NtStatus::NO_MEMORY)?;
    message.fill(&slot, me.tno);
    Ok(slot)
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
            flags: WANTS_REPLY,
            data: &[],
        };
        empty.fill(&slot, me.tno);
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
    pub(super) fn slot(&self) -> Slot<'_> {
        self.connection
            .segment
            .lane(self.direction)
            .slot(self.slot)
            .expect("a wait holds a slot index of its lane")
    }

    /// Frees the slot: the wait is over.
    pub(super) fn release(&self) {
        let slot = self.slot();
        let lane = self.connection.segment.lane(self.direction);
        lane.free(
            &slot,
            Kind::Held,
            self.me.tno,
            Some(self.connection.cursor(self.direction)),
        );
    }
}
