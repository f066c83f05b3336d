//! Identities and access checks. See `docs/security.md`.

mod descriptor;
mod sid;
mod token;

pub use descriptor::{Ace, AceKind, Dacl, SecurityDescriptor};
pub use sid::Sid;
pub use token::{Credentials, ImpersonationLevel, Token};

/// `ACCESS_MASK`.
pub type AccessMask = u32;

/// READ_CONTROL.
pub const READ_CONTROL: AccessMask = 0x0002_0000;
/// WRITE_DAC.
pub const WRITE_DAC: AccessMask = 0x0004_0000;
/// MAXIMUM_ALLOWED.
pub const MAXIMUM_ALLOWED: AccessMask = 0x0200_0000;
/// PORT_CONNECT (phnt).
pub const PORT_CONNECT: AccessMask = 0x0000_0001;
/// DIRECTORY_CREATE_OBJECT (public `wdm.h`).
pub const DIRECTORY_CREATE_OBJECT: AccessMask = 0x0000_0004;
/// DIRECTORY_CREATE_SUBDIRECTORY.
pub const DIRECTORY_CREATE_SUBDIRECTORY: AccessMask = 0x0000_0008;

/// What the four generic rights mean for a type of object.
#[derive(Clone, Copy, Debug)]
pub struct GenericMapping {
    /// GENERIC_READ.
    pub read: AccessMask,
    /// GENERIC_WRITE.
    pub write: AccessMask,
    /// GENERIC_EXECUTE.
    pub execute: AccessMask,
    /// GENERIC_ALL, also every right the type has.
    pub all: AccessMask,
}

/// Mapping of `Port` and `WaitablePort` (lpc#36).
pub const PORT_MAPPING: GenericMapping = GenericMapping {
    read: 0x02_0001,
    write: 0x01_0001,
    execute: 0,
    all: 0x1F_0001,
};

/// Mapping of `Directory` (public `wdm.h`: DIRECTORY_QUERY 1, TRAVERSE 2, CREATE_OBJECT 4, CREATE_SUBDIRECTORY 8).
pub const DIRECTORY_MAPPING: GenericMapping = GenericMapping {
    read: 0x02_0003,
    write: 0x02_000C,
    execute: 0x02_0003,
    all: 0x0F_000F,
};

impl GenericMapping {
    /// Replaces the generic rights of `mask`.
    #[must_use]
    pub fn map(self, mask: AccessMask) -> AccessMask {
        const GENERIC: [AccessMask; 4] = [0x8000_0000, 0x4000_0000, 0x2000_0000, 0x1000_0000];
        let mut mapped = mask & !0xF000_0000;
        for (bit, rights) in
            GENERIC
                .into_iter()
                .zip([self.read, self.write, self.execute, self.all])
        {
            if mask & bit != 0 {
                mapped |= rights;
            }
        }
        mapped
    }
}
