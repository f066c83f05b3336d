//! NtAlpcOpenSenderProcess, NtAlpcOpenSenderThread (alpc §2.16).
//!
//! The sender is the one the message came from, whatever ids its header has now.

use ntlpc_abi::{ClientId, Handle, NtStatus, UserPtr};

use super::handshake;
use super::message::Message;
use super::object;
use crate::engine::session;
use crate::host::PORT_ALL_ACCESS;
use crate::{guest, host};

pub(crate) fn nt_alpc_open_sender_process(
    process_handle: UserPtr,
    port_handle: Handle,
    message: UserPtr,
    _flags: u32,
    desired_access: u32,
    object_attributes: UserPtr,
) -> Result<(), NtStatus> {
    let request = Request::capture(process_handle, message, object_attributes)?;
    let (sender, _) = request.sender(port_handle)?;
    let host = host::current();
    request.finish(host.open_process(sender.process, desired_access, request.is_inheritable)?)
}

pub(crate) fn nt_alpc_open_sender_thread(
    thread_handle: UserPtr,
    port_handle: Handle,
    message: UserPtr,
    _flags: u32,
    desired_access: u32,
    object_attributes: UserPtr,
) -> Result<(), NtStatus> {
    let request = Request::capture(thread_handle, message, object_attributes)?;
    let (sender, is_waiting) = request.sender(port_handle)?;
    if !is_waiting {
        // A thread that does not wait for the answer is nobody's business (alpc#269).
        return Err(NtStatus::ACCESS_DENIED);
    }
    let host = host::current();
    request.finish(host.open_thread(sender, desired_access, request.is_inheritable)?)
}

/// What both calls capture.
struct Request {
    handle_at: UserPtr,
    message: Message,
    is_inheritable: bool,
}

impl Request {
    fn capture(
        handle_at: UserPtr,
        message: UserPtr,
        object_attributes: UserPtr,
    ) -> Result<Request, NtStatus> {
        guest::probe_handle(handle_at)?;
        let message = Message::capture(message)?;
        if object_attributes.is_null() {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let named = object::capture(object_attributes)?;
        if !named.name.is_empty() {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        Ok(Request {
            handle_at,
            message,
            is_inheritable: named.is_inheritable,
        })
    }

    /// Returns who sent the message, and whether that thread waits for the answer.
    fn sender(&self, port_handle: Handle) -> Result<(ClientId, bool), NtStatus> {
        let port = host::port(port_handle, PORT_ALL_ACCESS)?;
        let received = handshake::asked(&port, self.message.name())?;
        let thread = session()?
            .thread(received.sender)
            .ok_or(NtStatus::INVALID_CID)?;
        let sender = ClientId {
            process: thread.process,
            thread: thread.thread,
        };
        Ok((sender, received.is_awaited))
    }

    fn finish(&self, handle: Handle) -> Result<(), NtStatus> {
        guest::write_word(self.handle_at, handle.0).inspect_err(|_| host::current().close(handle))
    }
}
