//! Port sections (alpc §2.10).

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use crate::engine::PortSection;
use crate::guest;
use crate::host::{self, PORT_ALL_ACCESS, SECTION_MAP_READ_WRITE, Section};

/// `ALPC_PORT_SECTION_SECURE`: what is sent cannot be changed any more (alpc §1.7).
const SECURE: u32 = 0x4_0000;
/// Sizes of sections of the paging file are multiples of this (alpc#233).
const GRANULARITY: u64 = 0x1_0000;
/// Larger sections have no room in an address space.
const MAX_SIZE: u64 = 1 << 46;

pub(crate) fn nt_alpc_create_port_section(
    port_handle: Handle,
    flags: u32,
    section: Handle,
    size: u64,
    alpc_section: UserPtr,
    actual_size: UserPtr,
) -> Result<(), NtStatus> {
    guest::probe_handle(alpc_section)?;
    guest::probe_handle(actual_size)?;
    if flags & !SECURE != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let is_secure = flags & SECURE != 0;
    let port = host::port(port_handle, PORT_ALL_ACCESS)?;
    port.resources.check_section(size)?;
    let memory = if section == Handle::NULL {
        of_paging_file(size)?
    } else if is_secure {
        return Err(NtStatus::INVALID_PARAMETER);
    } else {
        of_section(section, size)?
    };
    let actual = memory.size;
    if size == 0 {
        port.resources.check_section(actual)?;
    }
    let number = port
        .resources
        .add_section(PortSection { memory, is_secure })?;
    let written = guest::write_word(alpc_section, number)
        .and_then(|()| guest::write_word(actual_size, actual));
    if written.is_err() {
        port.resources.remove_section(number)?;
    }
    written
}

fn of_paging_file(size: u64) -> Result<Section, NtStatus> {
    if size == 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    if size > MAX_SIZE {
        return Err(NtStatus::SECTION_TOO_BIG);
    }
    let size = size.next_multiple_of(GRANULARITY);
    let fd = ntlpc_shm::sys::create_memfd("ntlpc-port-section", size as usize)
        .map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
    Ok(Section { fd, size })
}

fn of_section(handle: Handle, size: u64) -> Result<Section, NtStatus> {
    let section = host::current().section(handle, SECTION_MAP_READ_WRITE)?;
    if size > section.size.next_multiple_of(GRANULARITY) {
        return Err(NtStatus::SECTION_TOO_BIG);
    }
    Ok(section)
}

pub(crate) fn nt_alpc_delete_port_section(
    port_handle: Handle,
    flags: u32,
    alpc_section: Handle,
) -> Result<(), NtStatus> {
    if flags != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let port = host::port(port_handle, PORT_ALL_ACCESS)?;
    port.resources.remove_section(alpc_section.0)
}
