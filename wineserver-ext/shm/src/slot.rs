//! One message in shared memory: a state word, a header, a turn word, the payload.
//!
//! | offset | size | field | written by |
//! |---:|---:|---|---|
//! | 0 | 8 | state: `kind:4 \| generation:28 \| owner:32` | compare-and-swap only |
//! | 8 | 8 | ticket | sender |
//! | 16 | 48 | [`Header`] | sender |
//! | 64 | 8 | turn word, see `turn.rs` | requester, repliers, server |
//! | 72 | 32 | [`Answer`] | replier |
//! | 104 | 8 | armed: slot and sequence of the answer a reply-and-wait depends on | requester |
//! | 128 | … | payload | sender, then replier |
//!
//! The request side and the reply side have a cache line each: a requester spins on the second one only.
//!
//! | state | meaning | legal next (by) |
//! |---|---|---|
//! | FREE | nobody's | WRITING (sender) |
//! | WRITING | sender fills it | READY (owner), HELD (owner, perhaps for another thread), FREE (owner; server if owner dead) |
//! | READY | complete, may be taken | TAKEN (receiver), FREE (owner withdraws) |
//! | TAKEN | a receiver copies it | FREE, HELD (owner), READY (server if owner dead) |
//! | HELD | delivered; its memory belongs to the requester until the reply is consumed, or it stands for a conversation | FREE (owner; server if owner dead), WRITING (who answers a conversation) |
//!
//! `generation` grows by one at every transition to FREE, so a stale name of a slot never matches.

use crate::mem::{Mapping, Ordering, Window};
use crate::{SERVER, Tno};

/// Bytes before the payload.
pub const HEADER_LEN: usize = 128;

const STATE: usize = 0;
const TICKET: usize = 8;
const HEADER: usize = 16;
/// Offset of the turn word.
pub(crate) const TURN: usize = 64;
const ANSWER: usize = 72;
/// Offset of what an ARMED turn depends on.
pub(crate) const ARMED_BY: usize = 104;

/// What a slot's state word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nobody's.
    Free,
    /// Being written by its owner.
    Writing,
    /// Complete and undelivered.
    Ready,
    /// Being copied by a receiver.
    Taken,
    /// Delivered, kept for its requester.
    Held,
}

/// A decoded state word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// What the slot is.
    pub kind: Kind,
    /// How often it became free, modulo 2^28.
    pub generation: u32,
    /// Thread to clean up after.
    pub owner: Tno,
}

impl State {
    fn decode(word: u64) -> Option<State> {
        let kind = match word >> 60 {
            0 => Kind::Free,
            1 => Kind::Writing,
            2 => Kind::Ready,
            3 => Kind::Taken,
            4 => Kind::Held,
            _ => return None,
        };
        Some(State {
            kind,
            generation: (word >> 32) as u32 & 0x0FFF_FFFF,
            owner: word as u32,
        })
    }

    fn encode(self) -> u64 {
        (self.kind as u64) << 60
            | u64::from(self.generation & 0x0FFF_FFFF) << 32
            | u64::from(self.owner)
    }
}

/// Header flag: the sender waits for a reply on the slot's turn word.
pub const WANTS_REPLY: u16 = 1;
/// Header flag: the sender forbids impersonation while the request is pending.
pub const NO_IMPERSONATE: u16 = 2;
/// Header flag: the receiver owes an answer, which will be a message of its own. The slot stays HELD by
/// [`SERVER`] until somebody claims it to answer ([`Slot::claim_conversation`]); nobody waits in it.
pub const CONTINUES: u16 = 4;
/// [`Header::flags`] of a message the server made: its attributes are at the server.
pub const HAS_ATTRIBUTES: u16 = 8;

/// What a sender says about its message. A private copy: read once, then checked by whoever uses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Low half of the ticket; set by [`crate::lane::Lane::publish`].
    pub message_id: u32,
    /// Callback id, 0 for none.
    pub callback_id: u32,
    /// Bytes of payload that are data.
    pub data_len: u16,
    /// `TotalLength` less the sender's header size: data plus tail padding.
    pub body_len: u16,
    /// Message type (`LPC_REQUEST` …).
    pub message_type: u16,
    /// Offset of the data-information block from the start of the data, plus one; 0 for none.
    pub data_info: u16,
    /// `WANTS_REPLY` and the like.
    pub flags: u16,
    /// CPU the sender ran on; a hint.
    pub cpu: u16,
    /// Offset of an attribute record in the payload; 0 for none. In a system message the source number of the connection
    /// it is about.
    pub attributes: u32,
    /// View size of a connection request.
    pub view_size: u64,
    /// Thread number of the sender. The receiver looks it up; it never trusts it.
    pub sender: Tno,
    /// Port context, in system messages only.
    pub context: u64,
}

/// What a replier says about its answer. Written before the turn word says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Bytes of data.
    pub data_len: u16,
    /// Data plus tail padding.
    pub body_len: u16,
    /// Message type.
    pub message_type: u16,
    /// As in [`Header`].
    pub data_info: u16,
    /// Callback id, 0 for a reply.
    pub callback_id: u32,
    /// Thread number of the answerer.
    pub sender: Tno,
    /// Slot of the opposite lane that has the payload, plus one; 0 if it lies in this slot.
    pub slot: u32,
    /// Slot of the opposite lane in which the answerer waits (it called back), plus one; 0 if it does not.
    pub waiter: u32,
    /// CPU the answerer ran on; a hint.
    pub cpu: u16,
    /// [`CROWDED`] and the like.
    pub flags: u16,
}

/// Answer flag: others wait for the answerer, so do not spin for the next answer.
pub const CROWDED: u16 = 1;
/// Answer flag: the requester owes an answer in its turn. The slot that has the payload is kept as [`CONTINUES`] says.
pub const ANSWER_CONTINUES: u16 = 2;

/// A slot in shared memory.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a> {
    /// Everything but the payload.
    pub(crate) head: Window<'a, HEADER_LEN>,
    index: u32,
    /// Bytes of payload.
    capacity: u32,
    full: Full,
}

/// Where a lane says that no slot of a class was free, and the bit that says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Full {
    pub(crate) word: u32,
    pub(crate) bit: u32,
}

impl<'a> Slot<'a> {
    #[inline]
    pub(crate) fn new(
        mem: &'a Mapping,
        offset: usize,
        index: u32,
        capacity: u32,
        full: Full,
    ) -> Slot<'a> {
        Slot {
            head: mem.window(offset),
            index,
            capacity,
            full,
        }
    }

    /// Returns the index of the slot in its lane.
    #[must_use]
    #[inline]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Returns how many bytes of payload fit.
    #[must_use]
    #[inline]
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Reads the state. A value nobody honest writes counts as FREE by nobody, which no transition accepts.
    #[must_use]
    #[inline]
    pub fn state(&self) -> State {
        let word = self.head.w64::<STATE>().load(Ordering::SeqCst);
        State::decode(word).unwrap_or(State {
            kind: Kind::Free,
            generation: 0,
            owner: Tno::MAX,
        })
    }

    /// Moves the state from exactly `from` to `to`; returns whether this thread did it.
    #[inline]
    pub fn advance(&self, from: State, kind: Kind, owner: Tno) -> bool {
        let generation = from.generation.wrapping_add(u32::from(kind == Kind::Free));
        let to = State {
            kind,
            generation,
            owner,
        };
        let moved = self
            .head
            .w64::<STATE>()
            .compare_exchange(
                from.encode(),
                to.encode(),
                Ordering::SeqCst,
                Ordering::SeqCst,
            )
            .is_ok();
        if moved && kind == Kind::Free {
            self.clear_full();
        }
        moved
    }

    /// A sender that finds no free slot sets the bit, then looks once more; this thread freed a slot, then looks at the bit.
    #[inline]
    fn clear_full(&self) {
        let full = self.head.mapping().w32(self.full.word as usize);
        if full.load(Ordering::SeqCst) & self.full.bit != 0 {
            full.fetch_and(!self.full.bit, Ordering::SeqCst);
        }
    }

    /// Claims the conversation this slot was kept for since it had `generation`: only one thread can answer, cancel or
    /// withdraw it. The slot is WRITING and owned by `me`; [`crate::lane::Lane::free`] ends the conversation,
    /// [`Slot::resume_conversation`] goes on with it.
    #[must_use]
    pub fn claim_conversation(&self, generation: u32, me: Tno) -> bool {
        let held = State {
            kind: Kind::Held,
            generation,
            owner: SERVER,
        };
        self.advance(held, Kind::Writing, me)
    }

    /// Gives a claimed conversation back.
    pub fn resume_conversation(&self, me: Tno) {
        let state = self.state();
        if state.kind == Kind::Writing && state.owner == me {
            self.advance(state, Kind::Held, SERVER);
        }
    }

    /// Returns whether the slot is kept for the conversation it had at `generation`.
    #[must_use]
    pub fn is_conversation(&self, generation: u32) -> bool {
        let state = self.state();
        state.kind == Kind::Held && state.generation == generation && state.owner == SERVER
    }

    /// Reads the ticket.
    #[must_use]
    #[inline]
    pub fn ticket(&self) -> u64 {
        self.head.w64::<TICKET>().load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set_ticket(&self, ticket: u64) {
        self.head.w64::<TICKET>().store(ticket, Ordering::Relaxed);
    }

    /// Writes the header. Ordered before READY by the state's compare-and-swap.
    #[inline]
    pub fn set_header(&self, header: &Header) {
        let h = header;
        let ids = u64::from(h.message_id) | u64::from(h.callback_id) << 32;
        let lengths = pack16([h.data_len, h.body_len, h.message_type, h.data_info]);
        let flags = u64::from(h.flags) | u64::from(h.cpu) << 16 | u64::from(h.attributes) << 32;
        self.set::<HEADER>(ids);
        self.set::<{ HEADER + 8 }>(lengths);
        self.set::<{ HEADER + 16 }>(flags);
        self.set::<{ HEADER + 24 }>(h.view_size);
        self.set::<{ HEADER + 32 }>(u64::from(h.sender));
        self.set::<{ HEADER + 40 }>(h.context);
    }

    /// Copies the header out.
    #[must_use]
    #[inline]
    pub fn header(&self) -> Header {
        let ids = self.get::<HEADER>();
        let [data_len, body_len, message_type, data_info] = unpack16(self.get::<{ HEADER + 8 }>());
        let flags = self.get::<{ HEADER + 16 }>();
        Header {
            message_id: ids as u32,
            callback_id: (ids >> 32) as u32,
            data_len,
            body_len,
            message_type,
            data_info,
            flags: flags as u16,
            cpu: (flags >> 16) as u16,
            attributes: (flags >> 32) as u32,
            view_size: self.get::<{ HEADER + 24 }>(),
            sender: self.get::<{ HEADER + 32 }>() as u32,
            context: self.get::<{ HEADER + 40 }>(),
        }
    }

    /// Writes a word that a later compare-and-swap publishes.
    #[inline]
    fn set<const AT: usize>(&self, word: u64) {
        self.head.w64::<AT>().store(word, Ordering::Relaxed);
    }

    /// Reads a word that a compare-and-swap published.
    #[inline]
    fn get<const AT: usize>(&self) -> u64 {
        self.head.w64::<AT>().load(Ordering::Relaxed)
    }

    /// Asks for the cache lines a message of this slot touches: state and header, turn, the first of the payload.
    #[inline]
    pub(crate) fn prefetch(&self) {
        self.head.prefetch::<STATE>();
        self.head.prefetch::<TURN>();
        self.head.prefetch::<HEADER_LEN>();
    }

    /// Sets the message id alone: of a message being published, or of a wait without a message.
    #[inline]
    pub fn set_message_id(&self, id: u32) {
        let old = self.get::<HEADER>();
        self.set::<HEADER>(old & !u64::from(u32::MAX) | u64::from(id));
    }

    /// Writes the answer. Ordered before the turn word's change by that compare-and-swap.
    #[inline]
    pub fn set_answer(&self, answer: &Answer) {
        let a = answer;
        let lengths = pack16([a.data_len, a.body_len, a.message_type, a.data_info]);
        self.set::<ANSWER>(lengths);
        self.set::<{ ANSWER + 8 }>(u64::from(a.callback_id) | u64::from(a.sender) << 32);
        self.set::<{ ANSWER + 16 }>(u64::from(a.slot) | u64::from(a.waiter) << 32);
        self.set::<{ ANSWER + 24 }>(u64::from(a.cpu) | u64::from(a.flags) << 16);
    }

    /// Names no slot and no waiter any more.
    pub(crate) fn forget_answer(&self) {
        self.set::<{ ANSWER + 16 }>(0);
    }

    /// Copies the answer out.
    #[must_use]
    #[inline]
    pub fn answer(&self) -> Answer {
        let [data_len, body_len, message_type, data_info] = unpack16(self.get::<ANSWER>());
        let ids = self.get::<{ ANSWER + 8 }>();
        let place = self.get::<{ ANSWER + 16 }>();
        let hints = self.get::<{ ANSWER + 24 }>();
        Answer {
            data_len,
            body_len,
            message_type,
            data_info,
            callback_id: ids as u32,
            sender: (ids >> 32) as u32,
            slot: place as u32,
            waiter: (place >> 32) as u32,
            cpu: hints as u16,
            flags: (hints >> 16) as u16,
        }
    }

    /// Writes payload at `at`.
    #[inline(always)]
    pub fn write(&self, at: usize, bytes: &[u8]) {
        assert!(
            at + bytes.len() <= self.capacity(),
            "payload outside of a slot"
        );
        self.head
            .mapping()
            .write(self.head.offset() + HEADER_LEN + at, bytes);
    }

    /// Copies payload from `at` out.
    #[inline]
    pub fn read(&self, at: usize, bytes: &mut [u8]) {
        assert!(
            at + bytes.len() <= self.capacity(),
            "payload outside of a slot"
        );
        self.head
            .mapping()
            .read(self.head.offset() + HEADER_LEN + at, bytes);
    }

    /// Returns the address of `len` bytes of payload, for a guarded copy to or from guest memory.
    #[must_use]
    #[inline]
    pub fn payload(&self, len: usize) -> *mut u8 {
        assert!(len <= self.capacity(), "payload outside of a slot");
        self.head
            .mapping()
            .bytes(self.head.offset() + HEADER_LEN, len)
    }
}

fn pack16(parts: [u16; 4]) -> u64 {
    let [a, b, c, d] = parts.map(u64::from);
    a | b << 16 | c << 32 | d << 48
}

fn unpack16(word: u64) -> [u16; 4] {
    [
        word as u16,
        (word >> 16) as u16,
        (word >> 32) as u16,
        (word >> 48) as u16,
    ]
}
