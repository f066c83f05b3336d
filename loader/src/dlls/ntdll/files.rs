//! Files: opening, transfers, locks. Prototypes: Microsoft Learn, `winternl.h`, `ntifs.h`.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ntlpc_abi::{Handle, NtStatus, UserPtr};
use rustix::fs::{SeekFrom, seek};

use super::iocompletion::IoStatusBlock;
use super::objects::{probe, put_handle};
use crate::dlls::kernel32::filelock::{lock, unlock};
use crate::export::{Boolean, Callback, Ptr};
use crate::ob::attributes::{Attributes, ObjectAttributes, obj};
use crate::ob::file::{FILE_TYPE, File, FileKind, rights, status_of};
use crate::ob::open::{Disposition, How, open_target, option};
use crate::ob::overlapped::Way;
use crate::ob::path::{self, Target};
use crate::ob::sync::Event;
use crate::ob::table::{TABLE, lookup};
use crate::ob::thread::{self, Thread};
use crate::ob::{reactor, synchronous, volume};
use crate::win_api;

/// Resolves the name of `OBJECT_ATTRIBUTES`: `\??\…`, `\Device\…`, or relative to a directory handle.
pub(super) fn target(attributes: &Attributes) -> Result<Target, NtStatus> {
    let name = String::from_utf16_lossy(attributes.name.as_deref().unwrap_or_default());
    if attributes.root != Handle::NULL {
        let root = lookup::<File>(attributes.root, 0)?;
        let link = std::fs::read_link(format!("/proc/self/fd/{}", root.fd().as_raw_fd()));
        let base = link.map_err(|error| status_of(&error))?;
        if name.is_empty() {
            return Ok(Target::File(base));
        }
        let base = path::to_windows(&base);
        return path::resolve(
            &format!("{}\\{name}", base.trim_end_matches('\\')),
            &path::directory(),
        );
    }
    let lower = name.to_ascii_lowercase();
    if lower.starts_with("\\device\\namedpipe\\") {
        return Ok(Target::Pipe(name[18..].to_owned()));
    }
    if lower.starts_with("\\??\\pipe\\") {
        return Ok(Target::Pipe(name[9..].to_owned()));
    }
    match lower.as_str() {
        "\\device\\null" | "\\??\\nul" => return Ok(Target::Null),
        "\\device\\mountpointmanager" | "\\??\\mountpointmanager" => {
            return Ok(Target::MountManager);
        }
        "\\??\\con" | "\\??\\conin$" | "\\??\\conout$" => return Ok(Target::Console),
        _ => {}
    }
    if let Some(by_drive) = volume::to_drive(&name) {
        return path::resolve(&by_drive, &path::directory());
    }
    if !name.starts_with("\\??\\") {
        return Err(if name.starts_with('\\') {
            NtStatus::OBJECT_PATH_NOT_FOUND
        } else {
            NtStatus::OBJECT_PATH_SYNTAX_BAD
        });
    }
    path::resolve(&name, &path::directory())
}

/// Opens what has no file: the root of the pipes' file system, the other end of a pipe without a name, the device of sockets.
fn open_special(attributes: &Attributes, how: How) -> Result<Option<File>, NtStatus> {
    let name = attributes.name.as_deref().unwrap_or_default();
    if attributes.root == Handle::NULL {
        let name = String::from_utf16_lossy(name).to_ascii_lowercase();
        let is_root = name == "\\??\\pipe\\" || name == "\\device\\namedpipe\\";
        if name == "\\device\\afd" || name.starts_with("\\device\\afd\\") {
            return crate::ob::afd::device().map(Some);
        }
        return is_root.then(crate::ob::pipe::root).transpose();
    }
    let root = lookup::<File>(attributes.root, 0)?;
    if !name.is_empty() || root.kind != FileKind::Pipe {
        return Ok(None);
    }
    let peer = root.unnamed_peer.lock().take();
    let peer = peer.ok_or(NtStatus::PIPE_NOT_AVAILABLE)?;
    let is_overlapped = how.options & option::SYNCHRONOUS == 0;
    Ok(Some(File::new(peer, Default::default(), is_overlapped)))
}

/// Makes an instance of the pipe that `attributes` name, or one without a name under the pipes' root.
fn create_pipe(
    attributes: &Attributes,
    kind: u32,
    disposition: u32,
    options: u32,
) -> Result<File, NtStatus> {
    let is_overlapped = options & option::SYNCHRONOUS == 0;
    let is_message = kind & 1 != 0;
    let name = if attributes.root == Handle::NULL {
        let Target::Pipe(name) = target(attributes)? else {
            return Err(NtStatus::OBJECT_NAME_INVALID);
        };
        name
    } else {
        if !lookup::<File>(attributes.root, 0)?.is_pipe_root {
            return Err(NtStatus::OBJECT_NAME_INVALID);
        }
        String::from_utf16_lossy(attributes.name.as_deref().unwrap_or_default())
    };
    if name.is_empty() {
        return crate::ob::pipe::unnamed(is_message, is_overlapped);
    }
    let is_first = disposition == Disposition::Create as u32;
    crate::ob::pipe::create(&name, is_message, is_overlapped, is_first)
}

fn open(
    handle: Ptr<Handle>,
    access: u32,
    attributes: Ptr<ObjectAttributes>,
    io: Ptr<IoStatusBlock>,
    how: impl FnOnce(u32) -> Result<How, NtStatus>,
) -> NtStatus {
    let mut information = 0;
    let opened = (|| {
        probe(handle)?;
        probe(io)?;
        let attributes = Attributes::read(attributes)?;
        let access = FILE_TYPE.grant(access)?;
        let how = how(access)?;
        let file = match open_special(&attributes, how)? {
            Some(file) => file,
            None => match target(&attributes)? {
                Target::Pipe(pipe) => crate::ob::pipe::connect(&pipe, how)?,
                target => {
                    let (file, outcome) = open_target(&target, how)?;
                    information = outcome as usize;
                    file
                }
            },
        };
        let flags = attributes.flags & obj::INHERIT;
        TABLE
            .insert(Arc::new(file), access, flags)
            .map(|handle| (handle, NtStatus::SUCCESS))
    })();
    let status = put_handle(handle, opened);
    if status == NtStatus::SUCCESS {
        let _ = io.try_write(IoStatusBlock {
            status: 0,
            information,
        });
    }
    status
}

#[allow(clippy::too_many_arguments, reason = "the prototype of NtReadFile")]
fn transfer(
    way: Way,
    handle: Handle,
    event: Handle,
    routine: (Callback, UserPtr),
    io: Ptr<IoStatusBlock>,
    buffer: Ptr<u8>,
    length: u32,
    offset: Ptr<i64>,
) -> Result<(), NtStatus> {
    let access = if matches!(way, Way::Read) {
        rights::READ_DATA
    } else {
        rights::WRITE_DATA | rights::APPEND_DATA
    };
    let entry = crate::ob::pseudo_entry(handle)?;
    let file = lookup::<File>(handle, 0)?;
    if entry.access & access == 0 {
        return Err(NtStatus::ACCESS_DENIED);
    }
    let event = (event != Handle::NULL)
        .then(|| lookup::<Event>(event, 2))
        .transpose()?;
    // FILE_WRITE_TO_END_OF_FILE is -1, FILE_USE_FILE_POINTER_POSITION -2.
    let at = match offset.non_null().map(Ptr::try_read).transpose()? {
        None | Some(-2) => None,
        Some(-1) => Some(u64::MAX),
        Some(value) => Some(u64::try_from(value).map_err(|_| NtStatus::INVALID_PARAMETER)?),
    };
    probe(io)?;
    if file.is_overlapped && file.kind == FileKind::Disk && at.is_none() {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    if let Some(event) = &event {
        event.reset();
    }
    crate::ob::pipe::accept_pending(&file)?;
    let has_routine = !routine.0.is_null();
    if has_routine
        && file.is_overlapped
        && file.kind != FileKind::Disk
        && !reactor::is_ready(&file, way)
    {
        io.cast::<usize>().try_write(NtStatus::PENDING.0 as usize)?;
        note_routine(io, routine);
        let started = reactor::start(file, way, buffer, length as usize, io.cast());
        return Err(started.map_or_else(
            |status| {
                reactor::take_routine(io.address());
                status
            },
            |()| NtStatus::PENDING,
        ));
    }
    let done = match way {
        Way::Read => file.read(buffer, length as usize, at)?,
        Way::Write => file.write(buffer, length as usize, at)?,
    };
    if let (false, Some(at), FileKind::Disk) = (
        file.is_overlapped,
        at.filter(|&at| at != u64::MAX),
        file.kind,
    ) {
        let _ = seek(file.fd(), SeekFrom::Start(at + done as u64));
    }
    io.try_write(IoStatusBlock {
        status: 0,
        information: done,
    })?;
    if let Some(event) = &event {
        event.set();
    }
    queue_routine(io, routine, done);
    Ok(())
}

fn note_routine(io: Ptr<IoStatusBlock>, (function, context): (Callback, UserPtr)) {
    reactor::note_native_routine(io.address(), function, context, thread::current());
}

/// Queues the routine of an operation that ended at once to the calling thread, if there is one.
pub(super) fn queue_routine(io: Ptr<IoStatusBlock>, routine: (Callback, UserPtr), done: usize) {
    if routine.0.is_null() {
        return;
    }
    note_routine(io, routine);
    if let Some(routine) = reactor::take_routine(io.address()) {
        routine.queue(NtStatus::SUCCESS, done as u64);
    }
}

win_api! {
    /// Opens or creates a file.
    "ntdll.dll" stdcall fn NtCreateFile = "NtCreateFile|ZwCreateFile" (handle: Ptr<Handle>, access: u32, attributes: Ptr<ObjectAttributes>, io: Ptr<IoStatusBlock>, _size: Ptr<i64>, file_attributes: u32, _share: u32, disposition: u32, options: u32, _ea: UserPtr, _ea_length: u32) -> NtStatus {
        open(handle, access, attributes, io, |access| {
            Ok(How { access, disposition: Disposition::from_raw(disposition)?, options, attributes: file_attributes })
        })
    }

    /// Opens a file.
    "ntdll.dll" stdcall fn NtOpenFile = "NtOpenFile|ZwOpenFile" (handle: Ptr<Handle>, access: u32, attributes: Ptr<ObjectAttributes>, io: Ptr<IoStatusBlock>, _share: u32, options: u32) -> NtStatus {
        open(handle, access, attributes, io, |access| Ok(How { access, disposition: Disposition::Open, options, attributes: 0 }))
    }

    /// Makes an instance of a named pipe; without a name, one only its own handle can be opened through.
    "ntdll.dll" stdcall fn NtCreateNamedPipeFile = "NtCreateNamedPipeFile|ZwCreateNamedPipeFile" (handle: Ptr<Handle>, access: u32, attributes: Ptr<ObjectAttributes>, io: Ptr<IoStatusBlock>, _share: u32, disposition: u32, options: u32, kind: u32, _read_mode: u32, _completion: u32, _instances: u32, _in: u32, _out: u32, _timeout: Ptr<i64>) -> NtStatus {
        let made = (|| {
            probe(handle)?;
            let attributes = Attributes::read(attributes)?;
            let file = create_pipe(&attributes, kind, disposition, options)?;
            let access = FILE_TYPE.grant(access)?;
            TABLE.insert(Arc::new(file), access, attributes.handle_flags()).map(|handle| (handle, NtStatus::SUCCESS))
        })();
        let status = put_handle(handle, made);
        if status == NtStatus::SUCCESS {
            let _ = io.try_write(IoStatusBlock { status: 0, information: 2 });
        }
        status
    }

    /// Reads from a file.
    "ntdll.dll" stdcall fn NtReadFile = "NtReadFile|ZwReadFile" (file: Handle, event: Handle, routine: Callback, context: UserPtr, io: Ptr<IoStatusBlock>, buffer: Ptr<u8>, length: u32, offset: Ptr<i64>, _key: Ptr<u32>) -> Result<(), NtStatus> {
        transfer(Way::Read, file, event, (routine, context), io, buffer, length, offset)
    }

    /// Writes to a file.
    "ntdll.dll" stdcall fn NtWriteFile = "NtWriteFile|ZwWriteFile" (file: Handle, event: Handle, routine: Callback, context: UserPtr, io: Ptr<IoStatusBlock>, buffer: Ptr<u8>, length: u32, offset: Ptr<i64>, _key: Ptr<u32>) -> Result<(), NtStatus> {
        transfer(Way::Write, file, event, (routine, context), io, buffer, length, offset)
    }

    /// Writes a file's data to its device.
    "ntdll.dll" stdcall fn NtFlushBuffersFile = "NtFlushBuffersFile|ZwFlushBuffersFile" (file: Handle, io: Ptr<IoStatusBlock>) -> Result<(), NtStatus> {
        let file = lookup::<File>(file, 0)?;
        if file.kind == FileKind::Disk {
            rustix::fs::fsync(file.fd()).map_err(|error| status_of(&error.into()))?;
        }
        io.try_write(IoStatusBlock { status: 0, information: 0 })
    }

    /// Locks a range of a file; waits for it unless `immediately`.
    "ntdll.dll" stdcall fn NtLockFile = "NtLockFile|ZwLockFile" (file: Handle, event: Handle, _routine: Callback, _context: UserPtr, io: Ptr<IoStatusBlock>, offset: Ptr<i64>, length: Ptr<i64>, _key: u32, immediately: Boolean, exclusive: Boolean) -> Result<(), NtStatus> {
        let event = (event != Handle::NULL).then(|| lookup::<Event>(event, 2)).transpose()?;
        let (offset, length) = (offset.try_read()?, length.try_read()?);
        lock(file, offset.cast_unsigned(), length.cast_unsigned(), exclusive.get(), immediately.get())?;
        io.try_write(IoStatusBlock { status: 0, information: 0 })?;
        if let Some(event) = event {
            event.set();
        }
        Ok(())
    }

    /// Unlocks a range of a file.
    "ntdll.dll" stdcall fn NtUnlockFile = "NtUnlockFile|ZwUnlockFile" (file: Handle, io: Ptr<IoStatusBlock>, offset: Ptr<i64>, length: Ptr<i64>, _key: u32) -> Result<(), NtStatus> {
        unlock(file, offset.try_read()?.cast_unsigned(), length.try_read()?.cast_unsigned())?;
        io.try_write(IoStatusBlock { status: 0, information: 0 })
    }

    /// Cancels the call on a pipe or device that a thread of this process waits in; which one it is, is not looked at.
    "ntdll.dll" stdcall fn NtCancelSynchronousIoFile = "NtCancelSynchronousIoFile|ZwCancelSynchronousIoFile" (target: Handle, _request: Ptr<IoStatusBlock>, io: Ptr<IoStatusBlock>) -> Result<(), NtStatus> {
        probe(io)?;
        let target = lookup::<Thread>(target, thread::rights::TERMINATE)?;
        let is_cancelled = synchronous::cancel(target.tid.load(Ordering::Acquire));
        let status = if is_cancelled { NtStatus::SUCCESS } else { NtStatus::NOT_FOUND };
        io.try_write(IoStatusBlock { status: status.0 as usize, information: 0 })?;
        if is_cancelled { Ok(()) } else { Err(status) }
    }

    /// Cancels the operations on a file, or the one with this status block; `NOT_FOUND` if there is none.
    "ntdll.dll" stdcall fn NtCancelIoFileEx = "NtCancelIoFileEx|ZwCancelIoFileEx" (file: Handle, request: Ptr<IoStatusBlock>, io: Ptr<IoStatusBlock>) -> Result<(), NtStatus> {
        let file = lookup::<File>(file, 0)?;
        if !crate::ob::reactor::cancel(&file, request.non_null().map(Ptr::address)) {
            return Err(NtStatus::NOT_FOUND);
        }
        io.try_write(IoStatusBlock { status: 0, information: 0 })
    }

    /// Cancels the operations on a file.
    "ntdll.dll" stdcall fn NtCancelIoFile = "NtCancelIoFile|ZwCancelIoFile" (file: Handle, io: Ptr<IoStatusBlock>) -> Result<(), NtStatus> {
        crate::ob::reactor::cancel(&lookup::<File>(file, 0)?, None);
        io.try_write(IoStatusBlock { status: 0, information: 0 })
    }
}
