//! What every object has: a type with its access rights, a header, and how it crosses to another process.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ntlpc_abi::NtStatus;
use parking_lot::Mutex;

use super::packed::Packed;
use super::waitable::Waitable;

/// Access rights common to all types. Source: Microsoft Learn "ACCESS_MASK".
#[allow(dead_code, reason = "the rights of winnt.h by name, used or not")]
pub mod access {
    /// `DELETE`.
    pub const DELETE: u32 = 0x1_0000;
    /// `READ_CONTROL`.
    pub const READ_CONTROL: u32 = 0x2_0000;
    /// `WRITE_DAC`.
    pub const WRITE_DAC: u32 = 0x4_0000;
    /// `SYNCHRONIZE`.
    pub const SYNCHRONIZE: u32 = 0x10_0000;
    /// `STANDARD_RIGHTS_REQUIRED`.
    pub const STANDARD_REQUIRED: u32 = 0xF_0000;
    /// `ACCESS_SYSTEM_SECURITY`.
    pub const SYSTEM_SECURITY: u32 = 0x100_0000;
    /// `MAXIMUM_ALLOWED`.
    pub const MAXIMUM_ALLOWED: u32 = 0x200_0000;
    /// `GENERIC_ALL`.
    pub const GENERIC_ALL: u32 = 0x1000_0000;
    /// `GENERIC_EXECUTE`.
    pub const GENERIC_EXECUTE: u32 = 0x2000_0000;
    /// `GENERIC_WRITE`.
    pub const GENERIC_WRITE: u32 = 0x4000_0000;
    /// `GENERIC_READ`.
    pub const GENERIC_READ: u32 = 0x8000_0000;
}

/// An object type: its name and what its access bits mean.
#[derive(Debug)]
pub struct ObjectType {
    /// Name as `NtQueryObject(ObjectTypeInformation)` gives it.
    pub name: &'static str,
    /// What the generic rights read, write, execute and all stand for.
    pub generic: [u32; 4],
}

impl ObjectType {
    /// `OBJ_*` attributes the type does not take: ports take only `OBJ_CASE_INSENSITIVE` (lpc#36).
    #[must_use]
    pub fn invalid_attributes(&self) -> u32 {
        if self.name.ends_with("Port") {
            0x7B2
        } else {
            0x100
        }
    }

    /// Replaces generic rights and `MAXIMUM_ALLOWED` by the type's own rights.
    #[must_use]
    pub const fn map_access(&self, desired: u32) -> u32 {
        let mut granted = desired & 0x01FF_FFFF;
        let generic = [
            access::GENERIC_READ,
            access::GENERIC_WRITE,
            access::GENERIC_EXECUTE,
            access::GENERIC_ALL,
        ];
        let mut i = 0;
        while i < 4 {
            if desired & generic[i] != 0 {
                granted |= self.generic[i];
            }
            i += 1;
        }
        if desired & access::MAXIMUM_ALLOWED != 0 {
            granted |= self.generic[3];
        }
        granted
    }

    /// Grants `desired` to the owner of an object, who has every right the type knows.
    ///
    /// Returns `ACCESS_DENIED` for rights the type does not know.
    pub const fn grant(&self, desired: u32) -> Result<u32, NtStatus> {
        let granted = self.map_access(desired);
        if granted & !(self.generic[3] | access::SYSTEM_SECURITY) != 0 {
            return Err(NtStatus::ACCESS_DENIED);
        }
        Ok(granted)
    }
}

/// The name of an object and the hold on it at the server; giving it up gives up the hold.
#[derive(Debug)]
pub struct Name {
    /// Path by which it was created or opened.
    pub path: Vec<u16>,
    /// The server's number of the object.
    pub id: u64,
    /// Which server of this process knows it.
    pub generation: usize,
    /// Gives up the hold.
    pub release: fn(&Name),
}

impl Drop for Name {
    fn drop(&mut self) {
        (self.release)(self);
    }
}

/// State every object carries.
#[derive(Debug, Default)]
pub struct Header {
    /// Name and hold in the server's name space, if the object has a name.
    pub name: Mutex<Option<Name>>,
    /// Self-relative security descriptor as given at creation or set later.
    pub security: Mutex<Option<Vec<u8>>>,
    /// Open handles of this process.
    handles: AtomicU32,
}

impl Header {
    /// Returns the number of open handles of this process.
    #[must_use]
    pub fn handles(&self) -> u32 {
        self.handles.load(Ordering::Relaxed)
    }

    pub(super) fn opened(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns whether that was the last handle.
    pub(super) fn closed(&self) -> bool {
        self.handles.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

/// An NT object.
pub trait Object: Any + Send + Sync + fmt::Debug {
    /// Returns its type.
    fn object_type(&self) -> &'static ObjectType;

    /// Returns its header.
    fn header(&self) -> &Header;

    /// Returns the path of its name; empty without one.
    fn path(&self) -> Vec<u16> {
        let name = self.header().name.lock();
        name.as_ref()
            .map(|name| name.path.clone())
            .unwrap_or_default()
    }

    /// Returns the face a wait sees, for types that can be waited on.
    fn waitable(&self) -> Option<&dyn Waitable> {
        None
    }

    /// Describes the object for another process.
    fn pack(&self) -> Result<Packed, NtStatus> {
        Err(NtStatus::NOT_SUPPORTED)
    }

    /// Takes note that this process closed its last handle.
    fn last_handle_closed(&self) {}
}

/// Returns the object as its Rust type, or `OBJECT_TYPE_MISMATCH`.
pub fn downcast<T: Object>(object: Arc<dyn Object>) -> Result<Arc<T>, NtStatus> {
    let any: Arc<dyn Any + Send + Sync> = object;
    any.downcast::<T>()
        .map_err(|_| NtStatus::OBJECT_TYPE_MISMATCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: ObjectType = ObjectType {
        name: "Event",
        generic: [0x2_0001, 0x2_0002, 0x12_0000, 0x1F_0003],
    };

    #[test]
    fn generic_rights_become_specific_ones() {
        assert_eq!(TYPE.grant(access::GENERIC_READ | 2), Ok(0x2_0003));
        assert_eq!(TYPE.grant(access::MAXIMUM_ALLOWED), Ok(0x1F_0003));
        assert_eq!(TYPE.grant(0x8000), Err(NtStatus::ACCESS_DENIED));
    }
}
