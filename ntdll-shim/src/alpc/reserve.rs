//! Resource reserves (alpc §2.12).

use ntlpc_abi::{CallId, Handle, NtStatus, UserPtr};

use super::not_implemented;

pub(crate) fn nt_alpc_create_resource_reserve(
    _port_handle: Handle,
    _flags: u32,
    _message_size: u64,
    _resource_id: UserPtr,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcCreateResourceReserve)
}

pub(crate) fn nt_alpc_delete_resource_reserve(
    _port_handle: Handle,
    _flags: u32,
    _resource_id: u32,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcDeleteResourceReserve)
}
