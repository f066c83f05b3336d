//! NtAlpcDisconnectPort (alpc §2.6).

use ntlpc_abi::{CallId, Handle, NtStatus};

use super::not_implemented;

pub(crate) fn nt_alpc_disconnect_port(_port_handle: Handle, _flags: u32) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcDisconnectPort)
}
