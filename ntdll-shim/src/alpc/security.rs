//! Security contexts (alpc §2.13).

use ntlpc_abi::layout::{AlpcSecurityAttr, SecurityQos};
use ntlpc_abi::{Handle, NtStatus, UserPtr};
use ntlpc_proto::port::Qos;

use crate::engine::SecurityContext;
use crate::guest;
use crate::host::{self, PORT_ALL_ACCESS};

/// `ALPC_SECFLG_CREATE_HANDLE` (alpc §1.5).
pub(super) const CREATE_HANDLE: u32 = 0x2_0000;
/// Length of a `SECURITY_QUALITY_OF_SERVICE`.
const QOS_LENGTH: u32 = 12;

pub(crate) fn nt_alpc_create_security_context(
    port_handle: Handle,
    flags: u32,
    security_attribute: UserPtr,
) -> Result<(), NtStatus> {
    let width = host::current().personality().guest;
    if flags != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let attribute: AlpcSecurityAttr = guest::read(security_attribute, width)?;
    guest::write(security_attribute, width, &attribute)?;
    if attribute.flags & !CREATE_HANDLE != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let qos = capture_qos(attribute.qos)?;
    let port = host::current().port(port_handle, PORT_ALL_ACCESS)?;
    let number = port.resources.add_context(capture_context(qos));
    let made = AlpcSecurityAttr {
        context: Handle(number),
        ..attribute
    };
    let written = guest::write(security_attribute, width, &made);
    if written.is_err() {
        port.resources.remove_context(number)?;
    }
    written
}

/// Reads the quality of service a context must have.
pub(super) fn capture_qos(at: UserPtr) -> Result<Qos, NtStatus> {
    /// `SecurityDelegation`.
    const HIGHEST_LEVEL: u32 = 3;
    let raw: SecurityQos = guest::read(at, host::current().personality().guest)?;
    if raw.length != QOS_LENGTH {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    if raw.level > HIGHEST_LEVEL {
        return Err(NtStatus::BAD_IMPERSONATION_LEVEL);
    }
    Ok(Qos {
        level: raw.level,
        is_dynamic: raw.tracking != 0,
        is_effective_only: raw.effective_only != 0,
    })
}

/// Makes a context of what the calling thread is now.
pub(super) fn capture_context(qos: Qos) -> SecurityContext {
    SecurityContext {
        token: host::current().effective_token().into(),
        qos,
        is_revoked: false,
    }
}

pub(crate) fn nt_alpc_delete_security_context(
    port_handle: Handle,
    flags: u32,
    context_handle: Handle,
) -> Result<(), NtStatus> {
    if flags != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let port = host::current().port(port_handle, PORT_ALL_ACCESS)?;
    port.resources.remove_context(context_handle.0)
}

pub(crate) fn nt_alpc_revoke_security_context(
    port_handle: Handle,
    flags: u32,
    context_handle: Handle,
) -> Result<(), NtStatus> {
    if flags != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let port = host::current().port(port_handle, PORT_ALL_ACCESS)?;
    port.resources.revoke_context(context_handle.0)
}
