//! Sockets: `winsock2.h`, the blocking calls. A SOCKET is a file handle.
//!
//! Ordinals are those programs import by (Windows SDK import library).

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ntlpc_abi::{Handle, UserPtr};

use super::overlapped::WOULD_BLOCK;
use super::protocols;
use crate::export::{Callback, Ptr};
use crate::ob::afd;
use crate::ob::file::{FILE_TYPE, File, retry};
use crate::ob::network_events::Did;
use crate::ob::reactor;
use crate::ob::table::{INHERIT, TABLE, lookup};
use crate::ob::{socket, socket_option};
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
/// `WSAEAFNOSUPPORT`.
pub(super) const FAMILY_NOT_SUPPORTED: u32 = 10047;

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

fn insert(fd: std::os::fd::OwnedFd, flags: u32) -> Handle {
    // WSA_FLAG_OVERLAPPED, WSA_FLAG_NO_HANDLE_INHERIT
    let file = File::new(fd, PathBuf::new(), flags & 1 != 0);
    insert_file(file, if flags & 0x80 == 0 { INHERIT } else { 0 })
}

fn insert_file(file: File, attributes: u32) -> Handle {
    TABLE
        .insert(Arc::new(file), FILE_TYPE.generic[3], attributes)
        .unwrap_or(INVALID_SOCKET)
}

/// The error of a call that would have waited: of a socket that waits, its time is up (`SO_RCVTIMEO`, `SO_SNDTIMEO`).
fn waited(file: &File, code: u32) -> u32 {
    /// `WSAETIMEDOUT`.
    const TIMED_OUT: u32 = 10060;
    match code {
        WOULD_BLOCK if socket::is_blocking(file.fd()).unwrap_or(false) => TIMED_OUT,
        code => code,
    }
}

/// Sends, and tells the socket's network events.
pub(super) fn send_now(
    handle: Handle,
    bytes: &[u8],
    flags: i32,
    to: Option<Vec<u8>>,
) -> Result<usize, u32> {
    let file = file(handle)?;
    let result = retry(|| socket::send(file.fd(), bytes, flags, to.clone()))
        .map_err(|error| socket::wsa_error(&error));
    let would_block = result == Err(WOULD_BLOCK);
    file.network_events.after(Did::Send(would_block));
    result.map_err(|code| waited(&file, code))
}

/// Receives, and tells the socket's network events: the bytes and the sender.
pub(super) fn receive_now(
    handle: Handle,
    length: usize,
    flags: i32,
) -> Result<(Vec<u8>, Vec<u8>), u32> {
    let file = file(handle)?;
    let result = retry(|| socket::receive(file.fd(), length, flags))
        .map_err(|error| socket::wsa_error(&error));
    file.network_events.after(Did::Receive);
    result.map_err(|code| waited(&file, code))
}

fn connect_now(handle: Handle, name: &[u8]) -> Result<(), u32> {
    let file = file(handle)?;
    let result = retry(|| socket::with_address(file.fd(), name.to_vec(), true));
    match &result {
        Ok(()) => {
            file.network_events.after(Did::Connect(Ok(())));
            afd::changed(&file);
        }
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {
            file.network_events.after(Did::StartConnect);
            afd::changed(&file);
        }
        Err(_) => {}
    }
    result.map_err(|error| socket::wsa_error(&error))
}

/// Takes a connection. It has the properties of its listener: whether calls wait, and the network events selected.
fn accept_now(handle: Handle) -> Result<(File, Vec<u8>), u32> {
    let listener = file(handle)?;
    let result = retry(|| {
        let (fd, peer) = socket::accept(listener.fd())?;
        rustix::io::ioctl_fionbio(&fd, !socket::is_blocking(listener.fd())?)?;
        let connection = File::new(fd, PathBuf::new(), true);
        if let Some((event, wanted)) = listener.network_events.selected() {
            let fd = connection.fd();
            connection.network_events.select(fd, &event, wanted)?;
        }
        Ok((connection, peer))
    });
    listener.network_events.after(Did::Accept);
    result.map_err(|error| socket::wsa_error(&error))
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

/// Most bytes of an option that are looked at.
const OPTION_BYTES: usize = 1024;

fn option(handle: Handle, level: i32, name: i32) -> Result<Vec<u8>, u32> {
    const SOCKET: i32 = 0xFFFF;
    let description = |is_wide| {
        let (family, kind) = run(handle, |file| socket::kind(file.fd()))?;
        protocols::of_socket(family, kind, is_wide).ok_or(NOT_SUPPORTED)
    };
    match (level, name) {
        // SO_PROTOCOL_INFOA, SO_PROTOCOL_INFOW
        (SOCKET, 0x2004) => description(false),
        (SOCKET, 0x2005) => description(true),
        _ => run(handle, |file| socket_option::read(file.fd(), level, name)),
    }
}

fn control(handle: Handle, command: u32, argument: Ptr<u32>) -> Result<usize, u32> {
    match command {
        // FIONBIO
        0x8004_667E => {
            let is_on = argument.read() != 0;
            let file = file(handle)?;
            // Network events need a socket that does not wait (Microsoft Learn, "ioctlsocket function").
            if !is_on && file.network_events.selected().is_some() {
                return Err(INVALID);
            }
            rustix::io::ioctl_fionbio(file.fd(), is_on)
                .map(|()| 0)
                .map_err(|error| socket::wsa_error(&error.into()))
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
    "ws2_32.dll|wsock32.dll" stdcall fn WSAStartup @ 115 (version: u16, data: Ptr<u8>) -> i32 {
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
    "ws2_32.dll|wsock32.dll" stdcall fn WSACleanup @ 116 () -> i32 {
        0
    }

    /// Returns the error of the calling thread.
    "ws2_32.dll|wsock32.dll" stdcall fn WSAGetLastError @ 111 () -> i32 {
        teb::last_error().cast_signed()
    }

    /// Sets the error of the calling thread.
    "ws2_32.dll|wsock32.dll" stdcall fn WSASetLastError @ 112 (code: i32) {
        teb::set_last_error(code.cast_unsigned());
    }

    /// Makes a socket.
    "ws2_32.dll|wsock32.dll" stdcall fn socket @ 23 (family: i32, kind: i32, protocol: i32) -> Handle {
        make(family, kind, protocol, 1)
    }

    /// Makes a socket, or takes the one `WSADuplicateSocketW` described.
    "ws2_32.dll" stdcall fn WSASocketW = "WSASocketW|WSASocketA" (family: i32, kind: i32, protocol: i32, information: Ptr<u8>, _group: u32, flags: u32) -> Handle {
        match information.non_null() {
            None => make(family, kind, protocol, flags),
            Some(information) => super::overlapped::described(information),
        }
    }

    /// Closes a socket; the overlapped operations of this process on it are cancelled.
    "ws2_32.dll|wsock32.dll" stdcall fn closesocket @ 3 (handle: Handle) -> i32 {
        outcome(file(handle).and_then(|file| {
            TABLE.close(handle).map_err(|_| NOT_A_SOCKET)?;
            reactor::cancel(&file, None);
            Ok(0)
        }))
    }

    /// Gives a socket its address.
    "ws2_32.dll|wsock32.dll" stdcall fn bind @ 2 (handle: Handle, name: Ptr<u8>, length: i32) -> i32 {
        let name = address(name, length);
        outcome(run(handle, |file| socket::with_address(file.fd(), name.clone(), false)).map(|()| 0))
    }

    /// Connects a socket.
    "ws2_32.dll|wsock32.dll" stdcall fn connect @ 4 (handle: Handle, name: Ptr<u8>, length: i32) -> i32 {
        let name = address(name, length);
        outcome(connect_now(handle, &name).map(|()| 0))
    }

    /// Makes a socket take connections.
    "ws2_32.dll|wsock32.dll" stdcall fn listen @ 13 (handle: Handle, backlog: i32) -> i32 {
        outcome(run(handle, |file| {
            socket::listen(file.fd(), backlog)?;
            file.network_events.after(Did::Listen);
            afd::changed(file);
            Ok(0)
        }))
    }

    /// Takes a connection.
    "ws2_32.dll|wsock32.dll" stdcall fn accept @ 1 (handle: Handle, name: Ptr<u8>, length: Ptr<i32>) -> Handle {
        match accept_now(handle) {
            Ok((connection, peer)) => match put_address(&peer, name, length) {
                Ok(()) => insert_file(connection, INHERIT),
                Err(code) => refuse(code, INVALID_SOCKET),
            },
            Err(code) => refuse(code, INVALID_SOCKET),
        }
    }

    /// Returns the own address.
    "ws2_32.dll|wsock32.dll" stdcall fn getsockname @ 6 (handle: Handle, name: Ptr<u8>, length: Ptr<i32>) -> i32 {
        named(handle, name, length, false)
    }

    /// Returns the address of the peer.
    "ws2_32.dll|wsock32.dll" stdcall fn getpeername @ 5 (handle: Handle, name: Ptr<u8>, length: Ptr<i32>) -> i32 {
        named(handle, name, length, true)
    }

    /// Sends bytes.
    "ws2_32.dll|wsock32.dll" stdcall fn send @ 19 (handle: Handle, buffer: Ptr<u8>, length: i32, flags: i32) -> i32 {
        let bytes = buffer.read_bytes(usize::try_from(length).unwrap_or(0));
        outcome(send_now(handle, &bytes, flags, None))
    }

    /// Sends bytes to an address.
    "ws2_32.dll|wsock32.dll" stdcall fn sendto @ 20 (handle: Handle, buffer: Ptr<u8>, length: i32, flags: i32, to: Ptr<u8>, to_length: i32) -> i32 {
        let bytes = buffer.read_bytes(usize::try_from(length).unwrap_or(0));
        let to = to.non_null().map(|to| address(to, to_length));
        outcome(send_now(handle, &bytes, flags, to))
    }

    /// Receives bytes.
    "ws2_32.dll|wsock32.dll" stdcall fn recv @ 16 (handle: Handle, buffer: Ptr<u8>, length: i32, flags: i32) -> i32 {
        let length = usize::try_from(length).unwrap_or(0);
        outcome(receive_now(handle, length, flags).map(|(bytes, _)| {
            buffer.write_bytes(&bytes);
            bytes.len()
        }))
    }

    /// Receives bytes and the sender's address.
    "ws2_32.dll|wsock32.dll" stdcall fn recvfrom @ 17 (handle: Handle, buffer: Ptr<u8>, length: i32, flags: i32, from: Ptr<u8>, from_length: Ptr<i32>) -> i32 {
        let length = usize::try_from(length).unwrap_or(0);
        let result = receive_now(handle, length, flags).and_then(|(bytes, sender)| {
            put_address(&sender, from, from_length)?;
            buffer.write_bytes(&bytes);
            Ok(bytes.len())
        });
        outcome(result)
    }

    /// Ends one or both directions of a connection.
    "ws2_32.dll|wsock32.dll" stdcall fn shutdown @ 22 (handle: Handle, how: i32) -> i32 {
        outcome(run(handle, |file| socket::shutdown(file.fd(), how)).map(|()| 0))
    }

    /// Sets an option.
    "ws2_32.dll" stdcall fn setsockopt @ 21 (handle: Handle, level: i32, name: i32, value: Ptr<u8>, length: i32) -> i32 {
        let value = value.read_bytes(usize::try_from(length).unwrap_or(0).min(OPTION_BYTES));
        outcome(run(handle, |file| socket_option::set(file.fd(), level, name, &value)).map(|()| 0))
    }

    /// Reads an option.
    "ws2_32.dll" stdcall fn getsockopt @ 7 (handle: Handle, level: i32, name: i32, value: Ptr<u8>, length: Ptr<i32>) -> i32 {
        let read = option(handle, level, name).and_then(|bytes| {
            if usize::try_from(length.read()).unwrap_or(0) < bytes.len() {
                return Err(FAULT);
            }
            value.write_bytes(&bytes);
            length.write(i32::try_from(bytes.len()).unwrap_or(0));
            Ok(0)
        });
        outcome(read)
    }

    /// Controls a socket: FIONBIO and FIONREAD.
    "ws2_32.dll" stdcall fn ioctlsocket @ 10 (handle: Handle, command: u32, argument: Ptr<u32>) -> i32 {
        outcome(control(handle, command, argument))
    }

    /// Turns a 16-bit number around.
    "ws2_32.dll|wsock32.dll" stdcall fn htons @ 9 (value: u16) -> u16 {
        value.swap_bytes()
    }

    /// Turns a 16-bit number around.
    "ws2_32.dll|wsock32.dll" stdcall fn ntohs @ 15 (value: u16) -> u16 {
        value.swap_bytes()
    }

    /// Turns a 32-bit number around.
    "ws2_32.dll|wsock32.dll" stdcall fn htonl @ 8 (value: u32) -> u32 {
        value.swap_bytes()
    }

    /// Turns a 32-bit number around.
    "ws2_32.dll|wsock32.dll" stdcall fn ntohl @ 14 (value: u32) -> u32 {
        value.swap_bytes()
    }

    /// Connects a socket; data for the connection and quality of service do not exist for IP.
    "ws2_32.dll" stdcall fn WSAConnect(handle: Handle, name: Ptr<u8>, length: i32, _to: UserPtr, _from: UserPtr, _quality: UserPtr, _group: UserPtr) -> i32 {
        connect(handle, name, length)
    }

    /// Takes a connection; a condition would have to be asked before, which Linux cannot do.
    "ws2_32.dll" stdcall fn WSAAccept(handle: Handle, name: Ptr<u8>, length: Ptr<i32>, condition: Callback, _context: usize) -> Handle {
        if !condition.is_null() {
            log::warn!("WSAAccept with a condition is not supported");
            return refuse(NOT_SUPPORTED, INVALID_SOCKET);
        }
        accept(handle, name, length)
    }
}
