//! What the server does to a segment when a thread died or a connection ends.
//!
//! Every step is a compare-and-swap that names the dead thread as owner, so it may run while other threads work, run
//! twice, or be interrupted and run again. It starts only when the thread runs no more instruction.

use crate::Tno;
use crate::inbox::Inbox;
use crate::lane::Lane;
use crate::slot::{Kind, Slot};
use crate::turn::{Phase, RETRIES};

/// Cleans one lane up after `dead`. `source` is the lane's number in `inbox`, where its messages are received;
/// `closed` says whether the connection is closed, so that a wait whose replier died is lost instead of resumed.
///
/// Ready maps are rebuilt from the slots, whoever sent them: the dead may have cleared a bit without looking once more.
pub fn reap(lane: &Lane<'_>, inbox: &Inbox, source: u32, dead: Tno, closed: bool) {
    let mut is_ready = false;
    lane.for_each_used(|slot| {
        let state = slot.state();
        let is_dead = state.owner == dead;
        match state.kind {
            Kind::Writing if is_dead => {
                slot.advance(state, Kind::Free, 0);
            }
            // Undelivered: back into the queue, under its old ticket.
            Kind::Taken if is_dead => {
                slot.advance(state, Kind::Ready, slot.header().sender);
            }
            _ => {}
        }
        if slot.state().kind == Kind::Ready {
            lane.map().set(slot.index());
            is_ready = true;
        }
        orphan(lane, &slot, dead);
        end_filling(lane, &slot, dead, closed);
        slot.free_orphan();
    });
    if is_ready {
        inbox.ring(source);
    }
}

/// Ends the wait of a requester that died. A request stays deliverable and its slot is freed once it was delivered; an answer
/// that is just being written is abandoned: its replier frees the slot.
fn orphan(lane: &Lane<'_>, slot: &Slot<'_>, dead: Tno) {
    for _ in 0..RETRIES {
        // The turn first: if the slot is used anew after the look at its state, the turn has changed too.
        let turn = slot.turn();
        let state = slot.state();
        let is_request =
            matches!(state.kind, Kind::Ready | Kind::Taken) && slot.header().sender == dead;
        let is_held = state.kind == Kind::Held && state.owner == dead;
        let is_over = !matches!(
            turn.phase,
            Phase::Wait | Phase::Armed | Phase::Filling | Phase::Orphan
        );
        if is_held && is_over {
            if turn.phase == Phase::Msg {
                free_side_slot(lane, slot);
            }
            slot.advance(state, Kind::Free, 0);
            return;
        }
        let is_waiting = is_request && turn.phase != Phase::Idle || is_held;
        if !is_waiting || turn.phase == Phase::Orphan || slot.orphan_from(turn) {
            return;
        }
    }
}

/// Takes the right to answer back from a replier that died, and frees what it wrote elsewhere.
fn end_filling(lane: &Lane<'_>, slot: &Slot<'_>, dead: Tno, closed: bool) {
    let turn = slot.turn();
    if turn.who != dead || !matches!(turn.phase, Phase::Filling | Phase::Orphan) {
        return;
    }
    // Nobody else writes the answer while the turn names the dead.
    free_side_slot(lane, slot);
    slot.forget_answer();
    if !slot.revert_filling(dead, closed) {
        slot.finish_abandoned(dead);
    }
}

/// Frees the slot of the other lane that an answer names, if it belongs to the requester.
fn free_side_slot(lane: &Lane<'_>, slot: &Slot<'_>) {
    let other = lane.opposite();
    let side = slot
        .answer()
        .slot
        .checked_sub(1)
        .and_then(|index| other.slot(index));
    if let Some(side) = side {
        let state = side.state();
        if state.kind == Kind::Held && state.owner == slot.header().sender {
            side.advance(state, Kind::Free, 0);
        }
    }
}

/// Ends every wait for an answer in `lane`: the side that would answer is gone.
pub fn lose_waits(lane: &Lane<'_>) {
    lane.for_each_used(|slot| {
        slot.end_turn(Phase::Lost);
    });
}

/// Wakes every requester of `lane` whose waker may have died between its change and its wake.
pub fn kick_waits(lane: &Lane<'_>) {
    lane.for_each_used(|slot| slot.kick());
}

/// Removes every undelivered message of `lane`; returns the headers of those removed. A message sent meanwhile may be out of
/// sight for a moment: if the inbox lives on, the caller rings.
pub fn purge(lane: &Lane<'_>, server: Tno) -> Vec<crate::slot::Header> {
    let mut purged = Vec::new();
    lane.for_each_used(|slot| {
        let state = slot.state();
        if state.kind == Kind::Ready && lane.take(&slot, state.generation, server) {
            let _ = lane.unmark(&slot);
            let header = slot.header();
            if header.flags & crate::slot::WANTS_REPLY != 0 {
                // Its requester goes on waiting until its peer dies (lpc §3.5).
                lane.hold(&slot, server, header.sender);
            } else {
                lane.free(&slot, Kind::Taken, server, None);
            }
            purged.push(header);
        }
    });
    purged
}
