//! Overlapped operations: what the guest and we know of one in progress, and its end.

use ntlpc_abi::{Handle, NtStatus};

use super::completion::Packet;
use super::file::File;
use super::sync::Event;
use super::table::lookup;
use crate::guest::Ptr;
use crate::guest_struct;

guest_struct! {
    /// `OVERLAPPED`.
    pub struct Overlapped {
        internal: usize,
        internal_high: usize,
        offset: u32,
        offset_high: u32,
        event: Handle,
    }
}

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Into the guest's buffer.
    Read,
    /// Out of it.
    Write,
}

/// Ends an operation whose end a completion routine tells: status block. The event is the caller's own.
pub fn complete_quietly(overlapped: Ptr<Overlapped>, status: NtStatus, done: usize) {
    let at = overlapped.cast::<usize>();
    at.add(1).write(done);
    at.write(status.0 as usize);
}

/// Ends an operation on an overlapped file: status block, event, completion port.
pub fn complete(file: &File, overlapped: Ptr<Overlapped>, status: NtStatus, done: usize) {
    complete_quietly(overlapped, status, done);
    // The lowest bit of the event asks for no packet.
    let event = overlapped.read().event;
    if let Ok(event) = lookup::<Event>(Handle(event.0 & !1), 0) {
        event.set();
    } else {
        file.signal.assign(true);
    }
    let port = file.completion.lock().clone();
    // FILE_SKIP_COMPLETION_PORT_ON_SUCCESS is honoured by the caller for what ends at once.
    if let Some((port, key)) = port
        && event.0 & 1 == 0
    {
        port.post(Packet {
            key,
            value: overlapped.address(),
            status: status.0,
            information: done as u64,
        });
    }
}
