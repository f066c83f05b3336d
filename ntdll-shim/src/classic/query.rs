//! NtQueryInformationPort (lpc §2.16): no class returned data on NT 4 to 2003.

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use crate::{guest, host};

/// What GENERIC_READ means for a port (lpc#36).
const PORT_READ: u32 = 0x0002_0001;

pub(crate) fn nt_query_information_port(
    port_handle: Handle,
    _class: u32,
    buffer: UserPtr,
    length: u32,
    return_length: UserPtr,
) -> Result<(), NtStatus> {
    if length != 0 {
        guest::probe_write(buffer, length as usize)?;
    }
    if !return_length.is_null() {
        guest::probe_write(return_length, 4)?;
    }
    if port_handle == Handle::NULL {
        return Err(NtStatus::INVALID_INFO_CLASS);
    }
    host::port(port_handle, PORT_READ).map(|_| ())
}
