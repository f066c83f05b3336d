//! Attributes of connection requests and of their answers: at the server, until the one is answered and the other received.

use ntlpc_abi::NtStatus;
use ntlpc_proto::port::{QueryHandshake, QueryHandshakeReply};
use ntlpc_shm::slot::HAS_ATTRIBUTES;

use super::message::{LPC_CONNECTION_REPLY, LPC_CONNECTION_REQUEST};
use crate::engine::{Incoming, Name, Port, session};

/// Asks the server about the connection request `message_id`, received on a connection port and not answered, or about the
/// answer to it that a client has.
///
/// # Errors
/// `MESSAGE_NOT_FOUND`.
pub(super) fn query(port: &Port, message_id: u32) -> Result<QueryHandshakeReply, NtStatus> {
    let request = QueryHandshake {
        port: port.id,
        message_id,
    };
    Ok(session()?.call(&request, &[])?.0)
}

/// Returns the record of a message of a handshake; `None` for another, or one without attributes.
pub(super) fn record(port: &Port, incoming: &Incoming) -> Option<Vec<u8>> {
    let is_handshake = matches!(
        incoming.message_type,
        LPC_CONNECTION_REQUEST | LPC_CONNECTION_REPLY
    );
    if !is_handshake || incoming.flags & HAS_ATTRIBUTES == 0 {
        return None;
    }
    let reply = query(port, incoming.message_id);
    reply.ok().map(|reply| reply.attributes.0)
}

/// A received message, as far as what is asked about it goes: where its attributes are and who sent it.
#[derive(Debug)]
pub(super) struct Asked {
    /// The record of its attributes.
    pub record: Vec<u8>,
    /// Source number of its connection.
    pub source: u32,
    /// Thread that sent it.
    pub sender: u32,
    /// Whether that thread waits for the answer.
    pub is_awaited: bool,
}

/// Finds a message that was received on `port` and not answered, which may be a connection request.
///
/// # Errors
/// `MESSAGE_NOT_FOUND`.
pub(super) fn asked(port: &Port, name: Name) -> Result<Asked, NtStatus> {
    if let Ok(received) = crate::engine::received(port, name) {
        return Ok(Asked {
            record: received.record(),
            source: received.connection.source,
            sender: received.sender,
            is_awaited: received.conversation.is_none(),
        });
    }
    let request = query(port, name.id)?;
    Ok(Asked {
        record: request.attributes.0,
        source: request.source,
        sender: request.tno,
        is_awaited: request.waits,
    })
}
