//! Port sections (alpc §2.10).

use ntlpc_abi::{CallId, Handle, NtStatus, UserPtr};

use super::not_implemented;

pub(crate) fn nt_alpc_create_port_section(
    _port_handle: Handle,
    _flags: u32,
    _section: Handle,
    _size: u64,
    _alpc_section: UserPtr,
    _actual_size: UserPtr,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcCreatePortSection)
}

pub(crate) fn nt_alpc_delete_port_section(
    _port_handle: Handle,
    _flags: u32,
    _alpc_section: Handle,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcDeletePortSection)
}
