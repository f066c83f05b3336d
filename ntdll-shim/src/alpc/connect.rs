//! NtAlpcConnectPort, NtAlpcConnectPortEx (alpc §2.3, §2.4).

use ntlpc_abi::{CallId, NtStatus, UserPtr};

use super::not_implemented;

pub(crate) fn nt_alpc_connect_port(
    _port_handle: UserPtr,
    _port_name: UserPtr,
    _object_attributes: UserPtr,
    _port_attributes: UserPtr,
    _flags: u32,
    _required_server_sid: UserPtr,
    _connection_message: UserPtr,
    _buffer_length: UserPtr,
    _out_message_attributes: UserPtr,
    _in_message_attributes: UserPtr,
    _timeout: UserPtr,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcConnectPort)
}

pub(crate) fn nt_alpc_connect_port_ex(
    _port_handle: UserPtr,
    _connection_port_attributes: UserPtr,
    _client_port_attributes: UserPtr,
    _port_attributes: UserPtr,
    _flags: u32,
    _server_security_requirements: UserPtr,
    _connection_message: UserPtr,
    _buffer_length: UserPtr,
    _out_message_attributes: UserPtr,
    _in_message_attributes: UserPtr,
    _timeout: UserPtr,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcConnectPortEx)
}
