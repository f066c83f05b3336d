//! SIDs and descriptors as text: `sddl.h`.

use ntlpc_abi::NtStatus;

use crate::dlls::win32::{ansi_of, error, failed, refuse, units_arg, wide_arg};
use crate::export::{Bool, Guest, Ptr};
use crate::ob::security::{Descriptor, read_sid};
use crate::ob::sid::Sid;
use crate::win_api;

/// `SDDL_REVISION_1`.
const REVISION: u32 = 1;

/// Copies elements to a block for `LocalFree`.
fn local<T: Guest>(elements: &[T]) -> Option<Ptr<T>> {
    let block = Ptr::new(crate::heap::process().allocate(elements.len() * T::size(), false)?);
    block.write_many(elements);
    Some(block)
}

/// Stores a block for `LocalFree` through the caller's pointer.
fn put<T: Guest>(elements: &[T], to: Ptr<Ptr<T>>) -> Bool {
    match local(elements) {
        Some(block) => {
            to.write(block);
            Bool::TRUE
        }
        None => refuse(error::NOT_ENOUGH_MEMORY, Bool::FALSE),
    }
}

fn sid_text(sid: Ptr<u8>) -> Result<String, NtStatus> {
    Sid::parse(&read_sid(sid)?).map(|sid| sid.to_string())
}

fn terminated(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

fn sid_from(text: Option<Vec<u16>>, to: Ptr<Ptr<u8>>) -> Bool {
    let text = String::from_utf16_lossy(&text.unwrap_or_default());
    match Sid::from_text(&text) {
        Some(sid) => put(&sid.to_bytes(), to),
        None => failed(NtStatus::INVALID_SID, Bool::FALSE),
    }
}

fn descriptor_from(
    text: Option<Vec<u16>>,
    revision: u32,
    to: Ptr<Ptr<u8>>,
    size: Ptr<u32>,
) -> Bool {
    if revision != REVISION {
        return failed(NtStatus::UNKNOWN_REVISION, Bool::FALSE);
    }
    let text = String::from_utf16_lossy(&text.unwrap_or_default());
    let Some(descriptor) = Descriptor::from_text(&text) else {
        return refuse(error::INVALID_PARAMETER, Bool::FALSE);
    };
    let bytes = descriptor.to_bytes();
    size.write_if_some(u32::try_from(bytes.len()).unwrap_or(0));
    put(&bytes, to)
}

win_api! {
    /// Writes a SID as text.
    "advapi32.dll" stdcall fn ConvertSidToStringSidW(sid: Ptr<u8>, text: Ptr<Ptr<u16>>) -> Bool {
        match sid_text(sid) {
            Ok(value) => put(&terminated(&value), text),
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Writes a SID as text.
    "advapi32.dll" stdcall fn ConvertSidToStringSidA(sid: Ptr<u8>, text: Ptr<Ptr<u8>>) -> Bool {
        match sid_text(sid) {
            Ok(value) => put(&ansi_of(&terminated(&value)), text),
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Reads a SID from text.
    "advapi32.dll" stdcall fn ConvertStringSidToSidW(text: Ptr<u16>, sid: Ptr<Ptr<u8>>) -> Bool {
        sid_from(units_arg(text), sid)
    }

    /// Reads a SID from text.
    "advapi32.dll" stdcall fn ConvertStringSidToSidA(text: Ptr<u8>, sid: Ptr<Ptr<u8>>) -> Bool {
        sid_from(wide_arg(text), sid)
    }

    /// Reads a descriptor from text.
    "advapi32.dll" stdcall fn ConvertStringSecurityDescriptorToSecurityDescriptorW(text: Ptr<u16>, revision: u32, descriptor: Ptr<Ptr<u8>>, size: Ptr<u32>) -> Bool {
        descriptor_from(units_arg(text), revision, descriptor, size)
    }

    /// Reads a descriptor from text.
    "advapi32.dll" stdcall fn ConvertStringSecurityDescriptorToSecurityDescriptorA(text: Ptr<u8>, revision: u32, descriptor: Ptr<Ptr<u8>>, size: Ptr<u32>) -> Bool {
        descriptor_from(wide_arg(text), revision, descriptor, size)
    }

    /// Writes a descriptor as text.
    "advapi32.dll" stdcall fn ConvertSecurityDescriptorToStringSecurityDescriptorW(descriptor: Ptr<u8>, revision: u32, which: u32, text: Ptr<Ptr<u16>>, length: Ptr<u32>) -> Bool {
        if revision != REVISION {
            return failed(NtStatus::UNKNOWN_REVISION, Bool::FALSE);
        }
        match Descriptor::read(descriptor) {
            Ok(value) => {
                let units = terminated(&value.to_text(which));
                length.write_if_some(u32::try_from(units.len()).unwrap_or(0));
                put(&units, text)
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }
}
