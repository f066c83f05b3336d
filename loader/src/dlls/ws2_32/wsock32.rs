//! `wsock32.dll`, the library of Winsock 1.1, where it differs from `ws2_32.dll`: three ordinals, and the numbers of IP's options.
//!
//! Most of its functions are exported beside those of `ws2_32.dll`. The ordinals are those of Windows' export table; the options'
//! numbers are those of `winsock.h` (Microsoft Learn, "IPPROTO_IP socket options", on mixing both headers).

use ntlpc_abi::Handle;

use super::{names, winsock2};
use crate::export::Ptr;
use crate::win_api;

/// The number in Winsock 2 of an option of IP in Winsock 1.1.
fn option(level: i32, name: i32) -> i32 {
    match (level, name) {
        // IP_MULTICAST_IF, IP_MULTICAST_TTL, IP_MULTICAST_LOOP, IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP
        (0, 2..=6) => name + 7,
        // IP_TTL, IP_TOS, IP_DONTFRAGMENT
        (0, 7) => 4,
        (0, 8) => 3,
        (0, 9) => 14,
        _ => name,
    }
}

win_api! {
    /// Reads an option.
    "wsock32.dll" stdcall fn getsockopt @ 7 (handle: Handle, level: i32, name: i32, value: Ptr<u8>, length: Ptr<i32>) -> i32 {
        winsock2::getsockopt(handle, level, option(level, name), value, length)
    }

    /// Reads an IPv4 address in text; INADDR_NONE for text that is none.
    "wsock32.dll" stdcall fn inet_addr @ 10 (text: Ptr<u8>) -> u32 {
        names::inet_addr(text)
    }

    /// Writes an IPv4 address as text.
    "wsock32.dll" stdcall fn inet_ntoa @ 11 (address: u32) -> Ptr<u8> {
        names::inet_ntoa(address)
    }

    /// Controls a socket: FIONBIO and FIONREAD.
    "wsock32.dll" stdcall fn ioctlsocket @ 12 (handle: Handle, command: u32, argument: Ptr<u32>) -> i32 {
        winsock2::ioctlsocket(handle, command, argument)
    }

    /// Sets an option.
    "wsock32.dll" stdcall fn setsockopt @ 21 (handle: Handle, level: i32, name: i32, value: Ptr<u8>, length: i32) -> i32 {
        winsock2::setsockopt(handle, level, option(level, name), value, length)
    }
}
