//! Sockets with several buffers and overlapped operations: the `WSA…` calls of `winsock2.h`.

use std::io;
use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};
use rustix::event::PollFlags;

use super::winsock2::{
    INVALID, INVALID_SOCKET, SOCKET_ERROR, address, file, outcome, put_address, receive_now,
    refuse, send_now,
};
use crate::dlls::win32::dos_error;
use crate::export::{Bool, Callback, Ptr};
use crate::guest_struct;
use crate::ob::file::File;
use crate::ob::network_events::Did;
use crate::ob::overlapped::Overlapped;
use crate::ob::reactor::{self, Order};
use crate::ob::socket::{self, AT_ONCE};
use crate::ob::table::{TABLE, lookup};
use crate::ob::thread;
use crate::win_api;

guest_struct! {
    /// `WSABUF`.
    pub struct WsaBuffer {
        length: u32,
        buffer: Ptr<u8>,
    }
}

/// `WSA_IO_PENDING`.
const IO_PENDING: u32 = 997;
/// `MSG_WAITALL` of Winsock.
const WAIT_ALL: i32 = 8;
/// `WSAEWOULDBLOCK`.
pub(super) const WOULD_BLOCK: u32 = 10035;
/// `WSA_OPERATION_ABORTED` and `STATUS_CANCELLED` belong together; other errors travel as `FACILITY_NTWIN32`.
const NTWIN32: u32 = 0xC007_0000;

/// The status that an operation on a socket leaves in its `OVERLAPPED`; `dos_error` gives the Winsock error back.
pub(super) fn status_of(error: &io::Error) -> NtStatus {
    match socket::wsa_error(error) {
        WOULD_BLOCK => NtStatus::RETRY,
        code => NtStatus(NTWIN32 | code),
    }
}

/// Starts an operation that completes through `overlapped`, or completes it at once if it needs not wait.
///
/// A completion routine runs in an alertable wait of the calling thread; no event is set and no port told then.
pub(super) fn begin(
    file: Arc<File>,
    events: PollFlags,
    order: Order,
    overlapped: Ptr<Overlapped>,
    routine: Callback,
    operation: impl FnMut(&Arc<File>) -> Result<usize, NtStatus> + Send + 'static,
) -> i32 {
    overlapped
        .cast::<usize>()
        .write(NtStatus::PENDING.0 as usize);
    if !routine.is_null() {
        reactor::note_routine(overlapped.address(), routine, thread::current());
    } else if let Ok(event) =
        lookup::<crate::ob::sync::Event>(Handle(overlapped.read().event.0 & !1), 0)
    {
        event.reset();
    }
    file.signal.assign(false);
    match reactor::start_operation(file, events, order, overlapped, operation) {
        Ok(()) => refuse(IO_PENDING, SOCKET_ERROR),
        Err(status) => {
            reactor::take_routine(overlapped.address());
            refuse(dos_error(status), SOCKET_ERROR)
        }
    }
}

fn gather(buffers: Ptr<WsaBuffer>, count: u32) -> Vec<u8> {
    (0..count as usize)
        .flat_map(|i| {
            let buffer = buffers.add(i).read();
            buffer.buffer.read_bytes(buffer.length as usize)
        })
        .collect()
}

fn scatter(bytes: &[u8], buffers: &[WsaBuffer]) {
    let mut rest = bytes;
    for buffer in buffers {
        let (head, tail) = rest.split_at(rest.len().min(buffer.length as usize));
        buffer.buffer.write_bytes(head);
        rest = tail;
    }
}

fn count_of(done: usize) -> u32 {
    u32::try_from(done).unwrap_or(u32::MAX)
}

fn send(
    handle: Handle,
    bytes: Vec<u8>,
    sent: Ptr<u32>,
    flags: i32,
    to: Option<Vec<u8>>,
    overlapped: Ptr<Overlapped>,
    routine: Callback,
) -> i32 {
    if overlapped.is_null() {
        return outcome(send_now(handle, &bytes, flags, to).map(|done| {
            sent.write_if_some(count_of(done));
            0
        }));
    }
    let file = match file(handle) {
        Ok(file) => file,
        Err(code) => return refuse(code, SOCKET_ERROR),
    };
    let mut done = 0;
    let send = move |file: &Arc<File>| {
        // A stream takes part of the bytes at a time; the operation ends when it has taken all.
        let result = socket::send(file.fd(), &bytes[done..], flags | AT_ONCE, to.clone());
        let status = result.map_err(|error| status_of(&error));
        let would_block = status == Err(NtStatus::RETRY);
        file.network_events.after(Did::Send(would_block));
        done += status?;
        if done < bytes.len() {
            Err(NtStatus::RETRY)
        } else {
            Ok(done)
        }
    };
    begin(
        file,
        PollFlags::OUT,
        Order::AsStarted,
        overlapped,
        routine,
        send,
    )
}

#[allow(clippy::too_many_arguments, reason = "the guest's prototype")]
fn receive(
    handle: Handle,
    buffers: Ptr<WsaBuffer>,
    count: u32,
    received: Ptr<u32>,
    flags: Ptr<i32>,
    from: Ptr<u8>,
    from_length: Ptr<i32>,
    overlapped: Ptr<Overlapped>,
    routine: Callback,
) -> i32 {
    let list: Vec<WsaBuffer> = buffers.read_many(count as usize);
    let total: usize = list.iter().map(|buffer| buffer.length as usize).sum();
    let wanted = flags.read();
    if overlapped.is_null() {
        return outcome(
            receive_now(handle, total, wanted).and_then(|(bytes, sender)| {
                put_address(&sender, from, from_length)?;
                scatter(&bytes, &list);
                received.write_if_some(count_of(bytes.len()));
                flags.write(0);
                Ok(0)
            }),
        );
    }
    match file(handle) {
        Ok(file) => start_receive(file, list, wanted, (from, from_length), overlapped, routine),
        Err(code) => refuse(code, SOCKET_ERROR),
    }
}

/// Starts to receive into buffers; the sender's address goes where it is wanted.
pub(in crate::dlls) fn start_receive(
    file: Arc<File>,
    list: Vec<WsaBuffer>,
    wanted: i32,
    (from, from_length): (Ptr<u8>, Ptr<i32>),
    overlapped: Ptr<Overlapped>,
    routine: Callback,
) -> i32 {
    let total: usize = list.iter().map(|buffer| buffer.length as usize).sum();
    let mut have = Vec::new();
    let receive = move |file: &Arc<File>| {
        if total == 0 {
            // An empty read ends when there is something to read.
            file.network_events.after(Did::Receive);
            return Ok(0);
        }
        let result = socket::receive(file.fd(), total - have.len(), wanted | AT_ONCE);
        file.network_events.after(Did::Receive);
        let (bytes, sender) = result.map_err(|error| status_of(&error))?;
        let is_end = bytes.is_empty();
        have.extend(bytes);
        if wanted & WAIT_ALL != 0 && have.len() < total && !is_end {
            return Err(NtStatus::RETRY);
        }
        put_address(&sender, from, from_length).map_err(|code| NtStatus(NTWIN32 | code))?;
        scatter(&have, &list);
        Ok(have.len())
    };
    begin(
        file,
        PollFlags::IN,
        Order::AsStarted,
        overlapped,
        routine,
        receive,
    )
}

/// `dwProviderReserved` of `WSAPROTOCOL_INFOW`, where a duplicated socket's handle lies; its family, type and protocol.
const PROVIDER_RESERVED: u64 = 112;
/// Bytes of a `WSAPROTOCOL_INFOW`.
const PROTOCOL_INFO_BYTES: usize = 628;

/// Returns the socket a `WSAPROTOCOL_INFO` of [`WSADuplicateSocketW`] describes.
pub(super) fn described(information: Ptr<u8>) -> Handle {
    let handle = information.byte_add(PROVIDER_RESERVED).cast::<u32>().read();
    let handle = Handle(handle.into());
    if file(handle).is_err() {
        return refuse(INVALID, INVALID_SOCKET);
    }
    handle
}

fn duplicate(handle: Handle, pid: u32, information: Ptr<u8>) -> Result<(), u32> {
    file(handle)?;
    let process = crate::ob::agent::open_process(pid).map_err(dos_error)?;
    let process = TABLE
        .insert(process, crate::ob::process::PROCESS_TYPE.generic[3], 0)
        .map_err(dos_error)?;
    let copy = crate::ob::duplicate::duplicate(
        Handle::CURRENT_PROCESS,
        handle,
        process,
        0,
        0,
        // DUPLICATE_SAME_ACCESS
        2,
    );
    let _ = TABLE.close(process);
    let copy = copy.map_err(dos_error)?;
    information.write_bytes(&[0; PROTOCOL_INFO_BYTES]);
    let value = u32::try_from(copy.0).map_err(|_| INVALID)?;
    information
        .byte_add(PROVIDER_RESERVED)
        .cast::<u32>()
        .write(value);
    Ok(())
}

win_api! {
    /// Sends several buffers.
    "ws2_32.dll" stdcall fn WSASend(handle: Handle, buffers: Ptr<WsaBuffer>, count: u32, sent: Ptr<u32>, flags: i32, overlapped: Ptr<Overlapped>, routine: Callback) -> i32 {
        send(handle, gather(buffers, count), sent, flags, None, overlapped, routine)
    }

    /// Sends several buffers to an address.
    "ws2_32.dll" stdcall fn WSASendTo(handle: Handle, buffers: Ptr<WsaBuffer>, count: u32, sent: Ptr<u32>, flags: i32, to: Ptr<u8>, to_length: i32, overlapped: Ptr<Overlapped>, routine: Callback) -> i32 {
        let to = to.non_null().map(|to| address(to, to_length));
        send(handle, gather(buffers, count), sent, flags, to, overlapped, routine)
    }

    /// Receives into several buffers.
    "ws2_32.dll" stdcall fn WSARecv(handle: Handle, buffers: Ptr<WsaBuffer>, count: u32, received: Ptr<u32>, flags: Ptr<i32>, overlapped: Ptr<Overlapped>, routine: Callback) -> i32 {
        receive(handle, buffers, count, received, flags, Ptr::NULL, Ptr::NULL, overlapped, routine)
    }

    /// Receives into several buffers and tells the sender.
    "ws2_32.dll" stdcall fn WSARecvFrom(handle: Handle, buffers: Ptr<WsaBuffer>, count: u32, received: Ptr<u32>, flags: Ptr<i32>, from: Ptr<u8>, from_length: Ptr<i32>, overlapped: Ptr<Overlapped>, routine: Callback) -> i32 {
        receive(handle, buffers, count, received, flags, from, from_length, overlapped, routine)
    }

    /// Returns the result of an overlapped operation.
    "ws2_32.dll" stdcall fn WSAGetOverlappedResult(handle: Handle, overlapped: Ptr<Overlapped>, done: Ptr<u32>, wait: Bool, flags: Ptr<i32>) -> Bool {
        flags.write_if_some(0);
        crate::dlls::kernel32::ioapiset::GetOverlappedResult(handle, overlapped, done, wait)
    }

    /// Makes a copy of a socket for a process, which takes it by `WSASocketW`.
    "ws2_32.dll" stdcall fn WSADuplicateSocketW = "WSADuplicateSocketW|WSADuplicateSocketA" (handle: Handle, process: u32, information: Ptr<u8>) -> i32 {
        outcome(duplicate(handle, process, information).map(|()| 0))
    }
}
