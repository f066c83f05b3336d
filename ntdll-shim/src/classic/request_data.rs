//! NtReadRequestData, NtWriteRequestData (lpc §2.15). The server copies between the processes.

use ntlpc_abi::{Handle, NtStatus, UserPtr};
use ntlpc_proto::Bytes;
use ntlpc_proto::frame::MAX_DATA_BYTES;
use ntlpc_proto::port::{ReadData, Target, WriteData};

use super::impersonate::target;
use super::message::Message;
use crate::capture;
use crate::engine::session;
use crate::guest;
use crate::host::{self, PORT_ALL_ACCESS};

/// What both calls check before anything is copied.
struct Transfer {
    port: u64,
    target: Target,
    index: u32,
    len: u64,
}

impl Transfer {
    fn begin(
        port_handle: Handle,
        message: UserPtr,
        index: u32,
        len: u64,
    ) -> Result<Transfer, NtStatus> {
        let message = Message::capture(message)?;
        if message.header.data_info_offset == 0 {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let port = host::port(port_handle, PORT_ALL_ACCESS)?;
        let transfer = Transfer {
            port: port.id,
            target: target(&port, message.target()),
            index,
            len,
        };
        // Reading nothing at the end checks the whole length before the first piece is copied.
        transfer.read(len, 0)?;
        Ok(transfer)
    }

    fn read(&self, offset: u64, len: u32) -> Result<Vec<u8>, NtStatus> {
        let request = ReadData {
            port: self.port,
            target: self.target.clone(),
            index: self.index,
            offset,
            len,
        };
        Ok(session()?.call(&request, &[])?.0.bytes.0)
    }

    fn write(&self, offset: u64, bytes: Vec<u8>) -> Result<u64, NtStatus> {
        let bytes = Bytes(bytes);
        let request = WriteData {
            port: self.port,
            target: self.target.clone(),
            index: self.index,
            offset,
            bytes,
        };
        Ok(u64::from(session()?.call(&request, &[])?.0.written))
    }

    /// Copies piece by piece; `step` returns how many bytes of a piece it copied. A short piece ends the transfer.
    fn run(
        &self,
        returned: UserPtr,
        mut step: impl FnMut(u64, u32) -> Result<u64, NtStatus>,
    ) -> Result<(), NtStatus> {
        let mut done = 0;
        let mut result = Ok(());
        while done < self.len && result.is_ok() {
            let piece = (self.len - done).min(MAX_DATA_BYTES as u64) as u32;
            match step(done, piece) {
                Ok(copied) => {
                    done += copied;
                    if copied < u64::from(piece) {
                        result = Err(NtStatus::PARTIAL_COPY);
                    }
                }
                Err(status) => result = Err(status),
            }
        }
        if !returned.is_null() {
            // A fault here is ignored (lpc §2.15).
            let _ = guest::write_word(returned, done);
        }
        result
    }
}

pub(crate) fn nt_read_request_data(
    port_handle: Handle,
    message: UserPtr,
    index: u32,
    buffer: UserPtr,
    length: u64,
    returned: UserPtr,
) -> Result<(), NtStatus> {
    if length != 0 {
        guest::probe_write(
            buffer,
            usize::try_from(length).map_err(|_| NtStatus::ACCESS_VIOLATION)?,
        )?;
    }
    let transfer = Transfer::begin(port_handle, message, index, length)?;
    transfer.run(returned, |offset, len| {
        let bytes = transfer.read(offset, len)?;
        capture::write(buffer.offset(offset as usize), &bytes)?;
        Ok(bytes.len() as u64)
    })
}

pub(crate) fn nt_write_request_data(
    port_handle: Handle,
    message: UserPtr,
    index: u32,
    buffer: UserPtr,
    length: u64,
    returned: UserPtr,
) -> Result<(), NtStatus> {
    if length != 0 {
        let mut byte = [0];
        capture::read(buffer, &mut byte)?;
        capture::read(UserPtr(buffer.0.wrapping_add(length - 1)), &mut byte)?;
    }
    let transfer = Transfer::begin(port_handle, message, index, length)?;
    transfer.run(returned, |offset, len| {
        let mut bytes = vec![0; len as usize];
        capture::read(buffer.offset(offset as usize), &mut bytes)?;
        transfer.write(offset, bytes)
    })
}
