//! One direction of a segment: a pool of slots in three sizes and a ready map over them.
//!
//! There is no shared free list: a slot's state is the only record. Slots are taken lowest first, so that an idle
//! connection keeps one page of them; only indices below the high-water mark were ever touched.

use std::sync::atomic::{AtomicU32 as PrivateU32, Ordering as PrivateOrdering};

use crate::Tno;
use crate::inbox::Inbox;
use crate::map::{self, ReadyMap};
use crate::mem::{Mapping, Ordering};
use crate::slot::{self, HEADER_LEN, Kind, Slot, State};

/// A size class: `direct` slots whose index is below [`map::DIRECT`], then `more`.
struct Class {
    number: usize,
    size: usize,
    direct_first: u32,
    direct: u32,
    more_first: u32,
    more: u32,
    base: usize,
}

const CLASSES: [Class; 3] = [
    Class {
        number: 0,
        size: 0x200,
        direct_first: 0,
        direct: 40,
        more_first: 56,
        more: 12_288,
        base: 0,
    },
    Class {
        number: 1,
        size: 0x800,
        direct_first: 40,
        direct: 12,
        more_first: 12_344,
        more: 4_096,
        base: SMALL_LEN,
    },
    Class {
        number: 2,
        size: 0x1_1000,
        direct_first: 52,
        direct: 4,
        more_first: 16_440,
        more: 252,
        base: SMALL_LEN + MIDDLE_LEN,
    },
];

const SMALL_LEN: usize = (40 + 12_288) * 0x200;
const MIDDLE_LEN: usize = (12 + 4_096) * 0x800;

/// Bytes of slots in a lane.
pub const SLOTS_LEN: usize = SMALL_LEN + MIDDLE_LEN + (4 + 252) * 0x1_1000;
/// Number of slots in a lane.
pub const SLOT_COUNT: u32 = 16_692;
/// Most bytes one message can carry.
pub const MAX_PAYLOAD: usize = 0x1_1000 - HEADER_LEN;

const _: () = assert!(SLOT_COUNT <= map::CAPACITY);

impl Class {
    fn count(&self) -> u32 {
        self.direct + self.more
    }

    fn index(&self, ordinal: u32) -> u32 {
        if ordinal < self.direct {
            self.direct_first + ordinal
        } else {
            self.more_first + ordinal - self.direct
        }
    }

    /// Returns the ordinal of a slot index, if it is of this class.
    #[inline(always)]
    fn ordinal(&self, index: u32) -> Option<u32> {
        if (self.direct_first..self.direct_first + self.direct).contains(&index) {
            Some(index - self.direct_first)
        } else if (self.more_first..self.more_first + self.more).contains(&index) {
            Some(index - self.more_first + self.direct)
        } else {
            None
        }
    }

    fn bit(&self) -> u32 {
        1 << self.number
    }

    fn capacity(&self) -> usize {
        self.size - HEADER_LEN
    }
}

/// Returns the class of a slot index and its ordinal there.
#[inline]
fn place(index: u32) -> Option<(&'static Class, u32)> {
    CLASSES
        .iter()
        .find_map(|class| Some((class, class.ordinal(index)?)))
}

/// Where the parts of a lane lie in its segment.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The ready map.
    pub map: map::Layout,
    /// Three 32-bit high-water marks, one a class: slots ever allocated. Then a 32-bit word with a bit for each class that
    /// was found full and has not been freed of since.
    pub marks: usize,
    /// First slot.
    pub slots: usize,
    /// The lane of the other direction.
    pub opposite: &'static Layout,
}

/// Where a sender looks for a free slot next: private to a process, a hint.
#[derive(Debug, Default)]
pub struct Cursor([PrivateU32; 3]);

/// No slot is free in any class that would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// One direction of a segment.
#[derive(Clone, Copy, Debug)]
pub struct Lane<'a> {
    mem: &'a Mapping,
    at: &'static Layout,
}

impl<'a> Lane<'a> {
    #[inline]
    pub(crate) fn new(mem: &'a Mapping, at: &'static Layout) -> Lane<'a> {
        Lane { mem, at }
    }

    /// Returns the lane of the other direction.
    pub(crate) fn opposite(&self) -> Lane<'a> {
        Lane::new(self.mem, self.at.opposite)
    }

    /// Returns the ready map.
    #[must_use]
    #[inline]
    pub fn map(&self) -> ReadyMap<'a> {
        ReadyMap::new(self.mem, self.at.map)
    }

    /// Returns the slot with an index that may come from a peer.
    #[must_use]
    #[inline(always)]
    pub fn slot(&self, index: u32) -> Option<Slot<'a>> {
        let (class, ordinal) = place(index)?;
        self.reach(class, ordinal)
            .then(|| self.slot_of(class, ordinal))
    }

    fn offset(&self, class: &Class, ordinal: u32) -> usize {
        self.at.slots + class.base + ordinal as usize * class.size
    }

    /// Returns whether there is room in the address space for a slot, which must be asked before it is made.
    #[inline]
    fn reach(&self, class: &Class, ordinal: u32) -> bool {
        self.mem.reach(self.offset(class, ordinal), class.size)
    }

    #[inline(always)]
    fn slot_of(&self, class: &Class, ordinal: u32) -> Slot<'a> {
        let offset = self.offset(class, ordinal);
        let full = slot::Full {
            word: self.full_word() as u32,
            bit: class.bit(),
        };
        Slot::new(
            self.mem,
            offset,
            class.index(ordinal),
            class.capacity() as u32,
            full,
        )
    }

    /// Takes a free slot for `len` bytes of payload. It is WRITING and owned by `me`, its turn is IDLE.
    ///
    /// # Errors
    /// [`Full`] if none is free; nothing was changed.
    #[inline(always)]
    pub fn allocate(&self, cursor: &Cursor, len: usize, me: Tno) -> Result<Slot<'a>, Full> {
        let full = self.mem.w32(self.full_word());
        for (class, next) in CLASSES.iter().zip(&cursor.0) {
            if class.capacity() < len || full.load(Ordering::Relaxed) & class.bit() != 0 {
                continue;
            }
            let mut is_last = false;
            loop {
                if let Some(slot) = self.search(class, next, me) {
                    slot.forget_turn();
                    return Ok(slot);
                }
                if is_last {
                    break;
                }
                full.fetch_or(class.bit(), Ordering::SeqCst);
                is_last = true;
            }
        }
        Err(Full)
    }

    fn full_word(&self) -> usize {
        self.at.marks + CLASSES.len() * 4
    }

    #[inline]
    fn search(&self, class: &Class, next: &PrivateU32, me: Tno) -> Option<Slot<'a>> {
        let hint = next.load(PrivateOrdering::Relaxed);
        // Every sixteenth search begins at the bottom, so that use returns to low slots.
        let first = if hint.is_multiple_of(16) || hint >= class.count() {
            0
        } else {
            hint
        };
        let (ordinal, slot) = match self.try_slot(class, first, me) {
            Some(slot) => (first, slot),
            None => self.search_from(class, hint.min(class.count()), me)?,
        };
        next.store(ordinal + 1, PrivateOrdering::Relaxed);
        Some(slot)
    }

    #[cold]
    fn search_from(&self, class: &Class, hint: u32, me: Tno) -> Option<(u32, Slot<'a>)> {
        (hint..class.count())
            .chain(0..hint)
            .find_map(|ordinal| Some((ordinal, self.try_slot(class, ordinal, me)?)))
    }

    #[inline]
    fn try_slot(&self, class: &Class, ordinal: u32, me: Tno) -> Option<Slot<'a>> {
        if !self.reach(class, ordinal) {
            return None;
        }
        self.raise_mark(class, ordinal);
        let slot = self.slot_of(class, ordinal);
        let state = slot.state();
        (state.kind == Kind::Free && slot.advance(state, Kind::Writing, me)).then_some(slot)
    }

    /// Publishes the high-water mark before a slot above it is touched.
    #[inline]
    fn raise_mark(&self, class: &Class, ordinal: u32) {
        let mark = self.mem.w32(self.at.marks + class.number * 4);
        if mark.load(Ordering::Relaxed) <= ordinal {
            mark.fetch_max(ordinal + 1, Ordering::SeqCst);
        }
    }

    /// Gives back a slot this thread owns in `kind` (WRITING, TAKEN or HELD) and makes it the next to be allocated.
    #[inline(always)]
    pub fn free(&self, slot: &Slot<'_>, kind: Kind, me: Tno, cursor: Option<&Cursor>) {
        let state = slot.state();
        if state.kind == kind && state.owner == me {
            slot.advance(state, Kind::Free, 0);
        }
        if let (Some(cursor), Some((class, ordinal))) = (cursor, place(slot.index())) {
            cursor.0[class.number].store(ordinal, PrivateOrdering::Relaxed);
        }
    }

    /// Asks for the cache lines that a message in slot `index` touches: see [`crate::mem::Window::prefetch`].
    #[inline(always)]
    pub(crate) fn prefetch(&self, index: u32) {
        self.map().prefetch();
        if let Some(slot) = self.slot(index) {
            slot.prefetch();
        }
    }

    /// Asks for the cache lines that the next small message of a sender touches.
    #[inline]
    pub fn prefetch_next(&self, cursor: &Cursor) {
        let [small, ..] = &CLASSES;
        self.prefetch(small.index(cursor.0[0].load(PrivateOrdering::Relaxed)));
    }

    /// Makes a written slot visible to the receivers of `inbox` and rings. Returns the message id.
    ///
    /// The ticket is drawn here, after everything that can fail; a slot that wants a reply starts to wait for it before it
    /// becomes visible, since the answer may come before this call returns.
    ///
    /// `tickets` is the inbox of the connection port, which numbers the messages of both directions; `inbox` is where this
    /// lane ends.
    pub fn publish(
        &self,
        slot: &Slot<'_>,
        tickets: &Inbox,
        inbox: &Inbox,
        source: u32,
        me: Tno,
        wait: bool,
    ) -> u32 {
        self.publish_as(slot, None, (tickets, inbox), source, me, wait)
    }

    /// As [`Lane::publish`], in the conversation `id` that another message began.
    #[inline(always)]
    pub fn publish_as(
        &self,
        slot: &Slot<'_>,
        id: Option<u32>,
        (tickets, inbox): (&Inbox, &Inbox),
        source: u32,
        me: Tno,
        wait: bool,
    ) -> u32 {
        let (ticket, own_id) = tickets.draw_ticket();
        let id = id.unwrap_or(own_id);
        slot.set_ticket(ticket);
        slot.set_message_id(id);
        if wait {
            slot.begin_wait(id);
        }
        let state = slot.state();
        slot.advance(
            State {
                kind: Kind::Writing,
                owner: me,
                ..state
            },
            Kind::Ready,
            me,
        );
        self.map().set(slot.index());
        inbox.ring(source);
        id
    }

    /// Takes a message back that nobody has taken; returns whether it was still there.
    #[must_use]
    pub fn withdraw(&self, slot: &Slot<'_>, me: Tno) -> bool {
        let state = slot.state();
        state.kind == Kind::Ready && state.owner == me && slot.advance(state, Kind::Free, 0)
    }

    /// Claims a READY slot of exactly `generation` for this thread. The caller then calls [`Lane::unmark`].
    #[must_use]
    #[inline]
    pub(crate) fn take(&self, slot: &Slot<'_>, generation: u32, me: Tno) -> bool {
        let state = slot.state();
        state.kind == Kind::Ready
            && state.generation == generation
            && slot.advance(state, Kind::Taken, me)
    }

    /// Clears a slot's ready bit; sets it again if the slot turns out to be ready. Returns whether a message was out of sight
    /// for a moment, so that the caller rings.
    #[must_use]
    #[inline(always)]
    pub(crate) fn unmark(&self, slot: &Slot<'_>) -> bool {
        let hidden = self.map().clear(slot.index());
        let is_ready = slot.state().kind == Kind::Ready;
        if is_ready {
            self.map().set(slot.index());
        }
        hidden | is_ready
    }

    /// Receiver: keeps a taken request for its requester until the reply, or frees it if the requester is gone.
    #[inline(always)]
    pub fn hold(&self, slot: &Slot<'_>, me: Tno, requester: Tno) {
        let taken = slot.state();
        if taken.kind != Kind::Taken
            || taken.owner != me
            || !slot.advance(taken, Kind::Held, requester)
        {
            return;
        }
        // Who leaves sets ORPHAN, then looks for HELD; this thread sets HELD, then looks for ORPHAN.
        slot.free_orphan();
    }

    /// Calls `visit` with every slot that was ever allocated.
    pub fn for_each_used(&self, mut visit: impl FnMut(Slot<'a>)) {
        for class in &CLASSES {
            let mark = self
                .mem
                .w32(self.at.marks + class.number * 4)
                .load(Ordering::SeqCst);
            for ordinal in 0..mark.min(class.count()) {
                if self.reach(class, ordinal) {
                    visit(self.slot_of(class, ordinal));
                }
            }
        }
    }
}
