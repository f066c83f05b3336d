//! The receiving side's private order over all sources of an inbox.
//!
//! Messages are taken by ascending ticket among those visible; nobody waits for a missing ticket. A message is taken only after
//! a whole look at the maps that began when it was already known. So if one send returned before another began, the first is
//! received first, even if the look that found the second passed the first one's place too early: its bits were set before the
//! second's ticket was drawn, hence before the next look began.
//!
//! What one look found is thus taken after one more, however much it is: a deep queue is not looked through for each message.
//!
//! A sender that lies about its tickets can be received before others. It gains no more than that, and no more than the page it
//! shares with them lets it do anyway: the ready map over sources lies there.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::Tno;
use crate::inbox::Inbox;
use crate::lane::Lane;
use crate::map::{self, Known};
use crate::segment::{Direction, Segment};
use crate::slot::{Header, Kind};

/// Where an inbox's messages come from: one lane of a segment.
#[derive(Debug)]
pub struct Source<P> {
    /// The segment.
    pub segment: Segment,
    /// The lane that leads to this inbox.
    pub direction: Direction,
    /// What the receiving side knows of the sender.
    pub peer: P,
    known: Known,
}

/// A message this thread claimed: its slot is TAKEN, and is freed or held by the caller.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Source number.
    pub source: u32,
    /// Slot index in the source's lane.
    pub slot: u32,
    /// The header, read once.
    pub header: Header,
}

/// A candidate: ticket, source, slot, generation of the slot, number of the look that found it.
type Entry = Reverse<(u64, u32, u32, u32, u64)>;

/// How many messages that were replaced before they could be claimed one take puts up with. Other processes of the port cause a
/// few; a client that renews a message all the time is served after everyone else from then on.
const PATIENCE: u32 = 1024;

/// The receiver of one inbox in this process. One lock around it serves all its threads.
#[derive(Debug)]
pub struct Receiver<P> {
    sources: Vec<Option<Source<P>>>,
    heap: BinaryHeap<Entry>,
    /// Whole looks at the maps so far.
    looks: u64,
    /// Looks when a source was last added.
    changed: u64,
    /// Source and slot of the last message: where the next one is most likely.
    last: (u32, u32),
}

impl<P> Default for Receiver<P> {
    fn default() -> Self {
        Receiver {
            sources: Vec::new(),
            heap: BinaryHeap::new(),
            looks: 0,
            changed: 0,
            last: (0, 0),
        }
    }
}

/// What [`Receiver::take`] found.
#[derive(Clone, Copy, Debug)]
pub enum Found {
    /// A message, claimed.
    Message(Taken),
    /// Nothing now.
    Nothing,
    /// A source this process has not mapped: the caller adds it, or refuses it, and looks again.
    Unknown(u32),
}

impl<P> Receiver<P> {
    /// Adds a source.
    pub fn insert(&mut self, number: u32, segment: Segment, direction: Direction, peer: P) {
        let at = number as usize;
        if self.sources.len() <= at {
            self.sources.resize_with(at + 1, || None);
        }
        // What it has may be older than what is known: nothing is taken before the next whole look.
        self.changed = self.looks;
        self.sources[at] = Some(Source {
            segment,
            direction,
            peer,
            known: Known::default(),
        });
    }

    /// Removes a source; what it still holds will not be received.
    pub fn remove(&mut self, number: u32) -> Option<Source<P>> {
        self.sources.get_mut(number as usize)?.take()
    }

    /// Returns a source.
    #[must_use]
    #[inline]
    pub fn source(&self, number: u32) -> Option<&Source<P>> {
        self.sources.get(number as usize)?.as_ref()
    }

    /// Returns a source, to change what is known of its peer.
    #[must_use]
    #[inline]
    pub fn source_mut(&mut self, number: u32) -> Option<&mut Source<P>> {
        self.sources.get_mut(number as usize)?.as_mut()
    }

    /// Returns every source with its number.
    pub fn sources(&self) -> impl Iterator<Item = (u32, &Source<P>)> {
        self.sources
            .iter()
            .enumerate()
            .filter_map(|(at, source)| Some((at as u32, source.as_ref()?)))
    }

    /// Claims the oldest visible message for `me`.
    #[inline]
    pub fn take(&mut self, inbox: &Inbox, me: Tno) -> Found {
        self.take_looking::<true>(inbox, me)
    }

    /// Claims the oldest visible message of one source alone. It may be younger than those of others.
    pub fn take_from(&mut self, inbox: &Inbox, me: Tno, number: u32) -> Option<Taken> {
        let this = self.looks + 1;
        let source = self.sources.get_mut(number as usize)?.as_mut()?;
        source.look(inbox, number, &mut self.heap, this);
        let mut renewed = 0;
        while renewed < 2 * PATIENCE {
            let oldest = self
                .heap
                .iter()
                .filter(|Reverse(entry)| entry.1 == number)
                .map(|Reverse(entry)| *entry)
                .min()?;
            self.heap.retain(|Reverse(entry)| *entry != oldest);
            let (_, _, index, generation, _) = oldest;
            if self.claim(inbox, me, (number, index, generation), &mut renewed) {
                return self.taken(number, index);
            }
        }
        None
    }

    /// As [`Receiver::take`] with one look only: what the models show to be wrong.
    #[cfg(feature = "model")]
    pub fn take_looking_once(&mut self, inbox: &Inbox, me: Tno) -> Found {
        self.take_looking::<false>(inbox, me)
    }

    #[inline]
    fn take_looking<const TWICE: bool>(&mut self, inbox: &Inbox, me: Tno) -> Found {
        let mut has_looked = false;
        let mut renewed = 0;
        self.prefetch(inbox);
        while renewed < 2 * PATIENCE {
            match self.heap.peek() {
                Some(Reverse((_, _, _, _, found)))
                    if self.changed.max(*found) + u64::from(TWICE) <= self.looks => {}
                None if has_looked => return Found::Nothing,
                _ => {
                    if let Some(unknown) = self.look(inbox) {
                        return Found::Unknown(unknown);
                    }
                    has_looked = true;
                    continue;
                }
            }
            if let Some(Reverse((_, number, index, generation, _))) = self.heap.pop()
                && self.claim(inbox, me, (number, index, generation), &mut renewed)
                && let Some(taken) = self.taken(number, index)
            {
                return Found::Message(taken);
            }
            has_looked = false;
        }
        Found::Nothing
    }

    /// Asks for the cache lines that taking another message like the last one touches.
    #[inline]
    fn prefetch(&self, inbox: &Inbox) {
        inbox.prefetch();
        if let Some(source) = self.source(self.last.0) {
            source.segment.lane(source.direction).prefetch(self.last.1);
        }
    }

    /// Returns whether more than one message is waiting that this process knows of.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        !self.heap.is_empty()
    }

    /// Returns the message in a slot this thread claimed.
    #[inline]
    fn taken(&self, source: u32, slot: u32) -> Option<Taken> {
        let from = self.source(source)?;
        let header = from.segment.lane(from.direction).slot(slot)?.header();
        Some(Taken {
            source,
            slot,
            header,
        })
    }

    #[inline(always)]
    fn claim(&mut self, inbox: &Inbox, me: Tno, name: (u32, u32, u32), renewed: &mut u32) -> bool {
        let (number, index, generation) = name;
        let Some(source) = self
            .sources
            .get_mut(number as usize)
            .and_then(Option::as_mut)
        else {
            return false;
        };
        source.known.remove(index);
        let lane = source.segment.lane(source.direction);
        let Some(slot) = lane.slot(index) else {
            return false;
        };
        let taken = lane.take(&slot, generation, me);
        if !taken {
            // Its slot may have a new message, which no look saw because the old one was known.
            let state = slot.state();
            if state.kind == Kind::Ready {
                source.known.insert(index);
                *renewed += 1;
                let ticket = if *renewed > PATIENCE {
                    u64::MAX
                } else {
                    slot.ticket()
                };
                let entry = (ticket, number, index, state.generation, self.looks + 1);
                self.heap.push(Reverse(entry));
            }
        } else if lane.unmark(&slot) {
            inbox.ring(number);
        }
        silence_if_empty(inbox, number, &lane);
        self.last = (number, index);
        taken
    }

    /// Adds every message that is new since the last look. Returns a source that is not mapped here, if one rang: then the look
    /// was not whole.
    fn look(&mut self, inbox: &Inbox) -> Option<u32> {
        let mut unknown = None;
        let this = self.looks + 1;
        let (sources, heap) = (&mut self.sources, &mut self.heap);
        let hidden = inbox.sources().scan(&Known::default(), |number| {
            match sources.get_mut(number as usize).and_then(Option::as_mut) {
                Some(source) => source.look(inbox, number, heap, this),
                None => unknown = Some(number),
            }
        });
        if hidden {
            inbox.wake_one();
        }
        if unknown.is_none() {
            self.looks = this;
        }
        unknown
    }
}

impl<P> Source<P> {
    #[inline]
    fn look(&mut self, inbox: &Inbox, number: u32, heap: &mut BinaryHeap<Entry>, this: u64) {
        let look = Look {
            lane: self.segment.lane(self.direction),
            known: &mut self.known,
            heap,
            source: number,
            this,
        };
        look.run(inbox);
    }
}

/// A look at one source.
struct Look<'a> {
    lane: Lane<'a>,
    known: &'a mut Known,
    heap: &'a mut BinaryHeap<Entry>,
    source: u32,
    /// Number of the look.
    this: u64,
}

impl Look<'_> {
    #[inline(always)]
    fn run(mut self, inbox: &Inbox) {
        let (direct, has_tree) = self.lane.map().direct(self.known);
        let mut hidden = false;
        map::for_each_bit(direct, &mut |index| hidden |= self.meet(index));
        if has_tree {
            hidden |= self.look_in_tree();
        }
        if hidden {
            inbox.ring(self.source);
        }
        silence_if_empty(inbox, self.source, &self.lane);
    }

    #[cold]
    fn look_in_tree(&mut self) -> bool {
        let mut found = [0u32; 64];
        let mut hidden = false;
        // A peer that sets bits as fast as they are cleared must not keep this thread here.
        for _ in 0..=map::CAPACITY as usize / found.len() {
            let mut count = 0;
            hidden |= self.lane.map().scan_tree(self.known, &mut |index| {
                if count < found.len() {
                    found[count] = index;
                    count += 1;
                }
            });
            for &index in &found[..count] {
                hidden |= self.meet(index);
            }
            if count < found.len() {
                break;
            }
        }
        hidden
    }

    /// Takes note of the message in a slot whose bit is set; clears the bit if there is none. Returns whether another member was
    /// out of sight for a moment.
    #[inline]
    fn meet(&mut self, index: u32) -> bool {
        let Some(slot) = self.lane.slot(index) else {
            return self.lane.map().clear(index);
        };
        let state = slot.state();
        if state.kind != Kind::Ready {
            return self.lane.unmark(&slot);
        }
        self.known.insert(index);
        let (ticket, generation) = (slot.ticket(), state.generation);
        self.heap
            .push(Reverse((ticket, self.source, index, generation, self.this)));
        false
    }
}

/// Takes a source's bit away if its lane looks empty, and looks once more. A restored bit is a bell: a receiver may have gone to
/// sleep in between.
#[inline]
fn silence_if_empty(inbox: &Inbox, number: u32, lane: &Lane<'_>) {
    let map = lane.map();
    if !map.is_empty() {
        return;
    }
    inbox.silence(number);
    if !map.is_empty() {
        inbox.ring(number);
    }
}
