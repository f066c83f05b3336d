//! `PORT_MESSAGE` of ALPC calls between guest buffers and the engine (alpc §1.1, §2.5).

use ntlpc_abi::layout::{PortMessage, Word};
use ntlpc_abi::{NtStatus, UserPtr, Width, limits};

use crate::engine::{Data, Incoming, Name, Outgoing};
use crate::{capture, guest, host};

/// Message types (alpc §1.1).
pub(super) const LPC_REQUEST: u16 = 1;
pub(super) const LPC_REPLY: u16 = 2;
pub(super) const LPC_DATAGRAM: u16 = 3;
pub(super) const LPC_PORT_CLOSED: u16 = 5;
pub(super) const LPC_CONNECTION_REQUEST: u16 = 10;
pub(super) const LPC_CONNECTION_REPLY: u16 = 11;
pub(super) const LPC_CANCELED: u16 = 12;

/// Type bit of a header in the 32-bit layout, whoever has it (alpc#276).
const HEADER_32: u16 = 0x1000;

/// Returns the width of this process's ALPC structures: that of its pointers, on 64-bit systems too (pe32 §8.1).
pub(super) fn width() -> Width {
    host::personality().guest
}

/// Returns whether this is a 32-bit program on a 64-bit system, whose headers say so.
fn is_wow64() -> bool {
    let personality = host::personality();
    personality.port != personality.guest
}

/// Returns the size of a header.
pub(super) fn header_len() -> usize {
    limits::header(width())
}

/// A captured header and where it was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Message {
    /// The header, copied once.
    pub header: PortMessage,
    at: UserPtr,
}

impl Message {
    /// Captures the header at `at`. A 32-bit program on a 64-bit system says by a bit of the type whether the ids lie
    /// where its own layout has them, or where the 64-bit one has them (alpc#276). A message without a type is new and has
    /// none: data may lie there.
    #[inline(always)]
    pub fn capture(at: UserPtr) -> Result<Message, NtStatus> {
        let mut message = Message::default();
        message.read(at)?;
        Ok(message)
    }

    /// As [`Message::capture`], where the message is to be: one that is moved while its parts are on their way to the cache
    /// waits for them.
    #[inline(always)]
    pub fn read(&mut self, at: UserPtr) -> Result<(), NtStatus> {
        self.at = at;
        self.header = guest::read(at, width())?;
        let header = &mut self.header;
        let is_new = header.message_type & PortMessage::TYPE_MASK == 0;
        if is_wow64() && header.message_type & HEADER_32 == 0 && !is_new {
            let wide: PortMessage = guest::read(at, Width::X64)?;
            header.message_id = wide.message_id;
            header.view_size = wide.view_size;
        }
        Ok(())
    }

    /// Returns what message this is, as a receiver names one it got.
    pub fn name(&self) -> Name {
        let header = &self.header;
        let is_short = header.message_type & HEADER_32 != 0 && width() == Width::X64;
        Name {
            // The 32-bit layout has the id where the 64-bit one has the thread.
            id: if is_short {
                header.client_id.thread
            } else {
                header.message_id
            },
            callback_id: if is_short {
                0
            } else {
                header.view_size.0 as u32
            },
            client_id: header.client_id,
        }
    }

    /// Checks the lengths (alpc §2.5.1 steps 7, 8). A 32-bit program may say more data than there is: it is cut.
    pub fn check_lengths(&mut self) -> Result<(), NtStatus> {
        let header = header_len();
        let total = usize::from(self.header.total_length);
        if total < header {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        if usize::from(self.header.data_length) + header > total {
            if width() == Width::X64 {
                return Err(NtStatus::INVALID_PARAMETER);
            }
            self.header.data_length = (total - header) as u16;
        }
        Ok(())
    }

    /// Checks the length against the port's maximum (alpc §2.5.1 step 9).
    pub fn check_fits(&self, max_message: u32) -> Result<(), NtStatus> {
        if u32::from(self.header.total_length) > max_message {
            return Err(NtStatus::PORT_MESSAGE_TOO_LONG);
        }
        Ok(())
    }

    /// Copies the data, with padding up to the multiple of 4 that slots carry.
    #[inline(always)]
    pub fn read_data(&self, data: &mut Data) -> Result<(), NtStatus> {
        let len = usize::from(self.header.data_length);
        data.resize(len.next_multiple_of(4), 0);
        let (data, padding) = data.split_at_mut(len);
        if !padding.is_empty() {
            padding.fill(0);
        }
        if data.is_empty() {
            return Ok(());
        }
        capture::read(self.at.offset(header_len()), data)
    }

    /// Returns `TotalLength` less the header.
    pub fn body_len(&self) -> u16 {
        self.header.total_length.saturating_sub(header_len() as u16)
    }

    /// Returns the message for the engine.
    pub fn outgoing<'a>(
        &self,
        message_type: u16,
        data: &'a [u8],
        record: &'a [u8],
    ) -> Outgoing<'a> {
        Outgoing {
            message_type,
            data_len: self.header.data_length,
            body_len: self.body_len(),
            data_info: 0,
            flags: 0,
            callback_id: 0,
            data,
            record,
        }
    }
}

/// A buffer for a message: where it is and how much fits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buffer {
    at: UserPtr,
    length_at: UserPtr,
    capacity: Option<u64>,
}

impl Buffer {
    /// Captures the length at `length_at`, and checks that a header can be written. NULL for the length
    /// means that any message fits (alpc §2.5.4); for the buffer, that only the length counts (alpc#87).
    #[inline(always)]
    pub fn capture(at: UserPtr, length_at: UserPtr) -> Result<Buffer, NtStatus> {
        let capacity = match length_at.is_null() {
            true => None,
            false => Some(guest::read_word(length_at)?),
        };
        let has_header = capacity.is_none_or(|capacity| capacity >= header_len() as u64);
        if !at.is_null() && has_header {
            guest::probe_write(at, header_len())?;
        }
        Ok(Buffer {
            at,
            length_at,
            capacity,
        })
    }

    /// Returns a buffer any message fits into.
    pub fn unlimited(at: UserPtr) -> Buffer {
        Buffer {
            at,
            length_at: UserPtr::NULL,
            capacity: None,
        }
    }

    /// Returns how many bytes beyond the header fit; negative if not even that does.
    pub fn room(&self) -> i64 {
        self.capacity.map_or(i64::MAX, |capacity| {
            i64::try_from(capacity).unwrap_or(i64::MAX) - header_len() as i64
        })
    }

    /// Returns how many bytes a message may have here; only the header if nothing was said.
    pub fn len(&self) -> usize {
        let capacity = self.capacity.unwrap_or(header_len() as u64);
        usize::try_from(capacity).unwrap_or(usize::MAX)
    }

    /// Writes how long a message of `body_len` bytes is.
    pub fn write_length(&self, body_len: u16) -> Result<(), NtStatus> {
        if self.length_at.is_null() {
            return Ok(());
        }
        guest::write_word(self.length_at, header_len() as u64 + u64::from(body_len))
    }

    /// Fills the buffer with zeros: what a cancelled request leaves (alpc#183).
    pub fn clear(&self) -> Result<(), NtStatus> {
        let zeros = vec![0; self.len().min(limits::ALPC_MAX_TOTAL)];
        capture::write(self.at, &zeros)
    }

    /// Writes a received message. Requests and connection requests say that they want an answer.
    #[inline(always)]
    pub fn deliver(&self, incoming: &Incoming, data: &[u8]) -> Result<(), NtStatus> {
        if self.at.is_null() {
            return Ok(());
        }
        let header = header_len();
        let continues = incoming.wants_answer() || incoming.message_type == LPC_CONNECTION_REQUEST;
        let layout = if is_wow64() { HEADER_32 } else { 0 };
        let message = PortMessage {
            data_length: incoming.data_len,
            total_length: incoming.body_len.saturating_add(header as u16),
            message_type: layout
                | incoming.message_type
                | if continues {
                    PortMessage::CONTINUATION_REQUIRED
                } else {
                    0
                },
            data_info_offset: match incoming.data_info {
                0 => 0,
                offset => offset - 1 + header as u16,
            },
            client_id: incoming.client_id,
            message_id: incoming.message_id,
            view_size: match incoming.message_type {
                LPC_CONNECTION_REQUEST => Word(incoming.view_size),
                _ => Word(u64::from(incoming.callback_id)),
            },
        };
        guest::write(self.at, width(), &message)?;
        let data = data.get(..usize::from(incoming.data_len)).unwrap_or(data);
        if data.is_empty() {
            return Ok(());
        }
        capture::write(self.at.offset(header), data)
    }
}
