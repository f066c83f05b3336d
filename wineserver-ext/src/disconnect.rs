//! Ending a connection whose ports stay open, and telling a sender of a cancelled message (alpc §2.6, §2.7).

use ntlpc_abi::NtStatus;
use ntlpc_proto::port::{Disconnect, DisconnectReply, PortKind, PostCanceled, PostCanceledReply};

use crate::answer::{Outcome, answer};
use crate::connection::ConnectionId;
use crate::notice::{CANCELED, Notice};
use crate::port::{Role, Source};
use crate::process::ProcessNo;
use crate::rundown::lose_all;
use crate::state::State;

impl State {
    /// Ends the connection of a communication port.
    pub fn disconnect(&mut self, caller: ProcessNo, request: Disconnect) -> Outcome<Disconnect> {
        self.own_thread(caller, request.tno)?;
        let port = self.held_port(caller, request.port)?;
        let id = port.connection().ok_or(NtStatus::INVALID_PARAMETER)?;
        let kind = port.kind;
        let connection = self.connections.get_mut(&id);
        let connection = connection
            .filter(|connection| !connection.segment.is_closed())
            .ok_or(NtStatus::PORT_DISCONNECTED)?;
        match kind {
            PortKind::Client => self.end_client(id, caller, request.tno),
            _ => {
                connection.segment.close_server_end();
                lose_all(&connection.segment);
                connection.wake_client();
                connection.inbox.wake_all();
            }
        }
        answer(DisconnectReply {})
    }

    /// Queues an LPC_CANCELED for the sender of a message.
    pub fn post_canceled(
        &mut self,
        caller: ProcessNo,
        request: PostCanceled,
    ) -> Outcome<PostCanceled> {
        let id = self.connection_of(caller, request.port, request.source)?;
        let connection = self
            .connections
            .get_mut(&id)
            .ok_or(NtStatus::PORT_DISCONNECTED)?;
        let holders = match request.is_clients {
            true => &connection.client_holders,
            false => &connection.server_holders,
        };
        let sender = self.threads.get(request.tno);
        if !sender.is_some_and(|thread| holders.contains(&thread.process)) {
            return Err(NtStatus::INVALID_CID);
        }
        let notice = Notice {
            message_type: CANCELED,
            subject: request.tno,
            context: if request.is_clients {
                0
            } else {
                connection.context
            },
            source: 0,
            view_size: 0,
            data: &[],
            id: Some(request.id),
            body_len: 0,
            has_attributes: false,
        };
        if request.is_clients {
            connection.post_to_client(&notice);
        } else {
            let port = connection.port;
            self.post(port, &notice);
        }
        answer(PostCanceledReply {})
    }

    /// Returns the connection of a communication port, or the one that is `source` of a connection port.
    fn connection_of(
        &self,
        caller: ProcessNo,
        port: u64,
        source: u32,
    ) -> Result<ConnectionId, NtStatus> {
        match &self.held_port(caller, port)?.role {
            Role::End(id) => Ok(*id),
            Role::Receiving(receiving) => match receiving.sources.get(&source) {
                Some(Source::Connection(id)) => Ok(*id),
                _ => Err(NtStatus::PORT_DISCONNECTED),
            },
        }
    }
}
