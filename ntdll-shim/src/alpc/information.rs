//! NtAlpcQueryInformation, NtAlpcSetInformation (alpc §2.8).

use ntlpc_abi::{CallId, Handle, NtStatus, UserPtr};

use super::{not_implemented, notification};
use crate::host::{self, PORT_ALL_ACCESS};

pub(crate) fn nt_alpc_query_information(
    _port_handle: Handle,
    _class: u32,
    _buffer: UserPtr,
    _length: u32,
    _return_length: UserPtr,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcQueryInformation)
}

pub(crate) fn nt_alpc_set_information(
    port_handle: Handle,
    class: u32,
    buffer: UserPtr,
    length: u32,
) -> Result<(), NtStatus> {
    let port = || host::current().port(port_handle, PORT_ALL_ACCESS);
    match class {
        2 => notification::associate_completion_port(&port()?, buffer, length),
        6 => notification::register_completion_list(&port()?, buffer, length),
        7 => notification::unregister_completion_list(&*port()?, length),
        8 => notification::adjust_concurrency_count(&*port()?, buffer, length),
        10 => notification::run_down_completion_list(&*port()?, length),
        _ => not_implemented(CallId::NtAlpcSetInformation),
    }
}

/// Returns the number 1 (alpc#343), not a status.
pub(crate) fn nt_query_port_information_process() -> Result<(), NtStatus> {
    Err(NtStatus::WAIT_1)
}
