//! NtAlpcCancelMessage (alpc §2.7).

use ntlpc_abi::{CallId, Handle, NtStatus, UserPtr};

use super::not_implemented;

pub(crate) fn nt_alpc_cancel_message(
    _port_handle: Handle,
    _flags: u32,
    _message_context: UserPtr,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcCancelMessage)
}
