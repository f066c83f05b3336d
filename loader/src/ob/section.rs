//! Sections: memory that can be mapped, of a file or of its own.
//!
//! Source: Microsoft Learn `ZwCreateSection`, `ZwMapViewOfSection`, `CreateFileMapping`; lpc#105, lpc#106.

use std::os::fd::{AsFd, OwnedFd};

use ntlpc_abi::NtStatus;

use super::file::File;
use super::object::{Header, Object, ObjectType};
use super::packed::{Packed, PackedKind};
use crate::vm::{self, GRANULARITY, PAGE, Placement, page};

/// `SECTION_ALL_ACCESS` and the generic mapping of sections.
pub static SECTION_TYPE: ObjectType = ObjectType {
    name: "Section",
    generic: [0x2_0005, 0x2_0002, 0x2_0008, 0xF_001F],
};

/// Access rights of sections.
pub mod rights {
    /// `SECTION_QUERY`.
    pub const QUERY: u32 = 1;
    /// `SECTION_MAP_WRITE`.
    pub const MAP_WRITE: u32 = 2;
    /// `SECTION_MAP_READ`.
    pub const MAP_READ: u32 = 4;
}

/// `SEC_IMAGE`.
pub const SEC_IMAGE: u32 = 0x100_0000;
/// `SEC_RESERVE`.
pub const SEC_RESERVE: u32 = 0x400_0000;
/// `SEC_COMMIT`.
pub const SEC_COMMIT: u32 = 0x800_0000;

/// A section.
#[derive(Debug)]
pub struct Section {
    header: Header,
    fd: OwnedFd,
    /// Size in bytes.
    pub size: u64,
    /// `PAGE_*` given at creation.
    pub protect: u32,
    /// `SEC_*` given at creation.
    pub attributes: u32,
}

impl Section {
    /// Makes a section of `size` bytes (0 with a file: the file's size).
    pub fn new(
        size: u64,
        protect: u32,
        attributes: u32,
        file: Option<&File>,
    ) -> Result<Self, NtStatus> {
        vm::prot(protect)?;
        if attributes & SEC_IMAGE != 0 {
            return Err(NtStatus::NOT_SUPPORTED);
        }
        if attributes & (SEC_COMMIT | SEC_RESERVE) == 0 {
            return Err(NtStatus::INVALID_PARAMETER_6);
        }
        let (fd, size) = match file {
            None if size == 0 => return Err(NtStatus::INVALID_PARAMETER_4),
            None => (
                vm::anonymous_section("ntlpc-section", size.next_multiple_of(PAGE as u64))?,
                size,
            ),
            Some(file) => {
                let fd = file
                    .fd()
                    .try_clone_to_owned()
                    .map_err(|_| NtStatus::TOO_MANY_OPENED_FILES)?;
                let length = file.size()?;
                if size == 0 && length == 0 {
                    return Err(NtStatus::MAPPED_FILE_SIZE_ZERO);
                }
                if size > length {
                    // Writable file mappings extend the file, others cannot be larger.
                    if !is_writable(protect) {
                        return Err(NtStatus::SECTION_TOO_BIG);
                    }
                    rustix::fs::ftruncate(&fd, size).map_err(|_| NtStatus::DISK_FULL)?;
                }
                (fd, if size == 0 { length } else { size })
            }
        };
        Ok(Section {
            header: Header::default(),
            fd,
            size,
            protect,
            attributes,
        })
    }

    /// Builds the section another process packed: size, protection, attributes.
    pub fn unpack(bytes: &[u8], fd: OwnedFd) -> Result<Self, NtStatus> {
        let (size, rest) = bytes
            .split_first_chunk::<8>()
            .ok_or(NtStatus::INVALID_PARAMETER)?;
        let (protect, rest) = rest
            .split_first_chunk::<4>()
            .ok_or(NtStatus::INVALID_PARAMETER)?;
        let attributes = rest.first_chunk::<4>().ok_or(NtStatus::INVALID_PARAMETER)?;
        Ok(Section {
            header: Header::default(),
            fd,
            size: u64::from_le_bytes(*size),
            protect: u32::from_le_bytes(*protect),
            attributes: u32::from_le_bytes(*attributes),
        })
    }

    /// Returns another descriptor of the memory.
    pub fn duplicate_fd(&self) -> Result<OwnedFd, NtStatus> {
        self.fd
            .try_clone()
            .map_err(|_| NtStatus::TOO_MANY_OPENED_FILES)
    }

    /// Maps `size` bytes (0: to the end) from `offset` with `protect`.
    ///
    /// Returns base and size; `MAPPED_ALIGNMENT` for an offset or address that is not a multiple of 64 KiB,
    /// `INVALID_VIEW_SIZE` beyond the end, `SECTION_PROTECTION` for more than the section allows.
    pub fn map(
        &self,
        place: Placement,
        offset: u64,
        size: u64,
        protect: u32,
    ) -> Result<(usize, usize), NtStatus> {
        if is_writable(protect) && !is_writable(self.protect) {
            return Err(NtStatus::SECTION_PROTECTION);
        }
        map_fd(&self.fd, self.size, place, offset, size, protect)
    }
}

/// Maps part of a section given by its descriptor and size; see [`Section::map`].
pub fn map_fd(
    fd: &OwnedFd,
    section_size: u64,
    place: Placement,
    offset: u64,
    size: u64,
    protect: u32,
) -> Result<(usize, usize), NtStatus> {
    let granularity = GRANULARITY as u64;
    if !offset.is_multiple_of(granularity)
        || place.at.is_some_and(|at| !at.is_multiple_of(GRANULARITY))
    {
        return Err(NtStatus::MAPPED_ALIGNMENT);
    }
    let rounded = section_size.next_multiple_of(PAGE as u64);
    if offset >= rounded {
        return Err(NtStatus::INVALID_VIEW_SIZE);
    }
    let size = if size == 0 { rounded - offset } else { size };
    if offset.checked_add(size).is_none_or(|end| end > rounded) {
        return Err(NtStatus::INVALID_VIEW_SIZE);
    }
    let size = usize::try_from(size.next_multiple_of(PAGE as u64))
        .map_err(|_| NtStatus::INVALID_VIEW_SIZE)?;
    let base = vm::SPACE
        .lock()
        .map_view(place, fd.as_fd(), offset, size, protect)?;
    Ok((base, size))
}

/// Returns whether stores through a mapping with this protection reach the section.
#[must_use]
pub const fn is_writable(protect: u32) -> bool {
    matches!(protect & 0xFF, page::READWRITE | page::EXECUTE_READWRITE)
}

/// Where a view may lie in this process.
#[must_use]
pub fn placement(at: Option<usize>) -> Placement {
    let below = match crate::width() {
        ntlpc_abi::Width::X64 => vm::HIGHEST_X64,
        ntlpc_abi::Width::X86 => 0x7FFF_0000,
    };
    Placement { at, below }
}

impl Object for Section {
    fn object_type(&self) -> &'static ObjectType {
        &SECTION_TYPE
    }
    fn header(&self) -> &Header {
        &self.header
    }
    fn pack(&self) -> Result<Packed, NtStatus> {
        let mut bytes = self.size.to_le_bytes().to_vec();
        bytes.extend(self.protect.to_le_bytes());
        bytes.extend(self.attributes.to_le_bytes());
        Ok(Packed {
            kind: PackedKind::Section,
            bytes,
            fds: vec![self.duplicate_fd()?],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_follow_the_rules_of_offset_and_size() {
        let section = Section::new(0x1_8000, page::READWRITE, SEC_COMMIT, None).expect("section");
        let map = |offset, size| section.map(placement(None), offset, size, page::READWRITE);
        assert_eq!(map(0x1000, 0).err(), Some(NtStatus::MAPPED_ALIGNMENT));
        assert_eq!(map(0, 0x1_9000).err(), Some(NtStatus::INVALID_VIEW_SIZE));
        let (base, size) = map(0x1_0000, 0).expect("view");
        assert_eq!((base % GRANULARITY, size), (0, 0x8000));
        vm::SPACE.lock().unmap_view(base).expect("unmap");
    }

    #[test]
    fn read_only_sections_have_no_writable_views() {
        let section = Section::new(0x1000, page::READONLY, SEC_COMMIT, None).expect("section");
        let result = section.map(placement(None), 0, 0, page::READWRITE);
        assert_eq!(result.err(), Some(NtStatus::SECTION_PROTECTION));
    }
}
