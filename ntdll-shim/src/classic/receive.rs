//! NtReplyWaitReceivePort, NtReplyWaitReceivePortEx (lpc §2.10).

use ntlpc_abi::{Handle, NtStatus, UserPtr};
use ntlpc_shm::sys::Deadline;

use super::message::{deliver, probe_receive};
use super::reply;
use crate::engine::{self, Incoming};
use crate::{guest, host};

pub(crate) fn nt_reply_wait_receive_port(
    port_handle: Handle,
    port_context: UserPtr,
    reply: UserPtr,
    receive: UserPtr,
) -> Result<(), NtStatus> {
    reply_wait_receive(port_handle, port_context, reply, receive, UserPtr::NULL)
}

pub(crate) fn nt_reply_wait_receive_port_ex(
    port_handle: Handle,
    port_context: UserPtr,
    reply: UserPtr,
    receive: UserPtr,
    timeout: UserPtr,
) -> Result<(), NtStatus> {
    reply_wait_receive(port_handle, port_context, reply, receive, timeout)
}

fn reply_wait_receive(
    port_handle: Handle,
    port_context: UserPtr,
    reply: UserPtr,
    receive: UserPtr,
    timeout: UserPtr,
) -> Result<(), NtStatus> {
    // Step 1: probes.
    if !port_context.is_null() {
        guest::probe_handle(port_context)?;
    }
    let message = if reply.is_null() {
        None
    } else {
        Some(reply::capture(reply)?)
    };
    probe_receive(receive)?;
    let deadline: Option<Deadline> = guest::timeout(timeout)?;
    let port = host::port(port_handle, 0)?;
    engine::with_buffer(|data| {
        // Step 2: a failing reply receives nothing (lpc#155).
        if let Some(message) = &message {
            reply::send(&port, message, data)?;
        }
        // Steps 3–5.
        let mut incoming = Incoming::default();
        if !engine::receive(&port, deadline, &mut incoming, data)? {
            return Err(NtStatus::TIMEOUT);
        }
        deliver(receive, &incoming, data)?;
        if !port_context.is_null() {
            guest::write_word(port_context, incoming.context)?;
        }
        Ok(())
    })
}
