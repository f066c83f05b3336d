//! Connections, and the client's half of the handshake (lpc §2.3–2.5, §3.3); the listener's is in `accept.rs`.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ntlpc_abi::{NtStatus, Width, limits};
use ntlpc_proto::Bytes;
use ntlpc_proto::port::{
    AlpcMessage, AlpcPort, Connect, ConnectAbort, ConnectAbortReply, ConnectReply, ConnectResult,
    ConnectResultReply, PortKind,
};
use ntlpc_shm::Tno;
use ntlpc_shm::inbox::Inbox;
use ntlpc_shm::outcome::Outcome as Told;
use ntlpc_shm::segment::{Connecting, Direction, EndAttributes, Segment};

use crate::answer::{OutFd, Outcome, answer, answer_with, no_room};
use crate::namespace::{CASE_INSENSITIVE, ObjectId, ObjectKind};
use crate::notice::{CANCELED, CONNECTION_REPLY, CONNECTION_REQUEST, Notice, SystemSource};
use crate::port::{NewEnd, Source};
use crate::process::ProcessNo;
use crate::security::{
    ImpersonationLevel, PORT_CONNECT, PORT_MAPPING, SecurityDescriptor, Sid, Token,
};
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
    /// Whether an ALPC call connected.
    pub is_alpc: bool,
    /// Whether the connecting thread waits for the outcome.
    pub waits: bool,
    /// Whether the client disconnected or closed its port: it sends nothing more.
    pub is_client_gone: bool,
    /// Thread that accepted.
    pub acceptor: Tno,
    /// Record of the request's attributes.
    pub request_attributes: Bytes,
    /// What an ALPC accept says besides the information.
    pub answer: AlpcMessage,
}

impl Connection {
    pub(crate) fn set_info(&mut self, mut info: Vec<u8>) {
        if let Some(room) = self.info_room {
            info.truncate(room);
        }
        self.info = info;
    }

    /// Returns whether the outcome is queued at the client's port instead of waited for.
    #[must_use]
    pub fn is_alpc_async(&self) -> bool {
        self.is_alpc && !self.waits
    }

    /// Queues a notice at the client's port. A full queue loses it with one log line: its receiver stopped reading.
    pub(crate) fn post_to_client(&mut self, notice: &Notice<'_>) {
        if self.client_system.is_none() {
            self.client_system = SystemSource::new().ok();
        }
        let inbox = self.segment.client_inbox();
        let posted = self
            .client_system
            .as_ref()
            .map(|system| system.post_numbered(&self.inbox, &inbox, notice));
        if !matches!(posted, Some(Ok(_))) {
            log::warn!(
                "a client's port has too many unread notices: type {} is lost",
                notice.message_type
            );
        }
    }

    /// Lets everybody who waits at the client's port look at it again.
    pub(crate) fn wake_client(&self) {
        let inbox = self.segment.client_inbox();
        inbox.signal();
        inbox.wake_all();
    }

    /// Leaves the outcome of a classic request where its client finds it.
    fn tell_client(&mut self) {
        if self.is_alpc {
            return;
        }
        let has_more = self.server_view.is_some();
        let view = self.client_view.as_ref();
        self.segment.set_outcome(&Told {
            info: self.info.clone(),
            client_view_base: view.map_or(0, |view| view.remote_base),
            has_more,
        });
    }

    /// Both ends have their ports: the client may send, and learns of it.
    pub(crate) fn complete(&mut self) {
        self.phase = Phase::Completed;
        self.tell_client();
        self.segment.finish_connect(Connecting::Accepted);
        if self.is_alpc_async() {
            let info = std::mem::take(&mut self.info);
            let body_len = u16::try_from(self.answer.body_len).unwrap_or(u16::MAX);
            let notice = Notice {
                message_type: CONNECTION_REPLY,
                subject: self.acceptor,
                context: 0,
                source: 0,
                view_size: 0,
                data: &info,
                id: Some(self.message_id),
                body_len,
                has_attributes: !self.answer.attributes.0.is_empty(),
            };
            self.post_to_client(&notice);
        }
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
        let id = self.find_connection_port(&request, &token)?;
        let port = self.ports.get(&id).ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        let receiving = port.receiving().ok_or(NtStatus::INVALID_PORT_HANDLE)?;
        if required_sid.is_some_and(|sid| sid != receiving.server_sid) {
            return Err(NtStatus::SERVER_SID_MISMATCH);
        }
        self.check_server(port.creator, &request.server_security.0)?;
        let level = ImpersonationLevel::from_raw(request.qos.level)?;
        let static_token = match request.qos.is_dynamic {
            true => None,
            false => Some(token.impersonation(level, request.qos.is_effective_only)?),
        };
        request.view_status.ok()?;
        let width = self.process(caller)?.width;
        let creator_width = self
            .process(port.creator)
            .map_or(width, |process| process.width);
        let max_message = in_width(port.max_message, creator_width, width);
        if request.is_alpc && request.message.body_len + header_len(width) > max_message {
            return Err(NtStatus::PORT_MESSAGE_TOO_LONG);
        }
        self.check_port_room()?;
        let (max_info, creator) = (port.max_info, port.creator);
        let mut info = request.info.0;
        if !request.is_alpc {
            // Silently cut (lpc §2.3 step 16).
            info.truncate(limits::max_connection_info(width));
        }
        // The client's buffer takes as much as it sent (lpc#84); ALPC has no such rule.
        let info_room = (!request.is_alpc).then_some(info.len());
        let client_view = SharedView::new(request.view, fds)?;
        let segment =
            Segment::create().map_err(|error| no_room("cannot create a segment", &error))?;
        let inbox = receiving.inbox.clone();
        let attributes = end_attributes(request.is_alpc, &request.alpc);
        segment.set_attributes(Direction::ToClient, attributes);
        if attributes.flags & ALPC_WAITABLE != 0 {
            segment.client_inbox().set_waitable();
        }
        let connection_id = self.allocate_connection_id();
        let client_port = self.names.allocate_id();
        let mut out = vec![OutFd::Memory(Arc::clone(segment.mapping()))];
        if request.known_port != id {
            out.push(OutFd::Memory(Arc::clone(inbox.mapping())));
        }
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
            id: None,
            body_len: u16::try_from(request.message.body_len).unwrap_or(u16::MAX),
            has_attributes: !request.message.attributes.0.is_empty(),
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
            is_alpc: request.is_alpc,
            waits: request.waits,
            is_client_gone: false,
            acceptor: 0,
            answer: AlpcMessage::default(),
            request_attributes: request.message.attributes,
        };
        self.connecting.insert(connection_id, &connection);
        self.connections.insert(connection_id, connection);
        self.bind_bundles(caller, &request.bundles, connection_id);
        let end = NewEnd {
            id: client_port,
            kind: PortKind::Client,
            is_alpc: request.is_alpc,
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
            server_pid: self.linux_pid(creator).unwrap_or(0),
            connection_port: id,
        };
        answer_with(reply, out)
    }

    /// Looks a connection port up by name and checks that `token` may connect (lpc §2.3 steps 8–11).
    fn find_connection_port(&self, request: &Connect, token: &Token) -> Result<ObjectId, NtStatus> {
        // Classic connects are case-sensitive on every component: lpc §3.8.
        let root = (request.root != 0).then_some(request.root);
        let attributes = request.attributes & CASE_INSENSITIVE;
        let found = self.names.open(&request.name.0, root, attributes)?;
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
        let message = std::mem::take(&mut connection.answer);
        let acceptor = self.threads.get(connection.acceptor);
        let (pid, tid) = acceptor.map_or((0, 0), |thread| (thread.nt_pid, thread.nt_tid));
        if status == NtStatus::PORT_CONNECTION_REFUSED {
            self.drop_hold(caller, request.port, client_thread);
        }
        answer_with(
            ConnectResultReply {
                status,
                info,
                client_view_remote_base,
                server_view,
                message,
                pid,
                tid,
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

    /// Refuses a pending or accepted connection and wakes its client.
    pub(crate) fn refuse(&mut self, id: ConnectionId, info: Vec<u8>) {
        if let Some(connection) = self.connections.get_mut(&id)
            && matches!(connection.phase, Phase::Pending | Phase::Accepted)
        {
            self.connecting.remove(id, connection);
            connection.phase = Phase::Refused;
            connection.set_info(info);
            connection.tell_client();
            connection.segment.close();
            connection.segment.finish_connect(Connecting::Refused);
            if connection.is_alpc {
                connection.wake_client();
            }
        }
    }

    /// The listener of a pending asynchronous connect is gone: its client is told by one message (alpc#95).
    pub(crate) fn cancel_pending(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        self.connecting.remove(id, connection);
        connection.phase = Phase::Refused;
        let notice = Notice {
            message_type: CANCELED,
            subject: connection.client_thread,
            context: 0,
            source: 0,
            view_size: 0,
            data: &[],
            id: Some(connection.message_id),
            body_len: 0,
            has_attributes: false,
        };
        connection.post_to_client(&notice);
        connection.segment.close();
        connection.segment.finish_connect(Connecting::ListenerGone);
        connection.wake_client();
    }

    /// Checks that the process that made a port may be connected to, as the client's descriptor says (alpc §2.4).
    fn check_server(&self, server: ProcessNo, descriptor: &[u8]) -> Result<(), NtStatus> {
        if descriptor.is_empty() {
            return Ok(());
        }
        let token = &self.process(server)?.token;
        let descriptor = SecurityDescriptor::parse(descriptor, token.default_dacl())?;
        descriptor
            .canonical(self.owner_uid)
            .check(token, PORT_CONNECT, PORT_MAPPING)
            .map(|_| ())
            .map_err(|_| NtStatus::SERVER_SID_MISMATCH)
    }
}

/// `ALPC_PORTFLG_WAITABLE_PORT`.
const ALPC_WAITABLE: u32 = 0x4_0000;
/// `ALPC_PORTFLG_ALLOW_LPC_REQUESTS`.
const ALPC_ALLOW_REQUESTS: u32 = 0x2_0000;

/// What an end says of its port: classic ports take whatever is sent.
pub(crate) fn end_attributes(is_alpc: bool, alpc: &AlpcPort) -> EndAttributes {
    EndAttributes {
        flags: if is_alpc {
            alpc.flags
        } else {
            ALPC_ALLOW_REQUESTS
        },
        object_types: alpc.object_types,
    }
}

/// A longest message as processes of another width count it: their headers differ (pe32.md §8.1).
fn in_width(max_message: u32, from: Width, to: Width) -> u32 {
    if from == to {
        return max_message;
    }
    max_message.saturating_sub(header_len(from)) + header_len(to)
}

fn header_len(width: Width) -> u32 {
    limits::header(width) as u32
}
