//! Virtual memory and file mappings: `memoryapi.h`.

use ntlpc_abi::{Handle, NtStatus};

use super::synchapi::{SecurityAttributes, attributes};
use crate::dlls::ntdll::sections::{MemoryBasicInformation, highest, query};
use crate::dlls::win32::{
    INVALID_HANDLE_VALUE, created, error, failed, or_else, refuse, success, units_arg, wide_arg,
};
use crate::export::{Bool, Guest, Ptr};
use crate::guest;
use crate::ob::file::File;
use crate::ob::name;
use crate::ob::object::access;
use crate::ob::process::{Process, rights};
use crate::ob::section::{SEC_COMMIT, Section, placement, rights as section_rights};
use crate::ob::table::lookup;
use crate::vm::{self, SPACE, page};
use crate::win_api;

/// `FILE_MAP_COPY`.
const MAP_COPY: u32 = 1;
/// `FILE_MAP_WRITE`.
const MAP_WRITE: u32 = 2;
/// `FILE_MAP_READ`.
const MAP_READ: u32 = 4;
/// `FILE_MAP_EXECUTE`.
const MAP_EXECUTE: u32 = 0x20;

fn allocate(
    process: Handle,
    address: usize,
    size: usize,
    kind: u32,
    protect: u32,
) -> Result<usize, NtStatus> {
    if !lookup::<Process>(process, rights::VM_OPERATION)?.is_current() {
        return Err(NtStatus::NOT_SUPPORTED);
    }
    let place = placement((address != 0).then_some(address));
    SPACE
        .lock()
        .allocate(place, size, kind, protect)
        .map(|(base, _)| base)
}

fn free(process: Handle, address: usize, size: usize, kind: u32) -> Result<(), NtStatus> {
    if !lookup::<Process>(process, rights::VM_OPERATION)?.is_current() {
        return Err(NtStatus::NOT_SUPPORTED);
    }
    // VirtualFree wants size 0 for MEM_RELEASE.
    if kind == vm::mem::RELEASE && size != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    SPACE.lock().free(address, size, kind).map(|_| ())
}

fn create_mapping(
    file: Handle,
    security: Ptr<SecurityAttributes>,
    protect: u32,
    high: u32,
    low: u32,
    name: Option<Vec<u16>>,
) -> Handle {
    let file = match file {
        INVALID_HANDLE_VALUE => None,
        handle => match lookup::<File>(handle, 0) {
            Ok(file) => Some(file),
            Err(status) => return failed(status, Handle::NULL),
        },
    };
    let size = u64::from(high) << 32 | u64::from(low);
    // The SEC_ bits share the argument with the protection.
    let flags = protect & 0xFF00_0000;
    let flags = if flags
        & (SEC_COMMIT | crate::ob::section::SEC_RESERVE | crate::ob::section::SEC_IMAGE)
        == 0
    {
        flags | SEC_COMMIT
    } else {
        flags
    };
    let make = || Section::new(size, protect & 0xFFFF, flags, file.as_deref());
    created(
        name::create(&attributes(security, name), access::MAXIMUM_ALLOWED, make),
        Handle::NULL,
    )
}

fn open_mapping(wanted: u32, inherit: Bool, name: Option<Vec<u16>>) -> Handle {
    let mut attributes = attributes(Ptr::NULL, name);
    attributes.flags = if inherit.get() {
        crate::ob::attributes::obj::INHERIT
    } else {
        0
    };
    or_else(
        name::open::<Section>(&attributes, wanted & !MAP_COPY | section_rights::QUERY),
        Handle::NULL,
    )
}

fn map(
    mapping: Handle,
    wanted: u32,
    offset: u64,
    size: usize,
    at: usize,
) -> Result<usize, NtStatus> {
    let is_executable = wanted & MAP_EXECUTE != 0;
    let (right, protect) = match wanted & (MAP_COPY | MAP_WRITE | MAP_READ) {
        MAP_COPY => (
            section_rights::MAP_READ,
            if is_executable {
                page::EXECUTE_WRITECOPY
            } else {
                page::WRITECOPY
            },
        ),
        bits if bits & MAP_WRITE != 0 => (
            section_rights::MAP_WRITE,
            if is_executable {
                page::EXECUTE_READWRITE
            } else {
                page::READWRITE
            },
        ),
        bits if bits & MAP_READ != 0 => (
            section_rights::MAP_READ,
            if is_executable {
                page::EXECUTE_READ
            } else {
                page::READONLY
            },
        ),
        _ => return Err(NtStatus::INVALID_PARAMETER),
    };
    let section = lookup::<Section>(mapping, right)?;
    section
        .map(
            placement((at != 0).then_some(at)),
            offset,
            size as u64,
            protect,
        )
        .map(|(base, _)| base)
}

fn query_into(address: usize, to: Ptr<u8>, length: usize) -> usize {
    if length < MemoryBasicInformation::size() {
        return refuse(error::INSUFFICIENT_BUFFER, 0);
    }
    match query(address) {
        Ok(value) => {
            to.cast().write(value);
            MemoryBasicInformation::size()
        }
        Err(status) => failed(status, 0),
    }
}

fn protect_range(address: usize, size: usize, protect: u32, old: Ptr<u32>) -> Bool {
    if old.is_null() {
        return failed(NtStatus::ACCESS_VIOLATION, Bool::FALSE);
    }
    let done = SPACE.lock().protect(address, size, protect);
    match done {
        Ok((_, _, before)) => {
            old.write(before);
            Bool::TRUE
        }
        Err(status) => failed(status, Bool::FALSE),
    }
}

win_api! {
    /// Reserves and commits memory.
    "kernel32.dll|kernelbase.dll" stdcall fn VirtualAlloc(address: usize, size: usize, kind: u32, protect: u32) -> Ptr<u8> {
        Ptr::new(or_else(allocate(Handle::CURRENT_PROCESS, address, size, kind, protect), 0) as u64)
    }

    /// Reserves and commits memory of a process.
    "kernel32.dll|kernelbase.dll" stdcall fn VirtualAllocEx(process: Handle, address: usize, size: usize, kind: u32, protect: u32) -> Ptr<u8> {
        Ptr::new(or_else(allocate(process, address, size, kind, protect), 0) as u64)
    }

    /// Decommits or releases memory.
    "kernel32.dll|kernelbase.dll" stdcall fn VirtualFree(address: usize, size: usize, kind: u32) -> Bool {
        success(free(Handle::CURRENT_PROCESS, address, size, kind))
    }

    /// Decommits or releases memory of a process.
    "kernel32.dll|kernelbase.dll" stdcall fn VirtualFreeEx(process: Handle, address: usize, size: usize, kind: u32) -> Bool {
        success(free(process, address, size, kind))
    }

    /// Changes the protection of memory.
    "kernel32.dll|kernelbase.dll" stdcall fn VirtualProtect(address: usize, size: usize, protect: u32, old: Ptr<u32>) -> Bool {
        protect_range(address, size, protect, old)
    }

    /// Changes the protection of memory of a process.
    "kernel32.dll|kernelbase.dll" stdcall fn VirtualProtectEx(process: Handle, address: usize, size: usize, protect: u32, old: Ptr<u32>) -> Bool {
        match lookup::<Process>(process, rights::VM_OPERATION) {
            Ok(process) if process.is_current() => protect_range(address, size, protect, old),
            Ok(_) => failed(NtStatus::NOT_SUPPORTED, Bool::FALSE),
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Describes memory.
    "kernel32.dll|kernelbase.dll" stdcall fn VirtualQuery(address: usize, to: Ptr<u8>, length: usize) -> usize {
        query_into(address, to, length)
    }

    /// Describes memory of a process.
    "kernel32.dll|kernelbase.dll" stdcall fn VirtualQueryEx(process: Handle, address: usize, to: Ptr<u8>, length: usize) -> usize {
        match lookup::<Process>(process, rights::QUERY_INFORMATION) {
            Ok(process) if process.is_current() => query_into(address, to, length),
            Ok(_) => failed(NtStatus::NOT_SUPPORTED, 0),
            Err(status) => failed(status, 0),
        }
    }

    /// Keeps pages in memory; Linux decides that.
    "kernel32.dll|kernelbase.dll" stdcall fn VirtualLock = "VirtualLock|VirtualUnlock" (address: usize, _size: usize) -> Bool {
        match query(address) {
            Ok(info) if info.state == vm::mem::COMMIT => Bool::TRUE,
            _ => refuse(error::INVALID_PARAMETER, Bool::FALSE),
        }
    }

    /// Reads memory of a process.
    "kernel32.dll|kernelbase.dll" stdcall fn ReadProcessMemory(process: Handle, from: Ptr<u8>, to: Ptr<u8>, length: usize, done: Ptr<usize>) -> Bool {
        let process = match lookup::<Process>(process, rights::VM_READ) {
            Ok(process) => process.pid,
            Err(status) => return failed(status, Bool::FALSE),
        };
        let mut bytes = vec![0; length.min(1 << 30)];
        let read = guest::read_process(process, from.address(), &mut bytes);
        to.write_bytes(&bytes[..read]);
        done.write_if_some(read);
        if read == length { Bool::TRUE } else { failed(NtStatus::PARTIAL_COPY, Bool::FALSE) }
    }

    /// Writes memory of a process.
    "kernel32.dll|kernelbase.dll" stdcall fn WriteProcessMemory(process: Handle, to: Ptr<u8>, from: Ptr<u8>, length: usize, done: Ptr<usize>) -> Bool {
        let process = match lookup::<Process>(process, rights::VM_WRITE) {
            Ok(process) => process.pid,
            Err(status) => return failed(status, Bool::FALSE),
        };
        let bytes = from.read_bytes(length);
        let written = guest::write_process(process, to.address(), &bytes);
        done.write_if_some(written);
        if written == length { Bool::TRUE } else { failed(NtStatus::PARTIAL_COPY, Bool::FALSE) }
    }

    /// Makes or opens a section.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateFileMappingW(file: Handle, security: Ptr<SecurityAttributes>, protect: u32, high: u32, low: u32, name: Ptr<u16>) -> Handle {
        create_mapping(file, security, protect, high, low, units_arg(name))
    }

    /// Makes or opens a section.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateFileMappingA(file: Handle, security: Ptr<SecurityAttributes>, protect: u32, high: u32, low: u32, name: Ptr<u8>) -> Handle {
        create_mapping(file, security, protect, high, low, wide_arg(name))
    }

    /// Opens a section.
    "kernel32.dll|kernelbase.dll" stdcall fn OpenFileMappingW(access: u32, inherit: Bool, name: Ptr<u16>) -> Handle {
        open_mapping(access, inherit, units_arg(name))
    }

    /// Opens a section.
    "kernel32.dll|kernelbase.dll" stdcall fn OpenFileMappingA(access: u32, inherit: Bool, name: Ptr<u8>) -> Handle {
        open_mapping(access, inherit, wide_arg(name))
    }

    /// Maps a view of a section.
    "kernel32.dll|kernelbase.dll" stdcall fn MapViewOfFile(mapping: Handle, access: u32, high: u32, low: u32, size: usize) -> Ptr<u8> {
        let offset = u64::from(high) << 32 | u64::from(low);
        Ptr::new(or_else(map(mapping, access, offset, size, 0), 0) as u64)
    }

    /// Maps a view of a section at an address.
    "kernel32.dll|kernelbase.dll" stdcall fn MapViewOfFileEx(mapping: Handle, access: u32, high: u32, low: u32, size: usize, at: usize) -> Ptr<u8> {
        let offset = u64::from(high) << 32 | u64::from(low);
        Ptr::new(or_else(map(mapping, access, offset, size, at), 0) as u64)
    }

    /// Unmaps a view.
    "kernel32.dll|kernelbase.dll" stdcall fn UnmapViewOfFile(address: usize) -> Bool {
        success(SPACE.lock().unmap_view(address).map(|_| ()))
    }

    /// Writes the changed pages of a view back.
    "kernel32.dll|kernelbase.dll" stdcall fn FlushViewOfFile(address: usize, size: usize) -> Bool {
        match SPACE.lock().query(address, highest()) {
            Some(info) if info.kind == vm::mem::MAPPED => {
                let length = if size == 0 { info.size } else { size };
                success(vm::sys::sync(info.base, length).map_err(|error| crate::ob::file::status_of(&error)))
            }
            _ => failed(NtStatus::NOT_MAPPED_VIEW, Bool::FALSE),
        }
    }

    /// Takes note that code changed; x86 caches see it themselves.
    "kernel32.dll|kernelbase.dll" stdcall fn FlushInstructionCache(_process: Handle, _base: usize, _size: usize) -> Bool {
        Bool::TRUE
    }
}
