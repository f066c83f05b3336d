//! Port objects: what they are and how they are created.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ntlpc_abi::{NtStatus, limits};
use ntlpc_proto::Name;
use ntlpc_proto::port::{
    AlpcPort, CreatePort, CreatePortReply, PortKind, QueryPort, QueryPortReply, SetContext,
    SetContextReply,
};
use ntlpc_shm::inbox::Inbox;
use ntlpc_shm::segment::{FIRST_CONNECTION, Segment};

use crate::answer::{OutFd, Outcome, answer, answer_with, no_room};
use crate::connection::ConnectionId;
use crate::limits::{MAX_NAME_UNITS, MAX_SOURCES};
use crate::namespace::{CASE_INSENSITIVE, ObjectId, ObjectKind};
use crate::notice::SystemSource;
use crate::process::ProcessNo;
use crate::security::{SecurityDescriptor, Sid};
use crate::state::State;

/// A port object of any kind (lpc §3.0).
#[derive(Debug)]
pub struct Port {
    /// Its id.
    pub id: ObjectId,
    /// Kind.
    pub kind: PortKind,
    /// Whether the object type is WaitablePort.
    pub is_waitable: bool,
    /// Whether an ALPC call made it.
    pub is_alpc: bool,
    /// Its attributes, of a receiving ALPC port.
    pub alpc: AlpcPort,
    /// Largest TotalLength of a message.
    pub max_message: u32,
    /// MaxConnectionInfoLength as given.
    pub max_info: u32,
    /// Absolute name as created; stays when the name is deleted.
    pub name: Name,
    /// Whether the name can still be found.
    pub has_name: bool,
    /// Process that created it.
    pub creator: ProcessNo,
    /// NT process and thread id of the creator.
    pub creator_id: (u32, u32),
    /// Processes with a handle.
    pub holders: BTreeMap<ProcessNo, Holder>,
    /// Processes that ever had one: their messages may arrive after their death.
    pub past_holders: BTreeSet<ProcessNo>,
    /// Registrations by NtRegisterThreadTerminatePort, and exception ports: references without a handle.
    pub references: u32,
    /// What is particular to its kind.
    pub role: Role,
}

/// A process's hold on a port.
#[derive(Debug, Default)]
pub struct Holder {
    /// Whether the process itself holds it.
    pub is_held: bool,
    /// References given to it that it has not taken over yet.
    pub granted: u32,
    /// Number of its lifetime pipe: the hold lasts until the last copy of the other end is closed.
    pub lifetime: Option<u32>,
    /// Number of the lifetime pipe of another process that it shares.
    pub shared: Option<u32>,
}

/// An end of a connection about to become a port.
#[derive(Debug)]
pub(crate) struct NewEnd {
    pub(crate) id: ObjectId,
    pub(crate) kind: PortKind,
    pub(crate) is_alpc: bool,
    pub(crate) connection: ConnectionId,
    pub(crate) holder: Holder,
}

/// What is particular to a kind of port.
#[derive(Debug)]
pub enum Role {
    /// Connection and unconnected ports: they receive.
    Receiving(Receiving),
    /// Server and client communication ports: the ends of a connection.
    End(ConnectionId),
}

/// The receiving side of a connection or unconnected port.
#[derive(Debug)]
pub struct Receiving {
    /// Shared with all senders.
    pub inbox: Inbox,
    /// Source of the server's own messages.
    pub system: SystemSource,
    /// Every other source.
    pub sources: BTreeMap<u32, Source>,
    /// Where the next search for a free source number starts, so that numbers are reused as late as possible.
    next_source: u32,
    /// Whether its last handle is closed, and its queue purged.
    pub is_closed: bool,
    /// User SID of the creator's primary token (lpc §2.3 step 12).
    pub server_sid: Sid,
    /// Connection requests whose client went away after they were received: accepting one says so once (alpc#61).
    withdrawn: VecDeque<u32>,
}

/// One source of an inbox.
#[derive(Clone, Debug)]
pub enum Source {
    /// What the port sends to itself.
    Itself(Segment),
    /// A connection.
    Connection(ConnectionId),
    /// A connection both of whose ends are gone, with messages not yet received.
    Lingering(Lingering),
    /// LPC_EXCEPTION messages of a process.
    Exception(ProcessNo, Segment),
}

/// What is left of a connection, or of a process's exceptions, until it is drained.
#[derive(Clone, Debug)]
pub struct Lingering {
    /// Shared memory.
    pub segment: Segment,
    /// PortContext.
    pub context: u64,
    /// Whether it brought exceptions.
    pub is_kernel: bool,
    /// Processes that may have sent what is queued.
    pub senders: BTreeSet<ProcessNo>,
}

/// A process's exception port and the segment it sends on.
#[derive(Debug)]
pub struct ExceptionPort {
    /// The port set; holds a reference.
    pub port: ObjectId,
    /// The receiving port and the source number, once an exception was raised.
    pub source: Option<(ObjectId, u32)>,
}

impl Port {
    /// Returns whether `process` has a handle of its own.
    #[must_use]
    pub fn is_held_by(&self, process: ProcessNo) -> bool {
        self.holders
            .get(&process)
            .is_some_and(|holder| holder.is_held)
    }

    /// Returns the receiving side of a connection or unconnected port.
    #[must_use]
    pub fn receiving(&self) -> Option<&Receiving> {
        match &self.role {
            Role::Receiving(receiving) => Some(receiving),
            Role::End(_) => None,
        }
    }

    /// As [`Port::receiving`], to change it.
    pub fn receiving_mut(&mut self) -> Option<&mut Receiving> {
        match &mut self.role {
            Role::Receiving(receiving) => Some(receiving),
            Role::End(_) => None,
        }
    }

    /// Returns the connection of a communication port.
    #[must_use]
    pub fn connection(&self) -> Option<ConnectionId> {
        match self.role {
            Role::End(connection) => Some(connection),
            Role::Receiving(_) => None,
        }
    }

    /// Returns the name of the object's type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        if self.is_alpc {
            "ALPC Port"
        } else {
            self.object_kind().type_name()
        }
    }

    fn object_kind(&self) -> ObjectKind {
        if self.is_waitable {
            ObjectKind::WaitablePort
        } else {
            ObjectKind::Port
        }
    }
}

/// So many withdrawn connection requests are remembered.
const MAX_WITHDRAWN: usize = 1024;

impl Receiving {
    /// A client of an ALPC port gave its connection request up: it is taken off the queue, or remembered.
    pub fn withdraw_request(&mut self, message_id: u32) {
        if self.system.withdraw(message_id) {
            return;
        }
        if self.withdrawn.len() >= MAX_WITHDRAWN {
            self.withdrawn.pop_front();
        }
        self.withdrawn.push_back(message_id);
    }

    /// Returns whether a connection request was withdrawn, and forgets it.
    pub fn take_withdrawn(&mut self, message_id: u32) -> bool {
        let at = self.withdrawn.iter().position(|&id| id == message_id);
        at.and_then(|at| self.withdrawn.remove(at)).is_some()
    }

    /// Chooses a source number for a new connection, as long unused as possible.
    ///
    /// Returns `STATUS_INSUFFICIENT_RESOURCES` if all are in use.
    pub fn allocate_source(&mut self) -> Result<u32, NtStatus> {
        let is_free = |sources: &mut BTreeMap<u32, Source>, number: u32| match sources.get(&number)
        {
            None => true,
            Some(Source::Lingering(Lingering { segment, .. })) => {
                let is_drained = segment
                    .lane(ntlpc_shm::segment::Direction::ToServer)
                    .map()
                    .is_empty();
                if is_drained {
                    sources.remove(&number);
                }
                is_drained
            }
            Some(_) => false,
        };
        let start = self.next_source.max(FIRST_CONNECTION);
        let found = (start..MAX_SOURCES)
            .chain(FIRST_CONNECTION..start)
            .find(|&number| is_free(&mut self.sources, number));
        let number = found.ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
        self.next_source = number + 1;
        Ok(number)
    }
}

impl State {
    /// Creates a connection or unconnected port (lpc §2.1 steps 3–7).
    pub fn create_port(&mut self, caller: ProcessNo, request: CreatePort) -> Outcome<CreatePort> {
        let process = self.process(caller)?;
        let (width, server_sid) = (process.width, process.token.user().clone());
        if request.attributes & !CASE_INSENSITIVE != 0 {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let (max_message, max_info) = match request.is_alpc {
            true => (limits::ALPC_MAX_TOTAL, limits::ALPC_MAX_TOTAL),
            false => (limits::max_total(width), limits::max_connection_info(width)),
        };
        if request.max_message as usize > max_message {
            return Err(NtStatus::INVALID_PARAMETER_4);
        }
        if request.max_info as usize > max_info {
            return Err(NtStatus::INVALID_PARAMETER_3);
        }
        let creator = self.own_thread(caller, request.tno)?;
        let creator_id = (creator.nt_pid, creator.nt_tid);
        let token = self.effective_token(caller, request.tno, &request.token.0)?;
        let kind = if request.is_waitable {
            ObjectKind::WaitablePort
        } else {
            ObjectKind::Port
        };
        let place = if request.name.0.is_empty() {
            None
        } else {
            if request.name.0.len() > MAX_NAME_UNITS {
                return Err(NtStatus::OBJECT_NAME_INVALID);
            }
            let root = (request.root != 0).then_some(request.root);
            Some(
                self.names
                    .reserve(&request.name.0, root, request.attributes, kind, &token)?,
            )
        };
        let security = if request.security.0.is_empty() {
            SecurityDescriptor {
                owner: Some(token.user().clone()),
                dacl: token.default_dacl().clone(),
            }
        } else {
            let mut security =
                SecurityDescriptor::parse(&request.security.0, token.default_dacl())?
                    .canonical(self.owner_uid);
            security.owner.get_or_insert_with(|| token.user().clone());
            security
        };
        self.check_port_room()?;
        let room = |error: std::io::Error| no_room("cannot create a port", &error);
        let inbox = Inbox::create(request.is_waitable).map_err(room)?;
        let system = SystemSource::new().map_err(room)?;
        let id = self.names.allocate_id();
        let mut fds = vec![OutFd::Memory(Arc::clone(inbox.mapping())), system.out_fd()];
        let holder = self.new_holder(caller, id, &mut fds)?;
        let has_name = place.is_some();
        let mut name = Name::default();
        if let Some(place) = place {
            self.names.insert(place, id, kind, security);
            name = Name(self.names.path(id).unwrap_or_default());
        }
        let port = Port {
            id,
            kind: if has_name {
                PortKind::Connection
            } else {
                PortKind::Unconnected
            },
            is_waitable: request.is_waitable,
            is_alpc: request.is_alpc,
            alpc: request.alpc,
            max_message: request.max_message,
            max_info: request.max_info,
            name,
            has_name,
            creator: caller,
            creator_id,
            holders: BTreeMap::from([(caller, holder)]),
            past_holders: BTreeSet::from([caller]),
            references: 0,
            role: Role::Receiving(Receiving {
                inbox,
                system,
                sources: BTreeMap::new(),
                next_source: FIRST_CONNECTION,
                is_closed: false,
                server_sid,
                withdrawn: VecDeque::new(),
            }),
        };
        log::debug!(
            "port {id}: {:?} {:?} by process {caller}",
            port.kind,
            port.name
        );
        self.ports.insert(id, port);
        self.process_mut(caller)?.ports.insert(id);
        answer_with(CreatePortReply { port: id }, fds)
    }

    /// Adds the port of a connection's end, held by `process`.
    pub(crate) fn insert_end(
        &mut self,
        process: ProcessNo,
        tno: u32,
        end: NewEnd,
        limits: (u32, u32),
    ) {
        let creator_id = self
            .threads
            .get(tno)
            .map_or((0, 0), |thread| (thread.nt_pid, thread.nt_tid));
        let port = Port {
            id: end.id,
            kind: end.kind,
            is_waitable: false,
            is_alpc: end.is_alpc,
            alpc: AlpcPort::default(),
            max_message: limits.0,
            max_info: limits.1,
            name: Name::default(),
            has_name: false,
            creator: process,
            creator_id,
            holders: BTreeMap::from([(process, end.holder)]),
            past_holders: BTreeSet::from([process]),
            references: 0,
            role: Role::End(end.connection),
        };
        self.ports.insert(end.id, port);
        if let Ok(process) = self.process_mut(process) {
            process.ports.insert(end.id);
        }
    }

    /// Sets the PortContext of a server port.
    pub fn set_context(&mut self, caller: ProcessNo, request: SetContext) -> Outcome<SetContext> {
        let id = self
            .held_port(caller, request.port)?
            .connection()
            .filter(|id| {
                self.connections
                    .get(id)
                    .is_some_and(|connection| connection.server_port == Some(request.port))
            })
            .ok_or(NtStatus::INVALID_PORT_HANDLE)?;
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.context = request.context;
        }
        answer(SetContextReply {})
    }

    /// Describes a port to a holder.
    pub fn query_port(&self, caller: ProcessNo, request: QueryPort) -> Outcome<QueryPort> {
        let port = self.held_port(caller, request.port)?;
        let peer_process = port
            .connection()
            .and_then(|id| self.connections.get(&id))
            .and_then(|connection| match port.kind {
                PortKind::Server => connection.client_port.and(Some(connection.client_process)),
                _ => connection.server_process,
            });
        answer(QueryPortReply {
            kind: port.kind,
            is_waitable: port.is_waitable,
            name: if port.has_name {
                port.name.clone()
            } else {
                Name::default()
            },
            references: u32::try_from(port.holders.len()).unwrap_or(u32::MAX),
            creator: port.creator,
            peer_process: peer_process.unwrap_or(0),
        })
    }
}
