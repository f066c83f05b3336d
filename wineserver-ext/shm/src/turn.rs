//! The turn word of a request: whose turn it is, requester's or replier's.
//!
//! Low half (the futex): `state:3 | sleeping:1 | sequence:28`. High half: the awaited message id while the state is
//! WAIT or ARMED, the replier's thread number while it is FILLING or an ORPHAN it still writes to, else 0.
//!
//! | state | meaning | legal next (by) |
//! |---|---|---|
//! | IDLE | nobody waits | WAIT, ARMED (requester) |
//! | WAIT | the requester waits for an answer to the id | FILLING (a replier), LOST, ORPHAN (server), IDLE (requester) |
//! | ARMED | as WAIT, once the answer of this requester to its caller is delivered | WAIT (requester, or who got the answer), LOST, ORPHAN (server), IDLE (requester) |
//! | FILLING | one replier writes the answer | MSG (that replier), WAIT (server, if the replier died), ORPHAN |
//! | MSG | the answer is there | WAIT, ARMED, IDLE (requester) |
//! | LOST | no answer will come | IDLE (requester) |
//! | CANCELLED | the request was cancelled | IDLE (requester) |
//! | ORPHAN | the requester died or left; high half: the replier that still writes, or 0 | – |
//!
//! Every transition is one compare-and-swap, so exactly one of reply, callback, timeout, cancellation and loss ends a
//! wait. The sleeping bit is set by the requester and survives WAIT → FILLING; who moves the word to an end state wakes
//! the sleeper if it is set.

use crate::Tno;
use crate::mem::Ordering::SeqCst;
use crate::slot::{ARMED_BY, Answer, Kind, Slot, State, TURN};
use crate::sys::{Deadline, Woken};

/// What a turn word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Nobody waits.
    Idle,
    /// The requester waits for an answer to the id.
    Wait,
    /// One replier writes the answer.
    Filling,
    /// The answer is there.
    Msg,
    /// No answer will come.
    Lost,
    /// The request was cancelled.
    Cancelled,
    /// Waits once its own answer to its caller is delivered.
    Armed,
    /// The requester is gone.
    Orphan,
}

/// A decoded turn word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whose turn it is.
    pub phase: Phase,
    /// The requester sleeps, or is about to.
    pub sleeping: bool,
    /// Grows by one with each wait, modulo 2^28.
    pub sequence: u32,
    /// Awaited message id, or the replier while FILLING.
    pub who: u32,
}

impl Turn {
    #[inline]
    fn decode(word: u64) -> Turn {
        let phase = match word & 7 {
            0 => Phase::Idle,
            1 => Phase::Wait,
            2 => Phase::Filling,
            3 => Phase::Msg,
            4 => Phase::Lost,
            5 => Phase::Cancelled,
            6 => Phase::Armed,
            _ => Phase::Orphan,
        };
        Turn {
            phase,
            sleeping: word & 8 != 0,
            sequence: (word as u32) >> 4,
            who: (word >> 32) as u32,
        }
    }

    #[inline]
    fn encode(self) -> u64 {
        self.phase as u64
            | u64::from(self.sleeping) << 3
            | u64::from(self.sequence & 0x0FFF_FFFF) << 4
            | u64::from(self.who) << 32
    }

    #[inline]
    fn to(self, phase: Phase, who: u32) -> Turn {
        Turn { phase, who, ..self }
    }
}

/// How often a change is tried again. Honest threads change a turn a handful of times in a wait; only a peer that writes to it
/// all the time can use this up, and then spoils its own connection.
pub(crate) const RETRIES: u32 = 1 << 12;

/// The right to write an answer. Only the thread that holds it may end the wait with a message.
#[derive(Debug)]
#[must_use = "a claimed turn blocks every other replier until it is published or given back"]
pub struct Filling<'a> {
    slot: Slot<'a>,
    me: Tno,
    id: u32,
}

/// Why an answer was not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotWaiting;

impl<'a> Slot<'a> {
    /// Reads the turn word.
    #[must_use]
    #[inline]
    pub fn turn(&self) -> Turn {
        Turn::decode(self.head.w64::<TURN>().load(SeqCst))
    }

    #[inline]
    fn change_turn(&self, from: Turn, to: Turn) -> bool {
        self.head
            .w64::<TURN>()
            .compare_exchange(from.encode(), to.encode(), SeqCst, SeqCst)
            .is_ok()
    }

    /// Requester: starts to wait for an answer to `id`. The slot is not yet visible, or its last answer was consumed.
    #[inline]
    pub fn begin_wait(&self, id: u32) {
        self.begin(Phase::Wait, id);
    }

    /// Requester: as [`Slot::begin_wait`], but only from the moment its own answer in `peer` of the other lane is taken as
    /// delivered (turn MSG of `sequence`, or later).
    pub fn begin_armed(&self, id: u32, peer: u32, sequence: u32) {
        self.head
            .w64::<ARMED_BY>()
            .store(u64::from(peer) | u64::from(sequence) << 32, SeqCst);
        self.begin(Phase::Armed, id);
    }

    #[inline]
    fn begin(&self, phase: Phase, id: u32) {
        // Rundown frees what an unpublished answer names: nothing until its replier names it.
        self.forget_answer();
        let sequence = self.turn().sequence.wrapping_add(1);
        let turn = Turn {
            phase,
            sleeping: false,
            sequence,
            who: id,
        };
        self.head.w64::<TURN>().store(turn.encode(), SeqCst);
    }

    /// Makes the turn of a slot that was just allocated IDLE: its last requester may have left it ORPHAN.
    #[inline]
    pub(crate) fn forget_turn(&self) {
        if self.turn().phase != Phase::Idle {
            self.reset_turn();
        }
    }

    /// Returns whether the turn says MSG of `sequence`, and the answer came from who waits in slot `waiter` of the other lane:
    /// what an ARMED turn of that waiter depends on.
    #[must_use]
    pub fn is_answered_by(&self, waiter: u32, sequence: u32) -> bool {
        let turn = self.turn();
        turn.phase == Phase::Msg
            && turn.sequence == sequence
            && self.answer().waiter == waiter + 1
            && self.turn() == turn
    }

    /// Requester: its own answer was delivered, ARMED becomes WAIT unless somebody helped already.
    #[inline]
    pub fn disarm(&self) {
        let turn = self.turn();
        if turn.phase == Phase::Armed {
            self.change_turn(turn, turn.to(Phase::Wait, turn.who));
        }
    }

    /// Requester: stops waiting; returns the phase found if somebody ended the wait first.
    ///
    /// # Errors
    /// The turn, if its phase is not WAIT or ARMED any more (FILLING included: an answer is on its way).
    pub fn end_wait(&self) -> Result<(), Turn> {
        for _ in 0..RETRIES {
            let turn = self.turn();
            if !matches!(turn.phase, Phase::Wait | Phase::Armed) {
                return Err(turn);
            }
            if self.change_turn(turn, turn.to(Phase::Idle, 0)) {
                return Ok(());
            }
        }
        Err(self.turn())
    }

    /// Requester: gives up an answer that a replier takes too long to write. That replier then frees what it made.
    pub fn abandon(&self) -> bool {
        let turn = self.turn();
        turn.phase == Phase::Filling && self.change_turn(turn, turn.to(Phase::Orphan, turn.who))
    }

    /// Requester: leaves a request that may still be undelivered. Its slot is freed here if it was delivered, else by the
    /// receiver that takes it ([`crate::lane::Lane::hold`]); a replier that is just writing frees it itself.
    #[inline(always)]
    pub fn leave(&self) {
        for _ in 0..RETRIES {
            if self.orphan_from(self.turn()) {
                break;
            }
        }
        self.free_orphan();
    }

    /// Moves exactly `turn` to ORPHAN, keeping the name of a replier that writes; returns whether this thread did it.
    pub(crate) fn orphan_from(&self, turn: Turn) -> bool {
        let writer = match turn.phase {
            Phase::Filling | Phase::Orphan => turn.who,
            _ => 0,
        };
        self.change_turn(turn, turn.to(Phase::Orphan, writer))
    }

    /// Frees the slot if it was delivered, its requester is gone and nobody writes to it. Who makes the last of the three true
    /// looks at the other two afterwards, so the slot is freed, and the state's generation lets only one free it.
    #[inline]
    pub(crate) fn free_orphan(&self) {
        let state = self.state();
        let turn = self.turn();
        if state.kind == Kind::Held && turn.phase == Phase::Orphan && turn.who == 0 {
            self.advance(state, Kind::Free, 0);
        }
    }

    /// The replier `writer` writes no more into a slot whose requester left.
    pub(crate) fn finish_abandoned(&self, writer: Tno) {
        let turn = self.turn();
        if turn.phase == Phase::Orphan && turn.who == writer {
            self.change_turn(turn, turn.to(Phase::Orphan, 0));
            self.free_orphan();
        }
    }

    /// Requester: the answer or loss was consumed.
    #[inline]
    pub fn reset_turn(&self) {
        let turn = self.turn();
        self.head
            .w64::<TURN>()
            .store(turn.to(Phase::Idle, 0).encode() & !8, SeqCst);
    }

    /// Requester: sleeps until the wait ends, a signal arrives or the deadline passes.
    #[must_use]
    pub fn sleep(&self, deadline: Option<Deadline>) -> Woken {
        let turn = self.turn();
        if !matches!(turn.phase, Phase::Wait | Phase::Filling | Phase::Armed) {
            return Woken::Look;
        }
        let asleep = Turn {
            sleeping: true,
            ..turn
        };
        if !turn.sleeping && !self.change_turn(turn, asleep) {
            return Woken::Look;
        }
        self.head
            .futex_wait::<TURN>(asleep.encode() as u32, deadline)
    }

    /// Replier: claims the right to answer the wait for `id`. `resolve` says of an ARMED turn whether the answer it
    /// depends on (slot of the other lane, sequence) was delivered.
    ///
    /// # Errors
    /// [`NotWaiting`] if nobody waits for that id here.
    #[inline]
    pub fn claim_answer(
        &self,
        id: u32,
        me: Tno,
        resolve: impl Fn(u32, u32) -> bool,
    ) -> Result<Filling<'a>, NotWaiting> {
        for _ in 0..RETRIES {
            let turn = self.turn();
            if turn.who != id {
                return Err(NotWaiting);
            }
            match turn.phase {
                Phase::Wait => {
                    if self.change_turn(turn, turn.to(Phase::Filling, me)) {
                        return Ok(Filling {
                            slot: *self,
                            me,
                            id,
                        });
                    }
                }
                Phase::Armed => {
                    let by = self.head.w64::<ARMED_BY>().load(SeqCst);
                    if resolve(by as u32, (by >> 32) as u32) {
                        self.change_turn(turn, turn.to(Phase::Wait, id));
                    } else if self.turn() == turn {
                        return Err(NotWaiting);
                    }
                }
                _ => return Err(NotWaiting),
            }
        }
        Err(NotWaiting)
    }

    /// Server: ends a wait without a message; returns whether it did. FILLING is left to its replier.
    pub fn end_turn(&self, phase: Phase) -> bool {
        for _ in 0..RETRIES {
            let turn = self.turn();
            if !matches!(turn.phase, Phase::Wait | Phase::Armed) {
                return false;
            }
            if self.change_turn(turn, turn.to(phase, 0)) {
                self.wake(turn);
                return true;
            }
        }
        false
    }

    /// Server: takes a claim back from a replier that died; the wait goes on, or is lost if `lost`.
    pub fn revert_filling(&self, dead: Tno, lost: bool) -> bool {
        for _ in 0..RETRIES {
            let turn = self.turn();
            if turn.phase != Phase::Filling || turn.who != dead {
                return false;
            }
            let to = if lost {
                turn.to(Phase::Lost, 0)
            } else {
                turn.to(Phase::Wait, self.header().message_id)
            };
            if self.change_turn(turn, to) {
                self.wake(turn);
                return true;
            }
        }
        false
    }

    /// Server: wakes a requester whose waker may have died between its change and its wake.
    pub fn kick(&self) {
        if self.turn().sleeping {
            self.head.futex_wake::<TURN>(i32::MAX);
        }
    }

    fn wake(&self, before: Turn) {
        if before.sleeping {
            self.head.futex_wake::<TURN>(i32::MAX);
        }
    }
}

impl<'a> Filling<'a> {
    /// Returns the slot being answered.
    #[must_use]
    pub fn slot(&self) -> Slot<'a> {
        self.slot
    }

    /// Ends the wait with `answer`. `side` is a slot of the other lane that this thread allocated and wrote, if the payload does
    /// not lie in the request's own slot: it goes to the requester.
    ///
    /// # Errors
    /// [`NotWaiting`] if the requester left meanwhile; nothing of the answer remains.
    #[inline(always)]
    pub fn deliver(self, answer: &Answer, side: Option<&Slot<'_>>) -> Result<(), NotWaiting> {
        let (slot, me) = (self.slot, self.me);
        let requester = slot.header().sender;
        // 1. The name first: who dies after it and before 3 leaves a side slot that rundown finds.
        slot.set_answer(&Answer {
            slot: side.map_or(0, |side| side.index() + 1),
            ..*answer
        });
        // 2. The side slot becomes the requester's.
        let held = side.map(|side| {
            let writing = State {
                kind: Kind::Writing,
                owner: me,
                ..side.state()
            };
            side.advance(writing, Kind::Held, requester);
            let held = State {
                kind: Kind::Held,
                owner: requester,
                ..writing
            };
            (side, held)
        });
        // 3. The wait ends, or has ended.
        let result = self.leave(Phase::Msg, 0);
        if result.is_err() {
            if let Some((side, held)) = held {
                side.advance(held, Kind::Free, 0);
            }
            slot.finish_abandoned(me);
        }
        result
    }

    /// Gives the right back: the requester goes on waiting, unless it left meanwhile.
    pub fn give_back(self) {
        let (slot, me, id) = (self.slot, self.me, self.id);
        if self.leave(Phase::Wait, id).is_err() {
            slot.finish_abandoned(me);
        }
    }

    #[inline(always)]
    fn leave(self, phase: Phase, who: u32) -> Result<(), NotWaiting> {
        for _ in 0..RETRIES {
            let turn = self.slot.turn();
            if turn.phase != Phase::Filling || turn.who != self.me {
                return Err(NotWaiting);
            }
            if self.slot.change_turn(turn, turn.to(phase, who)) {
                self.slot.wake(turn);
                return Ok(());
            }
        }
        Err(NotWaiting)
    }
}
