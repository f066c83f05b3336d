//! Polls of sockets by `\Device\Afd`.
//!
//! Structures: `msafd.h` of wepoll, `afd.rs` of mio (see `ob/afd.rs`).

use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use super::iocompletion::IoStatusBlock;
use super::objects::probe;
use crate::dlls::ws2_32::overlapped::{self, WsaBuffer};
use crate::export::{Callback, Guest, Ptr};
use crate::guest_struct;
use crate::ob::afd::{self, Outcome, Polled, Request};
use crate::ob::apc::Apc;
use crate::ob::completion::Packet;
use crate::ob::file::File;
use crate::ob::sync::Event;
use crate::ob::table::lookup;
use crate::ob::thread;
use crate::ob::wait::deadline;

guest_struct! {
    /// `AFD_POLL_INFO` without its sockets.
    pub struct PollInfo {
        timeout: i64,
        count: u32,
        is_exclusive: u32,
    }
    /// `AFD_RECV_INFO`: all but the last two fields; `AFD_RECV_DATAGRAM_INFO`.
    pub struct ReceiveInfo {
        buffers: Ptr<WsaBuffer>,
        count: u32,
        afd_flags: u32,
        tdi_flags: u32,
        from: Ptr<u8>,
        from_length: Ptr<i32>,
    }
    /// `AFD_POLL_HANDLE_INFO`.
    pub struct PollHandle {
        handle: Handle,
        events: u32,
        status: NtStatus,
    }
}

/// `IOCTL_AFD_POLL`.
pub(super) const POLL: u32 = 0x1_2024;
/// Most sockets of one poll.
const MOST: usize = 1024;
/// `FILE_SKIP_COMPLETION_PORT_ON_SUCCESS`.
const SKIP_PORT: u8 = 1;

/// How the end of a call is told, by the parameters of `NtDeviceIoControlFile`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub event: Handle,
    pub routine: Callback,
    pub context: UserPtr,
    pub block: Ptr<IoStatusBlock>,
}

fn bytes_of(count: usize) -> usize {
    PollInfo::size() + count * PollHandle::size()
}

fn handles_of(at: Ptr<u8>) -> Ptr<PollHandle> {
    at.byte_add(PollInfo::size() as u64).cast()
}

/// Starts a poll.
pub(super) fn poll(
    file: &Arc<File>,
    told: Told,
    (input, input_length): (Ptr<u8>, u32),
    (output, output_length): (Ptr<u8>, u32),
) -> Result<NtStatus, NtStatus> {
    if (input_length as usize) < bytes_of(1) {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let info = input.cast::<PollInfo>().try_read()?;
    let count = info.count as usize;
    let room = (input_length.min(output_length)) as usize;
    if count == 0 || count > MOST || room < bytes_of(count) {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    probe(told.block)?;
    let mut handles = Vec::with_capacity(count);
    let mut sockets = Vec::with_capacity(count);
    for i in 0..count {
        let asked = handles_of(input).add(i).try_read()?;
        sockets.push(Polled::new(lookup::<File>(asked.handle, 0)?, asked.events)?);
        handles.push(asked.handle);
    }
    let event = match told.event {
        Handle::NULL => None,
        handle => Some(lookup::<Event>(handle, 0)?),
    };
    if let Some(event) = &event {
        event.reset();
    }
    told.block.try_write(IoStatusBlock {
        status: NtStatus::PENDING.0 as usize,
        information: 0,
    })?;
    file.signal.assign(false);
    let (owner, caller) = (file.clone(), thread::current());
    let finish = move |outcome: Outcome| {
        // What the guest took away meanwhile is not written to.
        let _ = put(output, info, &handles, &outcome);
        let information = bytes_of(outcome.ready.len());
        let _ = told.block.try_write(IoStatusBlock {
            status: outcome.status.0 as usize,
            information,
        });
        match event {
            Some(event) => {
                event.set();
            }
            None => owner.signal.assign(true),
        }
        if !told.routine.is_null() {
            caller.apcs.push(Apc {
                function: told.routine.0,
                args: [told.context.0, told.block.address(), 0, 0],
            });
            return;
        }
        let port = owner.completion.lock().clone();
        if let Some((port, key)) = port.filter(|_| told.context.0 != 0) {
            port.post(Packet {
                key,
                value: told.context.0,
                status: outcome.status.0,
                information: information as u64,
            });
        }
    };
    let skips = file
        .notification_modes
        .load(std::sync::atomic::Ordering::Relaxed)
        & SKIP_PORT
        != 0;
    let is_pending = afd::start(Request {
        owner: file.clone(),
        sockets,
        deadline_ns: deadline(Some(info.timeout).filter(|timeout| *timeout != i64::MAX)),
        is_exclusive: info.is_exclusive != 0,
        block: told.block.address(),
        finish: Box::new(finish),
    })?;
    // The port is told of one that ended at once as well.
    Ok(if is_pending || skips {
        NtStatus::PENDING
    } else {
        NtStatus::SUCCESS
    })
}

/// Writes the sockets that had events in front of the others.
fn put(to: Ptr<u8>, info: PollInfo, handles: &[Handle], outcome: &Outcome) -> Result<(), NtStatus> {
    to.cast::<PollInfo>().try_write(PollInfo {
        count: u32::try_from(outcome.ready.len()).unwrap_or(0),
        ..info
    })?;
    for (i, &(at, events)) in outcome.ready.iter().enumerate() {
        handles_of(to).add(i).try_write(PollHandle {
            handle: handles[at],
            events,
            status: NtStatus::SUCCESS,
        })?;
    }
    Ok(())
}

/// `IOCTL_AFD_RECEIVE` and `IOCTL_AFD_RECEIVE_DATAGRAM`.
pub(super) const RECEIVE: u32 = 0x1_2017;
pub(super) const RECEIVE_DATAGRAM: u32 = 0x1_201B;

/// Starts to receive, as libuv does where the provider is Windows' own (`winsock.c`). The status block is that of an `OVERLAPPED`,
/// where the event is found as well.
pub(super) fn receive(
    file: Arc<File>,
    told: Told,
    has_sender: bool,
    (input, length): (Ptr<u8>, u32),
) -> Result<NtStatus, NtStatus> {
    /// `TDI_RECEIVE_PEEK`, and what `recv` calls it.
    const TDI_PEEK: u32 = 0x80;
    const PEEK: i32 = 2;
    /// Most buffers.
    const MOST_BUFFERS: u32 = 1024;
    let least = ReceiveInfo::offset_of("from") + if has_sender { 2 * UserPtr::size() } else { 0 };
    let is_overlapped = told.context.0 == told.block.address() || told.context.0 == 0;
    if (length as usize) < least || !is_overlapped || !told.routine.is_null() {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let number = |name| {
        let at = input.byte_add(ReceiveInfo::offset_of(name) as u64);
        at.cast::<u32>().try_read()
    };
    let (count, flags) = (number("count")?, number("tdi_flags")?);
    if count > MOST_BUFFERS {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let buffers = input.cast::<Ptr<WsaBuffer>>().try_read()?;
    let list: Result<Vec<WsaBuffer>, NtStatus> = (0..count as usize)
        .map(|i| buffers.add(i).try_read())
        .collect();
    let from = if has_sender {
        let info = input.cast::<ReceiveInfo>().try_read()?;
        (info.from, info.from_length)
    } else {
        (Ptr::NULL, Ptr::NULL)
    };
    let flags = if flags & TDI_PEEK != 0 { PEEK } else { 0 };
    probe(told.block)?;
    overlapped::start_receive(file, list?, flags, from, told.block.cast(), Callback(0));
    match crate::teb::last_error() {
        // WSA_IO_PENDING
        997 => Ok(NtStatus::PENDING),
        _ => Err(NtStatus::INSUFFICIENT_RESOURCES),
    }
}
