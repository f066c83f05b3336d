//! Pipes: anonymous ones, and named ones as sockets in the prefix's run-time directory.
//!
//! A named pipe is a `SOCK_STREAM` (byte mode) or `SOCK_SEQPACKET` (message mode) socket whose name is the
//! lower-case name of the pipe in the abstract name space of the user, so that every program of the user
//! meets it and nothing is left behind.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use ntlpc_abi::NtStatus;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect as connect_socket, socket_with,
};

use super::file::{File, status_of};
use super::open::{How, option};

/// Makes an anonymous pipe: its reading and its writing end.
pub fn anonymous() -> Result<(File, File), NtStatus> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|e| status_of(&e.into()))?;
    Ok((
        File::new(read, PathBuf::new(), false),
        File::new(write, PathBuf::new(), false),
    ))
}

/// Socket address of a named pipe.
pub fn address(name: &str) -> Result<SocketAddrUnix, NtStatus> {
    let uid = rustix::process::geteuid().as_raw();
    let text = format!("ntlpc-pipe-{uid}-{}", name.to_lowercase());
    SocketAddrUnix::new_abstract_name(text.as_bytes()).map_err(|_| NtStatus::OBJECT_NAME_INVALID)
}

/// Makes a socket for a named pipe.
pub fn socket(is_message: bool) -> Result<OwnedFd, NtStatus> {
    let kind = if is_message {
        SocketType::SEQPACKET
    } else {
        SocketType::STREAM
    };
    socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
        .map_err(|e| status_of(&e.into()))
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
            Err(rustix::io::Errno::PROTOTYPE) => {}
            Err(rustix::io::Errno::AGAIN) => return Err(NtStatus::PIPE_BUSY),
            Err(_) => return Err(NtStatus::OBJECT_NAME_NOT_FOUND),
        }
    }
    Err(NtStatus::OBJECT_NAME_NOT_FOUND)
}
