//! Who sent a message, and what a waiting thread waits for (alpc §2.8, §2.9).

use ntlpc_abi::NtStatus;
use ntlpc_proto::Bytes;
use ntlpc_proto::port::{
    PortKind, QueryBlocked, QueryBlockedReply, QueryHandshake, QueryHandshakeReply, QuerySender,
    QuerySenderReply, QueryServer, QueryServerReply,
};
use ntlpc_shm::Tno;
use ntlpc_shm::segment::{Direction, Segment};
use ntlpc_shm::turn::Phase;

use crate::answer::{Outcome, answer};
use crate::connection::{self, Connection};
use crate::namespace::ObjectId;
use crate::port::{Role, Source};
use crate::process::ProcessNo;
use crate::security::Token;
use crate::state::State;

impl State {
    /// Answers who sent a message.
    pub fn query_sender(&self, caller: ProcessNo, request: QuerySender) -> Outcome<QuerySender> {
        let connection = self.received_from(caller, request.port, request.source)?;
        let thread = self.threads.get(request.tno).ok_or(NtStatus::INVALID_CID)?;
        let is_sender = connection.client_holders.contains(&thread.process)
            || connection.server_holders.contains(&thread.process);
        if !is_sender {
            return Err(NtStatus::INVALID_CID);
        }
        // Numbers of threads' tokens count up from 1; those of processes' lie above.
        const PROCESS_TOKENS: u64 = 1 << 32;
        let (token, number) = match &thread.token {
            Some(token) => (token, thread.token_number),
            None => (
                &self.process(thread.process)?.token,
                PROCESS_TOKENS + u64::from(thread.process),
            ),
        };
        answer(QuerySenderReply {
            user: self.user_for(caller, token)?,
            token_id: number,
            authentication_id: token.authentication_id(),
        })
    }

    /// Returns the user of a token for a process, which knows itself by the name its host gave it.
    fn user_for(&self, caller: ProcessNo, token: &Token) -> Result<Bytes, NtStatus> {
        let own = &self.process(caller)?.token;
        Ok(Bytes(if own.user() == token.user() {
            own.user_of_host()
        } else {
            token.user().to_bytes()
        }))
    }

    /// Answers what goes with a connection request or with its answer.
    pub fn query_handshake(
        &self,
        caller: ProcessNo,
        request: &QueryHandshake,
    ) -> Outcome<QueryHandshake> {
        let unknown = NtStatus::MESSAGE_NOT_FOUND;
        let port = self.held_port(caller, request.port)?;
        let is_client = port.kind == PortKind::Client;
        let connection = match port.connection() {
            Some(id) => self.connections.get(&id),
            None => self.connections.values().find(|connection| {
                connection.port == request.port
                    && connection.message_id == request.message_id
                    && connection.phase == connection::Phase::Pending
            }),
        };
        let connection = connection
            .filter(|connection| connection.message_id == request.message_id)
            .filter(|_| is_client || port.connection().is_none())
            .ok_or(unknown)?;
        answer(QueryHandshakeReply {
            attributes: match is_client {
                true => connection.answer.attributes.clone(),
                false => connection.request_attributes.clone(),
            },
            source: connection.source,
            tno: match is_client {
                true => connection.acceptor,
                false => connection.client_thread,
            },
            waits: !is_client && connection.waits,
        })
    }

    /// Answers who the server of a connection is.
    pub fn query_server(&self, caller: ProcessNo, request: QueryServer) -> Outcome<QueryServer> {
        let gone = NtStatus::PORT_DISCONNECTED;
        let port = self.held_port(caller, request.port)?;
        if port.kind != PortKind::Client {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let connection = port.connection().and_then(|id| self.connections.get(&id));
        let server = connection.ok_or(gone)?.server_process.ok_or(gone)?;
        let server = self.process(server)?;
        answer(QueryServerReply {
            user: self.user_for(caller, &server.token)?,
            pid: server.nt_pid,
        })
    }

    /// Returns the connection a message received on a port came by.
    pub(crate) fn received_from(
        &self,
        caller: ProcessNo,
        port: ObjectId,
        source: u32,
    ) -> Result<&Connection, NtStatus> {
        let port = self.held_port(caller, port)?;
        let id = match &port.role {
            Role::End(id) => Some(*id),
            Role::Receiving(receiving) => match receiving.sources.get(&source) {
                Some(Source::Connection(id)) => Some(*id),
                _ => None,
            },
        };
        let connection = id.and_then(|id| self.connections.get(&id));
        connection
            .filter(|connection| port.kind == PortKind::Client || connection.source == source)
            .ok_or(NtStatus::PORT_DISCONNECTED)
    }

    /// Answers what a thread waits for.
    pub fn query_blocked(&self, request: QueryBlocked) -> Outcome<QueryBlocked> {
        let thread = self.threads.by_client_id(request.pid, request.tid)?;
        let held = &self.process(thread.process)?.ports;
        let connections = held
            .iter()
            .filter_map(|id| self.ports.get(id)?.connection())
            .filter_map(|id| self.connections.get(&id));
        let waited_for = connections
            .into_iter()
            .find(|connection| waits_in(&connection.segment, thread.tno));
        let Some(connection) = waited_for else {
            return answer(QueryBlockedReply::default());
        };
        let server = connection
            .server_process
            .and_then(|process| self.processes.get(&process));
        let name = self.ports.get(&connection.port).map(|port| &port.name);
        answer(QueryBlockedReply {
            is_blocked: true,
            server_pid: server.map_or(0, |process| process.nt_pid),
            name: name.cloned().unwrap_or_default(),
        })
    }
}

/// Returns whether a thread waits for an answer in a segment.
fn waits_in(segment: &Segment, thread: Tno) -> bool {
    [Direction::ToServer, Direction::ToClient]
        .into_iter()
        .any(|direction| {
            let mut waits = false;
            segment.lane(direction).for_each_used(|slot| {
                let is_waiting = matches!(
                    slot.turn().phase,
                    Phase::Wait | Phase::Armed | Phase::Filling
                );
                waits |= is_waiting && slot.header().sender == thread;
            });
            waits
        })
}
