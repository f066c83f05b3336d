//! Network events of sockets: what `WSAEventSelect` asks for, recorded as it happens.
//!
//! An event is recorded once and then waits for the function that enables it again; `FD_READ`, `FD_OOB` and `FD_ACCEPT` look at
//! the socket right then, `FD_WRITE` comes back only after a send that would have blocked, `FD_CONNECT` and `FD_CLOSE` do not
//! come back. `FD_CLOSE` comes when everything was read. Source: Microsoft Learn, "WSAEventSelect function (winsock2.h)".
//!
//! One host thread sleeps on all sockets (`epoll`, one shot each). It and the enabling functions look at a socket in the same
//! way, under the lock of its selection, and leave armed what may still happen.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, poll};

use super::socket::{self, Phase};
use super::sync::Event;

/// `FD_READ`.
pub const READ: u32 = 1;
/// `FD_WRITE`.
pub const WRITE: u32 = 2;
/// `FD_OOB`.
pub const OOB: u32 = 4;
/// `FD_ACCEPT`.
pub const ACCEPT: u32 = 8;
/// `FD_CONNECT`.
pub const CONNECT: u32 = 0x10;
/// `FD_CLOSE`.
pub const CLOSE: u32 = 0x20;
/// `FD_ALL_EVENTS`; those of routes, addresses and quality of service never happen here.
pub const ALL: u32 = 0x3FF;

/// `WSAECONNRESET`.
const RESET: u32 = 10054;

/// What a function did that enables events again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    /// Received, or failed to.
    Receive,
    /// Sent; whether it would have blocked.
    Send(bool),
    /// Took a connection, or failed to.
    Accept,
    /// Began to take connections.
    Listen,
    /// Began to connect.
    StartConnect,
    /// Connected, or failed with a Winsock error.
    Connect(Result<(), u32>),
}

/// Events recorded, with a Winsock error for each by its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// `FD_…` bits.
    pub events: u32,
    /// Errors; 0 is success.
    pub codes: [u32; 10],
}

#[derive(Debug)]
struct State {
    is_live: bool,
    phase: Phase,
    record: Record,
    /// What is told when it happens; the rest waits for a function.
    enabled: u32,
    /// The peer has closed, but there was something to read.
    is_close_waiting: bool,
}

impl State {
    /// Returns whether the event is told, which it is then no more.
    fn note(&mut self, event: u32, code: u32) -> bool {
        if self.enabled & event == 0 {
            return false;
        }
        self.enabled &= !event;
        self.record.events |= event;
        self.record.codes[event.trailing_zeros() as usize] = code;
        true
    }

    /// Returns what to wait for.
    fn awaited(&self) -> PollFlags {
        let close = if self.is_close_waiting { 0 } else { CLOSE };
        let flags: &[(u32, PollFlags)] = match self.phase {
            Phase::Idle => &[],
            Phase::Listening => &[(ACCEPT, PollFlags::IN)],
            Phase::Connecting => &[(ALL, PollFlags::OUT)],
            Phase::Connected => &[
                (READ, PollFlags::IN),
                (WRITE, PollFlags::OUT),
                (OOB, PollFlags::PRI),
                (close, PollFlags::RDHUP),
            ],
            Phase::Datagram => &[(READ, PollFlags::IN), (WRITE, PollFlags::OUT)],
        };
        flags
            .iter()
            .filter(|(event, _)| self.enabled & event != 0)
            .fold(PollFlags::empty(), |all, (_, flag)| all | *flag)
    }
}

/// What is asked for a socket.
#[derive(Debug)]
pub struct Selection {
    /// A descriptor of its own, which goes with the selection.
    fd: OwnedFd,
    number: u64,
    event: Arc<Event>,
    wanted: u32,
    state: Mutex<State>,
}

impl Selection {
    /// Notes what has happened, and has the watcher look for the rest.
    fn look(&self, state: &mut State) {
        while state.is_live {
            let awaited = state.awaited();
            if awaited.is_empty() {
                return;
            }
            let mut fds = [PollFd::new(&self.fd, awaited)];
            let now = rustix::event::Timespec::default();
            let seen = match poll(&mut fds, Some(&now)) {
                Ok(_) => fds[0].revents(),
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return,
            };
            if seen.is_empty() {
                let flags = EventFlags::from_bits_retain(u32::from(awaited.bits()));
                let data = EventData::new_u64(self.number);
                if let Ok(watcher) = watcher() {
                    let armed =
                        epoll::modify(&watcher.epoll, &self.fd, data, flags | EventFlags::ONESHOT);
                    if let Err(error) = armed {
                        log::warn!("network events of a socket are lost: {error}");
                    }
                }
                return;
            }
            let old = state.record;
            let has_changed = self.step(state, seen);
            if state.record != old {
                self.event.set();
            }
            // An end that is still there and was told waits for the next function.
            if !has_changed {
                return;
            }
        }
    }

    /// Takes one look's result; returns whether something else is awaited now.
    fn step(&self, state: &mut State, seen: PollFlags) -> bool {
        match state.phase {
            Phase::Idle => false,
            Phase::Listening => seen.contains(PollFlags::IN) && state.note(ACCEPT, 0),
            Phase::Connecting => {
                let result = match rustix::net::sockopt::socket_error(&self.fd) {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) | Err(error) => Err(socket::wsa_error(&error.into())),
                };
                connected(state, result);
                true
            }
            Phase::Connected => self.step_connected(state, seen),
            Phase::Datagram => {
                // An error of an earlier datagram is for the next receive.
                let is_readable = seen.intersects(PollFlags::IN | PollFlags::ERR);
                let was_read = is_readable && state.note(READ, 0);
                was_read | (seen.contains(PollFlags::OUT) && state.note(WRITE, 0))
            }
        }
    }

    fn step_connected(&self, state: &mut State, seen: PollFlags) -> bool {
        if seen.contains(PollFlags::ERR) {
            // Whose error it is, the next call of the program takes from the socket.
            state.note(CLOSE, RESET);
            state.phase = Phase::Idle;
            return true;
        }
        let mut has_changed = seen.contains(PollFlags::PRI) && state.note(OOB, 0);
        has_changed |=
            seen.contains(PollFlags::OUT) && !seen.contains(PollFlags::HUP) && state.note(WRITE, 0);
        if !seen.intersects(PollFlags::IN | PollFlags::RDHUP | PollFlags::HUP) {
            return has_changed;
        }
        match socket::peek(self.fd.as_fd()) {
            Ok(0) => {
                has_changed |= state.note(CLOSE, 0) | (state.enabled & READ != 0);
                state.enabled &= !READ;
            }
            Ok(_) => {
                has_changed |= state.note(READ, 0);
                if seen.intersects(PollFlags::RDHUP | PollFlags::HUP) {
                    has_changed |= !state.is_close_waiting;
                    state.is_close_waiting = true;
                }
            }
            // Only urgent data, or another thread was faster.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                state.note(CLOSE, socket::wsa_error(&error));
                state.phase = Phase::Idle;
                has_changed = true;
            }
        }
        has_changed
    }
}

/// Notes the end of an attempt to connect.
fn connected(state: &mut State, result: Result<(), u32>) {
    state.note(CONNECT, result.err().unwrap_or(0));
    state.phase = match result {
        Ok(()) => Phase::Connected,
        Err(_) => Phase::Idle,
    };
}

/// Sleeps on the sockets.
struct Watcher {
    epoll: OwnedFd,
    /// Selections by the numbers they are watched under.
    selections: Mutex<HashMap<u64, Weak<Selection>>>,
}

fn watcher() -> io::Result<&'static Watcher> {
    static WATCHER: Mutex<Option<&'static Watcher>> = Mutex::new(None);
    let mut place = WATCHER.lock();
    if let Some(watcher) = *place {
        return Ok(watcher);
    }
    let watcher: &'static Watcher = Box::leak(Box::new(Watcher {
        epoll: epoll::create(CreateFlags::CLOEXEC)?,
        selections: Mutex::default(),
    }));
    std::thread::Builder::new()
        .name("network events".into())
        .stack_size(0x2_0000)
        .spawn(|| watcher.run())?;
    *place = Some(watcher);
    Ok(watcher)
}

impl Watcher {
    fn run(&self) -> ! {
        let mut events = Vec::with_capacity(64);
        loop {
            events.clear();
            let room = rustix::buffer::spare_capacity(&mut events);
            if epoll::wait(&self.epoll, room, None).is_err() {
                continue;
            }
            for event in &events {
                let number = event.data.u64();
                let selection = self.selections.lock().get(&number).and_then(Weak::upgrade);
                if let Some(selection) = selection {
                    selection.look(&mut selection.state.lock());
                }
            }
        }
    }
}

/// A socket's selection, if there is one.
#[derive(Debug, Default)]
pub struct Slot(Mutex<Option<Arc<Selection>>>);

impl Slot {
    fn get(&self) -> Option<Arc<Selection>> {
        self.0.lock().clone()
    }

    /// Selects events of a socket in place of those selected before; none for 0.
    pub fn select(&self, fd: BorrowedFd<'_>, event: &Arc<Event>, wanted: u32) -> io::Result<()> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        self.clear();
        let phase = socket::phase(fd)?;
        rustix::io::ioctl_fionbio(fd, true)?;
        let selection = Arc::new(Selection {
            fd: fd.try_clone_to_owned()?,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            event: event.clone(),
            wanted,
            state: Mutex::new(State {
                is_live: true,
                phase,
                record: Record::default(),
                enabled: wanted,
                is_close_waiting: false,
            }),
        });
        let watcher = watcher()?;
        watcher
            .selections
            .lock()
            .insert(selection.number, Arc::downgrade(&selection));
        let data = EventData::new_u64(selection.number);
        epoll::add(&watcher.epoll, &selection.fd, data, EventFlags::ONESHOT)?;
        *self.0.lock() = Some(selection.clone());
        selection.look(&mut selection.state.lock());
        Ok(())
    }

    /// Ends a selection and forgets what it recorded.
    pub fn clear(&self) {
        let Some(selection) = self.0.lock().take() else {
            return;
        };
        selection.state.lock().is_live = false;
        if let Ok(watcher) = watcher() {
            watcher.selections.lock().remove(&selection.number);
            let _ = epoll::delete(&watcher.epoll, &selection.fd);
        }
    }

    /// Returns the event and the network events selected.
    #[must_use]
    pub fn selected(&self) -> Option<(Arc<Event>, u32)> {
        self.get()
            .map(|selection| (selection.event.clone(), selection.wanted))
    }

    /// Takes the record, and resets an event in the same step.
    #[must_use]
    pub fn take(&self, reset: Option<&Event>) -> Record {
        let selection = self.get();
        let mut state = selection.as_ref().map(|selection| selection.state.lock());
        let record = state
            .as_mut()
            .map(|state| std::mem::take(&mut state.record));
        if let Some(event) = reset {
            event.reset();
        }
        record.unwrap_or_default()
    }

    /// Enables events again after a function, and notes those that are there.
    pub fn after(&self, did: Did) {
        let Some(selection) = self.get() else {
            return;
        };
        let wanted = selection.wanted;
        let mut state = selection.state.lock();
        let old = state.record;
        match did {
            Did::Receive => {
                state.enabled |= wanted & (READ | OOB);
                state.is_close_waiting = false;
            }
            Did::Send(true) => state.enabled |= wanted & WRITE,
            Did::Send(false) => {}
            Did::Accept => state.enabled |= wanted & ACCEPT,
            Did::Listen => state.phase = Phase::Listening,
            Did::StartConnect | Did::Connect(_) if state.phase != Phase::Idle => {}
            Did::StartConnect => {
                state.enabled = wanted;
                state.phase = Phase::Connecting;
            }
            Did::Connect(result) => {
                state.enabled = wanted;
                connected(&mut state, result);
            }
        }
        if state.record != old {
            selection.event.set();
        }
        selection.look(&mut state);
    }
}

#[cfg(test)]
mod tests;
