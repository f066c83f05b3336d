//! Directories and whole files: making, removing, moving, copying, linking: `fileapi.h`, `winbase.h`.

use std::path::{Path, PathBuf};

use ntlpc_abi::{Handle, NtStatus};

use super::fileapi::resolve_file;
use super::fileattributes::attribute;
use super::synchapi::SecurityAttributes;
use crate::dlls::win32::{
    dos_error, error, failed, put_string, refuse, success, units_arg, wide_arg,
};
use crate::export::{Bool, Ptr};
use crate::ob::file::{File, status_of};
use crate::ob::table::lookup;
use crate::ob::{path, volume};
use crate::win_api;

pub(super) fn wide(name: &str) -> Vec<u16> {
    name.encode_utf16().collect()
}

pub(super) fn ansi(name: &str) -> Vec<u8> {
    name.as_bytes().to_vec()
}

fn named(name: Option<Vec<u16>>) -> Result<PathBuf, NtStatus> {
    resolve_file(&name.ok_or(NtStatus::OBJECT_PATH_NOT_FOUND)?)
}

/// The status of a failed operation on a path: a missing directory is a missing path.
fn path_status(path: &Path, error: &std::io::Error) -> NtStatus {
    match status_of(error) {
        NtStatus::OBJECT_NAME_NOT_FOUND if !path.parent().is_none_or(Path::is_dir) => {
            NtStatus::OBJECT_PATH_NOT_FOUND
        }
        status => status,
    }
}

fn on_path(name: Option<Vec<u16>>, act: impl FnOnce(&Path) -> std::io::Result<()>) -> Bool {
    success(named(name).and_then(|path| act(&path).map_err(|error| path_status(&path, &error))))
}

fn remove_directory(path: &Path) -> std::io::Result<()> {
    if path.symlink_metadata()?.is_symlink() && path.is_dir() {
        return std::fs::remove_file(path);
    }
    std::fs::remove_dir(path)
}

fn removed(name: Option<Vec<u16>>) -> Bool {
    match named(name.clone()) {
        Ok(path) if path.is_file() => failed(NtStatus::NOT_A_DIRECTORY, Bool::FALSE),
        _ => on_path(name, remove_directory),
    }
}

fn delete(path: &Path) -> std::io::Result<()> {
    let metadata = path.symlink_metadata()?;
    // A directory or a read-only file is not deleted.
    if metadata.is_dir() || (metadata.permissions().readonly() && !metadata.is_symlink()) {
        return Err(std::io::Error::from_raw_os_error(libc::EACCES));
    }
    std::fs::remove_file(path)
}

/// `MOVEFILE_REPLACE_EXISTING`.
const REPLACE_EXISTING: u32 = 1;
/// `MOVEFILE_COPY_ALLOWED`.
const COPY_ALLOWED: u32 = 2;

fn move_file(from: Option<Vec<u16>>, to: Option<Vec<u16>>, flags: u32) -> Result<(), NtStatus> {
    let (from, to) = (named(from)?, named(to)?);
    from.symlink_metadata()
        .map_err(|error| path_status(&from, &error))?;
    if to.symlink_metadata().is_ok() && from != to {
        if flags & REPLACE_EXISTING == 0 {
            return Err(NtStatus::OBJECT_NAME_COLLISION);
        }
        if to.is_dir() {
            return Err(NtStatus::ACCESS_DENIED);
        }
    }
    match std::fs::rename(&from, &to) {
        Err(error)
            if error.raw_os_error() == Some(libc::EXDEV)
                && flags & COPY_ALLOWED != 0
                && !from.is_dir() =>
        {
            let copied = std::fs::copy(&from, &to).and_then(|_| std::fs::remove_file(&from));
            copied.map_err(|error| path_status(&to, &error))
        }
        done => done.map_err(|error| path_status(&to, &error)),
    }
}

/// Copies a file with its write time.
///
/// Returns the Win32 error of a failure.
pub fn copy_file(
    from: Option<Vec<u16>>,
    to: Option<Vec<u16>>,
    fail_if_exists: bool,
) -> Result<(), u32> {
    match copied(from, to, fail_if_exists) {
        Err(NtStatus::OBJECT_NAME_COLLISION) => Err(error::FILE_EXISTS),
        result => result.map_err(dos_error),
    }
}

fn copy(from: Option<Vec<u16>>, to: Option<Vec<u16>>, fail_if_exists: bool) -> Bool {
    match copy_file(from, to, fail_if_exists) {
        Ok(()) => Bool::TRUE,
        Err(code) => refuse(code, Bool::FALSE),
    }
}

fn copied(
    from: Option<Vec<u16>>,
    to: Option<Vec<u16>>,
    fail_if_exists: bool,
) -> Result<(), NtStatus> {
    let (from, to) = (named(from)?, named(to)?);
    if fail_if_exists && to.symlink_metadata().is_ok() {
        return Err(NtStatus::OBJECT_NAME_COLLISION);
    }
    if from.is_dir() || to.is_dir() {
        return Err(NtStatus::ACCESS_DENIED);
    }
    let times = std::fs::metadata(&from).map_err(|error| path_status(&from, &error))?;
    std::fs::copy(&from, &to).map_err(|error| path_status(&to, &error))?;
    // The copy has the write time of the original.
    if let (Ok(written), Ok(file)) = (
        times.modified(),
        std::fs::File::options().append(true).open(&to),
    ) {
        let _ = file.set_modified(written);
    }
    Ok(())
}

fn hard_link(name: Option<Vec<u16>>, existing: Option<Vec<u16>>) -> Bool {
    match named(existing) {
        Ok(existing) => on_path(name, |path| std::fs::hard_link(&existing, path)),
        Err(status) => failed(status, Bool::FALSE),
    }
}

fn symbolic_link(name: Option<Vec<u16>>, target: Option<Vec<u16>>) -> Bool {
    let text = String::from_utf16_lossy(target.as_deref().unwrap_or_default());
    let is_absolute = text.contains(':') || text.starts_with('\\');
    let target = if is_absolute {
        named(target)
    } else {
        Ok(PathBuf::from(text.replace('\\', "/")))
    };
    match target {
        Ok(target) => on_path(name, |path| std::os::unix::fs::symlink(&target, path)),
        Err(status) => failed(status, Bool::FALSE),
    }
}

fn set_attributes(path: &Path, attributes: u32) -> std::io::Result<()> {
    let mut permissions = path.metadata()?.permissions();
    let is_readonly = attributes & attribute::READONLY != 0;
    if permissions.readonly() == is_readonly || path.is_dir() {
        return Ok(());
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(&permissions);
    let mode = if is_readonly {
        mode & !0o222
    } else {
        mode | 0o200
    };
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, mode);
    std::fs::set_permissions(path, permissions)
}

fn final_path(handle: Handle, flags: u32) -> Result<String, NtStatus> {
    use std::os::fd::AsRawFd;
    let file = lookup::<File>(handle, 0)?;
    let link = format!("/proc/self/fd/{}", file.fd().as_raw_fd());
    let target = std::fs::read_link(link).map_err(|error| status_of(&error))?;
    let windows = path::to_windows(&target);
    Ok(match flags & 7 {
        // VOLUME_NAME_GUID, VOLUME_NAME_NT, VOLUME_NAME_NONE
        1 => volume::guid_path(&windows),
        2 => volume::device_path(&windows),
        4 => windows[2..].to_owned(),
        _ => format!("\\\\?\\{windows}"),
    })
}

fn drive_type(root: Option<Vec<u16>>) -> u32 {
    match root.map(|units| String::from_utf16_lossy(&units).to_uppercase()) {
        None => 3,
        Some(text) if text.starts_with("C:") || text.starts_with("Z:") => 3,
        Some(_) => 1,
    }
}

fn is_there(name: Option<Vec<u16>>) -> Result<(), NtStatus> {
    let path = named(name)?;
    let found = path.symlink_metadata().map(|_| ());
    found.map_err(|error| path_status(&path, &error))
}

fn temp_directory() -> String {
    let directory = std::env::var_os("TMPDIR").unwrap_or_else(|| "/tmp".into());
    path::to_windows(Path::new(&directory))
        .trim_end_matches('\\')
        .to_owned()
        + "\\"
}

win_api! {
    /// Makes a directory.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateDirectoryW(name: Ptr<u16>, _security: Ptr<SecurityAttributes>) -> Bool {
        on_path(units_arg(name), |path| std::fs::create_dir(path))
    }

    /// Makes a directory.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateDirectoryA(name: Ptr<u8>, _security: Ptr<SecurityAttributes>) -> Bool {
        on_path(wide_arg(name), |path| std::fs::create_dir(path))
    }

    /// Removes an empty directory.
    "kernel32.dll|kernelbase.dll" stdcall fn RemoveDirectoryW(name: Ptr<u16>) -> Bool {
        removed(units_arg(name))
    }

    /// Removes an empty directory.
    "kernel32.dll|kernelbase.dll" stdcall fn RemoveDirectoryA(name: Ptr<u8>) -> Bool {
        removed(wide_arg(name))
    }

    /// Deletes a file.
    "kernel32.dll|kernelbase.dll" stdcall fn DeleteFileW(name: Ptr<u16>) -> Bool {
        on_path(units_arg(name), delete)
    }

    /// Deletes a file.
    "kernel32.dll|kernelbase.dll" stdcall fn DeleteFileA(name: Ptr<u8>) -> Bool {
        on_path(wide_arg(name), delete)
    }

    /// Renames or moves a file.
    "kernel32.dll|kernelbase.dll" stdcall fn MoveFileExW(from: Ptr<u16>, to: Ptr<u16>, flags: u32) -> Bool {
        success(move_file(units_arg(from), units_arg(to), flags))
    }

    /// Renames or moves a file.
    "kernel32.dll|kernelbase.dll" stdcall fn MoveFileExA(from: Ptr<u8>, to: Ptr<u8>, flags: u32) -> Bool {
        success(move_file(wide_arg(from), wide_arg(to), flags))
    }

    /// Renames or moves a file.
    "kernel32.dll|kernelbase.dll" stdcall fn MoveFileW(from: Ptr<u16>, to: Ptr<u16>) -> Bool {
        success(move_file(units_arg(from), units_arg(to), COPY_ALLOWED))
    }

    /// Renames or moves a file.
    "kernel32.dll|kernelbase.dll" stdcall fn MoveFileA(from: Ptr<u8>, to: Ptr<u8>) -> Bool {
        success(move_file(wide_arg(from), wide_arg(to), COPY_ALLOWED))
    }

    /// Copies a file.
    "kernel32.dll|kernelbase.dll" stdcall fn CopyFileW(from: Ptr<u16>, to: Ptr<u16>, fail_if_exists: Bool) -> Bool {
        copy(units_arg(from), units_arg(to), fail_if_exists.get())
    }

    /// Copies a file.
    "kernel32.dll|kernelbase.dll" stdcall fn CopyFileA(from: Ptr<u8>, to: Ptr<u8>, fail_if_exists: Bool) -> Bool {
        copy(wide_arg(from), wide_arg(to), fail_if_exists.get())
    }

    /// Copies a file; progress is not told.
    "kernel32.dll|kernelbase.dll" stdcall fn CopyFileExW(from: Ptr<u16>, to: Ptr<u16>, _routine: Ptr<u8>, _data: Ptr<u8>, _cancel: Ptr<i32>, flags: u32) -> Bool {
        copy(units_arg(from), units_arg(to), flags & 1 != 0)
    }

    /// Copies a file; progress is not told.
    "kernel32.dll|kernelbase.dll" stdcall fn CopyFileExA(from: Ptr<u8>, to: Ptr<u8>, _routine: Ptr<u8>, _data: Ptr<u8>, _cancel: Ptr<i32>, flags: u32) -> Bool {
        copy(wide_arg(from), wide_arg(to), flags & 1 != 0)
    }

    /// Makes another name of a file.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateHardLinkW(name: Ptr<u16>, existing: Ptr<u16>, _security: Ptr<SecurityAttributes>) -> Bool {
        hard_link(units_arg(name), units_arg(existing))
    }

    /// Makes another name of a file.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateHardLinkA(name: Ptr<u8>, existing: Ptr<u8>, _security: Ptr<SecurityAttributes>) -> Bool {
        hard_link(wide_arg(name), wide_arg(existing))
    }

    /// Makes a symbolic link; relative targets stay relative.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateSymbolicLinkW(name: Ptr<u16>, target: Ptr<u16>, _flags: u32) -> u8 {
        u8::from(symbolic_link(units_arg(name), units_arg(target)).get())
    }

    /// Makes a symbolic link; relative targets stay relative.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateSymbolicLinkA(name: Ptr<u8>, target: Ptr<u8>, _flags: u32) -> u8 {
        u8::from(symbolic_link(wide_arg(name), wide_arg(target)).get())
    }

    /// Sets the attributes of a file: read-only or not.
    "kernel32.dll|kernelbase.dll" stdcall fn SetFileAttributesW(name: Ptr<u16>, attributes: u32) -> Bool {
        on_path(units_arg(name), |path| set_attributes(path, attributes))
    }

    /// Sets the attributes of a file: read-only or not.
    "kernel32.dll|kernelbase.dll" stdcall fn SetFileAttributesA(name: Ptr<u8>, attributes: u32) -> Bool {
        on_path(wide_arg(name), |path| set_attributes(path, attributes))
    }

    /// Returns the path an open file has now.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFinalPathNameByHandleW(file: Handle, buffer: Ptr<u16>, size: u32, flags: u32) -> u32 {
        match final_path(file, flags) {
            Ok(path) => put_string(&wide(&path), buffer, size),
            Err(status) => failed(status, 0),
        }
    }

    /// Returns the directory for temporary files.
    "kernel32.dll|kernelbase.dll" stdcall fn GetTempPathW = "GetTempPathW|GetTempPath2W" (size: u32, buffer: Ptr<u16>) -> u32 {
        put_string(&wide(&temp_directory()), buffer, size)
    }

    /// Returns the directory for temporary files.
    "kernel32.dll|kernelbase.dll" stdcall fn GetTempPathA(size: u32, buffer: Ptr<u8>) -> u32 {
        put_string(temp_directory().as_bytes(), buffer, size)
    }

    /// Returns the path an open file has now.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFinalPathNameByHandleA(file: Handle, buffer: Ptr<u8>, size: u32, flags: u32) -> u32 {
        match final_path(file, flags) {
            Ok(path) => put_string(path.as_bytes(), buffer, size),
            Err(status) => failed(status, 0),
        }
    }

    /// Returns the kind of a drive: fixed for `C:` and `Z:`, no root else.
    "kernel32.dll|kernelbase.dll" stdcall fn GetDriveTypeW(root: Ptr<u16>) -> u32 {
        drive_type(units_arg(root))
    }

    /// Returns the kind of a drive: fixed for `C:` and `Z:`, no root else.
    "kernel32.dll|kernelbase.dll" stdcall fn GetDriveTypeA(root: Ptr<u8>) -> u32 {
        drive_type(wide_arg(root))
    }

    /// Returns the drives there are: `C:` and `Z:`.
    "kernel32.dll|kernelbase.dll" stdcall fn GetLogicalDrives() -> u32 {
        1 << 2 | 1 << 25
    }

    /// Returns the long form of a path, which is the only one.
    "kernel32.dll|kernelbase.dll" stdcall fn GetLongPathNameW = "GetLongPathNameW|GetShortPathNameW" (name: Ptr<u16>, buffer: Ptr<u16>, size: u32) -> u32 {
        let units = name.read_wide_string();
        match is_there(Some(units.clone())) {
            Ok(()) => put_string(&units, buffer, size),
            Err(status) => failed(status, 0),
        }
    }

    /// Returns the long form of a path, which is the only one.
    "kernel32.dll|kernelbase.dll" stdcall fn GetLongPathNameA = "GetLongPathNameA|GetShortPathNameA" (name: Ptr<u8>, buffer: Ptr<u8>, size: u32) -> u32 {
        match is_there(wide_arg(name)) {
            Ok(()) => put_string(&name.read_c_string(), buffer, size),
            Err(status) => failed(status, 0),
        }
    }
}
