//! Everything the server knows. One thread owns it; handlers are methods in the files of their topic.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use ntlpc_abi::NtStatus;
use ntlpc_proto::Bytes;
use ntlpc_shm::Tno;
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::attachments::Bundle;
use crate::connecting::Connecting;
use crate::connection::{Connection, ConnectionId};
use crate::limits::MAX_PORTS;
use crate::namespace::{NameSpace, ObjectId, RootPolicy};
use crate::objects::NamedObject;
use crate::poll::{Poll, Token as PollToken};
use crate::port::Port;
use crate::process::{Process, ProcessNo};
use crate::security::Token;
use crate::threads::{Thread, Threads};

/// The state of one prefix.
#[derive(Debug)]
pub struct State {
    pub(crate) poll: Poll,
    pub(crate) owner_uid: u32,
    pub(crate) names: NameSpace,
    pub(crate) threads: Threads,
    pub(crate) processes: BTreeMap<ProcessNo, Process>,
    pub(crate) ports: BTreeMap<ObjectId, Port>,
    pub(crate) objects: BTreeMap<ObjectId, NamedObject>,
    pub(crate) connections: HashMap<ConnectionId, Connection>,
    /// Those of them that are being made.
    pub(crate) connecting: Connecting,
    pub(crate) lifetimes: HashMap<u32, Lifetime>,
    pub(crate) bundles: HashMap<u64, Bundle>,
    /// What ended bundles left, by who attached it.
    pub(crate) orphans: HashMap<ProcessNo, Vec<Bytes>>,
    pub(crate) next_bundle: u64,
    /// Number of the token a thread took on last.
    pub(crate) next_token: u64,
    /// Processes that hung up and should die before the given moment.
    pub(crate) dying: Vec<(ProcessNo, Instant)>,
    /// Lifetime pipes that hung up unannounced: their process may be dying, and its threads' notices come first.
    pub(crate) fading: Vec<(u32, Instant)>,
    next_process: ProcessNo,
    next_connection: ConnectionId,
    next_lifetime: u32,
}

/// The server's end of a port's lifetime pipe: it hangs up when the last copy of the other end is closed.
#[derive(Debug)]
pub(crate) struct Lifetime {
    pub(crate) port: ObjectId,
    pub(crate) process: ProcessNo,
    pub(crate) fd: OwnedFd,
    /// Thread to name as the closer, once the process is gone; 0 before.
    pub(crate) closer: Tno,
}

impl Lifetime {
    /// Returns whether the last copy of the other end is closed already.
    pub(crate) fn has_hung_up(&self) -> bool {
        let mut fds = [PollFd::new(&self.fd, PollFlags::empty())];
        rustix::event::poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }
}

impl State {
    /// Makes the state of a prefix nobody uses yet.
    pub fn new(policy: RootPolicy) -> io::Result<State> {
        Ok(State {
            poll: Poll::new()?,
            owner_uid: rustix::process::geteuid().as_raw(),
            names: NameSpace::new(policy),
            threads: Threads::new()?,
            processes: BTreeMap::new(),
            ports: BTreeMap::new(),
            objects: BTreeMap::new(),
            connections: HashMap::new(),
            connecting: Connecting::default(),
            lifetimes: HashMap::new(),
            bundles: HashMap::new(),
            orphans: HashMap::new(),
            next_bundle: 0,
            next_token: 0,
            dying: Vec::new(),
            fading: Vec::new(),
            next_process: 1,
            next_connection: 1,
            next_lifetime: 1,
        })
    }

    /// Returns the process of a number given out.
    pub(crate) fn process(&self, number: ProcessNo) -> Result<&Process, NtStatus> {
        self.processes
            .get(&number)
            .ok_or(NtStatus::PROCESS_IS_TERMINATING)
    }

    /// As [`State::process`], to change it.
    pub(crate) fn process_mut(&mut self, number: ProcessNo) -> Result<&mut Process, NtStatus> {
        self.processes
            .get_mut(&number)
            .ok_or(NtStatus::PROCESS_IS_TERMINATING)
    }

    /// Returns a live thread of `process`; a thread of another is nobody.
    pub(crate) fn own_thread(&self, process: ProcessNo, tno: Tno) -> Result<&Thread, NtStatus> {
        self.threads
            .get(tno)
            .filter(|thread| thread.process == process)
            .ok_or(NtStatus::INVALID_CID)
    }

    /// Returns a port that `process` holds, else `STATUS_INVALID_HANDLE`.
    pub(crate) fn held_port(&self, process: ProcessNo, port: ObjectId) -> Result<&Port, NtStatus> {
        self.ports
            .get(&port)
            .filter(|port| port.is_held_by(process))
            .ok_or(NtStatus::INVALID_HANDLE)
    }

    /// Returns the effective token of a call: the one sent with it, else the thread's, else the process's.
    pub(crate) fn effective_token(
        &self,
        process: ProcessNo,
        tno: Tno,
        sent: &[u8],
    ) -> Result<Token, NtStatus> {
        let owner = self.process(process)?;
        if !sent.is_empty() {
            return Token::parse(sent, owner.credentials);
        }
        let thread = self.own_thread(process, tno)?;
        Ok(thread.token.clone().unwrap_or_else(|| owner.token.clone()))
    }

    /// Returns the token of a call that names no thread: the one sent with it, else the process's.
    pub(crate) fn token_of_process(
        &self,
        process: ProcessNo,
        sent: &[u8],
    ) -> Result<Token, NtStatus> {
        let owner = self.process(process)?;
        if sent.is_empty() {
            Ok(owner.token.clone())
        } else {
            Token::parse(sent, owner.credentials)
        }
    }

    pub(crate) fn allocate_process_no(&mut self) -> ProcessNo {
        let number = self.next_process;
        self.next_process += 1;
        number
    }

    pub(crate) fn allocate_connection_id(&mut self) -> ConnectionId {
        let id = self.next_connection;
        self.next_connection += 1;
        id
    }

    /// Returns `STATUS_INSUFFICIENT_RESOURCES` if the server keeps as many ports as it may.
    pub(crate) fn check_port_room(&self) -> Result<(), NtStatus> {
        if self.ports.len() < MAX_PORTS {
            Ok(())
        } else {
            Err(NtStatus::INSUFFICIENT_RESOURCES)
        }
    }

    /// Makes a lifetime pipe for `port` in `process`; returns the end to send.
    pub(crate) fn make_lifetime(
        &mut self,
        process: ProcessNo,
        port: ObjectId,
    ) -> io::Result<(u32, OwnedFd)> {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let number = self.next_lifetime;
        self.poll.add(&read, PollToken::Lifetime(number))?;
        self.next_lifetime = self.next_lifetime.wrapping_add(1);
        self.lifetimes.insert(
            number,
            Lifetime {
                port,
                process,
                fd: read,
                closer: 0,
            },
        );
        Ok((number, write))
    }
}
