//! Moving frames and descriptors over a `SOCK_SEQPACKET` socket (`man 7 unix`).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socket_with,
};

use crate::frame::{MAX_BYTES, MAX_FDS};

/// Whether an operation may wait for the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Waits; retries when a signal interrupts.
    Blocking,
    /// Returns [`io::ErrorKind::WouldBlock`] instead of waiting.
    NonBlocking,
}

/// Makes a control socket, close-on-exec.
pub fn control_socket(wait: Wait) -> io::Result<OwnedFd> {
    let mut flags = SocketFlags::CLOEXEC;
    if wait == Wait::NonBlocking {
        flags |= SocketFlags::NONBLOCK;
    }
    Ok(socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        flags,
        None,
    )?)
}

/// Sends one frame with its descriptors.
///
/// Fails with [`io::ErrorKind::InvalidInput`] for a frame above [`MAX_BYTES`] or [`MAX_FDS`], before anything is sent.
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>], wait: Wait) -> io::Result<()> {
    if bytes.len() > MAX_BYTES || fds.len() > MAX_FDS {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let mut flags = SendFlags::NOSIGNAL;
    if wait == Wait::NonBlocking {
        flags |= SendFlags::DONTWAIT;
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    rustix::io::retry_on_intr(|| sendmsg(&socket, &[IoSlice::new(bytes)], &mut ancillary, flags))?;
    Ok(())
}

/// A received frame: its length in the caller's buffer and its descriptors, all close-on-exec.
#[derive(Debug)]
pub struct Received {
    /// Bytes of the frame; 0 when the peer has closed.
    pub len: usize,
    /// Descriptors, at most [`MAX_FDS`]; any beyond that are closed.
    pub fds: Vec<OwnedFd>,
}

/// Receives one frame into `buffer`, which should hold [`MAX_BYTES`].
///
/// Fails with [`io::ErrorKind::InvalidData`] if the frame was longer than the buffer.
pub fn receive(socket: impl AsFd, buffer: &mut [u8], wait: Wait) -> io::Result<Received> {
    let mut flags = RecvFlags::CMSG_CLOEXEC;
    if wait == Wait::NonBlocking {
        flags |= RecvFlags::DONTWAIT;
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message = rustix::io::retry_on_intr(|| {
        recvmsg(
            &socket,
            &mut [IoSliceMut::new(buffer)],
            &mut ancillary,
            flags,
        )
    })?;
    let mut fds = Vec::new();
    for item in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = item {
            fds.extend(rights);
        }
    }
    // Alignment leaves the kernel room for a few more than asked for; they are closed here.
    fds.truncate(MAX_FDS);
    if message.flags.contains(ReturnFlags::TRUNC) {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    Ok(Received {
        len: message.bytes,
        fds,
    })
}
