//! What happens when a port loses its last reference, a thread or a process dies (lpc §3.1, §3.5, §3.6).

use std::time::{Duration, Instant};

use std::collections::{BTreeMap, BTreeSet};

use ntlpc_abi::NtStatus;
use ntlpc_proto::port::PortKind;
use ntlpc_shm::inbox::Inbox;
use ntlpc_shm::segment::{Direction, SELF_SOURCE, SYSTEM_SOURCE, Segment};
use ntlpc_shm::{SERVER, Tno, rundown};

use crate::connection::{ConnectionId, Phase};
use crate::limits::LIFETIME_GRACE_MS;
use crate::namespace::ObjectId;
use crate::notice::{CLIENT_DIED, Notice, PORT_CLOSED, SystemSource};
use crate::port::{Lingering, Port, Role, Source};
use crate::process::ProcessNo;
use crate::state::State;

impl State {
    /// Returns a thread of a process to name as the closer: a live one, else the last that died.
    pub(crate) fn last_thread(&self, process: ProcessNo) -> Tno {
        let process = self.processes.get(&process);
        process.map_or(0, |process| {
            process
                .threads
                .last()
                .copied()
                .unwrap_or(process.last_thread)
        })
    }

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
        // A port is no directory, so its name can always be removed.
        let _ = self.names.remove(id);
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
        connection.segment.client_inbox().wake_all();
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
        let created = self
            .processes
            .get(&process)
            .map(|process| process.create_time);
        let Some(connection) = self.connections.get_mut(&connection_id) else {
            return;
        };
        connection.client_port = None;
        connection.segment.close();
        let (port, source, context) = (connection.port, connection.source, connection.context);
        let is_noticed = connection.phase == Phase::Completed && connection.server_port.is_some();
        lose_all(&connection.segment);
        if is_noticed {
            let notice = Notice {
                message_type: PORT_CLOSED,
                subject: closer,
                context,
                source,
                view_size: 0,
                data: &created.unwrap_or_default().to_le_bytes(),
            };
            self.post(port, &notice);
        }
        if let Some(connection) = self.connections.get(&connection_id) {
            connection.inbox.wake_all();
        }
        self.remove_if_dead(connection_id);
        self.free_receiving_if_unused(port);
    }

    /// Removes a connection without ends; what it still has queued stays receivable.
    fn remove_if_dead(&mut self, id: ConnectionId) {
        let is_dead = self.connections.get(&id).is_some_and(|connection| {
            connection.client_port.is_none() && connection.server_port.is_none()
        });
        let Some(connection) = is_dead.then(|| self.connections.remove(&id)).flatten() else {
            return;
        };
        self.release_views(&connection);
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
    fn post(&mut self, port: ObjectId, notice: &Notice<'_>) {
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

    /// Sends a CLIENT_DIED the way a datagram on `port` would go (lpc §3.6).
    fn post_client_died(&mut self, port: ObjectId, subject: Tno, create_time: u64) {
        let data = create_time.to_le_bytes();
        let notice = Notice {
            message_type: CLIENT_DIED,
            subject,
            context: 0,
            source: 0,
            view_size: 0,
            data: &data,
        };
        let Some(entry) = self.ports.get(&port) else {
            return;
        };
        match (&entry.role, entry.kind) {
            (Role::Receiving(_), _) => self.post(port, &notice),
            (Role::End(id), PortKind::Client) => {
                if let Some(connection) =
                    self.connections.get(id).filter(|c| c.server_port.is_some())
                {
                    let (port, context) = (connection.port, connection.context);
                    self.post(port, &Notice { context, ..notice });
                }
            }
            (Role::End(id), _) => {
                let Some(connection) = self
                    .connections
                    .get_mut(id)
                    .filter(|c| c.client_port.is_some())
                else {
                    return;
                };
                if connection.client_system.is_none() {
                    connection.client_system = SystemSource::new().ok();
                }
                if let Some(system) = &connection.client_system {
                    let posted = system.post_numbered(
                        &connection.inbox,
                        &connection.segment.client_inbox(),
                        &notice,
                    );
                    if posted.is_err() {
                        log::warn!(
                            "port {port} has too many unread notices: type {CLIENT_DIED} is lost"
                        );
                    }
                }
            }
        }
    }

    /// Runs a thread down: notices, its ClientId, everything it left half done in shared memory, its references.
    pub(crate) fn run_down_thread(&mut self, tno: Tno) {
        let Some(thread) = self.threads.get(tno) else {
            return;
        };
        let (process, create_time) = (thread.process, thread.create_time);
        let registered: Vec<ObjectId> = thread.terminate_ports.iter().rev().copied().collect();
        for &port in &registered {
            self.post_client_died(port, tno, create_time);
        }
        let exception = self
            .processes
            .get(&process)
            .and_then(|process| process.exception.as_ref());
        if let (true, Some(exception)) = (registered.is_empty(), exception) {
            let port = exception.port;
            self.post_client_died(port, tno, create_time);
        }
        self.threads.end(tno);
        self.reap(process, tno);
        if let Some(process) = self.processes.get_mut(&process) {
            process.threads.remove(&tno);
            process.last_thread = tno;
        }
        let pending: Vec<ObjectId> = self
            .connections
            .values()
            .filter(|connection| {
                connection.client_thread == tno
                    && matches!(connection.phase, Phase::Pending | Phase::Accepted)
            })
            .filter_map(|connection| connection.client_port)
            .collect();
        for port in pending {
            self.drop_hold(process, port, tno);
        }
        for port in registered {
            self.drop_reference(port, process, tno);
        }
    }

    /// Cleans up after a dead thread in all shared memory its process could touch.
    fn reap(&self, process: ProcessNo, dead: Tno) {
        let Some(process) = self.processes.get(&process) else {
            return;
        };
        // A process that serves a port holds it and the server end of each connection: each is cleaned up once, and each
        // inbox kicked once, since a kick wakes every receiver.
        let mut connections = BTreeSet::new();
        let mut inboxes = BTreeMap::new();
        for port in process.ports.iter().filter_map(|id| self.ports.get(id)) {
            let receiving = match &port.role {
                Role::End(id) => {
                    connections.insert(*id);
                    continue;
                }
                Role::Receiving(receiving) => receiving,
            };
            inboxes.insert(port.id, &receiving.inbox);
            let system = receiving.system.segment().lane(Direction::ToServer);
            rundown::reap(&system, &receiving.inbox, SYSTEM_SOURCE, dead, false);
            for (&source, entry) in &receiving.sources {
                match entry {
                    Source::Connection(id) => drop(connections.insert(*id)),
                    Source::Itself(segment)
                    | Source::Lingering(Lingering { segment, .. })
                    | Source::Exception(_, segment) => {
                        reap_segment(segment, &receiving.inbox, source, dead);
                    }
                }
            }
        }
        if let Some((port, source)) = process
            .exception
            .as_ref()
            .and_then(|exception| exception.source)
            && let Some(receiving) = self.ports.get(&port).and_then(Port::receiving)
            && let Some(Source::Exception(_, segment)) = receiving.sources.get(&source)
        {
            inboxes.insert(port, &receiving.inbox);
            reap_segment(segment, &receiving.inbox, source, dead);
        }
        for connection in connections.iter().filter_map(|id| self.connections.get(id)) {
            let (segment, inbox) = (&connection.segment, &connection.inbox);
            inboxes.insert(connection.port, inbox);
            reap_segment(segment, inbox, connection.source, dead);
        }
        inboxes.values().for_each(|inbox| inbox.kick(dead));
    }

    /// Runs a dead process down: its threads, then its ports, so that CLIENT_DIED precedes PORT_CLOSED (lpc §3.5).
    pub(crate) fn run_down_process(&mut self, number: ProcessNo) {
        self.dying.retain(|&(dying, _)| dying != number);
        let Some(process) = self.processes.get(&number) else {
            return;
        };
        log::debug!("process {number} ({}) is gone", process.nt_pid);
        for tno in process.threads.clone() {
            self.run_down_thread(tno);
        }
        let closer = self.last_thread(number);
        let ports = self
            .processes
            .get(&number)
            .map(|process| process.ports.clone())
            .unwrap_or_default();
        for port in ports {
            let holder = self
                .ports
                .get(&port)
                .and_then(|port| port.holders.get(&number));
            let lifetime = holder.and_then(|holder| holder.lifetime.or(holder.shared));
            match lifetime.and_then(|lifetime| self.lifetimes.get_mut(&lifetime)) {
                // Another process may have a copy of the descriptor: its last close ends the hold.
                Some(entry) => {
                    entry.closer = closer;
                    if let Some(lifetime) = lifetime
                        && self.fading.iter().any(|&(fading, _)| fading == lifetime)
                    {
                        self.lifetime_ended(lifetime);
                    }
                }
                None => {
                    if let Some(holder) = self
                        .ports
                        .get_mut(&port)
                        .and_then(|port| port.holders.get_mut(&number))
                    {
                        holder.granted = 0;
                    }
                    self.drop_hold(number, port, closer);
                }
            }
        }
        if let Some(exception) = self
            .processes
            .get_mut(&number)
            .and_then(|process| process.exception.take())
        {
            self.close_exception_port(number, &exception, closer);
        }
        self.run_down_objects(number);
        self.processes.remove(&number);
    }

    /// The server ends: every wait for an answer that cannot come any more is over, as if every process had died.
    pub(crate) fn run_down_everything(&mut self) {
        let processes: Vec<ProcessNo> = self.processes.keys().copied().collect();
        for process in processes {
            self.run_down_process(process);
        }
        // What is held by lifetime descriptors outlives its process.
        let lifetimes: Vec<u32> = self.lifetimes.keys().copied().collect();
        for lifetime in lifetimes {
            self.lifetime_ended(lifetime);
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

    /// Ends what a lifetime descriptor held, in every process that shared it.
    pub(crate) fn lifetime_ended(&mut self, number: u32) {
        self.fading.retain(|&(fading, _)| fading != number);
        let Some(lifetime) = self.lifetimes.remove(&number) else {
            return;
        };
        let (process, port) = (lifetime.process, lifetime.port);
        let closer = if lifetime.closer == 0 {
            self.last_thread(process)
        } else {
            lifetime.closer
        };
        let holders = self.ports.get(&port).map(|port| &port.holders);
        let sharing: Vec<ProcessNo> = holders
            .into_iter()
            .flatten()
            .filter(|(_, holder)| holder.lifetime == Some(number) || holder.shared == Some(number))
            .map(|(&process, _)| process)
            .collect();
        for process in sharing {
            self.drop_hold(process, port, closer);
        }
    }

    /// Takes a thread's registration for a CLIENT_DIED (lpc §2.18).
    pub(crate) fn register_terminate_port(
        &mut self,
        caller: ProcessNo,
        tno: Tno,
        port: ObjectId,
    ) -> Result<(), NtStatus> {
        self.held_port(caller, port)?;
        self.own_thread(caller, tno)?;
        let thread = self.threads.get_mut(tno).ok_or(NtStatus::INVALID_CID)?;
        if thread.terminate_ports.len() >= crate::limits::MAX_TERMINATE_PORTS {
            return Err(NtStatus::INSUFFICIENT_RESOURCES);
        }
        thread.terminate_ports.push(port);
        if let Some(port) = self.ports.get_mut(&port) {
            port.references += 1;
        }
        Ok(())
    }
}

/// Cleans up both lanes of a segment and the client's inbox; the caller kicks `inbox`.
fn reap_segment(segment: &Segment, inbox: &Inbox, source: u32, dead: Tno) {
    let is_closed = segment.is_closed();
    let client_inbox = segment.client_inbox();
    rundown::reap(
        &segment.lane(Direction::ToServer),
        inbox,
        source,
        dead,
        is_closed,
    );
    rundown::reap(
        &segment.lane(Direction::ToClient),
        &client_inbox,
        SELF_SOURCE,
        dead,
        is_closed,
    );
    client_inbox.kick(dead);
    rundown::kick_waits(&segment.lane(Direction::ToServer));
    rundown::kick_waits(&segment.lane(Direction::ToClient));
}

fn lose_all(segment: &Segment) {
    rundown::lose_waits(&segment.lane(Direction::ToServer));
    rundown::lose_waits(&segment.lane(Direction::ToClient));
}
