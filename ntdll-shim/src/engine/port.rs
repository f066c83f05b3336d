//! A port object as one process holds it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use ntlpc_abi::NtStatus;
use ntlpc_proto::port::{ClosePort, OpenSelf, PortKind};
use ntlpc_shm::inbox::Inbox;
use ntlpc_shm::lane::Cursor;
use ntlpc_shm::receive::Receiver;
use ntlpc_shm::segment::{Direction, SELF_SOURCE, SYSTEM_SOURCE, Segment};
use parking_lot::Mutex;

use super::session::{me, session};
use crate::interrupt;

/// What a queue knows of the other end of a source.
#[derive(Debug, Default)]
pub struct Peer {
    /// PortContext to deliver with its messages.
    pub context: u64,
    /// Process numbers that were seen to hold the sending port. Usually one.
    pub processes: Vec<u32>,
}

/// The queue behind a port that receives, shared by every port object of the process that receives from it.
#[derive(Debug)]
pub struct Queue {
    /// The server's number of the receiving port.
    pub port: u64,
    /// Its shared side.
    pub inbox: Inbox,
    /// Its private order; one lock for the threads of this process.
    pub receiver: Mutex<Receiver<Peer>>,
    /// Whether the port is waitable.
    pub is_waitable: bool,
}

static QUEUES: Mutex<Option<HashMap<u64, Weak<Queue>>>> = Mutex::new(None);

impl Queue {
    /// Returns the queue of the connection port numbered `port`, made on first use.
    pub fn of_connection_port(
        port: u64,
        is_waitable: bool,
        inbox: Inbox,
        system: Option<Segment>,
    ) -> Arc<Queue> {
        let _guard = interrupt::enter();
        let mut queues = QUEUES.lock();
        let queues = queues.get_or_insert_default();
        queues.retain(|_, queue| queue.strong_count() > 0);
        let queue = queues
            .get(&port)
            .and_then(Weak::upgrade)
            .unwrap_or_else(|| {
                let queue = Arc::new(Queue {
                    port,
                    inbox,
                    receiver: Mutex::default(),
                    is_waitable,
                });
                queues.insert(port, Arc::downgrade(&queue));
                queue
            });
        if let Some(system) = system {
            queue.receiver.lock().insert(
                SYSTEM_SOURCE,
                system,
                Direction::ToServer,
                Peer::default(),
            );
        }
        queue
    }

    /// Returns the queue of the connection port numbered `port`, if this process receives from it.
    #[must_use]
    pub fn find(port: u64) -> Option<Arc<Queue>> {
        let _guard = interrupt::enter();
        QUEUES.lock().as_ref()?.get(&port)?.upgrade()
    }

    /// Returns the queue of a client communication port.
    #[must_use]
    pub fn of_client_port(port: u64, segment: &Segment) -> Arc<Queue> {
        let mut receiver = Receiver::default();
        receiver.insert(
            SELF_SOURCE,
            segment.clone(),
            Direction::ToClient,
            Peer::default(),
        );
        Arc::new(Queue {
            port,
            inbox: segment.client_inbox(),
            receiver: Mutex::new(receiver),
            is_waitable: false,
        })
    }
}

/// A connection as one of its ends sees it.
#[derive(Debug)]
pub struct Connection {
    /// Its memory.
    pub segment: Segment,
    /// The lane this end sends in.
    pub outgoing: Direction,
    /// Where the next free slot of each lane is looked for: to server, to client.
    pub cursors: [Cursor; 2],
    /// Source number in the connection port's inbox.
    pub source: u32,
}

impl Connection {
    /// Makes the view of one end.
    #[must_use]
    pub fn new(segment: Segment, outgoing: Direction, source: u32) -> Arc<Connection> {
        Arc::new(Connection {
            segment,
            outgoing,
            cursors: Default::default(),
            source,
        })
    }

    /// Returns the cursor of a lane.
    #[must_use]
    pub fn cursor(&self, direction: Direction) -> &Cursor {
        &self.cursors[usize::from(direction == Direction::ToClient)]
    }
}

/// A port object of this process. Handles and running calls share it; when the last lets go, the process gives up its
/// reference at the server.
#[derive(Debug)]
pub struct Port {
    /// The server's number of the port.
    pub id: u64,
    /// What it is.
    pub kind: PortKind,
    /// Whether its object type is `WaitablePort`.
    pub is_waitable: bool,
    /// Whether an ALPC call made it.
    pub is_alpc: bool,
    /// The server's number of its connection port; its own for a connection or unconnected port.
    pub connection_port: u64,
    /// Largest `TotalLength`, as given by the creator of the connection port.
    pub max_message: u32,
    /// PortContext of a server communication port.
    pub context: AtomicU64,
    /// Queue that receives on this port look at.
    pub queue: Arc<Queue>,
    /// Inbox of the connection port: the source of message ids, and where a client's messages go.
    pub tickets: Inbox,
    /// Addresses of the views this port keeps mapped in this process.
    pub views: Mutex<Vec<u64>>,
    /// The connection; made on demand for messages a port sends to itself.
    connection: OnceLock<Arc<Connection>>,
}

impl Port {
    /// Makes the object of a connection or unconnected port.
    #[must_use]
    pub fn listening(
        id: u64,
        kind: PortKind,
        max_message: u32,
        is_alpc: bool,
        queue: Arc<Queue>,
    ) -> Arc<Port> {
        Arc::new(Port {
            id,
            kind,
            is_waitable: queue.is_waitable,
            is_alpc,
            connection_port: id,
            max_message,
            context: AtomicU64::new(0),
            tickets: queue.inbox.clone(),
            queue,
            views: Mutex::default(),
            connection: OnceLock::new(),
        })
    }

    /// Makes the object of a communication port. `tickets` is the inbox of its connection port.
    #[must_use]
    pub fn communication(
        id: u64,
        kind: PortKind,
        connection_port: u64,
        max_message: u32,
        queue: Arc<Queue>,
        tickets: Inbox,
        connection: Arc<Connection>,
    ) -> Arc<Port> {
        Arc::new(Port {
            id,
            kind,
            is_waitable: false,
            is_alpc: false,
            connection_port,
            max_message,
            context: AtomicU64::new(0),
            queue,
            tickets,
            views: Mutex::default(),
            connection: OnceLock::from(connection),
        })
    }

    /// Returns the connection this port sends on; a connection or unconnected port gets one to itself.
    ///
    /// # Errors
    /// What the server answers.
    pub fn connection(&self) -> Result<&Arc<Connection>, NtStatus> {
        if let Some(connection) = self.connection.get() {
            return Ok(connection);
        }
        let (reply, mut fds) = session()?.call(&OpenSelf { port: self.id }, &[])?;
        let segment = session()?.segment(fds.pop())?;
        let connection = Connection::new(segment.clone(), Direction::ToServer, reply.source);
        let peer = Peer {
            context: 0,
            processes: vec![session()?.process_no],
        };
        {
            let _guard = interrupt::enter();
            let mut receiver = self.queue.receiver.lock();
            if receiver.source(reply.source).is_none() {
                receiver.insert(reply.source, segment, Direction::ToServer, peer);
            }
        }
        Ok(self.connection.get_or_init(|| connection))
    }

    /// Returns the connection if there is one already.
    #[must_use]
    pub fn existing_connection(&self) -> Option<&Arc<Connection>> {
        self.connection.get()
    }

    /// Returns the inbox and the source number a message sent on this port arrives at.
    #[must_use]
    pub fn destination(&self, connection: &Connection) -> (Inbox, u32) {
        match connection.outgoing {
            Direction::ToServer => (self.tickets.clone(), connection.source),
            Direction::ToClient => (connection.segment.client_inbox(), SELF_SOURCE),
        }
    }

    /// Returns the PortContext.
    #[must_use]
    pub fn context(&self) -> u64 {
        self.context.load(Ordering::Relaxed)
    }

    /// Returns the name of the object type (lpc#36; alpc §1.9).
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match (self.is_alpc, self.is_waitable) {
            (true, _) => "ALPC Port",
            (false, true) => "WaitablePort",
            (false, false) => "Port",
        }
    }

    /// Returns the address of the futex word that is 1 while a waitable port has a message. Others are always signalled
    /// (lpc#40).
    #[must_use]
    pub fn signal_address(&self) -> Option<usize> {
        self.is_waitable.then(|| self.queue.inbox.signal_address())
    }

    /// Returns whether a wait on the port is satisfied.
    #[must_use]
    pub fn is_signalled(&self) -> bool {
        !self.is_waitable || self.queue.inbox.is_signalled()
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        for base in std::mem::take(&mut *self.views.lock()) {
            crate::host::current().unmap_view(base);
        }
        let tno = me().map_or(0, |me| me.tno);
        if let Ok(session) = session()
            && let Err(error) = session.call(&ClosePort { port: self.id, tno }, &[])
        {
            log::debug!("closing port {}: {error}", self.id);
        }
    }
}
