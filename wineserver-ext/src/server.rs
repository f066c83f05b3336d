//! The event loop: clients, deaths, the idle exit. It never waits for a client.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use ntlpc_abi::NtStatus;
use ntlpc_proto::frame::{Frame, MAX_BYTES, POSTED, encode_refusal};
use ntlpc_proto::process::{Hello, HostKind};
use ntlpc_proto::transport::{self, Wait};
use ntlpc_proto::{Malformed, Request, frame, sys};
use rustix::process::Pid;

use crate::answer::{OutFd, encode};
use crate::limits::{HANG_UP_GRACE_MS, MAX_STRANGERS};
use crate::namespace::RootPolicy;
use crate::poll::Token;
use crate::process::ProcessNo;
use crate::security::Credentials;
use crate::state::State;

/// A control connection.
#[derive(Debug)]
struct Client {
    socket: OwnedFd,
    credentials: Credentials,
    linux_pid: Option<Pid>,
    /// Its process, once it said Hello.
    process: Option<ProcessNo>,
    is_tool: bool,
}

/// What a look at a client's socket came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    /// Nothing was there, or the client is dropped.
    Nothing,
    /// A request that wants no reply.
    Posted,
    /// A request and its reply.
    Answered,
}

/// Posted requests of one client handled before the others have their turn.
const MAX_POSTED_AT_ONCE: usize = 64;

/// Requests of a dead process that are handled yet: more than its socket holds.
const MAX_LAST_WORDS: usize = 4_096;

/// The server of one prefix.
#[derive(Debug)]
pub struct Server {
    state: State,
    listener: OwnedFd,
    /// Becomes readable when the process is asked to end.
    _end: UnixStream,
    clients: BTreeMap<u32, Client>,
    next_client: u32,
    /// How long to stay without clients; `None` for ever.
    linger: Option<Duration>,
    idle_since: Instant,
    buffer: Vec<u8>,
    /// Given up to take one more client when there are no descriptors, in order to turn it away.
    reserve: Option<OwnedFd>,
}

impl Server {
    /// Makes the server of a listening, non-blocking socket. `end` becomes readable when it shall end.
    ///
    /// # Errors
    /// No descriptor or no memory.
    pub fn new(
        listener: OwnedFd,
        end: UnixStream,
        policy: RootPolicy,
        linger: Option<Duration>,
    ) -> io::Result<Server> {
        let state = State::new(policy)?;
        state.poll.add(&listener, Token::Listener)?;
        state.poll.add(&end, Token::End)?;
        Ok(Server {
            state,
            listener,
            _end: end,
            clients: BTreeMap::new(),
            next_client: 1,
            linger,
            idle_since: Instant::now(),
            buffer: vec![0; MAX_BYTES],
            reserve: reserve(),
        })
    }

    /// Serves until nobody has used the prefix for the time given.
    ///
    /// # Errors
    /// The event queue fails.
    pub fn run(&mut self) -> io::Result<()> {
        loop {
            let timeout = self.timeout();
            if timeout == Some(Duration::ZERO) && self.is_idle() && self.state.dying.is_empty() {
                return Ok(());
            }
            for event in self.state.poll.wait(timeout)? {
                if event == Token::End {
                    log::info!("asked to end");
                    self.state.run_down_everything();
                    return Ok(());
                }
                self.handle_event(event);
            }
            self.bury_the_late();
        }
    }

    fn is_idle(&self) -> bool {
        self.clients.values().all(|client| client.is_tool) && self.state.lifetimes.is_empty()
    }

    /// Returns how long the next wait may take.
    fn timeout(&self) -> Option<Duration> {
        let now = Instant::now();
        let dying = self.state.dying.iter().chain(&self.state.fading);
        let dying = dying
            .map(|&(_, at)| at.saturating_duration_since(now))
            .min();
        let idle = match self.linger {
            Some(linger) if self.is_idle() => {
                Some((self.idle_since + linger).saturating_duration_since(now))
            }
            _ => None,
        };
        dying.into_iter().chain(idle).min()
    }

    fn handle_event(&mut self, event: Token) {
        match event {
            Token::Listener => self.accept(),
            Token::End => {}
            Token::Client(number) => self.serve(number),
            Token::Process(number) => self.bury(number),
            Token::Thread(tno) => self.state.run_down_thread(tno),
            Token::Lifetime(number) => {
                self.state.lifetime_hung_up(number);
                self.idle_since = Instant::now();
            }
        }
    }

    /// Runs down processes that hung up long ago and cannot be watched, or will not die.
    fn bury_the_late(&mut self) {
        let now = Instant::now();
        let late: Vec<ProcessNo> = self
            .state
            .dying
            .iter()
            .filter(|&&(_, at)| at <= now)
            .map(|&(number, _)| number)
            .collect();
        for number in late {
            self.state.run_down_process(number);
        }
        let faded: Vec<u32> = self
            .state
            .fading
            .iter()
            .filter(|&&(_, at)| at <= now)
            .map(|&(number, _)| number)
            .collect();
        for number in faded {
            self.state.lifetime_ended(number);
        }
    }

    fn accept(&mut self) {
        loop {
            let flags = rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK;
            let socket = match rustix::net::accept_with(&self.listener, flags) {
                Ok(socket) => socket,
                Err(rustix::io::Errno::AGAIN) => return,
                Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => continue,
                Err(error) => {
                    // The client hears that there is no room; else the listener would stay ready, and the loop spin.
                    // The kernel reports missing descriptors before it looks whether there is a client at all.
                    self.reserve = None;
                    let refused = rustix::net::accept_with(&self.listener, flags);
                    if let Ok(socket) = &refused {
                        log::warn!("no room for another client: {error}");
                        refuse(socket, NtStatus::INSUFFICIENT_RESOURCES);
                    }
                    drop(refused);
                    self.reserve = reserve();
                    return;
                }
            };
            self.admit(socket);
        }
    }

    fn admit(&mut self, socket: OwnedFd) {
        let Ok(peer) = sys::peer_credentials(&socket) else {
            return;
        };
        let credentials = Credentials {
            uid: peer.uid,
            gid: peer.gid,
            owner_uid: self.state.owner_uid,
        };
        if !credentials.is_owner() {
            log::warn!(
                "user {} may not use this prefix, which belongs to user {}",
                credentials.uid,
                credentials.owner_uid
            );
            return refuse(&socket, NtStatus::ACCESS_DENIED);
        }
        if self
            .clients
            .values()
            .filter(|client| client.process.is_none())
            .count()
            >= MAX_STRANGERS
        {
            self.drop_oldest_stranger();
        }
        let number = self.next_client;
        self.next_client = self.next_client.wrapping_add(1);
        if let Err(error) = self.state.poll.add(&socket, Token::Client(number)) {
            log::warn!("cannot watch a client: {error}");
            return;
        }
        let linux_pid = peer.pid.and_then(Pid::from_raw);
        self.clients.insert(
            number,
            Client {
                socket,
                credentials,
                linux_pid,
                process: None,
                is_tool: false,
            },
        );
    }

    fn drop_oldest_stranger(&mut self) {
        let oldest = self
            .clients
            .iter()
            .find(|(_, client)| client.process.is_none())
            .map(|(&number, _)| number);
        if let Some(number) = oldest {
            self.clients.remove(&number);
        }
    }

    /// Handles the posted requests that are there and the first that wants a reply: its client waits, so there is rarely
    /// another, and what is there makes the socket ready again.
    fn serve(&mut self, number: u32) {
        for _ in 0..MAX_POSTED_AT_ONCE {
            if self.serve_one(number) != Served::Posted {
                return;
            }
        }
    }

    /// Handles what a process sent before it died, then the death.
    fn bury(&mut self, process: ProcessNo) {
        let entry = self.state.process(process);
        if let Some(client) = entry.ok().and_then(|entry| entry.client) {
            // Somebody else may have its socket and go on sending.
            for _ in 0..MAX_LAST_WORDS {
                if self.serve_one(client) == Served::Nothing {
                    break;
                }
            }
        }
        self.state.run_down_process(process);
    }

    fn serve_one(&mut self, number: u32) -> Served {
        let Some(client) = self.clients.get(&number) else {
            return Served::Nothing;
        };
        let received = match transport::receive(&client.socket, &mut self.buffer, Wait::NonBlocking)
        {
            Ok(received) if received.len == 0 => return self.hang_up(number, None),
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Served::Nothing,
            Err(error) => return self.hang_up(number, Some(&error.to_string())),
        };
        let bytes = self.buffer[..received.len].to_vec();
        let mut is_posted = false;
        let reply = match Frame::parse(&bytes) {
            Ok(frame) => {
                is_posted = frame.status == POSTED;
                self.answer(number, &frame, received.fds)
            }
            Err(error) => {
                self.refuse_version(number, error);
                Err(error.to_string())
            }
        };
        let (bytes, fds) = match reply {
            Ok(_) if is_posted => return Served::Posted,
            Ok(reply) => reply,
            Err(why) => return self.hang_up(number, Some(&why)),
        };
        let Some(client) = self.clients.get(&number) else {
            return Served::Nothing;
        };
        let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        if let Err(error) = transport::send(&client.socket, &bytes, &fds, Wait::NonBlocking) {
            return self.hang_up(
                number,
                Some(&format!("it does not read its replies: {error}")),
            );
        }
        Served::Answered
    }

    /// Answers a frame of another version in this server's, so that the client can name both.
    fn refuse_version(&self, number: u32, error: Malformed) {
        if let (Malformed::Version(_), Some(client)) = (error, self.clients.get(&number)) {
            refuse(&client.socket, NtStatus::REVISION_MISMATCH);
        }
    }

    fn answer(
        &mut self,
        number: u32,
        frame: &Frame<'_>,
        fds: Vec<OwnedFd>,
    ) -> Result<(Vec<u8>, Vec<OutFd>), String> {
        let Some(client) = self.clients.get_mut(&number) else {
            return Err("it is gone".to_owned());
        };
        if let Some(process) = client.process {
            return self
                .state
                .handle(process, frame, fds)
                .map_err(|error| error.to_string());
        }
        if frame.number != Hello::NUMBER {
            return Err(format!("request {:#06x} before Hello", frame.number));
        }
        let hello: Hello = frame::decode_body(frame.body).map_err(|error| error.to_string())?;
        let is_tool = hello.host == HostKind::Tool;
        let outcome = self
            .state
            .hello(number, client.credentials, client.linux_pid, hello);
        let outcome = outcome.map(|(process, answer)| {
            client.process = Some(process);
            client.is_tool = is_tool;
            answer
        });
        Ok(encode::<Hello>(outcome))
    }

    fn hang_up(&mut self, number: u32, why: Option<&str>) -> Served {
        self.forget_client(number, why);
        Served::Nothing
    }

    fn forget_client(&mut self, number: u32, why: Option<&str>) {
        let Some(client) = self.clients.remove(&number) else {
            return;
        };
        self.idle_since = Instant::now();
        if let Some(why) = why {
            log::warn!("client {number} is dropped: {why}");
        }
        let Some(process) = client.process else {
            return;
        };
        let Ok(entry) = self.state.process_mut(process) else {
            return;
        };
        entry.client = None;
        // It may still run: what it does in shared memory is undone only once it is dead.
        let grace = if entry.pidfd.is_some() {
            HANG_UP_GRACE_MS
        } else {
            0
        };
        self.state
            .dying
            .push((process, Instant::now() + Duration::from_millis(grace)));
    }
}

/// Answers a Hello that has no chance, whether it was sent yet or not. Whether the client hears of it is its own matter.
fn refuse(socket: &OwnedFd, status: NtStatus) {
    let refusal = encode_refusal(Hello::NUMBER, status);
    let _ = transport::send(socket, &refusal, &[], Wait::NonBlocking);
}

/// Opens a descriptor to give up later; without one a client may have to wait in the backlog.
fn reserve() -> Option<OwnedFd> {
    File::open("/dev/null").ok().map(OwnedFd::from)
}
