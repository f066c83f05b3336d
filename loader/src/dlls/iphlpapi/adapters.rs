//! `GetAdaptersAddresses`.
//!
//! Source: Microsoft Learn, "GetAdaptersAddresses function (iphlpapi.h)", "IP_ADAPTER_ADDRESSES_LH structure (iptypes.h)",
//! "IP_ADAPTER_UNICAST_ADDRESS_LH structure (iptypes.h)", "NET_LUID_LH union (ifdef.h)". There are no anycast addresses, and
//! groups are not told.

use std::net::IpAddr;

use ntlpc_abi::UserPtr;

use super::layout::{Buffer, fill};
use crate::dlls::win32::error;
use crate::export::{Guest, Ptr};
use crate::ob::interface::{Address, Interface, NameService, interfaces};
use crate::{guest_struct, win_api};

/// Flags of `GetAdaptersAddresses` (`GAA_FLAG_*`).
mod flag {
    pub const SKIP_UNICAST: u32 = 1;
    pub const SKIP_DNS_SERVER: u32 = 8;
    pub const INCLUDE_PREFIX: u32 = 0x10;
    pub const SKIP_FRIENDLY_NAME: u32 = 0x20;
    pub const INCLUDE_GATEWAYS: u32 = 0x80;
    pub const INCLUDE_ALL_INTERFACES: u32 = 0x100;
}

/// `ERROR_NO_DATA`.
pub(super) const NO_DATA: u32 = 232;
/// Families of Winsock.
const INET: u16 = 2;
const INET6: u16 = 23;

guest_struct! {
    /// `SOCKET_ADDRESS`.
    pub struct SocketAddress {
        address: UserPtr,
        length: i32,
    }
    /// `IP_ADAPTER_UNICAST_ADDRESS_LH`; its first field is the length and, above it, the flags.
    pub struct UnicastAddress {
        head: u64,
        next: UserPtr,
        address: SocketAddress,
        prefix_origin: u32,
        suffix_origin: u32,
        state: u32,
        valid_seconds: u32,
        preferred_seconds: u32,
        lease_seconds: u32,
        prefix_length: u8,
    }
    /// `IP_ADAPTER_DNS_SERVER_ADDRESS_XP` and `IP_ADAPTER_GATEWAY_ADDRESS_LH`.
    pub struct ServerAddress {
        head: u64,
        next: UserPtr,
        address: SocketAddress,
    }
    /// `IP_ADAPTER_PREFIX_XP`.
    pub struct Prefix {
        head: u64,
        next: UserPtr,
        address: SocketAddress,
        length: u32,
    }
    /// `IP_ADAPTER_ADDRESSES_LH`; its first field is the length and, above it, the number of the interface.
    pub struct AdapterAddresses {
        head: u64,
        next: UserPtr,
        name: UserPtr,
        unicast: UserPtr,
        anycast: UserPtr,
        multicast: UserPtr,
        dns_servers: UserPtr,
        dns_suffix: UserPtr,
        description: UserPtr,
        friendly_name: UserPtr,
        physical: [u8; 8],
        physical_length: u32,
        flags: u32,
        mtu: u32,
        kind: u32,
        status: u32,
        index6: u32,
        zones: [u32; 16],
        prefixes: UserPtr,
        transmit_speed: u64,
        receive_speed: u64,
        wins_servers: UserPtr,
        gateways: UserPtr,
        metric4: u32,
        metric6: u32,
        luid: u64,
        dhcp4_server: SocketAddress,
        compartment: u32,
        network: [u8; 16],
        connection: u32,
        tunnel: u32,
        dhcp6_server: SocketAddress,
        duid: [u8; 130],
        duid_length: u32,
        iaid: u32,
        dns_suffixes: UserPtr,
    }
}

/// The type of an interface that IANA assigned: loopback, Ethernet, or another.
pub(super) fn kind(interface: &Interface) -> u32 {
    match interface {
        _ if interface.is_loopback => 24,
        _ if interface.physical.len() == 6 => 6,
        _ => 1,
    }
}

/// `NET_LUID` of an interface: its type in the upper 16 bits, its number in the 24 below.
pub(super) fn luid(interface: &Interface) -> u64 {
    u64::from(kind(interface)) << 48 | u64::from(interface.index & 0xFF_FFFF) << 24
}

/// The permanent name of an adapter, which has the form of a GUID.
pub(super) fn adapter_name(interface: &Interface) -> String {
    format!("{{4C50434E-0000-4000-8000-{:012X}}}", interface.index)
}

fn head<T: Guest>(upper: u32) -> u64 {
    T::size() as u64 | u64::from(upper) << 32
}

fn put_address(buffer: &mut Buffer, bytes: &[u8]) -> SocketAddress {
    SocketAddress {
        address: buffer.put(bytes),
        length: i32::try_from(bytes.len()).unwrap_or(0),
    }
}

/// Makes a list whose last element was added first.
fn list<T: Guest, I>(
    buffer: &mut Buffer,
    items: impl DoubleEndedIterator<Item = I>,
    mut element: impl FnMut(&mut Buffer, UserPtr, I) -> T,
) -> UserPtr {
    items.rev().fold(UserPtr::NULL, |next, item| {
        let at = buffer.room::<T>();
        let value = element(buffer, next, item);
        buffer.fill(at, value);
        at.user()
    })
}

fn put_unicast(buffer: &mut Buffer, next: UserPtr, address: &Address) -> UnicastAddress {
    const NEVER: u32 = u32::MAX;
    UnicastAddress {
        // IP_ADAPTER_ADDRESS_DNS_ELIGIBLE
        head: head::<UnicastAddress>(1),
        next,
        address: put_address(buffer, &address.bytes),
        // IpPrefixOriginManual, IpSuffixOriginManual, IpDadStatePreferred
        prefix_origin: 1,
        suffix_origin: 1,
        state: 4,
        valid_seconds: NEVER,
        preferred_seconds: NEVER,
        lease_seconds: NEVER,
        prefix_length: address.prefix_length,
    }
}

/// A `sockaddr` without a port.
pub(super) fn socket_address(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => {
            let mut bytes = vec![INET as u8, 0, 0, 0];
            bytes.extend(address.octets());
            bytes.resize(16, 0);
            bytes
        }
        IpAddr::V6(address) => {
            let mut bytes = vec![INET6 as u8, 0, 0, 0, 0, 0, 0, 0];
            bytes.extend(address.octets());
            bytes.resize(28, 0);
            bytes
        }
    }
}

fn put_server(buffer: &mut Buffer, next: UserPtr, address: IpAddr) -> ServerAddress {
    ServerAddress {
        head: head::<ServerAddress>(0),
        next,
        address: put_address(buffer, &socket_address(address)),
    }
}

fn put_prefix(buffer: &mut Buffer, next: UserPtr, address: &Address) -> Prefix {
    Prefix {
        head: head::<Prefix>(0),
        next,
        address: put_address(buffer, &address.network().bytes),
        length: address.prefix_length.into(),
    }
}

/// What was asked for.
struct Wanted {
    family: u16,
    flags: u32,
    names: NameService,
}

impl Wanted {
    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    fn is_of_family(&self, is_v4: bool) -> bool {
        self.family == 0 || (self.family == INET) == is_v4
    }

    fn addresses<'a>(
        &self,
        interface: &'a Interface,
    ) -> impl DoubleEndedIterator<Item = &'a Address> {
        let (any, v4) = (self.family == 0, self.family == INET);
        interface
            .addresses
            .iter()
            .filter(move |address| any || address.is_v4() == v4)
    }

    fn is_listed(&self, interface: &Interface) -> bool {
        self.family == 0
            || self.has(flag::INCLUDE_ALL_INTERFACES)
            || self.addresses(interface).next().is_some()
    }

    fn put(&self, buffer: &mut Buffer, next: UserPtr, interface: &Interface) -> AdapterAddresses {
        let has = |is_v4| interface.addresses.iter().any(|a| a.is_v4() == is_v4);
        let (has_v4, has_v6) = (has(true), has(false));
        // IP_ADAPTER_NO_MULTICAST, IP_ADAPTER_IPV4_ENABLED, IP_ADAPTER_IPV6_ENABLED
        let flags = [
            (!interface.is_multicast, 0x10),
            (has_v4, 0x80),
            (has_v6, 0x100),
        ];
        let flags = flags
            .iter()
            .filter(|(is_set, _)| *is_set)
            .map(|(_, bit)| bit)
            .sum();
        let name = adapter_name(interface) + "\0";
        let mut physical = [0; 8];
        let length = interface.physical.len().min(8);
        physical[..length].copy_from_slice(&interface.physical[..length]);
        let mut zones = [0; 16];
        // ScopeLevelInterface, ScopeLevelLink
        (zones[1], zones[2]) = (interface.index, interface.index);
        let metric = if interface.is_loopback { 75 } else { 25 };
        let none = SocketAddress {
            address: UserPtr::NULL,
            length: 0,
        };
        let dns_servers: &[IpAddr] = if interface.is_loopback || self.has(flag::SKIP_DNS_SERVER) {
            &[]
        } else {
            &self.names.servers
        };
        let servers = dns_servers
            .iter()
            .filter(|server| self.is_of_family(server.is_ipv4()));
        let gateways = self.has(flag::INCLUDE_GATEWAYS) && self.is_of_family(true);
        let gateways = gateways.then_some(interface.gateways.as_slice());
        AdapterAddresses {
            head: head::<AdapterAddresses>(interface.index),
            next,
            name: buffer.put(name.as_bytes()),
            unicast: if self.has(flag::SKIP_UNICAST) {
                UserPtr::NULL
            } else {
                list(buffer, self.addresses(interface), put_unicast)
            },
            anycast: UserPtr::NULL,
            multicast: UserPtr::NULL,
            dns_servers: list(buffer, servers.copied(), put_server),
            dns_suffix: buffer.wide(&self.names.domain),
            description: buffer.wide(&interface.name),
            friendly_name: if self.has(flag::SKIP_FRIENDLY_NAME) {
                UserPtr::NULL
            } else {
                buffer.wide(&interface.name)
            },
            physical,
            physical_length: u32::try_from(length).unwrap_or(0),
            flags,
            mtu: interface.mtu,
            kind: kind(interface),
            // IfOperStatusUp, IfOperStatusDown
            status: if interface.is_up { 1 } else { 2 },
            index6: if has_v6 { interface.index } else { 0 },
            zones,
            prefixes: if self.has(flag::INCLUDE_PREFIX) {
                list(buffer, self.addresses(interface), put_prefix)
            } else {
                UserPtr::NULL
            },
            transmit_speed: speed(interface),
            receive_speed: speed(interface),
            wins_servers: UserPtr::NULL,
            gateways: list(
                buffer,
                gateways.unwrap_or_default().iter().copied().map(IpAddr::V4),
                put_server,
            ),
            metric4: metric,
            metric6: metric,
            luid: luid(interface),
            dhcp4_server: none,
            // The default one; NET_IF_CONNECTION_DEDICATED, TUNNEL_TYPE_NONE
            compartment: 1,
            network: [0; 16],
            connection: 1,
            tunnel: 0,
            dhcp6_server: none,
            duid: [0; 130],
            duid_length: 0,
            iaid: 0,
            dns_suffixes: UserPtr::NULL,
        }
    }
}

/// Bits a second; all ones if that is not known.
fn speed(interface: &Interface) -> u64 {
    match interface.speed {
        0 => u64::MAX,
        speed => speed,
    }
}

win_api! {
    /// Lists the interfaces with their addresses.
    "iphlpapi.dll" stdcall fn GetAdaptersAddresses(family: u32, flags: u32, _reserved: UserPtr, to: Ptr<u8>, size: Ptr<u32>) -> u32 {
        let family = match u16::try_from(family) {
            Ok(family @ (0 | INET | INET6)) if !size.is_null() => family,
            _ => return error::INVALID_PARAMETER,
        };
        let wanted = Wanted { family, flags, names: NameService::of_system() };
        let found: Vec<Interface> = interfaces().into_iter().filter(|interface| wanted.is_listed(interface)).collect();
        if found.is_empty() {
            return NO_DATA;
        }
        fill(to, size, |buffer| {
            // The first one lies where the buffer begins.
            let places: Vec<Ptr<AdapterAddresses>> = found.iter().map(|_| buffer.room()).collect();
            for (i, interface) in found.iter().enumerate() {
                let next = places.get(i + 1).map_or(UserPtr::NULL, |place| place.user());
                let value = wanted.put(buffer, next, interface);
                buffer.fill(places[i], value);
            }
        })
    }
}
