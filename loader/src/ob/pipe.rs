//! Pipes: anonymous ones, and named ones as sockets in the abstract name space of the user.
//!
//! The server end of a named pipe is a `SOCK_STREAM` (byte mode) or `SOCK_SEQPACKET` (message mode) socket. Instances of
//! one process share a listening socket; an instance that accepted a client carries the connection. Nothing is left
//! behind when the last instance goes. Names of several processes for one pipe are refused (`PIPE_BUSY`).

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use ntlpc_abi::NtStatus;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{
    AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind,
    connect as connect_socket, listen, recv, socket_with, sockopt,
};

use super::file::{File, FileKind, Listener, status_of};
use super::open::{How, option};
use super::overlapped::{Overlapped, complete};
use super::path;
use super::synchronous;
use crate::export::Ptr;

/// Listening sockets of this process by pipe name.
static LISTENERS: Mutex<BTreeMap<String, Weak<Listener>>> = Mutex::new(BTreeMap::new());

fn status(error: rustix::io::Errno) -> NtStatus {
    status_of(&error.into())
}

/// Makes an anonymous pipe: its reading and its writing end.
pub fn anonymous() -> Result<(File, File), NtStatus> {
    let (read, write) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(status)?;
    Ok((
        File::new(read, PathBuf::new(), false),
        File::new(write, PathBuf::new(), false),
    ))
}

fn address(name: &str) -> Result<SocketAddrUnix, NtStatus> {
    let uid = rustix::process::geteuid().as_raw();
    let text = format!("ntlpc-pipe-{uid}-{}", name.to_lowercase());
    SocketAddrUnix::new_abstract_name(text.as_bytes()).map_err(|_| NtStatus::OBJECT_NAME_INVALID)
}

fn socket(is_message: bool) -> Result<OwnedFd, NtStatus> {
    let kind = if is_message {
        SocketType::SEQPACKET
    } else {
        SocketType::STREAM
    };
    socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).map_err(status)
}

/// Opens the root of the pipe file system, under which pipes without a name are made.
pub fn root() -> Result<File, NtStatus> {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let fd = rustix::fs::open("/dev/null", flags, rustix::fs::Mode::empty()).map_err(status)?;
    let mut file = File::new(fd, PathBuf::new(), false);
    file.is_pipe_root = true;
    Ok(file)
}

/// Makes a pipe without a name: its other end is opened once, through the handle of this one.
pub fn unnamed(is_message: bool, is_overlapped: bool) -> Result<File, NtStatus> {
    let kind = if is_message {
        SocketType::SEQPACKET
    } else {
        SocketType::STREAM
    };
    let (own, peer) =
        rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
            .map_err(status)?;
    let file = File::new(own, PathBuf::new(), is_overlapped);
    *file.unnamed_peer.lock() = Some(peer);
    Ok(file)
}

/// Makes an instance of a named pipe. `is_first` fails if there is one already.
pub fn create(
    name: &str,
    is_message: bool,
    is_overlapped: bool,
    is_first: bool,
) -> Result<File, NtStatus> {
    let mut listeners = LISTENERS.lock();
    let key = name.to_lowercase();
    let existing = listeners.get(&key).and_then(Weak::upgrade);
    if existing.is_some() && is_first {
        return Err(NtStatus::ACCESS_DENIED);
    }
    let listener = match existing {
        Some(listener) => listener,
        None => {
            let socket = socket(is_message)?;
            bind(&socket, &address(name)?).map_err(|_| NtStatus::PIPE_BUSY)?;
            listen(&socket, 64).map_err(status)?;
            let listener = Arc::new(Listener { socket });
            listeners.insert(key, Arc::downgrade(&listener));
            listener
        }
    };
    let fd = listener
        .socket
        .try_clone()
        .map_err(|_| NtStatus::TOO_MANY_OPENED_FILES)?;
    Ok(File::listening(fd, listener, is_overlapped))
}

/// Opens the client end of a named pipe.
///
/// Returns `OBJECT_NAME_NOT_FOUND` if there is none, `PIPE_BUSY` if no instance listens.
pub fn connect(name: &str, how: How) -> Result<File, NtStatus> {
    let address = address(name)?;
    let is_overlapped = how.options & option::SYNCHRONOUS == 0;
    for is_message in [false, true] {
        let fd = socket(is_message)?;
        match connect_socket(&fd, &address) {
            Ok(()) => return Ok(File::new(fd, PathBuf::new(), is_overlapped)),
            Err(rustix::io::Errno::AGAIN) => return Err(NtStatus::PIPE_BUSY),
            // The other kind of socket has names of its own.
            Err(_) => {}
        }
    }
    Err(NtStatus::OBJECT_NAME_NOT_FOUND)
}

/// Waits for a client. Returns `PIPE_CONNECTED` if there is one already.
pub fn accept(file: &File) -> Result<(), NtStatus> {
    let listener = file
        .listener
        .lock()
        .clone()
        .ok_or(NtStatus::INVALID_DEVICE_REQUEST)?;
    if file.is_connected() {
        return Err(NtStatus::PIPE_CONNECTED);
    }
    let accept = || accept_with(&listener.socket, SocketFlags::CLOEXEC).map_err(Into::into);
    let client = synchronous::retry(accept).map_err(|error| status_of(&error))?;
    file.replace_fd(client)
}

/// Takes a client that has come to an instance nobody called `ConnectNamedPipe` for: opening the other end connects it
/// (Microsoft Learn `ConnectNamedPipe`). Returns `PIPE_LISTENING` if none has. Files without a listener pass.
pub fn accept_pending(file: &File) -> Result<(), NtStatus> {
    let Some(listener) = file.listener.lock().clone() else {
        return Ok(());
    };
    if file.is_connected() {
        return Ok(());
    }
    let now = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut fds = [PollFd::new(&listener.socket, PollFlags::IN)];
    match poll(&mut fds, Some(&now)) {
        Ok(count) if count > 0 => accept(file),
        _ => Err(NtStatus::PIPE_LISTENING),
    }
}

/// Waits for a client in the background; returns whether one is connected already.
pub fn start_accept(file: Arc<File>, overlapped: Ptr<Overlapped>) -> Result<bool, NtStatus> {
    let listener = file
        .listener
        .lock()
        .clone()
        .ok_or(NtStatus::INVALID_DEVICE_REQUEST)?;
    if file.is_connected() {
        return Ok(true);
    }
    overlapped
        .cast::<usize>()
        .write(NtStatus::PENDING.0 as usize);
    if let Ok(event) = super::table::lookup::<super::sync::Event>(overlapped.read().event, 0) {
        event.reset();
    }
    let run = move || {
        // The instance may be closed meanwhile; nobody waits for the outcome then.
        let status = wait_for_client(&listener, &file).and_then(|()| accept(&file));
        complete(
            &file,
            overlapped,
            status.err().unwrap_or(NtStatus::SUCCESS),
            0,
        );
    };
    match std::thread::Builder::new()
        .name("pipe".into())
        .stack_size(0x2_0000)
        .spawn(run)
    {
        Ok(_) => Ok(false),
        Err(_) => Err(NtStatus::INSUFFICIENT_RESOURCES),
    }
}

fn wait_for_client(listener: &Listener, file: &File) -> Result<(), NtStatus> {
    let tick = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 100_000_000,
    };
    loop {
        let mut fds = [PollFd::new(&listener.socket, PollFlags::IN)];
        if matches!(poll(&mut fds, Some(&tick)), Ok(count) if count > 0) {
            return Ok(());
        }
        // Closed handles and cancellation are noticed at the next tick.
        if super::object::Object::header(file).handles() == 0 {
            return Err(NtStatus::CANCELLED);
        }
    }
}

/// Returns how many instances a named pipe has that was made here.
///
/// # Errors
/// `NOT_SUPPORTED` for the client's end: its server may be another process, which alone counts them.
pub fn instances(file: &File) -> Result<u32, NtStatus> {
    let listener = file.listener.lock();
    let listener = listener.as_ref().ok_or(NtStatus::NOT_SUPPORTED)?;
    Ok(u32::try_from(Arc::strong_count(listener)).unwrap_or(u32::MAX))
}

/// Throws the client out; the instance listens again.
pub fn disconnect(file: &File) -> Result<(), NtStatus> {
    let listener = file
        .listener
        .lock()
        .clone()
        .ok_or(NtStatus::INVALID_DEVICE_REQUEST)?;
    let fd = listener
        .socket
        .try_clone()
        .map_err(|_| NtStatus::TOO_MANY_OPENED_FILES)?;
    file.replace_fd(fd)?;
    file.set_connected(false);
    Ok(())
}

/// Returns how many bytes can be read without waiting; `PIPE_BROKEN` when the other end is gone and nothing is left.
pub fn available(file: &File) -> Result<u64, NtStatus> {
    let count = rustix::io::ioctl_fionread(file.fd()).map_err(status)?;
    if count == 0 {
        let fd = file.fd();
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        let now = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        if poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().contains(PollFlags::HUP) {
            return Err(NtStatus::PIPE_BROKEN);
        }
    }
    Ok(count)
}

/// Room of a pipe, which its creator's wishes do not change.
const QUOTA: u32 = 0x1_0000;

/// What an end of a pipe knows of it: `FILE_PIPE_LOCAL_INFORMATION` (Microsoft Learn).
#[derive(Clone, Copy, Debug)]
pub struct Local {
    is_message: bool,
    instances: u32,
    readable: u32,
    /// Bytes written that the other end has not read.
    unread: u32,
    is_connected: bool,
    is_server: bool,
}

impl Local {
    /// Its words: type, configuration (full duplex), most and present instances, quota and bytes to read, quota and room to
    /// write, state (listening or connected), end.
    #[must_use]
    pub fn words(&self) -> [u32; 10] {
        [
            self.is_message.into(),
            2,
            u32::MAX,
            self.instances,
            QUOTA,
            self.readable,
            QUOTA,
            QUOTA - self.unread.min(QUOTA),
            if self.is_connected { 3 } else { 2 },
            self.is_server.into(),
        ]
    }
}

/// Describes an end of a pipe.
#[must_use]
pub fn local(file: &File) -> Local {
    let is_server = file.listener.lock().is_some();
    Local {
        is_message: sockopt::socket_type(file.fd()).is_ok_and(|kind| kind == SocketType::SEQPACKET),
        instances: instances(file).unwrap_or(1),
        readable: available(file).map_or(0, |bytes| u32::try_from(bytes).unwrap_or(u32::MAX)),
        unread: crate::linux::unread_bytes(file.fd()),
        is_connected: !is_server || file.is_connected(),
        is_server,
    }
}

/// Copies what a pipe holds without taking it; possible for sockets only.
pub fn peek(file: &File, buffer: Ptr<u8>, size: usize) -> Result<usize, NtStatus> {
    let mut bytes = vec![0; size.min(0x1_0000)];
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    match recv(file.fd(), &mut bytes[..], flags) {
        Ok((count, _)) => {
            buffer.write_bytes(&bytes[..count]);
            Ok(count)
        }
        Err(rustix::io::Errno::AGAIN) => Ok(0),
        // Anonymous pipes cannot be looked into; the caller still learns the count.
        Err(rustix::io::Errno::NOTSOCK) => Err(NtStatus::NOT_SUPPORTED),
        Err(error) => Err(status(error)),
    }
}

/// Returns the process at the other end of a named pipe.
pub fn peer(file: &File) -> Result<u32, NtStatus> {
    if file.kind != FileKind::Pipe {
        return Err(NtStatus::INVALID_DEVICE_REQUEST);
    }
    let credentials = sockopt::socket_peercred(file.fd().as_fd())
        .map_err(|_| NtStatus::INVALID_DEVICE_REQUEST)?;
    Ok(credentials.pid.as_raw_nonzero().get().unsigned_abs())
}

/// Waits until an instance of a named pipe listens: one that exists always does.
pub fn wait(name: &[u16]) -> Result<(), NtStatus> {
    let path::Target::Pipe(name) = path::resolve_here(name)? else {
        return Err(NtStatus::OBJECT_NAME_INVALID);
    };
    let text = format!(
        "@ntlpc-pipe-{}-{}",
        rustix::process::geteuid().as_raw(),
        name.to_lowercase()
    );
    let exists = || {
        std::fs::read_to_string("/proc/net/unix")
            .is_ok_and(|list| list.lines().any(|line| line.ends_with(&text)))
    };
    if exists() {
        return Ok(());
    }
    // A pipe nobody made yet is an error at once (Microsoft Learn `WaitNamedPipe`).
    Err(NtStatus::OBJECT_NAME_NOT_FOUND)
}
