//! `PORT_MESSAGE` between guest buffers and the engine (lpc §1.1, §2.0.4–2.0.9).

use ntlpc_abi::layout::{Layout, PortDataInformation, PortMessage, Word};
use ntlpc_abi::limits;
use ntlpc_abi::{NtStatus, UserPtr, Width};
use ntlpc_shm::slot::NO_IMPERSONATE;

use crate::engine::{Data, Incoming, LPC_REQUEST, Outgoing, Port, To};
use crate::{capture, guest, host};

/// Alignment of a message pointer in bytes (lpc §2.0.9).
pub(super) const ALIGNMENT: u64 = 4;

/// `LPC_REPLY` and `LPC_DATAGRAM` (lpc §1.9).
pub(super) const LPC_REPLY: u16 = 2;
pub(super) const LPC_DATAGRAM: u16 = 3;
pub(super) const LPC_CONNECTION_REQUEST: u16 = 10;

/// Returns the width of this process's port structures.
pub(super) fn width() -> Width {
    host::personality().port
}

/// A captured header and where it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    /// The header, copied once.
    pub header: PortMessage,
    at: UserPtr,
    width: Width,
}

impl Message {
    /// Captures the header at `at` (lpc §2.0.6 a).
    pub fn capture(at: UserPtr) -> Result<Message, NtStatus> {
        guest::check_aligned(at, ALIGNMENT)?;
        let width = width();
        Ok(Message {
            header: guest::read(at, width)?,
            at,
            width,
        })
    }

    /// Checks the lengths against each other (lpc §2.0.6 b).
    pub fn check_lengths(&self) -> Result<(), NtStatus> {
        let needed = limits::header(self.width) + usize::from(self.header.data_length);
        if needed > usize::from(self.header.total_length) {
            Err(NtStatus::INVALID_PARAMETER)
        } else {
            Ok(())
        }
    }

    /// Checks the length against the port's maximum (lpc §2.0.6 e).
    pub fn check_fits(&self, port: &Port) -> Result<(), NtStatus> {
        if u32::from(self.header.total_length) > port.max_message {
            Err(NtStatus::PORT_MESSAGE_TOO_LONG)
        } else {
            Ok(())
        }
    }

    /// Returns the thread and message a reply names.
    pub fn target(&self) -> To {
        To {
            client_id: self.header.client_id,
            message_id: self.header.message_id,
        }
    }

    /// Returns the base type, without flags.
    pub fn base_type(&self) -> u16 {
        self.header.message_type & !(PortMessage::KERNEL_MODE | PortMessage::NO_IMPERSONATE)
    }

    /// Checks the data-information block (lpc §1.5) and returns how many bytes after the header reach to its end.
    pub fn check_data_info(&self) -> Result<usize, NtStatus> {
        let offset = usize::from(self.header.data_info_offset);
        if offset == 0 {
            return Ok(0);
        }
        let (total, header) = (
            usize::from(self.header.total_length),
            limits::header(self.width),
        );
        let minimum = PortDataInformation::size(self.width);
        if offset < header || offset + minimum > total {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let count = guest::read_u32(self.at.offset(offset))? as usize;
        let entry = self.width.pick(8, 16);
        let entries = count
            .checked_mul(entry)
            .ok_or(NtStatus::INVALID_PARAMETER)?;
        let end = entries
            .checked_add(offset + self.width.pick(4, 8))
            .ok_or(NtStatus::INVALID_PARAMETER)?;
        if end > total {
            Err(NtStatus::INVALID_PARAMETER)
        } else {
            Ok(end - header)
        }
    }

    /// Copies the data into `data`: `DataLength` rounded up to 4 (lpc §1.10), or as far as `at_least` bytes.
    #[inline(always)]
    pub fn read_data(&self, at_least: usize, data: &mut Data) -> Result<(), NtStatus> {
        let len = usize::from(self.header.data_length)
            .next_multiple_of(4)
            .max(at_least);
        data.resize(len, 0);
        if len == 0 {
            return Ok(());
        }
        capture::read(self.at.offset(limits::header(self.width)), data)
    }

    /// Returns the message for the engine.
    pub fn outgoing<'a>(
        &self,
        message_type: u16,
        with_data_info: bool,
        data: &'a [u8],
    ) -> Outgoing<'a> {
        let header = limits::header(self.width);
        let is_unimpersonable = self.header.message_type & PortMessage::NO_IMPERSONATE != 0;
        Outgoing {
            message_type,
            data_len: self.header.data_length,
            body_len: self.header.total_length - header as u16,
            data_info: match self.header.data_info_offset {
                offset if with_data_info && offset != 0 => offset - header as u16 + 1,
                _ => 0,
            },
            flags: if is_unimpersonable && message_type == LPC_REQUEST {
                NO_IMPERSONATE
            } else {
                0
            },
            callback_id: 0,
            data,
            record: &[],
        }
    }
}

/// Checks that a received message can be written: its header at least (lpc#153).
#[inline(always)]
pub(super) fn probe_receive(at: UserPtr) -> Result<(), NtStatus> {
    guest::check_aligned(at, ALIGNMENT)?;
    guest::probe_write(at, limits::header(width()))
}

/// Writes a received message: header as lpc §2.0.4 says, then the data.
#[inline(always)]
pub(super) fn deliver(at: UserPtr, incoming: &Incoming, data: &[u8]) -> Result<(), NtStatus> {
    let width = width();
    let header = limits::header(width) as u16;
    let view_or_callback = if incoming.message_type == LPC_CONNECTION_REQUEST {
        incoming.view_size
    } else {
        u64::from(incoming.callback_id)
    };
    let message = PortMessage {
        data_length: incoming.data_len,
        total_length: incoming.body_len.saturating_add(header),
        message_type: incoming.message_type,
        data_info_offset: if incoming.data_info == 0 {
            0
        } else {
            incoming.data_info - 1 + header
        },
        client_id: incoming.client_id,
        message_id: incoming.message_id,
        view_size: Word(view_or_callback),
    };
    guest::write(at, width, &message)?;
    // Messages are copied in multiples of 4, connection information exactly (lpc §1.10).
    let data = match incoming.message_type {
        LPC_CONNECTION_REQUEST => &data[..usize::from(incoming.data_len)],
        _ => data,
    };
    if data.is_empty() {
        return Ok(());
    }
    capture::write(at.offset(usize::from(header)), data)
}
