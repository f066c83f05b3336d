//! NtListenPort (lpc §2.5): receives, and discards everything but connection requests.

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use super::message::{LPC_CONNECTION_REQUEST, deliver, probe_receive};
use crate::engine::{self, Incoming};
use crate::host;

pub(crate) fn nt_listen_port(
    port_handle: Handle,
    connection_request: UserPtr,
) -> Result<(), NtStatus> {
    probe_receive(connection_request)?;
    let port = host::port(port_handle, 0)?;
    engine::with_buffer(|data| {
        let mut incoming = Incoming::default();
        loop {
            if engine::receive(&port, None, &mut incoming, data)?
                && incoming.message_type == LPC_CONNECTION_REQUEST
            {
                return deliver(connection_request, &incoming, data);
            }
        }
    })
}
