//! `OBJECT_ATTRIBUTES` and `UNICODE_STRING` of the guest.

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use crate::export::{Guest, Ptr};
use crate::guest_struct;

/// `OBJ_*` attributes. Source: Microsoft Learn `OBJECT_ATTRIBUTES`.
pub mod obj {
    /// `OBJ_INHERIT`.
    pub const INHERIT: u32 = 0x2;
    /// `OBJ_OPENIF`.
    pub const OPENIF: u32 = 0x80;
    /// Every attribute user mode may give.
    pub const VALID: u32 = 0x1FF2;
}

guest_struct! {
    /// `UNICODE_STRING`; lengths in bytes.
    pub struct UnicodeString {
        length: u16,
        maximum_length: u16,
        buffer: Ptr<u16>,
    }

    /// `ANSI_STRING`; lengths in bytes.
    pub struct AnsiString {
        length: u16,
        maximum_length: u16,
        buffer: Ptr<u8>,
    }

    /// `OBJECT_ATTRIBUTES`.
    pub struct ObjectAttributes {
        length: u32,
        root_directory: Handle,
        object_name: Ptr<UnicodeString>,
        attributes: u32,
        security_descriptor: UserPtr,
        security_quality_of_service: UserPtr,
    }
}

/// The attributes of a call, copied out of the guest and checked.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    /// Directory the name is relative to, or NULL.
    pub root: Handle,
    /// Name, `None` for an unnamed object.
    pub name: Option<Vec<u16>>,
    /// `OBJ_*` bits.
    pub flags: u32,
    /// Security descriptor, or NULL.
    pub security: UserPtr,
    /// `SECURITY_QUALITY_OF_SERVICE`, or NULL.
    pub quality: UserPtr,
}

/// Reads a `UNICODE_STRING`.
///
/// Returns `ACCESS_VIOLATION` for bad pointers, `OBJECT_NAME_INVALID` for an odd length.
pub fn read_string(at: Ptr<UnicodeString>) -> Result<Vec<u16>, NtStatus> {
    let string = at.try_read()?;
    if string.length % 2 != 0 {
        return Err(NtStatus::OBJECT_NAME_INVALID);
    }
    let mut bytes = vec![0; usize::from(string.length)];
    if !bytes.is_empty() {
        string.buffer.cast::<u8>().try_read_bytes(&mut bytes)?;
    }
    Ok(bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect())
}

impl Attributes {
    /// Reads `OBJECT_ATTRIBUTES`; a NULL pointer gives the defaults.
    ///
    /// Returns `INVALID_PARAMETER` for a wrong length or unknown bits.
    pub fn read(at: Ptr<ObjectAttributes>) -> Result<Self, NtStatus> {
        if at.is_null() {
            return Ok(Attributes::default());
        }
        let raw = at.try_read()?;
        if raw.length as usize != ObjectAttributes::size() || raw.attributes & !obj::VALID != 0 {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let name = raw.object_name.non_null().map(read_string).transpose()?;
        Ok(Attributes {
            root: raw.root_directory,
            name: name.filter(|name| !name.is_empty()),
            flags: raw.attributes,
            security: raw.security_descriptor,
            quality: raw.security_quality_of_service,
        })
    }

    /// Returns the handle attributes the call asked for.
    #[must_use]
    pub const fn handle_flags(&self) -> u32 {
        self.flags & obj::INHERIT
    }
}
