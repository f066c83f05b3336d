//! A port object as one process holds it.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use ntlpc_abi::NtStatus;
use ntlpc_proto::port::{ClosePort, OpenLifetime, OpenSelf, PortKind, QueryPort};
use ntlpc_shm::inbox::Inbox;
use ntlpc_shm::lane::Cursor;
use ntlpc_shm::segment::{Direction, EndAttributes, SELF_SOURCE, Segment};
use parking_lot::Mutex;

use super::loss;
use super::queue::Queue;
use super::resources::Resources;
use super::session::{generation, me, session};

/// A connection as one of its ends sees it.
#[derive(Debug)]
pub struct Connection {
    /// Its memory.
    pub segment: Segment,
    /// The lane this end sends in.
    pub outgoing: Direction,
    /// Source number in the connection port's inbox.
    pub source: u32,
    /// Whether the server made it for messages of the kernel (exceptions): other types than a program's are accepted.
    pub is_kernel: bool,
    /// CPU the other end last ran on; a hint.
    pub peer_cpu: AtomicU16,
    /// Linux process at the other end, as it was when the connection was made; 0 = unknown.
    pub peer_pid: AtomicU32,
    /// The other end serves several: do not spin for its answers.
    pub is_crowded: AtomicBool,
    /// Where the next free slot of each lane is looked for.
    cursors: [Cursor; 2],
    /// The inbox of the client's port.
    client_inbox: Inbox,
}

impl Connection {
    /// Makes the view of one end.
    #[must_use]
    pub fn new(
        segment: Segment,
        outgoing: Direction,
        source: u32,
        is_kernel: bool,
        peer_pid: u32,
    ) -> Arc<Connection> {
        let client_inbox = segment.client_inbox();
        let connection = Arc::new(Connection {
            segment,
            outgoing,
            source,
            is_kernel,
            peer_cpu: AtomicU16::new(u16::MAX),
            peer_pid: AtomicU32::new(peer_pid),
            is_crowded: AtomicBool::new(false),
            cursors: Default::default(),
            client_inbox,
        });
        loss::note(&connection);
        connection
    }

    /// Returns the cursor of a lane.
    #[must_use]
    pub fn cursor(&self, direction: Direction) -> &Cursor {
        &self.cursors[usize::from(direction == Direction::ToClient)]
    }
}

/// `ALPC_PORTFLG_WAITABLE_PORT` (alpc §1.3).
const WAITABLE: u32 = 0x4_0000;

/// What a port object is made from.
#[derive(Debug)]
pub struct NewPort {
    /// The server's number of the port.
    pub id: u64,
    /// What it is.
    pub kind: PortKind,
    /// Whether an ALPC call made it.
    pub is_alpc: bool,
    /// Its attributes, of a receiving ALPC port; communication ports have them in their connection.
    pub attributes: EndAttributes,
    /// The server's number of its connection port; its own for a connection or unconnected port.
    pub connection_port: u64,
    /// Largest `TotalLength`, as given by the creator of the connection port.
    pub max_message: u32,
    /// Queue that receives on this port look at.
    pub queue: Arc<Queue>,
    /// Inbox of the connection port: the source of message ids, and where a client's messages go.
    pub tickets: Inbox,
    /// The connection of a communication port.
    pub connection: Option<Arc<Connection>>,
    /// What an ALPC port owns under numbers of its own.
    pub resources: Arc<Resources>,
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
    /// Largest `TotalLength`.
    pub max_message: u32,
    /// PortContext of a server communication port.
    pub context: AtomicU64,
    /// Messages received on it.
    pub sequence: AtomicU32,
    /// Calls under way that count (alpc §1.7 TRACK_PORT_REFERENCES).
    pub references: AtomicU32,
    /// Attributes of a receiving ALPC port.
    attributes: Mutex<EndAttributes>,
    /// Queue that receives on this port look at.
    pub queue: Arc<Queue>,
    /// Inbox of the connection port.
    pub tickets: Inbox,
    /// Addresses of the views this port keeps mapped in this process.
    pub views: Mutex<Vec<u64>>,
    /// What an ALPC port owns under numbers of its own.
    pub resources: Arc<Resources>,
    /// Whether a server communication port was completed.
    pub is_completed: AtomicBool,
    /// The lifetime descriptor, for a host whose handles are copies of it: calls under way keep the port, too.
    pub lifetime: Mutex<Option<OwnedFd>>,
    /// Which server of this process knows it.
    generation: usize,
    /// Whether the process gave up its reference at the server.
    is_given_up: AtomicBool,
    /// The connection; made on demand for messages a port sends to itself.
    connection: OnceLock<Arc<Connection>>,
}

impl Port {
    /// Makes a port object.
    #[must_use]
    pub fn new(new: NewPort) -> Arc<Port> {
        Arc::new(Port {
            id: new.id,
            kind: new.kind,
            is_waitable: match new.kind {
                PortKind::Server => new.is_alpc && new.attributes.flags & WAITABLE != 0,
                PortKind::Client if !new.is_alpc => false,
                _ => new.queue.inbox.is_waitable(),
            },
            sequence: AtomicU32::new(0),
            references: AtomicU32::new(0),
            attributes: Mutex::new(new.attributes),
            is_alpc: new.is_alpc,
            connection_port: new.connection_port,
            max_message: new.max_message,
            context: AtomicU64::new(0),
            queue: new.queue,
            tickets: new.tickets,
            views: Mutex::default(),
            resources: new.resources,
            is_completed: AtomicBool::new(false),
            lifetime: Mutex::default(),
            generation: generation(),
            is_given_up: AtomicBool::new(false),
            connection: new.connection.map_or_else(OnceLock::new, OnceLock::from),
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
        let session = session()?;
        let (reply, mut fds) = session.call(&OpenSelf { port: self.id }, &[])?;
        let segment = session.segment(fds.pop())?;
        let connection = Connection::new(
            segment,
            Direction::ToServer,
            reply.source,
            false,
            std::process::id(),
        );
        self.queue.add_source(
            &connection,
            Direction::ToServer,
            0,
            Some(session.process_no),
        );
        Ok(self.connection.get_or_init(|| connection))
    }

    /// Returns whether the server that knew the port is dead and this process has another.
    #[must_use]
    #[inline]
    pub fn is_stale(&self) -> bool {
        self.generation != generation()
    }

    /// Returns the connection if there is one already.
    #[must_use]
    pub fn existing_connection(&self) -> Option<&Arc<Connection>> {
        self.connection.get()
    }

    /// Returns the attributes of an ALPC port: a communication port's are where the other end sees them.
    #[must_use]
    pub fn attributes(&self) -> EndAttributes {
        match self.own_end() {
            Some((segment, direction)) => segment.attributes(direction),
            None => *self.attributes.lock(),
        }
    }

    /// Returns the attributes of the end that receives what comes by a source: on a connection port those given to accept.
    #[must_use]
    pub fn attributes_for(&self, source: u32) -> EndAttributes {
        if self.own_end().is_some() {
            return self.attributes();
        }
        let state = self.queue.state.lock();
        let source = state.receiver.source(source);
        match source.and_then(|source| source.peer.connection.as_ref()) {
            Some(connection) => connection.segment.attributes(Direction::ToServer),
            None => *self.attributes.lock(),
        }
    }

    /// Sets the attributes of an ALPC port.
    pub fn set_attributes(&self, attributes: EndAttributes) {
        match self.own_end() {
            Some((segment, direction)) => segment.set_attributes(direction, attributes),
            None => *self.attributes.lock() = attributes,
        }
    }

    /// Returns the segment of a communication port and the direction it receives in.
    fn own_end(&self) -> Option<(&Segment, Direction)> {
        let connection = self.connection.get()?;
        let is_end = matches!(self.kind, PortKind::Client | PortKind::Server);
        is_end.then(|| (&connection.segment, connection.outgoing.opposite()))
    }

    /// Returns the inbox and the source number at the end of a lane of one of this port's connections.
    pub(super) fn end_of<'a>(
        &'a self,
        connection: &'a Connection,
        direction: Direction,
    ) -> (&'a Inbox, u32) {
        match direction {
            Direction::ToServer => (&self.tickets, connection.source),
            Direction::ToClient => (&connection.client_inbox, SELF_SOURCE),
        }
    }

    /// Returns the source number messages of a connection have in the queue this port receives from.
    #[must_use]
    pub(super) fn receives_as(&self, connection: &Connection) -> u32 {
        match connection.outgoing {
            Direction::ToServer => SELF_SOURCE,
            Direction::ToClient => connection.source,
        }
    }

    /// Tells the host of a message sent to `inbox`, where waits on waitable ports cannot watch shared memory.
    pub fn signal_peer(&self, inbox: &Inbox) {
        if inbox.is_waitable() {
            crate::host::current().port_signal_changed(self.connection_port, true);
        }
    }

    /// Returns a copy of the lifetime descriptor, made by the first call: with it the port crosses to another process.
    ///
    /// # Errors
    /// `TOO_MANY_OPENED_FILES`, or what the server answers.
    pub fn share(&self) -> Result<OwnedFd, NtStatus> {
        let mut lifetime = self.lifetime.lock();
        if lifetime.is_none() {
            let (_, mut fds) = session()?.call(&OpenLifetime { port: self.id }, &[])?;
            *lifetime = fds.pop();
        }
        let lifetime = lifetime.as_ref().ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
        lifetime
            .try_clone()
            .map_err(|_| NtStatus::TOO_MANY_OPENED_FILES)
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

    /// Returns the port's name; empty for one without, and once the name is gone.
    #[must_use]
    pub fn name(&self) -> Vec<u16> {
        session()
            .and_then(|session| session.call(&QueryPort { port: self.id }, &[]))
            .map(|(reply, _)| reply.name.0)
            .unwrap_or_default()
    }

    /// Returns the address of a futex word that keeps a value, returned too, while a waitable port has no message. Others are
    /// always signalled (lpc#40). Who waits looks at [`Port::is_signalled`] once more after this.
    #[must_use]
    pub fn watch_signal(&self) -> Option<(usize, u32)> {
        if !self.is_waitable {
            return None;
        }
        Some(match self.own_client() {
            Some(connection) => {
                connection.segment.arm_lane();
                (connection.segment.lane_bell_address(), 1)
            }
            None => (self.queue.inbox.signal_address(), 0),
        })
    }

    /// Returns whether a wait on the port is satisfied. An ALPC server communication port has its own client's messages
    /// (alpc §2.5.3, §3.7).
    #[must_use]
    pub fn is_signalled(&self) -> bool {
        if !self.is_waitable {
            return true;
        }
        let Some(connection) = self.own_client() else {
            return self.queue.inbox.is_signalled();
        };
        let segment = &connection.segment;
        segment.is_closed() || !segment.lane(Direction::ToServer).map().is_empty() || {
            let state = self.queue.state.lock();
            let is_its = |source| source == connection.source;
            state.kept.iter().any(|kept| is_its(kept.incoming.source))
        }
    }

    /// Returns the connection of a server communication port.
    fn own_client(&self) -> Option<&Arc<Connection>> {
        let connection = self.connection.get()?;
        (self.kind == PortKind::Server).then_some(connection)
    }

    /// The last handle of this process was closed. A connection or unconnected port ends with its handles, calls under way
    /// on it find that out; a communication port lives until the last of them is over (lpc §3.1).
    pub fn handles_closed(&self) {
        if self.ends_with_handles() {
            self.give_up();
        }
    }

    /// Returns whether the port ends with its handles, whatever calls are under way.
    #[must_use]
    pub fn ends_with_handles(&self) -> bool {
        matches!(self.kind, PortKind::Connection | PortKind::Unconnected)
    }

    /// Ends the port for this process before the last reference is dropped. For hosts whose threads may be ended inside of
    /// calls: their references are never dropped.
    pub fn end(&self) {
        self.unmap_views();
        self.give_up();
    }

    fn unmap_views(&self) {
        for base in std::mem::take(&mut *self.views.lock()) {
            crate::host::current().unmap_view(base);
        }
    }

    /// Gives up the reference at the server. The lifetime descriptor goes first: the request then ends the port, unless
    /// another process has a copy.
    fn give_up(&self) {
        if self.is_given_up.swap(true, Ordering::Relaxed) {
            return;
        }
        drop(self.lifetime.lock().take());
        self.queue.notifier.look_again();
        if self.is_stale() {
            return;
        }
        let tno = me().map_or(0, |me| me.tno);
        let request = ClosePort { port: self.id, tno };
        let Ok(session) = session() else {
            return;
        };
        // Nobody learns anything from the end of a connection that has ended.
        let has_ended = self.own_end().is_some_and(|(end, _)| end.is_closed());
        let closed = match has_ended {
            true => session.post(&request),
            false => session.call(&request, &[]).map(drop),
        };
        if let Err(status) = closed {
            log::debug!("closing port {}: {status}", self.id);
        }
        if self.resources.has_sent() {
            crate::alpc::reclaim();
        }
    }

    /// A server communication port whose client is told by no PORT_CLOSED lets go of its source once nothing is queued
    /// there (lpc#188).
    fn forget_closed_source(&self) {
        let (PortKind::Server, Some(connection)) = (self.kind, self.connection.get()) else {
            return;
        };
        let is_drained = connection
            .segment
            .lane(Direction::ToServer)
            .map()
            .is_empty();
        if connection.segment.is_closed() && is_drained {
            self.queue.state.lock().forget(connection.source);
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.unmap_views();
        crate::alpc::release_views(self);
        self.give_up();
        self.forget_closed_source();
    }
}
