//! Processes as objects.
//!
//! A process shares one page with whoever has a handle to it: the word says that it has ended, the value its exit code. A
//! child gets the page from its creator; the process itself writes the exit code, the ends are seen by pidfd, so a
//! killed process ends too. Who opens a process that it did not create reads its page through the process's agent.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use ntlpc_abi::NtStatus;
use parking_lot::Mutex;
use rustix::process::{Signal as LinuxSignal, pidfd_send_signal};

use super::object::{Header, Object, ObjectType};
use super::packed::{Packed, PackedKind};
use super::sync::Signal;
use super::thread::STILL_ACTIVE;
use super::waitable::Waitable;

/// `PROCESS_ALL_ACCESS` and the generic mapping of processes.
pub static PROCESS_TYPE: ObjectType = ObjectType {
    name: "Process",
    generic: [0x2_0410, 0x2_0BEB, 0x12_1000, 0x1F_FFFF],
};

/// Access rights of processes. Source: Microsoft Learn "Process Security and Access Rights".
pub mod rights {
    /// `PROCESS_TERMINATE`.
    pub const TERMINATE: u32 = 0x1;
    /// `PROCESS_VM_OPERATION`.
    pub const VM_OPERATION: u32 = 0x8;
    /// `PROCESS_VM_READ`.
    pub const VM_READ: u32 = 0x10;
    /// `PROCESS_VM_WRITE`.
    pub const VM_WRITE: u32 = 0x20;
    /// `PROCESS_DUP_HANDLE`.
    pub const DUP_HANDLE: u32 = 0x40;
    /// `PROCESS_SET_INFORMATION`.
    pub const SET_INFORMATION: u32 = 0x200;
    /// `PROCESS_QUERY_INFORMATION`.
    pub const QUERY_INFORMATION: u32 = 0x400;
    /// `PROCESS_QUERY_LIMITED_INFORMATION`.
    pub const QUERY_LIMITED_INFORMATION: u32 = 0x1000;
}

/// Exit code of a process that was killed from outside: what the task manager's "end process" gives.
const KILLED: u32 = 1;

/// A process of the prefix.
#[derive(Debug)]
pub struct Process {
    header: Header,
    /// NT process id, which is Linux's.
    pub pid: u32,
    /// Creation time.
    pub create_time: i64,
    /// Set when it has ended; its record holds the exit code.
    pub signal: Signal,
    /// Names the process even after its id is used again; none for the calling process.
    pidfd: Option<OwnedFd>,
}

static CURRENT: OnceLock<Arc<Process>> = OnceLock::new();
/// Page this process got from its creator.
static INHERITED: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// Hands over the page the creator of this process made. Called once, before [`current`].
pub fn adopt(page: OwnedFd) {
    *INHERITED.lock() = Some(page);
}

/// Returns the object of this process.
#[must_use]
pub fn current() -> Arc<Process> {
    let make = || {
        let inherited = INHERITED
            .lock()
            .take()
            .and_then(|page| Signal::from_page(page).ok());
        let pid = std::process::id();
        Arc::new(Process {
            header: Header::default(),
            pid,
            create_time: start_time(pid).unwrap_or_else(super::time::system_time),
            signal: inherited.unwrap_or_else(|| Signal::new(false)),
            pidfd: None,
        })
    };
    CURRENT.get_or_init(make).clone()
}

/// Returns when a process started: boot time and field 22 of `/proc/PID/stat` (`man 5 proc`).
fn start_time(pid: u32) -> Option<i64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses that may contain anything.
    let ticks: i64 = stat
        .rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()?;
    let per_second = i64::try_from(rustix::param::clock_ticks_per_second()).ok()?;
    let booted = super::time::system_time() - super::time::interrupt_time();
    Some(booted + ticks * (super::time::UNITS_PER_SECOND / per_second))
}

/// Exit code, once the process ends and its other threads run no more.
static ENDING: OnceLock<u32> = OnceLock::new();

/// Notes that the process ends with `code` and that no other thread runs any more.
pub fn others_have_ended(code: u32) {
    let _ = ENDING.set(code);
}

/// For a thread that would wait for a lock: ends the process at once if it is ending, since the lock's holder has ended.
///
/// Source: R. Chen, "During process termination, the gates are now electrified" (The Old New Thing, 22 January 2010).
pub fn end_if_others_have() {
    if let Some(&code) = ENDING.get() {
        log::debug!("a thread that was ended holds a lock: the process ends here");
        exit_now(code)
    }
}

/// Ends the process at once. The exit code on Linux is the low byte.
pub fn exit_now(code: u32) -> ! {
    log::logger().flush();
    super::job::leave(code);
    super::terminal::restore();
    let place = current().signal.place();
    place.record().value.store(code, Ordering::Release);
    place.record().changes.store(1, Ordering::Release);
    std::process::exit((code & 0xff) as i32)
}

impl Process {
    /// Makes the object of a process known by pidfd, with the page it shares, and watches for its end.
    pub fn watch(
        pid: u32,
        pidfd: OwnedFd,
        signal: Signal,
        is_child: bool,
    ) -> Result<Arc<Self>, NtStatus> {
        let waiter = pidfd
            .try_clone()
            .map_err(|_| NtStatus::TOO_MANY_OPENED_FILES)?;
        let process = Arc::new(Process {
            header: Header::default(),
            pid,
            create_time: start_time(pid).unwrap_or_else(super::time::system_time),
            signal,
            pidfd: Some(pidfd),
        });
        let ended = process.clone();
        WATCHED.lock().push(process.clone());
        let watch = move || {
            let code = wait_for_end(&waiter, is_child);
            let place = ended.signal.place();
            let record = place.record();
            record
                .time_100ns
                .store(super::time::system_time(), Ordering::Release);
            // 0: the process had no chance to say how it ended.
            if record.changes.load(Ordering::Acquire) == 0 {
                record.value.store(code, Ordering::Release);
            }
            WATCHED
                .lock()
                .retain(|process| !Arc::ptr_eq(process, &ended));
            ended.signal.assign(true);
        };
        std::thread::Builder::new()
            .name("process-end".into())
            .stack_size(0x1_0000)
            .spawn(watch)
            .map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
        Ok(process)
    }

    /// Returns whether this is the calling process.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.pid == std::process::id()
    }

    /// Returns the exit code, or [`STILL_ACTIVE`].
    #[must_use]
    pub fn exit_code(&self) -> u32 {
        if self.signal.is_signaled() {
            self.signal.place().record().value.load(Ordering::Acquire)
        } else {
            STILL_ACTIVE
        }
    }

    /// Returns when it ended, 0 before.
    #[must_use]
    pub fn exit_time(&self) -> i64 {
        self.signal
            .place()
            .record()
            .time_100ns
            .load(Ordering::Acquire)
    }

    /// `NtTerminateProcess`: ends the process with an exit code.
    pub fn terminate(&self, code: u32) -> Result<(), NtStatus> {
        let Some(pidfd) = &self.pidfd else {
            exit_now(code);
        };
        if self.signal.is_signaled() {
            return Err(NtStatus::PROCESS_IS_TERMINATING);
        }
        let place = self.signal.place();
        place.record().value.store(code, Ordering::Release);
        place.record().changes.store(1, Ordering::Release);
        pidfd_send_signal(pidfd, LinuxSignal::KILL).map_err(|_| NtStatus::ACCESS_DENIED)
    }
}

/// Waits for the end of a process and returns the exit code of one that has not said how it ended.
fn wait_for_end(pidfd: &OwnedFd, is_child: bool) -> u32 {
    use rustix::event::{PollFd, PollFlags, poll};
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    while poll(&mut fds, None).is_err() {}
    if is_child {
        // Takes the zombie away.
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        let ended = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
        let signal = ended
            .ok()
            .flatten()
            .and_then(|end| end.terminating_signal());
        if signal
            .is_some_and(|signal| signal == libc::SIGINT || signal == super::group::break_signal())
        {
            return super::group::CONTROL_C_EXIT;
        }
    }
    KILLED
}

/// Other processes this one watches.
static WATCHED: Mutex<Vec<Arc<Process>>> = Mutex::new(Vec::new());

/// Returns the object of a live process that this one watches already.
#[must_use]
pub fn watched(pid: u32) -> Option<Arc<Process>> {
    WATCHED
        .lock()
        .iter()
        .find(|process| process.pid == pid)
        .cloned()
}

/// Returns the ids of the live processes that this one has started or opened.
#[must_use]
pub fn watched_ids() -> Vec<u32> {
    WATCHED.lock().iter().map(|process| process.pid).collect()
}

impl Object for Process {
    fn object_type(&self) -> &'static ObjectType {
        &PROCESS_TYPE
    }
    fn header(&self) -> &Header {
        &self.header
    }
    fn waitable(&self) -> Option<&dyn Waitable> {
        Some(&self.signal)
    }
    fn pack(&self) -> Result<Packed, NtStatus> {
        let bytes = self.pid.to_le_bytes().to_vec();
        Ok(Packed {
            kind: PackedKind::Process,
            bytes,
            fds: vec![self.signal.share()?],
        })
    }
}
