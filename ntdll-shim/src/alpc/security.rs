//! Security contexts, and the SECURITY attribute (alpc §1.5, §2.13).

use std::sync::Arc;

use ntlpc_abi::layout::{AlpcSecurityAttr, SecurityQos};
use ntlpc_abi::{Handle, NtStatus, UserPtr, attributes};
use ntlpc_proto::port::Qos;

use super::attachment::{self, Bundle, Item};
use super::frame::{self, Delivery, Sending};
use super::handshake::Asked;
use super::message::width;
use crate::engine::SecurityContext;
use crate::guest;
use crate::host::{self, PORT_ALL_ACCESS};

/// `ALPC_SECFLG_DELETE_EXISTING`: the context goes with the message.
const DELETE_EXISTING: u32 = 0x1_0000;
/// Stands for a context that is to be made (alpc §1.5).
const NEW_CONTEXT: u64 = u64::MAX - 1;
/// `ALPC_SECFLG_CREATE_HANDLE` (alpc §1.5).
const CREATE_HANDLE: u32 = 0x2_0000;
/// Length of a `SECURITY_QUALITY_OF_SERVICE`.
const QOS_LENGTH: u32 = 12;

pub(crate) fn nt_alpc_create_security_context(
    port_handle: Handle,
    flags: u32,
    security_attribute: UserPtr,
) -> Result<(), NtStatus> {
    let width = host::personality().guest;
    if flags != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let attribute: AlpcSecurityAttr = guest::read(security_attribute, width)?;
    guest::write(security_attribute, width, &attribute)?;
    if attribute.flags & !CREATE_HANDLE != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let qos = capture_qos(attribute.qos)?;
    let port = host::port(port_handle, PORT_ALL_ACCESS)?;
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
fn capture_qos(at: UserPtr) -> Result<Qos, NtStatus> {
    /// `SecurityDelegation`.
    const HIGHEST_LEVEL: u32 = 3;
    let raw: SecurityQos = guest::read(at, host::personality().guest)?;
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
fn capture_context(qos: Qos) -> SecurityContext {
    SecurityContext {
        token: host::current().effective_token().into(),
        qos,
        serial: SecurityContext::next_serial(),
        is_revoked: false,
    }
}

/// Takes the context a message is sent with, or makes one (alpc#215).
pub(super) fn capture(at: UserPtr, sending: &mut Sending) -> Result<(), NtStatus> {
    let attribute: AlpcSecurityAttr = guest::read(at, width())?;
    if attribute.flags & !(DELETE_EXISTING | CREATE_HANDLE) != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let is_new = attribute.flags & CREATE_HANDLE != 0 || attribute.context.0 == NEW_CONTEXT;
    if is_new && attribute.flags & DELETE_EXISTING != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    if sending.is_accept && !is_new {
        // An acceptor may give the buffer back that it received (alpc#103): that context is the client's.
        return Ok(());
    }
    let resources = Arc::clone(sending.resources());
    let context = if is_new {
        capture_context(capture_qos(attribute.qos)?)
    } else {
        resources.context(attribute.context.0)?
    };
    if context.is_revoked {
        return Err(NtStatus::ACCESS_DENIED);
    }
    let mut bundle = Bundle::new(sending);
    let item = bundle.add_token(&context)?;
    bundle.give_to(sending);
    let number = if is_new {
        let number = resources.add_context(context);
        let owner = Arc::clone(&resources);
        sending.undo_with(move || {
            // A program that deleted it meanwhile has done our work.
            let _ = owner.remove_context(number);
        });
        let made = AlpcSecurityAttr {
            context: Handle(number),
            ..attribute
        };
        sending.when_sent(move |_| guest::write(at, width(), &made));
        number
    } else {
        attribute.context.0
    };
    if attribute.flags & DELETE_EXISTING != 0 {
        sending.when_sent(move |_| resources.remove_context(number));
    }
    let mut entry = item.encode().to_vec();
    entry.extend(number.to_le_bytes());
    sending.push(attributes::SECURITY, &entry);
    Ok(())
}

/// Writes the number the sender knows the context by.
pub(super) fn deliver(delivery: &Delivery<'_>) -> Result<bool, NtStatus> {
    let Some((_, context)) = delivery.entry.and_then(decode) else {
        return Ok(false);
    };
    let attribute = AlpcSecurityAttr {
        flags: 0,
        qos: UserPtr::NULL,
        context: Handle(context),
    };
    guest::write(delivery.at, width(), &attribute)?;
    Ok(true)
}

fn decode(entry: &[u8]) -> Option<(Item, u64)> {
    let (item, context) = Item::decode(entry)?;
    Some((item, u64::from_le_bytes(context.try_into().ok()?)))
}

/// Returns the token a received message was sent with; `None` if it was sent with none.
///
/// # Errors
/// What the server answers: the message is over.
pub(super) fn token_of(message: &Asked) -> Result<Option<Vec<u8>>, NtStatus> {
    let entry = frame::entry(&message.record, attributes::SECURITY);
    let Some((item, _)) = entry.and_then(decode) else {
        return Ok(None);
    };
    let (token, is_token, _) = item.take(false)?;
    // A peer may name any item of its own; only the server makes tokens.
    if is_token {
        Ok(Some(token))
    } else {
        Err(NtStatus::CANNOT_IMPERSONATE)
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
    let port = host::port(port_handle, PORT_ALL_ACCESS)?;
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
    let port = host::port(port_handle, PORT_ALL_ACCESS)?;
    attachment::revoke(&port.resources.revoke_context(context_handle.0)?);
    Ok(())
}
