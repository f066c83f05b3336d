//! A message between the guest's buffer and a slot: host memory, NT-neutral lengths.

use std::cell::Cell;

use ntlpc_abi::{ClientId, NtStatus};
use ntlpc_shm::Tno;
use ntlpc_shm::slot::{CONTINUES, Header, Slot, WANTS_REPLY};
use ntlpc_shm::sys;

use super::queue::Cookie;

/// A captured message on its way out.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Message type to deliver.
    pub message_type: u16,
    /// `DataLength`.
    pub data_len: u16,
    /// `TotalLength` less the header: data and tail padding.
    pub body_len: u16,
    /// Offset of the data-information block in the data, plus one; 0 for none.
    pub data_info: u16,
    /// Header flags of `ntlpc_shm::slot` besides what the sender expects.
    pub flags: u16,
    /// Callback id; 0 for none.
    pub callback_id: u32,
    /// Data, rounded up as it was read from the guest; at least `data_len` bytes.
    pub data: &'a [u8],
    /// What goes with the message besides its data: a record of the personality; empty for none.
    pub record: &'a [u8],
}

/// Where a record lies behind `len` bytes of data: never at 0, which says that there is none.
fn record_offset(len: usize) -> usize {
    len.next_multiple_of(RECORD_ALIGNMENT).max(RECORD_ALIGNMENT)
}

/// Records begin with their length, at a multiple of this.
const RECORD_ALIGNMENT: usize = 8;

impl Outgoing<'_> {
    /// Returns how much room the message takes.
    pub(super) fn payload_len(&self) -> usize {
        if self.record.is_empty() {
            self.data.len()
        } else {
            record_offset(self.data.len()) + RECORD_ALIGNMENT + self.record.len()
        }
    }

    /// Fills a slot this thread is writing; `expected` are the header flags that say what the sender expects.
    #[inline(always)]
    pub(super) fn fill(&self, slot: &Slot<'_>, sender: Tno, expected: u16) {
        let mut attributes = 0;
        if !self.record.is_empty() {
            let at = record_offset(self.data.len());
            slot.write(at, &(self.record.len() as u64).to_le_bytes());
            slot.write(at + RECORD_ALIGNMENT, self.record);
            attributes = at as u32;
        }
        slot.set_header(&Header {
            callback_id: self.callback_id,
            data_len: self.data_len,
            body_len: self.body_len,
            message_type: self.message_type,
            data_info: self.data_info,
            flags: self.flags | expected,
            cpu: sys::current_cpu(),
            attributes,
            sender,
            ..Header::default()
        });
        slot.write(0, self.data);
    }
}

/// Reads the record that `attributes` of a header names; empty if there is none or it is damaged.
pub(super) fn read_record(slot: &Slot<'_>, attributes: u32) -> Vec<u8> {
    let at = attributes as usize;
    let room = slot.capacity().saturating_sub(at + RECORD_ALIGNMENT);
    if at == 0 || room == 0 {
        return Vec::new();
    }
    let mut len = [0; RECORD_ALIGNMENT];
    slot.read(at, &mut len);
    let len = u64::from_le_bytes(len);
    if len > room as u64 {
        return Vec::new();
    }
    let mut record = vec![0; len as usize];
    slot.read(at + RECORD_ALIGNMENT, &mut record);
    record
}

/// Why a message was delivered, and from where.
#[derive(Clone, Debug, Default)]
pub struct Incoming {
    /// Message type.
    pub message_type: u16,
    /// `DataLength`.
    pub data_len: u16,
    /// `TotalLength` less the header.
    pub body_len: u16,
    /// Offset of the data-information block in the data, plus one; 0 for none.
    pub data_info: u16,
    /// Header flags of `ntlpc_shm::slot`.
    pub flags: u16,
    /// Who sent it; for an answer the waiting thread itself or who called back.
    pub client_id: ClientId,
    /// Message id.
    pub message_id: u32,
    /// Callback id; 0 for none.
    pub callback_id: u32,
    /// View size of a connection request.
    pub view_size: u64,
    /// PortContext.
    pub context: u64,
    /// What came with the message besides its data.
    pub record: Vec<u8>,
    /// Source number it came by; 0 for the server's own messages and for answers to waits.
    pub source: u32,
    /// Source number of the connection a message of the server is about.
    pub about: u32,
    /// Thread that sent it, or that it is about; 0 if that is not known.
    pub sender: Tno,
    /// What this end remembers of the conversation the message belongs to.
    pub cookie: Option<Cookie>,
}

/// A message nobody answers (lpc §1.9).
pub(super) const LPC_DATAGRAM: u16 = 3;
/// A message whose sender or receiver went away (alpc §1.1).
pub(super) const LPC_CANCELED: u16 = 12;

impl Incoming {
    /// The sender is gone: what it sent is nothing any more.
    pub(super) fn cancel(&mut self) {
        self.message_type = LPC_CANCELED;
        self.flags = 0;
        self.data_len = 0;
        self.body_len = 0;
        self.record.clear();
    }

    /// Returns whether the sender waits for an answer or expects one.
    #[must_use]
    pub fn wants_answer(&self) -> bool {
        self.flags & (WANTS_REPLY | CONTINUES) != 0
    }
}

/// Data of an incoming message, as long as it was written: `DataLength` rounded up to 4 (lpc §1.10).
pub type Data = Vec<u8>;

/// Reads the data of `slot` into `data`, after checking the lengths a peer wrote.
///
/// # Errors
/// `UNSUCCESSFUL` if they are impossible: the peer is damaged.
#[inline(always)]
pub(super) fn read_data(
    slot: &Slot<'_>,
    data_len: u16,
    body_len: u16,
    data: &mut Data,
) -> Result<(), NtStatus> {
    let len = usize::from(data_len).next_multiple_of(4);
    if data_len > body_len || len > slot.capacity() {
        return Err(NtStatus::UNSUCCESSFUL);
    }
    data.resize(len, 0);
    slot.read(0, data);
    Ok(())
}

thread_local! {
    static SPARE: Cell<Data> = const { Cell::new(Data::new()) };
}

/// Runs `work` with a buffer of this thread, so that a message costs no allocation.
#[inline(always)]
pub fn with_buffer<T>(work: impl FnOnce(&mut Data) -> T) -> T {
    let mut buffer = SPARE.take();
    let result = work(&mut buffer);
    SPARE.set(buffer);
    result
}
