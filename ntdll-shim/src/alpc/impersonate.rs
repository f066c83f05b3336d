//! NtAlpcImpersonateClientOfPort, NtAlpcImpersonateClientContainerOfPort (alpc §2.14).

use ntlpc_abi::{CallId, Handle, NtStatus, UserPtr};

use super::not_implemented;

pub(crate) fn nt_alpc_impersonate_client_of_port(
    _port_handle: Handle,
    _message: UserPtr,
    _flags: u64,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcImpersonateClientOfPort)
}

pub(crate) fn nt_alpc_impersonate_client_container_of_port(
    _port_handle: Handle,
    _message: UserPtr,
    _flags: u32,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcImpersonateClientContainerOfPort)
}
