//! Opening the segments a port receives from, for processes that do not have them yet.

use std::sync::Arc;

use ntlpc_abi::NtStatus;
use ntlpc_proto::port::{OpenSelf, OpenSelfReply, OpenSource, OpenSourceReply, PortKind};
use ntlpc_shm::segment::{SELF_SOURCE, SYSTEM_SOURCE, Segment};

use crate::answer::{OutFd, Outcome, answer_with, no_room};
use crate::connection::ConnectionId;
use crate::namespace::ObjectId;
use crate::port::{Lingering, Port, Role, Source};
use crate::process::ProcessNo;
use crate::state::State;

impl State {
    /// Opens the segment a port sends to itself on.
    pub fn open_self(&mut self, caller: ProcessNo, request: OpenSelf) -> Outcome<OpenSelf> {
        self.held_port(caller, request.port)?;
        let receiving = self
            .ports
            .get_mut(&request.port)
            .and_then(Port::receiving_mut)
            .ok_or(NtStatus::INVALID_PORT_HANDLE)?;
        let segment = match receiving.sources.get(&SELF_SOURCE) {
            Some(Source::Itself(segment)) => segment.clone(),
            _ => {
                let segment = Segment::create()
                    .map_err(|error| no_room("cannot create a segment", &error))?;
                receiving
                    .sources
                    .insert(SELF_SOURCE, Source::Itself(segment.clone()));
                segment
            }
        };
        answer_with(
            OpenSelfReply {
                source: SELF_SOURCE,
            },
            vec![OutFd::Memory(Arc::clone(segment.mapping()))],
        )
    }

    /// Opens the segment of a source that rang without the process knowing it.
    pub fn open_source(&mut self, caller: ProcessNo, request: OpenSource) -> Outcome<OpenSource> {
        let none = NtStatus::INVALID_PARAMETER;
        let port = self.receivable_port(caller, request.port)?;
        let is_kernel = port.receiving().is_some_and(|receiving| {
            matches!(
                receiving.sources.get(&request.source),
                Some(
                    Source::Exception(..)
                        | Source::Lingering(Lingering {
                            is_kernel: true,
                            ..
                        })
                )
            )
        });
        let (segment, server_port, context) = match &port.role {
            Role::End(id) => self.end_source(*id, port.kind, request.source)?,
            Role::Receiving(_) => self.receiving_source(port.id, request.source).ok_or(none)?,
        };
        answer_with(
            OpenSourceReply {
                server_port,
                is_kernel,
                context,
            },
            vec![OutFd::Memory(Arc::clone(segment.mapping()))],
        )
    }

    /// Returns a port the caller receives from: one it holds, or the connection port of a server port it holds.
    fn receivable_port(&self, caller: ProcessNo, id: ObjectId) -> Result<&Port, NtStatus> {
        if let Ok(port) = self.held_port(caller, id) {
            return Ok(port);
        }
        let holds_end = self.connections.values().any(|connection| {
            connection.port == id
                && connection
                    .server_port
                    .is_some_and(|port| self.held_port(caller, port).is_ok())
        });
        self.ports
            .get(&id)
            .filter(|_| holds_end)
            .ok_or(NtStatus::INVALID_HANDLE)
    }

    fn receiving_source(&self, port: ObjectId, number: u32) -> Option<(Segment, ObjectId, u64)> {
        let receiving = self.ports.get(&port)?.receiving()?;
        if number == SYSTEM_SOURCE {
            return Some((receiving.system.segment().clone(), 0, 0));
        }
        match receiving.sources.get(&number)? {
            Source::Itself(segment) => Some((segment.clone(), 0, 0)),
            Source::Lingering(old) => Some((old.segment.clone(), 0, old.context)),
            Source::Exception(process, segment) => {
                Some((segment.clone(), 0, self.exception_context(*process)))
            }
            Source::Connection(id) => {
                let connection = self.connections.get(id)?;
                Some((
                    connection.segment.clone(),
                    connection.server_port.unwrap_or(0),
                    connection.context,
                ))
            }
        }
    }

    /// A server port receives from its connection port; a client port from its connection and the system.
    fn end_source(
        &self,
        id: ConnectionId,
        kind: PortKind,
        number: u32,
    ) -> Result<(Segment, ObjectId, u64), NtStatus> {
        let connection = self
            .connections
            .get(&id)
            .ok_or(NtStatus::PORT_DISCONNECTED)?;
        if kind == PortKind::Server {
            return self
                .receiving_source(connection.port, number)
                .ok_or(NtStatus::INVALID_PARAMETER);
        }
        match (number, &connection.client_system) {
            (SYSTEM_SOURCE, Some(system)) => Ok((system.segment().clone(), 0, 0)),
            (SELF_SOURCE, _) => Ok((connection.segment.clone(), 0, 0)),
            _ => Err(NtStatus::INVALID_PARAMETER),
        }
    }
}
