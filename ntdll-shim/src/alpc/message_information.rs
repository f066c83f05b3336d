//! NtAlpcQueryInformationMessage (alpc §2.9).

use ntlpc_abi::{Handle, NtStatus, UserPtr};
use ntlpc_proto::port::{QuerySender, QuerySenderReply};

use super::handle_attribute;
use super::handshake::{self, Asked};
use super::message::Message;
use crate::engine::{self, Port, session};
use crate::host::PORT_ALL_ACCESS;
use crate::{guest, host};

/// Classes.
const SID: u32 = 0;
const TOKEN_MODIFIED_ID: u32 = 1;
const DIRECT_STATUS: u32 = 2;
const HANDLE_INFORMATION: u32 = 3;

pub(crate) fn nt_alpc_query_information_message(
    port_handle: Handle,
    message: UserPtr,
    class: u32,
    buffer: UserPtr,
    length: u32,
    return_length: UserPtr,
) -> Result<(), NtStatus> {
    let name = Message::capture(message)?.name();
    if name.id == 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let port = host::port(port_handle, PORT_ALL_ACCESS)?;
    let answer = match class {
        SID => sender(&port, &handshake::asked(&port, name)?)?.user.0,
        TOKEN_MODIFIED_ID => {
            let sender = sender(&port, &handshake::asked(&port, name)?)?;
            sender.token_id.to_le_bytes().to_vec()
        }
        DIRECT_STATUS => return direct_status(&port, name.id),
        HANDLE_INFORMATION => {
            let message = handshake::asked(&port, name)?;
            return handle_attribute::query(&message, buffer, length, return_length);
        }
        _ => return Err(NtStatus::INVALID_INFO_CLASS),
    };
    if !return_length.is_null() {
        guest::write_u32(return_length, answer.len() as u32)?;
    }
    if (length as usize) < answer.len() {
        return Err(NtStatus::BUFFER_TOO_SMALL);
    }
    host::current().write(buffer, &answer)
}

/// Tells how it stands with a message this port sent with a DIRECT attribute; the status is the answer (alpc §1.6).
fn direct_status(port: &Port, id: u32) -> Result<(), NtStatus> {
    match port.resources.is_direct_over(id) {
        Some(_) if engine::is_cancelled(port, id) => Err(NtStatus::REQUEST_CANCELED),
        Some(true) => Ok(()),
        Some(false) => Err(NtStatus::PENDING),
        None => Err(NtStatus::MESSAGE_NOT_FOUND),
    }
}

/// Asks the server who sent a message that was received on `port`.
pub(super) fn sender(port: &Port, message: &Asked) -> Result<QuerySenderReply, NtStatus> {
    query(port, message.source, message.sender)
}

/// Asks the server about a thread at the other end of a connection of `port`.
pub(super) fn query(port: &Port, source: u32, tno: u32) -> Result<QuerySenderReply, NtStatus> {
    let request = QuerySender {
        port: port.id,
        source,
        tno,
    };
    Ok(session()?.call(&request, &[])?.0)
}
