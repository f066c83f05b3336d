//! `sys/stat.h`: what is known about a file, in four layouts.
//!
//! Source: Microsoft Learn, "_stat, _stat32, _stat64 functions", "_fstat", "_chmod"; mingw-w64 `sys/stat.h`.

use ntlpc_abi::Width;

use super::errno::{self, code};
use super::fd;
use super::io::{path, status};
use super::mem::Char;
use super::os::files::{self, Info};
use super::os::{self, FileKind};
use super::twins::twins;
use crate::export::Ptr;
use crate::{width, win_api};

const IFIFO: u16 = 0x1000;
const IFCHR: u16 = 0x2000;
const IFDIR: u16 = 0x4000;
const IFREG: u16 = 0x8000;
const READ: u16 = 0x100;
const WRITE: u16 = 0x80;
const EXECUTE: u16 = 0x40;

/// Widths of the fields that differ.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Whether sizes have 64 bits.
    pub has_long_size: bool,
    /// Whether times have 64 bits.
    pub has_long_times: bool,
}

impl Layout {
    const fn new(has_long_size: bool, has_long_times: bool) -> Layout {
        Layout {
            has_long_size,
            has_long_times,
        }
    }

    /// Layout of names without numbers in `msvcrt`, whose times have the width of a pointer there.
    pub fn native(is_i64: bool) -> Layout {
        Layout::new(is_i64, width() == Width::X64)
    }
}

/// `_stat32`.
pub const LAYOUT_32: Layout = Layout::new(false, false);
/// `_stat32i64`.
pub const LAYOUT_32_I64: Layout = Layout::new(true, false);
/// `_stat64i32`.
pub const LAYOUT_64_I32: Layout = Layout::new(false, true);
/// `_stat64`.
pub const LAYOUT_64: Layout = Layout::new(true, true);

/// Writes fields one behind the other, each at its alignment.
pub struct Writer {
    start: u64,
    offset: u64,
}

impl Writer {
    /// Starts at an offset of a structure.
    pub fn new(start: u64, offset: u64) -> Writer {
        Writer { start, offset }
    }

    /// Writes a number with 32 or 64 bits; one that does not fit becomes `overflow`.
    pub fn put(&mut self, value: i64, is_long: bool, overflow: i32) {
        let bytes = if is_long { 8 } else { 4 };
        let at = self.start + self.offset.next_multiple_of(bytes);
        if is_long {
            Ptr::<i64>::new(at).write(value);
        } else {
            Ptr::<i32>::new(at).write(i32::try_from(value).unwrap_or(overflow));
        }
        self.offset = at - self.start + bytes;
    }

    /// Returns where the next byte goes.
    pub fn next(&self) -> u64 {
        self.start + self.offset
    }
}

/// What `stat` says about a file.
struct Stat {
    device: u32,
    mode: u16,
    links: u16,
    size: i64,
    /// Access, modification, creation.
    times: [i64; 3],
}

impl Stat {
    fn of(info: &Info, device: u32, mode: u16) -> Stat {
        let [created, accessed, written] = info.times;
        Stat {
            device,
            mode,
            links: info.links as u16,
            size: info.size,
            times: [accessed, written, created],
        }
    }

    fn write(&self, to: Ptr<u8>, layout: Layout) -> Result<(), i32> {
        if !layout.has_long_size && i32::try_from(self.size).is_err() {
            return Err(code::EOVERFLOW);
        }
        let at = to.cast::<u16>();
        to.cast::<u32>().write(self.device);
        // Inode, mode, links, owner, group, padding.
        for (index, value) in [0, self.mode, self.links, 0, 0, 0].into_iter().enumerate() {
            at.add(2 + index).write(value);
        }
        to.cast::<u32>().add(4).write(self.device);
        let mut rest = Writer::new(to.address(), 20);
        rest.put(self.size, layout.has_long_size, 0);
        for time in self.times {
            rest.put(time, layout.has_long_times, -1);
        }
        Ok(())
    }
}

/// Owner's bits and the same for group and others.
fn for_everyone(bits: u16) -> u16 {
    bits | bits >> 3 | bits >> 6
}

fn mode_of(info: &Info, name: &[u16]) -> u16 {
    const PROGRAMS: [&str; 4] = ["exe", "com", "bat", "cmd"];
    let writable = if info.attributes & files::READONLY == 0 {
        WRITE
    } else {
        0
    };
    if info.attributes & files::DIRECTORY != 0 {
        return IFDIR | for_everyone(READ | EXECUTE | writable);
    }
    let name = String::from_utf16_lossy(name).to_ascii_lowercase();
    let is_program = name
        .rsplit_once('.')
        .is_some_and(|(_, suffix)| PROGRAMS.contains(&suffix));
    let executable = if is_program { EXECUTE } else { 0 };
    IFREG | for_everyone(READ | writable | executable)
}

fn stat_path(name: &[u16]) -> Result<Stat, i32> {
    if name
        .iter()
        .any(|unit| matches!(u8::try_from(*unit), Ok(b'*' | b'?')))
    {
        return Err(code::ENOENT);
    }
    // `dir\` is the directory, but `\` and `C:\` need theirs.
    let is_slash = |unit: &u16| matches!(u8::try_from(*unit), Ok(b'/' | b'\\'));
    let bare = match name {
        [start @ .., last]
            if is_slash(last) && !start.is_empty() && start.last() != Some(&u16::from(b':')) =>
        {
            start
        }
        _ => name,
    };
    let info = files::info(bare).map_err(|error| {
        fd::win32(error);
        code::ENOENT
    })?;
    let full = files::full_path(bare).unwrap_or_default();
    let drive = match full.as_slice() {
        [letter, colon, ..] if *colon == u16::from(b':') => {
            u32::from(*letter | 0x20).wrapping_sub(u32::from(b'a'))
        }
        _ => 0,
    };
    Ok(Stat::of(&info, drive, mode_of(&info, bare)))
}

fn stat_descriptor(number: i32) -> Result<Stat, i32> {
    let entry = fd::get(number)?;
    let device = number.cast_unsigned();
    let kind = match entry.kind {
        FileKind::Disk => {
            let info = files::info_of(entry.handle).map_err(fd::win32)?;
            return Ok(Stat::of(&info, 0, mode_of(&info, &[])));
        }
        FileKind::Character => IFCHR,
        FileKind::Pipe => IFIFO,
    };
    let info = Info {
        attributes: 0,
        times: [0; 3],
        size: os::available(entry.handle),
        links: 1,
    };
    Ok(Stat::of(&info, device, kind | for_everyone(READ | WRITE)))
}

fn by_path<T: Char>(name: Ptr<T>, to: Ptr<u8>, layout: Layout) -> i32 {
    if name.is_null() || to.is_null() {
        errno::invalid_parameter();
        return -1;
    }
    status(stat_path(&path(name)).and_then(|stat| stat.write(to, layout)))
}

fn by_descriptor(number: i32, to: Ptr<u8>, layout: Layout) -> i32 {
    if to.is_null() {
        errno::invalid_parameter();
        return -1;
    }
    status(stat_descriptor(number).and_then(|stat| stat.write(to, layout)))
}

twins! {
    /// Describes a file.
    "msvcrt.dll" fn _stat / _wstat(name: Ptr<Char>, to: Ptr<u8>) -> i32 { by_path(name, to, Layout::native(false)) }

    /// Describes a file.
    "msvcrt.dll" fn _stati64 / _wstati64(name: Ptr<Char>, to: Ptr<u8>) -> i32 { by_path(name, to, Layout::native(true)) }

    /// Describes a file.
    "msvcrt.dll|ucrtbase.dll" fn _stat32 / _wstat32(name: Ptr<Char>, to: Ptr<u8>) -> i32 { by_path(name, to, LAYOUT_32) }

    /// Describes a file.
    "msvcrt.dll|ucrtbase.dll" fn _stat32i64 / _wstat32i64(name: Ptr<Char>, to: Ptr<u8>) -> i32 { by_path(name, to, LAYOUT_32_I64) }

    /// Describes a file.
    "msvcrt.dll|ucrtbase.dll" fn _stat64i32 / _wstat64i32(name: Ptr<Char>, to: Ptr<u8>) -> i32 { by_path(name, to, LAYOUT_64_I32) }

    /// Describes a file.
    "msvcrt.dll|ucrtbase.dll" fn _stat64 / _wstat64(name: Ptr<Char>, to: Ptr<u8>) -> i32 { by_path(name, to, LAYOUT_64) }

    /// Allows or forbids writing.
    "msvcrt.dll|ucrtbase.dll" fn _chmod / _wchmod(name: Ptr<Char>, mode: i32) -> i32 {
        let name = path(name);
        let done = files::info(&name).and_then(|info| {
            let readonly = if mode & i32::from(WRITE) == 0 { files::READONLY } else { 0 };
            let attributes = info.attributes & !(files::READONLY | files::DIRECTORY) | readonly;
            files::set_attributes(&name, if attributes == 0 { files::NORMAL } else { attributes })
        });
        status(done.map_err(fd::win32))
    }
}

win_api! {
    /// Describes an open file.
    "msvcrt.dll" cdecl fn _fstat(number: i32, to: Ptr<u8>) -> i32 { by_descriptor(number, to, Layout::native(false)) }

    /// Describes an open file.
    "msvcrt.dll" cdecl fn _fstati64(number: i32, to: Ptr<u8>) -> i32 { by_descriptor(number, to, Layout::native(true)) }

    /// Describes an open file.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _fstat32(number: i32, to: Ptr<u8>) -> i32 { by_descriptor(number, to, LAYOUT_32) }

    /// Describes an open file.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _fstat32i64(number: i32, to: Ptr<u8>) -> i32 { by_descriptor(number, to, LAYOUT_32_I64) }

    /// Describes an open file.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _fstat64i32(number: i32, to: Ptr<u8>) -> i32 { by_descriptor(number, to, LAYOUT_64_I32) }

    /// Describes an open file.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _fstat64(number: i32, to: Ptr<u8>) -> i32 { by_descriptor(number, to, LAYOUT_64) }
}
