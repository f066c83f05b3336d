//! What the server does to a segment when a thread died or a connection ends.
//!
//! Every step is a compare-and-swap that names the dead thread as owner, so it may run while other threads work, run
//! twice, or be interrupted and run again. It starts only when the thread runs no more instruction.

use crate::Tno;
use crate::inbox::Inbox;
use crate::lane::Lane;
use crate::slot::{Kind, Slot};
use crate::turn::Phase;

/// Cleans one lane up after `dead`. `source` is the lane's number in `inbox`, where its messages are received;
/// `closed` says whether the connection is closed, so that a wait whose replier died is lost instead of resumed.
pub fn reap(lane: &Lane<'_>, inbox: &Inbox, source: u32, dead: Tno, closed: bool) {
    let mut published = false;
    lane.for_each_used(|slot| {
        let state = slot.state();
        if state.owner == dead {
            match state.kind {
                Kind::Writing => {
                    slot.advance(state, Kind::Free, 0);
                }
                Kind::Taken => {
                    // Undelivered: back into the queue, under its old ticket.
                    let sender = slot.header().sender;
                    if slot.advance(state, Kind::Ready, sender) {
                        lane.map().set(slot.index());
                        published = true;
                    }
                }
                Kind::Ready => {
                    // Its sender may have died before it could say so.
                    lane.map().set(slot.index());
                    published = true;
                }
                Kind::Free | Kind::Held => {}
            }
        }
        orphan(&slot, dead);
        if slot.revert_filling(dead, closed) {
            drop_side_slot(&slot);
        }
    });
    if published {
        inbox.ring(source);
    }
}

/// Ends the wait of a requester that died: a request stays deliverable and its slot is freed once it was delivered. An
/// answer that is just being written is abandoned: its replier frees the slot.
fn orphan(slot: &Slot<'_>, dead: Tno) {
    let state = slot.state();
    let is_request =
        matches!(state.kind, Kind::Ready | Kind::Taken) && slot.header().sender == dead;
    let is_held = state.kind == Kind::Held && state.owner == dead;
    if !is_request && !is_held {
        return;
    }
    slot.end_turn(Phase::Orphan);
    // A receiver may have moved TAKEN to HELD meanwhile; it looks for ORPHAN after that, so one of the two frees.
    let state = slot.state();
    if state.kind == Kind::Held && state.owner == dead && !slot.abandon() {
        slot.advance(state, Kind::Free, 0);
    }
}

/// An answer that was not published may have named a slot of the other lane; its owner is the requester, who frees it when
/// it exits. Only the name is removed here, so that no later answer inherits it.
fn drop_side_slot(slot: &Slot<'_>) {
    slot.set_answer(&crate::slot::Answer::default());
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

/// Removes every undelivered message of `lane`; returns the headers of those removed.
pub fn purge(lane: &Lane<'_>, server: Tno) -> Vec<crate::slot::Header> {
    let mut purged = Vec::new();
    lane.for_each_used(|slot| {
        let state = slot.state();
        if state.kind == Kind::Ready && lane.take(&slot, state.generation, server) {
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
