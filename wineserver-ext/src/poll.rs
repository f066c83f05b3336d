//! The epoll set and what its entries stand for (`man 7 epoll`).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// What became ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// The listening socket.
    Listener,
    /// The process is asked to end.
    End,
    /// A control connection.
    Client(u32),
    /// The pidfd of a process number.
    Process(u32),
    /// The pidfd of a thread number.
    Thread(u32),
    /// The lifetime pipe of that number.
    Lifetime(u32),
}

impl Token {
    fn encode(self) -> u64 {
        let (kind, number) = match self {
            Token::Listener => (0, 0),
            Token::End => (1, 0),
            Token::Client(number) => (2, number),
            Token::Process(number) => (3, number),
            Token::Thread(number) => (4, number),
            Token::Lifetime(number) => (5, number),
        };
        kind << 32 | u64::from(number)
    }

    fn decode(data: u64) -> Option<Token> {
        let number = data as u32;
        match data >> 32 {
            0 => Some(Token::Listener),
            1 => Some(Token::End),
            2 => Some(Token::Client(number)),
            3 => Some(Token::Process(number)),
            4 => Some(Token::Thread(number)),
            5 => Some(Token::Lifetime(number)),
            _ => None,
        }
    }
}

/// The set of descriptors the server waits for. A descriptor leaves it by being closed.
#[derive(Debug)]
pub struct Poll(OwnedFd);

impl Poll {
    /// Makes an empty set.
    pub fn new() -> io::Result<Poll> {
        Ok(Poll(epoll::create(CreateFlags::CLOEXEC)?))
    }

    /// Reports `token` whenever `fd` can be read or has hung up.
    pub fn add(&self, fd: impl AsFd, token: Token) -> io::Result<()> {
        Ok(epoll::add(
            &self.0,
            fd,
            EventData::new_u64(token.encode()),
            EventFlags::IN,
        )?)
    }

    /// Stops reporting `fd`, which stays open.
    pub fn remove(&self, fd: impl AsFd) {
        // Not being in the set is what the caller wants.
        let _ = epoll::delete(&self.0, fd);
    }

    /// Waits until something is ready or `timeout` has passed; a signal ends the wait early.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<Vec<Token>> {
        const BATCH: usize = 64;
        let mut events = [const { MaybeUninit::<Event>::uninit() }; BATCH];
        let timeout = timeout.map(|duration| Timespec {
            tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(duration.subsec_nanos()),
        });
        match epoll::wait(&self.0, &mut events, timeout.as_ref()) {
            Ok((ready, _)) => Ok(ready
                .iter()
                .filter_map(|event| Token::decode(event.data.u64()))
                .collect()),
            Err(rustix::io::Errno::INTR) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }
}
