//! What files are: the information classes, also behind `GetFileInformationByHandleEx`, and volumes.
//!
//! Classes and layouts: Microsoft Learn `NtQueryInformationFile`, `FILE_INFORMATION_CLASS`.

use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;

use ntlpc_abi::{Handle, NtStatus};
use rustix::fs::{SeekFrom, seek};

use super::devicecontrol::REPARSE_TAG_SYMLINK;
use super::files::target;
use super::iocompletion::IoStatusBlock;
use crate::dlls::kernel32::fileattributes::{attribute, attributes_of, times_of};
use crate::export::Ptr;
use crate::ob::attributes::{Attributes, ObjectAttributes};
use crate::ob::file::{File, FileKind, status_of};
use crate::ob::path::{self, Target};
use crate::ob::pipe;
use crate::ob::table::lookup;
use crate::ob::time;
use crate::win_api;

pub(super) fn put<const N: usize>(out: &mut Vec<u8>, bytes: [u8; N]) {
    out.extend(bytes);
}

/// The contents of an information class that describes an open file.
pub fn query(handle: Handle, class: u32) -> Result<Vec<u8>, NtStatus> {
    let entry = crate::ob::pseudo_entry(handle)?;
    let file = lookup::<File>(handle, 0)?;
    let mut out = Vec::new();
    let stat = || file.stat();
    match class {
        // FileBasicInformation
        4 => {
            let stat = stat()?;
            let [created, accessed, written] = times_of(&stat);
            for time in [created, accessed, written, written] {
                put(&mut out, time.to_le_bytes());
            }
            put(&mut out, attributes_of(stat.st_mode).to_le_bytes());
            put(&mut out, [0; 4]);
        }
        // FileStandardInformation
        5 => {
            let stat = stat()?;
            put(&mut out, (stat.st_blocks * 512).to_le_bytes());
            put(&mut out, stat.st_size.to_le_bytes());
            put(&mut out, (stat.st_nlink as u32).to_le_bytes());
            let is_deleted = file.is_delete_on_close.load(Ordering::Acquire);
            put(
                &mut out,
                [u8::from(is_deleted), u8::from(file.is_directory()), 0, 0],
            );
        }
        // FileInternalInformation
        6 => put(&mut out, stat()?.st_ino.to_le_bytes()),
        // FileAccessInformation
        8 => put(&mut out, entry.access.to_le_bytes()),
        // FilePositionInformation
        14 => put(
            &mut out,
            seek(file.fd(), SeekFrom::Current(0))
                .unwrap_or(0)
                .to_le_bytes(),
        ),
        // FileModeInformation: FILE_SYNCHRONOUS_IO_NONALERT
        16 => put(
            &mut out,
            (if file.is_overlapped { 0_u32 } else { 0x20 }).to_le_bytes(),
        ),
        // FileNameInformation: the path without its drive
        9 => {
            let link = std::fs::read_link(format!("/proc/self/fd/{}", file.fd().as_raw_fd()))
                .map_err(|e| status_of(&e))?;
            let name: Vec<u16> = path::to_windows(&link).encode_utf16().skip(2).collect();
            put(&mut out, (name.len() as u32 * 2).to_le_bytes());
            name.iter()
                .for_each(|unit| put(&mut out, unit.to_le_bytes()));
        }
        // FileAllInformation: basic, standard, internal, extended attributes, access, position, mode, alignment, name
        18 => {
            for part in [4, 5, 6] {
                out.extend(query(handle, part)?);
            }
            put(&mut out, [0; 4]);
            for part in [8, 14, 16] {
                out.extend(query(handle, part)?);
            }
            put(&mut out, [0; 4]);
            out.extend(query(handle, 9)?);
        }
        // FilePipeInformation: read mode, completion mode
        23 => {
            pipe_of(&file)?;
            // PIPE_NOWAIT 1, PIPE_READMODE_MESSAGE 2
            let state = file.pipe_state.load(Ordering::Relaxed);
            put(&mut out, (state >> 1 & 1).to_le_bytes());
            put(&mut out, (state & 1).to_le_bytes());
        }
        // FilePipeLocalInformation
        24 => {
            for word in pipe_of(&file)?.words() {
                put(&mut out, word.to_le_bytes());
            }
        }
        // FileNetworkOpenInformation
        34 => {
            let stat = stat()?;
            let [created, accessed, written] = times_of(&stat);
            for value in [
                created,
                accessed,
                written,
                written,
                stat.st_blocks * 512,
                stat.st_size,
            ] {
                put(&mut out, value.to_le_bytes());
            }
            put(&mut out, attributes_of(stat.st_mode).to_le_bytes());
            put(&mut out, [0; 4]);
        }
        // FileAttributeTagInformation
        35 => {
            let attributes = attributes_of(stat()?.st_mode);
            let is_link = attributes & attribute::REPARSE_POINT != 0;
            put(&mut out, attributes.to_le_bytes());
            put(
                &mut out,
                if is_link { REPARSE_TAG_SYMLINK } else { 0 }.to_le_bytes(),
            );
        }
        // FileIdInformation: volume serial and 128-bit id
        59 => {
            let stat = stat()?;
            put(&mut out, stat.st_dev.to_le_bytes());
            put(&mut out, stat.st_ino.to_le_bytes());
            put(&mut out, [0; 8]);
        }
        _ => return Err(NtStatus::INVALID_INFO_CLASS),
    }
    Ok(out)
}

/// What a new name without a directory is relative to.
#[derive(Clone, Copy, Debug)]
pub enum Relative {
    /// Win32: the process's current directory.
    ToCurrentDirectory,
    /// NT: the directory the file is in.
    ToOwnDirectory,
}

/// Changes an open file by an information class.
pub fn set(
    handle: Handle,
    class: u32,
    buffer: Ptr<u8>,
    length: u32,
    relative: Relative,
) -> Result<(), NtStatus> {
    let file = lookup::<File>(handle, 0)?;
    match class {
        // FileBasicInformation: access and write time; read-only
        4 => {
            let times = (0..4)
                .map(|i| buffer.cast::<i64>().add(i).try_read())
                .collect::<Result<Vec<i64>, _>>()?;
            let spec = |time: i64| match time {
                0 | -1 => rustix::fs::Timespec {
                    tv_sec: 0,
                    tv_nsec: rustix::fs::UTIME_OMIT,
                },
                time => {
                    let (tv_sec, tv_nsec) = time::to_unix(time);
                    rustix::fs::Timespec { tv_sec, tv_nsec }
                }
            };
            let stamps = rustix::fs::Timestamps {
                last_access: spec(times[1]),
                last_modification: spec(times[2]),
            };
            rustix::fs::futimens(file.fd(), &stamps).map_err(|error| status_of(&error.into()))?;
            let attributes = buffer.byte_add(32).cast::<u32>().try_read()?;
            if attributes != 0 && !file.is_directory() {
                let mode = file.stat()?.st_mode & 0o7777;
                let wanted = if attributes & attribute::READONLY != 0 {
                    mode & !0o222
                } else {
                    mode | 0o200
                };
                if wanted != mode {
                    rustix::fs::fchmod(file.fd(), rustix::fs::Mode::from_raw_mode(wanted))
                        .map_err(|e| status_of(&e.into()))?;
                }
            }
            Ok(())
        }
        // FileRenameInformation, FileRenameInformationEx
        10 | 65 => {
            let replaces = buffer.cast::<u32>().try_read()? & 1 != 0;
            let pointer = crate::width().pointer() as u64;
            let root = buffer.byte_add(pointer).cast::<Handle>().try_read()?;
            let size = buffer.byte_add(2 * pointer).cast::<u32>().try_read()?;
            let mut raw = vec![0; (size as usize).min(length as usize)];
            buffer.byte_add(2 * pointer + 4).try_read_bytes(&mut raw)?;
            let name: Vec<u16> = raw
                .chunks_exact(2)
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
                .collect();
            let name = String::from_utf16_lossy(&name);
            let base = match (root, relative) {
                (Handle::NULL, Relative::ToCurrentDirectory) => path::directory(),
                (Handle::NULL, Relative::ToOwnDirectory) => {
                    path::to_windows(file.path.parent().unwrap_or(&file.path)) + "\\"
                }
                (root, _) => {
                    let root = lookup::<File>(root, 0)?;
                    let link =
                        std::fs::read_link(format!("/proc/self/fd/{}", root.fd().as_raw_fd()));
                    path::to_windows(&link.map_err(|error| status_of(&error))?) + "\\"
                }
            };
            if root != Handle::NULL && name.starts_with('\\') {
                return Err(NtStatus::INVALID_PARAMETER);
            }
            let Target::File(to) = path::resolve(&name, &base)? else {
                return Err(NtStatus::OBJECT_NAME_INVALID);
            };
            if !replaces && to.symlink_metadata().is_ok() {
                return Err(NtStatus::OBJECT_NAME_COLLISION);
            }
            std::fs::rename(&file.path, &to).map_err(|error| status_of(&error))
        }
        // FileDispositionInformation (BOOLEAN), FileDispositionInformationEx (flags, FILE_DISPOSITION_DELETE)
        13 | 64 => {
            let is_deleted = buffer.try_read()? & 1 != 0;
            let is_posix = class == 64 && buffer.try_read()? & 2 != 0;
            if is_deleted
                && file.is_directory()
                && std::fs::read_dir(&file.path).is_ok_and(|mut all| all.next().is_some())
            {
                return Err(NtStatus::DIRECTORY_NOT_EMPTY);
            }
            if is_deleted && is_posix {
                let removed = if file.is_directory() {
                    std::fs::remove_dir(&file.path)
                } else {
                    std::fs::remove_file(&file.path)
                };
                return removed.map_err(|error| status_of(&error));
            }
            file.is_delete_on_close.store(is_deleted, Ordering::Release);
            Ok(())
        }
        // FilePositionInformation
        14 => {
            let at = buffer.cast::<u64>().try_read()?;
            seek(file.fd(), SeekFrom::Start(at))
                .map(|_| ())
                .map_err(|_| NtStatus::INVALID_PARAMETER)
        }
        // FileModeInformation
        16 => Ok(()),
        // FileEndOfFileInformation
        20 => {
            let size = buffer.cast::<u64>().try_read()?;
            rustix::fs::ftruncate(file.fd(), size).map_err(|error| status_of(&error.into()))
        }
        // FileAllocationInformation: only a hint
        19 => Ok(()),
        // FileIoCompletionNotificationInformation
        41 => {
            let modes = buffer.try_read()?;
            file.notification_modes.store(modes, Ordering::Relaxed);
            Ok(())
        }
        _ => Err(NtStatus::INVALID_INFO_CLASS),
    }
}

/// `FILE_PIPE_LOCAL_INFORMATION` of a pipe.
fn pipe_of(file: &File) -> Result<pipe::Local, NtStatus> {
    if file.kind != FileKind::Pipe {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    Ok(pipe::local(file))
}

/// Bytes of `FILE_ALL_INFORMATION` before the units of its name.
const ALL_WITHOUT_NAME: usize = 100;

/// `FILE_BASIC_INFORMATION`, or with sizes `FILE_NETWORK_OPEN_INFORMATION`, of a file that is not opened.
fn describe(attributes: Ptr<ObjectAttributes>, has_sizes: bool) -> Result<Vec<u8>, NtStatus> {
    let Target::File(path) = target(&Attributes::read(attributes)?)? else {
        return Err(NtStatus::OBJECT_NAME_NOT_FOUND);
    };
    let stat = rustix::fs::stat(&path).map_err(|error| status_of(&error.into()))?;
    let [created, accessed, written] = times_of(&stat);
    let mut out = Vec::new();
    for time in [created, accessed, written, written] {
        put(&mut out, time.to_le_bytes());
    }
    if has_sizes {
        put(&mut out, (stat.st_blocks * 512).to_le_bytes());
        put(&mut out, stat.st_size.to_le_bytes());
    }
    put(&mut out, attributes_of(stat.st_mode).to_le_bytes());
    put(&mut out, [0; 4]);
    Ok(out)
}

win_api! {
    /// Describes an open file.
    "ntdll.dll" stdcall fn NtQueryInformationFile = "NtQueryInformationFile|ZwQueryInformationFile" (file: Handle, io: Ptr<IoStatusBlock>, buffer: Ptr<u8>, length: u32, class: u32) -> Result<(), NtStatus> {
        let bytes = query(file, class)?;
        // The classes that end in a name are cut where the buffer ends.
        let least = match class {
            9 => 4,
            18 => ALL_WITHOUT_NAME,
            _ => bytes.len(),
        };
        let length = length as usize;
        if length < least {
            return Err(NtStatus::INFO_LENGTH_MISMATCH);
        }
        let fitting = &bytes[..length.min(bytes.len())];
        buffer.try_write_bytes(fitting)?;
        let is_cut = fitting.len() < bytes.len();
        let status = if is_cut { NtStatus::BUFFER_OVERFLOW } else { NtStatus::SUCCESS };
        io.try_write(IoStatusBlock { status: status.0 as usize, information: fitting.len() })?;
        if is_cut { Err(status) } else { Ok(()) }
    }

    /// Changes an open file.
    "ntdll.dll" stdcall fn NtSetInformationFile = "NtSetInformationFile|ZwSetInformationFile" (file: Handle, io: Ptr<IoStatusBlock>, buffer: Ptr<u8>, length: u32, class: u32) -> Result<(), NtStatus> {
        set(file, class, buffer, length, Relative::ToOwnDirectory)?;
        io.try_write(IoStatusBlock { status: 0, information: 0 })
    }

    /// Describes the volume of a file: `FileFsDeviceInformation` and `FileFsVolumeInformation`.
    "ntdll.dll" stdcall fn NtQueryVolumeInformationFile = "NtQueryVolumeInformationFile|ZwQueryVolumeInformationFile" (file: Handle, io: Ptr<IoStatusBlock>, buffer: Ptr<u8>, length: u32, class: u32) -> Result<(), NtStatus> {
        let file = lookup::<File>(file, 0)?;
        let bytes: Vec<u8> = match class {
            // FileFsDeviceInformation: FILE_DEVICE_DISK 7, FILE_DEVICE_NAMED_PIPE 0x11, FILE_DEVICE_CONSOLE 0x50, NULL 0x15
            4 => {
                let kind: u32 = match file.kind {
                    FileKind::Disk => 7,
                    FileKind::Pipe => 0x11,
                    FileKind::Character if file.is_console() => 0x50,
                    FileKind::Character => 0x15,
                };
                [kind.to_le_bytes(), 0_u32.to_le_bytes()].concat()
            }
            // FileFsVolumeInformation: creation time, serial, label length, supports objects
            1 => {
                let serial = file.stat()?.st_dev as u32;
                [0_i64.to_le_bytes().as_slice(), &serial.to_le_bytes(), &[0; 4], &[0; 8]].concat()
            }
            _ => return Err(NtStatus::INVALID_INFO_CLASS),
        };
        if (length as usize) < bytes.len() {
            return Err(NtStatus::INFO_LENGTH_MISMATCH);
        }
        buffer.try_write_bytes(&bytes)?;
        io.try_write(IoStatusBlock { status: 0, information: bytes.len() })
    }

    /// Describes a file by its name.
    "ntdll.dll" stdcall fn NtQueryAttributesFile = "NtQueryAttributesFile|ZwQueryAttributesFile" (attributes: Ptr<ObjectAttributes>, to: Ptr<u8>) -> Result<(), NtStatus> {
        to.try_write_bytes(&describe(attributes, false)?)
    }

    /// Describes a file by its name, with its sizes.
    "ntdll.dll" stdcall fn NtQueryFullAttributesFile = "NtQueryFullAttributesFile|ZwQueryFullAttributesFile" (attributes: Ptr<ObjectAttributes>, to: Ptr<u8>) -> Result<(), NtStatus> {
        to.try_write_bytes(&describe(attributes, true)?)
    }
}
