//! NtAlpcSendWaitReceivePort (alpc §2.5).

use ntlpc_abi::{CallId, Handle, NtStatus, UserPtr};

use super::not_implemented;

pub(crate) fn nt_alpc_send_wait_receive_port(
    _port_handle: Handle,
    _flags: u32,
    _send_message: UserPtr,
    _send_message_attributes: UserPtr,
    _receive_message: UserPtr,
    _buffer_length: UserPtr,
    _receive_message_attributes: UserPtr,
    _timeout: UserPtr,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcSendWaitReceivePort)
}
