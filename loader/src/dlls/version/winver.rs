//! Version information by file and by path: `winver.h`.
//!
//! What a caller gets holds the resource and behind it room for its strings in ANSI, half as large again.

use ntlpc_abi::UserPtr;

use super::block::{self, Block};
use super::file::{self, Missing};
use crate::dlls::win32::{ansi_of, error, refuse, units_arg, wide_arg};
use crate::export::{Bool, Ptr};
use crate::module::builtin;
use crate::ob::path::{self, Target};
use crate::peb;
use crate::win_api;

/// `ERROR_RESOURCE_TYPE_NOT_FOUND`.
const NO_RESOURCE: u32 = 1813;
/// Largest information of which the length is believed: `wLength` has 16 bits.
const MOST: usize = 0x1_0000;

/// The information of a file; that of a DLL which is built in is the version of Windows.
fn information(name: Option<Vec<u16>>) -> Result<Vec<u8>, u32> {
    let name = name.ok_or(error::INVALID_PARAMETER)?;
    let name = String::from_utf16_lossy(&name);
    let leaf = name
        .rsplit(['\\', '/'])
        .next()
        .unwrap_or(&name)
        .to_lowercase();
    let found = match path::resolve(&name, &path::directory()) {
        Ok(Target::File(path)) => file::read(&path),
        _ => Err(Missing::File),
    };
    match found {
        Ok(bytes) if bytes.len() < MOST => Ok(bytes),
        Err(Missing::File) if builtin::exists(&leaf) => {
            let (major, minor, build) = peb::VERSION;
            Ok(block::fixed([major as u16, minor as u16, build, 1]))
        }
        Err(Missing::File) => Err(error::FILE_NOT_FOUND),
        _ => Err(NO_RESOURCE),
    }
}

/// Bytes of what a caller gets for a resource.
const fn room(resource: usize) -> usize {
    let resource = resource.next_multiple_of(4);
    resource + resource / 2 * 3 + 4
}

fn size(name: Option<Vec<u16>>, handle: Ptr<u32>) -> u32 {
    handle.write_if_some(0);
    match information(name) {
        Ok(bytes) => room(bytes.len()) as u32,
        Err(code) => refuse(code, 0),
    }
}

fn get(name: Option<Vec<u16>>, length: u32, to: Ptr<u8>) -> Bool {
    let mut bytes = match information(name) {
        Ok(bytes) => bytes,
        Err(code) => return refuse(code, Bool::FALSE),
    };
    if to.is_null() {
        return refuse(error::INVALID_DATA, Bool::FALSE);
    }
    // A buffer that is too small gets as much as it holds, as documented.
    let room = room(bytes.len()).min(length as usize);
    bytes.resize(room, 0);
    to.write_bytes(&bytes);
    Bool::TRUE
}

/// Copies the resource out of what a caller got.
fn resource(at: Ptr<u8>) -> Vec<u8> {
    at.read_bytes(at.cast::<u16>().read().into())
}

fn find(at: Ptr<u8>, path: Option<Vec<u16>>) -> Option<Block> {
    let path = String::from_utf16_lossy(&path?);
    let bytes = resource(at);
    let found = block::find(&bytes, &path)?;
    let length = found.value_length * if found.is_text { 2 } else { 1 };
    (found.value + length <= bytes.len() || length == 0).then_some(found)
}

fn query(
    at: Ptr<u8>,
    path: Option<Vec<u16>>,
    value: Ptr<UserPtr>,
    length: Ptr<u32>,
    is_ansi: bool,
) -> Bool {
    let Some(found) = find(at, path) else {
        length.write_if_some(0);
        return refuse(NO_RESOURCE, Bool::FALSE);
    };
    let mut place = at.byte_add(found.value as u64);
    let mut count = found.value_length;
    if is_ansi && found.is_text {
        let bytes = place.read_bytes(found.value_length * 2);
        let units: Vec<u16> = bytes
            .chunks_exact(2)
            .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
            .collect();
        let text = ansi_of(&units);
        let resource = usize::from(at.cast::<u16>().read()).next_multiple_of(4);
        place = at.byte_add((resource + found.value / 2 * 3) as u64);
        place.write_bytes(&text);
        count = text.len();
    }
    value.write(place.user());
    length.write_if_some(count as u32);
    Bool::TRUE
}

win_api! {
    /// Returns the bytes of a file's version information.
    "version.dll|kernelbase.dll" stdcall fn GetFileVersionInfoSizeW(name: Ptr<u16>, handle: Ptr<u32>) -> u32 {
        size(units_arg(name), handle)
    }

    /// Returns the bytes of a file's version information.
    "version.dll|kernelbase.dll" stdcall fn GetFileVersionInfoSizeA(name: Ptr<u8>, handle: Ptr<u32>) -> u32 {
        size(wide_arg(name), handle)
    }

    /// Returns the bytes of a file's version information; there are no other languages.
    "version.dll|kernelbase.dll" stdcall fn GetFileVersionInfoSizeExW(_flags: u32, name: Ptr<u16>, handle: Ptr<u32>) -> u32 {
        size(units_arg(name), handle)
    }

    /// Returns the bytes of a file's version information; there are no other languages.
    "version.dll|kernelbase.dll" stdcall fn GetFileVersionInfoSizeExA(_flags: u32, name: Ptr<u8>, handle: Ptr<u32>) -> u32 {
        size(wide_arg(name), handle)
    }

    /// Reads a file's version information.
    "version.dll|kernelbase.dll" stdcall fn GetFileVersionInfoW(name: Ptr<u16>, _handle: u32, length: u32, to: Ptr<u8>) -> Bool {
        get(units_arg(name), length, to)
    }

    /// Reads a file's version information.
    "version.dll|kernelbase.dll" stdcall fn GetFileVersionInfoA(name: Ptr<u8>, _handle: u32, length: u32, to: Ptr<u8>) -> Bool {
        get(wide_arg(name), length, to)
    }

    /// Reads a file's version information; there are no other languages.
    "version.dll|kernelbase.dll" stdcall fn GetFileVersionInfoExW(_flags: u32, name: Ptr<u16>, _handle: u32, length: u32, to: Ptr<u8>) -> Bool {
        get(units_arg(name), length, to)
    }

    /// Reads a file's version information; there are no other languages.
    "version.dll|kernelbase.dll" stdcall fn GetFileVersionInfoExA(_flags: u32, name: Ptr<u8>, _handle: u32, length: u32, to: Ptr<u8>) -> Bool {
        get(wide_arg(name), length, to)
    }

    /// Finds a value in version information.
    "version.dll|kernelbase.dll" stdcall fn VerQueryValueW(information: Ptr<u8>, path: Ptr<u16>, value: Ptr<UserPtr>, length: Ptr<u32>) -> Bool {
        query(information, units_arg(path), value, length, false)
    }

    /// Finds a value in version information.
    "version.dll|kernelbase.dll" stdcall fn VerQueryValueA(information: Ptr<u8>, path: Ptr<u8>, value: Ptr<UserPtr>, length: Ptr<u32>) -> Bool {
        query(information, wide_arg(path), value, length, true)
    }
}
