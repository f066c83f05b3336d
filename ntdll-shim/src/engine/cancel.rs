//! Cancelling messages, from either end (alpc §2.7).

use std::sync::Arc;

use ntlpc_abi::NtStatus;
use ntlpc_proto::port::{PortKind, PostCanceled};
use ntlpc_shm::SERVER;
use ntlpc_shm::segment::Direction;
use ntlpc_shm::slot::{CONTINUES, Kind, Slot, WANTS_REPLY};
use ntlpc_shm::turn::Phase;

use super::port::{Connection, Port};
use super::queue::QueueState;
use super::session::{me, session};

/// Where a message was that is to be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nobody had received it. It is gone.
    Queue,
    /// Somebody works on it.
    Receiver,
}

/// Returns whether message `id` was received here and is not answered.
#[must_use]
pub fn is_outstanding(port: &Port, id: u32) -> bool {
    let state = port.queue.state.lock();
    state.outstanding.of(id).next().is_some()
}

/// Returns whether message `id` was cancelled.
#[must_use]
pub fn is_cancelled(port: &Port, id: u32) -> bool {
    port.queue.state.lock().is_cancelled(id)
}

/// Remembers that message `id` was cancelled.
pub fn remember_cancelled(port: &Port, id: u32) {
    port.queue.state.lock().remember_cancelled(id);
}

/// Returns the program's value of a message `port` sent; 0 for none.
#[must_use]
pub fn cookie_value(port: &Port, id: u32) -> u64 {
    let state = port.queue.state.lock();
    state.cookies.get(&id).map_or(0, |cookie| cookie.value)
}

/// Cancels message `id`, sent or received on `port`. With `only_queued` a received one is left alone.
///
/// # Errors
/// `MESSAGE_NOT_FOUND`, `REQUEST_CANCELED` if it has been cancelled.
pub fn cancel(port: &Port, id: u32, only_queued: bool) -> Result<Place, NtStatus> {
    let me = me()?;
    let (connections, is_known) = {
        let state = port.queue.state.lock();
        if state.is_cancelled(id) {
            return Err(NtStatus::REQUEST_CANCELED);
        }
        (
            connections(port, &state),
            state.outstanding.of(id).next().is_some(),
        )
    };
    for connection in &connections {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let mut found = None;
            connection.segment.lane(direction).for_each_used(|slot| {
                if found.is_none() && slot.header().message_id == id {
                    found = cancel_slot(&slot, id, me.tno, only_queued);
                }
            });
            if let Some(done) = found {
                if done.is_cancelled {
                    forget(port, id);
                }
                if done.needs_notice {
                    tell_sender(port, connection, direction, id, done.sender);
                }
                return Ok(done.place);
            }
        }
    }
    if is_known {
        // Cancelled, timed out or lost at the other end.
        forget(port, id);
        return Err(NtStatus::REQUEST_CANCELED);
    }
    Err(NtStatus::MESSAGE_NOT_FOUND)
}

/// Returns the connections whose messages may be cancelled on `port`.
fn connections(port: &Port, state: &QueueState) -> Vec<Arc<Connection>> {
    let own = port.existing_connection().cloned();
    if matches!(port.kind, PortKind::Client | PortKind::Server) {
        return own.into_iter().collect();
    }
    let sources = state.receiver.sources();
    own.into_iter()
        .chain(sources.filter_map(|(_, source)| source.peer.connection.clone()))
        .collect()
}

struct Done {
    place: Place,
    is_cancelled: bool,
    /// Its sender does not wait: it is told by a message.
    needs_notice: bool,
    sender: u32,
}

/// Cancels the message of a slot; `None` if the slot has none that is under way.
fn cancel_slot(slot: &Slot<'_>, id: u32, me: u32, only_queued: bool) -> Option<Done> {
    let (state, header) = (slot.state(), slot.header());
    let waits = header.flags & WANTS_REPLY != 0;
    let continues = header.flags & CONTINUES != 0;
    let done = |place, is_cancelled| Done {
        place,
        is_cancelled,
        needs_notice: is_cancelled && continues,
        sender: header.sender,
    };
    match state.kind {
        Kind::Ready if waits => {
            // HELD before its wait ends: whoever waits leaves a slot that can be freed.
            if !slot.advance(state, Kind::Held, header.sender) {
                return Some(done(Place::Receiver, false));
            }
            slot.end_turn(Phase::Cancelled);
            Some(done(Place::Queue, true))
        }
        Kind::Ready => {
            let is_taken_back = slot.advance(state, Kind::Free, 0);
            Some(done(
                if is_taken_back {
                    Place::Queue
                } else {
                    Place::Receiver
                },
                is_taken_back,
            ))
        }
        Kind::Taken => Some(done(Place::Receiver, false)),
        Kind::Held if continues && state.owner == SERVER => {
            if only_queued {
                return Some(done(Place::Receiver, false));
            }
            let is_claimed = slot.claim_conversation(state.generation, me);
            if is_claimed {
                let state = slot.state();
                slot.advance(state, Kind::Free, 0);
            }
            Some(done(Place::Receiver, is_claimed))
        }
        Kind::Held if waits => {
            let turn = slot.turn();
            let is_waiting = matches!(turn.phase, Phase::Wait | Phase::Armed) && turn.who == id;
            if !is_waiting {
                return None;
            }
            if only_queued {
                return Some(done(Place::Receiver, false));
            }
            let is_ended = slot.end_turn(Phase::Cancelled);
            Some(done(Place::Receiver, is_ended))
        }
        _ => None,
    }
}

/// Only the id of a cancelled message lives on.
fn forget(port: &Port, id: u32) {
    let mut state = port.queue.state.lock();
    let owed: Vec<_> = state.outstanding.of(id).map(|(client, _)| client).collect();
    for client in owed {
        state.outstanding.remove(id, client);
    }
    state.remember_cancelled(id);
}

/// Tells the sender of a message nobody waits for, wherever it is.
fn tell_sender(port: &Port, connection: &Connection, direction: Direction, id: u32, sender: u32) {
    let request = PostCanceled {
        port: port.id,
        source: connection.source,
        id,
        is_clients: direction == Direction::ToServer,
        tno: sender,
    };
    let told = session().and_then(|session| session.call(&request, &[]));
    if let Err(status) = told {
        log::debug!("message {id} is cancelled, its sender is not told: {status}");
    }
}
