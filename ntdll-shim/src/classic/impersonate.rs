//! NtImpersonateClientOfPort (lpc §2.13). The server checks; the host impersonates.

use ntlpc_abi::{Handle, NtStatus, UserPtr};
use ntlpc_proto::port::{Impersonate, PortKind, Target};

use super::message::Message;
use crate::engine::{self, Port, To, me, session};
use crate::guest;
use crate::host::{self, PORT_ALL_ACCESS};

pub(crate) fn nt_impersonate_client_of_port(
    port_handle: Handle,
    message: UserPtr,
) -> Result<(), NtStatus> {
    let host = host::current();
    guest::check_aligned(message, host::personality().guest.pointer() as u64)?;
    let message = Message::capture(message)?;
    let port = host::port(port_handle, PORT_ALL_ACCESS)?;
    if port.kind != PortKind::Server {
        return Err(NtStatus::INVALID_PORT_HANDLE);
    }
    let request = Impersonate {
        tno: me()?.tno,
        port: port.id,
        target: target(&port, message.target()),
    };
    let (reply, _) = session()?.call(&request, &[])?;
    host.impersonate(&reply.token.0)
}

/// Names a waiting request for the server, which checks it again.
pub(super) fn target(port: &Port, to: To) -> Target {
    let (source, slot) = engine::locate(port, to).unwrap_or((u32::MAX, u32::MAX));
    Target {
        pid: to.client_id.process,
        tid: to.client_id.thread,
        message_id: to.message_id,
        source,
        slot,
    }
}
