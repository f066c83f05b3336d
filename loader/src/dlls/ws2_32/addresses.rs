//! Socket addresses as text and as names: `getnameinfo`, `WSAAddressToString` and `WSAStringToAddress`.
//!
//! Source: Microsoft Learn, "getnameinfo function (ws2tcpip.h)", "GetNameInfoW function (ws2tcpip.h)", "WSAAddressToStringW
//! function (winsock2.h)", "WSAStringToAddressW function (winsock2.h)", "RtlIpv6StringToAddressExW function (ip2string.h)".

use std::net::{Ipv4Addr, Ipv6Addr};

use super::database::{self, Key};
use super::names::parse_address;
use super::winsock2::{FAMILY_NOT_SUPPORTED, FAULT, INVALID, SOCKET_ERROR, refuse};
use crate::dlls::win32::{ansi_of, units_arg, wide_arg};
use crate::export::{Guest, Ptr};
use crate::ob::resolver;
use crate::win_api;

/// `AF_INET` and `AF_INET6` of Winsock, and the bytes of their addresses.
const INET: (i32, usize) = (2, 16);
const INET6: (i32, usize) = (23, 28);

/// Flags of `getnameinfo`.
mod flag {
    pub const NO_FQDN: i32 = 1;
    pub const NUMERIC_HOST: i32 = 2;
    pub const NAME_REQUIRED: i32 = 4;
    pub const NUMERIC_SERVICE: i32 = 8;
    pub const DATAGRAM: i32 = 16;
}

/// What a `sockaddr_in` or `sockaddr_in6` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SocketAddress {
    V4(Ipv4Addr, u16),
    /// With the number of the interface a local address belongs to, or 0.
    V6(Ipv6Addr, u16, u32),
}

impl SocketAddress {
    /// Reads an address; `None` for one of another family or that is cut.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let family = i32::from(u16::from_le_bytes(*bytes.first_chunk()?));
        let port = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
        if family == INET.0 && bytes.len() >= INET.1 {
            let octets: [u8; 4] = *bytes[4..].first_chunk()?;
            return Some(SocketAddress::V4(octets.into(), port));
        }
        if family == INET6.0 && bytes.len() >= INET6.1 {
            let octets: [u8; 16] = *bytes[8..].first_chunk()?;
            let scope = u32::from_le_bytes(*bytes[24..].first_chunk()?);
            return Some(SocketAddress::V6(octets.into(), port, scope));
        }
        None
    }

    fn to_bytes(self) -> Vec<u8> {
        match self {
            SocketAddress::V4(address, port) => {
                let mut bytes = vec![0; INET.1];
                bytes[0] = INET.0 as u8;
                bytes[2..4].copy_from_slice(&port.to_be_bytes());
                bytes[4..8].copy_from_slice(&address.octets());
                bytes
            }
            SocketAddress::V6(address, port, scope) => {
                let mut bytes = vec![0; INET6.1];
                bytes[0] = INET6.0 as u8;
                bytes[2..4].copy_from_slice(&port.to_be_bytes());
                bytes[8..24].copy_from_slice(&address.octets());
                bytes[24..28].copy_from_slice(&scope.to_le_bytes());
                bytes
            }
        }
    }

    fn port(self) -> u16 {
        match self {
            SocketAddress::V4(_, port) | SocketAddress::V6(_, port, _) => port,
        }
    }

    /// The address without its port.
    fn host_text(self) -> String {
        match self {
            SocketAddress::V4(address, _) => address.to_string(),
            SocketAddress::V6(address, _, 0) => address.to_string(),
            SocketAddress::V6(address, _, scope) => format!("{address}%{scope}"),
        }
    }

    /// The address with its port, if it has one.
    fn text(self) -> String {
        let host = self.host_text();
        match self {
            SocketAddress::V4(_, 0) | SocketAddress::V6(_, 0, _) => host,
            SocketAddress::V4(_, port) => format!("{host}:{port}"),
            SocketAddress::V6(_, port, _) => format!("[{host}]:{port}"),
        }
    }

    /// Reads `1.2.3.4:80`, `fe80::1%4` or `[fe80::1%4]:80`; the port and the interface may be left out.
    fn parse(family: i32, text: &str) -> Option<Self> {
        if family == INET.0 {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, parse_port(port)?),
                None => (text, 0),
            };
            return Some(SocketAddress::V4(parse_address(host)?.into(), port));
        }
        if family != INET6.0 {
            return None;
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                let port = match port.strip_prefix(':') {
                    Some(port) => parse_port(port)?,
                    None if port.is_empty() => 0,
                    None => return None,
                };
                (host, port)
            }
            None => (text, 0),
        };
        let (host, scope) = match host.split_once('%') {
            Some((host, scope)) => (host, scope.parse().ok()?),
            None => (host, 0),
        };
        Some(SocketAddress::V6(host.parse().ok()?, port, scope))
    }
}

fn parse_port(text: &str) -> Option<u16> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

/// The text of an address as units of `T`, with a NUL.
fn to_string<T: Guest>(
    address: Ptr<u8>,
    length: u32,
    to: Ptr<T>,
    to_length: Ptr<u32>,
    encode: impl FnOnce(&str) -> Vec<T>,
) -> i32 {
    if address.is_null() || to_length.is_null() {
        return refuse(INVALID, SOCKET_ERROR);
    }
    let bytes = address.read_bytes((length as usize).min(INET6.1));
    let Some(address) = SocketAddress::from_bytes(&bytes) else {
        return refuse(INVALID, SOCKET_ERROR);
    };
    let units = encode(&address.text());
    let room = to_length.read() as usize;
    to_length.write(u32::try_from(units.len()).unwrap_or(u32::MAX));
    if to.is_null() || room < units.len() {
        return refuse(FAULT, SOCKET_ERROR);
    }
    to.write_many(&units);
    0
}

fn to_address(text: Option<Vec<u16>>, family: i32, to: Ptr<u8>, length: Ptr<i32>) -> i32 {
    let text = text.map(|units| String::from_utf16_lossy(&units));
    let Some(address) = text.and_then(|text| SocketAddress::parse(family, &text)) else {
        return refuse(INVALID, SOCKET_ERROR);
    };
    let bytes = address.to_bytes();
    let room = usize::try_from(length.read()).unwrap_or(0);
    length.write(i32::try_from(bytes.len()).unwrap_or(0));
    if to.is_null() || room < bytes.len() {
        return refuse(FAULT, SOCKET_ERROR);
    }
    to.write_bytes(&bytes);
    0
}

fn host_name(address: SocketAddress, flags: i32) -> Result<String, u32> {
    if flags & flag::NUMERIC_HOST == 0 {
        match resolver::name_of(address.to_bytes(), flags & flag::NO_FQDN != 0) {
            Ok(name) => return Ok(name),
            Err(code) if flags & flag::NAME_REQUIRED != 0 => return Err(code),
            Err(_) => {}
        }
    }
    Ok(address.host_text())
}

fn service_name(port: u16, flags: i32) -> String {
    let protocol = if flags & flag::DATAGRAM == 0 {
        "tcp"
    } else {
        "udp"
    };
    let entry = (flags & flag::NUMERIC_SERVICE == 0)
        .then(|| database::service(&Key::Number(port), Some(protocol)))
        .flatten();
    entry.map_or_else(|| port.to_string(), |entry| entry.name)
}

/// Finds both names that were asked for; each has a place and its size in units.
fn names<T: Guest>(
    at: Ptr<u8>,
    length: i32,
    host: (Ptr<T>, u32),
    service: (Ptr<T>, u32),
    flags: i32,
    encode: impl Fn(&str) -> Vec<T>,
) -> Result<(), u32> {
    let length = usize::try_from(length).unwrap_or(0);
    if at.is_null() || length < 2 {
        return Err(FAULT);
    }
    match i32::from(at.cast::<u16>().read()) {
        family if family == INET.0 && length < INET.1 => return Err(FAULT),
        family if family == INET6.0 && length < INET6.1 => return Err(FAULT),
        family if family != INET.0 && family != INET6.0 => return Err(FAMILY_NOT_SUPPORTED),
        _ => {}
    }
    let address = SocketAddress::from_bytes(&at.read_bytes(length.min(INET6.1))).ok_or(INVALID)?;
    if host.0.is_null() && service.0.is_null() {
        return Err(resolver::HOST_NOT_FOUND);
    }
    let put = |(to, room): (Ptr<T>, u32), name: &dyn Fn() -> Result<String, u32>| {
        if to.is_null() {
            return Ok(());
        }
        if room == 0 {
            return Err(INVALID);
        }
        let units = encode(&name()?);
        if (room as usize) < units.len() {
            return Err(FAULT);
        }
        to.write_many(&units);
        Ok(())
    };
    put(host, &|| host_name(address, flags))?;
    put(service, &|| Ok(service_name(address.port(), flags)))
}

/// These functions return the error and set it.
fn told(result: Result<(), u32>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(code) => refuse(code, code.cast_signed()),
    }
}

fn ansi(text: &str) -> Vec<u8> {
    let mut bytes = ansi_of(&text.encode_utf16().collect::<Vec<_>>());
    bytes.push(0);
    bytes
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

win_api! {
    /// Finds the names of an address and of its port.
    "ws2_32.dll" stdcall fn getnameinfo(address: Ptr<u8>, length: i32, host: Ptr<u8>, host_size: u32, service: Ptr<u8>, service_size: u32, flags: i32) -> i32 {
        told(names(address, length, (host, host_size), (service, service_size), flags, ansi))
    }

    /// Finds the names of an address and of its port.
    "ws2_32.dll" stdcall fn GetNameInfoW(address: Ptr<u8>, length: i32, host: Ptr<u16>, host_size: u32, service: Ptr<u16>, service_size: u32, flags: i32) -> i32 {
        told(names(address, length, (host, host_size), (service, service_size), flags, wide))
    }

    /// Writes a socket address as text.
    "ws2_32.dll" stdcall fn WSAAddressToStringA(address: Ptr<u8>, length: u32, _protocol: Ptr<u8>, to: Ptr<u8>, to_length: Ptr<u32>) -> i32 {
        to_string(address, length, to, to_length, ansi)
    }

    /// Writes a socket address as text.
    "ws2_32.dll" stdcall fn WSAAddressToStringW(address: Ptr<u8>, length: u32, _protocol: Ptr<u8>, to: Ptr<u16>, to_length: Ptr<u32>) -> i32 {
        to_string(address, length, to, to_length, wide)
    }

    /// Reads a socket address in text.
    "ws2_32.dll" stdcall fn WSAStringToAddressA(text: Ptr<u8>, family: i32, _protocol: Ptr<u8>, to: Ptr<u8>, length: Ptr<i32>) -> i32 {
        to_address(wide_arg(text), family, to, length)
    }

    /// Reads a socket address in text.
    "ws2_32.dll" stdcall fn WSAStringToAddressW(text: Ptr<u16>, family: i32, _protocol: Ptr<u8>, to: Ptr<u8>, length: Ptr<i32>) -> i32 {
        to_address(units_arg(text), family, to, length)
    }
}

#[cfg(test)]
mod tests {
    use super::SocketAddress;

    #[test]
    fn text_and_bytes_go_both_ways() {
        for (family, text) in [
            (2, "127.0.0.1:80"),
            (2, "10.0.0.1"),
            (23, "::1"),
            (23, "[fe80::1%4]:8080"),
            (23, "fe80::1%4"),
        ] {
            let address = SocketAddress::parse(family, text).expect(text);
            assert_eq!(address.text(), text);
            assert_eq!(
                SocketAddress::from_bytes(&address.to_bytes()),
                Some(address)
            );
        }
        for (family, bad) in [
            (2, "1.2.3.4:65536"),
            (2, "1.2.3.4:"),
            (2, "::1"),
            (23, "[::1"),
            (23, "[::1]80"),
            (23, "1.2.3.4"),
            (1, "1.2.3.4"),
        ] {
            assert_eq!(SocketAddress::parse(family, bad), None, "{bad}");
        }
    }
}
