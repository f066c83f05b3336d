//! Calls of Linux that more than one folder needs and no crate wraps safely.
#![allow(unsafe_code, reason = "system calls with plain arguments")]

use std::cell::Cell;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

thread_local! {
    static LINUX_TID: Cell<u32> = const { Cell::new(0) };
}

/// Returns the Linux id of the calling thread.
#[must_use]
pub fn thread_id() -> u32 {
    let known = LINUX_TID.get();
    if known != 0 {
        return known;
    }
    let tid = rustix::thread::gettid()
        .as_raw_nonzero()
        .get()
        .unsigned_abs();
    LINUX_TID.set(tid);
    tid
}

/// Sends a signal to a thread of this process; one that has gone gets none.
pub fn signal_thread(tid: i32, signal: i32) {
    // SAFETY: no memory is involved; a thread that has gone gives ESRCH.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, signal) };
}

/// Option of `arch_prctl` that sets the base of FS. Source: Linux `arch/x86/include/uapi/asm/prctl.h`.
pub const ARCH_SET_FS: i32 = 0x1002;

/// Returns the base of FS of the calling thread.
#[must_use]
pub fn fs_base() -> u64 {
    const ARCH_GET_FS: i32 = 0x1003;
    let mut base = 0_u64;
    // SAFETY: the kernel writes one word to `base`.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_GET_FS, &raw mut base) };
    base
}

fn done(result: i32) -> std::io::Result<()> {
    if result < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

/// Makes `number` name what `from` names, atomically (`dup3`).
pub fn replace_descriptor(from: &OwnedFd, number: BorrowedFd<'_>) -> std::io::Result<()> {
    // SAFETY: both are open and owned by us; the number keeps its owner, only what it names changes.
    done(unsafe { libc::dup3(from.as_raw_fd(), number.as_raw_fd(), libc::O_CLOEXEC) })
}

/// Returns how many bytes written to a socket or pipe were not read yet; of a socket it is the memory they take.
#[must_use]
pub fn unread_bytes(fd: BorrowedFd<'_>) -> u32 {
    let ask = |request| {
        let mut count: libc::c_int = 0;
        // SAFETY: the requests write an int (man 2 TIOCOUTQ, man 2 FIONREAD).
        let status = unsafe { libc::ioctl(fd.as_raw_fd(), request, &raw mut count) };
        (status == 0).then_some(count)
    };
    let count = ask(libc::TIOCOUTQ).or_else(|| ask(libc::FIONREAD));
    count
        .and_then(|count| u32::try_from(count).ok())
        .unwrap_or(0)
}

/// Locks (`Some(is_exclusive)`) or unlocks a range by an open-file-description lock, as every Windows handle has its own.
pub fn lock_range(
    fd: BorrowedFd<'_>,
    offset: u64,
    length: u64,
    kind: Option<bool>,
    waits: bool,
) -> std::io::Result<()> {
    // SAFETY: an all-zero flock is valid; every field that matters is set below.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = match kind {
        Some(true) => libc::F_WRLCK,
        Some(false) => libc::F_RDLCK,
        None => libc::F_UNLCK,
    } as i16;
    lock.l_whence = libc::SEEK_SET as i16;
    let most = i64::MAX.unsigned_abs();
    lock.l_start = offset.min(most).cast_signed();
    // 0 means to the end; ranges beyond what Linux can say end there.
    lock.l_len = if offset.saturating_add(length) > most {
        0
    } else {
        length.cast_signed()
    };
    let command = if waits {
        libc::F_OFD_SETLKW
    } else {
        libc::F_OFD_SETLK
    };
    // SAFETY: fcntl reads the structure above.
    done(unsafe { libc::fcntl(fd.as_raw_fd(), command, &raw const lock) })
}

/// Returns a field of the first processor. Source: `man 5 proc_cpuinfo`.
#[must_use]
pub fn processor_field(name: &str) -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(key, _)| key.trim() == name);
    found.map_or_else(String::new, |(_, value)| value.trim().to_owned())
}

/// Returns the clock of the first processor; 0 where it is not told.
#[must_use]
pub fn processor_mhz() -> u32 {
    let frequency = processor_field("cpu MHz");
    let whole = frequency.split('.').next().unwrap_or_default();
    whole.parse().unwrap_or(0)
}

/// Advises the kernel to read the pages of a range soon.
pub fn prefetch(address: usize, bytes: usize) {
    // SAFETY: sysconf takes no memory.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    let start = address & !(page - 1);
    let end = address.saturating_add(bytes);
    // SAFETY: MADV_WILLNEED changes no contents, wherever the range lies; what is not mapped gives ENOMEM.
    unsafe {
        libc::madvise(
            std::ptr::without_provenance_mut(start),
            end - start,
            libc::MADV_WILLNEED,
        )
    };
}
