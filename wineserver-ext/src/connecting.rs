//! Which connections are being made: found by the thread that waits and by the message that asks.

use std::collections::{BTreeMap, BTreeSet};

use ntlpc_shm::Tno;

use crate::connection::{Connection, ConnectionId};
use crate::namespace::ObjectId;

/// Connections that are neither completed nor refused.
#[derive(Debug, Default)]
pub(crate) struct Connecting {
    by_thread: BTreeSet<(Tno, ConnectionId)>,
    /// Message ids are given once by a port while they may be answered.
    by_message: BTreeMap<(ObjectId, u32), ConnectionId>,
}

impl Connecting {
    pub(crate) fn insert(&mut self, id: ConnectionId, connection: &Connection) {
        self.by_thread.insert((connection.client_thread, id));
        self.by_message
            .insert((connection.port, connection.message_id), id);
    }

    /// Forgets a connection that is decided; no effect if it was before.
    pub(crate) fn remove(&mut self, id: ConnectionId, connection: &Connection) {
        if self.by_thread.remove(&(connection.client_thread, id)) {
            self.by_message
                .remove(&(connection.port, connection.message_id));
        }
    }

    /// Returns the connections a thread is making, oldest first.
    pub(crate) fn of_thread(&self, tno: Tno) -> impl Iterator<Item = ConnectionId> {
        let range = self.by_thread.range((tno, 0)..=(tno, ConnectionId::MAX));
        range.map(|&(_, id)| id)
    }

    /// Returns the connection that message `message_id` of a connection port asks for.
    pub(crate) fn asked_for_by(&self, port: ObjectId, message_id: u32) -> Option<ConnectionId> {
        self.by_message.get(&(port, message_id)).copied()
    }
}
