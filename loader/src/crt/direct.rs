//! `direct.h`: directories and drives.
//!
//! Source: Microsoft Learn, "_chdir", "_getcwd", "_mkdir", "_rmdir", "_getdrive", "_chdrive", "_getdcwd".

use super::errno::{self, code};
use super::fd;
use super::io::{path, status};
use super::mem::Char;
use super::names::give;
use super::os::files;
use super::twins::twins;
use crate::export::Ptr;
use crate::win_api;

/// Returns the number of the current drive: 1 is A.
fn current_drive() -> i32 {
    match files::current_directory().as_slice() {
        [letter, colon, ..] if *colon == u16::from(b':') => {
            i32::from(*letter | 0x20) - i32::from(b'a') + 1
        }
        _ => 0,
    }
}

/// Returns the path `X:` of a drive that exists.
fn drive_path(drive: i32) -> Result<Vec<u16>, i32> {
    let bit = u32::try_from(drive - 1)
        .ok()
        .filter(|bit| *bit < 26)
        .ok_or(code::EACCES)?;
    if files::drives() & 1 << bit == 0 {
        return Err(code::EACCES);
    }
    Ok(vec![u16::from(b'A') + bit as u16, u16::from(b':')])
}

/// Returns the current directory of a drive, 0 for the current one.
fn directory_of(drive: i32) -> Result<Vec<u16>, i32> {
    if drive == 0 || drive == current_drive() {
        return Ok(files::current_directory());
    }
    files::full_path(&drive_path(drive)?).map_err(fd::win32)
}

fn give_directory<T: Char>(drive: i32, buffer: Ptr<T>, size: i32) -> Ptr<T> {
    let Ok(size) = usize::try_from(size) else {
        errno::invalid_parameter();
        return Ptr::NULL;
    };
    match directory_of(drive) {
        Ok(directory) => give(&directory, buffer, size),
        Err(number) => {
            errno::set_errno(number);
            Ptr::NULL
        }
    }
}

twins! {
    /// Makes a directory.
    "msvcrt.dll|ucrtbase.dll" fn _mkdir / _wmkdir(name: Ptr<Char>) -> i32 {
        status(files::make_directory(&path(name)).map_err(fd::win32))
    }

    /// Removes an empty directory.
    "msvcrt.dll|ucrtbase.dll" fn _rmdir / _wrmdir(name: Ptr<Char>) -> i32 {
        status(files::remove_directory(&path(name)).map_err(fd::win32))
    }

    /// Changes the current directory.
    "msvcrt.dll|ucrtbase.dll" fn _chdir / _wchdir(name: Ptr<Char>) -> i32 {
        status(files::change_directory(&path(name)).map_err(fd::win32))
    }

    /// Returns the current directory.
    "msvcrt.dll|ucrtbase.dll" fn _getcwd / _wgetcwd(buffer: Ptr<Char>, size: i32) -> Ptr<Char> {
        give_directory(0, buffer, size)
    }

    /// Returns the current directory of a drive.
    "msvcrt.dll|ucrtbase.dll" fn _getdcwd / _wgetdcwd(drive: i32, buffer: Ptr<Char>, size: i32) -> Ptr<Char> {
        give_directory(drive, buffer, size)
    }
}

win_api! {
    /// Returns the number of the current drive: 1 is A.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _getdrive() -> i32 {
        current_drive()
    }

    /// Changes the current drive.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _chdrive(drive: i32) -> i32 {
        status(drive_path(drive).and_then(|path| files::change_directory(&path).map_err(fd::win32)))
    }

    /// Returns the drives as bits, A first.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _getdrives() -> u32 {
        files::drives()
    }
}
