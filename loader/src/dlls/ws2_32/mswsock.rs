//! `AcceptEx`, `ConnectEx` and what else `mswsock.h` adds; `WSAIoctl`, by which programs find these.

use std::io;
use std::os::fd::OwnedFd;

use ntlpc_abi::{Handle, NtStatus, UserPtr};
use rustix::event::PollFlags;

use super::overlapped::{begin, status_of};
use super::winsock2::{
    FAULT, INVALID, NOT_SUPPORTED, SOCKET_ERROR, address, file, ioctlsocket, outcome, refuse, run,
};
use crate::export::{Bool, Callback, Ptr};
use crate::image::ImportName;
use crate::ob::file::File;
use crate::ob::network_events::Did;
use crate::ob::overlapped::{Overlapped, complete};
use crate::ob::reactor::Order;
use crate::ob::{socket, socket_option};
use crate::{module, win_api};

/// Functions found by `SIO_GET_EXTENSION_FUNCTION_POINTER`, by their GUIDs of `mswsock.h` (`WSAID_*`).
const EXTENSIONS: [(u128, &str); 4] = [
    (0x25a207b9_ddf3_4660_8ee9_76e58c74063e, "ConnectEx"),
    (0xb5367df1_cbac_11cf_95ca_00805f48a192, "AcceptEx"),
    (
        0xb5367df2_cbac_11cf_95ca_00805f48a192,
        "GetAcceptExSockaddrs",
    ),
    (0x7fda2e11_8630_436f_a031_f536a6eec157, "DisconnectEx"),
];

/// Reads a GUID as the number its text spells: the first three fields are little-endian in memory.
fn guid(at: Ptr<u8>) -> u128 {
    let first = u128::from(at.cast::<u32>().read());
    let second = u128::from(at.byte_add(4).cast::<u16>().read());
    let third = u128::from(at.byte_add(6).cast::<u16>().read());
    let rest: [u8; 8] = at.byte_add(8).cast::<[u8; 8]>().read();
    first << 96 | second << 80 | third << 64 | u128::from(u64::from_be_bytes(rest))
}

fn extension(wanted: u128) -> Option<u64> {
    let (_, name) = EXTENSIONS.iter().find(|(guid, _)| *guid == wanted)?;
    let base = module::load("mswsock.dll", module::SearchFlags::default()).ok()?;
    module::proc_address(base, &ImportName::Name((*name).into()))
}

/// An address as it lies behind the data of `AcceptEx`: its length, then the address.
fn put_accepted(at: Ptr<u8>, room: u32, address: &[u8]) -> Result<(), NtStatus> {
    if (room as usize) < address.len() + 4 {
        return Err(NtStatus::BUFFER_TOO_SMALL);
    }
    at.cast::<u32>()
        .write(u32::try_from(address.len()).unwrap_or(0));
    at.byte_add(4).write_bytes(address);
    Ok(())
}

fn accepted(at: Ptr<u8>, to: Ptr<Ptr<u8>>, length: Ptr<i32>) {
    to.write(at.byte_add(4));
    length.write(at.cast::<i32>().read());
}

/// Makes `target` the socket of a connection; whether it blocks and what is selected for it stays.
fn take_place(target: &File, connection: OwnedFd) -> Result<(), NtStatus> {
    let error = |error: io::Error| status_of(&error);
    let is_blocking = socket::is_blocking(target.fd()).map_err(error)?;
    target.replace_fd(connection)?;
    rustix::io::ioctl_fionbio(target.fd(), !is_blocking).map_err(|e| error(e.into()))?;
    match target.network_events.selected() {
        Some((event, wanted)) => target
            .network_events
            .select(target.fd(), &event, wanted)
            .map_err(error),
        None => Ok(()),
    }
}

win_api! {
    /// Takes a connection into a socket made before, with the first bytes of it.
    "mswsock.dll" stdcall fn AcceptEx(listener: Handle, accepted: Handle, buffer: Ptr<u8>, data: u32, local: u32, remote: u32, _received: Ptr<u32>, overlapped: Ptr<Overlapped>) -> Bool {
        let (listener, target) = match (file(listener), file(accepted)) {
            (Ok(listener), Ok(target)) => (listener, target),
            (Err(code), _) | (_, Err(code)) => return refuse(code, Bool::FALSE),
        };
        if overlapped.is_null() {
            return refuse(INVALID, Bool::FALSE);
        }
        // One that waits for its first bytes keeps no other from accepting.
        let order = if data == 0 { Order::AsStarted } else { Order::Any };
        begin(listener, PollFlags::IN, order, overlapped, Callback(0), move |listener| {
            let connection = socket::accept(listener.fd()).map_err(|error| status_of(&error));
            listener.network_events.after(Did::Accept);
            let (connection, peer) = connection?;
            take_place(&target, connection)?;
            let own = socket::name(target.fd(), false).map_err(|error| status_of(&error))?;
            let at = buffer.byte_add(data.into());
            put_accepted(at, local, &own)?;
            put_accepted(at.byte_add(local.into()), remote, &peer)?;
            if data == 0 {
                return Ok(0);
            }
            let (bytes, _) = socket::receive(target.fd(), data as usize, 0).map_err(|error| status_of(&error))?;
            buffer.write_bytes(&bytes);
            Ok(bytes.len())
        });
        Bool::FALSE
    }

    /// Finds the addresses behind the data of `AcceptEx`.
    "mswsock.dll" stdcall fn GetAcceptExSockaddrs(buffer: Ptr<u8>, data: u32, local: u32, _remote: u32, own: Ptr<Ptr<u8>>, own_length: Ptr<i32>, peer: Ptr<Ptr<u8>>, peer_length: Ptr<i32>) {
        let at = buffer.byte_add(data.into());
        accepted(at, own, own_length);
        accepted(at.byte_add(local.into()), peer, peer_length);
    }

    /// Connects a bound socket and sends the first bytes.
    "mswsock.dll" stdcall fn ConnectEx(handle: Handle, name: Ptr<u8>, length: i32, buffer: Ptr<u8>, size: u32, _sent: Ptr<u32>, overlapped: Ptr<Overlapped>) -> Bool {
        let name = address(name, length);
        let bytes = buffer.read_bytes(if buffer.is_null() { 0 } else { size as usize });
        let file = match file(handle) {
            Ok(file) if !overlapped.is_null() => file,
            Ok(_) => return refuse(INVALID, Bool::FALSE),
            Err(code) => return refuse(code, Bool::FALSE),
        };
        let was_blocking = match socket::start_connect(file.fd(), name) {
            Ok(was_blocking) => was_blocking,
            Err(error) => return refuse(socket::wsa_error(&error), Bool::FALSE),
        };
        begin(file, PollFlags::OUT, Order::AsStarted, overlapped, Callback(0), move |file| {
            let result = socket::finish_connect(file.fd(), was_blocking);
            let code = result.as_ref().copied().map_err(socket::wsa_error);
            file.network_events.after(Did::Connect(code));
            result.map_err(|error| status_of(&error))?;
            if bytes.is_empty() {
                return Ok(0);
            }
            socket::send(file.fd(), &bytes, 0, None).map_err(|error| status_of(&error))
        });
        Bool::FALSE
    }

    /// Ends a connection; the socket is not used again (`TF_REUSE_SOCKET` is refused).
    "mswsock.dll" stdcall fn DisconnectEx(handle: Handle, overlapped: Ptr<Overlapped>, flags: u32, _reserved: u32) -> Bool {
        if flags != 0 {
            return refuse(NOT_SUPPORTED, Bool::FALSE);
        }
        match run(handle, |file| socket::shutdown(file.fd(), 2)) {
            Ok(()) => {
                if let (Some(overlapped), Ok(file)) = (overlapped.non_null(), file(handle)) {
                    complete(&file, overlapped, NtStatus::SUCCESS, 0);
                }
                Bool::TRUE
            }
            Err(code) => refuse(code, Bool::FALSE),
        }
    }

    /// Controls a socket.
    "ws2_32.dll" stdcall fn WSAIoctl(handle: Handle, command: u32, input: Ptr<u8>, input_size: u32, output: Ptr<u8>, output_size: u32, returned: Ptr<u32>, _overlapped: UserPtr, _routine: Callback) -> i32 {
        match command {
            // SIO_GET_EXTENSION_FUNCTION_POINTER
            0xC800_0006 => {
                let pointer = crate::width().pointer();
                if input_size < 16 || (output_size as usize) < pointer {
                    return refuse(FAULT, SOCKET_ERROR);
                }
                match extension(guid(input)) {
                    Some(address) => {
                        output.cast::<UserPtr>().write(UserPtr(address));
                        returned.write(u32::try_from(pointer).unwrap_or(8));
                        0
                    }
                    None => refuse(INVALID, SOCKET_ERROR),
                }
            }
            // SIO_KEEPALIVE_VALS: on or off, time and interval in milliseconds.
            0x9800_0004 => {
                let is_on = input.cast::<i32>().read();
                let result = run(handle, |file| socket_option::set(file.fd(), 0xFFFF, 8, &[u8::from(is_on != 0)]));
                returned.write_if_some(0);
                outcome(result.map(|()| 0))
            }
            // SIO_BASE_HANDLE, SIO_BSP_HANDLE_SELECT, SIO_BSP_HANDLE_POLL: there are no layers.
            0x4800_0022 | 0x4800_001C | 0x4800_001D => {
                let pointer = crate::width().pointer();
                if output.is_null() || (output_size as usize) < pointer {
                    return refuse(FAULT, SOCKET_ERROR);
                }
                outcome(file(handle).map(|_| {
                    output.cast::<Handle>().write(handle);
                    returned.write_if_some(u32::try_from(pointer).unwrap_or(8));
                    0
                }))
            }
            // SIO_UDP_CONNRESET, SIO_LOOPBACK_FAST_PATH and SIO_TCP_INITIAL_RTO: hints without effect here.
            0x9800_000C | 0x9800_0010 | 0x9800_0011 => {
                returned.write_if_some(0);
                outcome(file(handle).map(|_| 0))
            }
            // FIONBIO, FIONREAD
            0x8004_667E => ioctlsocket(handle, command, input.cast()),
            0x4004_667F => {
                returned.write_if_some(4);
                ioctlsocket(handle, command, output.cast())
            }
            _ => {
                log::warn!("WSAIoctl {command:#x} is not supported");
                refuse(NOT_SUPPORTED, SOCKET_ERROR)
            }
        }
    }
}
