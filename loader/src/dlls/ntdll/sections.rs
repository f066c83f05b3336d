//! Sections and virtual memory: the `Nt` calls.

use ntlpc_abi::{Handle, NtStatus};

use super::objects::{create, probe};
use crate::export::{Guest, Ptr};
use crate::guest;
use crate::guest_struct;
use crate::ob::attributes::{Attributes, ObjectAttributes};
use crate::ob::file::File;
use crate::ob::name;
use crate::ob::process::{Process, rights as process_rights};
use crate::ob::section::{Section, is_writable, placement, rights};
use crate::ob::table::lookup;
use crate::vm::{self, SPACE};
use crate::win_api;

guest_struct! {
    /// `MEMORY_BASIC_INFORMATION`.
    pub struct MemoryBasicInformation {
        base_address: usize,
        allocation_base: usize,
        allocation_protect: u32,
        region_size: usize,
        state: u32,
        protect: u32,
        kind: u32,
    }
    /// `MEMORY_RANGE_ENTRY`.
    pub struct MemoryRange {
        address: usize,
        bytes: usize,
    }
    /// `SECTION_BASIC_INFORMATION`.
    pub struct SectionBasicInformation {
        base_address: usize,
        attributes: u32,
        size: i64,
    }
}

/// Has the kernel read pages that are not in memory; it is only advice.
fn prefetch(count: usize, ranges: Ptr<MemoryRange>) -> Result<(), NtStatus> {
    for i in 0..count {
        let range = ranges.add(i).try_read()?;
        crate::linux::prefetch(range.address, range.bytes);
    }
    Ok(())
}

/// The first address above the guest's range.
pub fn highest() -> usize {
    placement(None).below
}

/// Returns `NOT_SUPPORTED` for another process: its address space is its own business here.
fn own(process: Handle) -> Result<(), NtStatus> {
    if lookup::<Process>(process, process_rights::VM_OPERATION)?.is_current() {
        Ok(())
    } else {
        Err(NtStatus::NOT_SUPPORTED)
    }
}

/// Describes the memory at an address.
pub fn query(address: usize) -> Result<MemoryBasicInformation, NtStatus> {
    let found = SPACE
        .lock()
        .query(address, highest())
        .ok_or(NtStatus::INVALID_PARAMETER)?;
    Ok(MemoryBasicInformation {
        base_address: found.base,
        allocation_base: found.allocation_base,
        allocation_protect: found.allocation_protect,
        region_size: found.size,
        state: found.state,
        protect: found.protect,
        kind: found.kind,
    })
}

win_api! {
    /// Makes a section of a file or of its own memory.
    "ntdll.dll" stdcall fn NtCreateSection = "NtCreateSection|ZwCreateSection" (handle: Ptr<Handle>, access: u32, attributes: Ptr<ObjectAttributes>, maximum: Ptr<i64>, protect: u32, flags: u32, file: Handle) -> NtStatus {
        let inputs = (|| {
            let size = maximum.non_null().map(Ptr::try_read).transpose()?.unwrap_or(0);
            let size = u64::try_from(size).map_err(|_| NtStatus::SECTION_TOO_BIG)?;
            let file = (file != Handle::NULL).then(|| lookup::<File>(file, 0)).transpose()?;
            Ok::<_, NtStatus>((size, file))
        })();
        match inputs {
            Ok((size, file)) => create(handle, attributes, access, || Section::new(size, protect, flags, file.as_deref())),
            Err(status) => status,
        }
    }

    /// Opens a section.
    "ntdll.dll" stdcall fn NtOpenSection = "NtOpenSection|ZwOpenSection" (handle: Ptr<Handle>, access: u32, attributes: Ptr<ObjectAttributes>) -> NtStatus {
        let opened = probe(handle).and_then(|()| Attributes::read(attributes)).and_then(|a| name::open::<Section>(&a, access));
        super::objects::put_handle(handle, opened.map(|h| (h, NtStatus::SUCCESS)))
    }

    /// Maps a view of a section.
    "ntdll.dll" stdcall fn NtMapViewOfSection = "NtMapViewOfSection|ZwMapViewOfSection" (section: Handle, process: Handle, base: Ptr<usize>, _zero_bits: usize, _commit: usize, offset: Ptr<i64>, size: Ptr<usize>, _inherit: u32, _kind: u32, protect: u32) -> Result<(), NtStatus> {
        let at = base.try_read()?;
        let wanted = size.try_read()?;
        let start = offset.non_null().map(Ptr::try_read).transpose()?.unwrap_or(0);
        let start = u64::try_from(start).map_err(|_| NtStatus::INVALID_PARAMETER_6)?;
        vm::prot(protect)?;
        let access = if is_writable(protect) { rights::MAP_WRITE } else { rights::MAP_READ };
        let section = lookup::<Section>(section, access)?;
        own(process)?;
        let place = placement((at != 0).then_some(at));
        let (view, length) = section.map(place, start, wanted as u64, protect)?;
        base.try_write(view)?;
        size.try_write(length)
    }

    /// Unmaps the view at an address.
    "ntdll.dll" stdcall fn NtUnmapViewOfSection = "NtUnmapViewOfSection|ZwUnmapViewOfSection" (process: Handle, address: usize) -> Result<(), NtStatus> {
        own(process)?;
        SPACE.lock().unmap_view(address).map(|_| ())
    }

    /// Reads size and attributes of a section.
    "ntdll.dll" stdcall fn NtQuerySection = "NtQuerySection|ZwQuerySection" (section: Handle, class: u32, buffer: Ptr<u8>, length: usize, returned: Ptr<usize>) -> Result<(), NtStatus> {
        if class != 0 {
            return Err(NtStatus::INVALID_INFO_CLASS);
        }
        if length < SectionBasicInformation::size() {
            return Err(NtStatus::INFO_LENGTH_MISMATCH);
        }
        let section = lookup::<Section>(section, rights::QUERY)?;
        let value = SectionBasicInformation { base_address: 0, attributes: section.attributes, size: section.size.cast_signed() };
        buffer.cast().try_write(value)?;
        returned.non_null().map_or(Ok(()), |to| to.try_write(SectionBasicInformation::size()))
    }

    /// Reserves and commits memory.
    "ntdll.dll" stdcall fn NtAllocateVirtualMemory = "NtAllocateVirtualMemory|ZwAllocateVirtualMemory" (process: Handle, base: Ptr<usize>, zero_bits: usize, size: Ptr<usize>, kind: u32, protect: u32) -> Result<(), NtStatus> {
        let at = base.try_read()?;
        let wanted = size.try_read()?;
        own(process)?;
        let mut place = placement((at != 0).then_some(at));
        if (1..32).contains(&zero_bits) {
            place.below = place.below.min(1 << (32 - zero_bits));
        }
        let (base_now, length) = SPACE.lock().allocate(place, wanted, kind, protect)?;
        base.try_write(base_now)?;
        size.try_write(length)
    }

    /// Decommits or releases memory.
    "ntdll.dll" stdcall fn NtFreeVirtualMemory = "NtFreeVirtualMemory|ZwFreeVirtualMemory" (process: Handle, base: Ptr<usize>, size: Ptr<usize>, kind: u32) -> Result<(), NtStatus> {
        let at = base.try_read()?;
        let wanted = size.try_read()?;
        own(process)?;
        let (base_now, length) = SPACE.lock().free(at, wanted, kind)?;
        base.try_write(base_now)?;
        size.try_write(length)
    }

    /// Changes the protection of memory.
    "ntdll.dll" stdcall fn NtProtectVirtualMemory = "NtProtectVirtualMemory|ZwProtectVirtualMemory" (process: Handle, base: Ptr<usize>, size: Ptr<usize>, protect: u32, old: Ptr<u32>) -> Result<(), NtStatus> {
        let at = base.try_read()?;
        let wanted = size.try_read()?;
        probe(old)?;
        own(process)?;
        let (base_now, length, before) = SPACE.lock().protect(at, wanted, protect)?;
        base.try_write(base_now)?;
        size.try_write(length)?;
        old.try_write(before)
    }

    /// Describes memory.
    "ntdll.dll" stdcall fn NtQueryVirtualMemory = "NtQueryVirtualMemory|ZwQueryVirtualMemory" (process: Handle, address: usize, class: u32, buffer: Ptr<u8>, length: usize, returned: Ptr<usize>) -> Result<(), NtStatus> {
        if class != 0 {
            return Err(NtStatus::INVALID_INFO_CLASS);
        }
        if length < MemoryBasicInformation::size() {
            return Err(NtStatus::INFO_LENGTH_MISMATCH);
        }
        own(process)?;
        buffer.cast().try_write(query(address)?)?;
        returned.non_null().map_or(Ok(()), |to| to.try_write(MemoryBasicInformation::size()))
    }

    /// Says what is done with ranges of memory soon: `VmPrefetchInformation`.
    "ntdll.dll" stdcall fn NtSetInformationVirtualMemory = "NtSetInformationVirtualMemory|ZwSetInformationVirtualMemory" (process: Handle, class: u32, count: usize, ranges: Ptr<MemoryRange>, information: Ptr<u32>, length: u32) -> Result<(), NtStatus> {
        if class != 0 {
            return Err(NtStatus::INVALID_PARAMETER_2);
        }
        if count == 0 {
            return Err(NtStatus::INVALID_PARAMETER_3);
        }
        if length != 4 {
            return Err(NtStatus::INVALID_PARAMETER_6);
        }
        // VM_PREFETCH_TO_WORKING_SET is for Windows 11.
        if information.try_read()? != 0 {
            return Err(NtStatus::INVALID_PARAMETER_5);
        }
        own(process)?;
        prefetch(count, ranges)
    }

    /// Reads memory of a process.
    "ntdll.dll" stdcall fn NtReadVirtualMemory = "NtReadVirtualMemory|ZwReadVirtualMemory" (process: Handle, from: Ptr<u8>, to: Ptr<u8>, length: usize, done: Ptr<usize>) -> Result<(), NtStatus> {
        let process = lookup::<Process>(process, process_rights::VM_READ)?;
        let mut bytes = vec![0; length.min(1 << 30)];
        let read = guest::read_process(process.pid, from.address(), &mut bytes);
        to.try_write_bytes(&bytes[..read])?;
        done.non_null().map_or(Ok(()), |done| done.try_write(read))?;
        if read == length { Ok(()) } else { Err(NtStatus::PARTIAL_COPY) }
    }

    /// Writes memory of a process.
    "ntdll.dll" stdcall fn NtWriteVirtualMemory = "NtWriteVirtualMemory|ZwWriteVirtualMemory" (process: Handle, to: Ptr<u8>, from: Ptr<u8>, length: usize, done: Ptr<usize>) -> Result<(), NtStatus> {
        let process = lookup::<Process>(process, process_rights::VM_WRITE)?;
        let mut bytes = vec![0; length.min(1 << 30)];
        from.try_read_bytes(&mut bytes)?;
        let written = guest::write_process(process.pid, to.address(), &bytes);
        done.non_null().map_or(Ok(()), |done| done.try_write(written))?;
        if written == length { Ok(()) } else { Err(NtStatus::PARTIAL_COPY) }
    }

    /// Takes note that code changed; x86 caches see it themselves.
    "ntdll.dll" stdcall fn NtFlushInstructionCache = "NtFlushInstructionCache|ZwFlushInstructionCache" (_process: Handle, _base: usize, _size: usize) -> NtStatus {
        NtStatus::SUCCESS
    }
}
