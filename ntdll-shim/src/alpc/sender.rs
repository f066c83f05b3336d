//! NtAlpcOpenSenderProcess, NtAlpcOpenSenderThread (alpc §2.16).

use ntlpc_abi::{CallId, Handle, NtStatus, UserPtr};

use super::not_implemented;

pub(crate) fn nt_alpc_open_sender_process(
    _process_handle: UserPtr,
    _port_handle: Handle,
    _message: UserPtr,
    _flags: u32,
    _desired_access: u32,
    _object_attributes: UserPtr,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcOpenSenderProcess)
}

pub(crate) fn nt_alpc_open_sender_thread(
    _thread_handle: UserPtr,
    _port_handle: Handle,
    _message: UserPtr,
    _flags: u32,
    _desired_access: u32,
    _object_attributes: UserPtr,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcOpenSenderThread)
}
