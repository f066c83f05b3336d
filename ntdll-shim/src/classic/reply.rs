//! NtReplyPort, NtReplyWaitReplyPort (lpc §2.9, §2.12).

use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use super::message::{LPC_REPLY, Message, deliver, probe_receive};
use crate::engine::{self, Data, Incoming, Port};
use crate::host;

pub(crate) fn nt_reply_port(port_handle: Handle, reply: UserPtr) -> Result<(), NtStatus> {
    let message = capture(reply)?;
    let port = host::port(port_handle, 0)?;
    engine::with_buffer(|data| send(&port, &message, data))
}

/// Captures a reply (lpc §2.0.6 a–c).
pub(super) fn capture(reply: UserPtr) -> Result<Message, NtStatus> {
    let message = Message::capture(reply)?;
    message.check_lengths()?;
    if message.header.message_id == 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    Ok(message)
}

/// Sends a captured reply (lpc §2.9).
pub(super) fn send(port: &Arc<Port>, message: &Message, data: &mut Data) -> Result<(), NtStatus> {
    message.check_fits(port)?;
    message.read_data(0, data)?;
    engine::reply(
        port,
        message.target(),
        &message.outgoing(LPC_REPLY, false, data),
    )
}

pub(crate) fn nt_reply_wait_reply_port(
    port_handle: Handle,
    reply: UserPtr,
) -> Result<(), NtStatus> {
    let message = capture(reply)?;
    probe_receive(reply)?;
    let port = host::port(port_handle, 0)?;
    message.check_fits(&port)?;
    engine::with_buffer(|data| {
        message.read_data(0, data)?;
        let outgoing = message.outgoing(LPC_REPLY, false, data);
        let waiting = engine::reply_and_wait(&port, message.target(), &outgoing)?;
        let mut incoming = Incoming::default();
        engine::wait(&port, &waiting, None, &mut incoming, data)?;
        deliver(reply, &incoming, data)
    })
}
