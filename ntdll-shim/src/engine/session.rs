//! This process at the server: the control connection, the numbers of its threads, who a sender is.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicUsize};

use ntlpc_abi::{ClientId, NtStatus};
use ntlpc_proto::process::{CheckThread, RegisterThread, ThreadExit};
use ntlpc_proto::{CallError, Connection, Prefix, Request, connect_or_start};
use ntlpc_shm::Tno;
use ntlpc_shm::inbox::Inbox;
use ntlpc_shm::segment::Segment;
use ntlpc_shm::threads::{Thread, ThreadTable};
use parking_lot::Mutex;

use super::loss;
use crate::host;

/// This process at the server.
#[derive(Debug)]
pub struct Session {
    control: Connection,
    generation: usize,
    is_lost: AtomicBool,
    threads: ThreadTable,
    /// Number of this process.
    pub process_no: u32,
    /// NT process id in force.
    pub process: u32,
}

/// Servers a process may lose before it gets no other.
const MAX_SESSIONS: usize = 64;

/// The sessions of this process: each server that was lost leaves one behind.
static SESSIONS: [OnceLock<Session>; MAX_SESSIONS] = [const { OnceLock::new() }; MAX_SESSIONS];
/// Which of them counts.
static GENERATION: AtomicUsize = AtomicUsize::new(0);
static STARTING: Mutex<()> = Mutex::new(());

/// Returns which session counts. The first is 0; there is another when the server died and [`renew`] found or started one.
#[inline]
#[must_use]
pub fn generation() -> usize {
    GENERATION.load(Acquire)
}

/// Returns the session, made by the first call. Starts the server if none runs.
///
/// # Errors
/// `UNSUCCESSFUL` if the server cannot be reached; the log says why and what to do.
pub fn session() -> Result<&'static Session, NtStatus> {
    match existing_session() {
        Some(session) => Ok(session),
        None => start(0),
    }
}

/// Returns the calling thread after [`renew`].
///
/// # Errors
/// As [`renew`] and [`me`].
pub fn renewed() -> Result<Me, NtStatus> {
    renew()?;
    me()
}

/// Makes sure that there is a server before a port is made or looked for. If the one this process had is dead, another takes
/// its place, and what the dead one knew of this process ends: a process has one identity at a time.
///
/// # Errors
/// As [`session`].
fn renew() -> Result<(), NtStatus> {
    let generation = generation();
    match SESSIONS[generation].get() {
        Some(session) if session.looks_lost() => start(generation + 1).map(drop),
        _ => Ok(()),
    }
}

#[cold]
fn start(generation: usize) -> Result<&'static Session, NtStatus> {
    let place = SESSIONS.get(generation).ok_or(NtStatus::UNSUCCESSFUL)?;
    let _starting = STARTING.lock();
    if let Some(session) = place.get() {
        return Ok(session);
    }
    let session = Session::start(generation).map_err(|error| {
        log::error!("no port call works: {error}");
        NtStatus::UNSUCCESSFUL
    })?;
    if generation > 0 {
        loss::end_all();
    }
    let session = place.get_or_init(|| session);
    GENERATION.store(generation, Release);
    loss::watch(session);
    Ok(session)
}

/// Returns the session if a call has made it: nobody needs to be told of the end of a process that never used a port.
#[must_use]
#[inline]
pub fn existing_session() -> Option<&'static Session> {
    SESSIONS[generation()].get()
}

impl Session {
    fn start(generation: usize) -> Result<Session, Box<dyn std::error::Error>> {
        let prefix = Prefix::from_environment()?;
        let places = host::current().server_places();
        let beside: Vec<&Path> = places.iter().map(PathBuf::as_path).collect();
        let control = connect_or_start(&prefix, &beside)?;
        let (reply, mut fds) = control.call(&host::current().hello(), &[])?;
        let table = fds.pop().ok_or("the server sent no thread table")?;
        allow_server_to_copy(reply.server_pid);
        log::debug!(
            "prefix {}, process {}",
            prefix.directory().display(),
            reply.process
        );
        Ok(Session {
            control,
            generation,
            is_lost: AtomicBool::new(false),
            threads: ThreadTable::map(table)?,
            process_no: reply.process,
            process: reply.nt_pid,
        })
    }

    /// Makes a control call.
    ///
    /// # Errors
    /// The status of the server, `UNSUCCESSFUL` if it is gone.
    pub fn call<R: Request>(
        &self,
        request: &R,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(R::Reply, Vec<OwnedFd>), NtStatus> {
        self.control.call(request, fds).map_err(|error| {
            log::debug!("{}: {error}", R::NAME);
            if matches!(error, CallError::Lost(_)) {
                self.mark_lost();
            }
            error.status()
        })
    }

    /// Sends a request whose answer nobody needs. Later calls of this process find it done.
    ///
    /// # Errors
    /// `UNSUCCESSFUL` if the server is gone.
    pub fn post<R: Request>(&self, request: &R) -> Result<(), NtStatus> {
        self.control.post(request).map_err(|error| {
            log::debug!("{}: {error}", R::NAME);
            self.mark_lost();
            error.status()
        })
    }

    /// Returns whether the server is dead.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.is_lost.load(Acquire)
    }

    /// Returns whether the server is dead, also if nobody has noticed yet.
    fn looks_lost(&self) -> bool {
        if !self.is_lost() && loss::has_hung_up(self.control()) {
            self.mark_lost();
        }
        self.is_lost()
    }

    /// Takes note of the server's death.
    pub(super) fn mark_lost(&self) {
        self.is_lost.store(true, Release);
    }

    /// Returns whether no other session took its place.
    #[must_use]
    pub(super) fn is_current(&self) -> bool {
        self.generation == generation()
    }

    /// Returns the control connection's descriptor.
    pub(super) fn control(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    /// Maps a segment that came with a reply.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES` if it is missing, of another version or cannot be mapped.
    pub fn segment(&self, fd: Option<OwnedFd>) -> Result<Segment, NtStatus> {
        let fd = fd.ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
        Segment::map(fd).map_err(|error| resources("a connection segment", &error))
    }

    /// Maps an inbox that came with a reply.
    ///
    /// # Errors
    /// As [`Session::segment`].
    pub fn inbox(&self, fd: Option<OwnedFd>) -> Result<Inbox, NtStatus> {
        let fd = fd.ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
        Inbox::map(fd).map_err(|error| resources("a port inbox", &error))
    }

    /// Returns who a thread number is, dead or alive.
    #[must_use]
    #[inline]
    pub fn thread(&self, tno: Tno) -> Option<Thread> {
        self.threads.get(tno)
    }

    /// Returns whether a ClientId names a live thread (lpc §2.0.5).
    ///
    /// # Errors
    /// `INVALID_CID` if it does not.
    pub fn check_alive(&self, id: ClientId) -> Result<(), NtStatus> {
        self.call(
            &CheckThread {
                pid: id.process,
                tid: id.thread,
            },
            &[],
        )
        .map(|_| ())
    }
}

fn resources(what: &str, error: &std::io::Error) -> NtStatus {
    log::warn!("cannot map {what}: {error}");
    NtStatus::INSUFFICIENT_RESOURCES
}

/// Lets the server, and no other process, copy data blocks of this one (NtReadRequestData) where the kernel limits that
/// to descendants.
#[allow(unsafe_code, reason = "prctl has no safe wrapper")]
fn allow_server_to_copy(server: u32) {
    // SAFETY: PR_SET_PTRACER takes a number and touches no memory. It fails harmlessly without the Yama module.
    unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::c_ulong::from(server), 0, 0, 0) };
}

/// The calling thread at the server.
#[derive(Clone, Copy, Debug)]
pub struct Me {
    /// Its number.
    pub tno: Tno,
    /// Its NT ids.
    pub id: ClientId,
}

thread_local! {
    /// The thread at the session of a generation.
    static ME: Cell<Option<(usize, Me)>> = const { Cell::new(None) };
}

/// Returns the calling thread, registered with the server by its first port call.
///
/// # Errors
/// What [`session`] or the server answers.
#[inline]
pub fn me() -> Result<Me, NtStatus> {
    loop {
        match ME.get() {
            Some((of, me)) if of == generation() => return Ok(me),
            _ => register()?,
        }
    }
}

#[cold]
fn register() -> Result<(), NtStatus> {
    let host = host::current();
    let id = host.client_id();
    let request = RegisterThread {
        linux_tid: linux_tid(),
        nt_tid: id.thread,
        create_time: host.thread_create_time(),
    };
    let session = session()?;
    let generation = session.generation;
    let (reply, _) = session.call(&request, &[])?;
    let me = Me {
        tno: reply.tno,
        id: ClientId {
            process: session.process,
            thread: reply.nt_tid,
        },
    };
    ME.set(Some((generation, me)));
    Ok(())
}

/// Tells the server that the calling thread ends, if it ever used a port. Its CLIENT_DIED notices are queued when this
/// returns (lpc §3.6). Hosts call it once, when the thread runs no more guest code.
pub fn thread_exit() {
    if let (Some((generation, me)), Some(session)) = (ME.get(), existing_session())
        && generation == session.generation
    {
        // A lost server has no one left to tell.
        let _ = session.call(&ThreadExit { tno: me.tno }, &[]);
        crate::classic::release_terminate_ports();
        ME.set(None);
    }
}

#[allow(unsafe_code, reason = "gettid has no safe wrapper in libc")]
fn linux_tid() -> u32 {
    // SAFETY: no arguments, no memory.
    unsafe { libc::gettid() as u32 }
}

/// Returns the number of the control descriptor, for hosts that must keep guests from closing it.
#[must_use]
pub fn control_fd() -> Option<i32> {
    existing_session().map(|session| session.control.as_fd().as_raw_fd())
}
