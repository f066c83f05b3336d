//! This process at the server: the control connection, the numbers of its threads, who a sender is.

use std::cell::Cell;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ntlpc_abi::{ClientId, NtStatus};
use ntlpc_proto::process::{CheckThread, RegisterThread, ThreadExit};
use ntlpc_proto::{Connection, Prefix, Request, connect_or_start};
use ntlpc_shm::Tno;
use ntlpc_shm::inbox::Inbox;
use ntlpc_shm::segment::Segment;
use ntlpc_shm::threads::{Thread, ThreadTable};
use parking_lot::Mutex;

use crate::{host, interrupt};

/// This process at the server.
#[derive(Debug)]
pub struct Session {
    control: Connection,
    threads: ThreadTable,
    /// Number of this process.
    pub process_no: u32,
    /// NT process id in force.
    pub process: u32,
}

static SESSION: OnceLock<Session> = OnceLock::new();
static STARTING: Mutex<()> = Mutex::new(());

/// Returns the session, made by the first call. Starts the server if none runs.
///
/// # Errors
/// `UNSUCCESSFUL` if the server cannot be reached; the log says why and what to do.
pub fn session() -> Result<&'static Session, NtStatus> {
    if let Some(session) = SESSION.get() {
        return Ok(session);
    }
    let _guard = interrupt::enter();
    let _starting = STARTING.lock();
    if let Some(session) = SESSION.get() {
        return Ok(session);
    }
    let session = Session::start().map_err(|error| {
        log::error!("no port call works: {error}");
        NtStatus::UNSUCCESSFUL
    })?;
    Ok(SESSION.get_or_init(|| session))
}

/// Returns the session if a call has made it: nobody needs to be told of the end of a process that never used a port.
#[must_use]
pub fn existing_session() -> Option<&'static Session> {
    SESSION.get()
}

impl Session {
    fn start() -> Result<Session, Box<dyn std::error::Error>> {
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
        let _guard = interrupt::enter();
        self.control.call(request, fds).map_err(|error| {
            log::debug!("{}: {error}", R::NAME);
            error.status()
        })
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
    static ME: Cell<Option<Me>> = const { Cell::new(None) };
}

/// Returns the calling thread, registered with the server by its first port call.
///
/// # Errors
/// What [`session`] or the server answers.
#[inline]
pub fn me() -> Result<Me, NtStatus> {
    match ME.get() {
        Some(me) => Ok(me),
        None => register(),
    }
}

#[cold]
fn register() -> Result<Me, NtStatus> {
    let host = host::current();
    let id = host.client_id();
    let request = RegisterThread {
        linux_tid: linux_tid(),
        nt_tid: id.thread,
        create_time: host.thread_create_time(),
    };
    let (reply, _) = session()?.call(&request, &[])?;
    let me = Me {
        tno: reply.tno,
        id: ClientId {
            process: session()?.process,
            thread: reply.nt_tid,
        },
    };
    ME.set(Some(me));
    Ok(me)
}

/// Tells the server that the calling thread ends, if it ever used a port. Its CLIENT_DIED notices are queued when this
/// returns (lpc §3.6). Hosts call it once, when the thread runs no more guest code.
pub fn thread_exit() {
    if let (Some(me), Some(session)) = (ME.get(), existing_session()) {
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
    use std::os::fd::AsFd;
    existing_session().map(|session| session.control.as_fd().as_raw_fd())
}
