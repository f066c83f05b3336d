//! Objects that a descriptor is: sections and files, which cross between Wine and `lpcrun`.
//!
//! Each side makes its own object of the descriptor. The objects of other types are in the memory of processes of one side
//! only. A section that maps an image, and a file that is no regular file or directory (a pipe of Wine has its framing in
//! Wine's server), are no more than their descriptor on their own side alone.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use ntlpc_abi::{Handle, NtStatus};

use super::handles::{descriptor, granted_access};
use super::names;
use super::sections::{GENERIC_READ_WRITE, Owned, PAGE_READONLY, PAGE_READWRITE};
use super::service::ntdll;
use super::structures::SectionBasicInformation;
use crate::host::exported::{self, Described};

/// Describes an object for `lpcrun`, with its descriptor; `None` for one that does not cross.
pub fn describe(handle: u64) -> Result<Option<(Vec<u8>, OwnedFd)>, NtStatus> {
    let (object, rest, fd) = match names::type_name(handle)?.as_str() {
        "Section" => {
            let Some((rest, fd)) = describe_section(handle)? else {
                return Ok(None);
            };
            (exported::SECTION, rest, fd)
        }
        "File" => {
            let Some((rest, fd)) = describe_file(handle) else {
                return Ok(None);
            };
            (exported::FILE, rest, fd)
        }
        _ => return Ok(None),
    };
    let described = Described {
        access: granted_access(handle)?,
        object,
        rest: &rest,
    };
    Ok(Some((described.to_bytes(1), fd)))
}

fn describe_section(handle: u64) -> Result<Option<(Vec<u8>, OwnedFd)>, NtStatus> {
    let mut basic = SectionBasicInformation::default();
    let ntdll = ntdll();
    // SAFETY: handle, class 0, a local buffer and its size, no length wanted.
    let status = unsafe {
        ntdll.call(
            ntdll.NtQuerySection,
            [
                handle,
                0,
                &raw mut basic as u64,
                size_of_val(&basic) as u64,
                0,
            ],
        )
    };
    let (attributes, size) = (u64::from(basic.attributes), basic.size);
    if status != 0 || attributes & SEC_IMAGE != 0 {
        // No right to query it, or an image.
        return Ok(None);
    }
    let (fd, _) = descriptor(handle, 0)?;
    let is_writable = granted_access(handle)? & SECTION_MAP_WRITE != 0 && is_open_for_writing(&fd);
    let protection = if is_writable {
        PAGE_READWRITE
    } else {
        PAGE_READONLY
    };
    let mut rest = size.to_le_bytes().to_vec();
    rest.extend((protection | attributes << 32).to_le_bytes());
    Ok(Some((rest, fd)))
}

fn describe_file(handle: u64) -> Option<(Vec<u8>, OwnedFd)> {
    let (fd, options) = descriptor(handle, 0).ok()?;
    let file = File::from(fd);
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() && !metadata.is_dir() {
        return None;
    }
    let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    let mut rest = vec![u8::from(options & FILE_SYNCHRONOUS_IO == 0)];
    rest.extend(path.as_os_str().as_bytes());
    Some((rest, file.into()))
}

fn is_open_for_writing(fd: &OwnedFd) -> bool {
    // SAFETY: asks for the flags of a descriptor of ours.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    flags >= 0 && flags & libc::O_ACCMODE == libc::O_RDWR
}

/// Makes a handle to an object that `lpcrun` described.
///
/// The objects of other types are in the memory of processes outside Wine: `NOT_SUPPORTED`.
pub fn import(description: &[u8], fds: &[OwnedFd]) -> Result<Handle, NtStatus> {
    let described = Described::parse(description)?;
    let [fd] = fds else {
        return Err(NtStatus::NOT_SUPPORTED);
    };
    let access = u64::from(described.access);
    match described.object {
        exported::FILE => Ok(Owned::of_descriptor(fd.as_fd(), access)?.into_handle()),
        exported::SECTION => {
            let fields: &[u8; 16] = described
                .rest
                .try_into()
                .map_err(|_| NtStatus::INVALID_PARAMETER)?;
            let [size, kind] = fields.as_chunks().0 else {
                return Err(NtStatus::INVALID_PARAMETER);
            };
            let (size, kind) = (u64::from_le_bytes(*size), u64::from_le_bytes(*kind));
            let (protection, attributes) = (kind & 0xFFFF_FFFF, kind >> 32);
            let file_access = match protection {
                PAGE_READONLY => GENERIC_READ,
                PAGE_READWRITE => GENERIC_READ_WRITE,
                _ => return Err(NtStatus::NOT_SUPPORTED),
            };
            if attributes & SEC_IMAGE != 0 {
                return Err(NtStatus::NOT_SUPPORTED);
            }
            let file = Owned::of_descriptor(fd.as_fd(), file_access)?;
            Ok(Owned::section_of(&file, access, Some(size), protection)?.into_handle())
        }
        _ => Err(NtStatus::NOT_SUPPORTED),
    }
}

const GENERIC_READ: u64 = 0x8000_0000;
const SECTION_MAP_WRITE: u32 = 2;
const SEC_IMAGE: u64 = 0x0100_0000;
/// `FILE_SYNCHRONOUS_IO_ALERT` and `_NONALERT`: a file opened without them is overlapped (NtCreateFile, learn.microsoft.com).
const FILE_SYNCHRONOUS_IO: u32 = 0x30;
