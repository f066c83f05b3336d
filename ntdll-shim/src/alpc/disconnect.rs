//! NtAlpcDisconnectPort (alpc §2.6).

use ntlpc_abi::{Handle, NtStatus};
use ntlpc_proto::port::{Disconnect, PortKind};

use crate::engine::{me, session};
use crate::host::{self, PORT_ALL_ACCESS};

/// `ALPC_DISCONNECTFLG_NO_FLUSH_ON_CLOSE`: what the peer has not answered yet is left alone, as it is here in any case.
const NO_FLUSH: u32 = 1;

pub(crate) fn nt_alpc_disconnect_port(port_handle: Handle, flags: u32) -> Result<(), NtStatus> {
    if flags & !NO_FLUSH != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let port = host::port(port_handle, PORT_ALL_ACCESS)?;
    if !matches!(port.kind, PortKind::Client | PortKind::Server) {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let request = Disconnect {
        port: port.id,
        tno: me()?.tno,
    };
    session()?.call(&request, &[]).map(|_| ())
}
