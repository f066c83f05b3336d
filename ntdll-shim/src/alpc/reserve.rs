//! Resource reserves (alpc §2.12).

use ntlpc_abi::{Handle, NtStatus, UserPtr, Width, limits};

use crate::guest;
use crate::host::{self, PORT_ALL_ACCESS};

/// Smallest and largest `MessageSize`: the header of a 64-bit message, and what fits behind it, for any caller (alpc#255–257).
const SMALLEST: u64 = limits::header(Width::X64) as u64;
const LARGEST: u64 = limits::ALPC_MAX_TOTAL as u64 - SMALLEST;

pub(crate) fn nt_alpc_create_resource_reserve(
    port_handle: Handle,
    flags: u32,
    message_size: u64,
    resource_id: UserPtr,
) -> Result<(), NtStatus> {
    if flags != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    guest::probe_write(resource_id, size_of::<u32>())?;
    let port = host::port(port_handle, PORT_ALL_ACCESS)?;
    if message_size < SMALLEST {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    if message_size > LARGEST {
        return Err(NtStatus::BUFFER_OVERFLOW);
    }
    let number = port.resources.add_reserve(message_size as u32);
    let written = guest::write_u32(resource_id, number);
    if written.is_err() {
        port.resources.remove_reserve(number)?;
    }
    written
}

pub(crate) fn nt_alpc_delete_resource_reserve(
    port_handle: Handle,
    flags: u32,
    resource_id: u32,
) -> Result<(), NtStatus> {
    if flags != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let port = host::port(port_handle, PORT_ALL_ACCESS)?;
    port.resources.remove_reserve(resource_id)
}
