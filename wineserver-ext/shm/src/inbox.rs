//! What a receiving port shares with everyone who sends to it: tickets, the bell, the sleepers.
//!
//! | offset | size | field | written by |
//! |---:|---:|---|---|
//! | 0x000 | 8 | ready map root over sources | senders set, receivers clear |
//! | 0x008 | 8 | idle: superset of the sleeping receiver records | only receivers, each its own bit |
//! | 0x010 | 32 | sleep words of records 0–7: `cycle:30 \| state:2` | see below |
//! | 0x030 | 16 | CPUs of records 0–7 | its receiver; a hint |
//! | 0x040 | 8 | next ticket | every sender |
//! | 0x080 | 4 | signal of a waitable port: UNSET, SET, or SET and its waiters not yet woken | senders SET, receivers UNSET |
//! | 0x084 | 4 | flags: waitable, closed | server |
//! | 0x088 | 4 | records given back: `count:31 \| awaited:1` | who gives one back, who waits for one |
//! | 0x0C0 | 256 | owners of records 0–63 (thread numbers) | receivers by compare-and-swap; server frees for the dead |
//! | 0x1C0 | 224 | sleep words of records 8–63 | as above |
//! | 0x2A0 | 112 | CPUs of records 8–63 | as above |
//! | tree | 4160 | middle and leaf words of the ready map | as the root |
//!
//! Lost wakes are impossible by two pairs of sequentially consistent accesses: a sender {sets ready, loads idle}, a receiver
//! {sets idle, loads ready}.
//!
//! A sleep word goes RUN → SLEEP (its receiver, with a new cycle) → CHOSEN (a waker) → RUN (that waker after its FUTEX_WAKE,
//! or the receiver). A waker that meets CHOSEN makes the FUTEX_WAKE too: the other may have been stopped before it. One that
//! was killed there is covered by [`Inbox::kick`].

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::Tno;
use crate::map::{self, ReadyMap, TREE_LEN};
use crate::mem::{
    AtomicU32, Mapping,
    Ordering::{Relaxed, SeqCst},
    Window,
};
use crate::sys::{self, Deadline, Woken};

const READY_ROOT: usize = 0x00;
const IDLE: usize = 0x08;
const WORDS: usize = 0x10;
const CPUS: usize = 0x30;
const NEXT_TICKET: usize = 0x40;
const SIGNAL: usize = 0x80;
const FLAGS: usize = 0x84;
const GIVEN_BACK: usize = 0x88;
const OWNERS: usize = 0xC0;
const MORE_WORDS: usize = 0x1C0;
const MORE_CPUS: usize = 0x2A0;
/// Bytes of an inbox without its tree.
pub const INBOX_LEN: usize = 0x340;
/// Receiver records of an inbox; few in models, where they run out.
pub const RECORDS: u32 = if cfg!(feature = "model") { 2 } else { 64 };

const RUN: u32 = 0;
const SLEEP: u32 = 1;
const CHOSEN: u32 = 2;
/// The part of a sleep word that is its state; the rest counts sleeps, so that a late waker meets no later sleep.
const STATE: u32 = 3;

const UNSET: u32 = 0;
const SET: u32 = 1;
const SET_UNWOKEN: u32 = 2;
const AWAITED: u32 = 1;

const WAITABLE: u32 = 1;
const CLOSED: u32 = 2;

/// Offset of the tree in an inbox's own memfd.
const OWN_TREE: usize = 0x1000;
const OWN_LEN: usize = 0x3000;
const _: () = assert!(OWN_TREE + TREE_LEN <= OWN_LEN);

/// The shared side of a receiving port.
#[derive(Clone, Debug)]
pub struct Inbox {
    mem: Arc<Mapping>,
    at: usize,
    tree: usize,
}

/// A receiver record claimed by this thread, from before it sleeps until it is awake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record(u32);

impl Inbox {
    /// Creates the inbox of a port in a memfd of its own.
    ///
    /// # Errors
    /// No descriptor or no memory.
    pub fn create(waitable: bool) -> io::Result<Inbox> {
        let inbox = Inbox::of(
            Arc::new(Mapping::create("ntlpc-inbox", OWN_LEN)?),
            0,
            OWN_TREE,
        );
        inbox
            .head()
            .w32::<FLAGS>()
            .store(if waitable { WAITABLE } else { 0 }, SeqCst);
        inbox.mem.w64(NEXT_TICKET).store(1, SeqCst);
        Ok(inbox)
    }

    /// Maps the inbox that the server handed out.
    ///
    /// # Errors
    /// Not an inbox, or no address space.
    pub fn map(fd: OwnedFd) -> io::Result<Inbox> {
        Ok(Inbox::of(
            Arc::new(Mapping::open(fd, OWN_LEN, true)?),
            0,
            OWN_TREE,
        ))
    }

    /// Returns the inbox at `at` of a mapping, its tree at `tree`.
    pub(crate) fn of(mem: Arc<Mapping>, at: usize, tree: usize) -> Inbox {
        Inbox { mem, at, tree }
    }

    /// Returns the mapping, whose memfd can be handed on.
    #[must_use]
    pub fn mapping(&self) -> &Arc<Mapping> {
        &self.mem
    }

    fn head(&self) -> Window<'_, INBOX_LEN> {
        self.mem.window(self.at)
    }

    /// Returns a word of a receiver record.
    fn w32(&self, offset: usize) -> &AtomicU32 {
        self.mem.w32(self.at + offset)
    }

    /// Asks for the cache line that senders ring on and receivers clear: see [`Window::prefetch`].
    #[inline]
    pub fn prefetch(&self) {
        self.head().prefetch::<READY_ROOT>();
    }

    /// Returns the map of sources that have something.
    #[must_use]
    #[inline]
    pub fn sources(&self) -> ReadyMap<'_> {
        ReadyMap::new(
            &self.mem,
            map::Layout {
                root: self.at + READY_ROOT,
                tree: self.tree,
            },
        )
    }

    /// Draws the next ticket and the message id that goes with it: its low half, never 0.
    #[inline]
    pub fn draw_ticket(&self) -> (u64, u32) {
        loop {
            let ticket = self.head().w64::<NEXT_TICKET>().fetch_add(1, SeqCst);
            if ticket as u32 != 0 {
                return (ticket, ticket as u32);
            }
        }
    }

    /// Takes the bit of a source away that has nothing, or that nobody knows.
    pub fn silence(&self, source: u32) {
        if self.sources().clear(source) {
            self.wake_one();
        }
    }

    /// Says that `source` has something, and wakes one sleeping receiver. Returns whether one was woken.
    #[inline]
    pub fn ring(&self, source: u32) -> bool {
        self.sources().set(source);
        if self.head().w32::<FLAGS>().load(Relaxed) & WAITABLE != 0 {
            self.set_signal();
        }
        self.wake_one()
    }

    /// Wakes one sleeping receiver, preferring one that slept on this CPU. Returns whether one was woken.
    #[inline(always)]
    pub fn wake_one(&self) -> bool {
        let mut idle = self.head().w64::<IDLE>().load(SeqCst);
        if idle == 0 {
            return false;
        }
        let cpu = sys::current_cpu();
        while idle != 0 {
            let record = self.preferred(idle, cpu);
            let (offset, _) = Self::places(record);
            let word = self.w32(offset);
            let seen = word.load(SeqCst);
            let now = match seen & STATE {
                RUN | CHOSEN => seen,
                // Any other value counts as asleep: a hostile value must not hide a sleeper.
                _ => {
                    let chosen = seen & !STATE | CHOSEN;
                    match word.compare_exchange(seen, chosen, SeqCst, SeqCst) {
                        Ok(_) => {
                            self.finish_wake(offset, chosen);
                            return true;
                        }
                        Err(now) => now,
                    }
                }
            };
            if now & STATE == CHOSEN {
                self.finish_wake(offset, now);
            }
            idle &= !(1 << record);
        }
        false
    }

    #[inline(always)]
    fn finish_wake(&self, offset: usize, chosen: u32) {
        self.mem.futex_wake(self.at + offset, 1);
        // Failure: the receiver runs already, or another waker was faster.
        let _ = self
            .w32(offset)
            .compare_exchange(chosen, chosen & !STATE | RUN, SeqCst, SeqCst);
    }

    fn preferred(&self, idle: u64, cpu: u16) -> u32 {
        let mut rest = idle;
        while rest != 0 {
            let record = rest.trailing_zeros();
            if self.mem.w16(self.at + Self::places(record).1).load(Relaxed) == cpu {
                return record;
            }
            rest &= rest - 1;
        }
        idle.trailing_zeros()
    }

    /// Offsets of a record's sleep word and CPU.
    fn places(record: u32) -> (usize, usize) {
        let at = record as usize;
        if at < 8 {
            (WORDS + at * 4, CPUS + at * 2)
        } else {
            (MORE_WORDS + (at - 8) * 4, MORE_CPUS + (at - 8) * 2)
        }
    }

    /// Claims a receiver record and declares this thread asleep. The caller looks for messages once more before it waits.
    /// None if all records are taken.
    #[must_use]
    pub fn arm(&self, me: Tno) -> Option<Record> {
        let record = (0..RECORDS).find(|at| {
            let owner = self.w32(OWNERS + *at as usize * 4);
            owner.load(Relaxed) == 0 && owner.compare_exchange(0, me, SeqCst, SeqCst).is_ok()
        })?;
        let (word, cpu) = Self::places(record);
        self.mem
            .w16(self.at + cpu)
            .store(sys::current_cpu(), Relaxed);
        let word = self.w32(word);
        let cycle = (word.load(Relaxed) & !STATE).wrapping_add(STATE + 1);
        word.store(cycle | SLEEP, SeqCst);
        self.head().w64::<IDLE>().fetch_or(1 << record, SeqCst);
        Some(Record(record))
    }

    /// Sleeps until a waker chooses this record, a signal arrives or the deadline passes.
    #[must_use]
    pub fn wait(&self, record: Record, deadline: Option<Deadline>) -> Woken {
        let (word, _) = Self::places(record.0);
        let asleep = self.w32(word).load(SeqCst);
        if asleep & STATE != SLEEP {
            return Woken::Look;
        }
        self.mem.futex_wait(self.at + word, asleep, deadline)
    }

    /// Returns whether a waker chose this record.
    #[must_use]
    pub fn is_chosen(&self, record: Record) -> bool {
        self.w32(Self::places(record.0).0).load(SeqCst) & STATE != SLEEP
    }

    /// Gives the record back. Returns whether a waker had chosen it: who then leaves without a message passes the baton
    /// ([`Inbox::pass_baton`]).
    pub fn disarm(&self, record: Record) -> bool {
        let was = self.run(record.0);
        self.head()
            .w64::<IDLE>()
            .fetch_and(!(1 << record.0), SeqCst);
        self.give_back(record.0);
        was != SLEEP
    }

    /// Frees a record, then looks whether somebody waits for one.
    fn give_back(&self, record: u32) {
        self.w32(OWNERS + record as usize * 4).store(0, SeqCst);
        let given_back = self.head().w32::<GIVEN_BACK>();
        let seen = given_back.load(SeqCst);
        if seen & AWAITED != 0 {
            given_back.store((seen & !AWAITED).wrapping_add(AWAITED + 1), SeqCst);
            self.head().futex_wake::<GIVEN_BACK>(i32::MAX);
        }
    }

    /// Sleeps, if all records are taken, until one is given back, a signal arrives or the deadline passes.
    #[must_use]
    pub fn wait_for_record(&self, deadline: Option<Deadline>) -> Woken {
        // Who gives one back frees it, then looks for AWAITED; this thread sets AWAITED, then looks for a free one.
        let awaited = self.head().w32::<GIVEN_BACK>().fetch_or(AWAITED, SeqCst) | AWAITED;
        let is_taken = |record: u32| self.w32(OWNERS + record as usize * 4).load(SeqCst) != 0;
        if !(0..RECORDS).all(is_taken) {
            return Woken::Look;
        }
        self.head().futex_wait::<GIVEN_BACK>(awaited, deadline)
    }

    /// Sets a record's sleep word to RUN; returns the state it had.
    fn run(&self, record: u32) -> u32 {
        self.w32(Self::places(record).0).fetch_and(!STATE, SeqCst) & STATE
    }

    fn run_and_wake(&self, record: u32) {
        self.run(record);
        self.mem
            .futex_wake(self.at + Self::places(record).0, i32::MAX);
    }

    /// Wakes another receiver if something is still there: by one who was woken and leaves, or who saw more than it took.
    pub fn pass_baton(&self) {
        if !self.sources().is_empty() {
            self.wake_one();
        }
    }

    /// Returns the threads that sleep here.
    #[must_use]
    pub fn sleepers(&self) -> Vec<Tno> {
        let owner = |record: u32| self.w32(OWNERS + record as usize * 4).load(SeqCst);
        (0..RECORDS)
            .map(owner)
            .filter(|&owner| owner != 0)
            .collect()
    }

    /// Returns whether some receiver sleeps.
    #[must_use]
    #[inline(always)]
    pub fn has_sleepers(&self) -> bool {
        self.head().w64::<IDLE>().load(SeqCst) != 0
    }

    /// Returns the address of the signal word of a waitable port, for waits on several objects; it is not 0 when signalled.
    #[must_use]
    pub fn signal_address(&self) -> usize {
        self.mem.futex_address(self.at + SIGNAL)
    }

    /// Server: makes the port waitable, before anybody else has it.
    pub fn set_waitable(&self) {
        self.w32(FLAGS).fetch_or(WAITABLE, SeqCst);
    }

    /// Signals a waitable port although nothing may be queued: its end is to be seen.
    pub fn signal(&self) {
        if self.is_waitable() {
            self.set_signal();
        }
    }

    /// Returns whether the port is waitable.
    #[must_use]
    #[inline]
    pub fn is_waitable(&self) -> bool {
        self.head().w32::<FLAGS>().load(Relaxed) & WAITABLE != 0
    }

    /// Returns whether a waitable port is signalled.
    #[must_use]
    pub fn is_signalled(&self) -> bool {
        self.head().w32::<SIGNAL>().load(SeqCst) != UNSET
    }

    fn set_signal(&self) {
        let signal = self.head().w32::<SIGNAL>();
        if signal.load(SeqCst) == SET
            || signal.compare_exchange(UNSET, SET_UNWOKEN, SeqCst, SeqCst) == Err(SET)
        {
            return;
        }
        // Also if another sender set it and was stopped before its wake.
        self.mem.futex_wake(self.at + SIGNAL, i32::MAX);
        let _ = signal.compare_exchange(SET_UNWOKEN, SET, SeqCst, SeqCst);
    }

    /// Receiver of a waitable port: the queue looked empty.
    pub fn clear_signal(&self) {
        if !self.is_waitable() {
            return;
        }
        self.head().w32::<SIGNAL>().store(UNSET, SeqCst);
        if !self.sources().is_empty() {
            self.set_signal();
        }
    }

    /// Server: marks the inbox closed and wakes everyone, so that receivers look at their ports again.
    pub fn close(&self) {
        self.head().w32::<FLAGS>().fetch_or(CLOSED, SeqCst);
        self.wake_all();
    }

    /// Returns whether the server closed the inbox.
    #[must_use]
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.head().w32::<FLAGS>().load(SeqCst) & CLOSED != 0
    }

    /// Wakes every sleeping receiver.
    pub fn wake_all(&self) {
        for record in 0..RECORDS {
            if self.run(record) != RUN {
                self.mem
                    .futex_wake(self.at + Self::places(record).0, i32::MAX);
            }
        }
    }

    /// Server, after a death: frees the records of `dead`, and wakes every receiver and every waiter for the signal: the dead
    /// may have been about to wake it, or about to look once more.
    pub fn kick(&self, dead: Tno) {
        for record in 0..RECORDS {
            let owner = self.w32(OWNERS + record as usize * 4);
            let now = owner.load(SeqCst);
            if now == dead {
                self.run(record);
                self.head().w64::<IDLE>().fetch_and(!(1 << record), SeqCst);
                self.give_back(record);
            } else if now != 0 {
                self.run_and_wake(record);
            }
        }
        // The dead may have been about to wake those who wait for a record.
        self.head().futex_wake::<GIVEN_BACK>(i32::MAX);
        if self.is_waitable() {
            if !self.sources().is_empty() {
                self.head().w32::<SIGNAL>().store(SET, SeqCst);
            }
            self.mem.futex_wake(self.at + SIGNAL, i32::MAX);
        }
    }
}
