//! System calls of the data path: memfd, mmap, futex, current CPU, clock.
#![allow(
    unsafe_code,
    reason = "raw system calls; each block proves its conditions"
)]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
#[cfg(not(feature = "model"))]
use std::sync::atomic::AtomicU32;

use memfd::{FileSeal, MemfdOptions};

/// Creates a memfd of `len` bytes, close-on-exec, sealed against shrinking and growing.
///
/// # Errors
/// The system call's error: no descriptor or no memory left.
pub fn create_memfd(name: &str, len: usize) -> io::Result<OwnedFd> {
    let memfd = MemfdOptions::default()
        .allow_sealing(true)
        .create(name)
        .map_err(io::Error::other)?;
    memfd.as_file().set_len(len as u64)?;
    memfd
        .add_seals(&[FileSeal::SealShrink, FileSeal::SealGrow])
        .map_err(io::Error::other)?;
    Ok(memfd.into_file().into())
}

/// Forbids every mapping made from now on to write (`F_SEAL_FUTURE_WRITE`), then forbids further seals.
///
/// # Errors
/// The system call's error.
pub fn seal_future_writes(fd: &OwnedFd) -> io::Result<()> {
    /// `F_SEAL_SEAL | F_SEAL_FUTURE_WRITE`, man 2 fcntl.
    const SEALS: libc::c_int = libc::F_SEAL_SEAL | 0x10;
    // SAFETY: fcntl with an integer argument touches no memory.
    let result = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, SEALS) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Returns whether the file is sealed against shrinking, so that no access to a mapping of it can raise SIGBUS.
#[must_use]
pub fn is_sealed_against_shrinking(fd: &OwnedFd) -> bool {
    // SAFETY: fcntl without an argument touches no memory.
    let seals = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) };
    seals >= 0 && seals & libc::F_SEAL_SHRINK != 0
}

/// Returns the size of the file in bytes.
///
/// # Errors
/// The system call's error.
pub fn len_of(fd: &OwnedFd) -> io::Result<usize> {
    // SAFETY: an all-zero stat is a valid place for the result.
    let mut stat: libc::stat64 = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, and `stat` is valid for writes.
    if unsafe { libc::fstat64(fd.as_raw_fd(), &raw mut stat) } != 0 {
        return Err(io::Error::last_os_error());
    }
    usize::try_from(stat.st_size).map_err(io::Error::other)
}

/// Maps `len` bytes of `fd` from `offset`, shared, not copied into forked children.
pub(crate) fn map(fd: &OwnedFd, offset: usize, len: usize, writable: bool) -> io::Result<*mut u8> {
    let protection = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
    // SAFETY: a fresh mapping at an address of the kernel's choice replaces nothing.
    let base = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            len,
            protection,
            libc::MAP_SHARED | libc::MAP_NORESERVE,
            fd.as_raw_fd(),
            offset as libc::off_t,
        )
    };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the range was mapped above. Failure only loses the fork protection.
    unsafe { libc::madvise(base, len, libc::MADV_DONTFORK) };
    Ok(base.cast())
}

/// Unmaps what [`map`] returned.
///
/// # Safety
/// `base` and `len` came from [`map`], and nothing uses the range any more.
pub(crate) unsafe fn unmap(base: *mut u8, len: usize) {
    // SAFETY: the caller guarantees the range.
    unsafe { libc::munmap(base.cast(), len) };
}

/// An absolute point in time until which to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// Nanoseconds of CLOCK_MONOTONIC: relative NT timeouts.
    Monotonic(u64),
    /// Nanoseconds of CLOCK_REALTIME: absolute NT timeouts.
    Realtime(u64),
}

impl Deadline {
    /// Returns whether the point has passed.
    #[must_use]
    pub fn has_passed(self) -> bool {
        match self {
            Deadline::Monotonic(at) => now_ns(libc::CLOCK_MONOTONIC) >= at,
            Deadline::Realtime(at) => now_ns(libc::CLOCK_REALTIME) >= at,
        }
    }

    /// Returns the point `ns` nanoseconds from now.
    #[must_use]
    pub fn after_ns(ns: u64) -> Deadline {
        Deadline::Monotonic(now_ns(libc::CLOCK_MONOTONIC).saturating_add(ns))
    }

    /// Returns the point, or the one `ns` nanoseconds from now if that is earlier.
    #[must_use]
    pub fn within_ns(self, ns: u64) -> Deadline {
        let left = match self {
            Deadline::Monotonic(at) => at.saturating_sub(now_ns(libc::CLOCK_MONOTONIC)),
            Deadline::Realtime(at) => at.saturating_sub(now_ns(libc::CLOCK_REALTIME)),
        };
        if left < ns {
            self
        } else {
            Deadline::after_ns(ns)
        }
    }
}

/// Reads a clock in nanoseconds.
#[must_use]
pub fn now_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place for the result.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    (time.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(time.tv_nsec as u64)
}

/// Why a futex wait came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// A wake, a changed word, or nothing in particular: look again.
    Look,
    /// A signal arrived: look for an interruption, then again.
    Signal,
    /// The deadline passed.
    Deadline,
}

/// FUTEX_WAIT_BITSET with an absolute deadline; the word may be shared between processes. What the thread watches
/// besides ([`crate::alert`]) ends it as a signal does.
#[cfg(not(feature = "model"))]
pub fn futex_wait(word: &AtomicU32, expected: u32, deadline: Option<Deadline>) -> Woken {
    if let Some(alert) = crate::alert::watched() {
        return wait_for_either((word, expected), &alert, deadline);
    }
    let mut operation = libc::FUTEX_WAIT_BITSET;
    if let Some(Deadline::Realtime(_)) = deadline {
        operation |= libc::FUTEX_CLOCK_REALTIME;
    }
    let time = deadline.map(KernelTime::from);
    let timeout = time
        .as_ref()
        .map_or(std::ptr::null(), |time| &raw const *time);
    // SAFETY: the word outlives the call; the timeout is NULL or points at `time`.
    let result = unsafe {
        libc::syscall(
            SYS_FUTEX,
            word.as_ptr(),
            operation,
            expected,
            timeout,
            0usize,
            u32::MAX,
        )
    };
    if result == 0 {
        return Woken::Look;
    }
    match io::Error::last_os_error().raw_os_error() {
        Some(libc::ETIMEDOUT) => Woken::Deadline,
        Some(libc::EINTR) => Woken::Signal,
        _ => Woken::Look,
    }
}

/// The futex call that takes a [`KernelTime`].
#[cfg(target_pointer_width = "64")]
pub const SYS_FUTEX: libc::c_long = libc::SYS_futex;
/// The futex call that takes a [`KernelTime`]: `futex_time64` (since Linux 5.1), which the `libc` crate does not name.
#[cfg(target_pointer_width = "32")]
pub const SYS_FUTEX: libc::c_long = 422;

/// `struct __kernel_timespec`: the same in processes of both widths, as no C library's `timespec` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct KernelTime {
    seconds: i64,
    nanoseconds: i64,
}

impl From<Deadline> for KernelTime {
    fn from(deadline: Deadline) -> KernelTime {
        let (Deadline::Monotonic(ns) | Deadline::Realtime(ns)) = deadline;
        KernelTime {
            seconds: i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX),
            nanoseconds: (ns % 1_000_000_000) as i64,
        }
    }
}

/// `struct futex_waitv` of `<linux/futex.h>`.
#[cfg(not(feature = "model"))]
#[repr(C)]
struct WaitV {
    expected: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

#[cfg(not(feature = "model"))]
const _: () = assert!(std::mem::size_of::<WaitV>() == 24);

/// FUTEX_WAITV on a word of shared memory and one of this process.
#[cfg(not(feature = "model"))]
fn wait_for_either(
    (word, expected): (&AtomicU32, u32),
    alert: &crate::alert::Alert,
    deadline: Option<Deadline>,
) -> Woken {
    const SIZE_U32: u32 = 2;
    /// How long a kernel before 5.16 sleeps before it looks at the other word.
    const LOOK_NS: u64 = 1_000_000;
    let other = alert.word.word();
    let is_alerted = || other.load(std::sync::atomic::Ordering::Acquire) != alert.expected;
    if is_alerted() {
        return Woken::Signal;
    }
    let end = deadline;
    let deadline = match (alert.look_ns, end) {
        (Some(ns), Some(end)) => Some(end.within_ns(ns)),
        (Some(ns), None) => Some(Deadline::after_ns(ns)),
        (None, end) => end,
    };
    let words = [
        WaitV {
            expected: expected.into(),
            address: word.as_ptr() as u64,
            flags: SIZE_U32,
            reserved: 0,
        },
        WaitV {
            expected: alert.expected.into(),
            address: other.as_ptr() as u64,
            flags: SIZE_U32 | libc::FUTEX_PRIVATE_FLAG as u32,
            reserved: 0,
        },
    ];
    let clock = match deadline {
        Some(Deadline::Realtime(_)) => libc::CLOCK_REALTIME,
        _ => libc::CLOCK_MONOTONIC,
    };
    let time = deadline.map(KernelTime::from);
    let timeout = time
        .as_ref()
        .map_or(std::ptr::null(), |time| &raw const *time);
    // SAFETY: the array, both words and the time outlive the call; the timeout is NULL or points at `time`.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex_waitv,
            words.as_ptr(),
            words.len(),
            0,
            timeout,
            clock,
        )
    };
    if is_alerted() {
        return Woken::Signal;
    }
    if result >= 0 {
        return Woken::Look;
    }
    match io::Error::last_os_error().raw_os_error() {
        Some(libc::ETIMEDOUT) if end.is_some_and(Deadline::has_passed) => Woken::Deadline,
        Some(libc::ETIMEDOUT | libc::EINTR) => Woken::Signal,
        Some(libc::ENOSYS) => {
            std::thread::sleep(std::time::Duration::from_nanos(LOOK_NS));
            Woken::Signal
        }
        _ => Woken::Look,
    }
}

/// FUTEX_WAKE of up to `count` waiters, in any process.
#[cfg(not(feature = "model"))]
pub fn futex_wake(word: &AtomicU32, count: i32) {
    // SAFETY: FUTEX_WAKE only uses the address as a key.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
}

/// Returns the CPU this thread runs on (glibc reads it from rseq: no system call). A model has one.
#[must_use]
pub fn current_cpu() -> u16 {
    if cfg!(feature = "model") {
        return 0;
    }
    // SAFETY: no arguments, no memory.
    unsafe { libc::sched_getcpu() as u16 }
}

/// Returns how many CPUs the machine runs. A thread bound to one of them may still wait for a peer on another.
#[must_use]
pub fn online_cpus() -> usize {
    // SAFETY: sysconf takes a number and touches no memory.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    usize::try_from(count).unwrap_or(1)
}
