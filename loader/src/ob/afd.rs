//! `\Device\Afd`: polls of sockets that a completion port or an event tells the end of.
//!
//! Event loops (mio, wepoll, libuv) wait for many sockets this way. Microsoft does not document the device; the request, its
//! events and what `Exclusive` does are as those programs' public sources use them: `msafd.h` of wepoll, `afd.rs` of mio and
//! `poll.c` of libuv.
//!
//! One host thread sleeps on all sockets (`epoll`, one shot each). Who takes a request out of the table ends it.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use ntlpc_abi::NtStatus;
use parking_lot::Mutex;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::file::{File, status_of};
use super::futex;
use super::socket::{self, Phase};

/// `AFD_POLL_*`: what is awaited and what happened.
pub mod event {
    /// Data to receive.
    pub const RECEIVE: u32 = 1;
    /// Urgent data to receive.
    pub const RECEIVE_EXPEDITED: u32 = 2;
    /// Room to send.
    pub const SEND: u32 = 4;
    /// The peer sends nothing more.
    pub const DISCONNECT: u32 = 8;
    /// The connection was reset.
    pub const ABORT: u32 = 0x10;
    /// The socket was closed here.
    pub const LOCAL_CLOSE: u32 = 0x20;
    /// Connected.
    pub const CONNECT: u32 = 0x40;
    /// A connection to accept.
    pub const ACCEPT: u32 = 0x80;
    /// An attempt to connect failed.
    pub const CONNECT_FAIL: u32 = 0x100;
}

/// Opens the device.
pub fn device() -> Result<File, NtStatus> {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let fd = rustix::fs::open("/dev/null", flags, rustix::fs::Mode::empty());
    let fd = fd.map_err(|error| status_of(&error.into()))?;
    let mut file = File::new(fd, PathBuf::new(), true);
    file.is_afd = true;
    Ok(file)
}

/// A socket to poll.
#[derive(Debug)]
pub struct Polled {
    file: Arc<File>,
    /// A descriptor of its own: `epoll` takes each only once.
    fd: OwnedFd,
    wanted: u32,
}

impl Polled {
    /// Polls a socket for events.
    pub fn new(file: Arc<File>, wanted: u32) -> Result<Self, NtStatus> {
        let fd = file.fd().try_clone_to_owned().map_err(|e| status_of(&e))?;
        Ok(Polled { file, fd, wanted })
    }

    /// Returns the events there are, and what to wait for if there are none.
    fn look(&self) -> (u32, PollFlags) {
        let phase = socket::phase(self.fd.as_fd()).unwrap_or(Phase::Idle);
        let flags: &[(u32, PollFlags)] = match phase {
            Phase::Idle => &[],
            Phase::Listening => &[(event::ACCEPT, PollFlags::IN)],
            Phase::Connecting => &[(
                event::SEND | event::CONNECT | event::CONNECT_FAIL,
                PollFlags::OUT,
            )],
            Phase::Connected => &[
                (event::RECEIVE, PollFlags::IN),
                (event::RECEIVE_EXPEDITED, PollFlags::PRI),
                (event::SEND | event::CONNECT, PollFlags::OUT),
                (event::DISCONNECT, PollFlags::RDHUP),
            ],
            Phase::Datagram => &[
                (event::RECEIVE, PollFlags::IN),
                (event::SEND, PollFlags::OUT),
            ],
        };
        let awaited = flags
            .iter()
            .filter(|(events, _)| self.wanted & events != 0)
            .fold(PollFlags::empty(), |all, (_, flag)| all | *flag);
        let mut fds = [PollFd::new(&self.fd, awaited)];
        let seen = match poll(&mut fds, Some(&Timespec::default())) {
            Ok(_) => fds[0].revents(),
            Err(_) => PollFlags::empty(),
        };
        let mut events = flags
            .iter()
            .filter(|(_, flag)| seen.intersects(*flag))
            .fold(0, |all, (events, _)| all | events);
        let is_failed = seen.contains(PollFlags::ERR);
        match phase {
            // It began to connect, and that failed before anybody looked.
            Phase::Idle if is_failed => events = event::CONNECT_FAIL,
            Phase::Connecting if is_failed => events = event::CONNECT_FAIL,
            Phase::Connecting => events &= !event::CONNECT_FAIL,
            Phase::Connected if is_failed => events |= event::ABORT,
            // The end alone is nothing to receive.
            Phase::Connected if seen.intersects(PollFlags::RDHUP | PollFlags::HUP) => {
                events |= event::DISCONNECT;
                if matches!(socket::peek(self.fd.as_fd()), Ok(0)) {
                    events &= !event::RECEIVE;
                }
            }
            // An error of an earlier datagram is for the next receive.
            Phase::Datagram if is_failed => events |= event::RECEIVE,
            _ => {}
        }
        (events & self.wanted, awaited)
    }
}

/// How a poll ended: its status, and the sockets by their place in the request with what happened to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `SUCCESS`, `TIMEOUT` or `CANCELLED`.
    pub status: NtStatus,
    /// Sockets that had events.
    pub ready: Vec<(usize, u32)>,
}

/// What is polled and how its end is told.
pub struct Request {
    /// The handle's file that the request came through.
    pub owner: Arc<File>,
    /// The sockets.
    pub sockets: Vec<Polled>,
    /// When it ends by itself.
    pub deadline_ns: Option<u64>,
    /// Whether it ends others of the same sockets.
    pub is_exclusive: bool,
    /// Address of the status block, by which it is cancelled.
    pub block: u64,
    /// Tells the end; called from any thread.
    pub finish: Box<dyn FnOnce(Outcome) + Send>,
}

impl Request {
    fn ready(&self) -> Vec<(usize, u32)> {
        let events = self.sockets.iter().map(|polled| polled.look().0);
        let ready = events.enumerate().filter(|(_, events)| *events != 0);
        ready.collect()
    }

    fn polls(&self, file: &File) -> bool {
        let is_it = |polled: &Polled| std::ptr::eq(Arc::as_ptr(&polled.file), file);
        self.sockets.iter().any(is_it)
    }
}

/// The requests in progress, and who watches their sockets.
struct Watcher {
    epoll: OwnedFd,
    requests: Mutex<Requests>,
    /// Written to when an earlier deadline comes.
    wake: OwnedFd,
}

#[derive(Default)]
struct Requests {
    by_number: HashMap<u64, Request>,
    last: u64,
}

static WATCHER: Mutex<Option<&'static Watcher>> = Mutex::new(None);

/// Number of the descriptor that only wakes the thread.
const WAKE: u64 = 0;

fn watcher() -> io::Result<&'static Watcher> {
    let mut place = WATCHER.lock();
    if let Some(watcher) = *place {
        return Ok(watcher);
    }
    let wake = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN)?;
    let watcher: &'static Watcher = Box::leak(Box::new(Watcher {
        epoll,
        requests: Mutex::default(),
        wake,
    }));
    std::thread::Builder::new()
        .name("socket polls".into())
        .stack_size(0x4_0000)
        .spawn(|| watcher.run())?;
    *place = Some(watcher);
    Ok(watcher)
}

/// The watcher, if there was a poll before.
fn existing() -> Option<&'static Watcher> {
    *WATCHER.lock()
}

impl Watcher {
    fn run(&self) -> ! {
        let mut events = Vec::with_capacity(64);
        loop {
            events.clear();
            let timeout = self.time_left();
            let room = rustix::buffer::spare_capacity(&mut events);
            if epoll::wait(&self.epoll, room, timeout.as_ref()).is_err() {
                continue;
            }
            for event in &events {
                match event.data.u64() {
                    WAKE => {
                        let _ = rustix::io::read(&self.wake, &mut [0_u8; 8][..]);
                    }
                    number => self.look(number),
                }
            }
            let now = futex::now_ns();
            let is_due = |request: &Request| request.deadline_ns.is_some_and(|due| due <= now);
            self.end_all(is_due, NtStatus::TIMEOUT);
        }
    }

    fn time_left(&self) -> Option<Timespec> {
        let requests = self.requests.lock();
        let first = requests.by_number.values().filter_map(|r| r.deadline_ns);
        let left = first.min()?.saturating_sub(futex::now_ns());
        Some(Timespec {
            tv_sec: i64::try_from(left / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: (left % 1_000_000_000) as i64,
        })
    }

    /// Ends a request if something happened, else waits on.
    fn look(&self, number: u64) {
        let mut requests = self.requests.lock();
        let Some(request) = requests.by_number.get(&number) else {
            return;
        };
        let ready = request.ready();
        if ready.is_empty() {
            self.arm(number, request);
            return;
        }
        let request = requests.by_number.remove(&number);
        drop(requests);
        if let Some(request) = request {
            self.end(request, NtStatus::SUCCESS, ready);
        }
    }

    fn arm(&self, number: u64, request: &Request) {
        for polled in &request.sockets {
            let (_, awaited) = polled.look();
            // A socket that is not connected would always be seen as hung up: it waits for a call.
            if awaited.is_empty() {
                continue;
            }
            let flags = EventFlags::from_bits_retain(u32::from(awaited.bits()));
            let flags = flags | EventFlags::ONESHOT;
            let data = EventData::new_u64(number);
            let armed = match epoll::modify(&self.epoll, &polled.fd, data, flags) {
                Err(rustix::io::Errno::NOENT) => epoll::add(&self.epoll, &polled.fd, data, flags),
                other => other,
            };
            if let Err(error) = armed {
                log::warn!("a poll of a socket is lost: {error}");
            }
        }
    }

    fn end(&self, request: Request, status: NtStatus, ready: Vec<(usize, u32)>) {
        for polled in &request.sockets {
            let _ = epoll::delete(&self.epoll, &polled.fd);
        }
        // The descriptors are closed before anybody hears of it.
        drop(request.sockets);
        (request.finish)(Outcome { status, ready });
    }

    /// Ends the requests that are meant; returns whether there was any.
    fn end_all(&self, is_meant: impl Fn(&Request) -> bool, status: NtStatus) -> bool {
        let mut requests = self.requests.lock();
        let table = &mut requests.by_number;
        let meant: Vec<Request> = table
            .extract_if(|_, r| is_meant(r))
            .map(|(_, r)| r)
            .collect();
        drop(requests);
        let any = !meant.is_empty();
        for request in meant {
            self.end(request, status, Vec::new());
        }
        any
    }
}

/// Starts a poll; returns whether it is pending. Its end is told in any case.
pub fn start(request: Request) -> Result<bool, NtStatus> {
    let watcher = watcher().map_err(|error| status_of(&error))?;
    if request.is_exclusive {
        let is_like = |other: &Request| {
            other.is_exclusive
                && request
                    .sockets
                    .iter()
                    .any(|polled| other.polls(&polled.file))
        };
        watcher.end_all(is_like, NtStatus::SUCCESS);
    }
    let ready = request.ready();
    let is_due = request
        .deadline_ns
        .is_some_and(|due| due <= futex::now_ns());
    if !ready.is_empty() || is_due {
        let status = if ready.is_empty() {
            NtStatus::TIMEOUT
        } else {
            NtStatus::SUCCESS
        };
        watcher.end(request, status, ready);
        return Ok(false);
    }
    let has_deadline = request.deadline_ns.is_some();
    let mut requests = watcher.requests.lock();
    requests.last += 1;
    let number = requests.last;
    watcher.arm(number, &request);
    requests.by_number.insert(number, request);
    drop(requests);
    if has_deadline {
        let _ = rustix::io::write(&watcher.wake, &1_u64.to_ne_bytes());
    }
    Ok(true)
}

/// Cancels the polls that came through a file, or the one with this status block; returns whether there was any.
pub fn cancel(owner: &File, block: Option<u64>) -> bool {
    let is_meant = |request: &Request| {
        std::ptr::eq(Arc::as_ptr(&request.owner), owner)
            && block.is_none_or(|block| block == request.block)
    };
    existing().is_some_and(|watcher| watcher.end_all(is_meant, NtStatus::CANCELLED))
}

/// A socket began to connect or to listen: polls of it wait for other things now.
pub fn changed(file: &File) {
    let Some(watcher) = existing() else {
        return;
    };
    let requests = watcher.requests.lock();
    let of_file = |(number, request): (&u64, &Request)| request.polls(file).then_some(*number);
    let numbers: Vec<u64> = requests.by_number.iter().filter_map(of_file).collect();
    drop(requests);
    numbers.into_iter().for_each(|number| watcher.look(number));
}

/// The last handle of a file was closed: its polls end, and those of it tell the close.
pub fn closed(file: &File) {
    let Some(watcher) = existing() else {
        return;
    };
    cancel(file, None);
    let mut requests = watcher.requests.lock();
    let table = &mut requests.by_number;
    let meant: Vec<Request> = table
        .extract_if(|_, r| r.polls(file))
        .map(|(_, r)| r)
        .collect();
    drop(requests);
    for request in meant {
        let is_it = |polled: &Polled| std::ptr::eq(Arc::as_ptr(&polled.file), file);
        let ready = request.sockets.iter().enumerate().filter(|(_, p)| is_it(p));
        let ready = ready.map(|(at, p)| (at, event::LOCAL_CLOSE & p.wanted));
        let ready = ready.collect();
        watcher.end(request, NtStatus::SUCCESS, ready);
    }
}
