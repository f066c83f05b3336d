//! Interfaces by name, number and LUID: `netioapi.h`. They are those of Linux, with its names.
//!
//! Source: Microsoft Learn, the functions' pages.

use ntlpc_abi::UserPtr;

use super::adapters::luid;
use crate::dlls::win32::error;
use crate::export::Ptr;
use crate::ob::interface::{Interface, interfaces};
use crate::win_api;

/// Characters of a name with its NUL (`NDIS_IF_MAX_STRING_SIZE` and one).
const NAME_SIZE: usize = 257;
/// `ERROR_FILE_NOT_FOUND`.
const NOT_FOUND: u32 = 2;

fn find(is_it: impl Fn(&Interface) -> bool) -> Option<Interface> {
    interfaces().into_iter().find(is_it)
}

/// Writes what was found out about an interface; the error of a call for none is the caller's.
fn tell<T: crate::export::Guest>(found: Option<T>, to: Ptr<T>, failure: u32) -> u32 {
    match found {
        _ if to.is_null() => error::INVALID_PARAMETER,
        Some(value) => {
            to.write(value);
            0
        }
        None => failure,
    }
}

fn by_luid(at: Ptr<u64>) -> Option<Interface> {
    let wanted = at.non_null()?.read();
    find(|interface| luid(interface) == wanted)
}

/// Writes the name of an interface in units of `T`.
fn tell_name<T: crate::export::Guest>(
    at: Ptr<u64>,
    to: Ptr<T>,
    size: usize,
    units: impl FnOnce(&str) -> Vec<T>,
) -> u32 {
    match by_luid(at) {
        Some(interface) if !to.is_null() => {
            let units = units(&interface.name);
            if size < units.len() {
                return error::NOT_ENOUGH_MEMORY;
            }
            to.write_many(&units);
            0
        }
        _ => error::INVALID_PARAMETER,
    }
}

fn luid_by_name(name: &[u8], to: Ptr<u64>) -> u32 {
    let found = find(|interface| interface.name.as_bytes() == name);
    // ERROR_INVALID_NAME
    tell(found.as_ref().map(luid), to, 123)
}

win_api! {
    /// Returns the number of an interface; 0 for a name of none.
    "iphlpapi.dll" stdcall fn if_nametoindex(name: Ptr<u8>) -> u32 {
        let name = name.read_c_string();
        find(|interface| interface.name.as_bytes() == name).map_or(0, |interface| interface.index)
    }

    /// Returns the name of an interface; NULL for a number of none.
    "iphlpapi.dll" stdcall fn if_indextoname(index: u32, to: Ptr<u8>) -> Ptr<u8> {
        let found = find(|interface| interface.index == index);
        match found.filter(|interface| interface.name.len() < NAME_SIZE) {
            Some(interface) => {
                to.write_bytes(&[interface.name.as_bytes(), &[0]].concat());
                to
            }
            None => Ptr::NULL,
        }
    }

    /// Finds the LUID of an interface by its number.
    "iphlpapi.dll" stdcall fn ConvertInterfaceIndexToLuid(index: u32, to: Ptr<u64>) -> u32 {
        tell(find(|interface| interface.index == index).as_ref().map(luid), to, NOT_FOUND)
    }

    /// Finds the number of an interface by its LUID.
    "iphlpapi.dll" stdcall fn ConvertInterfaceLuidToIndex(at: Ptr<u64>, to: Ptr<u32>) -> u32 {
        tell(by_luid(at).map(|interface| interface.index), to, error::INVALID_PARAMETER)
    }

    /// Finds the name of an interface by its LUID.
    "iphlpapi.dll" stdcall fn ConvertInterfaceLuidToNameW(at: Ptr<u64>, to: Ptr<u16>, size: usize) -> u32 {
        tell_name(at, to, size, |name| name.encode_utf16().chain([0]).collect())
    }

    /// Finds the name of an interface by its LUID.
    "iphlpapi.dll" stdcall fn ConvertInterfaceLuidToNameA(at: Ptr<u64>, to: Ptr<u8>, size: usize) -> u32 {
        tell_name(at, to, size, |name| name.bytes().chain([0]).collect())
    }

    /// Finds the alias of an interface by its LUID: its name.
    "iphlpapi.dll" stdcall fn ConvertInterfaceLuidToAlias(at: Ptr<u64>, to: Ptr<u16>, size: usize) -> u32 {
        tell_name(at, to, size, |name| name.encode_utf16().chain([0]).collect())
    }

    /// Finds the LUID of an interface by its name.
    "iphlpapi.dll" stdcall fn ConvertInterfaceNameToLuidW(name: Ptr<u16>, to: Ptr<u64>) -> u32 {
        luid_by_name(String::from_utf16_lossy(&name.read_wide_string()).as_bytes(), to)
    }

    /// Finds the LUID of an interface by its name.
    "iphlpapi.dll" stdcall fn ConvertInterfaceNameToLuidA(name: Ptr<u8>, to: Ptr<u64>) -> u32 {
        luid_by_name(&name.read_c_string(), to)
    }

    /// Finds a route: not done, which `ERROR_NOT_SUPPORTED` says.
    "iphlpapi.dll" stdcall fn GetBestRoute2(_luid: Ptr<u64>, _index: u32, _source: UserPtr, destination: UserPtr, _sort: u32, route: UserPtr, best: UserPtr) -> u32 {
        if destination.0 == 0 || route.0 == 0 || best.0 == 0 {
            return error::INVALID_PARAMETER;
        }
        log::debug!("GetBestRoute2 is not supported");
        error::NOT_SUPPORTED
    }
}
