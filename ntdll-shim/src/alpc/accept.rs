//! NtAlpcAcceptConnectPort (alpc §2.4b).

use ntlpc_abi::{CallId, Handle, NtStatus, UserPtr};

use super::not_implemented;

pub(crate) fn nt_alpc_accept_connect_port(
    _port_handle: UserPtr,
    _connection_port_handle: Handle,
    _flags: u32,
    _object_attributes: UserPtr,
    _port_attributes: UserPtr,
    _port_context: u64,
    _connection_request: UserPtr,
    _connection_message_attributes: UserPtr,
    _accept: bool,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcAcceptConnectPort)
}
