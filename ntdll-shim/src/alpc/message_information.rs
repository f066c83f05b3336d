//! NtAlpcQueryInformationMessage (alpc §2.9).

use ntlpc_abi::{CallId, Handle, NtStatus, UserPtr};

use super::not_implemented;

pub(crate) fn nt_alpc_query_information_message(
    _port_handle: Handle,
    _message: UserPtr,
    _class: u32,
    _buffer: UserPtr,
    _length: u32,
    _return_length: UserPtr,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcQueryInformationMessage)
}
