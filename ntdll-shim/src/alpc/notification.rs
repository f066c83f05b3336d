//! Classes of NtAlpcSetInformation that say how a port tells of its messages (alpc §1.6, §2.8, §2.17), and the helpers
//! that are made of them.

use std::sync::Arc;

use ntlpc_abi::layout::{AlpcAssociateCompletionPort, AlpcCompletionListInformation, Layout};
use ntlpc_abi::{Handle, NtStatus, UserPtr};
use ntlpc_proto::port::PortKind;

use super::list::{self, Wanted};
use super::message::width;
use crate::dispatch::Fault;
use crate::engine::Port;
use crate::guest;
use crate::host::{self, PORT_ALL_ACCESS};

/// Class 2: packets go to a completion port (alpc#294–299).
pub(super) fn associate_completion_port(
    port: &Arc<Port>,
    buffer: UserPtr,
    length: u32,
) -> Result<(), NtStatus> {
    let wanted: AlpcAssociateCompletionPort = exact(buffer, length)?;
    check_receives(port)?;
    let completion = host::current().completion_port(wanted.port)?;
    port.queue
        .notifier
        .set_completion_port(&port.queue, completion, wanted.key.0)
}

/// Class 6 (alpc#307–311).
pub(super) fn register_completion_list(
    port: &Arc<Port>,
    buffer: UserPtr,
    length: u32,
) -> Result<(), NtStatus> {
    let wanted: AlpcCompletionListInformation = exact(buffer, length)?;
    register(
        port,
        Wanted {
            base: wanted.buffer,
            size: wanted.size,
            concurrency: wanted.concurrency,
            attribute_flags: wanted.attributes,
        },
    )
}

/// Only a connection port has a list (alpc §2.17).
fn register(port: &Arc<Port>, wanted: Wanted) -> Result<(), NtStatus> {
    if !matches!(port.kind, PortKind::Connection | PortKind::Unconnected) {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    list::register(port, wanted)
}

/// Class 7 (alpc#328).
pub(super) fn unregister_completion_list(port: &Port, length: u32) -> Result<(), NtStatus> {
    check_empty(length)?;
    list::unregister(port)
}

/// Class 8 (alpc#326).
pub(super) fn adjust_concurrency_count(
    port: &Port,
    buffer: UserPtr,
    length: u32,
) -> Result<(), NtStatus> {
    if length as usize != size_of::<u32>() {
        return Err(NtStatus::INFO_LENGTH_MISMATCH);
    }
    list::adjust(port, guest::read_u32(buffer)?)
}

/// Class 10 (alpc#327).
pub(super) fn run_down_completion_list(port: &Port, length: u32) -> Result<(), NtStatus> {
    check_empty(length)?;
    list::run_down(port)
}

/// Reads a structure whose length was given exactly.
fn exact<T: Layout>(buffer: UserPtr, length: u32) -> Result<T, NtStatus> {
    if length as usize != T::size(width()) {
        return Err(NtStatus::INFO_LENGTH_MISMATCH);
    }
    guest::read(buffer, width())
}

fn check_empty(length: u32) -> Result<(), NtStatus> {
    match length {
        0 => Ok(()),
        _ => Err(NtStatus::INFO_LENGTH_MISMATCH),
    }
}

/// A server communication port receives from its connection port, which has the packets.
fn check_receives(port: &Port) -> Result<(), NtStatus> {
    match port.kind {
        PortKind::Server => Err(NtStatus::INVALID_PARAMETER),
        _ => Ok(()),
    }
}

fn status_of(outcome: Result<(), NtStatus>) -> Result<NtStatus, Fault> {
    Ok(outcome.err().unwrap_or(NtStatus::SUCCESS))
}

fn port(handle: Handle) -> Result<Arc<Port>, NtStatus> {
    host::port(handle, PORT_ALL_ACCESS)
}

pub(crate) fn alpc_register_completion_list(
    port_handle: Handle,
    list: UserPtr,
    size: u32,
    concurrency: u32,
    attribute_flags: u32,
) -> Result<NtStatus, Fault> {
    let wanted = Wanted {
        base: list,
        size,
        concurrency,
        attribute_flags,
    };
    status_of(port(port_handle).and_then(|port| register(&port, wanted)))
}

pub(crate) fn alpc_unregister_completion_list(port_handle: Handle) -> Result<NtStatus, Fault> {
    status_of(port(port_handle).and_then(|port| list::unregister(&port)))
}

pub(crate) fn alpc_rundown_completion_list(port_handle: Handle) -> Result<NtStatus, Fault> {
    status_of(port(port_handle).and_then(|port| list::run_down(&port)))
}

pub(crate) fn alpc_adjust_completion_list_concurrency_count(
    port_handle: Handle,
    concurrency: u32,
) -> Result<NtStatus, Fault> {
    status_of(port(port_handle).and_then(|port| list::adjust(&port, concurrency)))
}
