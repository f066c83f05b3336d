//! Directories and whole files: finding, making, removing, moving, copying, linking, locking: `fileapi.h`, `winbase.h`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};
use parking_lot::Mutex;
use rustix::fs::{AtFlags, CWD, statat};

use super::fileapi::{attribute, attributes_of, resolve_file, times_of};
use super::synchapi::SecurityAttributes;
use crate::dlls::win32::{
    INVALID_HANDLE_VALUE, error, failed, or_else, put_string, refuse, success, units_arg, wide_arg,
};
use crate::export::{Bool, Guest, Ptr};
use crate::guest_struct;
use crate::ob::file::{File, status_of};
use crate::ob::object::{Header, Object, ObjectType};
use crate::ob::table::{TABLE, lookup};
use crate::ob::{path, volume};
use crate::win_api;

guest_struct! {
    /// The fixed part of `WIN32_FIND_DATAW` and `WIN32_FIND_DATAA`; the names follow.
    pub struct FindData {
        attributes: u32,
        creation_time: [u32; 2],
        last_access_time: [u32; 2],
        last_write_time: [u32; 2],
        size_high: u32,
        size_low: u32,
        reparse_tag: u32,
        reserved: u32,
    }
}

/// Elements of `cFileName`.
const NAME_ELEMENTS: usize = 260;

/// An open search.
#[derive(Debug)]
struct Search {
    header: Header,
    directory: PathBuf,
    left: Mutex<Vec<String>>,
}

static SEARCH_TYPE: ObjectType = ObjectType {
    name: "FindFile",
    generic: [0; 4],
};

impl Object for Search {
    fn object_type(&self) -> &'static ObjectType {
        &SEARCH_TYPE
    }
    fn header(&self) -> &Header {
        &self.header
    }
}

/// Matches a name against `*` and `?` without regard to case. `*.*` means everything, as in DOS.
pub fn matches(pattern: &str, name: &str) -> bool {
    fn glob(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => {
                glob(rest, text) || text.split_first().is_some_and(|(_, t)| glob(pattern, t))
            }
            (Some(('?', rest)), Some((_, t))) => glob(rest, t),
            (Some((p, rest)), Some((c, t))) => p == c && glob(rest, t),
            _ => false,
        }
    }
    let fold = |text: &str| text.to_lowercase().chars().collect::<Vec<char>>();
    pattern == "*.*" || glob(&fold(pattern), &fold(name))
}

/// Starts a search. Returns the search and its first name.
fn search(name: &[u16]) -> Result<(Search, String), NtStatus> {
    let text = String::from_utf16_lossy(name).replace('/', "\\");
    let (directory, pattern) = match text.rsplit_once('\\') {
        Some((directory, pattern)) => (format!("{directory}\\"), pattern.to_owned()),
        None if text.as_bytes().get(1) == Some(&b':') => {
            (text[..2].to_owned(), text[2..].to_owned())
        }
        None => (".".to_owned(), text.clone()),
    };
    let directory = resolve_file(&directory.encode_utf16().collect::<Vec<_>>())?;
    if !pattern.contains(['*', '?']) {
        let exact = resolve_file(name)?;
        exact.symlink_metadata().map_err(|error| {
            if exact.parent().is_none_or(Path::is_dir) {
                status_of(&error)
            } else {
                NtStatus::OBJECT_PATH_NOT_FOUND
            }
        })?;
        let leaf = exact
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        return Ok((
            Search {
                header: Header::default(),
                directory,
                left: Mutex::default(),
            },
            leaf,
        ));
    }
    let listed = std::fs::read_dir(&directory).map_err(|error| match status_of(&error) {
        NtStatus::OBJECT_NAME_NOT_FOUND => NtStatus::OBJECT_PATH_NOT_FOUND,
        status => status,
    })?;
    let mut names: Vec<String> = listed
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    // NTFS lists in the order of upper-case names; `.` and `..` come first except at the root.
    names.sort_by_key(|name| name.to_uppercase());
    if directory != Path::new("/") {
        names.splice(0..0, [".".to_owned(), "..".to_owned()]);
    }
    names.retain(|name| matches(&pattern, name));
    names.reverse();
    let first = names.pop().ok_or(NtStatus::NO_SUCH_FILE)?;
    Ok((
        Search {
            header: Header::default(),
            directory,
            left: Mutex::new(names),
        },
        first,
    ))
}

/// Describes a found name; a file that went meanwhile is described as empty.
fn describe(directory: &Path, name: &str) -> FindData {
    let words = |time: i64| [time as u32, (time >> 32) as u32];
    let at = directory.join(name);
    let stat =
        statat(CWD, &at, AtFlags::empty()).or_else(|_| statat(CWD, &at, AtFlags::SYMLINK_NOFOLLOW));
    let Ok(stat) = stat else {
        let zero = [0; 2];
        return FindData {
            attributes: attribute::ARCHIVE,
            creation_time: zero,
            last_access_time: zero,
            last_write_time: zero,
            size_high: 0,
            size_low: 0,
            reparse_tag: 0,
            reserved: 0,
        };
    };
    let [created, accessed, written] = times_of(&stat);
    let size = if attributes_of(stat.st_mode) & attribute::DIRECTORY != 0 {
        0
    } else {
        stat.st_size
    };
    FindData {
        attributes: attributes_of(stat.st_mode),
        creation_time: words(created),
        last_access_time: words(accessed),
        last_write_time: words(written),
        size_high: (size >> 32) as u32,
        size_low: size as u32,
        reparse_tag: 0,
        reserved: 0,
    }
}

fn put_found<T: Guest + Default>(to: Ptr<FindData>, data: FindData, mut name: Vec<T>) {
    to.write(data);
    name.truncate(NAME_ELEMENTS - 1);
    name.push(T::default());
    let at = to.byte_add(FindData::size() as u64).cast::<T>();
    at.write_many(&name);
    // cAlternateFileName: no short names.
    at.add(NAME_ELEMENTS).write(T::default());
}

fn find_first<T: Guest + Default>(
    name: Option<Vec<u16>>,
    to: Ptr<FindData>,
    encode: impl Fn(&str) -> Vec<T>,
) -> Handle {
    match search(&name.unwrap_or_default()) {
        Ok((search, first)) => {
            put_found(to, describe(&search.directory, &first), encode(&first));
            or_else(TABLE.insert(Arc::new(search), 0, 0), INVALID_HANDLE_VALUE)
        }
        Err(status) => failed(status, INVALID_HANDLE_VALUE),
    }
}

fn find_next<T: Guest + Default>(
    handle: Handle,
    to: Ptr<FindData>,
    encode: impl Fn(&str) -> Vec<T>,
) -> Bool {
    let search = match lookup::<Search>(handle, 0) {
        Ok(search) => search,
        Err(status) => return failed(status, Bool::FALSE),
    };
    let next = search.left.lock().pop();
    match next {
        Some(name) => {
            put_found(to, describe(&search.directory, &name), encode(&name));
            Bool::TRUE
        }
        None => refuse(error::NO_MORE_FILES, Bool::FALSE),
    }
}

fn wide(name: &str) -> Vec<u16> {
    name.encode_utf16().collect()
}

fn ansi(name: &str) -> Vec<u8> {
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
pub fn copy_file(
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

fn temp_directory() -> String {
    let directory = std::env::var_os("TMPDIR").unwrap_or_else(|| "/tmp".into());
    path::to_windows(Path::new(&directory))
        .trim_end_matches('\\')
        .to_owned()
        + "\\"
}

/// Locks a range of a file.
pub fn lock(
    handle: Handle,
    offset: u64,
    length: u64,
    is_exclusive: bool,
    fails: bool,
) -> Result<(), NtStatus> {
    let file = lookup::<File>(handle, 0)?;
    crate::linux::lock_range(file.fd(), offset, length, Some(is_exclusive), !fails).map_err(
        |error| match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EACCES) => NtStatus::LOCK_NOT_GRANTED,
            _ => status_of(&error),
        },
    )
}

/// Unlocks a range of a file.
pub fn unlock(handle: Handle, offset: u64, length: u64) -> Result<(), NtStatus> {
    let file = lookup::<File>(handle, 0)?;
    crate::linux::lock_range(file.fd(), offset, length, None, false)
        .map_err(|error| status_of(&error))
}

fn long(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

win_api! {
    /// Starts a search.
    "kernel32.dll|kernelbase.dll" stdcall fn FindFirstFileW(name: Ptr<u16>, data: Ptr<FindData>) -> Handle {
        find_first(units_arg(name), data, wide)
    }

    /// Starts a search.
    "kernel32.dll|kernelbase.dll" stdcall fn FindFirstFileA(name: Ptr<u8>, data: Ptr<FindData>) -> Handle {
        find_first(wide_arg(name), data, ansi)
    }

    /// Starts a search.
    "kernel32.dll|kernelbase.dll" stdcall fn FindFirstFileExW(name: Ptr<u16>, _level: u32, data: Ptr<FindData>, _search: u32, _filter: Ptr<u8>, _flags: u32) -> Handle {
        find_first(units_arg(name), data, wide)
    }

    /// Starts a search.
    "kernel32.dll|kernelbase.dll" stdcall fn FindFirstFileExA(name: Ptr<u8>, _level: u32, data: Ptr<FindData>, _search: u32, _filter: Ptr<u8>, _flags: u32) -> Handle {
        find_first(wide_arg(name), data, ansi)
    }

    /// Continues a search.
    "kernel32.dll|kernelbase.dll" stdcall fn FindNextFileW(search: Handle, data: Ptr<FindData>) -> Bool {
        find_next(search, data, wide)
    }

    /// Continues a search.
    "kernel32.dll|kernelbase.dll" stdcall fn FindNextFileA(search: Handle, data: Ptr<FindData>) -> Bool {
        find_next(search, data, ansi)
    }

    /// Ends a search.
    "kernel32.dll|kernelbase.dll" stdcall fn FindClose(search: Handle) -> Bool {
        success(lookup::<Search>(search, 0).and_then(|_| TABLE.close(search)))
    }

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
        on_path(units_arg(name), |path| std::fs::remove_dir(path))
    }

    /// Removes an empty directory.
    "kernel32.dll|kernelbase.dll" stdcall fn RemoveDirectoryA(name: Ptr<u8>) -> Bool {
        on_path(wide_arg(name), |path| std::fs::remove_dir(path))
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
        success(copy_file(units_arg(from), units_arg(to), fail_if_exists.get()))
    }

    /// Copies a file.
    "kernel32.dll|kernelbase.dll" stdcall fn CopyFileA(from: Ptr<u8>, to: Ptr<u8>, fail_if_exists: Bool) -> Bool {
        success(copy_file(wide_arg(from), wide_arg(to), fail_if_exists.get()))
    }

    /// Copies a file; progress is not told.
    "kernel32.dll|kernelbase.dll" stdcall fn CopyFileExW(from: Ptr<u16>, to: Ptr<u16>, _routine: Ptr<u8>, _data: Ptr<u8>, _cancel: Ptr<i32>, flags: u32) -> Bool {
        success(copy_file(units_arg(from), units_arg(to), flags & 1 != 0))
    }

    /// Makes another name of a file.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateHardLinkW(name: Ptr<u16>, existing: Ptr<u16>, _security: Ptr<SecurityAttributes>) -> Bool {
        match named(units_arg(existing)) {
            Ok(existing) => on_path(units_arg(name), |path| std::fs::hard_link(&existing, path)),
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Makes a symbolic link; relative targets stay relative.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateSymbolicLinkW(name: Ptr<u16>, target: Ptr<u16>, _flags: u32) -> u8 {
        let text = String::from_utf16_lossy(&target.read_wide_string());
        let is_absolute = text.contains(':') || text.starts_with('\\');
        let target = if is_absolute { named(units_arg(target)) } else { Ok(PathBuf::from(text.replace('\\', "/"))) };
        let made = match target {
            Ok(target) => on_path(units_arg(name), |path| std::os::unix::fs::symlink(&target, path)),
            Err(status) => failed(status, Bool::FALSE),
        };
        u8::from(made.get())
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

    /// Locks a range of a file; `LOCKFILE_FAIL_IMMEDIATELY` 1, `LOCKFILE_EXCLUSIVE_LOCK` 2.
    "kernel32.dll|kernelbase.dll" stdcall fn LockFileEx(file: Handle, flags: u32, _reserved: u32, low: u32, high: u32, overlapped: Ptr<crate::ob::overlapped::Overlapped>) -> Bool {
        let at = overlapped.read();
        success(lock(file, long(at.offset_high, at.offset), long(high, low), flags & 2 != 0, flags & 1 != 0))
    }

    /// Unlocks a range of a file.
    "kernel32.dll|kernelbase.dll" stdcall fn UnlockFileEx(file: Handle, _reserved: u32, low: u32, high: u32, overlapped: Ptr<crate::ob::overlapped::Overlapped>) -> Bool {
        let at = overlapped.read();
        success(unlock(file, long(at.offset_high, at.offset), long(high, low)))
    }

    /// Locks a range of a file exclusively, or fails.
    "kernel32.dll|kernelbase.dll" stdcall fn LockFile(file: Handle, offset: u32, offset_high: u32, low: u32, high: u32) -> Bool {
        success(lock(file, long(offset_high, offset), long(high, low), true, true))
    }

    /// Unlocks a range of a file.
    "kernel32.dll|kernelbase.dll" stdcall fn UnlockFile(file: Handle, offset: u32, offset_high: u32, low: u32, high: u32) -> Bool {
        success(unlock(file, long(offset_high, offset), long(high, low)))
    }

    /// Returns the kind of a drive: fixed for `C:` and `Z:`, no root else.
    "kernel32.dll|kernelbase.dll" stdcall fn GetDriveTypeW(root: Ptr<u16>) -> u32 {
        match units_arg(root).map(|units| String::from_utf16_lossy(&units).to_uppercase()) {
            None => 3,
            Some(text) if text.starts_with("C:") || text.starts_with("Z:") => 3,
            Some(_) => 1,
        }
    }

    /// Returns the drives there are: `C:` and `Z:`.
    "kernel32.dll|kernelbase.dll" stdcall fn GetLogicalDrives() -> u32 {
        1 << 2 | 1 << 25
    }

    /// Returns the long form of a path, which is the only one.
    "kernel32.dll|kernelbase.dll" stdcall fn GetLongPathNameW = "GetLongPathNameW|GetShortPathNameW" (name: Ptr<u16>, buffer: Ptr<u16>, size: u32) -> u32 {
        let units = name.read_wide_string();
        match named(Some(units.clone())).and_then(|path| path.symlink_metadata().map_err(|error| path_status(&path, &error))) {
            Ok(_) => put_string(&units, buffer, size),
            Err(status) => failed(status, 0),
        }
    }
}
