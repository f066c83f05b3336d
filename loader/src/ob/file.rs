//! Files, pipes and consoles as objects: one Linux descriptor each.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use ntlpc_abi::NtStatus;
use parking_lot::Mutex;
use rustix::fs::FileType;

use super::changes::Changes;
use super::completion::Completion;
use super::network_events::Slot;
use super::object::{Header, Object, ObjectType};
use super::packed::{Packed, PackedKind};
use super::sync::Signal;
use super::synchronous;
use super::volume;
use super::waitable::Waitable;
use crate::export::Ptr;
use crate::guest;

/// `FILE_ALL_ACCESS` and the generic mapping of files.
pub static FILE_TYPE: ObjectType = ObjectType {
    name: "File",
    generic: [0x12_0089, 0x12_0116, 0x12_00A0, 0x1F_01FF],
};

/// Access rights of files.
pub mod rights {
    /// `FILE_READ_DATA`, `FILE_LIST_DIRECTORY`.
    pub const READ_DATA: u32 = 1;
    /// `FILE_WRITE_DATA`.
    pub const WRITE_DATA: u32 = 2;
    /// `FILE_APPEND_DATA`.
    pub const APPEND_DATA: u32 = 4;
    /// `FILE_READ_ATTRIBUTES`.
    pub const READ_ATTRIBUTES: u32 = 0x80;
    /// `FILE_WRITE_ATTRIBUTES`.
    pub const WRITE_ATTRIBUTES: u32 = 0x100;
}

/// What lies behind a descriptor, as `GetFileType` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A file or directory on disk.
    Disk,
    /// A terminal or another character device.
    Character,
    /// A pipe or socket.
    Pipe,
}

/// The listening socket of a named pipe, shared by its instances.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub socket: OwnedFd,
}

/// An open file.
#[derive(Debug)]
pub struct File {
    header: Header,
    fd: OwnedFd,
    /// Set while the instance of a named pipe has a client.
    is_connected: std::sync::atomic::AtomicBool,
    /// Listening socket of a named pipe's instance.
    pub listener: Mutex<Option<Arc<Listener>>>,
    /// Other end of a pipe without a name, until it is opened through this one's handle.
    pub unnamed_peer: Mutex<Option<OwnedFd>>,
    /// Whether it is the root of the pipe file system.
    pub is_pipe_root: bool,
    /// Whether it is `\Device\Afd`, by which sockets are polled.
    pub is_afd: bool,
    /// Names of a directory that were not listed yet, last first; `None` before the first listing.
    pub listing: Mutex<Option<Vec<String>>>,
    /// Changes in a directory, recorded from the first request for them on.
    pub changes: Mutex<Option<Arc<Changes>>>,
    /// `PIPE_NOWAIT` and `PIPE_READMODE_MESSAGE`, as they were set.
    pub pipe_state: std::sync::atomic::AtomicU32,
    /// Unix path it was opened by; empty for pipes and inherited descriptors. The mount manager has the name of its device.
    pub path: PathBuf,
    /// What lies behind it.
    pub kind: FileKind,
    /// Whether it was opened for overlapped input and output.
    pub is_overlapped: bool,
    /// Whether the file is removed when its last handle closes.
    pub is_delete_on_close: std::sync::atomic::AtomicBool,
    /// Set when an operation without an event ends; files start signaled.
    pub signal: Signal,
    /// Port and key that get the completions, and `SetFileCompletionNotificationModes`.
    pub completion: Mutex<Option<(Arc<Completion>, u64)>>,
    /// Network events a program asked for, if it is a socket.
    pub network_events: Slot,
    /// `FILE_SKIP_*` modes.
    pub notification_modes: std::sync::atomic::AtomicU8,
}

impl File {
    /// Wraps a descriptor.
    #[must_use]
    pub fn new(fd: OwnedFd, path: PathBuf, is_overlapped: bool) -> Self {
        let kind = match rustix::fs::fstat(&fd).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Ok(
                FileType::RegularFile
                | FileType::Directory
                | FileType::BlockDevice
                | FileType::Symlink,
            ) => FileKind::Disk,
            Ok(FileType::Fifo | FileType::Socket) => FileKind::Pipe,
            _ => FileKind::Character,
        };
        File {
            header: Header::default(),
            fd,
            is_connected: false.into(),
            listener: Mutex::new(None),
            unnamed_peer: Mutex::new(None),
            is_pipe_root: false,
            is_afd: false,
            listing: Mutex::new(None),
            changes: Mutex::new(None),
            pipe_state: 0.into(),
            path,
            kind,
            is_overlapped,
            is_delete_on_close: false.into(),
            signal: Signal::new(true),
            completion: Mutex::new(None),
            network_events: Slot::default(),
            notification_modes: 0.into(),
        }
    }

    /// Wraps the instance of a named pipe that listens.
    #[must_use]
    pub fn listening(fd: OwnedFd, listener: Arc<Listener>, is_overlapped: bool) -> Self {
        let file = File::new(fd, PathBuf::new(), is_overlapped);
        *file.listener.lock() = Some(listener);
        file
    }

    /// Returns whether the instance of a named pipe has a client.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.is_connected.load(std::sync::atomic::Ordering::Acquire)
    }

    /// Notes whether the instance of a named pipe has a client.
    pub fn set_connected(&self, is_connected: bool) {
        self.is_connected
            .store(is_connected, std::sync::atomic::Ordering::Release);
    }

    /// Puts a connection in the place of the listening socket; the descriptor's number stays.
    pub fn replace_fd(&self, fd: OwnedFd) -> Result<(), NtStatus> {
        crate::linux::replace_descriptor(&fd, self.fd.as_fd())
            .map_err(|error| status_of(&error))?;
        self.set_connected(true);
        Ok(())
    }

    /// Returns the descriptor.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Returns the size of the file in bytes.
    pub fn size(&self) -> Result<u64, NtStatus> {
        let stat = self.stat()?;
        u64::try_from(stat.st_size).map_err(|_| NtStatus::FILE_INVALID)
    }

    /// Returns what Linux knows about the file.
    pub fn stat(&self) -> Result<rustix::fs::Stat, NtStatus> {
        rustix::fs::fstat(&self.fd).map_err(|error| status_of(&error.into()))
    }

    /// Returns whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.stat()
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    /// Returns whether it is a terminal.
    #[must_use]
    pub fn is_console(&self) -> bool {
        rustix::termios::isatty(&self.fd)
    }

    /// Returns whether it is the mount manager's device.
    #[must_use]
    pub fn is_mount_manager(&self) -> bool {
        self.path.as_os_str() == volume::MOUNT_MANAGER
    }

    /// Reads into guest memory, at `offset` or at the file's position. The end of a file gives `END_OF_FILE`, that of
    /// a pipe `PIPE_BROKEN`.
    pub fn read(&self, to: Ptr<u8>, len: usize, offset: Option<u64>) -> Result<usize, NtStatus> {
        let offset = offset.filter(|_| self.kind == FileKind::Disk);
        match self.wait_for(|| guest::read_into(self.fd(), to, len, offset)) {
            Ok(0) if len != 0 => match self.kind {
                FileKind::Pipe => Err(NtStatus::PIPE_BROKEN),
                FileKind::Disk => Err(NtStatus::END_OF_FILE),
                FileKind::Character => Ok(0),
            },
            Ok(done) => Ok(done),
            Err(error) => Err(self.io_status(&error)),
        }
    }

    /// Writes from guest memory, all of it, at `offset`, at the position, or (`u64::MAX`) at the end.
    pub fn write(&self, from: Ptr<u8>, len: usize, offset: Option<u64>) -> Result<usize, NtStatus> {
        let mut offset = offset.filter(|_| self.kind == FileKind::Disk);
        if offset == Some(u64::MAX) {
            offset = Some(self.size()?);
        }
        let mut done = 0;
        while done < len {
            let at = from.byte_add(done as u64);
            match self.wait_for(|| {
                guest::write_from(self.fd(), at, len - done, offset.map(|o| o + done as u64))
            }) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) => return Err(self.io_status(&error)),
            }
        }
        Ok(done)
    }

    /// Makes a system call, which `CancelSynchronousIo` can end where it may wait.
    fn wait_for<T>(&self, call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        match self.kind {
            FileKind::Disk => retry(call),
            FileKind::Pipe | FileKind::Character => synchronous::retry(call),
        }
    }

    fn io_status(&self, error: &io::Error) -> NtStatus {
        match error.raw_os_error() {
            Some(libc::EPIPE) => NtStatus::PIPE_CLOSING,
            // Reading a directory or with the wrong open mode.
            Some(libc::EISDIR) => NtStatus::INVALID_DEVICE_REQUEST,
            Some(libc::EBADF) => NtStatus::ACCESS_DENIED,
            _ => status_of(error),
        }
    }
}

/// Repeats a call a signal interrupted.
pub fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// The NT status of a Linux error.
#[must_use]
pub fn status_of(error: &io::Error) -> NtStatus {
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => NtStatus::ACCESS_DENIED,
        Some(libc::ENOENT) => NtStatus::OBJECT_NAME_NOT_FOUND,
        Some(libc::ENOTDIR) => NtStatus::OBJECT_PATH_NOT_FOUND,
        Some(libc::EEXIST) => NtStatus::OBJECT_NAME_COLLISION,
        Some(libc::EISDIR) => NtStatus::FILE_IS_A_DIRECTORY,
        Some(libc::ENOTEMPTY) => NtStatus::DIRECTORY_NOT_EMPTY,
        Some(libc::EMFILE | libc::ENFILE) => NtStatus::TOO_MANY_OPENED_FILES,
        Some(libc::ENOSPC | libc::EDQUOT) => NtStatus::DISK_FULL,
        Some(libc::EROFS) => NtStatus::MEDIA_WRITE_PROTECTED,
        Some(libc::ENOMEM) => NtStatus::NO_MEMORY,
        Some(libc::EXDEV) => NtStatus::NOT_SAME_DEVICE,
        Some(libc::EFAULT) => NtStatus::ACCESS_VIOLATION,
        Some(libc::ENAMETOOLONG | libc::EINVAL | libc::ELOOP) => NtStatus::OBJECT_NAME_INVALID,
        Some(libc::ETXTBSY | libc::EBUSY) => NtStatus::SHARING_VIOLATION,
        Some(libc::EMLINK) => NtStatus::TOO_MANY_LINKS,
        Some(libc::EAGAIN) => NtStatus::FILE_LOCK_CONFLICT,
        Some(libc::EPIPE) => NtStatus::PIPE_BROKEN,
        Some(libc::ENOSYS | libc::EOPNOTSUPP) => NtStatus::NOT_SUPPORTED,
        Some(libc::ECANCELED) => NtStatus::CANCELLED,
        _ => NtStatus::UNSUCCESSFUL,
    }
}

impl Object for File {
    fn object_type(&self) -> &'static ObjectType {
        &FILE_TYPE
    }
    fn header(&self) -> &Header {
        &self.header
    }
    fn waitable(&self) -> Option<&dyn Waitable> {
        Some(&self.signal)
    }
    fn path(&self) -> Vec<u16> {
        let name = match self.kind {
            FileKind::Disk => volume::path_of(self.fd()),
            FileKind::Character if self.is_mount_manager() => {
                Some(volume::MOUNT_MANAGER.to_owned())
            }
            FileKind::Character | FileKind::Pipe => None,
        };
        name.unwrap_or_default().encode_utf16().collect()
    }
    fn pack(&self) -> Result<Packed, NtStatus> {
        use std::os::unix::ffi::OsStrExt;
        let mut bytes = vec![u8::from(self.is_overlapped)];
        bytes.extend_from_slice(self.path.as_os_str().as_bytes());
        let fd = self
            .fd
            .try_clone()
            .map_err(|_| NtStatus::TOO_MANY_OPENED_FILES)?;
        Ok(Packed {
            kind: PackedKind::File,
            bytes,
            fds: vec![fd],
        })
    }
    fn last_handle_closed(&self) {
        // Requests for changes end with the handle, and so does what a pipe or a socket waits for.
        if self.changes.lock().take().is_some() || self.kind == FileKind::Pipe {
            super::reactor::cancel_all(self);
        }
        self.network_events.clear();
        super::afd::closed(self);
        if self
            .is_delete_on_close
            .load(std::sync::atomic::Ordering::Acquire)
        {
            let removed = if self.is_directory() {
                std::fs::remove_dir(&self.path)
            } else {
                std::fs::remove_file(&self.path)
            };
            if let Err(error) = removed {
                log::debug!("delete on close of {}: {error}", self.path.display());
            }
        }
    }
}
