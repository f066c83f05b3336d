//! What `lpcctl` shows (lpc §4.1–4.3).

use std::ops::Bound;

use ntlpc_abi::NtStatus;
use ntlpc_proto::Bytes;
use ntlpc_proto::Name;
use ntlpc_proto::inspect::{
    DescribePort, DescribePortReply, Inspect, ListNames, ListNamesReply, ListPorts, ListPortsReply,
    ListProcesses, ListProcessesReply, ListThreads, ListThreadsReply, MessageRow, MessageState,
    NameRow, PortRow, ProcessRow, ThreadRow, ViewRow, WaitKind, WaitRow,
};
use ntlpc_proto::port::PortKind;
use ntlpc_proto::process::GuestWidth;
use ntlpc_shm::segment::{Direction, Segment};
use ntlpc_shm::slot::{Kind, WANTS_REPLY};
use ntlpc_shm::turn::Phase as TurnPhase;

use crate::answer::{Outcome, answer, encode};
use crate::connection::{Connection, Phase};
use crate::dispatch::Reply;
use crate::namespace::ObjectId;
use crate::port::{Lingering, Port, Role, Source};
use crate::state::State;

/// Rows of one page.
const PAGE: usize = 64;
/// Messages described for one port.
const MAX_MESSAGES: usize = 128;
/// First bytes of a message shown.
const SHOWN: usize = 24;

/// A lane that carries messages to a port.
struct Feed {
    segment: Segment,
    direction: Direction,
    context: u64,
}

impl State {
    pub(crate) fn handle_inspect(&self, request: Inspect) -> Reply {
        match request {
            Inspect::ListPorts(request) => encode::<ListPorts>(self.list_ports(&request)),
            Inspect::DescribePort(request) => encode::<DescribePort>(self.describe_port(&request)),
            Inspect::ListThreads(request) => encode::<ListThreads>(self.list_threads(&request)),
            Inspect::ListProcesses(request) => {
                encode::<ListProcesses>(self.list_processes(&request))
            }
            Inspect::ListNames(request) => encode::<ListNames>(self.list_names(&request)),
        }
    }

    fn list_ports(&self, request: &ListPorts) -> Outcome<ListPorts> {
        let mut rest = self.ports.range(after(request.after)).map(|(_, port)| port);
        let ports = rest
            .by_ref()
            .take(PAGE)
            .map(|port| self.port_row(port))
            .collect();
        answer(ListPortsReply {
            ports,
            has_more: rest.next().is_some(),
        })
    }

    fn port_row(&self, port: &Port) -> PortRow {
        let connection = port.connection().and_then(|id| self.connections.get(&id));
        let creator = self.processes.get(&port.creator);
        let peer = connection.and_then(|connection| match port.kind {
            PortKind::Client => connection.server_port,
            _ => connection.client_port,
        });
        let handles = port
            .holders
            .values()
            .filter(|holder| holder.is_held)
            .count() as u32;
        PortRow {
            port: port.id,
            kind: port.kind,
            flags: flags(port, connection),
            type_name: port.type_name().to_owned(),
            name: shown(&port.name.0),
            handles,
            references: handles + port.references,
            owner_pid: port.creator_id.0,
            owner_image: creator
                .map(|process| process.image.clone())
                .unwrap_or_default(),
            creator_tid: port.creator_id.1,
            max_message: port.max_message,
            max_info: port.max_info,
            connection_port: connection.map_or(port.id, |connection| connection.port),
            peer: peer.unwrap_or(0),
            context: connection
                .filter(|_| port.kind == PortKind::Server)
                .map_or(0, |c| c.context),
            queued: self
                .messages(port)
                .iter()
                .filter(|row| row.state == MessageState::Queued)
                .count() as u32,
        }
    }

    /// Returns the lanes that lead to a port's own queue.
    fn feeds(&self, port: &Port) -> Vec<Feed> {
        let feed = |segment: &Segment, direction, context| Feed {
            segment: segment.clone(),
            direction,
            context,
        };
        match &port.role {
            Role::Receiving(receiving) => {
                let system = feed(receiving.system.segment(), Direction::ToServer, 0);
                let sources = receiving
                    .sources
                    .values()
                    .filter_map(|source| match source {
                        Source::Itself(segment) | Source::Exception(_, segment) => {
                            Some(feed(segment, Direction::ToServer, 0))
                        }
                        Source::Lingering(Lingering {
                            segment, context, ..
                        }) => Some(feed(segment, Direction::ToServer, *context)),
                        Source::Connection(id) => {
                            let connection = self.connections.get(id)?;
                            Some(feed(
                                &connection.segment,
                                Direction::ToServer,
                                connection.context,
                            ))
                        }
                    });
                std::iter::once(system).chain(sources).collect()
            }
            Role::End(id) if port.kind == PortKind::Client => {
                let connection = self.connections.get(id);
                connection
                    .map(|connection| feed(&connection.segment, Direction::ToClient, 0))
                    .into_iter()
                    .collect()
            }
            Role::End(_) => Vec::new(),
        }
    }

    fn messages(&self, port: &Port) -> Vec<MessageRow> {
        let mut rows = Vec::new();
        for feed in self.feeds(port) {
            feed.segment.lane(feed.direction).for_each_used(|slot| {
                let (kind, turn, header) = (slot.state().kind, slot.turn(), slot.header());
                let state = match kind {
                    Kind::Ready => MessageState::Queued,
                    Kind::Held | Kind::Taken if turn.phase == TurnPhase::Wait => {
                        MessageState::Received
                    }
                    _ => return,
                };
                let sender = self.threads.entry(header.sender).unwrap_or_default();
                let mut data =
                    vec![0; usize::from(header.data_len).min(SHOWN).min(slot.capacity())];
                slot.read(0, &mut data);
                let row = MessageRow {
                    port: port.id,
                    state,
                    message_id: header.message_id,
                    callback_id: header.callback_id,
                    message_type: u32::from(header.message_type),
                    pid: sender.process,
                    tid: sender.thread,
                    context: if header.context == 0 {
                        feed.context
                    } else {
                        header.context
                    },
                    data_length: u32::from(header.data_len),
                    total_length: u32::from(header.body_len) + 0x28,
                    data: Bytes(data),
                };
                rows.push((slot.ticket(), row));
            });
        }
        rows.sort_by_key(|&(ticket, _)| ticket);
        rows.into_iter().map(|(_, row)| row).collect()
    }

    fn describe_port(&self, request: &DescribePort) -> Outcome<DescribePort> {
        let port = self
            .ports
            .get(&request.port)
            .ok_or(NtStatus::INVALID_HANDLE)?;
        let mut messages = self.messages(port);
        messages.truncate(MAX_MESSAGES);
        let mut waits = self.waits(port);
        waits.truncate(MAX_MESSAGES);
        let connection = port.connection().and_then(|id| self.connections.get(&id));
        let views = connection.map(views).unwrap_or_default();
        answer(DescribePortReply {
            row: self.port_row(port),
            messages,
            waits,
            views,
        })
    }

    fn waits(&self, port: &Port) -> Vec<WaitRow> {
        let mut rows = Vec::new();
        for feed in self.feeds(port) {
            feed.segment.lane(feed.direction).for_each_used(|slot| {
                let (turn, header) = (slot.turn(), slot.header());
                if header.flags & WANTS_REPLY == 0
                    || !matches!(turn.phase, TurnPhase::Wait | TurnPhase::Armed)
                {
                    return;
                }
                let waiter = self.threads.entry(header.sender).unwrap_or_default();
                rows.push(WaitRow {
                    pid: waiter.process,
                    tid: waiter.thread,
                    kind: WaitKind::Reply,
                    message_id: turn.who,
                    port: port.id,
                    holder_pid: port.creator_id.0,
                    holder_tid: 0,
                });
            });
        }
        let inbox = match &port.role {
            Role::Receiving(receiving) => Some(receiving.inbox.clone()),
            Role::End(id) if port.kind == PortKind::Client => self
                .connections
                .get(id)
                .map(|connection| connection.segment.client_inbox()),
            Role::End(_) => None,
        };
        for tno in inbox.into_iter().flat_map(|inbox| inbox.sleepers()) {
            let receiver = self.threads.entry(tno).unwrap_or_default();
            rows.push(WaitRow {
                pid: receiver.process,
                tid: receiver.thread,
                kind: WaitKind::Receive,
                port: port.id,
                ..WaitRow::default()
            });
        }
        for connection in self.connections.values() {
            if connection.port == port.id
                && matches!(connection.phase, Phase::Pending | Phase::Accepted)
            {
                let client = self
                    .threads
                    .entry(connection.client_thread)
                    .unwrap_or_default();
                rows.push(WaitRow {
                    pid: client.process,
                    tid: client.thread,
                    kind: WaitKind::Connect,
                    message_id: connection.message_id,
                    port: port.id,
                    holder_pid: port.creator_id.0,
                    holder_tid: 0,
                });
            }
        }
        rows
    }

    fn list_threads(&self, request: &ListThreads) -> Outcome<ListThreads> {
        let after = if request.after == u32::MAX {
            0
        } else {
            request.after
        };
        let mut rest = self.threads.iter().skip_while(|thread| thread.tno <= after);
        let threads = rest
            .by_ref()
            .take(PAGE)
            .map(|thread| ThreadRow {
                tno: thread.tno,
                pid: thread.nt_pid,
                tid: thread.nt_tid,
                linux_tid: thread.linux_tid,
                terminate_ports: thread
                    .terminate_ports
                    .iter()
                    .rev()
                    .copied()
                    .take(PAGE)
                    .collect(),
                is_impersonating: thread.token.is_some(),
            })
            .collect();
        answer(ListThreadsReply {
            threads,
            has_more: rest.next().is_some(),
        })
    }

    fn list_processes(&self, request: &ListProcesses) -> Outcome<ListProcesses> {
        let mut rest = self
            .processes
            .range(after(request.after))
            .map(|(_, process)| process);
        let processes = rest
            .by_ref()
            .take(PAGE)
            .map(|process| ProcessRow {
                process: process.number,
                pid: process.nt_pid,
                linux_pid: process
                    .linux_pid
                    .map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs()),
                uid: process.credentials.uid,
                host: process.host,
                width: match process.width {
                    ntlpc_abi::Width::X64 => GuestWidth::X64,
                    ntlpc_abi::Width::X86 => GuestWidth::X86,
                },
                image: process.image.clone(),
                threads: process.threads.len() as u32,
                ports: process.ports.len() as u32,
                exception_port: process
                    .exception
                    .as_ref()
                    .map_or(0, |exception| exception.port),
            })
            .collect();
        answer(ListProcessesReply {
            processes,
            has_more: rest.next().is_some(),
        })
    }

    fn list_names(&self, request: &ListNames) -> Outcome<ListNames> {
        let directory: ObjectId = self.names.open(&request.directory.0, None, 0)?.id;
        let entries = self
            .names
            .entries(directory)
            .ok_or(NtStatus::OBJECT_TYPE_MISMATCH)?;
        let mut names: Vec<NameRow> = entries
            .filter(|(leaf, _)| shown(leaf).0 > request.after.0)
            .map(|(leaf, found)| NameRow {
                name: shown(leaf),
                type_name: found.kind.type_name().to_owned(),
            })
            .collect();
        names.sort_by(|one, other| one.name.0.cmp(&other.name.0));
        let has_more = names.len() > PAGE;
        names.truncate(PAGE);
        answer(ListNamesReply { names, has_more })
    }
}

/// The part of an ordered map behind `id`, which may be the last there is.
fn after<T>(id: T) -> (Bound<T>, Bound<T>) {
    (Bound::Excluded(id), Bound::Unbounded)
}

/// Cuts a name so that a page of rows fits a frame whatever the names are.
fn shown(name: &[u16]) -> Name {
    const MAX_UNITS: usize = 256;
    Name(name[..name.len().min(MAX_UNITS)].to_vec())
}

/// Flags as `!lpc port` prints them (lpc §1.11).
fn flags(port: &Port, connection: Option<&Connection>) -> u32 {
    let kind = match port.kind {
        PortKind::Connection => 1,
        PortKind::Unconnected => 2,
        PortKind::Server => 3,
        PortKind::Client => 4,
    };
    let is_dynamic =
        port.kind == PortKind::Client && connection.is_some_and(|c| c.static_token.is_none());
    let is_name_deleted = port.kind == PortKind::Connection && !port.has_name;
    kind | u32::from(port.is_waitable) << 29
        | u32::from(is_name_deleted) << 30
        | u32::from(is_dynamic) << 31
}

fn views(connection: &Connection) -> Vec<ViewRow> {
    let row = |view: &crate::views::SharedView, is_client_section: bool| {
        let (client_base, server_base) = match is_client_section {
            true => (view.owner_base, view.remote_base),
            false => (view.remote_base, view.owner_base),
        };
        ViewRow {
            is_client_section,
            size: view.size,
            client_base,
            server_base,
        }
    };
    let client = connection.client_view.iter().map(|view| row(view, true));
    client
        .chain(connection.server_view.iter().map(|view| row(view, false)))
        .collect()
}
