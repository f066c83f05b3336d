//! Taking over a port whose handle came from another process.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ntlpc_abi::NtStatus;
use ntlpc_proto::port::{AdoptPort, AdoptPortReply, PortKind};
use ntlpc_shm::segment::{Direction, EndAttributes};

use super::{Connection, NewPort, Port, Queue, session};

/// Makes the object of a port granted to this process.
///
/// # Errors
/// `INVALID_HANDLE` if it was not, `INSUFFICIENT_RESOURCES`.
pub fn adopt(port: u64) -> Result<(Arc<Port>, Option<OwnedFd>), NtStatus> {
    let (reply, fds) = session()?.call(&AdoptPort { port }, &[])?;
    adopted(&reply, fds)
}

/// Makes the object of the port whose lifetime descriptor this process holds.
///
/// # Errors
/// `OBJECT_TYPE_MISMATCH` if it is no port's, `INSUFFICIENT_RESOURCES`.
pub fn adopt_by_lifetime(lifetime: BorrowedFd<'_>) -> Result<Arc<Port>, NtStatus> {
    let (reply, fds) = session()?.call(&AdoptPort { port: 0 }, &[lifetime])?;
    adopted(&reply, fds).map(|(port, _)| port)
}

fn adopted(
    reply: &AdoptPortReply,
    fds: Vec<OwnedFd>,
) -> Result<(Arc<Port>, Option<OwnedFd>), NtStatus> {
    let session = session()?;
    let mut fds = fds.into_iter();
    let inbox = session.inbox(fds.next())?;
    let segment = session.segment(fds.next())?;
    let lifetime = fds.next();
    let (queue, connection) = match reply.kind {
        PortKind::Connection | PortKind::Unconnected => (
            Queue::of_connection_port(reply.port, inbox.clone(), reply.is_alpc, Some(segment)),
            None,
        ),
        PortKind::Server => {
            let queue = Queue::of_connection_port(
                reply.connection_port,
                inbox.clone(),
                reply.is_alpc,
                None,
            );
            let connection = Connection::new(segment, Direction::ToClient, reply.source, false, 0);
            queue.add_source(&connection, Direction::ToServer, reply.context, None);
            (queue, Some(connection))
        }
        PortKind::Client => {
            let connection = Connection::new(segment, Direction::ToServer, reply.source, false, 0);
            (
                Queue::of_client_port(reply.port, &connection, reply.is_alpc, UNKNOWN_PROCESS),
                Some(connection),
            )
        }
    };
    let port = Port::new(NewPort {
        id: reply.port,
        kind: reply.kind,
        is_alpc: reply.is_alpc,
        attributes: EndAttributes {
            flags: reply.alpc.flags,
            object_types: reply.alpc.object_types,
        },
        connection_port: reply.connection_port,
        max_message: reply.max_message,
        queue,
        tickets: inbox,
        connection,
        resources: Arc::default(),
    });
    port.context.store(reply.context, Ordering::Relaxed);
    Ok((port, lifetime))
}

/// Number of no process: the sender of the first message is asked for.
const UNKNOWN_PROCESS: u32 = 0;
