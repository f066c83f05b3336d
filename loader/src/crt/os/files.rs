//! Files by name: what `kernel32` tells about them and does with them.

use ntlpc_abi::Handle;

use super::{address, result};
use crate::dlls::kernel32::{
    errhandlingapi, fileapi, fileattributes, filesystem, find, processenv,
};
use crate::export::{Guest, Ptr};
use crate::ob::time::to_unix;

/// `FILE_ATTRIBUTE_READONLY`.
pub const READONLY: u32 = 0x1;
/// `FILE_ATTRIBUTE_DIRECTORY`.
pub const DIRECTORY: u32 = 0x10;
/// `FILE_ATTRIBUTE_NORMAL`.
pub const NORMAL: u32 = 0x80;

/// What is known about a file.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// `FILE_ATTRIBUTE_*`.
    pub attributes: u32,
    /// Creation, last access and last change in seconds since 1970.
    pub times: [i64; 3],
    /// Bytes.
    pub size: i64,
    /// Names.
    pub links: u32,
}

/// A directory entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What is known about the file.
    pub info: Info,
    /// Its name.
    pub name: Vec<u16>,
}

/// Returns a path with its NUL.
fn terminated(path: &[u16]) -> Vec<u16> {
    [path, &[0]].concat()
}

fn at(path: &[u16]) -> Ptr<u16> {
    Ptr::new(path.as_ptr() as u64)
}

fn long(high: u32, low: u32) -> i64 {
    (u64::from(high) << 32 | u64::from(low)).cast_signed()
}

/// Seconds since 1970 of a FILETIME, low word first.
fn seconds([low, high]: [u32; 2]) -> i64 {
    to_unix(long(high, low)).0
}

impl From<fileattributes::FileAttributeData> for Info {
    fn from(data: fileattributes::FileAttributeData) -> Info {
        Info {
            attributes: data.attributes,
            times: [
                data.creation_time,
                data.last_access_time,
                data.last_write_time,
            ]
            .map(seconds),
            size: long(data.size_high, data.size_low),
            links: 1,
        }
    }
}

/// Returns what is known about a file by its name.
pub fn info(path: &[u16]) -> Result<Info, u32> {
    let name = terminated(path);
    let mut place = [0_u64; 8];
    let data = Ptr::<fileattributes::FileAttributeData>::new(address(&mut place));
    result(fileattributes::GetFileAttributesExW(at(&name), 0, data))?;
    Ok(data.read().into())
}

/// Returns what is known about an open file.
pub fn info_of(handle: Handle) -> Result<Info, u32> {
    let mut place = [0_u64; 8];
    let data = Ptr::<fileattributes::ByHandleFileInformation>::new(address(&mut place));
    result(fileattributes::GetFileInformationByHandle(handle, data))?;
    let data = data.read();
    Ok(Info {
        attributes: data.attributes,
        times: [
            data.creation_time,
            data.last_access_time,
            data.last_write_time,
        ]
        .map(seconds),
        size: long(data.size_high, data.size_low),
        links: data.links,
    })
}

/// Sets the attributes of a file.
pub fn set_attributes(path: &[u16], attributes: u32) -> Result<(), u32> {
    result(filesystem::SetFileAttributesW(
        at(&terminated(path)),
        attributes,
    ))
}

/// Sets last access and last change of an open file, in 100 ns since 1601.
pub fn set_times(handle: Handle, accessed: i64, written: i64) -> Result<(), u32> {
    let (mut accessed, mut written) = (accessed, written);
    result(fileattributes::SetFileTime(
        handle,
        Ptr::NULL,
        Ptr::new(address(&mut accessed)),
        Ptr::new(address(&mut written)),
    ))
}

/// Deletes a file.
pub fn delete(path: &[u16]) -> Result<(), u32> {
    result(filesystem::DeleteFileW(at(&terminated(path))))
}

/// Renames a file or directory; what has the new name stays.
pub fn rename(from: &[u16], to: &[u16]) -> Result<(), u32> {
    const COPY_ALLOWED: u32 = 2;
    result(filesystem::MoveFileExW(
        at(&terminated(from)),
        at(&terminated(to)),
        COPY_ALLOWED,
    ))
}

/// Makes a directory.
pub fn make_directory(path: &[u16]) -> Result<(), u32> {
    result(filesystem::CreateDirectoryW(
        at(&terminated(path)),
        Ptr::NULL,
    ))
}

/// Removes an empty directory.
pub fn remove_directory(path: &[u16]) -> Result<(), u32> {
    result(filesystem::RemoveDirectoryW(at(&terminated(path))))
}

/// Changes the current directory.
pub fn change_directory(path: &[u16]) -> Result<(), u32> {
    result(processenv::SetCurrentDirectoryW(at(&terminated(path))))
}

/// Returns the current directory.
pub fn current_directory() -> Vec<u16> {
    text(|buffer, size| processenv::GetCurrentDirectoryW(size, buffer)).unwrap_or_default()
}

/// Returns the full form of a path.
pub fn full_path(path: &[u16]) -> Result<Vec<u16>, u32> {
    let name = terminated(path);
    text(|buffer, size| fileapi::GetFullPathNameW(at(&name), size, buffer, Ptr::NULL))
}

/// Returns the directory for temporary files, with a backslash at the end.
pub fn temporary_directory() -> Result<Vec<u16>, u32> {
    text(|buffer, size| filesystem::GetTempPathW(size, buffer))
}

/// Returns the drives as bits, A first.
pub fn drives() -> u32 {
    filesystem::GetLogicalDrives()
}

/// Calls a function that fills a buffer and returns how much it wrote, or how much it needs.
fn text(fill: impl Fn(Ptr<u16>, u32) -> u32) -> Result<Vec<u16>, u32> {
    let mut buffer = vec![0_u16; 512];
    loop {
        let len = fill(Ptr::new(buffer.as_mut_ptr() as u64), buffer.len() as u32) as usize;
        if len == 0 {
            return Err(errhandlingapi::GetLastError());
        }
        if len < buffer.len() {
            buffer.truncate(len);
            return Ok(buffer);
        }
        buffer.resize(len + 1, 0);
    }
}

/// Where `FindFirstFileW` puts its answer: the data and a name of 260 units, and 14 more.
struct Found {
    place: Vec<u64>,
}

impl Found {
    const NAME_UNITS: usize = 260;

    fn new() -> Found {
        let bytes = find::FindData::size() + 2 * (Self::NAME_UNITS + 14);
        Found {
            place: vec![0; bytes.div_ceil(8)],
        }
    }

    fn at(&mut self) -> Ptr<find::FindData> {
        Ptr::new(self.place.as_mut_ptr() as u64)
    }

    fn entry(&mut self) -> Entry {
        let at = self.at();
        let data = at.read();
        let name = at.byte_add(find::FindData::size() as u64).cast::<u16>();
        let name = crate::crt::mem::string_within(name, Self::NAME_UNITS);
        Entry {
            info: data.file.into(),
            name,
        }
    }
}

/// Starts a search; returns its handle and the first entry.
pub fn find_first(pattern: &[u16]) -> Result<(Handle, Entry), u32> {
    let mut found = Found::new();
    let handle = find::FindFirstFileW(at(&terminated(pattern)), found.at());
    if handle.0 == u64::MAX {
        return Err(errhandlingapi::GetLastError());
    }
    Ok((handle, found.entry()))
}

/// Returns the next entry of a search.
pub fn find_next(search: Handle) -> Result<Entry, u32> {
    let mut found = Found::new();
    result(find::FindNextFileW(search, found.at()))?;
    Ok(found.entry())
}

/// Ends a search.
pub fn find_close(search: Handle) -> Result<(), u32> {
    result(find::FindClose(search))
}

/// Returns the names that match a pattern, without `.` and `..`.
pub fn matching_names(pattern: &[u16]) -> Vec<Vec<u16>> {
    let Ok((search, first)) = find_first(pattern) else {
        return Vec::new();
    };
    let rest = std::iter::from_fn(|| find_next(search).ok());
    let is_dots =
        |name: &[u16]| name.len() <= 2 && name.iter().all(|unit| *unit == u16::from(b'.'));
    let names = std::iter::once(first)
        .chain(rest)
        .map(|entry| entry.name)
        .filter(|name| !is_dots(name))
        .collect();
    // The search is over; its handle may have been closed by another thread only.
    let _ = find_close(search);
    names
}
