//! What happens when a thread or a process dies, and what the others hear of it (lpc §3.5, §3.6).

use std::collections::{BTreeMap, BTreeSet};

use ntlpc_abi::NtStatus;
use ntlpc_proto::port::PortKind;
use ntlpc_shm::inbox::Inbox;
use ntlpc_shm::segment::{Direction, SELF_SOURCE, SYSTEM_SOURCE, Segment};
use ntlpc_shm::{Tno, rundown};

use crate::namespace::ObjectId;
use crate::notice::{CLIENT_DIED, Notice};
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
            id: None,
            body_len: 0,
            has_attributes: false,
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
                connection.post_to_client(&notice);
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
            .connecting
            .of_thread(tno)
            .filter_map(|id| {
                let connection = self.connections.get(&id)?;
                // An asynchronous connect is not its thread's (alpc §2.3).
                let is_its_own = connection.waits || !connection.is_alpc;
                connection.client_port.filter(|_| is_its_own)
            })
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
        self.drop_attachments_of(number);
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
