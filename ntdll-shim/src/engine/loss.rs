//! The death of the server as its clients see it.
//!
//! Established connections go on: they need the server for nothing. What it did for them is done here as long as there is
//! no server, by one thread in each process that sleeps until then:
//!
//! 1. Connection requests that wait for a decision are refused.
//! 2. A connection whose other process dies, or is not known, is closed: who waits for it gets `LPC_REPLY_LOST`.
//! 3. Connection ports without a live connection are closed: nobody can find them any more.
//!
//! The first call that makes or finds a port after that ([`super::session::renewed`]) starts another server; what the old one
//! knew ends then in this process, because a process has one identity at a time.

use std::collections::HashMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

use ntlpc_shm::rundown;
use ntlpc_shm::segment::{Connecting, Direction, Segment};
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::port::Connection;
use super::queue::Queue;
use super::session::Session;

/// How often the peers of connections are looked at anew while there is no server.
const LOOK_AGAIN: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};
/// Stack of the thread, which calls nothing deep.
const STACK_BYTES: usize = 0x1_0000;

/// Connections of this process and requests for some.
#[derive(Debug, Default)]
struct Known {
    connections: Vec<Weak<Connection>>,
    /// Connections at which the dead ones are thrown out again.
    prune_at: usize,
    pending: Vec<Segment>,
}

static KNOWN: Mutex<Known> = Mutex::new(Known {
    connections: Vec::new(),
    prune_at: 0,
    pending: Vec::new(),
});

/// Takes note of a connection.
pub(super) fn note(connection: &Arc<Connection>) {
    let mut known = KNOWN.lock();
    if known.connections.len() >= known.prune_at {
        known.connections.retain(|weak| weak.strong_count() > 0);
        known.prune_at = 2 * known.connections.len() + 16;
    }
    known.connections.push(Arc::downgrade(connection));
}

/// A connection request that waits for the server's decision.
#[derive(Debug)]
pub struct PendingConnect<'a> {
    segment: &'a Segment,
}

impl<'a> PendingConnect<'a> {
    /// Takes note of the request, which is refused if the server dies, or is dead already.
    #[must_use]
    pub fn new(segment: &'a Segment, session: &Session) -> PendingConnect<'a> {
        KNOWN.lock().pending.push(segment.clone());
        if session.is_lost() {
            segment.finish_connect(Connecting::Refused);
        }
        PendingConnect { segment }
    }
}

impl Drop for PendingConnect<'_> {
    fn drop(&mut self) {
        let mapping = self.segment.mapping();
        let mut known = KNOWN.lock();
        known
            .pending
            .retain(|segment| !Arc::ptr_eq(segment.mapping(), mapping));
    }
}

/// Starts the thread that waits for the server's death. Without it such a death is noticed by calls only.
pub(super) fn watch(session: &'static Session) {
    // The mask is inherited: a thread the environment does not know must not run its signal handlers.
    let result = with_signals_blocked(|| {
        std::thread::Builder::new()
            .name("server watch".into())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                wait_for_hang_up(session.control());
                session.mark_lost();
                stand_in(session);
            })
    });
    if let Err(error) = result {
        log::warn!("no thread watches the server: {error}");
    }
}

#[allow(unsafe_code, reason = "signal masks have no safe wrapper")]
fn with_signals_blocked<R>(run: impl FnOnce() -> R) -> R {
    // SAFETY: 1. An all-zero set is valid storage, which sigfillset initialises. 2. All pointers are to locals.
    let old = unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut old: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut old);
        old
    };
    let result = run();
    // SAFETY: the mask this thread had.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const old, std::ptr::null_mut()) };
    result
}

/// Returns whether the other end of the control connection is gone.
pub(super) fn has_hung_up(control: BorrowedFd<'_>) -> bool {
    const NOW: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut fds = [PollFd::new(&control, PollFlags::RDHUP)];
    poll(&mut fds, Some(&NOW)).is_ok_and(|ready| ready > 0)
}

fn wait_for_hang_up(control: BorrowedFd<'_>) {
    loop {
        // HUP and ERR are always reported; data is for the calls to read.
        let mut fds = [PollFd::new(&control, PollFlags::RDHUP)];
        if poll(&mut fds, None).is_ok_and(|ready| ready > 0) {
            return;
        }
    }
}

fn live_connections() -> Vec<Arc<Connection>> {
    let known = KNOWN.lock();
    let all = known.connections.iter().filter_map(Weak::upgrade);
    all.filter(|connection| !connection.segment.is_closed())
        .collect()
}

/// Does what the server would, until this process has another one or no connection left.
fn stand_in(session: &Session) {
    log::warn!(
        "the server is gone: ports of this process keep their connections and get no new ones"
    );
    for segment in &KNOWN.lock().pending {
        segment.finish_connect(Connecting::Refused);
    }
    let own = std::process::id();
    let mut peers: HashMap<u32, OwnedFd> = HashMap::new();
    while session.is_current() {
        let live = live_connections();
        for connection in &live {
            let pid = connection.peer_pid.load(Relaxed);
            if pid == own || peers.contains_key(&pid) {
                continue;
            }
            let watched = Pid::from_raw(pid.cast_signed())
                .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
            match watched {
                Some(pidfd) => {
                    peers.insert(pid, pidfd);
                }
                None => close(connection),
            }
        }
        let is_serving = live.iter().any(|connection| {
            connection.outgoing == Direction::ToClient && !connection.segment.is_closed()
        });
        if !is_serving {
            Queue::close_connection_ports();
        }
        if live.is_empty() {
            return;
        }
        drop(live);
        for pid in wait_for_deaths(&peers) {
            peers.remove(&pid);
            live_connections()
                .iter()
                .filter(|connection| connection.peer_pid.load(Relaxed) == pid)
                .for_each(|connection| close(connection));
        }
    }
}

/// Returns the processes that died, at the latest after a while.
fn wait_for_deaths(peers: &HashMap<u32, OwnedFd>) -> Vec<u32> {
    let mut fds: Vec<PollFd<'_>> = peers
        .values()
        .map(|pidfd| PollFd::new(pidfd, PollFlags::IN))
        .collect();
    if poll(&mut fds, Some(&LOOK_AGAIN)).is_err() {
        return Vec::new();
    }
    let dead = peers.keys().zip(&fds);
    dead.filter(|(_, fd)| !fd.revents().is_empty())
        .map(|(&pid, _)| pid)
        .collect()
}

/// Closes a connection as the server would.
fn close(connection: &Connection) {
    let segment = &connection.segment;
    segment.close();
    for direction in [Direction::ToServer, Direction::ToClient] {
        rundown::lose_waits(&segment.lane(direction));
    }
    segment.client_inbox().wake_all();
}

/// Ends everything the lost server knew of this process.
pub(super) fn end_all() {
    live_connections()
        .iter()
        .for_each(|connection| close(connection));
    Queue::close_connection_ports();
    Queue::forget_all();
}
