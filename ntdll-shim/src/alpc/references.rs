//! Calls counted on a port, and waiting until they are over (alpc §1.6 class 11, §1.7).
//!
//! `ALPC_MSGFLG_TRACK_PORT_REFERENCES` makes a call count on its port while it runs. What else references a port on Windows
//! is not known; waiting for the calls is what a program that closes a port needs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ntlpc_abi::{NtStatus, UserPtr};
use ntlpc_shm::sys::{Woken, futex_wait, futex_wake};

use crate::engine::Port;
use crate::{guest, host, interrupt};

/// A counted call.
#[derive(Debug)]
pub(super) struct Reference(Arc<Port>);

impl Reference {
    /// Counts a call on `port` until it is over.
    pub fn new(port: &Arc<Port>) -> Reference {
        port.references.fetch_add(1, Ordering::SeqCst);
        Reference(Arc::clone(port))
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        self.0.references.fetch_sub(1, Ordering::SeqCst);
        futex_wake(&self.0.references, i32::MAX);
    }
}

/// Waits until at most as many counted calls run on the port as the buffer says.
pub(super) fn wait_for_port_references(
    port: &Port,
    buffer: UserPtr,
    length: u32,
) -> Result<(), NtStatus> {
    if length as usize != size_of::<u32>() {
        return Err(NtStatus::INFO_LENGTH_MISMATCH);
    }
    let most = guest::read_u32(buffer)?;
    loop {
        let count = port.references.load(Ordering::SeqCst);
        if count <= most {
            return Ok(());
        }
        if host::current().is_thread_terminating() {
            return Err(NtStatus::THREAD_IS_TERMINATING);
        }
        let woken = interrupt::waiting(|| futex_wait(&port.references, count, None));
        if woken == Woken::Signal {
            host::current().interrupted();
        }
    }
}
