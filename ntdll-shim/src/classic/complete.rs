//! NtCompleteConnectPort (lpc §2.7).

use ntlpc_abi::{Handle, NtStatus};
use ntlpc_proto::port::{Complete, PortKind};

use crate::engine::session;
use crate::host::{self, PORT_ALL_ACCESS};

pub(crate) fn nt_complete_connect_port(port_handle: Handle) -> Result<(), NtStatus> {
    let port = host::port(port_handle, PORT_ALL_ACCESS)?;
    if port.kind != PortKind::Server {
        return Err(NtStatus::INVALID_PORT_HANDLE);
    }
    session()?
        .call(&Complete { port: port.id }, &[])
        .map(|_| ())
}
