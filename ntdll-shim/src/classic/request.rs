//! NtRequestPort, NtRequestWaitReplyPort (lpc §2.8, §2.11).

use ntlpc_abi::layout::PortMessage;
use ntlpc_abi::{Handle, NtStatus, UserPtr};

use super::message::{LPC_DATAGRAM, Message, deliver, probe_receive};
use crate::engine::{self, Incoming, LPC_REQUEST, call_back};
use crate::host;

pub(crate) fn nt_request_port(port_handle: Handle, request: UserPtr) -> Result<(), NtStatus> {
    let message = Message::capture(request)?;
    if message.header.message_type & !PortMessage::KERNEL_MODE != 0
        || message.header.data_info_offset != 0
    {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    message.check_lengths()?;
    let port = host::port(port_handle, 0)?;
    message.check_fits(&port)?;
    engine::with_buffer(|data| {
        message.read_data(0, data)?;
        engine::send(&port, &message.outgoing(LPC_DATAGRAM, false, data), false).map(|_| ())
    })
}

pub(crate) fn nt_request_wait_reply_port(
    port_handle: Handle,
    request: UserPtr,
    reply: UserPtr,
) -> Result<(), NtStatus> {
    if host::current().is_thread_terminating() {
        return Err(NtStatus::THREAD_IS_TERMINATING);
    }
    let message = Message::capture(request)?;
    probe_receive(reply)?;
    let data_info_end = message.check_data_info()?;
    let is_callback = match message.base_type() {
        0 => false,
        LPC_REQUEST => true,
        _ => return Err(NtStatus::INVALID_PARAMETER),
    };
    message.check_lengths()?;
    let port = host::port(port_handle, 0)?;
    message.check_fits(&port)?;
    engine::with_buffer(|data| {
        message.read_data(data_info_end, data)?;
        let outgoing = message.outgoing(LPC_REQUEST, true, data);
        let waiting = if is_callback {
            if message.header.message_id == 0 {
                return Err(NtStatus::INVALID_PARAMETER);
            }
            call_back(&port, message.target(), &outgoing)?
        } else {
            engine::request(&port, &outgoing)?
        };
        let mut incoming = Incoming::default();
        engine::wait(&port, &waiting, None, &mut incoming, data)?;
        deliver(reply, &incoming, data)
    })
}
