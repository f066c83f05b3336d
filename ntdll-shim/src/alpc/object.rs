//! `OBJECT_ATTRIBUTES` of ALPC calls (alpc §2.1): names of ports and what their handles are like.

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use crate::guest;

const OBJ_INHERIT: u32 = 0x2;
const OBJ_CASE_INSENSITIVE: u32 = 0x40;

/// A captured name and the attributes that go with it.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Directory the name is relative to, or NULL.
    pub root: Handle,
    /// The name; empty for none.
    pub name: Vec<u16>,
    /// `OBJ_CASE_INSENSITIVE` or 0.
    pub attributes: u32,
    /// Whether the handle is inheritable.
    pub is_inheritable: bool,
    /// Self-relative security descriptor; empty for the default.
    pub security: Vec<u8>,
}

/// Reads object attributes; NULL stands for an unnamed object. Flags without a meaning for ports are ignored.
pub(super) fn capture(at: UserPtr) -> Result<Named, NtStatus> {
    if at.is_null() {
        return Ok(Named::default());
    }
    let captured = guest::attributes(at, u32::MAX, || Ok(()))?;
    Ok(Named {
        root: if captured.name.is_empty() {
            Handle::NULL
        } else {
            captured.root
        },
        name: captured.name,
        attributes: captured.flags & OBJ_CASE_INSENSITIVE,
        is_inheritable: captured.flags & OBJ_INHERIT != 0,
        security: captured.security,
    })
}
