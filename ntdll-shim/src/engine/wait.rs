//! Waiting for the answer to a request.
//!
//! 1. The wait began before the request became visible, so an answer cannot be missed.
//! 2. Spin, if the other side last ran on another CPU and serves nobody else.
//! 3. Sleep on the turn word until it says MSG (4A), LOST (4B), CANCELLED (4C) or the thread must end (4D).
//! 4. A: check and copy the answer, help a waiting answerer, free what the answer lay in. B, C: leave the slot.
//!    D: leave everything to the rundown of this thread, which keeps the request deliverable (lpc#207).

use std::cell::RefCell;
use std::sync::atomic::Ordering::Relaxed;

use ntlpc_abi::{ClientId, NtStatus};
use ntlpc_shm::SERVER;
use ntlpc_shm::slot::{ANSWER_CONTINUES, Answer, CONTINUES, CROWDED, Kind, Slot, WANTS_REPLY};
use ntlpc_shm::spin::Spinner;
use ntlpc_shm::sys::{Deadline, Woken};
use ntlpc_shm::turn::Phase;

use super::alert::alerted;
use super::message::{Data, Incoming, read_data, read_record};
use super::port::Port;
use super::queue::Outstanding;
use super::send::Waiting;
use super::session::session;
use crate::{host, interrupt};

/// Type of a request, also of a callback (lpc §1.9).
pub const LPC_REQUEST: u16 = 1;

thread_local! {
    static SPINNER: RefCell<Spinner> = RefCell::default();
    /// Requests of this thread that were answered by a callback and not yet finished, newest last.
    static CALLED_BACK: RefCell<Vec<Waiting>> = const { RefCell::new(Vec::new()) };
}

/// Waits for the answer, which goes into `incoming` and `data` (lpc §2.11). `port` is the port the request was made on.
///
/// # Errors
/// `LPC_REPLY_LOST` if the other side went away, `REQUEST_CANCELED`, `TIMEOUT`, `THREAD_IS_TERMINATING`; `USER_APC`, `ALERTED`
/// in an alertable wait.
#[inline(always)]
pub fn wait(
    port: &Port,
    waiting: &Waiting,
    deadline: Option<Deadline>,
    incoming: &mut Incoming,
    data: &mut Data,
) -> Result<(), NtStatus> {
    let slot = waiting.slot();
    let connection = &waiting.connection;
    let is_over = || {
        !matches!(
            slot.turn().phase,
            Phase::Wait | Phase::Filling | Phase::Armed
        )
    };
    let is_crowded = || port.tickets.sources().root().count_ones() > 1;
    if !connection.is_crowded.load(Relaxed) {
        SPINNER.with_borrow_mut(|spinner| {
            spinner.spin(connection.peer_cpu.load(Relaxed), is_over, is_crowded)
        });
    }
    // An APC that ends the wait is run in any case; an answer that was faster is dropped.
    let mut ended_by = None;
    loop {
        match slot.turn().phase {
            Phase::Msg => {
                let answer = consume(port, waiting, &slot, incoming, data);
                return ended_by.map_or(answer, Err);
            }
            Phase::Lost | Phase::Cancelled | Phase::Idle | Phase::Orphan => {
                return Err(end(&slot));
            }
            Phase::Wait | Phase::Filling | Phase::Armed => {}
        }
        if ended_by.is_none() {
            ended_by = alerted();
        }
        if let Some(status) = ended_by
            && give_up(waiting, &slot)
        {
            return Err(status);
        }
        let woken = interrupt::waiting(|| slot.sleep(deadline));
        match woken {
            Woken::Look => {}
            Woken::Signal => {
                host::current().interrupted();
                if host::current().is_thread_terminating() {
                    return Err(NtStatus::THREAD_IS_TERMINATING);
                }
            }
            Woken::Deadline if give_up(waiting, &slot) => return Err(NtStatus::TIMEOUT),
            Woken::Deadline => {}
        }
    }
}

/// Ends the wait without an answer; returns false if the answer was faster.
fn give_up(waiting: &Waiting, slot: &Slot<'_>) -> bool {
    match slot.end_wait() {
        Ok(()) => {
            withdraw(waiting, slot);
            true
        }
        // The replier frees the slot when it finds the wait abandoned.
        Err(turn) => turn.phase == Phase::Filling && slot.abandon(),
    }
}

/// Takes the request back, or leaves its slot to the receiver that is just copying it.
fn withdraw(waiting: &Waiting, slot: &Slot<'_>) {
    let lane = waiting.connection.segment.lane(waiting.direction);
    if !lane.withdraw(slot, waiting.me.tno) {
        slot.leave();
    }
}

/// Ends a wait that brought no message; returns why.
fn end(slot: &Slot<'_>) -> NtStatus {
    let phase = slot.turn().phase;
    // A request that was never taken stays deliverable (lpc §3.5); its slot is freed when it is taken.
    slot.leave();
    match phase {
        Phase::Cancelled => NtStatus::REQUEST_CANCELED,
        _ => NtStatus::LPC_REPLY_LOST,
    }
}

fn consume(
    port: &Port,
    waiting: &Waiting,
    slot: &Slot<'_>,
    incoming: &mut Incoming,
    data: &mut Data,
) -> Result<(), NtStatus> {
    let answer = slot.answer();
    waiting.connection.peer_cpu.store(answer.cpu, Relaxed);
    waiting
        .connection
        .is_crowded
        .store(answer.flags & CROWDED != 0, Relaxed);
    let result = copy_answer(waiting, slot, &answer, data);
    let other = waiting
        .connection
        .segment
        .lane(waiting.direction.opposite());
    let waiter = answer
        .waiter
        .checked_sub(1)
        .and_then(|index| other.slot(index));
    if let Some(waiter) = waiter {
        // The answerer may have armed its wait on the delivery of this answer: help before the evidence goes.
        waiter.disarm();
    }
    slot.reset_turn();
    let is_request = answer.message_type == LPC_REQUEST;
    // A classic reply carries the waiting thread's own id, a callback that of the thread that calls back (lpc §2.0.4).
    let names_sender = is_request || port.is_alpc;
    let ended = result.as_ref().map(drop).map_err(|&status| status);
    let (record, conversation) = match result {
        Ok(copied) => (copied.record, copied.conversation),
        Err(_) => (Vec::new(), None),
    };
    let outstanding = |slot: u32, conversation: Option<u32>| Outstanding {
        connection: waiting.connection.clone(),
        direction: waiting.direction.opposite(),
        slot,
        conversation,
        callback_id: answer.callback_id,
        sender: answer.sender,
        has_record: !record.is_empty(),
    };
    let owed = match (waiter, conversation) {
        (Some(waiter), _) => Some(outstanding(waiter.index(), None)),
        (None, Some((slot, generation))) => Some(outstanding(slot, Some(generation))),
        (None, None) => None,
    };
    let client_id = if names_sender || owed.is_some() {
        sender_of(waiting, &answer)
    } else {
        None
    };
    if let (Some(owed), Some(id)) = (owed, client_id) {
        port.queue.state.lock().remember(waiting.id, id, owed);
    }
    *incoming = Incoming {
        message_type: answer.message_type,
        data_len: answer.data_len,
        body_len: answer.body_len,
        data_info: answer.data_info,
        flags: if conversation.is_some() {
            CONTINUES
        } else if waiter.is_some() {
            WANTS_REPLY
        } else {
            0
        },
        client_id: client_id.filter(|_| names_sender).unwrap_or(waiting.me.id),
        message_id: waiting.id,
        callback_id: answer.callback_id,
        view_size: 0,
        context: 0,
        record,
        source: 0,
        about: waiting.connection.source,
        sender: answer.sender,
        cookie: None,
    };
    // A classic thread waits for its reply again when it answered a callback; an ALPC one does not (alpc#170).
    if is_request && ended.is_ok() && !port.is_alpc {
        CALLED_BACK.with_borrow_mut(|list| list.push(waiting.clone()));
    } else {
        waiting.free(slot);
    }
    ended
}

/// What came with an answer besides its data.
struct Copied {
    record: Vec<u8>,
    /// Slot and generation that stand for the conversation from now on.
    conversation: Option<(u32, u32)>,
}

/// Copies the answer's data out of the slot it names and frees a slot of the other lane, unless the conversation goes on.
fn copy_answer(
    waiting: &Waiting,
    slot: &Slot<'_>,
    answer: &Answer,
    data: &mut Data,
) -> Result<Copied, NtStatus> {
    let damaged = |_| {
        log::warn!(
            "connection {}: the answer to message {} is damaged",
            waiting.connection.source,
            waiting.id
        );
        NtStatus::LPC_REPLY_LOST
    };
    let Some(index) = answer.slot.checked_sub(1) else {
        read_data(slot, answer.data_len, answer.body_len, data).map_err(damaged)?;
        return Ok(Copied {
            record: Vec::new(),
            conversation: None,
        });
    };
    let other = waiting
        .connection
        .segment
        .lane(waiting.direction.opposite());
    let side = other.slot(index).filter(|side| {
        let state = side.state();
        state.kind == Kind::Held && state.owner == waiting.me.tno
    });
    let side = side.ok_or(NtStatus::UNSUCCESSFUL).map_err(damaged)?;
    let read = read_data(&side, answer.data_len, answer.body_len, data).map_err(damaged);
    let record = read_record(&side, side.header().attributes);
    let mut conversation = None;
    if answer.flags & ANSWER_CONTINUES != 0 && read.is_ok() {
        let held = side.state();
        if side.advance(held, Kind::Held, SERVER) {
            conversation = Some((index, held.generation));
        }
    } else {
        other.free(&side, Kind::Held, waiting.me.tno, None);
    }
    read.map(|()| Copied {
        record,
        conversation,
    })
}

/// Returns who answered, if the thread table knows.
fn sender_of(waiting: &Waiting, answer: &Answer) -> Option<ClientId> {
    if answer.sender == waiting.me.tno {
        return Some(waiting.me.id);
    }
    let thread = session().ok()?.thread(answer.sender)?;
    Some(ClientId {
        process: thread.process,
        thread: thread.thread,
    })
}

/// Takes the calling thread's request `id` that was answered by a callback, to wait on it again or to end it.
#[inline(always)]
pub(super) fn take_called_back(id: u32) -> Option<Waiting> {
    CALLED_BACK.with_borrow_mut(|list| {
        let at = list.iter().rposition(|waiting| waiting.id == id)?;
        Some(list.remove(at))
    })
}
