//! Security contexts, and the SECURITY attribute (alpc §2.13).

use ntlpc_abi::{CallId, Handle, NtStatus, UserPtr};

use super::not_implemented;

pub(crate) fn nt_alpc_create_security_context(
    _port_handle: Handle,
    _flags: u32,
    _security_attribute: UserPtr,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcCreateSecurityContext)
}

pub(crate) fn nt_alpc_delete_security_context(
    _port_handle: Handle,
    _flags: u32,
    _context_handle: Handle,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcDeleteSecurityContext)
}

pub(crate) fn nt_alpc_revoke_security_context(
    _port_handle: Handle,
    _flags: u32,
    _context_handle: Handle,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcRevokeSecurityContext)
}
