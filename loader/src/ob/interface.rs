//! Network interfaces and their addresses as Linux tells them (`man 3 getifaddrs`, `man 5 sysfs`, `man 5 resolv.conf`,
//! `/proc/net/route`). Addresses are laid out as Winsock does.
#![allow(unsafe_code, reason = "getifaddrs of the C library")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::socket::translate;

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `sockaddr_in` or `sockaddr_in6` of Winsock, without a port.
    pub bytes: Vec<u8>,
    /// Bits of the network's part.
    pub prefix_length: u8,
}

impl Address {
    /// Returns whether it is an IPv4 address.
    #[must_use]
    pub fn is_v4(&self) -> bool {
        self.bytes.len() == V4_BYTES
    }

    /// Returns the address itself, and the bytes of its network.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        if self.is_v4() {
            &self.bytes[4..8]
        } else {
            &self.bytes[8..24]
        }
    }

    /// Returns the address of its network: the bits behind the prefix are 0.
    #[must_use]
    pub fn network(&self) -> Address {
        let mut network = self.clone();
        let range = if self.is_v4() { 4..8 } else { 8..24 };
        for (i, byte) in network.bytes[range].iter_mut().enumerate() {
            let bits = usize::from(self.prefix_length).saturating_sub(i * 8).min(8);
            *byte &= !(0xFF_u16 >> bits) as u8;
        }
        network
    }
}

/// Bytes of a `sockaddr_in` and a `sockaddr_in6`.
const V4_BYTES: usize = 16;
const V6_BYTES: usize = 28;

/// A network interface.
#[derive(Clone, Debug, Default)]
pub struct Interface {
    /// Name.
    pub name: String,
    /// Number.
    pub index: u32,
    /// Address of the link; empty if it has none.
    pub physical: Vec<u8>,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// Whether it carries packets.
    pub is_up: bool,
    /// Whether it leads back to this machine.
    pub is_loopback: bool,
    /// Whether it takes packets for groups.
    pub is_multicast: bool,
    /// Bits a second; 0 if that is not known.
    pub speed: u64,
    /// Its addresses, IPv4 first.
    pub addresses: Vec<Address>,
    /// Routers of its default routes.
    pub gateways: Vec<Ipv4Addr>,
}

fn attribute(name: &str, file: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/sys/class/net/{name}/{file}")).ok()?;
    Some(text.trim().to_owned())
}

fn physical_address(name: &str) -> Vec<u8> {
    let text = attribute(name, "address").unwrap_or_default();
    let bytes: Option<Vec<u8>> = text
        .split(':')
        .map(|part| u8::from_str_radix(part, 16).ok())
        .collect();
    bytes
        .filter(|bytes| bytes.iter().any(|byte| *byte != 0))
        .unwrap_or_default()
}

/// The routers of default routes, with the names of their interfaces (`/proc/net/route`).
fn gateways(table: &str) -> Vec<(String, Ipv4Addr)> {
    let parse = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let name = words.next()?.to_owned();
        let destination = u32::from_str_radix(words.next()?, 16).ok()?;
        let gateway = u32::from_str_radix(words.next()?, 16).ok()?;
        // RTF_GATEWAY
        let flags = u32::from_str_radix(words.next()?, 16).ok()?;
        // The numbers are written as this machine holds them, in network order.
        (destination == 0 && flags & 2 != 0).then(|| (name, gateway.to_ne_bytes().into()))
    };
    table.lines().skip(1).filter_map(parse).collect()
}

fn describe(name: String, flags: u32) -> Option<Interface> {
    const IFF_LOOPBACK: u32 = libc::IFF_LOOPBACK as u32;
    const UP_AND_RUNNING: u32 = (libc::IFF_UP | libc::IFF_RUNNING) as u32;
    const IFF_MULTICAST: u32 = libc::IFF_MULTICAST as u32;
    let number = |file| attribute(&name, file).and_then(|text| text.parse::<i64>().ok());
    Some(Interface {
        index: u32::try_from(number("ifindex")?).ok()?,
        physical: physical_address(&name),
        mtu: u32::try_from(number("mtu")?).unwrap_or(u32::MAX),
        is_up: flags & UP_AND_RUNNING == UP_AND_RUNNING,
        is_loopback: flags & IFF_LOOPBACK != 0,
        is_multicast: flags & IFF_MULTICAST != 0,
        // In megabits; -1 or an error without a cable.
        speed: number("speed").map_or(0, |speed| u64::try_from(speed).unwrap_or(0) * 1_000_000),
        addresses: Vec::new(),
        gateways: Vec::new(),
        name,
    })
}

/// Reads a `sockaddr` of the C library; `None` for one that is no address of IP.
///
/// # Safety
///
/// `at` is null or an address as `getifaddrs` makes them.
unsafe fn socket_address(at: *const libc::sockaddr) -> Option<Vec<u8>> {
    if at.is_null() {
        return None;
    }
    // SAFETY: not null, so a sockaddr.
    let length = match i32::from(unsafe { (*at).sa_family }) {
        libc::AF_INET => V4_BYTES,
        libc::AF_INET6 => V6_BYTES,
        _ => return None,
    };
    // SAFETY: a sockaddr of these families has that many bytes.
    let mut bytes = unsafe { std::slice::from_raw_parts(at.cast::<u8>(), length) }.to_vec();
    translate(&mut bytes, false);
    Some(bytes)
}

/// Returns the interfaces by their numbers.
#[must_use]
pub fn interfaces() -> Vec<Interface> {
    let mut list = std::ptr::null_mut();
    // SAFETY: the place outlives the call.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return Vec::new();
    }
    let mut found: BTreeMap<String, Option<Interface>> = BTreeMap::new();
    let mut at = list;
    while !at.is_null() {
        // SAFETY: an entry of the list getifaddrs made, which is freed below.
        let entry = unsafe { *at };
        at = entry.ifa_next;
        // SAFETY: a NUL-terminated string of the list.
        let name = unsafe { std::ffi::CStr::from_ptr(entry.ifa_name) };
        let name = name.to_string_lossy().into_owned();
        let interface = found
            .entry(name.clone())
            .or_insert_with(|| describe(name, entry.ifa_flags));
        // SAFETY: addresses of an entry of the list.
        let (address, mask) = unsafe {
            (
                socket_address(entry.ifa_addr),
                socket_address(entry.ifa_netmask),
            )
        };
        if let (Some(interface), Some(bytes)) = (interface, address) {
            let mut address = Address {
                bytes,
                prefix_length: 0,
            };
            let mask = mask.map(|bytes| Address {
                bytes,
                prefix_length: 0,
            });
            let ones = mask.map_or(0, |mask| {
                mask.octets().iter().map(|byte| byte.count_ones()).sum()
            });
            address.prefix_length = u8::try_from(ones).unwrap_or(0);
            interface.addresses.push(address);
        }
    }
    // SAFETY: the list came from getifaddrs and is not used any more.
    unsafe { libc::freeifaddrs(list) };
    let routes = gateways(&std::fs::read_to_string("/proc/net/route").unwrap_or_default());
    let mut interfaces: Vec<Interface> = found.into_values().flatten().collect();
    for interface in &mut interfaces {
        interface.addresses.sort_by_key(|address| !address.is_v4());
        let own = routes.iter().filter(|(name, _)| *name == interface.name);
        interface.gateways = own.map(|(_, gateway)| *gateway).collect();
    }
    interfaces.sort_by_key(|interface| interface.index);
    interfaces
}

/// The servers and the domain of `/etc/resolv.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameService {
    /// Servers.
    pub servers: Vec<IpAddr>,
    /// The domain, or the first one that is searched; empty for none.
    pub domain: String,
}

impl NameService {
    fn parse(text: &str) -> Self {
        let mut service = NameService::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match (words.next(), words.next()) {
                (Some("nameserver"), Some(server)) => {
                    // A local address may name its interface.
                    let server = server.split('%').next().unwrap_or(server);
                    service.servers.extend(server.parse::<IpAddr>().ok());
                }
                (Some("domain" | "search"), Some(domain)) if domain != "." => {
                    domain.clone_into(&mut service.domain);
                }
                _ => {}
            }
        }
        service
    }

    /// Reads the system's.
    #[must_use]
    pub fn of_system() -> Self {
        Self::parse(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_there() {
        let all = interfaces();
        let loopback = all.iter().find(|i| i.is_loopback).expect("loopback");
        let own = &loopback.addresses[0];
        assert_eq!((own.octets(), own.prefix_length), (&[127, 0, 0, 1][..], 8));
        assert_eq!(own.network().octets(), [127, 0, 0, 0]);
        assert!(loopback.index != 0 && loopback.physical.is_empty());
    }

    #[test]
    fn tables_of_the_system() {
        let table = "Iface\tDestination\tGateway \tFlags\n\
            eth0\t00000000\t0102A8C0\t0003\t0\neth0\t0002A8C0\t00000000\t0001\t0\n";
        assert_eq!(
            gateways(table),
            [("eth0".to_owned(), Ipv4Addr::new(192, 168, 2, 1))]
        );
        let service = NameService::parse(
            "# x\nsearch a.example b\nnameserver 10.0.0.1\nnameserver fe80::1%2\n",
        );
        assert_eq!(service.domain, "a.example");
        assert_eq!(service.servers.len(), 2);
    }
}
