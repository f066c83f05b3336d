//! The attribute helpers (alpc §2.17, alpc#1–24).

use ntlpc_abi::{NtStatus, UserPtr, attributes, limits};

use super::user;
use crate::dispatch::Fault;
use crate::host;

pub(crate) fn alpc_get_header_size(flags: u32) -> Result<u32, Fault> {
    let width = host::personality().guest;
    Ok(attributes::buffer_size(width, flags) as u32)
}

pub(crate) fn alpc_initialize_message_attribute(
    flags: u32,
    buffer: UserPtr,
    size: u64,
    required: UserPtr,
) -> Result<NtStatus, Fault> {
    let width = host::personality().guest;
    let needed = attributes::buffer_size(width, flags) as u64;
    user::write_word(required, needed)?;
    if buffer.is_null() {
        return Ok(NtStatus::SUCCESS);
    }
    if size < needed {
        return Ok(NtStatus::BUFFER_TOO_SMALL);
    }
    user::write_u32(buffer.offset(attributes::ALLOCATED), flags)?;
    user::write_u32(buffer.offset(attributes::VALID), 0)?;
    Ok(NtStatus::SUCCESS)
}

pub(crate) fn alpc_get_message_attribute(buffer: UserPtr, flag: u32) -> Result<UserPtr, Fault> {
    let width = host::personality().guest;
    let allocated = user::read_u32(buffer.offset(attributes::ALLOCATED))?;
    let offset = attributes::offset(width, allocated, flag);
    Ok(offset.map_or(UserPtr::NULL, |offset| buffer.offset(offset)))
}

pub(crate) fn alpc_max_allowed_message_length() -> Result<u32, Fault> {
    let width = host::personality().guest;
    Ok(limits::alpc_max_allowed(width) as u32)
}
