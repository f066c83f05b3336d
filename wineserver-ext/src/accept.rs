//! The listener's half of a handshake: accepting and completing (lpc §2.6–2.7, alpc §2.4b).

use std::os::fd::OwnedFd;
use std::sync::Arc;

use ntlpc_abi::NtStatus;
use ntlpc_proto::port::{
    Accept, AcceptFailed, AcceptFailedReply, AcceptReply, Complete, CompleteReply, PortKind,
};
use ntlpc_shm::segment::Direction;

use crate::answer::{OutFd, Outcome, answer, answer_with};
use crate::connection::{ConnectionId, Phase, end_attributes};
use crate::namespace::ObjectId;
use crate::port::{NewEnd, Port};
use crate::process::ProcessNo;
use crate::state::State;
use crate::views::SharedView;

impl State {
    /// Accepts or refuses a connection request (lpc §2.6 steps 4–6 and after).
    pub fn accept(
        &mut self,
        caller: ProcessNo,
        request: Accept,
        fds: Vec<OwnedFd>,
    ) -> Outcome<Accept> {
        let id = match request.port {
            0 => self.classic_request(caller, &request)?,
            port => self.alpc_request(caller, port, request.message_id)?,
        };
        let gone = NtStatus::REPLY_MESSAGE_MISMATCH;
        let port = self.connections.get(&id).map(|connection| connection.port);
        let port = port.and_then(|port| self.ports.get(&port)).ok_or(gone)?;
        let maxima = (port.max_message, port.max_info);
        // From here on the request is consumed: a failure refuses the client.
        let outcome = match request.is_accepted {
            true => self.accept_pending(caller, id, maxima, request, fds),
            false => {
                self.refuse(id, request.info.0);
                return answer(AcceptReply::default());
            }
        };
        if outcome.is_err() {
            self.refuse(id, Vec::new());
        }
        outcome
    }

    /// Finds the pending request a classic accept names (lpc §2.6 step 4).
    fn classic_request(
        &mut self,
        caller: ProcessNo,
        request: &Accept,
    ) -> Result<ConnectionId, NtStatus> {
        self.bury_if_dead(request.pid, request.tid);
        let client_thread = self.threads.by_client_id(request.pid, request.tid)?.tno;
        let is_asked_for = |id: &ConnectionId| {
            self.connections.get(id).is_some_and(|connection| {
                let port = self.ports.get(&connection.port);
                connection.message_id == request.message_id
                    && connection.phase == Phase::Pending
                    && port.is_some_and(|port| port.creator == caller)
            })
        };
        let mut pending = self.connecting.of_thread(client_thread);
        pending
            .find(is_asked_for)
            .ok_or(NtStatus::REPLY_MESSAGE_MISMATCH)
    }

    /// Finds the pending request of a connection port by its id alone (alpc §2.4b).
    fn alpc_request(
        &mut self,
        caller: ProcessNo,
        port: ObjectId,
        message_id: u32,
    ) -> Result<ConnectionId, NtStatus> {
        self.held_port(caller, port)?;
        let find = |state: &State| {
            let id = state.connecting.asked_for_by(port, message_id)?;
            let connection = state.connections.get(&id)?;
            (connection.phase == Phase::Pending).then_some((id, connection.client_thread))
        };
        if let Some(client) = find(self).and_then(|(_, client)| self.threads.get(client)) {
            let (pid, tid) = (client.nt_pid, client.nt_tid);
            self.bury_if_dead(pid, tid);
        }
        if let Some((id, _)) = find(self).filter(|&(id, _)| {
            self.connections
                .get(&id)
                .is_some_and(|connection| !connection.is_client_gone)
        }) {
            return Ok(id);
        }
        let receiving = self.ports.get_mut(&port).and_then(Port::receiving_mut);
        let receiving = receiving.ok_or(NtStatus::INVALID_PARAMETER)?;
        Err(match receiving.take_withdrawn(message_id) {
            true => NtStatus::REQUEST_CANCELED,
            false => NtStatus::INVALID_MESSAGE,
        })
    }

    fn accept_pending(
        &mut self,
        caller: ProcessNo,
        id: ConnectionId,
        maxima: (u32, u32),
        request: Accept,
        fds: Vec<OwnedFd>,
    ) -> Outcome<Accept> {
        request.view_status.ok()?;
        self.own_thread(caller, request.tno)?;
        self.check_port_room()?;
        let mut server_view = SharedView::new(request.server_view, fds)?;
        let gone = NtStatus::REPLY_MESSAGE_MISMATCH;
        let (client_process, client_size) = {
            let connection = self.connections.get(&id).ok_or(gone)?;
            (
                connection.client_process,
                connection.client_view.as_ref().map(|view| view.size),
            )
        };
        let client_base = match client_size {
            Some(size) => self.place_view(caller, size)?,
            None => 0,
        };
        let remote_size = server_view.as_ref().map(|view| view.size);
        let connection = self.connections.get_mut(&id).ok_or(gone)?;
        let mut out = vec![OutFd::Memory(Arc::clone(connection.segment.mapping()))];
        // Set before anything else can fail: whatever is placed is given back with the connection.
        connection.server_process = Some(caller);
        if let Some(view) = &mut connection.client_view {
            view.remote_base = client_base;
            out.push(OutFd::Other(Arc::clone(&view.section)));
        }
        let server_base = match remote_size {
            Some(size) => self.place_view(client_process, size)?,
            None => 0,
        };
        let client_pid = self.linux_pid(client_process).unwrap_or(0);
        let connection = self.connections.get_mut(&id).ok_or(gone)?;
        if let Some(view) = &mut server_view {
            view.remote_base = server_base;
        }
        connection.server_view = server_view;
        let server_port = self.names.allocate_id();
        let holder = self.new_holder(caller, server_port, &mut out)?;
        self.bind_bundles(caller, &request.bundles, id);
        let connection = self.connections.get_mut(&id).ok_or(gone)?;
        connection.phase = Phase::Accepted;
        connection.acceptor = request.tno;
        connection.answer = request.message;
        let attributes = end_attributes(request.port != 0, &request.alpc);
        connection
            .segment
            .set_attributes(Direction::ToServer, attributes);
        connection.server_port = Some(server_port);
        connection.server_holders.insert(caller);
        connection.context = request.context;
        connection.set_info(request.info.0);
        if request.port != 0 {
            self.connecting.remove(id, connection);
            connection.complete();
        }
        let reply = AcceptReply {
            port: server_port,
            connection_port: connection.port,
            source: connection.source,
            max_message: maxima.0,
            client_process,
            client_pid,
            client_view: connection.client_view.as_ref().map(SharedView::remote),
            server_view_remote_base: server_base,
        };
        let end = NewEnd {
            id: server_port,
            kind: PortKind::Server,
            is_alpc: request.port != 0,
            connection: id,
            holder,
        };
        self.insert_end(caller, request.tno, end, maxima);
        answer_with(reply, out)
    }

    /// Refuses a connection whose acceptor could not finish.
    pub fn accept_failed(
        &mut self,
        caller: ProcessNo,
        request: AcceptFailed,
    ) -> Outcome<AcceptFailed> {
        let id = self.own_server_connection(caller, request.port)?;
        self.refuse(id, Vec::new());
        answer(AcceptFailedReply {})
    }

    pub(crate) fn own_server_connection(
        &self,
        caller: ProcessNo,
        port: ObjectId,
    ) -> Result<ConnectionId, NtStatus> {
        let held = self.held_port(caller, port)?;
        held.connection()
            .filter(|_| held.kind == PortKind::Server)
            .ok_or(NtStatus::INVALID_PORT_HANDLE)
    }

    /// Completes a connection (lpc §2.7).
    pub fn complete(&mut self, caller: ProcessNo, request: Complete) -> Outcome<Complete> {
        let id = self.own_server_connection(caller, request.port)?;
        match self.connections.get_mut(&id) {
            Some(connection) if connection.phase == Phase::Completed => {
                Err(NtStatus::INVALID_PARAMETER)
            }
            Some(connection) => {
                if connection.phase == Phase::Accepted {
                    self.connecting.remove(id, connection);
                    connection.complete();
                }
                answer(CompleteReply {})
            }
            // The client is gone: nobody is woken.
            None => answer(CompleteReply {}),
        }
    }
}
