//! Slim reader/writer locks, condition variables, one-time initialization, waiting on addresses.
//!
//! All are one word of the guest (pointer-sized; the low 32 bits are used) that is zero when idle, as
//! `SRWLOCK_INIT` and friends promise. Source: Microsoft Learn, the pages of the functions.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ntlpc_abi::{NtStatus, UserPtr};

use super::critical_section;
use crate::dlls::win32::{error, refuse};
use crate::export::{Bool, Boolean, Callback, Ptr};
use crate::guest::{atomic_u32, atomic_u64};
use crate::ob::futex::{self, Sleep, Woken, now_ns};
use crate::ob::process;
use crate::ob::wait::deadline;
use crate::win_api;

/// Exclusive owner.
const WRITER: u32 = 0x4000_0000;
/// Somebody sleeps.
const SLEEPER: u32 = 0x8000_0000;
/// Count of shared owners.
const READERS: u32 = 0x3FFF_FFFF;

fn sleep_on(word: &AtomicU32, expected: u32, deadline_ns: Option<u64>) -> Woken {
    futex::sleep_or_leave(
        &[Sleep {
            word,
            expected,
            is_shared: false,
        }],
        deadline_ns,
    )
}

fn try_lock(word: &AtomicU32, is_shared: bool) -> Result<(), u32> {
    let mut old = word.load(Ordering::Relaxed);
    loop {
        let is_free = if is_shared {
            old & WRITER == 0
        } else {
            old & (WRITER | READERS) == 0
        };
        if !is_free {
            return Err(old);
        }
        let new = if is_shared { old + 1 } else { old | WRITER };
        match word.compare_exchange_weak(old, new, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => return Ok(()),
            Err(seen) => old = seen,
        }
    }
}

fn lock(word: &AtomicU32, is_shared: bool) {
    loop {
        match try_lock(word, is_shared) {
            Ok(()) => return,
            Err(old) => {
                let marked = old | SLEEPER;
                if old == marked
                    || word
                        .compare_exchange(old, marked, Ordering::Relaxed, Ordering::Relaxed)
                        .is_ok()
                {
                    process::end_if_others_have();
                    sleep_on(word, marked, None);
                }
            }
        }
    }
}

fn unlock(word: &AtomicU32, is_shared: bool) {
    let mut old = word.load(Ordering::Relaxed);
    loop {
        let left = if is_shared {
            (old & READERS).saturating_sub(1)
        } else {
            0
        };
        // The last one out takes the mark off and wakes everybody; they mark again if they lose.
        let new = if left == 0 { 0 } else { left | old & SLEEPER };
        match word.compare_exchange_weak(old, new, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => {
                if left == 0 && old & SLEEPER != 0 {
                    futex::wake_all(word, false);
                }
                return;
            }
            Err(seen) => old = seen,
        }
    }
}

/// Sleeps on a condition variable; the word counts wake-ups.
fn sleep_condition(
    condition: u64,
    timeout: u32,
    release: impl FnOnce(),
    acquire: impl FnOnce(),
) -> Bool {
    let word = atomic_u32(condition);
    let seen = word.load(Ordering::Acquire);
    release();
    let deadline_ns = milliseconds(timeout);
    let woken = loop {
        let woken = sleep_on(word, seen, deadline_ns);
        if woken == Woken::TimedOut || word.load(Ordering::Acquire) != seen {
            break woken;
        }
    };
    acquire();
    match woken {
        Woken::Look | Woken::Ending => Bool::TRUE,
        Woken::TimedOut => refuse(error::TIMEOUT, Bool::FALSE),
    }
}

/// Deadline of a Win32 timeout; `INFINITE` has none.
pub fn milliseconds(timeout: u32) -> Option<u64> {
    if timeout == u32::MAX {
        return None;
    }
    let nanoseconds =
        u64::try_from(Duration::from_millis(u64::from(timeout)).as_nanos()).unwrap_or(u64::MAX);
    Some(now_ns().saturating_add(nanoseconds))
}

/// `INIT_ONCE` states in the low two bits.
mod once {
    pub const PENDING: u64 = 1;
    pub const DONE: u64 = 2;
    pub const ASYNC: u64 = 3;
    pub const MASK: u64 = 3;
}

/// `INIT_ONCE_CHECK_ONLY`.
const CHECK_ONLY: u32 = 1;
/// `INIT_ONCE_ASYNC`.
const ASYNC: u32 = 2;
/// `INIT_ONCE_INIT_FAILED`.
const INIT_FAILED: u32 = 4;

fn once_word(at: u64) -> (u64, bool) {
    match crate::width() {
        ntlpc_abi::Width::X64 => (atomic_u64(at).load(Ordering::Acquire), true),
        ntlpc_abi::Width::X86 => (u64::from(atomic_u32(at).load(Ordering::Acquire)), false),
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "an i386 guest's word has 32 bits"
)]
fn once_exchange(at: u64, old: u64, new: u64) -> bool {
    match crate::width() {
        ntlpc_abi::Width::X64 => atomic_u64(at)
            .compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire)
            .is_ok(),
        ntlpc_abi::Width::X86 => atomic_u32(at)
            .compare_exchange(old as u32, new as u32, Ordering::AcqRel, Ordering::Acquire)
            .is_ok(),
    }
}

/// Starts or joins a one-time initialization. `Ok(true)`: the caller initializes; `Ok(false)`: done.
fn once_begin(at: u64, flags: u32) -> Result<bool, NtStatus> {
    loop {
        let (word, _) = once_word(at);
        match word & once::MASK {
            once::DONE => return Ok(false),
            _ if flags & CHECK_ONLY != 0 => return Err(NtStatus::UNSUCCESSFUL),
            0 => {
                let state = if flags & ASYNC != 0 {
                    once::ASYNC
                } else {
                    once::PENDING
                };
                if once_exchange(at, word, state) {
                    return Ok(true);
                }
            }
            once::ASYNC if flags & ASYNC != 0 => return Ok(true),
            once::PENDING if flags & ASYNC == 0 => {
                #[allow(
                    clippy::cast_possible_truncation,
                    reason = "the state is in the low half"
                )]
                sleep_on(atomic_u32(at), word as u32, None);
            }
            _ => return Err(NtStatus::INVALID_PARAMETER_2),
        }
    }
}

fn once_complete(at: u64, flags: u32, context: u64) -> Result<(), NtStatus> {
    let (word, _) = once_word(at);
    let expected = if flags & ASYNC != 0 {
        once::ASYNC
    } else {
        once::PENDING
    };
    if word & once::MASK != expected || context & once::MASK != 0 {
        return Err(NtStatus::UNSUCCESSFUL);
    }
    let new = if flags & INIT_FAILED != 0 {
        0
    } else {
        context | once::DONE
    };
    if !once_exchange(at, word, new) {
        return Err(NtStatus::UNSUCCESSFUL);
    }
    futex::wake_all(atomic_u32(at), false);
    Ok(())
}

fn once_context(at: u64) -> u64 {
    once_word(at).0 & !once::MASK
}

fn read_sized(at: u64, size: usize) -> u64 {
    match size {
        1 => Ptr::<u8>::new(at).read().into(),
        2 => Ptr::<u16>::new(at).read().into(),
        4 => Ptr::<u32>::new(at).read().into(),
        _ => Ptr::<u64>::new(at).read(),
    }
}

fn wait_on_address(at: u64, compare: u64, size: usize, deadline_ns: Option<u64>) -> NtStatus {
    if !matches!(size, 1 | 2 | 4 | 8) {
        return NtStatus::INVALID_PARAMETER;
    }
    // Futexes have aligned 32-bit words: the address names a bucket whose word counts wake-ups.
    let bucket = &BUCKETS[(at >> 2) as usize % BUCKETS.len()];
    let seen = bucket.load(Ordering::SeqCst);
    WAITERS.fetch_add(1, Ordering::SeqCst);
    let status = if read_sized(at, size) != read_sized(compare, size) {
        NtStatus::SUCCESS
    } else {
        match sleep_on(bucket, seen, deadline_ns) {
            Woken::TimedOut if bucket.load(Ordering::SeqCst) == seen => NtStatus::TIMEOUT,
            _ => NtStatus::SUCCESS,
        }
    };
    WAITERS.fetch_sub(1, Ordering::SeqCst);
    status
}

/// Counters of wake-ups; addresses share them, so a waiter may wake for nothing, as Microsoft Learn allows.
static BUCKETS: [AtomicU32; 256] = [const { AtomicU32::new(0) }; 256];
/// Threads in `WaitOnAddress`, so that waking costs nothing when there are none.
static WAITERS: AtomicU32 = AtomicU32::new(0);

fn wake_address(at: u64) {
    let bucket = &BUCKETS[(at >> 2) as usize % BUCKETS.len()];
    bucket.fetch_add(1, Ordering::SeqCst);
    if WAITERS.load(Ordering::SeqCst) != 0 {
        futex::wake_all(bucket, false);
    }
}

win_api! {
    /// Makes a lock, condition variable or one-time initialization: zero.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn InitializeSRWLock = "InitializeSRWLock|InitializeConditionVariable|InitOnceInitialize|RtlInitializeSRWLock|RtlInitializeConditionVariable|RtlRunOnceInitialize" (word: Ptr<UserPtr>) {
        word.write(UserPtr::NULL);
    }

    /// Takes a lock for writing.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn AcquireSRWLockExclusive = "AcquireSRWLockExclusive|RtlAcquireSRWLockExclusive" (word: Ptr<UserPtr>) {
        lock(atomic_u32(word.address()), false);
    }

    /// Takes a lock for reading.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn AcquireSRWLockShared = "AcquireSRWLockShared|RtlAcquireSRWLockShared" (word: Ptr<UserPtr>) {
        lock(atomic_u32(word.address()), true);
    }

    /// Takes a lock for writing unless it is held.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn TryAcquireSRWLockExclusive = "TryAcquireSRWLockExclusive|RtlTryAcquireSRWLockExclusive" (word: Ptr<UserPtr>) -> Boolean {
        try_lock(atomic_u32(word.address()), false).is_ok().into()
    }

    /// Takes a lock for reading unless a writer holds it.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn TryAcquireSRWLockShared = "TryAcquireSRWLockShared|RtlTryAcquireSRWLockShared" (word: Ptr<UserPtr>) -> Boolean {
        try_lock(atomic_u32(word.address()), true).is_ok().into()
    }

    /// Gives up a lock held for writing.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn ReleaseSRWLockExclusive = "ReleaseSRWLockExclusive|RtlReleaseSRWLockExclusive" (word: Ptr<UserPtr>) {
        unlock(atomic_u32(word.address()), false);
    }

    /// Gives up a lock held for reading.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn ReleaseSRWLockShared = "ReleaseSRWLockShared|RtlReleaseSRWLockShared" (word: Ptr<UserPtr>) {
        unlock(atomic_u32(word.address()), true);
    }

    /// Sleeps on a condition variable, releasing a slim lock meanwhile.
    "kernel32.dll|kernelbase.dll" stdcall fn SleepConditionVariableSRW(condition: Ptr<UserPtr>, srw: Ptr<UserPtr>, timeout: u32, flags: u32) -> Bool {
        let word = atomic_u32(srw.address());
        // CONDITION_VARIABLE_LOCKMODE_SHARED
        let is_shared = flags & 1 != 0;
        sleep_condition(condition.address(), timeout, || unlock(word, is_shared), || lock(word, is_shared))
    }

    /// Sleeps on a condition variable, releasing a critical section meanwhile.
    "kernel32.dll|kernelbase.dll" stdcall fn SleepConditionVariableCS(condition: Ptr<UserPtr>, section: Ptr<u8>, timeout: u32) -> Bool {
        let depth = std::cell::Cell::new(0);
        let release = || depth.set(critical_section::release_all(section.address()));
        let acquire = || critical_section::enter_times(section.address(), depth.get());
        sleep_condition(condition.address(), timeout, release, acquire)
    }

    /// Wakes one sleeper of a condition variable.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn WakeConditionVariable = "WakeConditionVariable|RtlWakeConditionVariable" (condition: Ptr<UserPtr>) {
        let word = atomic_u32(condition.address());
        word.fetch_add(1, Ordering::Release);
        futex::wake(word, false, 1);
    }

    /// Wakes all sleepers of a condition variable.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn WakeAllConditionVariable = "WakeAllConditionVariable|RtlWakeAllConditionVariable" (condition: Ptr<UserPtr>) {
        let word = atomic_u32(condition.address());
        word.fetch_add(1, Ordering::Release);
        futex::wake_all(word, false);
    }

    /// Starts or joins a one-time initialization.
    "kernel32.dll|kernelbase.dll" stdcall fn InitOnceBeginInitialize(once: Ptr<UserPtr>, flags: u32, pending: Ptr<i32>, context: Ptr<UserPtr>) -> Bool {
        match once_begin(once.address(), flags) {
            Ok(is_first) => {
                pending.write_if_some(i32::from(is_first));
                if !is_first {
                    context.write_if_some(UserPtr(once_context(once.address())));
                }
                Bool::TRUE
            }
            Err(status) => crate::dlls::win32::failed(status, Bool::FALSE),
        }
    }

    /// Ends a one-time initialization.
    "kernel32.dll|kernelbase.dll" stdcall fn InitOnceComplete(once: Ptr<UserPtr>, flags: u32, context: UserPtr) -> Bool {
        crate::dlls::win32::success(once_complete(once.address(), flags, context.0))
    }

    /// Runs an initialization once.
    "kernel32.dll|kernelbase.dll" stdcall fn InitOnceExecuteOnce(once: Ptr<UserPtr>, function: Callback, parameter: UserPtr, context: Ptr<UserPtr>) -> Bool {
        match once_begin(once.address(), 0) {
            Ok(true) => {
                let slot = crate::vm::low::allocate(8, 8);
                let is_ok = function.call(&[once.address(), parameter.0, slot]) as u32 != 0;
                let result = Ptr::<UserPtr>::new(slot).read();
                let flags = if is_ok { 0 } else { INIT_FAILED };
                if once_complete(once.address(), flags, result.0).is_err() || !is_ok {
                    return Bool::FALSE;
                }
                context.write_if_some(result);
                Bool::TRUE
            }
            Ok(false) => {
                context.write_if_some(UserPtr(once_context(once.address())));
                Bool::TRUE
            }
            Err(status) => crate::dlls::win32::failed(status, Bool::FALSE),
        }
    }

    /// Sleeps while a value is unchanged.
    "kernel32.dll|kernelbase.dll" stdcall fn WaitOnAddress(address: Ptr<u8>, compare: Ptr<u8>, size: usize, timeout: u32) -> Bool {
        match wait_on_address(address.address(), compare.address(), size, milliseconds(timeout)) {
            NtStatus::SUCCESS => Bool::TRUE,
            NtStatus::TIMEOUT => refuse(error::TIMEOUT, Bool::FALSE),
            status => crate::dlls::win32::failed(status, Bool::FALSE),
        }
    }

    /// Sleeps while a value is unchanged.
    "ntdll.dll" stdcall fn RtlWaitOnAddress(address: Ptr<u8>, compare: Ptr<u8>, size: usize, timeout: Ptr<i64>) -> NtStatus {
        wait_on_address(address.address(), compare.address(), size, deadline(timeout.non_null().map(Ptr::read)))
    }

    /// Wakes sleepers of an address.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn WakeByAddressAll = "WakeByAddressAll|WakeByAddressSingle|RtlWakeAddressAll|RtlWakeAddressSingle" (address: Ptr<u8>) {
        wake_address(address.address());
    }
}
