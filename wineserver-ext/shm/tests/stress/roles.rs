//! What the child processes do until they are told to stop, or are killed.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::SeqCst;

use ntlpc_shm::Tno;
use ntlpc_shm::inbox::Inbox;
use ntlpc_shm::lane::{Cursor, MAX_PAYLOAD};
use ntlpc_shm::receive::{Found, Receiver};
use ntlpc_shm::segment::{Direction::ToServer, FIRST_CONNECTION, Segment};
use ntlpc_shm::slot::{Answer, Header, Kind, Slot, WANTS_REPLY};
use ntlpc_shm::sys::{Deadline, Woken};
use ntlpc_shm::turn::Phase;

use crate::ledger::{BATCH, BATCHES, Ledger};
use crate::random::Random;

/// Nobody needs that long to be woken.
const OVERSLEEP_NS: u64 = 4_000_000_000;
/// Name of a request: not counted.
const REQUEST: u32 = u32::MAX;

pub struct Place {
    pub inbox: Inbox,
    pub segments: Vec<Segment>,
    pub ledger: Ledger,
    pub me: Tno,
    pub random: Random,
}

/// Opens descriptor `number` of process `parent`.
pub fn descriptor(parent: &str, number: &str) -> OwnedFd {
    std::fs::File::options()
        .read(true)
        .write(true)
        .open(format!("/proc/{parent}/fd/{number}"))
        .expect("the parent keeps its descriptors open")
        .into()
}

impl Place {
    fn stops(&self) -> bool {
        self.ledger.stop().load(SeqCst) != 0
    }

    /// Receivers end after senders.
    fn receiver_stops(&self) -> bool {
        self.ledger.stop().load(SeqCst) > 1
    }

    fn wrong(&self, what: &str) {
        eprintln!("{}: {what}", self.me);
        self.ledger.wrong().fetch_add(1, SeqCst);
    }

    /// Writes a message of which each byte depends on its name, and publishes it.
    fn send(
        &self,
        at: usize,
        cursor: &Cursor,
        name: u32,
        len: usize,
        flags: u16,
    ) -> Option<Slot<'_>> {
        let lane = self.segments[at].lane(ToServer);
        let slot = lane.allocate(cursor, len, self.me).ok()?;
        slot.set_header(&Header {
            data_len: len as u16,
            attributes: name,
            flags,
            sender: self.me,
            ..Header::default()
        });
        slot.write(0, &vec![pattern(name); len]);
        let source = FIRST_CONNECTION + at as u32;
        lane.publish(
            &slot,
            &self.inbox,
            &self.inbox,
            source,
            self.me,
            flags & WANTS_REPLY != 0,
        );
        Some(slot)
    }

    /// Sends batches of datagrams on connection `at`.
    pub fn send_datagrams(mut self, at: usize) {
        let cursor = Cursor::default();
        loop {
            let batch = self.ledger.next_batch().fetch_add(1, SeqCst);
            if batch >= BATCHES {
                return;
            }
            for number in 0..BATCH {
                let len = match self.random.below(64) {
                    0 => 3_000,
                    1..=4 => 900,
                    _ => 16 + self.random.below(300) as usize,
                };
                self.ledger.started(batch).store(number + 1, SeqCst);
                while self
                    .send(at, &cursor, batch * BATCH + number, len, 0)
                    .is_none()
                {
                    std::thread::yield_now();
                    if self.stops() {
                        self.ledger.started(batch).store(number, SeqCst);
                        return;
                    }
                }
                self.ledger.finished(batch).store(number + 1, SeqCst);
                if self.random.below(16) == 0 {
                    std::thread::yield_now();
                }
                if self.stops() {
                    return;
                }
            }
        }
    }

    /// Makes requests on connection `at` and checks the answers.
    pub fn request(self, at: usize) {
        let cursor = Cursor::default();
        let lane = self.segments[at].lane(ToServer);
        while !self.stops() {
            let Some(slot) = self.send(at, &cursor, REQUEST, 64, WANTS_REPLY) else {
                std::thread::yield_now();
                continue;
            };
            loop {
                match slot.turn().phase {
                    Phase::Wait | Phase::Filling | Phase::Armed => {
                        let woken = slot.sleep(Some(Deadline::after_ns(OVERSLEEP_NS)));
                        if woken == Woken::Deadline && slot.turn().phase == Phase::Msg {
                            self.ledger.overslept().fetch_add(1, SeqCst);
                        }
                        if woken == Woken::Deadline && self.stops() {
                            return;
                        }
                    }
                    Phase::Msg => break,
                    phase => {
                        self.wrong(&format!("a wait ended as {phase:?}"));
                        return;
                    }
                }
            }
            let mut answer = [0; 8];
            slot.read(0, &mut answer);
            if answer != slot.header().message_id.to_le_bytes().repeat(2)[..] {
                self.wrong("the answer to another question");
            }
            slot.reset_turn();
            lane.free(&slot, Kind::Held, self.me, Some(&cursor));
            self.ledger.answered().fetch_add(1, SeqCst);
            self.ledger.progress().fetch_add(1, SeqCst);
        }
    }

    /// Receives everything, answers requests. `trusted` connections must bring whole messages.
    pub fn receive(self, at: usize, trusted: usize) {
        let mut receiver = Receiver::default();
        for (at, segment) in self.segments.iter().enumerate() {
            receiver.insert(FIRST_CONNECTION + at as u32, segment.clone(), ToServer, ());
        }
        let mut slept_out = false;
        while !self.receiver_stops() {
            match receiver.take(&self.inbox, self.me) {
                Found::Message(taken) => {
                    if slept_out {
                        self.ledger.overslept().fetch_add(1, SeqCst);
                    }
                    let connection = (taken.source - FIRST_CONNECTION) as usize;
                    let segment = &receiver
                        .source(taken.source)
                        .expect("a known source")
                        .segment;
                    let slot = segment
                        .lane(ToServer)
                        .slot(taken.slot)
                        .expect("a taken slot");
                    self.finish(at, connection < trusted, &slot, segment, &taken.header);
                    if receiver.is_crowded() && self.inbox.has_sleepers() {
                        self.inbox.wake_one();
                    }
                    slept_out = false;
                }
                Found::Unknown(source) => self.inbox.silence(source),
                Found::Nothing => slept_out = self.sleep(),
            }
        }
    }

    /// Sleeps until chosen; returns whether the deadline passed.
    fn sleep(&self) -> bool {
        let Some(record) = self.inbox.arm(self.me) else {
            std::thread::yield_now();
            return false;
        };
        let deadline = Deadline::after_ns(OVERSLEEP_NS);
        let mut slept_out = false;
        if self.inbox.sources().is_empty() && !self.receiver_stops() {
            while !self.inbox.is_chosen(record) && !slept_out {
                slept_out = self.inbox.wait(record, Some(deadline)) == Woken::Deadline;
            }
        }
        !self.inbox.disarm(record) && slept_out
    }

    fn finish(
        &self,
        at: usize,
        trusted: bool,
        slot: &Slot<'_>,
        segment: &Segment,
        header: &Header,
    ) {
        let lane = segment.lane(ToServer);
        let len = usize::from(header.data_len);
        if len > slot.capacity().min(MAX_PAYLOAD) {
            lane.free(slot, Kind::Taken, self.me, None);
            if trusted {
                self.wrong("a message longer than its slot");
            }
            return;
        }
        let mut bytes = vec![0; len];
        slot.read(0, &mut bytes);
        if trusted && bytes.iter().any(|byte| *byte != pattern(header.attributes)) {
            self.wrong("a torn message");
        }
        if header.flags & WANTS_REPLY != 0 {
            lane.hold(slot, self.me, header.sender);
            if let Ok(filling) = slot.claim_answer(header.message_id, self.me, |_, _| false) {
                slot.write(0, &header.message_id.to_le_bytes().repeat(2));
                let answer = Answer {
                    data_len: 8,
                    sender: self.me,
                    ..Answer::default()
                };
                // The requester may have been killed meanwhile.
                let _ = filling.deliver(&answer, None);
            }
        } else if trusted {
            self.ledger
                .current(at)
                .store(u64::from(header.attributes) + 1, SeqCst);
            lane.free(slot, Kind::Taken, self.me, None);
            self.ledger.count(header.attributes).fetch_add(1, SeqCst);
            self.ledger.current(at).store(0, SeqCst);
            self.ledger.progress().fetch_add(1, SeqCst);
        } else {
            lane.free(slot, Kind::Taken, self.me, None);
        }
    }

    /// Writes random words into the pages of connection `at`, or of the inbox, by class of word.
    pub fn write_garbage(mut self, at: usize, class: &str) {
        let segment = self.segments[at].clone();
        let mapping = match class {
            "inbox" => self.inbox.mapping(),
            _ => segment.mapping(),
        };
        while !self.stops() {
            // A real message now and then, so that receivers look here.
            if self.random.below(4) == 0 {
                self.send(at, &Cursor::default(), 0, 64, 0);
                let flags = if self.random.below(2) == 0 {
                    WANTS_REPLY
                } else {
                    0
                };
                self.send(at, &Cursor::default(), REQUEST, 64, flags);
            }
            let slot = 0x5000 + self.random.below(40) as usize * 0x200;
            let word = match class {
                "states" => slot,
                "headers" => slot + 8 + self.random.below(7) as usize * 8,
                "turns" => slot + 64 + self.random.below(6) as usize * 8,
                "maps" => [0x40, 0x80, 0x1000 + self.random.below(1040) as usize * 8]
                    [self.random.below(3) as usize],
                "marks" => 0xC0 + self.random.below(16) as usize * 8,
                "client inbox" => 0x200 + self.random.below(104) as usize * 8,
                _ => self.random.below(0x600) as usize * 8,
            };
            let value = match self.random.below(4) {
                0 => u64::MAX,
                1 => 1 << self.random.below(64),
                // Plausible states and turns: right kinds, small numbers.
                2 => {
                    self.random.below(5) << 60
                        | self.random.below(4) << 32
                        | self.random.below(1200)
                }
                _ => self.random.next(),
            };
            mapping.w64(word).store(value, SeqCst);
            if self.random.below(256) == 0 {
                std::thread::sleep(std::time::Duration::from_micros(50));
            }
        }
    }
}

fn pattern(name: u32) -> u8 {
    (name.wrapping_mul(0x9E37_79B1) >> 24) as u8
}
