//! The exception port of a process (lpc §4.5, lpc#211–216).

use std::sync::{Arc, OnceLock};

use ntlpc_abi::{Handle, NtStatus, Width};
use ntlpc_proto::port::PortKind;
use ntlpc_proto::process::{OpenExceptionPort, SetExceptionPort};
use ntlpc_shm::segment::{Direction, EndAttributes};

use super::message::width;
use crate::engine::{self, Connection, Data, Incoming, NewPort, Outgoing, Port, Queue, session};
use crate::host;

/// Message type of an exception (lpc §1.9).
const LPC_EXCEPTION: u16 = 7;
/// Offset of ReturnedStatus in the data of a DBGKM message (lpc §1.7).
const RETURNED_STATUS: usize = 4;

/// Makes a port handle the exception port of this process.
///
/// # Errors
/// Handle errors, `PORT_ALREADY_SET` the second time.
pub fn set_exception_port(port: Handle) -> Result<(), NtStatus> {
    let port = host::port(port, 0)?;
    session()?
        .call(&SetExceptionPort { port: port.id }, &[])
        .map(|_| ())
}

static EXCEPTION_PORT: OnceLock<Arc<Port>> = OnceLock::new();

fn exception_port() -> Result<Arc<Port>, NtStatus> {
    if let Some(port) = EXCEPTION_PORT.get() {
        return Ok(Arc::clone(port));
    }
    let session = session()?;
    let (reply, fds) = session.call(&OpenExceptionPort {}, &[])?;
    let mut fds = fds.into_iter();
    let connection = Connection::new(
        session.segment(fds.next())?,
        Direction::ToServer,
        reply.source,
        true,
        0,
    );
    let tickets = session.inbox(fds.next())?;
    let port = Port::new(NewPort {
        id: reply.port,
        kind: PortKind::Client,
        is_alpc: false,
        attributes: EndAttributes::default(),
        connection_port: reply.port,
        max_message: reply.max_message,
        queue: Queue::of_client_port(reply.port, &connection, false, 0),
        tickets,
        connection: Some(connection),
        resources: Arc::default(),
    });
    Ok(Arc::clone(EXCEPTION_PORT.get_or_init(|| port)))
}

/// What becomes of an exception that the exception port was asked about (lpc §4.5, §6.3 Q12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The thread goes on at its context.
    Continue,
    /// It stays unhandled; also without an exception port, or if nobody answered.
    Unhandled,
    /// The thread ends.
    EndThread,
    /// The process ends.
    EndProcess,
}

/// Asks the exception port about an unhandled exception and waits for the verdict. `record` is an `EXCEPTION_RECORD` of this
/// process's width.
pub fn ask(record: &[u8]) -> Verdict {
    match raise(record) {
        Ok(NtStatus::DBG_TERMINATE_THREAD) => Verdict::EndThread,
        Ok(NtStatus::DBG_TERMINATE_PROCESS) => Verdict::EndProcess,
        Ok(NtStatus::DBG_EXCEPTION_NOT_HANDLED) | Err(NtStatus::PORT_NOT_SET) => Verdict::Unhandled,
        // Any other answer that is no error means handled.
        Ok(status) if status.0 >> 30 != 3 => Verdict::Continue,
        Ok(_) => Verdict::Unhandled,
        Err(status) => {
            log::debug!("exception port: {status}");
            Verdict::Unhandled
        }
    }
}

/// Sends an exception to the exception port; returns the ReturnedStatus of the reply.
///
/// # Errors
/// `PORT_NOT_SET` without an exception port; else why nobody answered.
fn raise(record: &[u8]) -> Result<NtStatus, NtStatus> {
    let port = exception_port()?;
    let width = width();
    let mut data = Data::new();
    data.extend_from_slice(&0u32.to_le_bytes()); // ApiNumber: exception
    data.extend_from_slice(&NtStatus::PENDING.0.to_le_bytes());
    data.extend_from_slice(&record[..record.len().min(width.pick(0x50, 0x98))]);
    data.resize(8 + width.pick(0x50, 0x98), 0);
    data.extend_from_slice(&0u32.to_le_bytes()); // second chance
    data.resize(width.pick(0x5C, 0xA8), 0);
    let message = Outgoing {
        message_type: LPC_EXCEPTION,
        data_len: data.len() as u16,
        // TotalLength 0x78 / 0xD0 (lpc#214).
        body_len: match width {
            Width::X86 => 0x78 - 0x18,
            Width::X64 => 0xD0 - 0x28,
        },
        data_info: 0,
        flags: 0,
        data: &data,
        callback_id: 0,
        record: &[],
    };
    let waiting = engine::request(&port, &message)?;
    let mut reply = Data::new();
    engine::wait(&port, &waiting, None, &mut Incoming::default(), &mut reply)?;
    let status = reply
        .get(RETURNED_STATUS..RETURNED_STATUS + 4)
        .and_then(|bytes| bytes.try_into().ok());
    Ok(NtStatus(status.map_or(0, u32::from_le_bytes)))
}
