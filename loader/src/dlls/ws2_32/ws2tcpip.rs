//! Names and addresses: `ws2tcpip.h`.

use ntlpc_abi::UserPtr;

use super::winsock2::{FAMILY_NOT_SUPPORTED, refuse};
use crate::dlls::win32::{error, units_arg, wide_arg};
use crate::export::{Guest, Ptr};
use crate::ob::resolver::{self, Hints, Resolved};
use crate::{guest_struct, heap, win_api};

guest_struct! {
    /// `ADDRINFOA` and `ADDRINFOW`.
    pub struct AddrInfo {
        flags: i32,
        family: i32,
        kind: i32,
        protocol: i32,
        address_length: usize,
        canonical_name: UserPtr,
        address: Ptr<u8>,
        next: UserPtr,
    }
}

/// `WSA_NOT_ENOUGH_MEMORY`.
const NOT_ENOUGH_MEMORY: u32 = 8;

fn allocate(bytes: usize) -> Result<u64, u32> {
    heap::process()
        .allocate(bytes, false)
        .ok_or(NOT_ENOUGH_MEMORY)
}

/// Writes one entry with its address and name in a block of its own.
fn put(found: &Resolved, next: u64, is_wide: bool) -> Result<u64, u32> {
    let name = found.canonical_name.as_ref().map(|name| {
        let units: Vec<u16> = name.encode_utf16().chain([0]).collect();
        if is_wide {
            units.iter().flat_map(|unit| unit.to_le_bytes()).collect()
        } else {
            name.bytes().chain([0]).collect::<Vec<u8>>()
        }
    });
    let name = name.unwrap_or_default();
    let name_at = (AddrInfo::size() + found.address.len()).next_multiple_of(2);
    let block = allocate(name_at + name.len())?;
    let address = Ptr::<u8>::new(block).byte_add(AddrInfo::size() as u64);
    address.write_bytes(&found.address);
    let name_pointer = Ptr::<u8>::new(block + name_at as u64);
    name_pointer.write_bytes(&name);
    Ptr::new(block).write(AddrInfo {
        flags: 0,
        family: found.family,
        kind: found.kind,
        protocol: found.protocol,
        address_length: found.address.len(),
        canonical_name: UserPtr(if name.is_empty() {
            0
        } else {
            name_pointer.address()
        }),
        address,
        next: UserPtr(next),
    });
    Ok(block)
}

fn resolve(
    node: Option<Vec<u16>>,
    service: Option<Vec<u16>>,
    hints: Ptr<AddrInfo>,
    to: Ptr<UserPtr>,
    is_wide: bool,
) -> i32 {
    let text = |units: Vec<u16>| String::from_utf16_lossy(&units);
    let hints = hints.non_null().map_or_else(Hints::default, |hints| {
        let hints = hints.read();
        Hints {
            flags: hints.flags,
            family: hints.family,
            kind: hints.kind,
            protocol: hints.protocol,
        }
    });
    let (node, service) = (node.map(text), service.map(text));
    let result = resolver::resolve(node.as_deref(), service.as_deref(), hints).and_then(|list| {
        // Last first, so that each entry knows the next.
        list.iter()
            .rev()
            .try_fold(0, |next, found| put(found, next, is_wide))
    });
    match result {
        Ok(first) => {
            to.write(UserPtr(first));
            0
        }
        // These functions return the error and set it.
        Err(code) => refuse(code, code.cast_signed()),
    }
}

fn family_of(family: i32) -> Option<usize> {
    match family {
        2 => Some(4),
        23 => Some(16),
        _ => None,
    }
}

/// Reads an address in text; `Ok(None)` for text that is none.
fn parse(family: i32, text: &str) -> Result<Option<Vec<u8>>, u32> {
    match family {
        2 => Ok(text
            .parse::<std::net::Ipv4Addr>()
            .ok()
            .map(|a| a.octets().to_vec())),
        23 => Ok(text
            .parse::<std::net::Ipv6Addr>()
            .ok()
            .map(|a| a.octets().to_vec())),
        _ => Err(FAMILY_NOT_SUPPORTED),
    }
}

fn print(family: i32, address: Ptr<u8>) -> Option<String> {
    let bytes = address.read_bytes(family_of(family)?);
    Some(match <[u8; 16]>::try_from(bytes.as_slice()) {
        Ok(six) => std::net::Ipv6Addr::from(six).to_string(),
        Err(_) => std::net::Ipv4Addr::from(<[u8; 4]>::try_from(bytes.as_slice()).ok()?).to_string(),
    })
}

fn convert(family: i32, text: &str, to: Ptr<u8>) -> i32 {
    match parse(family, text) {
        Ok(Some(bytes)) => {
            to.write_bytes(&bytes);
            1
        }
        Ok(None) => 0,
        Err(code) => refuse(code, -1),
    }
}

win_api! {
    /// Finds the addresses of a name.
    "ws2_32.dll" stdcall fn getaddrinfo(node: Ptr<u8>, service: Ptr<u8>, hints: Ptr<AddrInfo>, to: Ptr<UserPtr>) -> i32 {
        resolve(wide_arg(node), wide_arg(service), hints, to, false)
    }

    /// Finds the addresses of a name.
    "ws2_32.dll" stdcall fn GetAddrInfoW(node: Ptr<u16>, service: Ptr<u16>, hints: Ptr<AddrInfo>, to: Ptr<UserPtr>) -> i32 {
        resolve(units_arg(node), units_arg(service), hints, to, true)
    }

    /// Frees what `getaddrinfo` gave.
    "ws2_32.dll" stdcall fn freeaddrinfo = "freeaddrinfo|FreeAddrInfoW" (first: Ptr<AddrInfo>) {
        let mut at = first;
        while let Some(entry) = at.non_null() {
            at = Ptr::new(entry.read().next.0);
            if heap::process().free(entry.address()).is_err() {
                log::warn!("freeaddrinfo of what is no list");
                return;
            }
        }
    }

    /// Reads an address in text.
    "ws2_32.dll" stdcall fn inet_pton(family: i32, text: Ptr<u8>, to: Ptr<u8>) -> i32 {
        convert(family, &String::from_utf8_lossy(&text.read_c_string()), to)
    }

    /// Reads an address in text.
    "ws2_32.dll" stdcall fn InetPtonW(family: i32, text: Ptr<u16>, to: Ptr<u8>) -> i32 {
        convert(family, &String::from_utf16_lossy(&text.read_wide_string()), to)
    }

    /// Writes an address as text.
    "ws2_32.dll" stdcall fn inet_ntop(family: i32, address: Ptr<u8>, to: Ptr<u8>, size: usize) -> Ptr<u8> {
        match print(family, address) {
            Some(text) if text.len() < size => {
                to.write_bytes(text.as_bytes());
                to.add(text.len()).write(0);
                to
            }
            Some(_) => refuse(error::INVALID_PARAMETER, Ptr::NULL),
            None => refuse(FAMILY_NOT_SUPPORTED, Ptr::NULL),
        }
    }

    /// Writes an address as text.
    "ws2_32.dll" stdcall fn InetNtopW(family: i32, address: Ptr<u8>, to: Ptr<u16>, size: usize) -> Ptr<u16> {
        match print(family, address) {
            Some(text) if text.len() < size => {
                to.write_many(&text.encode_utf16().chain([0]).collect::<Vec<_>>());
                to
            }
            Some(_) => refuse(error::INVALID_PARAMETER, Ptr::NULL),
            None => refuse(FAMILY_NOT_SUPPORTED, Ptr::NULL),
        }
    }
}
