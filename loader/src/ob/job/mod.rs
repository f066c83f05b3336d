//! Job objects.
//!
//! The processes of a job share [pages](shared::Shared) with its limits and their ids. A process puts its children into
//! its own jobs between fork and exec, so that none is ever outside. Every handle of a job holds the write end of a pipe,
//! every member its read end: when the last handle in the last process is gone, however that process ended, the members
//! see the end of the pipe, and end if the job says so. An eventfd wakes the process that [reports](report) to a port.
//!
//! A process put into a second job belongs to both if one can contain the other: every process of the new job must be in
//! the jobs the process is in (Microsoft Learn "Nested Jobs"). Limits are those of each job by itself.

mod report;
pub mod shared;

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ntlpc_abi::NtStatus;
use parking_lot::Mutex;
use rustix::process::{Signal as LinuxSignal, pidfd_send_signal};

use super::object::{Header, Object, ObjectType};
use super::packed::{Packed, PackedKind};
use super::process::{self, Process};
use super::sync::Signal;
use super::waitable::Waitable;
use shared::{Live, Shared, stat_field};

/// `JOB_OBJECT_ALL_ACCESS` and the generic mapping of jobs.
pub static JOB_TYPE: ObjectType = ObjectType {
    name: "Job",
    generic: [0x2_0004, 0x2_000B, 0x12_0000, 0x1F_003F],
};

/// Access rights of jobs. Source: Microsoft Learn "Job Object Security and Access Rights".
pub mod rights {
    /// `JOB_OBJECT_ASSIGN_PROCESS`.
    pub const ASSIGN_PROCESS: u32 = 0x1;
    /// `JOB_OBJECT_SET_ATTRIBUTES`.
    pub const SET_ATTRIBUTES: u32 = 0x2;
    /// `JOB_OBJECT_QUERY`.
    pub const QUERY: u32 = 0x4;
    /// `JOB_OBJECT_TERMINATE`.
    pub const TERMINATE: u32 = 0x8;
}

/// `LimitFlags`. Source: Microsoft Learn "`JOBOBJECT_BASIC_LIMIT_INFORMATION`".
pub mod limit {
    /// `JOB_OBJECT_LIMIT_ACTIVE_PROCESS`.
    pub const ACTIVE_PROCESS: u32 = 0x8;
    /// `JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION`: as here in any case.
    pub const DIE_ON_UNHANDLED_EXCEPTION: u32 = 0x400;
    /// `JOB_OBJECT_LIMIT_BREAKAWAY_OK`.
    pub const BREAKAWAY_OK: u32 = 0x800;
    /// `JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK`.
    pub const SILENT_BREAKAWAY_OK: u32 = 0x1000;
    /// `JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE`.
    pub const KILL_ON_JOB_CLOSE: u32 = 0x2000;
}

/// A job.
#[derive(Debug)]
pub struct Job {
    header: Header,
    /// Set when the time of the job is over, which is a limit that is not supported.
    signal: Signal,
    shared: Arc<Shared>,
    /// Hangs up when no process has a handle.
    handles: OwnedFd,
    /// Keeps it from that, while this process has a handle.
    hold: Mutex<Option<OwnedFd>>,
    /// Counts changes of the members.
    news: OwnedFd,
}

/// Jobs of this process, the innermost last.
static OWN: Mutex<Vec<Arc<Job>>> = Mutex::new(Vec::new());

fn duplicate(fd: impl AsFd) -> Result<OwnedFd, NtStatus> {
    fd.as_fd()
        .try_clone_to_owned()
        .map_err(|_| NtStatus::TOO_MANY_OPENED_FILES)
}

impl Job {
    /// Makes a job.
    pub fn new() -> Result<Self, NtStatus> {
        use rustix::event::{EventfdFlags, eventfd};
        let no_room = |_| NtStatus::TOO_MANY_OPENED_FILES;
        let (handles, hold) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(no_room)?;
        Ok(Job {
            header: Header::default(),
            signal: Signal::new(false),
            shared: Arc::new(Shared::new()?),
            handles,
            hold: Mutex::new(Some(hold)),
            news: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(no_room)?,
        })
    }

    /// Takes over a job another process packed: pages, pipe, counter, and what holds the pipe if it is a handle.
    pub fn unpack(fds: Vec<OwnedFd>) -> Result<Self, NtStatus> {
        let mut fds = fds.into_iter();
        let mut fd = || fds.next().ok_or(NtStatus::INVALID_PARAMETER);
        Ok(Job {
            header: Header::default(),
            signal: Signal::new(false),
            shared: Arc::new(Shared::map(fd()?)?),
            handles: fd()?,
            news: fd()?,
            hold: Mutex::new(fds.next()),
        })
    }

    /// Returns what a member needs of the job: pages, pipe, counter.
    pub fn member_fds(&self) -> Result<Vec<OwnedFd>, NtStatus> {
        Ok(vec![
            duplicate(self.shared.fd())?,
            duplicate(&self.handles)?,
            duplicate(&self.news)?,
        ])
    }

    /// Returns what the processes of the job share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn tell(&self) {
        // A counter that is full has been told.
        let _ = rustix::io::write(&self.news, &1_u64.to_ne_bytes());
    }

    fn has(&self, limit: u32) -> bool {
        self.shared.limits().load(Ordering::Acquire) & limit != 0
    }

    /// Returns whether a process is in the job.
    pub fn contains(&self, pid: u32) -> bool {
        self.shared.live().iter().any(|process| process.pid == pid)
    }

    fn check_room(&self) -> Result<(), NtStatus> {
        let most = self.shared.active_limit().load(Ordering::Acquire) as usize;
        if self.has(limit::ACTIVE_PROCESS) && self.shared.live().len() >= most {
            return Err(NtStatus::QUOTA_EXCEEDED);
        }
        Ok(())
    }

    /// `AssignProcessToJobObject`.
    ///
    /// Returns `ACCESS_DENIED` for a process whose jobs and this one cannot be nested.
    pub fn assign(self: &Arc<Self>, process: &Process) -> Result<(), NtStatus> {
        let members = self.shared.live();
        if members.iter().any(|member| member.pid == process.pid) {
            return Ok(());
        }
        for outer in jobs_of(process)? {
            let theirs = outer.live();
            let is_in = |member: &Live| theirs.iter().any(|other| other.pid == member.pid);
            if !members.iter().all(is_in) {
                return Err(NtStatus::ACCESS_DENIED);
            }
        }
        self.check_room()?;
        if process.is_current() {
            return self.join();
        }
        if process.signal.is_signaled() {
            return Err(NtStatus::PROCESS_IS_TERMINATING);
        }
        self.shared.add(process.pid)?;
        let packed = Packed {
            kind: PackedKind::Job,
            bytes: Vec::new(),
            fds: self.member_fds()?,
        };
        super::agent::join_job(process, &packed)
            .inspect_err(|_| self.shared.remove(process.pid))?;
        self.tell();
        Ok(())
    }

    /// Puts this process into the job.
    pub fn join(self: &Arc<Self>) -> Result<(), NtStatus> {
        self.shared.add(std::process::id())?;
        OWN.lock().push(self.clone());
        self.tell();
        let (handles, shared) = (duplicate(&self.handles)?, self.shared.clone());
        let watch = move || {
            use rustix::event::{PollFd, PollFlags, poll};
            // Nothing is ever written: the only event is the end of the last handle.
            while poll(&mut [PollFd::new(&handles, PollFlags::IN)], None).is_err() {}
            if shared.limits().load(Ordering::Acquire) & limit::KILL_ON_JOB_CLOSE != 0 {
                process::exit_now(0);
            }
        };
        std::thread::Builder::new()
            .name("job".into())
            .stack_size(0x1_0000)
            .spawn(watch)
            .map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
        Ok(())
    }

    /// `TerminateJobObject`: ends every process, the calling one last.
    pub fn terminate(&self, code: u32) {
        // A child that is being made joins before or after this: either it is in the list below, or it sees the new count.
        self.shared.terminations().fetch_add(1, Ordering::AcqRel);
        let mut ends_itself = false;
        for member in self.shared.live() {
            if member.pid == std::process::id() {
                ends_itself = true;
                continue;
            }
            let process = super::agent::open_process(member.pid);
            if process.and_then(|process| process.terminate(code)).is_err() {
                // One that ended by itself meanwhile is what was wanted.
                let _ = pidfd_send_signal(&member.pidfd, LinuxSignal::KILL);
            }
        }
        if ends_itself {
            process::exit_now(code);
        }
    }

    /// Returns the time its processes took, user and kernel, in 100 ns; without that of processes that were killed.
    pub fn times(&self) -> [u64; 2] {
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        let mut times = self.shared.times();
        for member in self.shared.live() {
            for (sum, field) in times.iter_mut().zip([14, 15]) {
                *sum += stat_field(member.pid, field).unwrap_or(0) * (10_000_000 / per_second);
            }
        }
        times
    }
}

/// Returns the innermost job of this process.
pub fn own() -> Option<Arc<Job>> {
    OWN.lock().last().cloned()
}

/// Returns what the processes of a process's jobs share.
pub fn jobs_of(process: &Process) -> Result<Vec<Arc<Shared>>, NtStatus> {
    if process.is_current() {
        return Ok(OWN.lock().iter().map(|job| job.shared.clone()).collect());
    }
    if process.signal.is_signaled() || !super::agent::is_starting(process.pid) {
        return Ok(Vec::new());
    }
    let pages = super::agent::jobs_of(process.pid)?;
    pages
        .into_iter()
        .map(|fd| Shared::map(fd).map(Arc::new))
        .collect()
}

/// Returns descriptors of the pages of this process's jobs.
pub fn own_pages() -> Result<Vec<OwnedFd>, NtStatus> {
    let own = OWN.lock().clone();
    own.iter().map(|job| duplicate(job.shared.fd())).collect()
}

/// The jobs a new child belongs to.
#[derive(Debug)]
pub struct Inherited {
    jobs: Vec<(Arc<Job>, u32)>,
}

impl Inherited {
    /// Decides which of this process's jobs a child belongs to. Without leave to break away it belongs to all.
    ///
    /// Returns `ACCESS_DENIED` if the child must break away and may not; `QUOTA_EXCEEDED` if a job is full.
    pub fn new(breaks_away: bool) -> Result<Self, NtStatus> {
        let mut jobs = OWN.lock().clone();
        let lets_go = if breaks_away {
            limit::BREAKAWAY_OK | limit::SILENT_BREAKAWAY_OK
        } else {
            limit::SILENT_BREAKAWAY_OK
        };
        if breaks_away && jobs.last().is_some_and(|job| !job.has(lets_go)) {
            return Err(NtStatus::ACCESS_DENIED);
        }
        while jobs.pop_if(|job| job.has(lets_go)).is_some() {}
        for job in &jobs {
            job.check_room()?;
        }
        let with_count = |job: Arc<Job>| {
            let count = job.shared.terminations().load(Ordering::Acquire);
            (job, count)
        };
        Ok(Inherited {
            jobs: jobs.into_iter().map(with_count).collect(),
        })
    }

    /// Appends the numbers of the descriptors a child needs to the block for it, and them to `fds`.
    pub fn write(&self, block: &mut Vec<u8>, fds: &mut Vec<OwnedFd>) -> Result<(), NtStatus> {
        block.extend((self.jobs.len() as u32).to_le_bytes());
        for (job, _) in &self.jobs {
            for fd in job.member_fds()? {
                block.extend(fd.as_raw_fd().to_le_bytes());
                fds.push(fd);
            }
        }
        Ok(())
    }

    /// Puts the calling process, forked and not yet the child it will be, into the jobs.
    ///
    /// Returns `false` if it may not live: a job was terminated meanwhile, or is full.
    pub fn enter(&self) -> bool {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        self.jobs.iter().all(|(job, count)| {
            let is_in = job.shared.add(pid.unsigned_abs()).is_ok();
            job.tell();
            is_in && job.shared.terminations().load(Ordering::Acquire) == *count
        })
    }
}

/// Takes over the jobs the creator of this process is in. `own` takes a descriptor by number.
pub fn adopt(numbers: &[[RawFd; 3]], own: impl Fn(RawFd) -> Option<OwnedFd>) -> Option<()> {
    for job in numbers {
        let fds = job.iter().map(|&fd| own(fd)).collect::<Option<Vec<_>>>()?;
        let joined = Job::unpack(fds).and_then(|job| Arc::new(job).join());
        if let Err(status) = joined {
            log::warn!("a job of this process is lost: {status}");
        }
    }
    Some(())
}

/// Notes in the jobs of this process how it ends.
pub fn leave(code: u32) {
    // Whoever holds the lock may be the thread that ends; then the code is not told.
    let Some(own) = OWN.try_lock() else { return };
    if own.is_empty() {
        return;
    }
    let pid = std::process::id();
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let time = |field| stat_field(pid, field).unwrap_or(0) * (10_000_000 / per_second);
    let times = [time(14), time(15)];
    own.iter()
        .for_each(|job| job.shared.leave(pid, code, times));
}

impl Object for Job {
    fn object_type(&self) -> &'static ObjectType {
        &JOB_TYPE
    }
    fn header(&self) -> &Header {
        &self.header
    }
    fn waitable(&self) -> Option<&dyn Waitable> {
        Some(&self.signal)
    }
    fn pack(&self) -> Result<Packed, NtStatus> {
        let mut fds = self.member_fds()?;
        if let Some(hold) = self.hold.lock().as_ref() {
            fds.push(duplicate(hold)?);
        }
        Ok(Packed {
            kind: PackedKind::Job,
            bytes: Vec::new(),
            fds,
        })
    }
    fn last_handle_closed(&self) {
        drop(self.hold.lock().take());
    }
}
