//! Sleeping on words: `futex_waitv` for many, `FUTEX_WAIT_BITSET` for one, polling where the kernel lacks the former.
//!
//! Source: `man 2 futex`, the kernel's `Documentation/userspace-api/futex2.rst`.
#![allow(unsafe_code, reason = "makes the futex system calls")]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::suspend;

/// A word to sleep on while it holds `expected`.
#[derive(Clone, Copy, Debug)]
pub struct Sleep<'a> {
    /// The word.
    pub word: &'a AtomicU32,
    /// The value under which nobody has anything to take.
    pub expected: u32,
    /// Whether the word lies in memory shared with other processes.
    pub is_shared: bool,
}

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// A word changed, a waker came, or a signal was handled: look again.
    Look,
    /// The deadline passed.
    TimedOut,
    /// The calling thread must end.
    Ending,
}

/// `struct futex_waitv`.
#[repr(C)]
#[derive(Clone, Copy)]
struct WaitV {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

const _: () = assert!(size_of::<WaitV>() == 24);

const FUTEX_32: u32 = 2;
const FUTEX2_PRIVATE: u32 = 128;
/// Most words one sleep can watch (kernel's `FUTEX_WAITV_MAX`).
const WAITV_MAX: usize = 128;
/// Interval of the fallback that looks at many words in turn.
const POLL: Duration = Duration::from_millis(1);

static HAS_WAITV: AtomicBool = AtomicBool::new(true);

/// Returns the monotonic clock in nanoseconds.
#[must_use]
pub fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// Sleeps until one of the words differs from its expected value or the deadline (monotonic ns) passes.
///
/// May return early; with no word it sleeps until the deadline or a signal. A thread that is suspended meanwhile stays
/// here; one that must end returns [`Woken::Ending`].
pub fn sleep(words: &[Sleep<'_>], deadline_ns: Option<u64>) -> Woken {
    let woken = sleep_on(words, deadline_ns);
    if suspend::pause_wait() {
        Woken::Ending
    } else {
        woken
    }
}

/// Sleeps in a function that owns nothing that must be dropped: a thread that must end does so here.
pub fn sleep_or_leave(words: &[Sleep<'_>], deadline_ns: Option<u64>) -> Woken {
    let woken = sleep(words, deadline_ns);
    if woken == Woken::Ending {
        suspend::leave_if_terminating();
    }
    woken
}

fn sleep_on(words: &[Sleep<'_>], deadline_ns: Option<u64>) -> Woken {
    match words {
        [] => nap(deadline_ns),
        [one] => sleep_one(one, deadline_ns),
        many if HAS_WAITV.load(Ordering::Relaxed) && many.len() <= WAITV_MAX => {
            sleep_many(many, deadline_ns)
        }
        many => sleep_polling(many, deadline_ns),
    }
}

/// Wakes everybody who sleeps on `word`.
pub fn wake_all(word: &AtomicU32, is_shared: bool) {
    wake(word, is_shared, i32::MAX);
}

/// Wakes up to `count` sleepers of `word`.
pub fn wake(word: &AtomicU32, is_shared: bool, count: i32) {
    let op = libc::FUTEX_WAKE
        | if is_shared {
            0
        } else {
            libc::FUTEX_PRIVATE_FLAG
        };
    // SAFETY: FUTEX_WAKE only uses the address as a key.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), op, count, 0, 0, 0) };
}

fn timespec(deadline_ns: u64) -> libc::timespec {
    libc::timespec {
        tv_sec: i64::try_from(deadline_ns / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: (deadline_ns % 1_000_000_000).cast_signed(),
    }
}

fn outcome(result: i64) -> Woken {
    if result < 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ETIMEDOUT) {
        Woken::TimedOut
    } else {
        Woken::Look
    }
}

fn sleep_one(one: &Sleep<'_>, deadline_ns: Option<u64>) -> Woken {
    let time = deadline_ns.map(timespec);
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let op = libc::FUTEX_WAIT_BITSET
        | if one.is_shared {
            0
        } else {
            libc::FUTEX_PRIVATE_FLAG
        };
    // SAFETY: the word outlives the call, `time` is null or points to a timespec on this stack.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            one.word.as_ptr(),
            op,
            one.expected,
            time,
            0,
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    };
    outcome(result)
}

fn sleep_many(many: &[Sleep<'_>], deadline_ns: Option<u64>) -> Woken {
    let mut list = [WaitV {
        value: 0,
        address: 0,
        flags: 0,
        reserved: 0,
    }; WAITV_MAX];
    for (slot, word) in list.iter_mut().zip(many) {
        *slot = WaitV {
            value: u64::from(word.expected),
            address: word.word.as_ptr().addr() as u64,
            flags: FUTEX_32 | if word.is_shared { 0 } else { FUTEX2_PRIVATE },
            reserved: 0,
        };
    }
    let time = deadline_ns.map(timespec);
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `list` holds `many.len()` valid entries whose words outlive the call; `time` as above.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex_waitv,
            list.as_ptr(),
            many.len(),
            0,
            time,
            libc::CLOCK_MONOTONIC,
        )
    };
    if result < 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS) {
        HAS_WAITV.store(false, Ordering::Relaxed);
        return sleep_polling(many, deadline_ns);
    }
    outcome(result)
}

/// Looks at every word once per [`POLL`], sleeping on the first meanwhile.
fn sleep_polling(many: &[Sleep<'_>], deadline_ns: Option<u64>) -> Woken {
    let is_changed = || {
        many.iter()
            .any(|s| s.word.load(Ordering::Acquire) != s.expected)
    };
    while !is_changed() {
        let now = now_ns();
        if deadline_ns.is_some_and(|deadline| deadline <= now) {
            return Woken::TimedOut;
        }
        let step = now + u64::try_from(POLL.as_nanos()).unwrap_or(u64::MAX);
        if let Some(first) = many.first() {
            sleep_one(
                first,
                Some(deadline_ns.map_or(step, |deadline| deadline.min(step))),
            );
        }
    }
    Woken::Look
}

fn nap(deadline_ns: Option<u64>) -> Woken {
    let word = AtomicU32::new(0);
    sleep_one(
        &Sleep {
            word: &word,
            expected: 0,
            is_shared: false,
        },
        deadline_ns,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_word_is_not_slept_on() {
        let (a, b) = (AtomicU32::new(0), AtomicU32::new(1));
        let words = [
            Sleep {
                word: &a,
                expected: 0,
                is_shared: false,
            },
            Sleep {
                word: &b,
                expected: 0,
                is_shared: false,
            },
        ];
        assert_eq!(sleep(&words, None), Woken::Look);
        assert_eq!(sleep_polling(&words, None), Woken::Look);
    }

    #[test]
    fn deadlines_pass() {
        let start = now_ns();
        let (a, b) = (AtomicU32::new(0), AtomicU32::new(0));
        let words = [
            Sleep {
                word: &a,
                expected: 0,
                is_shared: false,
            },
            Sleep {
                word: &b,
                expected: 0,
                is_shared: true,
            },
        ];
        assert_eq!(sleep(&words[..1], Some(start + 5_000_000)), Woken::TimedOut);
        assert_eq!(sleep(&words, Some(start + 10_000_000)), Woken::TimedOut);
        assert_eq!(
            sleep_polling(&words, Some(start + 15_000_000)),
            Woken::TimedOut
        );
        assert!(now_ns() >= start + 15_000_000);
    }
}
