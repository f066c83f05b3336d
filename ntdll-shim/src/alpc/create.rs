//! NtAlpcCreatePort (alpc §2.1).

use ntlpc_abi::{CallId, NtStatus, UserPtr};

use super::not_implemented;

pub(crate) fn nt_alpc_create_port(
    _port_handle: UserPtr,
    _object_attributes: UserPtr,
    _port_attributes: UserPtr,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcCreatePort)
}
