//! Low-level file descriptors: numbers for handles, with translation modes.

use ntlpc_abi::Handle;
use parking_lot::Mutex;

use super::errno::{self, code};
use super::inherit;
use super::os::{self, FileKind, Whence};

/// Most descriptors of a process.
const MAX_FDS: usize = 8192;

/// How bytes of a descriptor are translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Bytes as they are.
    Binary,
    /// CR LF and LF.
    Text,
    /// UTF-8 text of wide functions.
    Utf8,
    /// UTF-16LE text of wide functions.
    Utf16,
}

/// An open descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Fd {
    /// Handle behind it.
    pub handle: Handle,
    /// What the handle is.
    pub kind: FileKind,
    /// Translation.
    pub mode: Mode,
    /// Whether every write goes to the end.
    pub append: bool,
    /// Whether a text read met Ctrl-Z.
    pub at_end: bool,
    /// Whether it is not inherited.
    pub no_inherit: bool,
}

/// The table; `None` until the initial descriptors were taken over.
static TABLE: Mutex<Option<Vec<Option<Fd>>>> = Mutex::new(None);

fn with_table<T>(act: impl FnOnce(&mut Vec<Option<Fd>>) -> T) -> T {
    let mut table = TABLE.lock();
    act(table.get_or_insert_with(initial))
}

/// Makes the descriptors that the process begins with: those its creator left it, else 0, 1 and 2 of the standard handles.
fn initial() -> Vec<Option<Fd>> {
    let mut table = inherit::inherited();
    table.resize(table.len().clamp(3, MAX_FDS), None);
    for (index, entry) in table.iter_mut().enumerate().take(3) {
        if entry.is_none() {
            *entry = standard(index);
        }
    }
    table
}

/// Makes a descriptor of a standard handle of the process.
fn standard(index: usize) -> Option<Fd> {
    let handle = os::standard_handle(index)?;
    Some(Fd {
        handle,
        kind: os::file_kind(handle),
        mode: Mode::Text,
        append: false,
        at_end: false,
        no_inherit: false,
    })
}

/// Returns a copy of the table.
pub fn all() -> Vec<Option<Fd>> {
    with_table(|table| table.clone())
}

/// Returns a descriptor, or `EBADF`.
pub fn get(fd: i32) -> Result<Fd, i32> {
    let index = usize::try_from(fd).map_err(|_| code::EBADF)?;
    with_table(|table| table.get(index).copied().flatten()).ok_or(code::EBADF)
}

/// Changes a descriptor in place.
pub fn update(fd: i32, change: impl FnOnce(&mut Fd)) -> Result<(), i32> {
    let index = usize::try_from(fd).map_err(|_| code::EBADF)?;
    with_table(|table| match table.get_mut(index) {
        Some(Some(entry)) => {
            change(entry);
            Ok(())
        }
        _ => Err(code::EBADF),
    })
}

/// Adds a descriptor under the lowest free number.
pub fn add(fd: Fd) -> Result<i32, i32> {
    with_table(|table| {
        let index = table
            .iter()
            .position(Option::is_none)
            .unwrap_or(table.len());
        if index >= MAX_FDS {
            return Err(code::EMFILE);
        }
        put(table, index, fd);
        i32::try_from(index).map_err(|_| code::EMFILE)
    })
}

fn put(table: &mut Vec<Option<Fd>>, index: usize, fd: Fd) {
    if table.len() <= index {
        table.resize(index + 1, None);
    }
    table[index] = Some(fd);
}

/// Closes a descriptor and its handle.
pub fn close(fd: i32) -> Result<(), i32> {
    let index = usize::try_from(fd).map_err(|_| code::EBADF)?;
    let entry =
        with_table(|table| table.get_mut(index).and_then(Option::take)).ok_or(code::EBADF)?;
    os::close(entry.handle).map_err(win32)
}

/// Duplicates a descriptor; to `target` if one is named.
pub fn duplicate(fd: i32, target: Option<i32>) -> Result<i32, i32> {
    let mut entry = get(fd)?;
    if target == Some(fd) {
        return Ok(fd);
    }
    entry.handle = os::duplicate(entry.handle, true).map_err(win32)?;
    entry.no_inherit = false;
    let Some(target) = target else {
        return add(entry);
    };
    let index = usize::try_from(target)
        .ok()
        .filter(|index| *index < MAX_FDS)
        .ok_or(code::EBADF)?;
    let old = with_table(|table| {
        let old = table.get(index).copied().flatten();
        put(table, index, entry);
        old
    });
    if let Some(old) = old {
        // A failure to close the replaced handle has nobody to go to.
        let _ = os::close(old.handle);
    }
    os::set_standard_handle(index, entry.handle);
    Ok(target)
}

/// Sets `_doserrno` and returns the `errno` for a Win32 error.
pub fn win32(error: u32) -> i32 {
    errno::set_from_win32(error);
    errno::from_win32(error)
}

/// Reads bytes as they are; 0 at the end.
pub fn read_raw(fd: i32, buffer: &mut [u8]) -> Result<usize, i32> {
    let entry = get(fd)?;
    os::read(entry.handle, buffer).map_err(win32)
}

/// Writes all bytes as they are.
pub fn write_raw(fd: i32, bytes: &[u8]) -> Result<(), i32> {
    let entry = get(fd)?;
    if entry.append && entry.kind == FileKind::Disk {
        os::seek(entry.handle, 0, Whence::End).map_err(win32)?;
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        match os::write(entry.handle, rest).map_err(win32)? {
            0 => return Err(code::ENOSPC),
            done => rest = &rest[done..],
        }
    }
    Ok(())
}

/// Moves the file pointer; returns the new one.
pub fn seek(fd: i32, offset: i64, whence: Whence) -> Result<i64, i32> {
    let entry = get(fd)?;
    if entry.kind != FileKind::Disk {
        return Err(code::ESPIPE);
    }
    update(fd, |entry| entry.at_end = false)?;
    os::seek(entry.handle, offset, whence).map_err(win32)
}

/// Puts a carriage return before every line feed.
pub fn to_text(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 16);
    for byte in bytes {
        if *byte == b'\n' {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out
}

/// Reads at most `count` translated bytes.
pub fn read(fd: i32, count: usize) -> Result<Vec<u8>, i32> {
    const CTRL_Z: u8 = 0x1A;
    let entry = get(fd)?;
    let mut buffer = vec![0; count];
    if entry.at_end {
        return Ok(Vec::new());
    }
    let done = read_raw(fd, &mut buffer)?;
    buffer.truncate(done);
    if entry.mode == Mode::Binary {
        return Ok(buffer);
    }
    if buffer.last() == Some(&b'\r') {
        // The line feed may be the next byte.
        let mut next = [0];
        if read_raw(fd, &mut next)? == 1 {
            if next[0] == b'\n' {
                buffer.pop();
                buffer.push(b'\n');
            } else if entry.kind == FileKind::Disk {
                seek(fd, -1, Whence::Current)?;
            } else {
                buffer.push(next[0]);
            }
        }
    }
    let mut out = Vec::with_capacity(buffer.len());
    let mut bytes = buffer.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            CTRL_Z if entry.kind == FileKind::Disk => {
                update(fd, |entry| entry.at_end = true)?;
                break;
            }
            b'\r' if bytes.peek() == Some(&b'\n') => {}
            _ => out.push(byte),
        }
    }
    Ok(out)
}

/// Writes bytes, translated; returns how many were taken.
pub fn write(fd: i32, bytes: &[u8]) -> Result<usize, i32> {
    match get(fd)?.mode {
        Mode::Binary => write_raw(fd, bytes)?,
        _ => write_raw(fd, &to_text(bytes))?,
    }
    Ok(bytes.len())
}
