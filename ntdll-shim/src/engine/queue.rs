//! The queue behind a port that receives, as one process sees it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU16};
use std::sync::{Arc, Weak};

use ntlpc_abi::ClientId;
use ntlpc_shm::Tno;
use ntlpc_shm::inbox::Inbox;
use ntlpc_shm::receive::Receiver;
use ntlpc_shm::segment::{Direction, SELF_SOURCE, SYSTEM_SOURCE, Segment};
use parking_lot::Mutex;

use super::message::{Data, Incoming};
use super::notify::Notifier;
use super::owed::Owed;
use super::port::{Connection, Port};

/// What a queue knows of the other end of a source.
#[derive(Debug, Default)]
pub struct Peer {
    /// PortContext to deliver with its messages.
    pub context: u64,
    /// Process numbers that are known to hold the sending port. Usually one.
    pub processes: Vec<u32>,
    /// The connection as this end sees it; none for the server's own messages.
    pub connection: Option<Arc<Connection>>,
}

/// A request that was delivered and not answered: where its requester waits, or which slot stands for the conversation.
#[derive(Clone, Debug)]
pub struct Outstanding {
    /// The connection it came by.
    pub connection: Arc<Connection>,
    /// Lane of the slot.
    pub direction: Direction,
    /// That slot.
    pub slot: u32,
    /// Generation of a slot in which nobody waits: the answer is a message of its own.
    pub conversation: Option<u32>,
    /// Callback id it was delivered with.
    pub callback_id: u32,
    /// Who sent it.
    pub sender: Tno,
    /// Whether something came with it besides its data.
    pub has_record: bool,
}

impl Cookie {
    /// Makes the cookie of a message sent on `port` by `connection`.
    #[must_use]
    pub fn new(port: &Arc<Port>, connection: &Connection, value: u64) -> Cookie {
        Cookie {
            value,
            port: Arc::downgrade(port),
            source: port.receives_as(connection),
        }
    }
}

/// A message that was taken and did not fit its receiver's buffer, or was made by this process for itself.
#[derive(Debug)]
pub struct Kept {
    /// The message.
    pub incoming: Incoming,
    /// Its data.
    pub data: Data,
}

/// What an end of a conversation remembers for itself while the other works on it.
#[derive(Clone, Debug, Default)]
pub struct Cookie {
    /// The program's value; 0 for none.
    pub value: u64,
    /// The port the message was sent on: the answer may arrive on another.
    pub port: Weak<Port>,
    /// Source the answer comes by.
    pub source: u32,
}

/// The private side of a queue.
#[derive(Debug, Default)]
pub struct QueueState {
    /// Its order over all sources.
    pub receiver: Receiver<Peer>,
    /// Unanswered requests.
    pub outstanding: Owed,
    /// Taken messages to deliver before any other, oldest first.
    pub kept: VecDeque<Kept>,
    /// Cookies of messages this port's ends sent, by message id.
    pub cookies: HashMap<u32, Cookie>,
    /// Ids of cancelled messages, oldest first.
    cancelled: VecDeque<u32>,
    last_source: u32,
    /// Messages since two in a row came from different sources.
    run: u32,
    /// Whether two sources ever alternated.
    has_alternated: bool,
}

/// So many messages from one source alone, and a queue no longer counts as crowded.
const LONELY_RUN: u32 = 40_000;
/// Requests a queue remembers before it forgets those whose requester is gone.
const MANY_OUTSTANDING: usize = 4096;
/// Cancelled ids a queue remembers.
const MANY_CANCELLED: usize = 1024;

impl QueueState {
    /// Takes note of a message from `source`.
    #[inline]
    pub fn note(&mut self, source: u32) {
        if source == self.last_source || source == SYSTEM_SOURCE {
            self.run = self.run.saturating_add(1);
            return;
        }
        self.has_alternated |= self.last_source != 0;
        self.last_source = source;
        self.run = 0;
    }

    /// Returns whether several senders share the queue, so that one that spins for its answer would starve the others.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.has_alternated && self.run < LONELY_RUN
    }

    /// Remembers a delivered request.
    #[inline(always)]
    pub fn remember(&mut self, id: u32, client: ClientId, outstanding: Outstanding) {
        if self.outstanding.len() >= MANY_OUTSTANDING {
            self.outstanding
                .retain(|id, outstanding| outstanding.is_awaited(id));
        }
        self.outstanding.insert(id, client, outstanding);
    }

    /// Remembers that a message was cancelled: only its id lives on.
    pub fn remember_cancelled(&mut self, id: u32) {
        if self.cancelled.len() >= MANY_CANCELLED {
            self.cancelled.pop_front();
        }
        self.cancelled.push_back(id);
    }

    /// Returns whether a message was cancelled.
    #[must_use]
    pub fn is_cancelled(&self, id: u32) -> bool {
        self.cancelled.contains(&id)
    }

    /// Forgets a connection that ended. Of messages from it that nobody received yet their end alone is known (alpc#201).
    pub fn forget(&mut self, source: u32) {
        for kept in &mut self.kept {
            if kept.incoming.source == source {
                kept.incoming.cancel();
                kept.data.clear();
            }
        }
        self.receiver.remove(source);
        self.cookies.retain(|_, cookie| cookie.source != source);
        self.outstanding
            .retain(|_, outstanding| outstanding.connection.source != source);
    }
}

/// The queue of one receiving port, shared by every port object of the process that receives from it.
#[derive(Debug)]
pub struct Queue {
    /// The server's number of the receiving port.
    pub port: u64,
    /// Its shared side.
    pub inbox: Inbox,
    /// Whether an ALPC call made the receiving port.
    pub is_alpc: bool,
    /// The connection of a client communication port.
    client_segment: Option<Segment>,
    /// Its private side; one lock for the threads of this process.
    pub state: Mutex<QueueState>,
    /// Whether `kept` may have something; set and cleared under its lock.
    pub has_kept: AtomicBool,
    /// Whom it tells of messages nobody waits for.
    pub notifier: Arc<Notifier>,
    /// Whether a thread of this process spins for the next message.
    pub is_spinning: AtomicBool,
    /// CPU the last message was sent from; a hint.
    pub peer_cpu: AtomicU16,
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.notifier.look_again();
    }
}

/// The queues of connection ports by port number.
#[derive(Default)]
struct Queues {
    by_port: HashMap<u64, Weak<Queue>>,
    /// Entries at which those of queues that are gone are dropped.
    limit: usize,
}

static QUEUES: Mutex<Option<Queues>> = Mutex::new(None);

impl Queues {
    /// Adds a queue. Each look at all of them follows as many additions as it finds queues.
    fn insert(&mut self, port: u64, queue: &Arc<Queue>) {
        if self.by_port.len() >= self.limit {
            self.by_port.retain(|_, queue| queue.strong_count() > 0);
            self.limit = 2 * self.by_port.len() + 64;
        }
        self.by_port.insert(port, Arc::downgrade(queue));
    }
}

impl Queue {
    fn new(
        port: u64,
        inbox: Inbox,
        is_alpc: bool,
        client_segment: Option<Segment>,
        state: QueueState,
    ) -> Queue {
        Queue {
            port,
            inbox,
            is_alpc,
            client_segment,
            state: Mutex::new(state),
            has_kept: AtomicBool::new(false),
            notifier: Arc::default(),
            is_spinning: AtomicBool::new(false),
            peer_cpu: AtomicU16::new(u16::MAX),
        }
    }

    /// Returns the queue of the connection port numbered `port`, made on first use.
    pub fn of_connection_port(
        port: u64,
        inbox: Inbox,
        is_alpc: bool,
        system: Option<Segment>,
    ) -> Arc<Queue> {
        let mut queues = QUEUES.lock();
        let queues = queues.get_or_insert_default();
        let known = queues.by_port.get(&port);
        let queue = known.and_then(Weak::upgrade).unwrap_or_else(|| {
            let queue = Arc::new(Queue::new(
                port,
                inbox,
                is_alpc,
                None,
                QueueState::default(),
            ));
            queues.insert(port, &queue);
            queue
        });
        if let Some(system) = system {
            let receiver = &mut queue.state.lock().receiver;
            if receiver.source(SYSTEM_SOURCE).is_none() {
                receiver.insert(SYSTEM_SOURCE, system, Direction::ToServer, Peer::default());
            }
        }
        queue
    }

    /// Returns the queue of the connection port numbered `port`, if this process receives from it.
    #[must_use]
    pub fn find(port: u64) -> Option<Arc<Queue>> {
        QUEUES.lock().as_ref()?.by_port.get(&port)?.upgrade()
    }

    /// Ends every connection port this process receives from: nobody can find them any more.
    pub(super) fn close_connection_ports() {
        let queues: Vec<Arc<Queue>> = {
            let queues = QUEUES.lock();
            let known = queues.iter().flat_map(|queues| queues.by_port.values());
            known.filter_map(Weak::upgrade).collect()
        };
        for queue in queues {
            queue.inbox.close();
            queue.inbox.wake_all();
        }
    }

    /// Forgets the queues of a server that died: another gives their numbers to other ports.
    pub(super) fn forget_all() {
        if let Some(queues) = &mut *QUEUES.lock() {
            queues.by_port.clear();
        }
    }

    /// Makes the queue of a client communication port whose server's process is numbered `server`.
    #[must_use]
    pub fn of_client_port(
        port: u64,
        connection: &Arc<Connection>,
        is_alpc: bool,
        server: u32,
    ) -> Arc<Queue> {
        let peer = Peer {
            context: 0,
            processes: vec![server],
            connection: Some(Arc::clone(connection)),
        };
        let mut state = QueueState::default();
        state.receiver.insert(
            SELF_SOURCE,
            connection.segment.clone(),
            Direction::ToClient,
            peer,
        );
        let inbox = connection.segment.client_inbox();
        let segment = Some(connection.segment.clone());
        Arc::new(Queue::new(port, inbox, is_alpc, segment, state))
    }

    /// Returns whether nothing will come any more: the receiving port was closed, or the connection of a client's port ended.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.inbox.is_closed() || self.client_segment.as_ref().is_some_and(Segment::is_closed)
    }

    /// Adds the connection that arrives as its source number in `direction`, unless it is known. `process` is the number of
    /// the process known to hold its other end.
    pub fn add_source(
        &self,
        connection: &Arc<Connection>,
        direction: Direction,
        context: u64,
        process: Option<u32>,
    ) {
        let receiver = &mut self.state.lock().receiver;
        if receiver.source(connection.source).is_none() {
            let peer = Peer {
                context,
                processes: process.into_iter().collect(),
                connection: Some(Arc::clone(connection)),
            };
            receiver.insert(
                connection.source,
                connection.segment.clone(),
                direction,
                peer,
            );
        }
    }
}
