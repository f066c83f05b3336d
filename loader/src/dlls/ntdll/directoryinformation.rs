//! What directories hold: `NtQueryDirectoryFile`, also behind `GetFileInformationByHandleEx`.
//!
//! Classes and layouts: Microsoft Learn `NtQueryDirectoryFile`, `FILE_INFORMATION_CLASS`.

use std::os::fd::AsRawFd;

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use super::fileinformation::put;
use super::iocompletion::IoStatusBlock;
use crate::dlls::kernel32::fileattributes::{attributes_of, times_of};
use crate::export::{Boolean, Callback, Ptr};
use crate::ob::attributes::{UnicodeString, read_string};
use crate::ob::file::{File, rights, status_of};
use crate::ob::pattern::Pattern;
use crate::ob::table::lookup;
use crate::win_api;

/// Lists a directory from where the last call stopped: `FileFullDirectoryInformation` or `FileIdBothDirectoryInformation`.
///
/// The first call decides which names are listed; a later pattern counts when the listing starts again.
///
/// Returns the entries that fit; `NO_MORE_FILES` at the end, `NO_SUCH_FILE` if there is none at all.
pub fn list(
    handle: Handle,
    class: u32,
    length: usize,
    most: usize,
    is_restart: bool,
    pattern: Option<&[u16]>,
) -> Result<Vec<u8>, NtStatus> {
    let file = lookup::<File>(handle, rights::READ_DATA)?;
    let names = &mut *file.listing.lock();
    if is_restart || names.is_none() {
        let path = format!("/proc/self/fd/{}", file.fd().as_raw_fd());
        let mut all: Vec<String> = std::fs::read_dir(path)
            .map_err(|error| status_of(&error))?
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        all.sort_by_key(|name| name.to_uppercase());
        all.splice(0..0, [".".to_owned(), "..".to_owned()]);
        if let Some(pattern) = pattern.filter(|pattern| !pattern.is_empty()) {
            let pattern = String::from_utf16_lossy(pattern);
            let pattern = Pattern::new(&pattern);
            all.retain(|name| pattern.matches(name));
        }
        if all.is_empty() {
            *names = Some(all);
            return Err(NtStatus::NO_SUCH_FILE);
        }
        all.reverse();
        *names = Some(all);
    }
    let left = names.get_or_insert_with(Vec::new);
    let mut out: Vec<u8> = Vec::new();
    let mut last = None;
    let mut count = 0;
    while let Some(name) = left.last().filter(|_| count < most) {
        let entry = directory_entry(&file, class, name)?;
        let start = out.len().next_multiple_of(8);
        if start + entry.len() > length {
            break;
        }
        if let Some(before) = last {
            let distance = (start - before) as u32;
            out[before..before + 4].copy_from_slice(&distance.to_le_bytes());
        }
        out.resize(start, 0);
        out.extend(entry);
        last = Some(start);
        left.pop();
        count += 1;
    }
    match (last, left.is_empty()) {
        (Some(_), _) => Ok(out),
        (None, true) => Err(NtStatus::NO_MORE_FILES),
        (None, false) => Err(NtStatus::BUFFER_OVERFLOW),
    }
}

fn directory_entry(directory: &File, class: u32, name: &str) -> Result<Vec<u8>, NtStatus> {
    use rustix::fs::{AtFlags, statat};
    let stat = statat(directory.fd(), name, AtFlags::empty())
        .or_else(|_| statat(directory.fd(), name, AtFlags::SYMLINK_NOFOLLOW))
        .map_err(|error| status_of(&error.into()))?;
    let [created, accessed, written] = times_of(&stat);
    let units: Vec<u16> = name.encode_utf16().collect();
    let mut out = vec![0; 8];
    for value in [
        created,
        accessed,
        written,
        written,
        stat.st_size,
        stat.st_blocks * 512,
    ] {
        put(&mut out, value.to_le_bytes());
    }
    put(&mut out, attributes_of(stat.st_mode).to_le_bytes());
    put(&mut out, (units.len() as u32 * 2).to_le_bytes());
    put(&mut out, 0_u32.to_le_bytes());
    match class {
        // FileFullDirectoryInformation
        2 => {}
        // FileIdBothDirectoryInformation: short name (none), file id
        37 => {
            out.resize(out.len() + 2 + 24, 0);
            out.resize(out.len().next_multiple_of(8), 0);
            put(&mut out, stat.st_ino.to_le_bytes());
        }
        // FileBothDirectoryInformation
        3 => out.resize(out.len() + 2 + 24, 0),
        // FileDirectoryInformation has no EaSize
        1 => out.truncate(out.len() - 4),
        _ => return Err(NtStatus::INVALID_INFO_CLASS),
    }
    units
        .iter()
        .for_each(|unit| put(&mut out, unit.to_le_bytes()));
    Ok(out)
}

win_api! {
    /// Lists a directory.
    "ntdll.dll" stdcall fn NtQueryDirectoryFile = "NtQueryDirectoryFile|ZwQueryDirectoryFile" (file: Handle, _event: Handle, _routine: Callback, _context: UserPtr, io: Ptr<IoStatusBlock>, buffer: Ptr<u8>, length: u32, class: u32, single: Boolean, pattern: Ptr<UnicodeString>, restart: Boolean) -> Result<(), NtStatus> {
        let pattern = pattern.non_null().map(read_string).transpose()?;
        let most = if single.get() { 1 } else { usize::MAX };
        let bytes = match list(file, class, length as usize, most, restart.get(), pattern.as_deref()) {
            Ok(bytes) => bytes,
            // The status block tells warnings, and so that there are no more files; it does not tell errors.
            Err(status) if !status.is_error() => {
                io.try_write(IoStatusBlock { status: status.0 as usize, information: 0 })?;
                return Err(status);
            }
            Err(status) => return Err(status),
        };
        buffer.try_write_bytes(&bytes)?;
        io.try_write(IoStatusBlock { status: 0, information: bytes.len() })
    }
}
