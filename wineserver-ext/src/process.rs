//! Processes: introduction, registration of threads, tokens.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use ntlpc_abi::{NtStatus, Width};
use ntlpc_proto::process::{
    CheckThread, CheckThreadReply, GuestWidth, Hello, HelloReply, HostKind, RegisterThread,
    RegisterThreadReply, SetThreadToken, SetThreadTokenReply, ThreadExit, ThreadExitReply,
};
use ntlpc_shm::Tno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::answer::{OutFd, Outcome, answer, answer_with, no_room};
use crate::arena::Arena;
use crate::limits::{MAX_PROCESSES, MAX_THREADS_PER_PROCESS};
use crate::namespace::ObjectId;
use crate::poll::Token as PollToken;
use crate::port::ExceptionPort;
use crate::security::{Credentials, Token};
use crate::state::State;
use crate::threads::Thread;
use crate::time::now_100ns;

/// Number the server gives to a process; never given again.
pub type ProcessNo = u32;

/// PIDFD_THREAD, Linux 6.9 (`man 2 pidfd_open`): the value of O_EXCL.
const PIDFD_THREAD: u32 = rustix::fs::OFlags::EXCL.bits();

/// A process with a control connection.
#[derive(Debug)]
pub struct Process {
    /// Its number.
    pub number: ProcessNo,
    /// NT process id.
    pub nt_pid: u32,
    /// Linux process id, if it is visible from here.
    pub linux_pid: Option<Pid>,
    /// Reports its death.
    pub pidfd: Option<OwnedFd>,
    /// Number of its control connection; `None` once that hung up.
    pub client: Option<u32>,
    /// Who the kernel says it is.
    pub credentials: Credentials,
    /// Primary token.
    pub token: Token,
    /// Kind of host.
    pub host: HostKind,
    /// Width of the guest's structures.
    pub width: Width,
    /// Image name.
    pub image: String,
    /// Creation time, 100 ns since 1601.
    pub create_time: u64,
    /// Whether each port comes with a lifetime descriptor.
    pub wants_lifetime_fds: bool,
    /// Addresses for remote views.
    pub arena: Arena,
    /// Live threads.
    pub threads: BTreeSet<Tno>,
    /// Number of the last thread that died: who closes what is left at the end.
    pub last_thread: Tno,
    /// Ports it holds.
    pub ports: BTreeSet<ObjectId>,
    /// Exception port.
    pub exception: Option<ExceptionPort>,
}

impl State {
    /// Introduces a process.
    ///
    /// Returns `STATUS_INVALID_CID` if its NT process id is another process's, `STATUS_INVALID_PARAMETER` for an id that is
    /// not its own, `STATUS_INSUFFICIENT_RESOURCES` without room, and the statuses of [`Token::parse`].
    pub fn hello(
        &mut self,
        client: u32,
        credentials: Credentials,
        linux_pid: Option<Pid>,
        request: Hello,
    ) -> Result<(ProcessNo, crate::answer::Answer<HelloReply>), NtStatus> {
        if self.processes.len() >= MAX_PROCESSES {
            return Err(NtStatus::INSUFFICIENT_RESOURCES);
        }
        let token = if request.token.0.is_empty() {
            Token::of_credentials(credentials)
        } else {
            Token::parse(&request.token.0, credentials)?
        };
        let nt_pid = self.choose_pid(&request, linux_pid)?;
        let number = self.allocate_process_no();
        // Only a process of this PID name space can be watched; any other is watched by its connection alone.
        let pidfd = linux_pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        if let Some(pidfd) = &pidfd {
            self.poll
                .add(pidfd, PollToken::Process(number))
                .map_err(|error| no_room("cannot watch a process", &error))?;
        }
        let create_time = if request.create_time == 0 {
            now_100ns()
        } else {
            request.create_time
        };
        let process = Process {
            number,
            nt_pid,
            linux_pid,
            pidfd,
            client: Some(client),
            credentials,
            token,
            host: request.host,
            width: match request.width {
                GuestWidth::X64 => Width::X64,
                GuestWidth::X86 => Width::X86,
            },
            image: request.image,
            create_time,
            wants_lifetime_fds: request.wants_lifetime_fds,
            arena: Arena::new(request.arena_base, request.arena_size),
            threads: BTreeSet::new(),
            last_thread: 0,
            ports: BTreeSet::new(),
            exception: None,
        };
        log::debug!(
            "process {number}: pid {nt_pid} {:?} {:?}",
            process.image,
            process.host
        );
        self.processes.insert(number, process);
        let reply = HelloReply {
            process: number,
            nt_pid,
            create_time,
            server_pid: rustix::process::getpid()
                .as_raw_nonzero()
                .get()
                .unsigned_abs(),
        };
        let fds = vec![OutFd::Other(self.threads.table_fd())];
        Ok((number, answer_with(reply, fds)?))
    }

    /// Registers a thread of the calling process.
    pub fn register_thread(
        &mut self,
        caller: ProcessNo,
        request: RegisterThread,
    ) -> Outcome<RegisterThread> {
        let process = self.process(caller)?;
        if process.threads.len() >= MAX_THREADS_PER_PROCESS {
            return Err(NtStatus::TOO_MANY_THREADS);
        }
        let nt_tid = if request.nt_tid == 0 {
            request.linux_tid
        } else {
            request.nt_tid
        };
        let create_time = if request.create_time == 0 {
            now_100ns()
        } else {
            request.create_time
        };
        // Our loader ends its threads through an exit hook; Wine kills them without asking anybody.
        let pidfd = match process.host {
            HostKind::Wine => watch_thread(request.linux_tid),
            _ => None,
        };
        let thread = Thread {
            tno: 0,
            process: caller,
            nt_pid: process.nt_pid,
            nt_tid,
            linux_tid: request.linux_tid,
            create_time,
            terminate_ports: Vec::new(),
            token: None,
            token_number: 0,
            pidfd: None,
        };
        let tno = self.threads.register(thread)?;
        if let Some(pidfd) = pidfd
            && self.poll.add(&pidfd, PollToken::Thread(tno)).is_ok()
            && let Some(thread) = self.threads.get_mut(tno)
        {
            thread.pidfd = Some(pidfd);
        }
        self.process_mut(caller)?.threads.insert(tno);
        answer(RegisterThreadReply {
            tno,
            nt_tid,
            create_time,
        })
    }

    /// Ends a thread of the calling process.
    pub fn thread_exit(&mut self, caller: ProcessNo, request: ThreadExit) -> Outcome<ThreadExit> {
        self.own_thread(caller, request.tno)?;
        self.run_down_thread(request.tno);
        answer(ThreadExitReply {})
    }

    /// Sets or clears a thread's impersonation token.
    pub fn set_thread_token(
        &mut self,
        caller: ProcessNo,
        request: SetThreadToken,
    ) -> Outcome<SetThreadToken> {
        let credentials = self.process(caller)?.credentials;
        self.own_thread(caller, request.tno)?;
        let token = match request.token.0.as_slice() {
            [] => None,
            bytes => Some(Token::parse(bytes, credentials)?),
        };
        self.next_token += 1;
        if let Some(thread) = self.threads.get_mut(request.tno) {
            thread.token = token;
            thread.token_number = self.next_token;
        }
        answer(SetThreadTokenReply {})
    }

    /// Looks up a live thread.
    pub fn check_thread(&mut self, request: CheckThread) -> Outcome<CheckThread> {
        self.bury_if_dead(request.pid, request.tid);

        let thread = self.threads.by_client_id(request.pid, request.tid)?;
        answer(CheckThreadReply {
            tno: thread.tno,
            process: thread.process,
        })
    }

    /// Runs a thread down if the kernel knows that it is dead and the event has not come up yet.
    pub(crate) fn bury_if_dead(&mut self, pid: u32, tid: u32) {
        let Ok(thread) = self.threads.by_client_id(pid, tid) else {
            return;
        };
        let process = self.processes.get(&thread.process);
        let (tno, number) = (thread.tno, thread.process);
        if thread.pidfd.as_ref().is_some_and(has_ended) {
            self.run_down_thread(tno);
        } else if process
            .and_then(|process| process.pidfd.as_ref())
            .is_some_and(has_ended)
        {
            self.run_down_process(number);
        }
    }

    /// A standalone process is known by its Linux id; Wine numbers its processes itself.
    fn choose_pid(&mut self, request: &Hello, linux_pid: Option<Pid>) -> Result<u32, NtStatus> {
        /// Ids for processes whose Linux id is not visible here: above every Linux pid (`PID_MAX_LIMIT`, 2^22).
        const INVISIBLE: u32 = 1 << 23;
        let own = linux_pid.map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
        let pid = match (request.nt_pid, own) {
            (0, Some(pid)) => pid,
            (0, None) => INVISIBLE + self.allocate_process_no() * 4,
            (pid, own) if request.host == HostKind::Wine || own == Some(pid) => pid,
            _ => return Err(NtStatus::INVALID_PARAMETER),
        };
        // A process that replaced its program says Hello again; its old connection was closed by exec.
        let older = self
            .processes
            .values()
            .find(|process| process.nt_pid == pid && request.host != HostKind::Tool);
        match older.map(|process| (process.number, process.client, process.linux_pid)) {
            None => Ok(pid),
            Some((number, None, old)) if old == linux_pid => {
                self.run_down_process(number);
                Ok(pid)
            }
            Some(_) => Err(NtStatus::INVALID_CID),
        }
    }
}

/// Returns whether the process or thread of a pidfd has ended.
pub(crate) fn has_ended(pidfd: &OwnedFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    poll(
        &mut fds,
        Some(&Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        }),
    )
    .is_ok_and(|ready| ready > 0)
}

fn watch_thread(linux_tid: u32) -> Option<OwnedFd> {
    let tid = Pid::from_raw(i32::try_from(linux_tid).ok()?)?;
    pidfd_open(tid, PidfdFlags::from_bits_retain(PIDFD_THREAD)).ok()
}
