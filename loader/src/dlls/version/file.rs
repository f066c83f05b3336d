//! The version resource of a file, read without loading it.
//!
//! Source: Microsoft Learn, "PE Format", ".rsrc Section".

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::image::{Directory, Headers};

/// `RT_VERSION`.
const RT_VERSION: u32 = 16;
/// Set in an entry that leads to a directory.
const IS_DIRECTORY: u32 = 0x8000_0000;
/// Largest resource section that is read.
const MOST: u32 = 256 << 20;

/// Why there is no version information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// No such file.
    File,
    /// The file is no image, or has no version resource.
    Resource,
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// Returns where an entry of the directory at `table` leads: that with an id, or the first.
fn entry(section: &[u8], table: u32, id: Option<u32>) -> Option<u32> {
    let counts = word(section, table as usize + 12)?;
    let count = (counts & 0xFFFF) + (counts >> 16);
    (0..count).find_map(|i| {
        let at = table as usize + 16 + i as usize * 8;
        let (key, offset) = (word(section, at)?, word(section, at + 4)?);
        id.is_none_or(|id| id == key).then_some(offset)
    })
}

/// Finds the first version resource in the bytes of a resource section at `rva`.
fn find(section: &[u8], rva: u32) -> Option<Vec<u8>> {
    let mut at = entry(section, 0, Some(RT_VERSION))?;
    for _ in 0..2 {
        if at & IS_DIRECTORY == 0 {
            return None;
        }
        at = entry(section, at & !IS_DIRECTORY, None)?;
    }
    let (data, size) = (word(section, at as usize)?, word(section, at as usize + 4)?);
    let start = data.checked_sub(rva)? as usize;
    section
        .get(start..start.checked_add(size as usize)?)
        .map(<[u8]>::to_vec)
}

/// Reads the version resource of a file.
pub fn read(path: &Path) -> Result<Vec<u8>, Missing> {
    let file = File::open(path).map_err(|_| Missing::File)?;
    let read = || {
        let headers = Headers::read(&file).ok()?;
        let (rva, _) = headers.directory(Directory::Resource)?;
        let section = headers
            .sections
            .iter()
            .find(|section| rva >= section.rva && rva - section.rva < section.file_size)?;
        let skipped = rva - section.rva;
        let length = (section.file_size - skipped).min(MOST);
        let mut bytes = vec![0; length as usize];
        let offset = u64::from(section.file_offset) + u64::from(skipped);
        file.read_exact_at(&mut bytes, offset).ok()?;
        find(&bytes, rva)
    };
    read().ok_or(Missing::Resource)
}
