//! `Tp…Alpc…`: ports whose messages are callbacks of the thread pool. Source: phnt `nttp.h`; alpc §2.18.
//!
//! What a completion port is elsewhere is the item here: a packet is a callback.

use std::sync::{Arc, Weak};

use ntdll_shim::host::{CompletionPacket, CompletionPort, PORT_ALL_ACCESS};
use ntlpc_abi::layout::{Layout, PortMessage};
use ntlpc_abi::{Handle, NtStatus, UserPtr};

use super::threadpool::{make, wait_for, with_item};
use crate::export::{Callback, Ptr};
use crate::ob::completion::Packet;
use crate::pool::environment::CallbackEnviron;
use crate::pool::item::{Item, Kind};
use crate::pool::{self, Argument, AtReturn};
use crate::win_api;

/// Where a port's packets go.
#[derive(Debug)]
struct Callbacks(Weak<Item>);

impl CompletionPort for Callbacks {
    /// A packet for an item that was released is for nobody.
    fn post(&self, packet: CompletionPacket) -> Result<(), NtStatus> {
        if let Some(item) = self.0.upgrade().filter(|item| !item.is_forgotten()) {
            item.post(Argument::Io(Packet {
                key: packet.key,
                value: packet.context,
                status: packet.status.0,
                information: packet.information,
            }));
        }
        Ok(())
    }
}

/// Makes an item whose callback is called for the messages of a port.
fn allocate(
    to: Ptr<UserPtr>,
    port: Handle,
    kind: Kind,
    callback: Callback,
    context: UserPtr,
    environ: Ptr<CallbackEnviron>,
) -> Result<(), NtStatus> {
    to.try_write(UserPtr(0))?;
    let port = ntdll_shim::host::current().port(port, PORT_ALL_ACCESS)?;
    let item = make(kind, callback, context, environ)?;
    item.set_port(&port);
    let callbacks = Arc::new(Callbacks(Arc::downgrade(&item)));
    let set = port
        .queue
        .notifier
        .set_completion_port(&port.queue, callbacks, item.id);
    set.and_then(|()| to.try_write(UserPtr(item.id)))
        .inspect_err(|_| item.forget())
}

/// Copies a message that is sent later: the callback's own frame is gone then.
fn copy_message(message: UserPtr) -> Result<Vec<u8>, NtStatus> {
    let host = ntdll_shim::host::current();
    let width = crate::width();
    let mut header = [0; ntlpc_abi::layout::MAX_LEN];
    host.read(message, &mut header[..PortMessage::size(width)])?;
    let header = PortMessage::decode(width, &header);
    let length = usize::from(header.total_length).max(PortMessage::size(width));
    let mut copy = vec![0; length];
    host.read(message, &mut copy)?;
    Ok(copy)
}

win_api! {
    /// Makes an object whose callback is called for the messages of a port, which it receives itself.
    "ntdll.dll" stdcall fn TpAllocAlpcCompletion(to: Ptr<UserPtr>, port: Handle, callback: Callback, context: UserPtr, environ: Ptr<CallbackEnviron>) -> Result<(), NtStatus> {
        allocate(to, port, Kind::Alpc, callback, context, environ)
    }

    /// As `TpAllocAlpcCompletion`; the callback gets the APC context of the packet, too.
    "ntdll.dll" stdcall fn TpAllocAlpcCompletionEx(to: Ptr<UserPtr>, port: Handle, callback: Callback, context: UserPtr, environ: Ptr<CallbackEnviron>) -> Result<(), NtStatus> {
        allocate(to, port, Kind::AlpcEx, callback, context, environ)
    }

    /// Lets the object go: no new callbacks come, those on their way still run. The port stays associated.
    "ntdll.dll" stdcall fn TpReleaseAlpcCompletion(alpc: UserPtr) {
        with_item(alpc, |item| item.forget());
    }

    /// Waits for the callbacks of the object.
    "ntdll.dll" stdcall fn TpWaitForAlpcCompletion(alpc: UserPtr) {
        wait_for(alpc, false);
    }

    /// Threads that run the callback count as workers of the port's completion list.
    "ntdll.dll" stdcall fn TpAlpcRegisterCompletionList(alpc: UserPtr) {
        with_item(alpc, |item| item.set_worker(true));
    }

    /// Threads that run the callback no longer count as workers.
    "ntdll.dll" stdcall fn TpAlpcUnregisterCompletionList(alpc: UserPtr) {
        with_item(alpc, |item| item.set_worker(false));
    }

    /// Sends a message when the calling callback returns.
    "ntdll.dll" stdcall fn TpCallbackSendAlpcMessageOnCompletion(_instance: UserPtr, port: Handle, flags: u32, message: UserPtr) {
        match copy_message(message) {
            Ok(message) => pool::at_return(AtReturn::SendAlpcMessage { port, flags, message }),
            Err(status) => log::error!("thread pool: no message to send: {status}"),
        }
    }

    /// Sends the message that was to be sent when the calling callback returns.
    "ntdll.dll" stdcall fn TpCallbackSendPendingAlpcMessage(_instance: UserPtr) {
        pool::send_pending_message();
    }
}
