//! Taking the next message of a queue.
//!
//! 1. Take the oldest visible message; add sources this process has not seen.
//! 2. Nothing there: a port whose other end is gone is disconnected, a poll is over.
//! 3. Spin, if the last message came from another CPU and no other thread spins here.
//! 4. Claim a receiver record, declare to sleep, look once more, sleep until chosen (→ 1), interrupted or timed out.
//! 5. Who was chosen and leaves without a message wakes another receiver.

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release};
use std::time::Duration;

use ntlpc_abi::{ClientId, NtStatus};
use ntlpc_proto::port::{CheckSender, OpenSource, PortKind};
use ntlpc_shm::Tno;
use ntlpc_shm::receive::{Found, Taken};
use ntlpc_shm::segment::{Direction, SYSTEM_SOURCE};
use ntlpc_shm::slot::{Kind, WANTS_REPLY};
use ntlpc_shm::spin::Spinner;
use ntlpc_shm::sys::{Deadline, Woken};

use super::message::{Data, Incoming, read_data};
use super::port::{Connection, Port};
use super::queue::{Outstanding, Queue, QueueState};
use super::session::{Me, me, session};
use super::wait::LPC_REQUEST;
use crate::{host, interrupt};

/// Types a sender may give its own messages (lpc §1.9).
const LPC_DATAGRAM: u16 = 3;
const LPC_PORT_CLOSED: u16 = 5;

/// How long a thread that found every receiver record taken sleeps before it looks again.
const NO_RECORD_PAUSE: Duration = Duration::from_millis(20);

thread_local! {
    static SPINNER: std::cell::RefCell<Spinner> = std::cell::RefCell::default();
}

/// Receives the next message on `port` (lpc §2.10 steps 3–5); `None` when the deadline passed.
///
/// # Errors
/// `PORT_DISCONNECTED` on a communication port whose other end is gone and whose queue is empty; `THREAD_IS_TERMINATING`.
pub fn receive(
    port: &Port,
    deadline: Option<Deadline>,
    data: &mut Data,
) -> Result<Option<Incoming>, NtStatus> {
    let me = me()?;
    let queue = &port.queue;
    interrupt::assert_open();
    let mut was_chosen = false;
    loop {
        // Step 1.
        if let Some(incoming) = take(queue, me, data)? {
            return Ok(Some(incoming));
        }
        // Step 2.
        let ends = if is_disconnected(port) {
            Some(Err(NtStatus::PORT_DISCONNECTED))
        } else if deadline.is_some_and(Deadline::has_passed) {
            Some(Ok(None))
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
        // Steps 3 and 4.
        if !spin(queue) {
            was_chosen = sleep(queue, me.tno, deadline);
        }
    }
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
    let record = {
        let _guard = interrupt::enter();
        queue.inbox.arm(me)
    };
    let Some(record) = record else {
        std::thread::sleep(NO_RECORD_PAUSE);
        return false;
    };
    if queue.inbox.sources().is_empty() {
        loop {
            match queue.inbox.wait(record, deadline) {
                Woken::Look if !queue.inbox.is_chosen(record) => continue,
                Woken::Signal => host::current().interrupted(),
                Woken::Look | Woken::Deadline => {}
            }
            break;
        }
    }
    let _guard = interrupt::enter();
    queue.inbox.disarm(record)
}

/// What a taken message needs outside of the queue's lock.
struct Claimed {
    taken: Taken,
    connection: Option<Arc<Connection>>,
    segment: ntlpc_shm::segment::Segment,
    direction: Direction,
    context: u64,
    sender: ClientId,
}

fn take(queue: &Queue, me: Me, data: &mut Data) -> Result<Option<Incoming>, NtStatus> {
    loop {
        let _guard = interrupt::enter();
        let mut state = queue.state.lock();
        let taken = match state.receiver.take(&queue.inbox, me.tno) {
            Found::Message(taken) => taken,
            Found::Nothing => {
                drop(state);
                if queue.inbox.is_waitable() {
                    queue.inbox.clear_signal();
                    host::current().port_signal_changed(queue.port, queue.inbox.is_signalled());
                }
                return Ok(None);
            }
            Found::Unknown(source) => {
                drop(state);
                open_source(queue, source);
                continue;
            }
        };
        let claimed = claim(queue, &mut state, taken);
        let has_more = state.receiver.is_crowded();
        let incoming = match claimed {
            Some(claimed) => accept(state, me, claimed, data),
            None => {
                drop_message(&state, taken, me.tno);
                None
            }
        };
        if has_more && queue.inbox.has_sleepers() {
            queue.inbox.wake_one();
        }
        if incoming.is_some() {
            queue.peer_cpu.store(taken.header.cpu, Relaxed);
            if queue.inbox.is_waitable() && queue.inbox.sources().is_empty() {
                queue.inbox.clear_signal();
                host::current().port_signal_changed(queue.port, queue.inbox.is_signalled());
            }
            return Ok(incoming);
        }
    }
}

/// Finds out who sent a taken message; `None` if it is forged.
fn claim(queue: &Queue, state: &mut QueueState, taken: Taken) -> Option<Claimed> {
    let session = session().ok()?;
    let thread = session.thread(taken.header.sender)?;
    let source = state.receiver.source_mut(taken.source)?;
    let is_system = taken.source == SYSTEM_SOURCE;
    if !is_system && !source.peer.processes.contains(&thread.process_no) {
        let check = CheckSender {
            port: queue.port,
            source: taken.source,
            tno: taken.header.sender,
        };
        if let Err(status) = session.call(&check, &[]) {
            log::warn!(
                "source {} of port {}: a message from a stranger: {status}",
                taken.source,
                queue.port
            );
            return None;
        }
        source.peer.processes.push(thread.process_no);
    }
    let claimed = Claimed {
        taken,
        connection: source.peer.connection.clone(),
        segment: source.segment.clone(),
        direction: source.direction,
        context: if is_system {
            taken.header.context
        } else {
            source.peer.context
        },
        sender: ClientId {
            process: thread.process,
            thread: thread.thread,
        },
    };
    state.note(taken.source);
    if is_system && taken.header.message_type == LPC_PORT_CLOSED {
        state.forget(taken.header.attributes);
    }
    Some(claimed)
}

/// Copies a claimed message and settles its slot. `None` if a peer wrote impossible lengths or types.
fn accept(
    mut state: parking_lot::MutexGuard<'_, QueueState>,
    me: Me,
    claimed: Claimed,
    data: &mut Data,
) -> Option<Incoming> {
    let Claimed {
        taken,
        connection,
        segment,
        direction,
        context,
        sender,
    } = claimed;
    let header = taken.header;
    let is_system = taken.source == SYSTEM_SOURCE;
    let wants_reply = header.flags & WANTS_REPLY != 0;
    let is_allowed = is_system
        || match &connection {
            Some(connection) if connection.is_kernel => true,
            _ => {
                header.message_type
                    == if wants_reply {
                        LPC_REQUEST
                    } else {
                        LPC_DATAGRAM
                    }
            }
        };
    let lane = segment.lane(direction);
    let slot = lane.slot(taken.slot)?;
    if let (true, Some(connection)) = (wants_reply && is_allowed, connection) {
        let outstanding = Outstanding {
            connection,
            direction,
            slot: taken.slot,
        };
        state.remember(header.message_id, sender, outstanding);
    }
    drop(state);
    let copied = read_data(&slot, header.data_len, header.body_len, data);
    if wants_reply {
        lane.hold(&slot, me.tno, header.sender);
    } else {
        lane.free(&slot, Kind::Taken, me.tno, None);
    }
    if !is_allowed || copied.is_err() {
        log::warn!(
            "source {}: a damaged message of type {} was dropped",
            taken.source,
            header.message_type
        );
        return None;
    }
    Some(Incoming {
        message_type: header.message_type,
        data_len: header.data_len,
        body_len: header.body_len,
        data_info: header.data_info,
        flags: header.flags,
        client_id: sender,
        message_id: header.message_id,
        callback_id: 0,
        view_size: header.view_size,
        context,
    })
}

fn drop_message(state: &QueueState, taken: Taken, me: Tno) {
    if let Some(source) = state.receiver.source(taken.source) {
        let lane = source.segment.lane(source.direction);
        if let Some(slot) = lane.slot(taken.slot) {
            lane.free(&slot, Kind::Taken, me, None);
        }
    }
}

/// Maps a source another process of the port added, or takes its bit away if the server knows none.
#[cold]
fn open_source(queue: &Queue, source: u32) {
    let opened = session().and_then(|session| {
        let (reply, mut fds) = session.call(
            &OpenSource {
                port: queue.port,
                source,
            },
            &[],
        )?;
        let segment = session.segment(fds.pop())?;
        Ok((
            Connection::new(segment, Direction::ToClient, source, reply.is_kernel),
            reply.context,
        ))
    });
    match opened {
        Ok((connection, context)) => {
            queue.add_source(&connection, Direction::ToServer, context, None);
        }
        Err(status) => {
            log::debug!(
                "port {}: source {source} rang and cannot be opened: {status}",
                queue.port
            );
            queue.inbox.silence(source);
        }
    }
}
