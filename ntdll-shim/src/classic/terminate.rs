//! NtRegisterThreadTerminatePort (lpc §2.18, §3.6).

use std::cell::RefCell;
use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};
use ntlpc_proto::process::RegisterTerminatePort;

use crate::engine::{Port, me, session};
use crate::host::{self, PORT_ALL_ACCESS};

thread_local! {
    /// A registration keeps the port after its handle is closed, until the thread exits.
    static REGISTERED: RefCell<Vec<Arc<Port>>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn nt_register_thread_terminate_port(port_handle: Handle) -> Result<(), NtStatus> {
    let port = host::port(port_handle, PORT_ALL_ACCESS)?;
    session()?.call(
        &RegisterTerminatePort {
            tno: me()?.tno,
            port: port.id,
        },
        &[],
    )?;
    REGISTERED.with_borrow_mut(|ports| ports.push(port));
    Ok(())
}

/// Lets go of the ports the calling thread registered, after its notices were queued; newest first.
pub fn release_terminate_ports() {
    let mut ports = REGISTERED.take();
    while let Some(port) = ports.pop() {
        drop(port);
    }
}
