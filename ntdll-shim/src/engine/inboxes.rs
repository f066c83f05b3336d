//! The inbox of the connection port this process last connected to: whoever connects to it again needs not map it again.

use std::os::fd::OwnedFd;

use ntlpc_abi::NtStatus;
use ntlpc_proto::port::ConnectReply;
use ntlpc_shm::inbox::Inbox;
use parking_lot::Mutex;

use super::session::{generation, session};

/// A mapped inbox.
#[derive(Clone, Debug)]
pub struct Known {
    generation: usize,
    /// The server's number of its connection port.
    pub port: u64,
    inbox: Inbox,
}

static LAST: Mutex<Option<Known>> = Mutex::new(None);

/// Returns the inbox that is known.
#[must_use]
pub fn last() -> Option<Known> {
    let last = LAST.lock();
    last.clone()
        .filter(|known| known.generation == generation())
}

/// Returns the inbox that belongs to the answer of a Connect that said it knows the one of `known`.
///
/// # Errors
/// `INSUFFICIENT_RESOURCES` if it did not come or cannot be mapped.
pub fn of(
    reply: &ConnectReply,
    fds: &mut impl Iterator<Item = OwnedFd>,
    known: Option<Known>,
) -> Result<Inbox, NtStatus> {
    if let Some(known) = known.filter(|known| known.port == reply.connection_port) {
        return Ok(known.inbox);
    }
    let inbox = session()?.inbox(fds.next())?;
    *LAST.lock() = Some(Known {
        generation: generation(),
        port: reply.connection_port,
        inbox: inbox.clone(),
    });
    Ok(inbox)
}
