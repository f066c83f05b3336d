//! Connections: the handshake from NtConnectPort to NtCompleteConnectPort (lpc §2.3–2.7, §3.3).

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ntlpc_abi::{NtStatus, limits};
use ntlpc_proto::port::{
    Accept, AcceptFailed, AcceptFailedReply, AcceptReply, Complete, CompleteReply, Connect,
    ConnectAbort, ConnectAbortReply, ConnectReply, ConnectResult, ConnectResultReply, PortKind,
};
use ntlpc_proto::{Bytes, Name};
use ntlpc_shm::Tno;
use ntlpc_shm::inbox::Inbox;
use ntlpc_shm::segment::Segment;

use crate::answer::{OutFd, Outcome, answer, answer_with, no_room};
use crate::namespace::{ObjectId, ObjectKind};
use crate::notice::{CONNECTION_REQUEST, Notice, SystemSource};
use crate::port::{NewEnd, Source};
use crate::process::ProcessNo;
use crate::security::{ImpersonationLevel, PORT_CONNECT, PORT_MAPPING, Sid, Token};
use crate::state::State;
use crate::views::SharedView;

/// Number of a connection; never given again.
pub type ConnectionId = u64;

/// How far a handshake came (lpc §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The request is queued or received, and not answered.
    Pending,
    /// Accepted and not completed.
    Accepted,
    /// Both ends have their ports.
    Completed,
    /// Refused, or the other side went away.
    Refused,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// The connection port.
    pub port: ObjectId,
    /// Source number in its inbox.
    pub source: u32,
    /// Shared memory.
    pub segment: Segment,
    /// Inbox of the connection port.
    pub inbox: Inbox,
    /// How far the handshake came.
    pub phase: Phase,
    /// Client communication port, while it exists.
    pub client_port: Option<ObjectId>,
    /// Server communication port, while it exists.
    pub server_port: Option<ObjectId>,
    /// Process that connected.
    pub client_process: ProcessNo,
    /// Process that accepted.
    pub server_process: Option<ProcessNo>,
    /// Every process that ever held the client's port: its messages may arrive after its death.
    pub client_holders: BTreeSet<ProcessNo>,
    /// The same for the server's port.
    pub server_holders: BTreeSet<ProcessNo>,
    /// Connecting thread.
    pub client_thread: Tno,
    /// MessageId of the request.
    pub message_id: u32,
    /// PortContext of the server's port.
    pub context: u64,
    /// What the server may become.
    pub level: ImpersonationLevel,
    /// Whether only what is enabled is seen.
    pub is_effective_only: bool,
    /// Token captured at connect; `None` for dynamic tracking.
    pub static_token: Option<Token>,
    /// Connection information for the client.
    pub info: Vec<u8>,
    /// The most of it that the client takes; `None` = all.
    pub info_room: Option<usize>,
    /// The client's section.
    pub client_view: Option<SharedView>,
    /// The server's section.
    pub server_view: Option<SharedView>,
    /// The server's own messages to the client.
    pub client_system: Option<SystemSource>,
}

impl Connection {
    fn set_info(&mut self, mut info: Vec<u8>) {
        if let Some(room) = self.info_room {
            info.truncate(room);
        }
        self.info = info;
    }
}

impl State {
    /// Starts a connection (lpc §2.3 steps 8–18).
    pub fn connect(
        &mut self,
        caller: ProcessNo,
        request: Connect,
        fds: Vec<OwnedFd>,
    ) -> Outcome<Connect> {
        self.own_thread(caller, request.tno)?;
        // A malformed SID is found before the name is looked up (lpc §2.4 step 6).
        let required_sid = match request.required_sid.0.as_slice() {
            [] => None,
            bytes => Some(Sid::parse(bytes)?.canonical(self.owner_uid)),
        };
        let token = self.effective_token(caller, request.tno, &request.token.0)?;
        let id = self.find_connection_port(&request.name, &token)?;
        let port = self.ports.get(&id).ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        let receiving = port.receiving().ok_or(NtStatus::INVALID_PORT_HANDLE)?;
        if required_sid.is_some_and(|sid| sid != receiving.server_sid) {
            return Err(NtStatus::SERVER_SID_MISMATCH);
        }
        let level = ImpersonationLevel::from_raw(request.qos.level)?;
        let static_token = match request.qos.is_dynamic {
            true => None,
            false => Some(token.impersonation(level, request.qos.is_effective_only)?),
        };
        request.view_status.ok()?;
        self.check_port_room()?;
        let (max_message, max_info, creator) = (port.max_message, port.max_info, port.creator);
        let mut info = request.info.0;
        if !request.is_alpc {
            // Silently cut (lpc §2.3 step 16).
            info.truncate(limits::max_connection_info(self.process(caller)?.width));
        }
        // The client's buffer takes as much as it sent (lpc#84); ALPC has no such rule.
        let info_room = (!request.is_alpc).then_some(info.len());
        let client_view = SharedView::new(request.view, fds)?;
        let segment =
            Segment::create().map_err(|error| no_room("cannot create a segment", &error))?;
        let inbox = receiving.inbox.clone();
        let connection_id = self.allocate_connection_id();
        let client_port = self.names.allocate_id();
        let mut out = vec![
            OutFd::Memory(Arc::clone(segment.mapping())),
            OutFd::Memory(Arc::clone(inbox.mapping())),
        ];
        let holder = self.new_holder(caller, client_port, &mut out)?;
        let receiving = self
            .ports
            .get_mut(&id)
            .and_then(|port| port.receiving_mut())
            .ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        let source = receiving.allocate_source()?;
        let notice = Notice {
            message_type: CONNECTION_REQUEST,
            subject: request.tno,
            context: 0,
            source,
            view_size: client_view.as_ref().map_or(0, |view| view.size),
            data: &info,
        };
        let message_id = receiving
            .system
            .post(&receiving.inbox, &notice)
            .map_err(|_| NtStatus::NO_MEMORY)?;
        receiving
            .sources
            .insert(source, Source::Connection(connection_id));
        let connection = Connection {
            port: id,
            source,
            segment,
            inbox,
            phase: Phase::Pending,
            client_port: Some(client_port),
            server_port: None,
            client_process: caller,
            server_process: None,
            client_holders: BTreeSet::from([caller]),
            server_holders: BTreeSet::new(),
            client_thread: request.tno,
            message_id,
            context: 0,
            level,
            is_effective_only: request.qos.is_effective_only,
            static_token,
            info: Vec::new(),
            info_room,
            client_view,
            server_view: None,
            client_system: None,
        };
        self.connections.insert(connection_id, connection);
        let end = NewEnd {
            id: client_port,
            kind: PortKind::Client,
            connection: connection_id,
            holder,
        };
        self.insert_end(caller, request.tno, end, (max_message, max_info));
        let reply = ConnectReply {
            port: client_port,
            source,
            message_id,
            max_message,
            server_process: creator,
        };
        answer_with(reply, out)
    }

    /// Looks a connection port up by name and checks that `token` may connect (lpc §2.3 steps 8–11).
    fn find_connection_port(&self, name: &Name, token: &Token) -> Result<ObjectId, NtStatus> {
        // Case-sensitive on every component: lpc §3.8.
        let found = self.names.open(&name.0, None, 0)?;
        if !matches!(found.kind, ObjectKind::Port | ObjectKind::WaitablePort) {
            return Err(NtStatus::OBJECT_TYPE_MISMATCH);
        }
        if let Some(security) = self.names.security(found.id) {
            security.check(token, PORT_CONNECT, PORT_MAPPING)?;
        }
        Ok(found.id)
    }

    /// Returns the connection whose client port `caller` holds.
    fn own_client_connection(
        &self,
        caller: ProcessNo,
        port: ObjectId,
    ) -> Result<ConnectionId, NtStatus> {
        let held = self.held_port(caller, port)?;
        held.connection()
            .filter(|_| held.kind == PortKind::Client)
            .ok_or(NtStatus::INVALID_PORT_HANDLE)
    }

    /// Tells the client what became of its request.
    pub fn connect_result(
        &mut self,
        caller: ProcessNo,
        request: ConnectResult,
    ) -> Outcome<ConnectResult> {
        let id = self.own_client_connection(caller, request.port)?;
        let connection = self
            .connections
            .get_mut(&id)
            .ok_or(NtStatus::PORT_CONNECTION_REFUSED)?;
        let info = match connection.phase {
            Phase::Pending | Phase::Accepted => Bytes::default(),
            Phase::Refused | Phase::Completed => Bytes(std::mem::take(&mut connection.info)),
        };
        let (status, client_view_remote_base, server_view, fds) = match connection.phase {
            Phase::Pending | Phase::Accepted => (NtStatus::PENDING, 0, None, Vec::new()),
            Phase::Refused => (NtStatus::PORT_CONNECTION_REFUSED, 0, None, Vec::new()),
            Phase::Completed => (
                NtStatus::SUCCESS,
                connection
                    .client_view
                    .as_ref()
                    .map_or(0, |view| view.remote_base),
                connection.server_view.as_ref().map(SharedView::remote),
                connection
                    .server_view
                    .iter()
                    .map(|view| OutFd::Other(Arc::clone(&view.section)))
                    .collect(),
            ),
        };
        let client_thread = connection.client_thread;
        if status == NtStatus::PORT_CONNECTION_REFUSED {
            self.drop_hold(caller, request.port, client_thread);
        }
        answer_with(
            ConnectResultReply {
                status,
                info,
                client_view_remote_base,
                server_view,
            },
            fds,
        )
    }

    /// Withdraws a connection request.
    pub fn connect_abort(
        &mut self,
        caller: ProcessNo,
        request: ConnectAbort,
    ) -> Outcome<ConnectAbort> {
        let id = self.own_client_connection(caller, request.port)?;
        let closer = self
            .connections
            .get(&id)
            .map_or(0, |connection| connection.client_thread);
        self.drop_hold(caller, request.port, closer);
        answer(ConnectAbortReply {})
    }

    /// Accepts or refuses a connection request (lpc §2.6 steps 4–6 and after).
    pub fn accept(
        &mut self,
        caller: ProcessNo,
        request: Accept,
        fds: Vec<OwnedFd>,
    ) -> Outcome<Accept> {
        self.bury_if_dead(request.pid, request.tid);
        let client_thread = self.threads.by_client_id(request.pid, request.tid)?.tno;
        let pending = self.connections.iter().find(|(_, connection)| {
            connection.client_thread == client_thread
                && connection.message_id == request.message_id
                && connection.phase == Phase::Pending
        });
        let (&id, connection) = pending.ok_or(NtStatus::REPLY_MESSAGE_MISMATCH)?;
        let port = self
            .ports
            .get(&connection.port)
            .ok_or(NtStatus::REPLY_MESSAGE_MISMATCH)?;
        if port.creator != caller {
            return Err(NtStatus::REPLY_MESSAGE_MISMATCH);
        }
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
        let connection = self.connections.get_mut(&id).ok_or(gone)?;
        if let Some(view) = &mut server_view {
            view.remote_base = server_base;
        }
        connection.server_view = server_view;
        let server_port = self.names.allocate_id();
        let holder = self.new_holder(caller, server_port, &mut out)?;
        let connection = self.connections.get_mut(&id).ok_or(gone)?;
        connection.phase = Phase::Accepted;
        connection.server_port = Some(server_port);
        connection.server_holders.insert(caller);
        connection.context = request.context;
        connection.set_info(request.info.0);
        let reply = AcceptReply {
            port: server_port,
            connection_port: connection.port,
            source: connection.source,
            max_message: maxima.0,
            client_process,
            client_view: connection.client_view.as_ref().map(SharedView::remote),
            server_view_remote_base: server_base,
        };
        let end = NewEnd {
            id: server_port,
            kind: PortKind::Server,
            connection: id,
            holder,
        };
        self.insert_end(caller, request.tno, end, maxima);
        answer_with(reply, out)
    }

    /// Refuses a pending or accepted connection and wakes its client.
    pub(crate) fn refuse(&mut self, id: ConnectionId, info: Vec<u8>) {
        if let Some(connection) = self.connections.get_mut(&id)
            && matches!(connection.phase, Phase::Pending | Phase::Accepted)
        {
            connection.phase = Phase::Refused;
            connection.set_info(info);
            connection.segment.close();
            connection.segment.finish_connect();
        }
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
                    connection.phase = Phase::Completed;
                    connection.segment.finish_connect();
                }
                answer(CompleteReply {})
            }
            // The client is gone: nobody is woken.
            None => answer(CompleteReply {}),
        }
    }
}
