//! The older functions, which know IPv4 only: `GetAdaptersInfo` and `GetNetworkParams`.
//!
//! Source: Microsoft Learn, "GetAdaptersInfo function (iphlpapi.h)", "IP_ADAPTER_INFO structure (iptypes.h)" (its times have the
//! size of a pointer), "GetNetworkParams function (iphlpapi.h)", "FIXED_INFO_W2KSP1 structure (iptypes.h)".

use std::net::{IpAddr, Ipv4Addr};

use ntlpc_abi::UserPtr;

use super::adapters::{NO_DATA, adapter_name, kind};
use super::layout::{Buffer, fill};
use crate::dlls::win32::error;
use crate::export::Ptr;
use crate::ob::interface::{Interface, NameService, interfaces};
use crate::{guest_struct, win_api};

guest_struct! {
    /// `IP_ADDR_STRING`.
    pub struct AddressString {
        next: UserPtr,
        address: [u8; 16],
        mask: [u8; 16],
        context: u32,
    }
    /// `IP_ADAPTER_INFO`.
    pub struct AdapterInfo {
        next: UserPtr,
        combo_index: u32,
        name: [u8; 260],
        description: [u8; 132],
        physical_length: u32,
        physical: [u8; 8],
        index: u32,
        kind: u32,
        is_dhcp: u32,
        current: UserPtr,
        addresses: AddressString,
        gateways: AddressString,
        dhcp_server: AddressString,
        has_wins: u32,
        first_wins: AddressString,
        second_wins: AddressString,
        lease_obtained: isize,
        lease_expires: isize,
    }
    /// `FIXED_INFO_W2KSP1`.
    pub struct FixedInfo {
        host: [u8; 132],
        domain: [u8; 132],
        current_server: UserPtr,
        servers: AddressString,
        node_type: u32,
        scope: [u8; 260],
        is_router: u32,
        is_proxy: u32,
        is_dns: u32,
    }
}

/// Text with a NUL in a field of a fixed size; what is too long is cut.
fn field<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    for (to, from) in bytes[..N - 1].iter_mut().zip(text.bytes()) {
        *to = from;
    }
    bytes
}

type Entry = (Ipv4Addr, Ipv4Addr);

fn one(next: UserPtr, (address, mask): Entry, context: u32) -> AddressString {
    AddressString {
        next,
        address: field(&address.to_string()),
        mask: field(&mask.to_string()),
        context,
    }
}

/// The first element of a list, which lies in its owner; the others are added to the buffer.
fn list(buffer: &mut Buffer, entries: &[Entry]) -> AddressString {
    let Some((first, rest)) = entries.split_first() else {
        return AddressString {
            next: UserPtr::NULL,
            address: [0; 16],
            mask: [0; 16],
            context: 0,
        };
    };
    let next = rest.iter().rev().fold(UserPtr::NULL, |next, entry| {
        let at = buffer.room::<AddressString>();
        buffer.fill(at, one(next, *entry, 0));
        at.user()
    });
    one(next, *first, 0)
}

fn mask(prefix_length: u8) -> Ipv4Addr {
    let ones = u32::MAX.checked_shl(32 - u32::from(prefix_length.min(32)));
    ones.unwrap_or(0).into()
}

fn put(buffer: &mut Buffer, next: UserPtr, interface: &Interface) -> AdapterInfo {
    let any = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED);
    let mut addresses: Vec<Entry> = interface
        .addresses
        .iter()
        .filter_map(|address| {
            let octets: [u8; 4] = address.octets().try_into().ok()?;
            Some((octets.into(), mask(address.prefix_length)))
        })
        .collect();
    if addresses.is_empty() {
        addresses.push(any);
    }
    let mut gateways: Vec<Entry> = interface
        .gateways
        .iter()
        .map(|gateway| (*gateway, Ipv4Addr::BROADCAST))
        .collect();
    if gateways.is_empty() {
        gateways.push(any);
    }
    let mut physical = [0; 8];
    let length = interface.physical.len().min(8);
    physical[..length].copy_from_slice(&interface.physical[..length]);
    let empty = list(buffer, &[]);
    AdapterInfo {
        next,
        combo_index: interface.index,
        name: field(&adapter_name(interface)),
        description: field(&interface.name),
        physical_length: u32::try_from(length).unwrap_or(0),
        physical,
        index: interface.index,
        kind: kind(interface),
        is_dhcp: 0,
        current: UserPtr::NULL,
        addresses: list(buffer, &addresses),
        gateways: list(buffer, &gateways),
        dhcp_server: empty,
        has_wins: 0,
        first_wins: empty,
        second_wins: empty,
        lease_obtained: 0,
        lease_expires: 0,
    }
}

win_api! {
    /// Lists the interfaces with their IPv4 addresses, without the loopback interface.
    "iphlpapi.dll" stdcall fn GetAdaptersInfo(to: Ptr<u8>, size: Ptr<u32>) -> u32 {
        if size.is_null() {
            return error::INVALID_PARAMETER;
        }
        let found: Vec<Interface> = interfaces().into_iter().filter(|interface| !interface.is_loopback).collect();
        if found.is_empty() {
            return NO_DATA;
        }
        fill(to, size, |buffer| {
            let places: Vec<Ptr<AdapterInfo>> = found.iter().map(|_| buffer.room()).collect();
            for (i, interface) in found.iter().enumerate() {
                let next = places.get(i + 1).map_or(UserPtr::NULL, |place| place.user());
                let value = put(buffer, next, interface);
                buffer.fill(places[i], value);
            }
        })
    }

    /// Tells the names of the machine and its servers for names.
    "iphlpapi.dll" stdcall fn GetNetworkParams(to: Ptr<u8>, size: Ptr<u32>) -> u32 {
        if size.is_null() {
            return error::INVALID_PARAMETER;
        }
        let names = NameService::of_system();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let servers: Vec<Entry> = names
            .servers
            .iter()
            .filter_map(|server| match server {
                IpAddr::V4(server) => Some((*server, Ipv4Addr::UNSPECIFIED)),
                IpAddr::V6(_) => None,
            })
            .collect();
        fill(to, size, |buffer| {
            let at = buffer.room::<FixedInfo>();
            let value = FixedInfo {
                host: field(host.split('.').next().unwrap_or(&host)),
                domain: field(&names.domain),
                current_server: UserPtr::NULL,
                servers: list(buffer, &servers),
                // HYBRID_NODETYPE
                node_type: 8,
                scope: [0; 260],
                is_router: 0,
                is_proxy: 0,
                is_dns: u32::from(!servers.is_empty()),
            };
            buffer.fill(at, value);
        })
    }
}
