//! Sockets: `winsock2.h`, the blocking calls. A SOCKET is a file handle.
//!
//! Ordinals are those programs import by (Windows SDK import library).

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ntlpc_abi::Handle;
use rustix::event::{PollFd, PollFlags, poll};

use crate::export::Ptr;
use crate::ob::file::{FILE_TYPE, File, retry};
use crate::ob::socket;
use crate::ob::table::{INHERIT, TABLE, lookup};
use crate::{teb, width, win_api};

/// `INVALID_SOCKET`.
pub(super) const INVALID_SOCKET: Handle = Handle(u64::MAX);
/// `SOCKET_ERROR`.
pub(super) const SOCKET_ERROR: i32 = -1;
/// `WSAENOTSOCK`.
pub(super) const NOT_A_SOCKET: u32 = 10038;
/// `WSAEINVAL`.
pub(super) const INVALID: u32 = 10022;
/// `WSAEFAULT`.
pub(super) const FAULT: u32 = 10014;
/// `WSAEOPNOTSUPP`.
pub(super) const NOT_SUPPORTED: u32 = 10045;

pub(super) fn refuse<T>(code: u32, failure: T) -> T {
    teb::set_last_error(code);
    failure
}

pub(super) fn file(handle: Handle) -> Result<Arc<File>, u32> {
    lookup::<File>(handle, 0).map_err(|_| NOT_A_SOCKET)
}

pub(super) fn run<T>(handle: Handle, act: impl FnMut(&File) -> io::Result<T>) -> Result<T, u32> {
    let file = file(handle)?;
    let mut act = act;
    retry(|| act(&file)).map_err(|error| socket::wsa_error(&error))
}

pub(super) fn outcome(result: Result<usize, u32>) -> i32 {
    match result {
        Ok(value) => i32::try_from(value).unwrap_or(i32::MAX),
        Err(code) => refuse(code, SOCKET_ERROR),
    }
}

pub(super) fn address(at: Ptr<u8>, length: i32) -> Vec<u8> {
    at.read_bytes(usize::try_from(length).unwrap_or(0).min(128))
}

pub(super) fn put_address(bytes: &[u8], to: Ptr<u8>, length: Ptr<i32>) -> Result<(), u32> {
    if to.is_null() || length.is_null() {
        return Ok(());
    }
    if usize::try_from(length.read()).unwrap_or(0) < bytes.len() {
        return Err(FAULT);
    }
    to.write_bytes(bytes);
    length.write(i32::try_from(bytes.len()).unwrap_or(0));
    Ok(())
}

pub(super) fn insert(fd: std::os::fd::OwnedFd, flags: u32) -> Handle {
    // WSA_FLAG_OVERLAPPED, WSA_FLAG_NO_HANDLE_INHERIT
    let file = File::new(fd, PathBuf::new(), flags & 1 != 0);
    let attributes = if flags & 0x80 == 0 { INHERIT } else { 0 };
    TABLE
        .insert(Arc::new(file), FILE_TYPE.generic[3], attributes)
        .unwrap_or(INVALID_SOCKET)
}

pub(super) fn make(family: i32, kind: i32, protocol: i32, flags: u32) -> Handle {
    match socket::socket(family, kind, protocol) {
        Ok(fd) => insert(fd, flags),
        Err(error) => refuse(socket::wsa_error(&error), INVALID_SOCKET),
    }
}

fn named(handle: Handle, to: Ptr<u8>, length: Ptr<i32>, is_peer: bool) -> i32 {
    let result = run(handle, |file| socket::name(file.fd(), is_peer))
        .and_then(|bytes| put_address(&bytes, to, length));
    outcome(result.map(|()| 0))
}

/// `fd_set`: a count and that many SOCKETs.
fn read_set(at: Ptr<u32>) -> Vec<Handle> {
    at.non_null().map_or_else(Vec::new, |at| {
        let sockets = at.byte_add(width().pointer() as u64).cast::<Handle>();
        sockets.read_many(at.read().min(64) as usize)
    })
}

fn write_set(at: Ptr<u32>, handles: &[Handle]) {
    if let Some(at) = at.non_null() {
        at.byte_add(width().pointer() as u64)
            .cast::<Handle>()
            .write_many(handles);
        at.write(u32::try_from(handles.len()).unwrap_or(0));
    }
}

fn wait(sets: [Ptr<u32>; 3], timeout: Ptr<[i32; 2]>) -> Result<usize, u32> {
    let wanted = [PollFlags::IN, PollFlags::OUT, PollFlags::PRI];
    let handles = sets.map(read_set);
    let mut files = Vec::new();
    for (set, (list, flags)) in handles.iter().zip(wanted).enumerate() {
        for &handle in list {
            files.push((set, handle, file(handle)?, flags));
        }
    }
    if files.is_empty() {
        return Err(INVALID);
    }
    let timeout =
        timeout
            .non_null()
            .map(Ptr::read)
            .map(|[seconds, micros]| rustix::event::Timespec {
                tv_sec: seconds.into(),
                tv_nsec: i64::from(micros) * 1000,
            });
    let ready: Vec<(usize, Handle)> = {
        let fds: Vec<_> = files.iter().map(|(_, _, file, _)| file.fd()).collect();
        let mut polled: Vec<PollFd<'_>> = fds
            .iter()
            .zip(&files)
            .map(|(fd, entry)| PollFd::new(fd, entry.3))
            .collect();
        retry(|| poll(&mut polled, timeout.as_ref()).map_err(Into::into))
            .map_err(|error: io::Error| socket::wsa_error(&error))?;
        let is_ready = |set: usize, events: PollFlags| match set {
            // The end of a connection is readable; a failed connect is an exception.
            0 => events.intersects(PollFlags::IN | PollFlags::HUP),
            1 => events.contains(PollFlags::OUT) && !events.contains(PollFlags::ERR),
            _ => events.intersects(PollFlags::PRI | PollFlags::ERR),
        };
        files
            .iter()
            .zip(&polled)
            .filter(|(entry, fd)| is_ready(entry.0, fd.revents()))
            .map(|(entry, _)| (entry.0, entry.1))
            .collect()
    };
    for (set, at) in sets.into_iter().enumerate() {
        let list: Vec<Handle> = ready
            .iter()
            .filter(|(s, _)| *s == set)
            .map(|(_, handle)| *handle)
            .collect();
        write_set(at, &list);
    }
    Ok(ready.len())
}

fn control(handle: Handle, command: u32, argument: Ptr<u32>) -> Result<usize, u32> {
    match command {
        // FIONBIO
        0x8004_667E => {
            let is_on = argument.read() != 0;
            run(handle, |file| {
                rustix::io::ioctl_fionbio(file.fd(), is_on).map_err(Into::into)
            })
            .map(|()| 0)
        }
        // FIONREAD
        0x4004_667F => {
            let count = run(handle, |file| {
                rustix::io::ioctl_fionread(file.fd()).map_err(Into::into)
            })?;
            argument.write(u32::try_from(count).unwrap_or(u32::MAX));
            Ok(0)
        }
        _ => Err(NOT_SUPPORTED),
    }
}

win_api! {
    /// Starts Winsock: version 2.2.
    "ws2_32.dll" stdcall fn WSAStartup @ 115 (version: u16, data: Ptr<u8>) -> i32 {
        // WSAVERNOTSUPPORTED
        if version & 0xFF == 0 {
            return 10092;
        }
        let size = width().pick(400, 408);
        let mut bytes = vec![0; size];
        bytes[..2].copy_from_slice(&version.min(0x202).to_le_bytes());
        bytes[2..4].copy_from_slice(&0x202_u16.to_le_bytes());
        data.write_bytes(&bytes);
        0
    }

    /// Ends Winsock.
    "ws2_32.dll" stdcall fn WSACleanup @ 116 () -> i32 {
        0
    }

    /// Returns the error of the calling thread.
    "ws2_32.dll" stdcall fn WSAGetLastError @ 111 () -> i32 {
        teb::last_error().cast_signed()
    }

    /// Sets the error of the calling thread.
    "ws2_32.dll" stdcall fn WSASetLastError @ 112 (code: i32) {
        teb::set_last_error(code.cast_unsigned());
    }

    /// Makes a socket.
    "ws2_32.dll" stdcall fn socket @ 23 (family: i32, kind: i32, protocol: i32) -> Handle {
        make(family, kind, protocol, 1)
    }

    /// Makes a socket, or takes the one `WSADuplicateSocketW` described.
    "ws2_32.dll" stdcall fn WSASocketW = "WSASocketW|WSASocketA" (family: i32, kind: i32, protocol: i32, information: Ptr<u8>, _group: u32, flags: u32) -> Handle {
        match information.non_null() {
            None => make(family, kind, protocol, flags),
            Some(information) => super::overlapped::described(information),
        }
    }

    /// Closes a socket.
    "ws2_32.dll" stdcall fn closesocket @ 3 (handle: Handle) -> i32 {
        outcome(file(handle).and_then(|_| TABLE.close(handle).map_err(|_| NOT_A_SOCKET)).map(|()| 0))
    }

    /// Gives a socket its address.
    "ws2_32.dll" stdcall fn bind @ 2 (handle: Handle, name: Ptr<u8>, length: i32) -> i32 {
        let name = address(name, length);
        outcome(run(handle, |file| socket::with_address(file.fd(), name.clone(), false)).map(|()| 0))
    }

    /// Connects a socket.
    "ws2_32.dll" stdcall fn connect @ 4 (handle: Handle, name: Ptr<u8>, length: i32) -> i32 {
        let name = address(name, length);
        outcome(run(handle, |file| socket::with_address(file.fd(), name.clone(), true)).map(|()| 0))
    }

    /// Makes a socket take connections.
    "ws2_32.dll" stdcall fn listen @ 13 (handle: Handle, backlog: i32) -> i32 {
        outcome(run(handle, |file| socket::listen(file.fd(), backlog)).map(|()| 0))
    }

    /// Takes a connection.
    "ws2_32.dll" stdcall fn accept @ 1 (handle: Handle, name: Ptr<u8>, length: Ptr<i32>) -> Handle {
        match run(handle, |file| socket::accept(file.fd())) {
            Ok((fd, peer)) => match put_address(&peer, name, length) {
                Ok(()) => insert(fd, 1),
                Err(code) => refuse(code, INVALID_SOCKET),
            },
            Err(code) => refuse(code, INVALID_SOCKET),
        }
    }

    /// Returns the own address.
    "ws2_32.dll" stdcall fn getsockname @ 6 (handle: Handle, name: Ptr<u8>, length: Ptr<i32>) -> i32 {
        named(handle, name, length, false)
    }

    /// Returns the address of the peer.
    "ws2_32.dll" stdcall fn getpeername @ 5 (handle: Handle, name: Ptr<u8>, length: Ptr<i32>) -> i32 {
        named(handle, name, length, true)
    }

    /// Sends bytes.
    "ws2_32.dll" stdcall fn send @ 19 (handle: Handle, buffer: Ptr<u8>, length: i32, flags: i32) -> i32 {
        let bytes = buffer.read_bytes(usize::try_from(length).unwrap_or(0));
        outcome(run(handle, |file| socket::send(file.fd(), &bytes, flags, None)))
    }

    /// Sends bytes to an address.
    "ws2_32.dll" stdcall fn sendto @ 20 (handle: Handle, buffer: Ptr<u8>, length: i32, flags: i32, to: Ptr<u8>, to_length: i32) -> i32 {
        let bytes = buffer.read_bytes(usize::try_from(length).unwrap_or(0));
        let to = to.non_null().map(|to| address(to, to_length));
        outcome(run(handle, |file| socket::send(file.fd(), &bytes, flags, to.clone())))
    }

    /// Receives bytes.
    "ws2_32.dll" stdcall fn recv @ 16 (handle: Handle, buffer: Ptr<u8>, length: i32, flags: i32) -> i32 {
        let length = usize::try_from(length).unwrap_or(0);
        outcome(run(handle, |file| socket::receive(file.fd(), length, flags)).map(|(bytes, _)| {
            buffer.write_bytes(&bytes);
            bytes.len()
        }))
    }

    /// Receives bytes and the sender's address.
    "ws2_32.dll" stdcall fn recvfrom @ 17 (handle: Handle, buffer: Ptr<u8>, length: i32, flags: i32, from: Ptr<u8>, from_length: Ptr<i32>) -> i32 {
        let length = usize::try_from(length).unwrap_or(0);
        let result = run(handle, |file| socket::receive(file.fd(), length, flags)).and_then(|(bytes, sender)| {
            put_address(&sender, from, from_length)?;
            buffer.write_bytes(&bytes);
            Ok(bytes.len())
        });
        outcome(result)
    }

    /// Ends one or both directions of a connection.
    "ws2_32.dll" stdcall fn shutdown @ 22 (handle: Handle, how: i32) -> i32 {
        outcome(run(handle, |file| socket::shutdown(file.fd(), how)).map(|()| 0))
    }

    /// Sets an option.
    "ws2_32.dll" stdcall fn setsockopt @ 21 (handle: Handle, level: i32, name: i32, value: Ptr<u8>, length: i32) -> i32 {
        let value = match length {
            1 => i32::from(value.read()),
            4.. => value.cast::<i32>().read(),
            _ => return refuse(FAULT, SOCKET_ERROR),
        };
        outcome(run(handle, |file| socket::set_option(file.fd(), level, name, value)).map(|()| 0))
    }

    /// Reads an option.
    "ws2_32.dll" stdcall fn getsockopt @ 7 (handle: Handle, level: i32, name: i32, value: Ptr<i32>, length: Ptr<i32>) -> i32 {
        if length.read() < 4 {
            return refuse(FAULT, SOCKET_ERROR);
        }
        outcome(run(handle, |file| socket::get_option(file.fd(), level, name)).map(|read| {
            value.write(read);
            length.write(4);
            0
        }))
    }

    /// Controls a socket: FIONBIO and FIONREAD.
    "ws2_32.dll" stdcall fn ioctlsocket @ 10 (handle: Handle, command: u32, argument: Ptr<u32>) -> i32 {
        outcome(control(handle, command, argument))
    }

    /// Waits for several sockets.
    "ws2_32.dll" stdcall fn select @ 18 (_count: i32, read: Ptr<u32>, write: Ptr<u32>, except: Ptr<u32>, timeout: Ptr<[i32; 2]>) -> i32 {
        outcome(wait([read, write, except], timeout))
    }

    /// Returns whether a set of `select` has a socket (`FD_ISSET`).
    "ws2_32.dll" stdcall fn __WSAFDIsSet @ 151 (handle: Handle, set: Ptr<u32>) -> i32 {
        let sockets = set.byte_add(width().pointer() as u64).cast::<Handle>();
        i32::from((0..set.read() as usize).any(|i| sockets.add(i).read() == handle))
    }

    /// Turns a 16-bit number around.
    "ws2_32.dll" stdcall fn htons @ 9 (value: u16) -> u16 {
        value.swap_bytes()
    }

    /// Turns a 16-bit number around.
    "ws2_32.dll" stdcall fn ntohs @ 15 (value: u16) -> u16 {
        value.swap_bytes()
    }

    /// Turns a 32-bit number around.
    "ws2_32.dll" stdcall fn htonl @ 8 (value: u32) -> u32 {
        value.swap_bytes()
    }

    /// Turns a 32-bit number around.
    "ws2_32.dll" stdcall fn ntohl @ 14 (value: u32) -> u32 {
        value.swap_bytes()
    }

    /// Lists protocols: none is told, so that callers use what every socket has.
    "ws2_32.dll" stdcall fn WSAEnumProtocolsW(_protocols: Ptr<i32>, _buffer: Ptr<u8>, length: Ptr<u32>) -> i32 {
        length.write(0);
        0
    }
}
