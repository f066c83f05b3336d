//! What happens when a port loses its last reference (lpc §3.1, §3.5).

use std::time::{Duration, Instant};

use ntlpc_proto::port::PortKind;
use ntlpc_shm::segment::{Direction, Segment};
use ntlpc_shm::{SERVER, Tno, rundown};

use crate::connection::{ConnectionId, Phase};
use crate::limits::LIFETIME_GRACE_MS;
use crate::namespace::ObjectId;
use crate::notice::{Notice, PORT_CLOSED};
use crate::port::{Lingering, Port, Role, Source};
use crate::process::ProcessNo;
use crate::state::State;

impl State {
    /// Takes `process`'s hold off a port; the last reference destroys it. `closer` becomes the ClientId of a PORT_CLOSED.
    pub(crate) fn drop_hold(&mut self, process: ProcessNo, id: ObjectId, closer: Tno) {
        let Some(port) = self.ports.get_mut(&id) else {
            return;
        };
        let Some(mut holder) = port.holders.remove(&process) else {
            return;
        };
        if let Some(lifetime) = holder.lifetime.take() {
            self.lifetimes.remove(&lifetime);
        }
        holder.is_held = false;
        if holder.granted > 0 {
            port.holders.insert(process, holder);
            return;
        }
        if let Some(process) = self.processes.get_mut(&process) {
            process.ports.remove(&id);
        }
        self.after_release(id, process, closer);
    }

    /// Takes a reference without a handle off a port.
    pub(crate) fn drop_reference(&mut self, id: ObjectId, process: ProcessNo, closer: Tno) {
        if let Some(port) = self.ports.get_mut(&id) {
            port.references = port.references.saturating_sub(1);
            self.after_release(id, process, closer);
        }
    }

    fn after_release(&mut self, id: ObjectId, process: ProcessNo, closer: Tno) {
        let Some(port) = self.ports.get(&id) else {
            return;
        };
        if port.receiving().is_some() && port.holders.is_empty() {
            self.close_receiving(id);
        } else if port.holders.is_empty() && port.references == 0 {
            match port.kind {
                PortKind::Client => self.close_client(id, process, closer),
                _ => self.close_server(id),
            }
        }
    }

    /// The last handle of a connection or unconnected port is closed: the name goes, the queue is purged. The object stays
    /// while connections use it.
    fn close_receiving(&mut self, id: ObjectId) {
        self.remove_name(id);
        let Some(port) = self.ports.get_mut(&id) else {
            return;
        };
        port.has_name = false;
        let Role::Receiving(receiving) = &mut port.role else {
            return;
        };
        // A reference without a handle may go later: what was queued since through a server port stays.
        if std::mem::replace(&mut receiving.is_closed, true) {
            return self.free_receiving_if_unused(id);
        }
        if port.is_alpc {
            // Who waits there learns it now (alpc#161), whatever connections are left.
            receiving.inbox.close();
        }
        rundown::purge(
            &receiving.system.segment().lane(Direction::ToServer),
            SERVER,
        );
        let sources: Vec<Source> = receiving.sources.values().cloned().collect();
        for source in sources {
            match source {
                Source::Connection(connection) => self.purge_connection(connection),
                Source::Itself(segment) | Source::Exception(_, segment) => {
                    segment.close();
                    rundown::purge(&segment.lane(Direction::ToServer), SERVER);
                    lose_all(&segment);
                }
                Source::Lingering(Lingering { segment, .. }) => {
                    rundown::purge(&segment.lane(Direction::ToServer), SERVER);
                }
            }
        }
        self.free_receiving_if_unused(id);
    }

    fn purge_connection(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        match connection.phase {
            Phase::Pending if connection.is_alpc_async() => self.cancel_pending(id),
            Phase::Pending => self.refuse(id, Vec::new()),
            // Purged requesters wait on until their peer dies (lpc §3.5).
            _ => drop(rundown::purge(
                &connection.segment.lane(Direction::ToServer),
                SERVER,
            )),
        }
    }

    /// Frees a receiving port that nobody holds and no connection needs.
    fn free_receiving_if_unused(&mut self, id: ObjectId) {
        let is_unused = self.ports.get(&id).is_some_and(|port| {
            port.holders.is_empty() && port.references == 0 && !self.has_server_ends(port)
        });
        if !is_unused {
            return;
        }
        if let Some(receiving) = self.ports.get(&id).and_then(Port::receiving) {
            receiving.inbox.close();
        }
        let is_needed = self
            .connections
            .values()
            .any(|connection| connection.port == id);
        if !is_needed {
            self.ports.remove(&id);
        }
    }

    fn has_server_ends(&self, port: &Port) -> bool {
        port.receiving().is_some_and(|receiving| {
            receiving.sources.values().any(|source| match source {
                Source::Connection(id) => self
                    .connections
                    .get(id)
                    .is_some_and(|connection| connection.server_port.is_some()),
                _ => false,
            })
        })
    }

    /// The last reference to a server communication port is gone: its client's waits are lost, no message is sent.
    fn close_server(&mut self, id: ObjectId) {
        let Some(connection_id) = self.ports.remove(&id).and_then(|port| port.connection()) else {
            return;
        };
        self.refuse_if_incomplete(connection_id);
        let Some(connection) = self.connections.get_mut(&connection_id) else {
            return;
        };
        connection.server_port = None;
        let port = connection.port;
        connection.segment.close();
        lose_all(&connection.segment);
        connection.wake_client();
        connection.inbox.wake_all();
        self.remove_if_dead(connection_id);
        self.free_receiving_if_unused(port);
    }

    /// lpc §3.3: a server that goes between accept and complete refuses its client.
    fn refuse_if_incomplete(&mut self, id: ConnectionId) {
        if self
            .connections
            .get(&id)
            .is_some_and(|connection| connection.phase == Phase::Accepted)
        {
            self.refuse(id, Vec::new());
        }
    }

    /// The last reference to a client communication port is gone: PORT_CLOSED, if a completed server end is there.
    fn close_client(&mut self, id: ObjectId, process: ProcessNo, closer: Tno) {
        let Some(connection_id) = self.ports.remove(&id).and_then(|port| port.connection()) else {
            return;
        };
        let Some(connection) = self.connections.get_mut(&connection_id) else {
            return;
        };
        connection.client_port = None;
        let client = connection.client_process;
        self.drop_bundles_of_client(connection_id, client);
        self.end_client(connection_id, process, closer);
        let Some(connection) = self.connections.get(&connection_id) else {
            return;
        };
        let port = connection.port;
        self.remove_if_dead(connection_id);
        self.free_receiving_if_unused(port);
    }

    /// The client's end of a connection sends nothing more: PORT_CLOSED, if a completed server end is there.
    pub(crate) fn end_client(&mut self, id: ConnectionId, process: ProcessNo, closer: Tno) {
        let created = self
            .processes
            .get(&process)
            .map(|process| process.create_time);
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.segment.close();
        lose_all(&connection.segment);
        if std::mem::replace(&mut connection.is_client_gone, true) {
            return;
        }
        let (port, source, context) = (connection.port, connection.source, connection.context);
        let is_noticed = connection.phase == Phase::Completed && connection.server_port.is_some();
        let request = (connection.phase == Phase::Pending).then_some(connection.message_id);
        if let Some(port) = self.ports.get_mut(&port).filter(|port| port.is_alpc)
            && let (Some(request), Some(receiving)) = (request, port.receiving_mut())
        {
            receiving.withdraw_request(request);
        }
        if is_noticed {
            let notice = Notice {
                message_type: PORT_CLOSED,
                subject: closer,
                context,
                source,
                view_size: 0,
                data: &created.unwrap_or_default().to_le_bytes(),
                id: None,
                body_len: 0,
                has_attributes: false,
            };
            self.post(port, &notice);
        }
        if let Some(connection) = self.connections.get(&id) {
            connection.inbox.wake_all();
        }
    }

    /// Removes a connection without ends; what it still has queued stays receivable.
    fn remove_if_dead(&mut self, id: ConnectionId) {
        let is_dead = self.connections.get(&id).is_some_and(|connection| {
            connection.client_port.is_none() && connection.server_port.is_none()
        });
        let Some(connection) = is_dead.then(|| self.connections.remove(&id)).flatten() else {
            return;
        };
        self.connecting.remove(id, &connection);
        self.release_views(&connection);
        self.drop_bundles(id);
        let is_drained = connection
            .segment
            .lane(Direction::ToServer)
            .map()
            .is_empty();
        if let Some(receiving) = self
            .ports
            .get_mut(&connection.port)
            .and_then(Port::receiving_mut)
        {
            if is_drained {
                receiving.sources.remove(&connection.source);
            } else {
                let lingering = Source::Lingering(Lingering {
                    segment: connection.segment.clone(),
                    context: connection.context,
                    is_kernel: false,
                    senders: connection.client_holders.clone(),
                });
                receiving.sources.insert(connection.source, lingering);
            }
        }
    }

    /// Queues a notice at a receiving port. A full queue loses it with one log line: its receiver stopped reading.
    pub(crate) fn post(&mut self, port: ObjectId, notice: &Notice<'_>) {
        let Some(receiving) = self.ports.get(&port).and_then(Port::receiving) else {
            return;
        };
        if receiving.system.post(&receiving.inbox, notice).is_err() {
            log::warn!(
                "port {port} has too many unread notices: type {} is lost",
                notice.message_type
            );
        }
    }

    /// The last copy of a lifetime descriptor was closed. If nobody announced it, its process may be dying; the kernel
    /// closes descriptors before it reports the death, and CLIENT_DIED precedes PORT_CLOSED (lpc §3.5).
    pub(crate) fn lifetime_hung_up(&mut self, number: u32) {
        let Some(lifetime) = self.lifetimes.get(&number) else {
            return;
        };
        let process = self
            .processes
            .get(&lifetime.process)
            .filter(|process| process.pidfd.is_some());
        if lifetime.closer != 0 || process.is_none() {
            self.lifetime_ended(number);
            return;
        }
        self.poll.remove(&lifetime.fd);
        self.fading.push((
            number,
            Instant::now() + Duration::from_millis(LIFETIME_GRACE_MS),
        ));
    }
}

pub(crate) fn lose_all(segment: &Segment) {
    rundown::lose_waits(&segment.lane(Direction::ToServer));
    rundown::lose_waits(&segment.lane(Direction::ToClient));
}
