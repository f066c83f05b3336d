//! NtCompleteConnectPort (lpc §2.7).

use std::sync::atomic::Ordering;

use ntlpc_abi::{Handle, NtStatus};
use ntlpc_proto::port::{Complete, PortKind};
use ntlpc_shm::segment::Connecting;

use crate::engine::session;
use crate::host::{self, PORT_ALL_ACCESS};

pub(crate) fn nt_complete_connect_port(port_handle: Handle) -> Result<(), NtStatus> {
    let port = host::port(port_handle, PORT_ALL_ACCESS)?;
    if port.kind != PortKind::Server {
        return Err(NtStatus::INVALID_PORT_HANDLE);
    }
    // What the server would answer is known here: a second complete is wrong, one for a client that is gone is not.
    let is_completed = port.is_completed.swap(true, Ordering::AcqRel)
        || port.connection()?.segment.connecting() == Connecting::Accepted;
    if is_completed {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    session()?.post(&Complete { port: port.id })
}
