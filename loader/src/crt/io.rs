//! `io.h`: descriptors and files by name.
//!
//! Sources: Microsoft Learn, "_open, _wopen", "_sopen", "_setmode", "_dup, _dup2".

use super::errno::{self, code};
use super::fcntl::{SHARE_ALL, translate};
use super::fcntl::{flags, mode_of};
use super::fd::{self, Fd, Mode};
use super::mem::{self, Char};
use super::os::{self, FileKind, Whence};
use super::text::{self, CodePage};
use super::twins::twins;
use super::unit::Unit;
use crate::export::{Ptr, VarArgs};
use crate::win_api;

/// Returns a path in wide characters.
pub fn path<T: Char>(at: Ptr<T>) -> Vec<u16> {
    let units = mem::string(at);
    if T::WIDE {
        return units
            .iter()
            .map(|unit| u16::from_low(unit.code()))
            .collect();
    }
    let bytes: Vec<u8> = units.iter().map(|unit| u8::from_low(unit.code())).collect();
    text::wide(CodePage::Utf8, &bytes)
        .unwrap_or_else(|| String::from_utf8_lossy(&bytes).encode_utf16().collect())
}

/// Turns a result into 0 or -1 with `errno`.
pub fn status(result: Result<(), i32>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(number) => {
            errno::set_errno(number);
            -1
        }
    }
}

/// Turns a result into its value or -1 with `errno`.
fn value(result: Result<i32, i32>) -> i32 {
    result.unwrap_or_else(|number| {
        errno::set_errno(number);
        -1
    })
}

/// Opens a file; returns the descriptor.
pub fn open(path: &[u16], open: i32, share: i32, permissions: i32) -> Result<i32, i32> {
    let how = translate(open, share, permissions).ok_or(code::EINVAL)?;
    let no_inherit = open & flags::NOINHERIT != 0;
    let handle = os::open(path, how, !no_inherit).map_err(fd::win32)?;
    let kind = os::file_kind(handle);
    fd::add(Fd {
        handle,
        kind,
        mode: mode_of(open),
        append: open & flags::APPEND != 0,
        at_end: false,
        no_inherit,
    })
}

fn open_checked<T: Char>(
    to: Ptr<i32>,
    name: Ptr<T>,
    flags: i32,
    share: i32,
    permissions: i32,
) -> i32 {
    if to.is_null() || name.is_null() {
        return errno::invalid_parameter();
    }
    match open(&path(name), flags, share, permissions) {
        Ok(number) => {
            to.write(number);
            0
        }
        Err(number) => {
            to.write(-1);
            errno::fail(number)
        }
    }
}

twins! {
    /// Opens a file.
    "msvcrt.dll|ucrtbase.dll" fn _open / _wopen(name: Ptr<Char>, open_flags: i32, permissions: VarArgs) -> i32 {
        let mut permissions = permissions;
        let permissions = if open_flags & flags::CREAT != 0 { permissions.next_i32() } else { 0 };
        value(open(&path(name), open_flags, SHARE_ALL, permissions))
    }

    /// Opens a file with sharing.
    "msvcrt.dll|ucrtbase.dll" fn _sopen / _wsopen(name: Ptr<Char>, open_flags: i32, share: i32, permissions: VarArgs) -> i32 {
        let mut permissions = permissions;
        let permissions = if open_flags & flags::CREAT != 0 { permissions.next_i32() } else { 0 };
        value(open(&path(name), open_flags, share, permissions))
    }

    /// Opens a file with sharing and stores the descriptor.
    "msvcrt.dll|ucrtbase.dll" fn _sopen_s / _wsopen_s(to: Ptr<i32>, name: Ptr<Char>, open_flags: i32, share: i32, permissions: i32) -> i32 {
        open_checked(to, name, open_flags, share, permissions)
    }

    /// Opens a file with sharing and stores the descriptor.
    "ucrtbase.dll" fn _sopen_dispatch / _wsopen_dispatch(name: Ptr<Char>, open_flags: i32, share: i32, permissions: i32, to: Ptr<i32>, _is_secure: i32) -> i32 {
        open_checked(to, name, open_flags, share, permissions)
    }

    /// Creates a file.
    "msvcrt.dll|ucrtbase.dll" fn _creat / _wcreat(name: Ptr<Char>, permissions: i32) -> i32 {
        value(open(&path(name), flags::CREAT | flags::TRUNC | flags::RDWR, SHARE_ALL, permissions))
    }
}

fn whence_of(origin: i32) -> Result<Whence, i32> {
    match origin {
        0 => Ok(Whence::Start),
        1 => Ok(Whence::Current),
        2 => Ok(Whence::End),
        _ => Err(code::EINVAL),
    }
}

fn seek(number: i32, offset: i64, origin: i32) -> i64 {
    whence_of(origin)
        .and_then(|whence| fd::seek(number, offset, whence))
        .unwrap_or_else(|number| {
            errno::set_errno(number);
            -1
        })
}

fn length(number: i32) -> i64 {
    fd::get(number)
        .and_then(|fd| os::size(fd.handle).map_err(fd::win32))
        .unwrap_or_else(|number| {
            errno::set_errno(number);
            -1
        })
}

fn set_mask(mask: i32) -> i32 {
    static MASK: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(0);
    MASK.swap(mask & 0o600, std::sync::atomic::Ordering::Relaxed)
}

/// `_locking`: a lock that is taken is tried for up to ten seconds unless the mode says otherwise.
///
/// Source: Microsoft Learn, "_locking".
fn lock_bytes(descriptor: i32, mode: i32, count: i32) -> Result<(), i32> {
    const UNLOCK: i32 = 0;
    const LOCK: i32 = 1;
    const LOCK_ONCE: i32 = 2;
    const LOCK_READ: i32 = 3;
    const LOCK_READ_ONCE: i32 = 4;
    const TRIES: u32 = 10;
    let entry = fd::get(descriptor)?;
    let count = u32::try_from(count).map_err(|_| errno::invalid_parameter())?;
    let tries = match mode {
        LOCK | LOCK_READ => TRIES,
        UNLOCK | LOCK_ONCE | LOCK_READ_ONCE => 1,
        _ => return Err(errno::invalid_parameter()),
    };
    let start = os::seek(entry.handle, 0, Whence::Current).map_err(fd::win32)?;
    for attempt in 1..=tries {
        match os::lock(entry.handle, start, count, mode != UNLOCK) {
            Ok(()) => return Ok(()),
            Err(_) if attempt == tries => break,
            Err(_) => std::thread::sleep(std::time::Duration::from_secs(1)),
        }
    }
    Err(if tries > 1 {
        code::EDEADLOCK
    } else {
        code::EACCES
    })
}

win_api! {
    /// Closes a descriptor.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _close(number: i32) -> i32 {
        status(fd::close(number))
    }

    /// Reads from a descriptor.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _read(number: i32, to: Ptr<u8>, count: u32) -> i32 {
        match fd::read(number, (count as usize).min(1 << 30)) {
            Ok(bytes) => {
                to.write_bytes(&bytes);
                i32::try_from(bytes.len()).unwrap_or(i32::MAX)
            }
            Err(number) => status(Err(number)),
        }
    }

    /// Writes to a descriptor.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _write(number: i32, from: Ptr<u8>, count: u32) -> i32 {
        let bytes = from.read_bytes(count as usize);
        value(fd::write(number, &bytes).map(|done| i32::try_from(done).unwrap_or(i32::MAX)))
    }

    /// Moves the file pointer.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _lseek(number: i32, offset: i32, origin: i32) -> i32 {
        i32::try_from(seek(number, i64::from(offset), origin)).unwrap_or(-1)
    }

    /// Moves the file pointer.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _lseeki64(number: i32, offset: i64, origin: i32) -> i64 {
        seek(number, offset, origin)
    }

    /// Returns the file pointer.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _tell(number: i32) -> i32 {
        i32::try_from(seek(number, 0, 1)).unwrap_or(-1)
    }

    /// Returns the file pointer.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _telli64(number: i32) -> i64 {
        seek(number, 0, 1)
    }

    /// Returns the size of a file.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _filelength(number: i32) -> i32 {
        i32::try_from(length(number)).unwrap_or(-1)
    }

    /// Returns the size of a file.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _filelengthi64(number: i32) -> i64 {
        length(number)
    }

    /// Cuts or extends a file.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _chsize(number: i32, size: i32) -> i32 {
        status(fd::get(number).and_then(|fd| os::set_size(fd.handle, i64::from(size)).map_err(fd::win32)))
    }

    /// Cuts or extends a file; returns the error.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _chsize_s(number: i32, size: i64) -> i32 {
        match fd::get(number).and_then(|fd| os::set_size(fd.handle, size).map_err(fd::win32)) {
            Ok(()) => 0,
            Err(number) => errno::fail(number),
        }
    }

    /// Writes a file's data to the disk.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _commit(number: i32) -> i32 {
        status(fd::get(number).and_then(|fd| os::commit(fd.handle).map_err(fd::win32)))
    }

    /// Duplicates a descriptor.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _dup(number: i32) -> i32 {
        value(fd::duplicate(number, None))
    }

    /// Duplicates a descriptor to a number.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _dup2(number: i32, target: i32) -> i32 {
        status(fd::duplicate(number, Some(target)).map(|_| ()))
    }

    /// Tells whether a descriptor is at the end of its file.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _eof(number: i32) -> i32 {
        let end = length(number);
        if end < 0 { -1 } else { i32::from(seek(number, 0, 1) >= end) }
    }

    /// Tells whether a descriptor is a character device.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _isatty(number: i32) -> i32 {
        match fd::get(number) {
            Ok(fd) if fd.kind == FileKind::Character => 0x40,
            Ok(_) => 0,
            Err(number) => {
                errno::set_errno(number);
                0
            }
        }
    }

    /// Sets the translation of a descriptor; returns the one before.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _setmode(number: i32, mode: i32) -> i32 {
        const KNOWN: [i32; 5] = [flags::BINARY, flags::TEXT, flags::WTEXT, flags::U16TEXT, flags::U8TEXT];
        if !KNOWN.contains(&mode) {
            errno::invalid_parameter();
            return -1;
        }
        let mut before = -1;
        let done = fd::update(number, |fd| {
            before = match fd.mode {
                Mode::Binary => flags::BINARY,
                Mode::Text => flags::TEXT,
                Mode::Utf8 => flags::U8TEXT,
                Mode::Utf16 => flags::U16TEXT,
            };
            fd.mode = mode_of(mode);
        });
        if done.is_ok() { before } else { status(done) }
    }

    /// Returns the handle behind a descriptor.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _get_osfhandle(number: i32) -> ntlpc_abi::Handle {
        match fd::get(number) {
            Ok(fd) => fd.handle,
            Err(number) => {
                errno::set_errno(number);
                ntlpc_abi::Handle(u64::MAX)
            }
        }
    }

    /// Makes a descriptor of a handle.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _open_osfhandle(handle: ntlpc_abi::Handle, open_flags: i32) -> i32 {
        let kind = os::file_kind(handle);
        let mode = if open_flags & (flags::TEXT | flags::U8TEXT | flags::U16TEXT | flags::WTEXT) == 0 { Mode::Binary } else { mode_of(open_flags) };
        value(fd::add(Fd {
            handle,
            kind,
            mode,
            append: open_flags & flags::APPEND != 0,
            at_end: false,
            no_inherit: open_flags & flags::NOINHERIT != 0,
        }))
    }

    /// Sets the permission mask of new files; returns the one before.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _umask(mask: i32) -> i32 {
        set_mask(mask)
    }

    /// Sets the permission mask of new files and stores the one before.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _umask_s(mask: i32, before: Ptr<i32>) -> i32 {
        if before.is_null() || mask & !0o600 != 0 {
            before.write_if_some(0);
            return errno::invalid_parameter();
        }
        before.write(set_mask(mask));
        0
    }

    /// Locks or unlocks bytes of a file from the current position on.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _locking(descriptor: i32, mode: i32, count: i32) -> i32 {
        status(lock_bytes(descriptor, mode, count))
    }
}
