//! What the processes of a job share: limits, members, counts.
//!
//! Everything read here is a plain number another process may have written; it is checked where it is used.
#![allow(unsafe_code, reason = "maps the pages of jobs")]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ntlpc_abi::NtStatus;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Most processes of a job at one time.
const MEMBERS: usize = 4092;
const BYTES: usize = size_of::<Pages>();

/// A place for a process.
#[derive(Debug, Default)]
#[repr(C)]
struct Member {
    /// The process: its id, and above it when it was put here, in ticks since boot. 0: nobody.
    id: AtomicU64,
    /// How it said it ends.
    exit_code: AtomicU32,
    unused: AtomicU32,
}

#[derive(Debug)]
#[repr(C)]
struct Pages {
    /// `LimitFlags`.
    limits: AtomicU32,
    /// `ActiveProcessLimit`.
    active_limit: AtomicU32,
    /// How often the job was terminated.
    terminations: AtomicU32,
    /// Process that reports to a completion port.
    reporter: AtomicU32,
    /// Processes that ever were in the job.
    total: AtomicU32,
    unused: AtomicU32,
    /// Time of processes that have ended, user and kernel, in 100 ns.
    times: [AtomicU64; 2],
    reserved: [AtomicU64; 3],
    members: [Member; MEMBERS],
}
const _: () = assert!(BYTES == 0x1_0000);

/// The pages, mapped.
#[derive(Debug)]
pub struct Shared {
    fd: OwnedFd,
    pages: NonNull<Pages>,
}

// SAFETY: the pages consist of atomics, and the mapping lives as long as this.
unsafe impl Send for Shared {}
// SAFETY: as for Send.
unsafe impl Sync for Shared {}

/// A process of a job that lives.
#[derive(Debug)]
pub struct Live {
    /// Its place.
    pub place: usize,
    /// Its id.
    pub pid: u32,
    /// Its descriptor; readable when it ends.
    pub pidfd: OwnedFd,
}

fn ticks_since_boot() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let per_second = rustix::param::clock_ticks_per_second();
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
    now.tv_sec.unsigned_abs() * per_second + nanoseconds * per_second / 1_000_000_000
}

/// Returns a field of `/proc/PID/stat`, counted from 1 (`man 5 proc_pid_stat`); for those behind the name.
pub(super) fn stat_field(pid: u32, field: usize) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let behind_name = stat.rsplit_once(')')?.1;
    behind_name
        .split_whitespace()
        .nth(field.checked_sub(3)?)?
        .parse()
        .ok()
}

/// Returns whether the process of a descriptor has ended.
pub(super) fn has_ended(pidfd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// Opens a member that lives. A process that started after the place was taken has got the id of another.
fn open(id: u64) -> Option<OwnedFd> {
    let pid = Pid::from_raw((id as u32).cast_signed())?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    if has_ended(pidfd.as_fd()) {
        return None;
    }
    let started = stat_field(id as u32, 22)? as u32;
    (started.wrapping_sub((id >> 32) as u32 + 1).cast_signed() <= 0).then_some(pidfd)
}

impl Shared {
    /// Makes the pages of a new job.
    pub fn new() -> Result<Self, NtStatus> {
        use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        let fd = memfd_create("ntlpc-job", flags).map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
        ftruncate(&fd, BYTES as u64)
            .and_then(|()| fcntl_add_seals(&fd, seals))
            .map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
        Shared::map(fd)
    }

    /// Maps what another process made. Returns `INVALID_PARAMETER` for what could shrink.
    pub fn map(fd: OwnedFd) -> Result<Self, NtStatus> {
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        let seals = rustix::fs::fcntl_get_seals(&fd).map_err(|_| NtStatus::INVALID_PARAMETER)?;
        let size = rustix::fs::fstat(&fd)
            .map_err(|_| NtStatus::INVALID_PARAMETER)?
            .st_size;
        if !seals.contains(rustix::fs::SealFlags::SHRINK) || size < BYTES as i64 {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping of a whole memfd, at an address the kernel chooses.
        let base = unsafe {
            mmap(
                std::ptr::null_mut(),
                BYTES,
                access,
                MapFlags::SHARED,
                &fd,
                0,
            )
        };
        let base = base.map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
        let pages = NonNull::new(base.cast::<Pages>()).ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
        Ok(Shared { fd, pages })
    }

    fn pages(&self) -> &Pages {
        // SAFETY: page-aligned, mapped for the lifetime of self, cannot shrink (sealed), and all-atomic.
        unsafe { self.pages.as_ref() }
    }

    /// Returns the descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// `LimitFlags`.
    pub fn limits(&self) -> &AtomicU32 {
        &self.pages().limits
    }
    /// `ActiveProcessLimit`.
    pub fn active_limit(&self) -> &AtomicU32 {
        &self.pages().active_limit
    }
    /// How often the job was terminated.
    pub fn terminations(&self) -> &AtomicU32 {
        &self.pages().terminations
    }
    /// Processes that ever were in the job.
    pub fn total(&self) -> u32 {
        self.pages().total.load(Ordering::Relaxed)
    }

    /// Puts a process into the job, once. Makes no allocation and takes no lock: it runs between fork and exec.
    ///
    /// Returns `QUOTA_EXCEEDED` without a free place.
    pub fn add(&self, pid: u32) -> Result<(), NtStatus> {
        if self.place_of(pid).is_some() {
            return Ok(());
        }
        let id = u64::from(pid) | ticks_since_boot() << 32;
        for member in &self.pages().members {
            let free = member
                .id
                .compare_exchange(0, id, Ordering::AcqRel, Ordering::Relaxed);
            if free.is_ok() {
                member.exit_code.store(0, Ordering::Relaxed);
                self.pages().total.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
        }
        Err(NtStatus::QUOTA_EXCEEDED)
    }

    fn place_of(&self, pid: u32) -> Option<usize> {
        let is_of = |member: &Member| member.id.load(Ordering::Acquire) as u32 == pid;
        self.pages().members.iter().position(is_of)
    }

    /// Takes a process out again.
    pub fn remove(&self, pid: u32) {
        if let Some(place) = self.place_of(pid) {
            self.free(place);
        }
    }

    /// Gives a place up.
    pub fn free(&self, place: usize) {
        self.pages().members[place].id.store(0, Ordering::Release);
    }

    /// Returns the places in use with what is in them.
    pub fn taken(&self) -> Vec<(usize, u64)> {
        let members = self.pages().members.iter().enumerate();
        members
            .map(|(place, member)| (place, member.id.load(Ordering::Acquire)))
            .filter(|(_, id)| *id != 0)
            .collect()
    }

    /// Opens the process of a place, if it lives.
    pub fn open(place: usize, id: u64) -> Option<Live> {
        let pid = id as u32;
        open(id).map(|pidfd| Live { place, pid, pidfd })
    }

    /// Returns the processes of the job. Places of the dead are given up, unless somebody reports on them.
    pub fn live(&self) -> Vec<Live> {
        let is_reported = self.reporter().is_some();
        let mut live = Vec::new();
        for (place, id) in self.taken() {
            match Shared::open(place, id) {
                Some(process) => live.push(process),
                None if is_reported => {}
                None => {
                    let place = &self.pages().members[place].id;
                    // Another may have been faster, and the place taken again.
                    let _ = place.compare_exchange(id, 0, Ordering::AcqRel, Ordering::Relaxed);
                }
            }
        }
        live
    }

    /// Notes how the calling process ends and what time it took (user, kernel; 100 ns).
    pub fn leave(&self, pid: u32, code: u32, times: [u64; 2]) {
        let Some(place) = self.place_of(pid) else {
            return;
        };
        self.pages().members[place]
            .exit_code
            .store(code, Ordering::Release);
        for (sum, time) in self.pages().times.iter().zip(times) {
            sum.fetch_add(time, Ordering::Relaxed);
        }
    }

    /// Returns what a process said when it ended.
    pub fn exit_code(&self, place: usize) -> u32 {
        self.pages().members[place]
            .exit_code
            .load(Ordering::Acquire)
    }

    /// Returns the times of processes that said goodbye.
    pub fn times(&self) -> [u64; 2] {
        self.pages()
            .times
            .each_ref()
            .map(|time| time.load(Ordering::Relaxed))
    }

    /// Returns the live process that reports to a completion port.
    pub fn reporter(&self) -> Option<u32> {
        let reporter = self.pages().reporter.load(Ordering::Acquire);
        let pid = Pid::from_raw(reporter.cast_signed())?;
        pidfd_open(pid, PidfdFlags::empty()).ok().map(|_| reporter)
    }

    /// Makes this process the one that reports. Returns `INVALID_PARAMETER` if there is another.
    pub fn set_reporter(&self, pid: u32) -> Result<(), NtStatus> {
        if self.reporter().is_some() {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        self.pages().reporter.store(pid, Ordering::Release);
        Ok(())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: made by mmap with this size; no reference outlives self.
        let _ = unsafe { rustix::mm::munmap(self.pages.as_ptr().cast(), BYTES) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_known_once_and_forgotten_when_dead() {
        let shared = Shared::new().expect("pages");
        let other = Shared::map(shared.fd().try_clone_to_owned().expect("dup")).expect("map");
        let own = std::process::id();
        shared.add(own).expect("add");
        other.add(own).expect("add");
        let mut child = std::process::Command::new("true").spawn().expect("spawn");
        shared.add(child.id()).expect("add");
        child.wait().expect("wait");
        let live = other.live();
        assert_eq!(live.iter().map(|l| l.pid).collect::<Vec<_>>(), [own]);
        assert_eq!((shared.total(), shared.taken().len()), (2, 1));
    }
}
