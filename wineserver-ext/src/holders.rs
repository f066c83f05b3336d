//! Who holds a port: one process, several, or whoever has its lifetime descriptor (lpc §3.1, §3.10).

use std::os::fd::OwnedFd;
use std::sync::Arc;

use ntlpc_abi::NtStatus;
use ntlpc_proto::port::{
    AdoptPort, AdoptPortReply, ClosePort, ClosePortReply, GrantPort, GrantPortReply, OpenLifetime,
    OpenLifetimeReply, PortKind,
};
use ntlpc_shm::segment::SYSTEM_SOURCE;

use crate::answer::{OutFd, Outcome, answer, answer_with, no_room};
use crate::namespace::ObjectId;
use crate::port::{Holder, Role};
use crate::process::ProcessNo;
use crate::state::State;

impl State {
    /// Makes the hold of a process on a port that is being created, with its lifetime descriptor if it wants one.
    pub(crate) fn new_holder(
        &mut self,
        process: ProcessNo,
        port: ObjectId,
        fds: &mut Vec<OutFd>,
    ) -> Result<Holder, NtStatus> {
        let mut holder = Holder {
            is_held: true,
            ..Holder::default()
        };
        if self.process(process)?.wants_lifetime_fds {
            let (number, fd): (u32, OwnedFd) = self
                .make_lifetime(process, port)
                .map_err(|error| no_room("cannot make a lifetime pipe", &error))?;
            holder.lifetime = Some(number);
            fds.push(OutFd::Other(Arc::new(fd)));
        }
        Ok(holder)
    }

    /// Makes the lifetime descriptor of a hold that has none yet: its port is about to cross to another process.
    pub fn open_lifetime(
        &mut self,
        caller: ProcessNo,
        request: OpenLifetime,
    ) -> Outcome<OpenLifetime> {
        let holder = self.held_port(caller, request.port)?.holders.get(&caller);
        if holder.is_none_or(|holder| holder.lifetime.or(holder.shared).is_some()) {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let (number, fd) = self
            .make_lifetime(caller, request.port)
            .map_err(|error| no_room("cannot make a lifetime pipe", &error))?;
        let port = self.ports.get_mut(&request.port);
        if let Some(holder) = port.and_then(|port| port.holders.get_mut(&caller)) {
            holder.lifetime = Some(number);
        }
        answer_with(OpenLifetimeReply {}, vec![OutFd::Other(Arc::new(fd))])
    }

    /// Drops the caller's hold; the rest is rundown.
    pub fn close_port(&mut self, caller: ProcessNo, request: ClosePort) -> Outcome<ClosePort> {
        self.held_port(caller, request.port)?;
        // The closing thread may be one the host does not register, as in a handle closed by another process.
        let closer = if self.own_thread(caller, request.tno).is_ok() {
            request.tno
        } else {
            self.last_thread(caller)
        };
        // Another process may have a copy of a lifetime descriptor: its last close ends the hold.
        let holder = self
            .ports
            .get(&request.port)
            .and_then(|port| port.holders.get(&caller));
        let lifetime = holder.and_then(|holder| holder.lifetime.or(holder.shared));
        match lifetime.and_then(|number| Some((number, self.lifetimes.get_mut(&number)?))) {
            Some((number, lifetime)) => {
                lifetime.closer = closer;
                if lifetime.has_hung_up() {
                    self.lifetime_ended(number);
                }
            }
            None => self.drop_hold(caller, request.port, closer),
        }
        answer(ClosePortReply {})
    }

    /// Gives another process a reference it will take over.
    pub fn grant_port(&mut self, caller: ProcessNo, request: GrantPort) -> Outcome<GrantPort> {
        self.held_port(caller, request.port)?;
        self.process_mut(request.process)
            .map_err(|_| NtStatus::INVALID_PARAMETER)?
            .ports
            .insert(request.port);
        if let Some(port) = self.ports.get_mut(&request.port) {
            let holder = port.holders.entry(request.process).or_default();
            holder.granted = holder
                .granted
                .checked_add(1)
                .ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
        }
        answer(GrantPortReply {})
    }

    /// Takes over a granted reference, or the one whose lifetime descriptor came along, with everything needed to use the
    /// port.
    pub fn adopt_port(
        &mut self,
        caller: ProcessNo,
        request: AdoptPort,
        fds: Vec<OwnedFd>,
    ) -> Outcome<AdoptPort> {
        let shared = match fds.first() {
            Some(fd) if request.port == 0 => Some(self.lifetime_of(fd)?),
            _ => None,
        };
        let id = shared.map_or(request.port, |(_, port)| port);
        let port = self.ports.get(&id).ok_or(NtStatus::INVALID_HANDLE)?;
        let holder = port.holders.get(&caller);
        if shared.is_none() && holder.is_none_or(|holder| holder.granted == 0) {
            return Err(NtStatus::INVALID_HANDLE);
        }
        let needs_lifetime =
            shared.is_none() && holder.is_some_and(|holder| holder.lifetime.is_none());
        let mut reply = AdoptPortReply {
            port: id,
            kind: port.kind,
            is_waitable: port.is_waitable,
            is_alpc: port.is_alpc,
            max_message: port.max_message,
            connection_port: port.id,
            source: SYSTEM_SOURCE,
            context: 0,
            alpc: port.alpc.clone(),
        };
        let mut fds = match &port.role {
            Role::Receiving(receiving) => {
                vec![
                    OutFd::Memory(Arc::clone(receiving.inbox.mapping())),
                    receiving.system.out_fd(),
                ]
            }
            Role::End(id) => {
                let connection = self
                    .connections
                    .get(id)
                    .ok_or(NtStatus::PORT_DISCONNECTED)?;
                reply.connection_port = connection.port;
                reply.source = connection.source;
                reply.context = connection.context;
                vec![
                    OutFd::Memory(Arc::clone(connection.inbox.mapping())),
                    OutFd::Memory(Arc::clone(connection.segment.mapping())),
                ]
            }
        };
        let lifetime = if needs_lifetime {
            self.new_holder(caller, id, &mut fds)?.lifetime
        } else {
            None
        };
        self.note_holder(caller, id);
        if let Some(port) = self.ports.get_mut(&id) {
            let holder = port.holders.entry(caller).or_default();
            holder.granted = holder.granted.saturating_sub(u32::from(shared.is_none()));
            holder.is_held = true;
            holder.lifetime = holder.lifetime.or(lifetime);
            if holder.lifetime.is_none() {
                holder.shared = shared.map(|(lifetime, _)| lifetime);
            }
        }
        answer_with(reply, fds)
    }

    /// Remembers that `process` can send on a port from now on.
    fn note_holder(&mut self, process: ProcessNo, id: ObjectId) {
        if let Ok(process) = self.process_mut(process) {
            process.ports.insert(id);
        }
        let Some(port) = self.ports.get_mut(&id) else {
            return;
        };
        port.past_holders.insert(process);
        let (kind, connection) = (port.kind, port.connection());
        if let Some(connection) = connection.and_then(|id| self.connections.get_mut(&id)) {
            match kind {
                PortKind::Server => connection.server_holders.insert(process),
                _ => connection.client_holders.insert(process),
            };
        }
    }

    /// Finds the lifetime pipe a descriptor belongs to, and its port: both ends of a pipe are one inode.
    fn lifetime_of(&self, fd: &OwnedFd) -> Result<(u32, ObjectId), NtStatus> {
        let inode = |fd: &OwnedFd| {
            rustix::fs::fstat(fd)
                .map(|stat| (stat.st_dev, stat.st_ino))
                .ok()
        };
        let wanted = inode(fd).ok_or(NtStatus::INVALID_HANDLE)?;
        let found = self
            .lifetimes
            .iter()
            .find(|(_, lifetime)| inode(&lifetime.fd) == Some(wanted));
        found
            .map(|(&number, lifetime)| (number, lifetime.port))
            .ok_or(NtStatus::OBJECT_TYPE_MISMATCH)
    }
}
