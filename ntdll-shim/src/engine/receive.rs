//! Receiving the next message of a queue.
//!
//! 1. Take the oldest visible message; add sources this process has not seen.
//! 2. Nothing there: a port whose other end is gone is disconnected, a poll is over.
//! 3. Spin, if the last message came from another CPU and no other thread spins here.
//! 4. Claim a receiver record (wait for one if all are taken), declare to sleep, look once more, sleep until chosen (→ 1), interrupted or timed out. Who
//!    receives from one connection alone sleeps on that lane's bell, which wakes everybody there.
//! 5. Who was chosen and leaves without a message wakes another receiver.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use ntlpc_abi::NtStatus;
use ntlpc_proto::port::PortKind;
use ntlpc_shm::Tno;
use ntlpc_shm::segment::{Connecting, Direction};
use ntlpc_shm::spin::Spinner;
use ntlpc_shm::sys::{Deadline, Woken};

use super::alert::alerted;
use super::message::{Data, Incoming};
use super::notify::MANY_KEPT;
use super::port::{Connection, Port};
use super::queue::{Kept, Queue};
use super::session::{Me, me};
use super::take::{settle_signal, take_from_inbox};
use crate::{host, interrupt};

/// How long a receiver leaves a list to its workers before it looks whether another process closed the port.
const LONGEST_REST_NS: u64 = 1_000_000_000;

thread_local! {
    static SPINNER: std::cell::RefCell<Spinner> = std::cell::RefCell::default();
}

/// Receives the next message on `port` (lpc §2.10 steps 3–5); returns false when the deadline passed. What a message is goes
/// into `incoming`: moved about, so large a structure costs more than the message.
///
/// # Errors
/// `PORT_DISCONNECTED` on a communication port whose other end is gone and whose queue is empty; `THREAD_IS_TERMINATING`.
pub fn receive(
    port: &Port,
    deadline: Option<Deadline>,
    incoming: &mut Incoming,
    data: &mut Data,
) -> Result<bool, NtStatus> {
    receive_within(port, deadline, i64::MAX, incoming, data)
        .map(|received| matches!(received, Received::Message))
}

/// What a receive brought.
#[derive(Clone, Copy, Debug)]
pub enum Received {
    /// A message.
    Message,
    /// A message with this `TotalLength` less the header, more than there is room for. It is the next one received.
    TooLong(u16),
    /// The completion list has messages that not enough workers look for.
    CheckRing,
    /// The deadline passed.
    Nothing,
}

/// Receives the next message on `port` if its `TotalLength` less the header is at most `room` bytes (alpc §2.5.4). An ALPC
/// server communication port receives its own client's messages only.
///
/// # Errors
/// As [`receive`]; `PORT_CLOSED`, `PORT_CONNECTION_REFUSED`, `UNSUCCESSFUL` on an ALPC port that ended.
pub fn receive_within(
    port: &Port,
    deadline: Option<Deadline>,
    room: i64,
    incoming: &mut Incoming,
    data: &mut Data,
) -> Result<Received, NtStatus> {
    let me = me()?;
    let queue = &port.queue;
    let mut was_chosen = false;
    loop {
        let wanted = Wanted {
            source: own_source(port),
            room,
            is_kept: queue.notifier.has_ring(),
        };
        let seen = queue.notifier.seen();
        if wanted.is_kept {
            queue.notifier.collect(queue);
            if queue.notifier.must_check_ring() {
                return Ok(Received::CheckRing);
            }
        }
        // Step 1.
        match take(queue, me, wanted, incoming, data)? {
            Received::Nothing => {}
            received => return Ok(received),
        }
        // Step 2.
        let ends = if let Some(status) = ended(port) {
            Some(Err(status))
        } else if let Some(status) = alerted() {
            Some(Err(status))
        } else if deadline.is_some_and(Deadline::has_passed) {
            Some(Ok(Received::Nothing))
        } else if host::current().is_thread_terminating() {
            Some(Err(NtStatus::THREAD_IS_TERMINATING))
        } else {
            None
        };
        if let Some(end) = ends {
            if was_chosen {
                queue.inbox.pass_baton();
            }
            return end;
        }
        // The list's workers find what comes, and senders shall wake nobody else.
        if wanted.is_kept && queue.notifier.is_attended() {
            let until = deadline.map_or_else(
                || Deadline::after_ns(LONGEST_REST_NS),
                |deadline| deadline.within_ns(LONGEST_REST_NS),
            );
            if queue.notifier.rest(seen, Some(until)) == Woken::Signal {
                host::current().interrupted();
            }
            continue;
        }
        // Steps 3 and 4.
        if let (Some(_), Some(connection)) = (wanted.source, port.existing_connection()) {
            sleep_on_lane(connection, deadline);
        } else if !spin(queue) {
            was_chosen = sleep(queue, me.tno, deadline);
        }
    }
}

/// What a receiver takes.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    /// The one source it takes from; `None` for all.
    source: Option<u32>,
    /// Most bytes.
    room: i64,
    /// Only what was taken over already: the notifier takes what is new.
    is_kept: bool,
}

/// Returns the source an ALPC server communication port receives from alone (alpc §2.5.3).
fn own_source(port: &Port) -> Option<u32> {
    let is_own = port.is_alpc && port.kind == PortKind::Server;
    port.existing_connection()
        .filter(|_| is_own)
        .map(|connection| connection.source)
}

/// Returns why nothing more will come to `port`, if that is so.
fn ended(port: &Port) -> Option<NtStatus> {
    if !is_disconnected(port) {
        return None;
    }
    if !port.is_alpc {
        return Some(NtStatus::PORT_DISCONNECTED);
    }
    Some(match (port.kind, port.existing_connection()) {
        (PortKind::Connection | PortKind::Unconnected, _) => NtStatus::PORT_CLOSED,
        (PortKind::Client, Some(connection)) => match connection.segment.connecting() {
            Connecting::Refused => NtStatus::PORT_CONNECTION_REFUSED,
            Connecting::ListenerGone => NtStatus::UNSUCCESSFUL,
            Connecting::Pending | Connecting::Accepted => NtStatus::PORT_DISCONNECTED,
        },
        _ => NtStatus::PORT_DISCONNECTED,
    })
}

/// A client's port ends with its connection; a server's port drains its connection port's queue first (lpc#163).
fn is_disconnected(port: &Port) -> bool {
    match port.kind {
        PortKind::Client | PortKind::Server => port
            .existing_connection()
            .is_some_and(|connection| connection.segment.is_closed()),
        PortKind::Connection | PortKind::Unconnected => port.queue.inbox.is_closed(),
    }
}

fn spin(queue: &Queue) -> bool {
    if queue.is_spinning.swap(true, AcqRel) {
        return false;
    }
    let has_work = || !queue.inbox.sources().is_empty();
    let peer_cpu = queue.peer_cpu.load(Relaxed);
    let done = peer_cpu != u16::MAX
        && SPINNER.with_borrow_mut(|spinner| spinner.spin(peer_cpu, has_work, || false));
    queue.is_spinning.store(false, Release);
    done
}

/// Sleeps until something may have changed; returns whether a waker chose this thread.
fn sleep(queue: &Queue, me: Tno, deadline: Option<Deadline>) -> bool {
    let Some(record) = queue.inbox.arm(me) else {
        let woken = interrupt::waiting(|| queue.inbox.wait_for_record(deadline));
        if woken == Woken::Signal {
            host::current().interrupted();
        }
        return false;
    };
    let has_kept = !queue.state.lock().kept.is_empty();
    if queue.inbox.sources().is_empty() && !has_kept {
        loop {
            let woken = interrupt::waiting(|| queue.inbox.wait(record, deadline));
            match woken {
                Woken::Look if !queue.inbox.is_chosen(record) => continue,
                Woken::Signal => host::current().interrupted(),
                Woken::Look | Woken::Deadline => {}
            }
            break;
        }
    }
    queue.inbox.disarm(record)
}

/// Sleeps until the lane of one connection may have changed.
fn sleep_on_lane(connection: &Connection, deadline: Option<Deadline>) {
    let segment = &connection.segment;
    segment.arm_lane();
    if !segment.lane(Direction::ToServer).map().is_empty() || segment.is_closed() {
        return;
    }
    let woken = interrupt::waiting(|| segment.wait_lane(deadline));
    if woken == Woken::Signal {
        host::current().interrupted();
    }
}

fn take(
    queue: &Queue,
    me: Me,
    wanted: Wanted,
    incoming: &mut Incoming,
    data: &mut Data,
) -> Result<Received, NtStatus> {
    let taken = match queue.has_kept.load(Acquire) {
        true => take_kept(queue, wanted, incoming, data),
        false => None,
    };
    // A queue that nobody rings at has nothing to look for.
    let is_silent = wanted.source.is_none() && queue.inbox.sources().is_empty();
    if taken.is_some() || wanted.is_kept || is_silent {
        settle_signal(queue);
        return Ok(taken.unwrap_or(Received::Nothing));
    }
    if !take_from_inbox(queue, me, wanted.source, incoming, data)? {
        return Ok(Received::Nothing);
    }
    if i64::from(incoming.body_len) > wanted.room {
        let body_len = incoming.body_len;
        keep(queue, std::mem::take(incoming), std::mem::take(data));
        return Ok(Received::TooLong(body_len));
    }
    Ok(Received::Message)
}

/// Takes the oldest kept message.
fn take_kept(
    queue: &Queue,
    wanted: Wanted,
    incoming: &mut Incoming,
    data: &mut Data,
) -> Option<Received> {
    let mut state = queue.state.lock();
    if state.kept.is_empty() {
        queue.has_kept.store(false, Release);
        return None;
    }
    let is_wanted = |kept: &Kept| {
        wanted
            .source
            .is_none_or(|source| kept.incoming.source == source)
    };
    let at = state.kept.iter().position(is_wanted)?;
    let body_len = state.kept[at].incoming.body_len;
    if i64::from(body_len) > wanted.room {
        return Some(Received::TooLong(body_len));
    }
    let kept = state.kept.remove(at)?;
    let has_room_again = state.kept.len() + 1 == MANY_KEPT;
    drop(state);
    if has_room_again {
        queue.notifier.look_again();
    }
    *incoming = kept.incoming;
    *data = kept.data;
    Some(Received::Message)
}

/// Keeps a message for the next receiver of this process.
pub fn keep(queue: &Queue, incoming: Incoming, data: Data) {
    {
        let mut state = queue.state.lock();
        state.kept.push_back(Kept { incoming, data });
        queue.has_kept.store(true, Release);
    }
    queue.inbox.signal();
    queue.inbox.wake_one();
    queue.notifier.look_again();
}
