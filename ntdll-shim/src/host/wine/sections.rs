//! Sections and views: Wine sections over the same file as the peer's memory.
//!
//! A Wine section has a file behind it, and `wine_server_handle_to_fd` gives a descriptor of that file; the other way,
//! a descriptor becomes a Wine file handle, a section of it, a view. So a view is Wine's own (NtQueryVirtualMemory,
//! NtUnmapViewOfSection) whether the memory came from Wine, from a program under `lpcrun`, or is a native memfd.

use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use ntlpc_abi::{Handle, NtStatus};

use super::arch::BITS_OF_32;
use super::handles::{descriptor, granted_access};
use super::names::is_of_type;
use super::service::{guest, ntdll};
use super::structures::Word;
use crate::host::{MappedView, Section};

/// Returns the file behind a section handle that grants `access`.
pub fn section(handle: Handle, access: u32) -> Result<Section, NtStatus> {
    if !is_of_type(handle.0, "Section")? {
        return Err(NtStatus::OBJECT_TYPE_MISMATCH);
    }
    if granted_access(handle.0)? & access != access {
        return Err(NtStatus::ACCESS_DENIED);
    }
    let (fd, _) = descriptor(handle.0, 0)?;
    let file = File::from(fd);
    let size = file
        .metadata()
        .map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?
        .len();
    Ok(Section {
        fd: file.into(),
        size,
    })
}

/// Maps part of a section, readable and writable, at an address or anywhere.
pub fn map_view(
    section: &Section,
    offset: u64,
    size: u64,
    at: Option<u64>,
) -> Result<MappedView, NtStatus> {
    if Word::try_from(size).is_err() {
        return Err(NtStatus::NO_MEMORY);
    }
    let file = Owned::of_descriptor(section.fd.as_fd(), GENERIC_READ_WRITE)?;
    let mapping = Owned::section_of(&file, SECTION_ALL_ACCESS, None, PAGE_READWRITE)?;
    let (mut base, mut offset, mut size) = (at.unwrap_or(0), offset, size);
    let zero_bits = if guest().is_narrow { BITS_OF_32 } else { 0 };
    let ntdll = ntdll();
    // SAFETY: section, process, base, zero bits, commit size, offset, size, ViewUnmap, no type, protection; the pointers
    // are to locals.
    let status = unsafe {
        ntdll.call(
            ntdll.NtMapViewOfSection,
            [
                mapping.0,
                CURRENT_PROCESS,
                &raw mut base as u64,
                zero_bits,
                0,
                &raw mut offset as u64,
                &raw mut size as u64,
                VIEW_UNMAP,
                0,
                PAGE_READWRITE,
            ],
        )
    };
    NtStatus(status).ok()?;
    Ok(MappedView { base, size })
}

/// Unmaps a view.
pub fn unmap_view(base: u64) {
    let ntdll = ntdll();
    // SAFETY: process and address; an address without a view is refused.
    let status = unsafe { ntdll.call(ntdll.NtUnmapViewOfSection, [CURRENT_PROCESS, base]) };
    if status != 0 {
        log::debug!("the view at {base:#x} was gone: status {status:#x}");
    }
}

/// Makes a view read-only, or writable again.
pub fn protect_view(view: MappedView, is_writable: bool) -> Result<(), NtStatus> {
    let (mut base, mut size, mut old) = (view.base, view.size, 0_u32);
    let protection = if is_writable {
        PAGE_READWRITE
    } else {
        PAGE_READONLY
    };
    let ntdll = ntdll();
    // SAFETY: process, base, size, protection, old protection; the pointers are to locals.
    let status = unsafe {
        ntdll.call(
            ntdll.NtProtectVirtualMemory,
            [
                CURRENT_PROCESS,
                &raw mut base as u64,
                &raw mut size as u64,
                protection,
                &raw mut old as u64,
            ],
        )
    };
    NtStatus(status).ok()
}

/// A Wine handle of ours.
pub(super) struct Owned(u64);

impl Owned {
    pub(super) fn of_descriptor(fd: BorrowedFd<'_>, access: u64) -> Result<Owned, NtStatus> {
        let mut handle = 0_u64;
        let ntdll = ntdll();
        // SAFETY: descriptor, access, no attributes, pointer to a local.
        let status = unsafe {
            ntdll.call(
                ntdll.wine_server_fd_to_handle,
                [fd.as_raw_fd() as u64, access, 0, &raw mut handle as u64],
            )
        };
        NtStatus(status).ok()?;
        Ok(Owned(handle))
    }

    /// A section of a file: of its present size, unless one is given.
    pub(super) fn section_of(
        file: &Owned,
        access: u64,
        size: Option<u64>,
        protection: u64,
    ) -> Result<Owned, NtStatus> {
        let mut handle = 0_u64;
        let size = size.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let ntdll = ntdll();
        // SAFETY: pointer to a local, access, no attributes, pointer to a local or null, protection, SEC_COMMIT, file.
        let status = unsafe {
            ntdll.call(
                ntdll.NtCreateSection,
                [
                    &raw mut handle as u64,
                    access,
                    0,
                    size as u64,
                    protection,
                    SEC_COMMIT,
                    file.0,
                ],
            )
        };
        NtStatus(status).ok()?;
        Ok(Owned(handle))
    }

    /// Gives the handle away.
    pub(super) fn into_handle(self) -> Handle {
        Handle(ManuallyDrop::new(self).0)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let ntdll = ntdll();
        // SAFETY: a handle of ours.
        unsafe { ntdll.call(ntdll.NtClose, [self.0]) };
    }
}

const CURRENT_PROCESS: u64 = u64::MAX;
pub(super) const GENERIC_READ_WRITE: u64 = 0xC000_0000;
const SECTION_ALL_ACCESS: u64 = 0xF_001F;
pub(super) const PAGE_READONLY: u64 = 0x02;
pub(super) const PAGE_READWRITE: u64 = 0x04;
const SEC_COMMIT: u64 = 0x0800_0000;
const VIEW_UNMAP: u64 = 2;
