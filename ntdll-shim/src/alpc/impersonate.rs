//! NtAlpcImpersonateClientOfPort, NtAlpcImpersonateClientContainerOfPort (alpc §2.14). The server checks; the host
//! impersonates.

use ntlpc_abi::{Handle, NtStatus, UserPtr};
use ntlpc_proto::Bytes;
use ntlpc_proto::port::{Impersonate, Target};
use ntlpc_proto::process::Token;
use ntlpc_proto::wire::{Reader, Wire};

use super::handshake;
use super::message::Message;
use super::security;
use crate::engine::{self, me, session};
use crate::host::{self, PORT_ALL_ACCESS};

/// Flags in the pointer-sized argument (alpc §1.7).
const ANONYMOUS: u64 = 1;
const REQUIRE_LEVEL: u64 = 2;
const LEVEL_SHIFT: u32 = 2;

pub(crate) fn nt_alpc_impersonate_client_of_port(
    port_handle: Handle,
    message: UserPtr,
    flags: u64,
) -> Result<(), NtStatus> {
    let host = host::current();
    let name = Message::capture(message)?.name();
    let port = host::port(port_handle, PORT_ALL_ACCESS)?;
    let asked = handshake::asked(&port, name).map_err(|_| NtStatus::ACCESS_DENIED)?;
    if let Some(token) = security::token_of(&asked)? {
        let token = Bytes(token);
        check_level(&token, flags)?;
        return host.impersonate(&token.0);
    }
    let received = engine::received(&port, name).map_err(|_| NtStatus::ACCESS_DENIED)?;
    let sender = session()?
        .thread(received.sender)
        .ok_or(NtStatus::ACCESS_DENIED)?;
    let request = Impersonate {
        tno: me()?.tno,
        port: port.id,
        target: Target {
            pid: sender.process,
            tid: sender.thread,
            message_id: name.id,
            source: received.connection.source,
            slot: received.slot,
        },
    };
    let (reply, _) = session()?.call(&request, &[])?;
    check_level(&reply.token, flags)?;
    host.impersonate(&reply.token.0)
}

/// Checks the level of a token against what the caller allows or requires.
fn check_level(token: &Bytes, flags: u64) -> Result<(), NtStatus> {
    let token = Token::get(&mut Reader::new(&token.0)).map_err(|_| NtStatus::UNSUCCESSFUL)?;
    let level = u64::from(token.level);
    if level == 0 && flags & ANONYMOUS == 0 && flags & REQUIRE_LEVEL != 0 {
        return Err(NtStatus::CANNOT_IMPERSONATE);
    }
    if flags & REQUIRE_LEVEL != 0 && level < flags >> LEVEL_SHIFT {
        return Err(NtStatus::BAD_IMPERSONATION_LEVEL);
    }
    Ok(())
}

/// There are no server silos here, so no sender is in a container: its token is the one to take (alpc#282).
pub(crate) fn nt_alpc_impersonate_client_container_of_port(
    port_handle: Handle,
    message: UserPtr,
    flags: u32,
) -> Result<(), NtStatus> {
    if flags != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    nt_alpc_impersonate_client_of_port(port_handle, message, 0)
}
