//! Views of port sections, and the VIEW attribute (alpc §2.11).

use ntlpc_abi::{CallId, Handle, NtStatus, UserPtr};

use super::not_implemented;

pub(crate) fn nt_alpc_create_section_view(
    _port_handle: Handle,
    _flags: u32,
    _view_attributes: UserPtr,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcCreateSectionView)
}

pub(crate) fn nt_alpc_delete_section_view(
    _port_handle: Handle,
    _flags: u32,
    _view_base: UserPtr,
) -> Result<(), NtStatus> {
    not_implemented(CallId::NtAlpcDeleteSectionView)
}
