//! Work on the handle table of another process, done by that process's agent.
//!
//! Every process has one host thread that answers on a socket in the abstract name space, named by user and process id.
//! No guest thread has to cooperate, so handles can be copied into and out of a process whose threads all wait or are
//! suspended. Only processes of the same user (and root) are answered: they can do the same by `ptrace`.
//!
//! | request | fields | answer |
//! |---|---|---|
//! | 1 give | access, attributes, packed object | status, handle |
//! | 2 take | handle, access, attributes, options | status, access, attributes, packed object |
//! | 3 page | – | status; the process's page |
//! | 4 thread | thread id | status, packed object |
//! | 5 join | packed job | status |
//! | 6 jobs | – | status; the pages of the process's jobs |
//!
//! All numbers are little-endian; descriptors of a packed object travel with the frame.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ntlpc_abi::{Handle, NtStatus};
use ntlpc_proto::transport::{self, Wait};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen,
    socket_with, sockopt,
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::handle::{CLOSE_SOURCE, close, copied};
use super::job::Job;
use super::object::Object;
use super::process::{self, Process};
use super::sync::Signal;
use super::table::{Entry, TABLE};
use super::{packed, thread};

const GIVE: u8 = 1;
const TAKE: u8 = 2;
const PAGE: u8 = 3;
const THREAD: u8 = 4;
const JOIN: u8 = 5;
const JOBS: u8 = 6;

/// Largest frame.
const MAX_BYTES: usize = 64 * 1024;
/// How long a process that was just created may take until its agent answers.
const START_TIME: Duration = Duration::from_secs(5);

fn address(pid: u32) -> Result<SocketAddrUnix, NtStatus> {
    let name = format!("ntlpc-agent-{}-{pid}", rustix::process::geteuid().as_raw());
    SocketAddrUnix::new_abstract_name(name.as_bytes()).map_err(|_| NtStatus::INVALID_CID)
}

fn new_socket() -> Result<OwnedFd, NtStatus> {
    socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|_| NtStatus::TOO_MANY_OPENED_FILES)
}

/// Starts the agent of this process.
pub fn start() {
    let listening = (|| {
        let socket = new_socket()?;
        bind(&socket, &address(std::process::id())?)
            .map_err(|_| NtStatus::OBJECT_NAME_COLLISION)?;
        listen(&socket, 16).map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
        Ok::<_, NtStatus>(socket)
    })();
    let socket = match listening {
        Ok(socket) => socket,
        Err(status) => {
            log::warn!("other processes cannot reach the handles of this one: {status}");
            return;
        }
    };
    let run = move || {
        loop {
            if let Ok(client) = accept_with(&socket, SocketFlags::CLOEXEC)
                && is_own_user(&client)
            {
                serve(&client);
            }
        }
    };
    if std::thread::Builder::new()
        .name("agent".into())
        .stack_size(0x4_0000)
        .spawn(run)
        .is_err()
    {
        log::warn!("other processes cannot reach the handles of this one: no thread left");
    }
}

fn is_own_user(peer: &OwnedFd) -> bool {
    sockopt::socket_peercred(peer)
        .is_ok_and(|cred| cred.uid == rustix::process::geteuid() || cred.uid.is_root())
}

/// Answers the one request of a connection. A client that does not send is given up.
fn serve(client: &OwnedFd) {
    let second = Some(Duration::from_secs(1));
    if sockopt::set_socket_timeout(client, sockopt::Timeout::Recv, second).is_err() {
        return;
    }
    let mut buffer = vec![0; MAX_BYTES];
    let Ok(received) = transport::receive(client, &mut buffer, Wait::Blocking) else {
        return;
    };
    let (bytes, fds) = answer(&buffer[..received.len], received.fds);
    let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    if let Err(error) = transport::send(client, &bytes, &borrowed, Wait::Blocking) {
        log::debug!("an answer of the agent was lost: {error}");
    }
}

fn answer(request: &[u8], fds: Vec<OwnedFd>) -> (Vec<u8>, Vec<OwnedFd>) {
    match act(request, fds) {
        Ok((body, fds)) => (
            [NtStatus::SUCCESS.0.to_le_bytes().as_slice(), &body].concat(),
            fds,
        ),
        Err(status) => (status.0.to_le_bytes().to_vec(), Vec::new()),
    }
}

/// Fields of a frame.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn u32(&mut self) -> Result<u32, NtStatus> {
        let (head, rest) = self
            .0
            .split_first_chunk::<4>()
            .ok_or(NtStatus::INVALID_PARAMETER)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*head))
    }
    fn u64(&mut self) -> Result<u64, NtStatus> {
        let (head, rest) = self
            .0
            .split_first_chunk::<8>()
            .ok_or(NtStatus::INVALID_PARAMETER)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*head))
    }
    fn object(&self, fds: Vec<OwnedFd>) -> Result<Arc<dyn Object>, NtStatus> {
        let mut fds = Some(fds);
        let (packed, _) = packed::read(self.0, &mut |_| {
            fds.take().ok_or(NtStatus::INVALID_PARAMETER)
        })?;
        packed::build(packed)
    }
}

fn act(request: &[u8], fds: Vec<OwnedFd>) -> Result<(Vec<u8>, Vec<OwnedFd>), NtStatus> {
    let (&operation, rest) = request.split_first().ok_or(NtStatus::INVALID_PARAMETER)?;
    let mut fields = Fields(rest);
    match operation {
        GIVE => {
            let (access, attributes) = (fields.u32()?, fields.u32()?);
            let handle = TABLE.insert(fields.object(fds)?, access, attributes)?;
            Ok((handle.0.to_le_bytes().to_vec(), Vec::new()))
        }
        TAKE => {
            let handle = Handle(fields.u64()?);
            let (access, attributes, options) = (fields.u32()?, fields.u32()?, fields.u32()?);
            let entry = TABLE.entry(handle);
            let packed = entry.and_then(|entry| {
                let entry = copied(&entry, access, attributes, options)?;
                let packed = entry.object.pack()?;
                Ok((entry, packed))
            });
            // The source is closed whatever becomes of the copy (Microsoft Learn `DuplicateHandle`).
            if options & CLOSE_SOURCE != 0 {
                close(handle)?;
            }
            let (entry, packed) = packed?;
            let mut body = entry.access.to_le_bytes().to_vec();
            body.extend(entry.attributes.to_le_bytes());
            packed::write(&packed, &mut body);
            Ok((body, packed.fds))
        }
        PAGE => Ok((Vec::new(), vec![process::current().signal.share()?])),
        THREAD => {
            let packed = thread::find(fields.u32()?)?.pack()?;
            let mut body = Vec::new();
            packed::write(&packed, &mut body);
            Ok((body, packed.fds))
        }
        JOIN => {
            super::object::downcast::<Job>(fields.object(fds)?)?.join()?;
            Ok((Vec::new(), Vec::new()))
        }
        JOBS => Ok((Vec::new(), super::job::own_pages()?)),
        _ => Err(NtStatus::INVALID_PARAMETER),
    }
}

/// Connects to the agent of a process, waiting while the process starts.
fn reach(pid: u32) -> Result<OwnedFd, NtStatus> {
    let address = address(pid)?;
    let deadline = Instant::now() + START_TIME;
    loop {
        let socket = new_socket()?;
        match connect(&socket, &address) {
            // Another process of another user may have taken the name.
            Ok(())
                if sockopt::socket_peercred(&socket)
                    .is_ok_and(|c| c.pid.as_raw_nonzero().get().unsigned_abs() == pid) =>
            {
                return Ok(socket);
            }
            Ok(()) => return Err(NtStatus::ACCESS_DENIED),
            Err(_) if is_starting(pid) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(1))
            }
            Err(_) => return Err(NtStatus::PROCESS_IS_TERMINATING),
        }
    }
}

/// Returns whether a process is one of ours that lives.
#[must_use]
pub fn is_starting(pid: u32) -> bool {
    let own = std::fs::read_link("/proc/self/exe");
    let other = std::fs::read_link(format!("/proc/{pid}/exe"));
    matches!((own, other), (Ok(own), Ok(other)) if own == other)
}

/// Makes one request. Returns the fields of the answer and its descriptors.
fn call(pid: u32, request: &[u8], fds: &[OwnedFd]) -> Result<(Vec<u8>, Vec<OwnedFd>), NtStatus> {
    let socket = reach(pid)?;
    let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    let lost = |_| NtStatus::PROCESS_IS_TERMINATING;
    transport::send(&socket, request, &borrowed, Wait::Blocking).map_err(lost)?;
    let mut buffer = vec![0; MAX_BYTES];
    let received = transport::receive(&socket, &mut buffer, Wait::Blocking).map_err(lost)?;
    buffer.truncate(received.len);
    let mut fields = Fields(&buffer);
    match NtStatus(fields.u32().map_err(|_| NtStatus::PROCESS_IS_TERMINATING)?) {
        NtStatus::SUCCESS => Ok((fields.0.to_vec(), received.fds)),
        status => Err(status),
    }
}

/// Makes a handle in another process.
pub fn give(to: &Process, entry: &Entry) -> Result<Handle, NtStatus> {
    let packed = entry.object.pack()?;
    let mut request = vec![GIVE];
    request.extend(entry.access.to_le_bytes());
    request.extend(entry.attributes.to_le_bytes());
    packed::write(&packed, &mut request);
    let (body, _) = call(to.pid, &request, &packed.fds)?;
    Fields(&body).u64().map(Handle)
}

/// Fetches what a handle of another process stands for, with the rights a duplicate gets.
pub fn take(
    from: &Process,
    source: Handle,
    access: u32,
    attributes: u32,
    options: u32,
) -> Result<Entry, NtStatus> {
    let mut request = vec![TAKE];
    request.extend(source.0.to_le_bytes());
    for word in [access, attributes, options] {
        request.extend(word.to_le_bytes());
    }
    let (body, fds) = call(from.pid, &request, &[])?;
    let mut fields = Fields(&body);
    let (access, attributes) = (fields.u32()?, fields.u32()?);
    Ok(Entry {
        object: fields.object(fds)?,
        access,
        attributes,
    })
}

/// Fetches the page another process shares with whoever has a handle to it.
///
/// A process that has no agent (a Linux program) shares none: its exit code stays unknown.
fn page_of(pid: u32) -> Result<Signal, NtStatus> {
    if !is_starting(pid) {
        return Ok(Signal::new(false));
    }
    let (_, fds) = call(pid, &[PAGE], &[])?;
    Signal::from_page(fds.into_iter().next().ok_or(NtStatus::INVALID_CID)?)
}

/// Fetches a thread of another process.
pub fn thread_of(pid: u32, tid: u32) -> Result<Arc<dyn Object>, NtStatus> {
    let request = [[THREAD].as_slice(), &tid.to_le_bytes()].concat();
    let (body, fds) = call(pid, &request, &[])?;
    Fields(&body).object(fds)
}

/// Puts another process into a job.
pub fn join_job(process: &Process, job: &packed::Packed) -> Result<(), NtStatus> {
    let mut request = vec![JOIN];
    packed::write(job, &mut request);
    call(process.pid, &request, &job.fds).map(|_| ())
}

/// Fetches the pages of another process's jobs.
pub fn jobs_of(pid: u32) -> Result<Vec<OwnedFd>, NtStatus> {
    call(pid, &[JOBS], &[]).map(|(_, fds)| fds)
}

/// Returns the process a Linux thread belongs to.
fn process_of_thread(tid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("Tgid:"))
        .and_then(|text| text.trim().parse().ok())
}

/// Opens a live process by id.
///
/// Returns `INVALID_CID` if there is none, `ACCESS_DENIED` if it belongs to another user.
pub fn open_process(pid: u32) -> Result<Arc<Process>, NtStatus> {
    if pid == std::process::id() {
        return Ok(process::current());
    }
    if let Some(known) = process::watched(pid) {
        return Ok(known);
    }
    let linux = Pid::from_raw(pid.cast_signed()).ok_or(NtStatus::INVALID_CID)?;
    let pidfd = pidfd_open(linux, PidfdFlags::empty()).map_err(|_| NtStatus::INVALID_CID)?;
    let signal = page_of(pid)?;
    Process::watch(pid, pidfd, signal, false)
}

/// Opens a live thread by id, of this or another process of the user.
pub fn open_thread(tid: u32) -> Result<Arc<dyn Object>, NtStatus> {
    match thread::find(tid) {
        Ok(own) => Ok(own),
        Err(_) => match process_of_thread(tid) {
            Some(pid) if pid != std::process::id() && is_starting(pid) => thread_of(pid, tid),
            _ => Err(NtStatus::INVALID_CID),
        },
    }
}
