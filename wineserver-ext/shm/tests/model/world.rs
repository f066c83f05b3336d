//! A port, its connections, and the steps that senders, receivers and repliers are made of.

use ntlpc_shm::Tno;
use ntlpc_shm::inbox::Inbox;
use ntlpc_shm::lane::Cursor;
use ntlpc_shm::receive::{Found, Receiver, Taken};
use ntlpc_shm::segment::{Direction::ToServer, FIRST_CONNECTION, Segment};
use ntlpc_shm::slot::{Header, Kind, Slot, WANTS_REPLY};

/// A connection port with some connections.
#[derive(Clone)]
pub struct World {
    pub inbox: Inbox,
    pub segments: Vec<Segment>,
}

impl World {
    pub fn new(connections: usize) -> World {
        World {
            inbox: Inbox::create(true).expect("a memfd"),
            segments: (0..connections)
                .map(|_| Segment::create().expect("a memfd"))
                .collect(),
        }
    }

    /// Returns the receiving side of one process.
    pub fn receiver(&self) -> Receiver<()> {
        let mut receiver = Receiver::default();
        for (at, segment) in self.segments.iter().enumerate() {
            receiver.insert(source(at), segment.clone(), ToServer, ());
        }
        receiver
    }

    /// Sends a datagram (or a request) named `name` on connection `at`; returns its slot.
    pub fn send(&self, at: usize, me: Tno, name: u32, wants_reply: bool) -> Slot<'_> {
        let lane = self.segments[at].lane(ToServer);
        let slot = lane
            .allocate(&Cursor::default(), 8, me)
            .expect("the pool is not full");
        slot.set_header(&Header {
            sender: me,
            attributes: name,
            flags: if wants_reply { WANTS_REPLY } else { 0 },
            ..Header::default()
        });
        lane.publish(&slot, &self.inbox, &self.inbox, source(at), me, wants_reply);
        slot
    }

    /// Takes the oldest visible message without freeing it.
    pub fn take(&self, receiver: &mut Receiver<()>, me: Tno) -> Option<Taken> {
        match receiver.take(&self.inbox, me) {
            Found::Message(taken) => Some(taken),
            Found::Nothing => None,
            Found::Unknown(source) => panic!("source {source} is not known"),
        }
    }

    pub fn slot(&self, taken: &Taken) -> Slot<'_> {
        self.segments[(taken.source - FIRST_CONNECTION) as usize]
            .lane(ToServer)
            .slot(taken.slot)
            .expect("a taken slot exists")
    }

    /// Takes a message and frees its slot, or holds it for its requester; returns its name.
    pub fn receive(&self, receiver: &mut Receiver<()>, me: Tno) -> Option<u32> {
        let taken = self.take(receiver, me)?;
        self.settle(&taken, me);
        Some(taken.header.attributes)
    }

    /// What a receiver does when it has copied a message.
    pub fn settle(&self, taken: &Taken, me: Tno) {
        let at = (taken.source - FIRST_CONNECTION) as usize;
        let lane = self.segments[at].lane(ToServer);
        let slot = self.slot(taken);
        if taken.header.flags & WANTS_REPLY != 0 {
            lane.hold(&slot, me, taken.header.sender);
        } else {
            lane.free(&slot, Kind::Taken, me, None);
        }
    }

    /// Receives as a thread of a receiving process does: arms, looks once more, sleeps.
    pub fn receive_or_sleep(&self, receiver: &mut Receiver<()>, me: Tno) -> Option<u32> {
        loop {
            if let Some(name) = self.receive(receiver, me) {
                return Some(name);
            }
            if self.inbox.is_closed() {
                return None;
            }
            let Some(record) = self.inbox.arm(me) else {
                let _ = self.inbox.wait_for_record(None);
                continue;
            };
            if self.inbox.sources().is_empty() && !self.inbox.is_closed() {
                while !self.inbox.is_chosen(record) {
                    let _ = self.inbox.wait(record, None);
                }
            }
            self.inbox.disarm(record);
        }
    }

    /// Counts the slots that are not FREE, in both lanes of every connection.
    pub fn slots_in_use(&self) -> usize {
        let mut used = 0;
        for segment in &self.segments {
            for direction in [ToServer, ToServer.opposite()] {
                segment.lane(direction).for_each_used(|slot| {
                    used += usize::from(slot.state().kind != Kind::Free);
                });
            }
        }
        used
    }
}

/// Source number of connection `at`.
pub fn source(at: usize) -> u32 {
    FIRST_CONNECTION + at as u32
}
