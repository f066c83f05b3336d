//! NtAlpcQueryInformation, NtAlpcSetInformation, NtQueryPortInformationProcess (alpc §1.6, §2.8).
//!
//! The handle comes first, then the class, then the length, then the buffer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ntlpc_abi::layout::{
    AlpcBasicInformation, AlpcMessageZone, AlpcPortAttributes, AlpcServerInformation,
    AlpcServerSessionInformation, Layout, Word,
};
use ntlpc_abi::{Handle, NtStatus, UserPtr, Width};
use ntlpc_proto::port::{PortKind, QueryBlocked, QueryServer, QueryServerReply};
use ntlpc_shm::segment::Connecting;

use super::message::width;
use super::port::PortAttributes;
use super::{notification, references};
use crate::engine::{Port, session};
use crate::host::PORT_ALL_ACCESS;
use crate::{guest, host};

/// Classes of NtAlpcQueryInformation and NtAlpcSetInformation.
const BASIC: u32 = 0;
const PORT: u32 = 1;
const ASSOCIATE_COMPLETION_PORT: u32 = 2;
const CONNECTED_SID: u32 = 3;
const SERVER: u32 = 4;
const MESSAGE_ZONE: u32 = 5;
const REGISTER_COMPLETION_LIST: u32 = 6;
const UNREGISTER_COMPLETION_LIST: u32 = 7;
const ADJUST_CONCURRENCY_COUNT: u32 = 8;
const REGISTER_CALLBACK: u32 = 9;
const COMPLETION_LIST_RUNDOWN: u32 = 10;
const WAIT_FOR_PORT_REFERENCES: u32 = 11;
const SERVER_SESSION: u32 = 12;

/// Session of every process: there is one, and tokens say the same.
const SESSION: u32 = 1;

/// `ALPC_PORTFLG_LPC_MODE`: a classic call made the port.
const LPC_MODE: u32 = 0x1000;

pub(crate) fn nt_alpc_query_information(
    port_handle: Handle,
    class: u32,
    buffer: UserPtr,
    length: u32,
    return_length: UserPtr,
) -> Result<(), NtStatus> {
    match class {
        // This class is about a thread; a port may be named and is not looked at.
        SERVER => query_server(port_handle, buffer, length, return_length),
        BASIC => query_basic(&*port(port_handle)?, buffer, length, return_length),
        CONNECTED_SID => query_connected_sid(&*port(port_handle)?, buffer, length),
        WAIT_FOR_PORT_REFERENCES => {
            references::wait_for_port_references(&*port(port_handle)?, buffer, length)
        }
        SERVER_SESSION => query_session(&*port(port_handle)?, buffer, length, return_length),
        _ => {
            port(port_handle)?;
            Err(NtStatus::INVALID_INFO_CLASS)
        }
    }
}

pub(crate) fn nt_alpc_set_information(
    port_handle: Handle,
    class: u32,
    buffer: UserPtr,
    length: u32,
) -> Result<(), NtStatus> {
    let port = port(port_handle)?;
    match class {
        PORT => set_port(&port, buffer, length),
        ASSOCIATE_COMPLETION_PORT => notification::associate_completion_port(&port, buffer, length),
        MESSAGE_ZONE => set_message_zone(buffer, length),
        REGISTER_COMPLETION_LIST => notification::register_completion_list(&port, buffer, length),
        UNREGISTER_COMPLETION_LIST => notification::unregister_completion_list(&port, length),
        ADJUST_CONCURRENCY_COUNT => notification::adjust_concurrency_count(&port, buffer, length),
        COMPLETION_LIST_RUNDOWN => notification::run_down_completion_list(&port, length),
        // Callback objects are the kernel's (phnt `ALPC_REGISTER_CALLBACK`; alpc#305).
        REGISTER_CALLBACK => Err(NtStatus::ACCESS_DENIED),
        _ => Err(NtStatus::INVALID_INFO_CLASS),
    }
}

/// Returns the number 1 (alpc#343), not a status.
pub(crate) fn nt_query_port_information_process() -> Result<(), NtStatus> {
    Err(NtStatus::WAIT_1)
}

fn port(handle: Handle) -> Result<Arc<Port>, NtStatus> {
    host::port(handle, PORT_ALL_ACCESS)
}

/// Writes how many bytes a query gives, if the caller wants to know.
fn write_return_length(at: UserPtr, len: usize) -> Result<(), NtStatus> {
    if at.is_null() {
        return Ok(());
    }
    guest::write_u32(at, len as u32)
}

fn query_basic(
    port: &Port,
    buffer: UserPtr,
    length: u32,
    return_length: UserPtr,
) -> Result<(), NtStatus> {
    let size = AlpcBasicInformation::size(width());
    write_return_length(return_length, size)?;
    if (length as usize) < size {
        return Err(NtStatus::INFO_LENGTH_MISMATCH);
    }
    let mode = if port.is_alpc { 0 } else { LPC_MODE };
    let basic = AlpcBasicInformation {
        flags: port.attributes().flags | mode,
        sequence: port.sequence.load(Ordering::Relaxed),
        context: Word(port.context()),
    };
    guest::write(buffer, width(), &basic)
}

/// Tells whether the server of a client's connection is a user (class 3).
fn query_connected_sid(port: &Port, buffer: UserPtr, length: u32) -> Result<(), NtStatus> {
    /// The fixed part of a SID, and a sub-authority (public `winnt.h`).
    const FIXED: u32 = 8;
    const SUB_AUTHORITY: u32 = 4;
    if length < FIXED {
        return Err(NtStatus::INFO_LENGTH_MISMATCH);
    }
    let mut head = [0; 2];
    host::current().read(buffer, &mut head)?;
    if length < FIXED + u32::from(head[1]) * SUB_AUTHORITY {
        return Err(NtStatus::INFO_LENGTH_MISMATCH);
    }
    let wanted = guest::sid(buffer)?;
    if server(port)?.user.0 != wanted {
        return Err(NtStatus::SERVER_SID_MISMATCH);
    }
    Ok(())
}

/// Tells which process the server of a client's connection is (class 12).
fn query_session(
    port: &Port,
    buffer: UserPtr,
    length: u32,
    return_length: UserPtr,
) -> Result<(), NtStatus> {
    let size = AlpcServerSessionInformation::size(width());
    write_return_length(return_length, size)?;
    if (length as usize) < size {
        return Err(NtStatus::INFO_LENGTH_MISMATCH);
    }
    let information = AlpcServerSessionInformation {
        session: SESSION,
        process: server(port)?.pid,
    };
    guest::write(buffer, width(), &information)
}

/// Asks who the server of a client's connection is.
fn server(port: &Port) -> Result<QueryServerReply, NtStatus> {
    if port.kind != PortKind::Client {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let segment = &port.connection()?.segment;
    if segment.connecting() != Connecting::Accepted || segment.is_closed() {
        return Err(NtStatus::PORT_DISCONNECTED);
    }
    Ok(session()?.call(&QueryServer { port: port.id }, &[])?.0)
}

/// Tells what a thread that waits for an answer waits for (alpc#300–302).
fn query_server(
    port_handle: Handle,
    buffer: UserPtr,
    length: u32,
    return_length: UserPtr,
) -> Result<(), NtStatus> {
    let host = host::current();
    if port_handle != Handle::NULL {
        port(port_handle)?;
    }
    let size = AlpcServerInformation::size(width());
    if (length as usize) < host.personality().guest.pointer() {
        write_return_length(return_length, size)?;
        return Err(NtStatus::INFO_LENGTH_MISMATCH);
    }
    let id = host.thread_id(Handle(guest::read_word(buffer)?))?;
    let request = QueryBlocked {
        pid: id.process,
        tid: id.thread,
    };
    let (reply, _) = session()?.call(&request, &[])?;
    let mut text: Vec<u8> = reply
        .name
        .0
        .iter()
        .flat_map(|unit| unit.to_le_bytes())
        .collect();
    let name_len = text.len() as u16;
    if reply.is_blocked {
        text.extend_from_slice(&[0, 0]);
    }
    let needed = size + text.len();
    write_return_length(return_length, needed)?;
    if (length as usize) < needed {
        return Err(NtStatus::INFO_LENGTH_MISMATCH);
    }
    let information = AlpcServerInformation {
        blocked: u8::from(reply.is_blocked),
        process: Word(u64::from(reply.server_pid)),
        name_length: name_len,
        name_maximum: text.len() as u16,
        name: if text.is_empty() {
            UserPtr::NULL
        } else {
            buffer.offset(size)
        },
    };
    guest::write(buffer, width(), &information)?;
    if text.is_empty() {
        return Ok(());
    }
    host.write(buffer.offset(size), &text)
}

/// Changes the attributes of a port. A 64-bit program gives exactly the structure (alpc#287, alpc#288).
fn set_port(port: &Port, buffer: UserPtr, length: u32) -> Result<(), NtStatus> {
    let size = AlpcPortAttributes::size(width());
    let fits = match width() {
        Width::X64 => length as usize == size,
        Width::X86 => length as usize >= size,
    };
    if !fits {
        return Err(NtStatus::INFO_LENGTH_MISMATCH);
    }
    if buffer.is_null() {
        return Err(NtStatus::ACCESS_VIOLATION);
    }
    let attributes = PortAttributes::capture(buffer)?;
    port.set_attributes(attributes.for_peer());
    port.resources.set_limits(attributes.limits());
    Ok(())
}

/// Takes a message zone away; there are none to give (alpc#289).
fn set_message_zone(buffer: UserPtr, length: u32) -> Result<(), NtStatus> {
    let size = AlpcMessageZone::size(width());
    let length = length as usize;
    match width() {
        Width::X64 if length != size => return Err(NtStatus::INVALID_PARAMETER),
        Width::X86 if length < size => return Err(NtStatus::INFO_LENGTH_MISMATCH),
        _ => {}
    }
    let zone: AlpcMessageZone = guest::read(buffer, width())?;
    if !zone.buffer.is_null() || zone.size != 0 {
        log::warn!(
            "AlpcMessageZoneInformation: a zone of {:#x} bytes is refused",
            zone.size
        );
        return Err(NtStatus::NOT_SUPPORTED);
    }
    Ok(())
}
