//! Files: opening, reading, writing, positions and information: `fileapi.h`, `ioapiset.h`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use super::synchapi::SecurityAttributes;
use crate::dlls::win32::{
    INVALID_HANDLE_VALUE, error, failed, or_else, refuse, success, units_arg, wide_arg,
};
use crate::export::{Bool, Ptr};
use crate::guest_struct;
use crate::ob::file::{FILE_TYPE, File, FileKind, retry, rights, status_of};
use crate::ob::open::{Disposition, How, Outcome, open_target, option};
use crate::ob::overlapped::{Overlapped, Way, complete};
use crate::ob::path::{self, Target};
use crate::ob::sync::Event;
use crate::ob::table::{INHERIT, TABLE, lookup};
use crate::ob::time;
use crate::win_api;

guest_struct! {
    /// `BY_HANDLE_FILE_INFORMATION`.
    pub struct ByHandleFileInformation {
        attributes: u32,
        creation_time: [u32; 2],
        last_access_time: [u32; 2],
        last_write_time: [u32; 2],
        volume_serial: u32,
        size_high: u32,
        size_low: u32,
        links: u32,
        index_high: u32,
        index_low: u32,
    }
    /// `WIN32_FILE_ATTRIBUTE_DATA`.
    pub struct FileAttributeData {
        attributes: u32,
        creation_time: [u32; 2],
        last_access_time: [u32; 2],
        last_write_time: [u32; 2],
        size_high: u32,
        size_low: u32,
    }
}

/// `FILE_ATTRIBUTE_*`.
pub mod attribute {
    /// `FILE_ATTRIBUTE_READONLY`.
    pub const READONLY: u32 = 0x1;
    /// `FILE_ATTRIBUTE_DIRECTORY`.
    pub const DIRECTORY: u32 = 0x10;
    /// `FILE_ATTRIBUTE_ARCHIVE`.
    pub const ARCHIVE: u32 = 0x20;
    /// `FILE_ATTRIBUTE_REPARSE_POINT`.
    pub const REPARSE_POINT: u32 = 0x400;
}

/// `FILE_FLAG_OVERLAPPED`.
const FLAG_OVERLAPPED: u32 = 0x4000_0000;
/// `FILE_FLAG_DELETE_ON_CLOSE`.
const FLAG_DELETE_ON_CLOSE: u32 = 0x0400_0000;
/// `FILE_FLAG_BACKUP_SEMANTICS`.
pub(super) const FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
/// `FILE_FLAG_OPEN_REPARSE_POINT`.
const FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
/// `INVALID_FILE_ATTRIBUTES`, `INVALID_FILE_SIZE`, `INVALID_SET_FILE_POINTER`.
const INVALID: u32 = u32::MAX;

/// Resolves a path of the guest that must name a file or directory.
pub fn resolve_file(name: &[u16]) -> Result<std::path::PathBuf, NtStatus> {
    match path::resolve_here(name)? {
        Target::File(path) => Ok(path),
        _ => Err(NtStatus::OBJECT_NAME_INVALID),
    }
}

/// Opens or creates a file as `CreateFileW` does.
pub fn create(
    name: Option<Vec<u16>>,
    access: u32,
    security: Ptr<SecurityAttributes>,
    disposition: u32,
    flags: u32,
) -> Handle {
    let Some(name) = name else {
        return refuse(error::PATH_NOT_FOUND, INVALID_HANDLE_VALUE);
    };
    let inherit = security
        .non_null()
        .is_some_and(|s| s.read().inherit_handle != 0);
    // CREATE_NEW, CREATE_ALWAYS, OPEN_EXISTING, OPEN_ALWAYS, TRUNCATE_EXISTING
    let disposition = match disposition {
        1 => Disposition::Create,
        2 => Disposition::OverwriteIf,
        3 => Disposition::Open,
        4 => Disposition::OpenIf,
        5 => Disposition::Overwrite,
        _ => return refuse(error::INVALID_PARAMETER, INVALID_HANDLE_VALUE),
    };
    let made = (|| {
        let access = FILE_TYPE.grant(access)?
            | rights::READ_ATTRIBUTES
            | crate::ob::object::access::SYNCHRONIZE;
        let how = How {
            access,
            disposition,
            options: options(flags),
            attributes: flags & 0xFFFF,
        };
        let target = path::resolve_here(&name)?;
        let (file, outcome) = match target {
            Target::Pipe(pipe) => (crate::ob::pipe::connect(&pipe, how)?, Outcome::Opened),
            target => open_target(&target, how)?,
        };
        let handle = TABLE.insert(Arc::new(file), access, if inherit { INHERIT } else { 0 })?;
        Ok((handle, outcome))
    })();
    match made {
        Ok((handle, outcome)) => {
            // CREATE_ALWAYS and OPEN_ALWAYS say whether the file existed.
            let existed = matches!(disposition, Disposition::OverwriteIf | Disposition::OpenIf)
                && outcome != Outcome::Created;
            crate::teb::set_last_error(if existed {
                error::ALREADY_EXISTS
            } else {
                error::SUCCESS
            });
            handle
        }
        Err(NtStatus::OBJECT_NAME_COLLISION) => refuse(error::FILE_EXISTS, INVALID_HANDLE_VALUE),
        Err(status) => failed(status, INVALID_HANDLE_VALUE),
    }
}

/// `FILE_SKIP_COMPLETION_PORT_ON_SUCCESS`.
const SKIP_ON_SUCCESS: u8 = 1;

fn transfer_now(
    file: &File,
    way: Way,
    buffer: Ptr<u8>,
    length: usize,
    offset: Option<u64>,
) -> Result<usize, NtStatus> {
    match way {
        Way::Read => file.read(buffer, length, offset),
        Way::Write => file.write(buffer, length, offset),
    }
}

fn transfer(
    handle: Handle,
    way: Way,
    buffer: Ptr<u8>,
    length: u32,
    done: Ptr<u32>,
    overlapped: Ptr<Overlapped>,
) -> Bool {
    let access = match way {
        Way::Read => rights::READ_DATA,
        Way::Write => 0,
    };
    let file = match lookup::<File>(handle, access) {
        Ok(file) => file,
        Err(status) => return failed(status, Bool::FALSE),
    };
    done.write_if_some(0);
    if let Err(status) = crate::ob::pipe::accept_pending(&file) {
        return failed(status, Bool::FALSE);
    }
    let Some(overlapped) = overlapped.non_null() else {
        let result = transfer_now(&file, way, buffer, length as usize, None);
        return match result {
            Ok(count) => {
                done.write_if_some(u32::try_from(count).unwrap_or(u32::MAX));
                Bool::TRUE
            }
            // Reading at the end of a file is a success of zero bytes.
            Err(NtStatus::END_OF_FILE) => Bool::TRUE,
            Err(status) => failed(status, Bool::FALSE),
        };
    };
    let given = overlapped.read();
    let offset = u64::from(given.offset_high) << 32 | u64::from(given.offset);
    if let Ok(event) = lookup::<Event>(Handle(given.event.0 & !1), 0) {
        event.reset();
    }
    overlapped
        .cast::<usize>()
        .write(NtStatus::PENDING.0 as usize);
    if file.is_overlapped
        && file.kind != FileKind::Disk
        && !crate::ob::reactor::is_ready(&file, way)
    {
        file.signal.assign(false);
        return match crate::ob::reactor::start(file, way, buffer, length as usize, overlapped) {
            Ok(()) => refuse(error::IO_PENDING, Bool::FALSE),
            Err(status) => failed(status, Bool::FALSE),
        };
    }
    let result = transfer_now(&file, way, buffer, length as usize, Some(offset));
    let (status, count) =
        result.map_or_else(|status| (status, 0), |count| (NtStatus::SUCCESS, count));
    if !file.is_overlapped && status == NtStatus::SUCCESS && file.kind == FileKind::Disk {
        // Synchronous files keep a position even when told where to start.
        let _ = rustix::fs::seek(
            file.fd(),
            rustix::fs::SeekFrom::Start(offset + count as u64),
        );
    }
    if status != NtStatus::SUCCESS {
        overlapped.cast::<usize>().write(status.0 as usize);
        return failed(status, Bool::FALSE);
    }
    if file.notification_modes.load(Ordering::Relaxed) & SKIP_ON_SUCCESS != 0 {
        let port = file.completion.lock().take();
        complete(&file, overlapped, status, count);
        *file.completion.lock() = port;
    } else {
        complete(&file, overlapped, status, count);
    }
    done.write_if_some(u32::try_from(count).unwrap_or(u32::MAX));
    Bool::TRUE
}

fn words(time_100ns: i64) -> [u32; 2] {
    let value = time_100ns.cast_unsigned();
    [value as u32, (value >> 32) as u32]
}

/// Attributes of a file by its mode.
#[must_use]
pub fn attributes_of(mode: u32) -> u32 {
    use rustix::fs::FileType;
    let kind = match FileType::from_raw_mode(mode) {
        FileType::Directory => attribute::DIRECTORY,
        FileType::Symlink => attribute::REPARSE_POINT,
        _ => attribute::ARCHIVE,
    };
    kind | if mode & 0o222 == 0 && kind != attribute::DIRECTORY {
        attribute::READONLY
    } else {
        0
    }
}

/// Creation (best known: the oldest), access and write times of a file.
#[must_use]
pub fn times_of(stat: &rustix::fs::Stat) -> [i64; 3] {
    let of = |seconds: i64, nanoseconds: u64| time::from_unix(seconds, nanoseconds.cast_signed());
    let (access, write) = (
        of(stat.st_atime, stat.st_atime_nsec),
        of(stat.st_mtime, stat.st_mtime_nsec),
    );
    [
        write.min(of(stat.st_ctime, stat.st_ctime_nsec)),
        access,
        write,
    ]
}

fn information(handle: Handle) -> Result<ByHandleFileInformation, NtStatus> {
    let stat = lookup::<File>(handle, 0)?.stat()?;
    let [created, accessed, written] = times_of(&stat);
    let size = stat.st_size.cast_unsigned();
    Ok(ByHandleFileInformation {
        attributes: attributes_of(stat.st_mode),
        creation_time: words(created),
        last_access_time: words(accessed),
        last_write_time: words(written),
        volume_serial: stat.st_dev as u32,
        size_high: (size >> 32) as u32,
        size_low: size as u32,
        links: stat.st_nlink as u32,
        index_high: (stat.st_ino >> 32) as u32,
        index_low: stat.st_ino as u32,
    })
}

fn stat_of(name: Option<Vec<u16>>) -> Result<rustix::fs::Stat, NtStatus> {
    let mut path = resolve_file(&name.ok_or(NtStatus::OBJECT_PATH_NOT_FOUND)?)?;
    if crate::ob::shell::is_built_in(&path) {
        // What programs look for before they start it; it is part of this program.
        path = "/proc/self/exe".into();
    }
    rustix::fs::stat(&path).map_err(|error| {
        let is_path = !path.parent().is_none_or(std::path::Path::is_dir);
        if is_path {
            NtStatus::OBJECT_PATH_NOT_FOUND
        } else {
            status_of(&error.into())
        }
    })
}

fn attributes(name: Option<Vec<u16>>) -> u32 {
    or_else(
        stat_of(name).map(|stat| attributes_of(stat.st_mode)),
        INVALID,
    )
}

fn attribute_data(name: Option<Vec<u16>>, to: Ptr<FileAttributeData>) -> Bool {
    match stat_of(name) {
        Ok(stat) => {
            let [created, accessed, written] = times_of(&stat);
            let size = stat.st_size.cast_unsigned();
            to.write(FileAttributeData {
                attributes: attributes_of(stat.st_mode),
                creation_time: words(created),
                last_access_time: words(accessed),
                last_write_time: words(written),
                size_high: (size >> 32) as u32,
                size_low: size as u32,
            });
            Bool::TRUE
        }
        Err(status) => failed(status, Bool::FALSE),
    }
}

fn seek(handle: Handle, distance: i64, method: u32) -> Result<u64, NtStatus> {
    use rustix::fs::SeekFrom;
    let file = lookup::<File>(handle, 0)?;
    let from = match method {
        0 => SeekFrom::Start(u64::try_from(distance).map_err(|_| NtStatus::INVALID_PARAMETER)?),
        1 => SeekFrom::Current(distance),
        2 => SeekFrom::End(distance),
        _ => return Err(NtStatus::INVALID_PARAMETER),
    };
    rustix::fs::seek(file.fd(), from).map_err(|_| NtStatus::INVALID_PARAMETER)
}

fn set_end(handle: Handle) -> Result<(), NtStatus> {
    let at = seek(handle, 0, 1)?;
    let file = lookup::<File>(handle, rights::WRITE_DATA)?;
    rustix::fs::ftruncate(file.fd(), at).map_err(|error| status_of(&error.into()))
}

fn overlapped_result(
    handle: Handle,
    overlapped: Ptr<Overlapped>,
    done: Ptr<u32>,
    deadline_ns: Option<u64>,
) -> Bool {
    use crate::ob::wait::{WaitKind, wait};
    let state = overlapped.cast::<usize>();
    let status = NtStatus(state.read() as u32);
    if status == NtStatus::PENDING {
        if deadline_ns == Some(0) {
            return refuse(error::IO_INCOMPLETE, Bool::FALSE);
        }
        let event = Handle(overlapped.read().event.0 & !1);
        let object = if event == Handle::NULL {
            crate::ob::pseudo_entry(handle)
        } else {
            crate::ob::pseudo_entry(event)
        };
        match object {
            Ok(entry)
                if wait(
                    std::slice::from_ref(&entry.object),
                    WaitKind::Any,
                    false,
                    deadline_ns,
                ) == NtStatus::TIMEOUT =>
            {
                return refuse(258, Bool::FALSE);
            }
            Ok(_) => {}
            Err(status) => return failed(status, Bool::FALSE),
        }
    }
    done.write(u32::try_from(state.add(1).read()).unwrap_or(u32::MAX));
    let status = NtStatus(state.read() as u32);
    if status.0 >= 0x8000_0000 {
        failed(status, Bool::FALSE)
    } else {
        Bool::TRUE
    }
}

/// Returns the absolute form of a path.
pub fn full_path(name: &[u16]) -> String {
    path::full(&String::from_utf16_lossy(name), &path::directory())
}

/// Returns the options of `NtCreateFile` for flags of `CreateFile`.
pub(super) fn options(flags: u32) -> u32 {
    let mut options = 0;
    if flags & FLAG_OVERLAPPED == 0 {
        options |= option::SYNCHRONOUS;
    }
    if flags & FLAG_DELETE_ON_CLOSE != 0 {
        options |= option::DELETE_ON_CLOSE;
    }
    if flags & FLAG_BACKUP_SEMANTICS == 0 {
        options |= option::NON_DIRECTORY;
    }
    if flags & FLAG_OPEN_REPARSE_POINT != 0 {
        options |= option::OPEN_REPARSE_POINT;
    }
    options
}

win_api! {
    /// Opens or creates a file.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateFileW(name: Ptr<u16>, access: u32, _share: u32, security: Ptr<SecurityAttributes>, disposition: u32, flags: u32, _template: Handle) -> Handle {
        create(units_arg(name), access, security, disposition, flags)
    }

    /// Opens or creates a file.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateFileA(name: Ptr<u8>, access: u32, _share: u32, security: Ptr<SecurityAttributes>, disposition: u32, flags: u32, _template: Handle) -> Handle {
        create(wide_arg(name), access, security, disposition, flags)
    }

    /// Reads from a file.
    "kernel32.dll|kernelbase.dll" stdcall fn ReadFile(file: Handle, buffer: Ptr<u8>, length: u32, done: Ptr<u32>, overlapped: Ptr<Overlapped>) -> Bool {
        transfer(file, Way::Read, buffer, length, done, overlapped)
    }

    /// Writes to a file.
    "kernel32.dll|kernelbase.dll" stdcall fn WriteFile(file: Handle, buffer: Ptr<u8>, length: u32, done: Ptr<u32>, overlapped: Ptr<Overlapped>) -> Bool {
        transfer(file, Way::Write, buffer, length, done, overlapped)
    }

    /// Reads the outcome of an overlapped operation.
    "kernel32.dll|kernelbase.dll" stdcall fn GetOverlappedResult(file: Handle, overlapped: Ptr<Overlapped>, done: Ptr<u32>, wait: Bool) -> Bool {
        overlapped_result(file, overlapped, done, if wait.get() { None } else { Some(0) })
    }

    /// Reads the outcome of an overlapped operation, waiting at most for a time.
    "kernel32.dll|kernelbase.dll" stdcall fn GetOverlappedResultEx(file: Handle, overlapped: Ptr<Overlapped>, done: Ptr<u32>, timeout: u32, _alertable: Bool) -> Bool {
        let deadline = if timeout == 0 { Some(0) } else { super::srw::milliseconds(timeout) };
        overlapped_result(file, overlapped, done, deadline)
    }

    /// Cancels the overlapped operations on a file.
    "kernel32.dll|kernelbase.dll" stdcall fn CancelIoEx(file: Handle, overlapped: Ptr<Overlapped>) -> Bool {
        match lookup::<File>(file, 0) {
            Ok(file) if crate::ob::reactor::cancel(&file, overlapped.non_null().map(Ptr::address)) => Bool::TRUE,
            Ok(_) => refuse(error::NOT_FOUND, Bool::FALSE),
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Cancels the overlapped operations on a file.
    "kernel32.dll|kernelbase.dll" stdcall fn CancelIo(file: Handle) -> Bool {
        success(lookup::<File>(file, 0).map(|file| { crate::ob::reactor::cancel(&file, None); }))
    }

    /// Moves the position of a file.
    "kernel32.dll|kernelbase.dll" stdcall fn SetFilePointerEx(file: Handle, distance: i64, position: Ptr<u64>, method: u32) -> Bool {
        match seek(file, distance, method) {
            Ok(at) => {
                position.write_if_some(at);
                Bool::TRUE
            }
            Err(NtStatus::INVALID_PARAMETER) if distance < 0 => refuse(131, Bool::FALSE),
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Moves the position of a file.
    "kernel32.dll|kernelbase.dll" stdcall fn SetFilePointer(file: Handle, low: i32, high: Ptr<i32>, method: u32) -> u32 {
        let distance = match high.non_null() {
            Some(high) => i64::from(high.read()) << 32 | i64::from(low.cast_unsigned()),
            None => i64::from(low),
        };
        match seek(file, distance, method) {
            Ok(at) => {
                high.write_if_some((at >> 32) as i32);
                crate::teb::set_last_error(error::SUCCESS);
                at as u32
            }
            Err(status) => failed(status, INVALID),
        }
    }

    /// Ends a file at its position.
    "kernel32.dll|kernelbase.dll" stdcall fn SetEndOfFile(file: Handle) -> Bool {
        success(set_end(file))
    }

    /// Reads the size of a file.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFileSizeEx(file: Handle, size: Ptr<u64>) -> Bool {
        match lookup::<File>(file, 0).and_then(|file| file.size()) {
            Ok(value) => {
                size.write(value);
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Reads the size of a file.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFileSize(file: Handle, high: Ptr<u32>) -> u32 {
        match lookup::<File>(file, 0).and_then(|file| file.size()) {
            Ok(value) => {
                high.write_if_some((value >> 32) as u32);
                crate::teb::set_last_error(error::SUCCESS);
                value as u32
            }
            Err(status) => failed(status, INVALID),
        }
    }

    /// Returns what lies behind a handle: 1 disk, 2 character device, 3 pipe.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFileType(file: Handle) -> u32 {
        match lookup::<File>(file, 0) {
            Ok(file) => {
                crate::teb::set_last_error(error::SUCCESS);
                match file.kind {
                    FileKind::Disk => 1,
                    FileKind::Character => 2,
                    FileKind::Pipe => 3,
                }
            }
            Err(status) => failed(status, 0),
        }
    }

    /// Writes a file's data to its device.
    "kernel32.dll|kernelbase.dll" stdcall fn FlushFileBuffers(file: Handle) -> Bool {
        success(lookup::<File>(file, 0).and_then(|file| match file.kind {
            FileKind::Disk => retry(|| rustix::fs::fsync(file.fd()).map_err(Into::into)).map_err(|error| status_of(&error)),
            _ => Ok(()),
        }))
    }

    /// Describes an open file.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFileInformationByHandle(file: Handle, to: Ptr<ByHandleFileInformation>) -> Bool {
        match information(file) {
            Ok(value) => {
                to.write(value);
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Returns the attributes of a file by name.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFileAttributesW(name: Ptr<u16>) -> u32 {
        attributes(units_arg(name))
    }

    /// Returns the attributes of a file by name.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFileAttributesA(name: Ptr<u8>) -> u32 {
        attributes(wide_arg(name))
    }

    /// Describes a file by name.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFileAttributesExW(name: Ptr<u16>, _level: u32, to: Ptr<FileAttributeData>) -> Bool {
        attribute_data(units_arg(name), to)
    }

    /// Describes a file by name.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFileAttributesExA(name: Ptr<u8>, _level: u32, to: Ptr<FileAttributeData>) -> Bool {
        attribute_data(wide_arg(name), to)
    }

    /// Reads the times of a file.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFileTime(file: Handle, created: Ptr<i64>, accessed: Ptr<i64>, written: Ptr<i64>) -> Bool {
        match lookup::<File>(file, 0).and_then(|file| file.stat()) {
            Ok(stat) => {
                let times = times_of(&stat);
                [created, accessed, written].into_iter().zip(times).for_each(|(to, time)| to.write_if_some(time));
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Sets access and write time of a file; Linux keeps no creation time that could be set.
    "kernel32.dll|kernelbase.dll" stdcall fn SetFileTime(file: Handle, _created: Ptr<i64>, accessed: Ptr<i64>, written: Ptr<i64>) -> Bool {
        let spec = |at: Ptr<i64>| match at.non_null().map(Ptr::read) {
            Some(time) if time != 0 && time != -1 => {
                let (seconds, nanoseconds) = time::to_unix(time);
                rustix::fs::Timespec { tv_sec: seconds, tv_nsec: nanoseconds }
            }
            _ => rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
        };
        let times = rustix::fs::Timestamps { last_access: spec(accessed), last_modification: spec(written) };
        success(lookup::<File>(file, rights::WRITE_ATTRIBUTES).and_then(|file| {
            rustix::fs::futimens(file.fd(), &times).map_err(|error| status_of(&error.into()))
        }))
    }

    /// Makes a path absolute.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFullPathNameW(name: Ptr<u16>, size: u32, buffer: Ptr<u16>, leaf: Ptr<UserPtr>) -> u32 {
        let units: Vec<u16> = full_path(&name.read_wide_string()).encode_utf16().collect();
        let written = crate::dlls::win32::put_string(&units, buffer, size);
        if written < size {
            let at = units.iter().rposition(|&u| u == u16::from(b'\\')).map_or(0, |i| i + 1);
            leaf.write_if_some(if at < units.len() { buffer.add(at).user() } else { UserPtr::NULL });
        }
        written
    }

    /// Makes a path absolute.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFullPathNameA(name: Ptr<u8>, size: u32, buffer: Ptr<u8>, leaf: Ptr<UserPtr>) -> u32 {
        let bytes = full_path(&wide_arg(name).unwrap_or_default()).into_bytes();
        let written = crate::dlls::win32::put_string(&bytes, buffer, size);
        if written < size {
            let at = bytes.iter().rposition(|&u| u == b'\\').map_or(0, |i| i + 1);
            leaf.write_if_some(if at < bytes.len() { buffer.add(at).user() } else { UserPtr::NULL });
        }
        written
    }
}
