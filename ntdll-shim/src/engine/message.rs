//! A message between the guest's buffer and a slot: host memory, NT-neutral lengths.

use ntlpc_abi::{ClientId, NtStatus};
use ntlpc_shm::slot::{Header, Slot};
use ntlpc_shm::sys;

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
    /// Header flags of `ntlpc_shm::slot`.
    pub flags: u16,
    /// Data, rounded up as it was read from the guest; at least `data_len` bytes.
    pub data: &'a [u8],
}

impl Outgoing<'_> {
    /// Fills a slot this thread is writing.
    pub(super) fn fill(&self, slot: &Slot<'_>, sender: ntlpc_shm::Tno) {
        slot.set_header(&Header {
            data_len: self.data_len,
            body_len: self.body_len,
            message_type: self.message_type,
            data_info: self.data_info,
            flags: self.flags,
            cpu: sys::current_cpu(),
            sender,
            ..Header::default()
        });
        slot.write(0, self.data);
    }
}

/// Why a message was delivered, and from where.
#[derive(Clone, Copy, Debug, Default)]
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
}

/// Data of an incoming message, as long as it was written: `DataLength` rounded up to 4 (lpc §1.10).
pub type Data = Vec<u8>;

/// Reads the data of `slot` into `data`, after checking the lengths a peer wrote.
///
/// # Errors
/// `UNSUCCESSFUL` if they are impossible: the peer is damaged.
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
