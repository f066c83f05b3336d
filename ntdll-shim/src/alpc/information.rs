//! NtAlpcQueryInformation, NtAlpcSetInformation (alpc §2.8).

use ntlpc_abi::{CallId, Handle, NtStatus, UserPtr};

use super::not_implemented;

pub(crate) fn nt_alpc_query_information(
    _port_handle: Handle,
    _class: u32,
    _buffer: UserPtr,
    _length: u32,
    _return_length: UserPtr,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcQueryInformation)
}

pub(crate) fn nt_alpc_set_information(
    _port_handle: Handle,
    _class: u32,
    _buffer: UserPtr,
    _length: u32,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcSetInformation)
}

/// Returns the number 1 (alpc#343), not a status.
pub(crate) fn nt_query_port_information_process() -> Result<(), NtStatus> {
    Err(NtStatus::WAIT_1)
}
