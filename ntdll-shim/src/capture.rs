//! Copies between host memory and guest memory that may fault, and compare-and-swap on guest memory.
//!
//! A bad guest pointer makes the copy return `STATUS_ACCESS_VIOLATION`. The copy is one instruction at a known address;
//! whoever owns the SIGSEGV handler asks [`fixup`] first and resumes at the address it gives. Without such a handler
//! (native programs) [`install_handler`] puts one in front of the old one.
#![allow(
    unsafe_code,
    reason = "the copies of guest memory, with their fault recovery"
)]

use std::sync::OnceLock;

use ntlpc_abi::{NtStatus, UserPtr};

#[cfg_attr(target_arch = "x86_64", path = "capture/x86_64.rs")]
#[cfg_attr(target_arch = "x86", path = "capture/i386.rs")]
mod code;
pub use code::INSTRUCTION;
use code::USER_END;

unsafe extern "C" {
    fn ntlpc_guarded_copy(to: *mut u8, from: *const u8, len: usize) -> u32;
    fn ntlpc_guarded_exchange(at: u64, expected: u64, new: u64, seen: *mut u64) -> u32;
    fn ntlpc_guarded_exchange32(at: u64, expected: u64, new: u64, seen: *mut u64) -> u32;
    fn ntlpc_guarded_copy_first();
    fn ntlpc_guarded_copy_last();
    fn ntlpc_guarded_copy_fault();
}

/// Copies from guest memory.
///
/// # Errors
/// `ACCESS_VIOLATION`, with any part of `to` written.
#[inline]
pub fn read(from: UserPtr, to: &mut [u8]) -> Result<(), NtStatus> {
    // SAFETY: `to` is valid for its length.
    unsafe { read_to(from, to.as_mut_ptr(), to.len()) }
}

/// Copies to guest memory.
///
/// # Errors
/// `ACCESS_VIOLATION`, with any part written.
#[inline]
pub fn write(to: UserPtr, from: &[u8]) -> Result<(), NtStatus> {
    // SAFETY: `from` is valid for its length.
    unsafe { write_from(to, from.as_ptr(), from.len()) }
}

/// Copies `len` bytes from guest memory to `to`, which may be shared memory.
///
/// # Errors
/// `ACCESS_VIOLATION`, with any part written.
///
/// # Safety
/// `to` is valid for writes of `len` bytes.
#[inline]
pub unsafe fn read_to(from: UserPtr, to: *mut u8, len: usize) -> Result<(), NtStatus> {
    check_range(from, len)?;
    // SAFETY: 1. `to` is valid by contract. 2. A fault on `from` resumes at the fault label, see `fixup`.
    done(unsafe { ntlpc_guarded_copy(to, from.0 as *const u8, len) })
}

/// Copies `len` bytes at `from`, which may be shared memory, to guest memory.
///
/// # Errors
/// `ACCESS_VIOLATION`, with any part written.
///
/// # Safety
/// `from` is valid for reads of `len` bytes.
#[inline]
pub unsafe fn write_from(to: UserPtr, from: *const u8, len: usize) -> Result<(), NtStatus> {
    check_range(to, len)?;
    // SAFETY: 1. `from` is valid by contract. 2. A fault on `to` resumes at the fault label, see `fixup`.
    done(unsafe { ntlpc_guarded_copy(to.0 as *mut u8, from, len) })
}

/// Replaces the aligned 64-bit value at `at` by `new` if it is `expected`; returns the value that was there.
///
/// # Errors
/// `ACCESS_VIOLATION`, also for an address that is not aligned.
pub fn compare_exchange64(at: UserPtr, expected: u64, new: u64) -> Result<u64, NtStatus> {
    check_word(at, size_of::<u64>())?;
    let mut seen = 0;
    // SAFETY: 1. `seen` is valid. 2. A fault on `at` resumes at the fault label, see `fixup`.
    done(unsafe { ntlpc_guarded_exchange(at.0, expected, new, &raw mut seen) })?;
    Ok(seen)
}

/// As [`compare_exchange64`], for a 32-bit value.
///
/// # Errors
/// As [`compare_exchange64`].
pub fn compare_exchange32(at: UserPtr, expected: u32, new: u32) -> Result<u32, NtStatus> {
    check_word(at, size_of::<u32>())?;
    let mut seen = 0;
    // SAFETY: as in `compare_exchange64`.
    done(unsafe { ntlpc_guarded_exchange32(at.0, expected.into(), new.into(), &raw mut seen) })?;
    Ok(seen as u32)
}

fn check_word(at: UserPtr, size: usize) -> Result<(), NtStatus> {
    if at.0.is_multiple_of(size as u64) {
        check_range(at, size)
    } else {
        Err(NtStatus::ACCESS_VIOLATION)
    }
}

fn check_range(at: UserPtr, len: usize) -> Result<(), NtStatus> {
    match at.0.checked_add(len as u64) {
        Some(end) if end <= USER_END => Ok(()),
        _ => Err(NtStatus::ACCESS_VIOLATION),
    }
}

fn done(faulted: u32) -> Result<(), NtStatus> {
    if faulted == 0 {
        Ok(())
    } else {
        Err(NtStatus::ACCESS_VIOLATION)
    }
}

/// Returns where to resume when a memory access of the instruction at `at` faulted, if that lies in a guarded copy.
///
/// Async-signal-safe. The handler also clears the direction flag if it changed it.
#[must_use]
pub fn fixup(at: u64) -> Option<u64> {
    let label = |label: unsafe extern "C" fn()| label as usize as u64;
    let inside = label(ntlpc_guarded_copy_first)..label(ntlpc_guarded_copy_last);
    inside
        .contains(&at)
        .then_some(label(ntlpc_guarded_copy_fault))
}

static OLD: OnceLock<[libc::sigaction; 2]> = OnceLock::new();

/// Installs a SIGSEGV and SIGBUS handler that recovers guarded copies and passes every other fault on. For hosts whose
/// program has no such handler of its own.
pub fn install_handler() {
    OLD.get_or_init(|| [libc::SIGSEGV, libc::SIGBUS].map(replace_handler));
}

fn replace_handler(signal: libc::c_int) -> libc::sigaction {
    // SAFETY: 1. An all-zero sigaction is a valid value. 2. `handler` is async-signal-safe. 3. Both pointers are valid.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        let mut new: libc::sigaction = std::mem::zeroed();
        new.sa_sigaction = handler as *const () as usize;
        new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        libc::sigaction(signal, &raw const new, &raw mut old);
        old
    }
}

extern "C" fn handler(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid ucontext to an SA_SIGINFO handler.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    if let Some(resume) = fixup(registers[INSTRUCTION] as usize as u64) {
        registers[INSTRUCTION] = resume as libc::greg_t;
        return;
    }
    let old = OLD
        .get()
        .map(|old| old[usize::from(signal == libc::SIGBUS)]);
    match old {
        Some(old) if old.sa_sigaction != libc::SIG_DFL && old.sa_sigaction != libc::SIG_IGN => {
            // SAFETY: the value was installed as a handler by the program; SA_SIGINFO says which kind it is, and a plain
            // handler ignores the further arguments.
            let call: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                unsafe { std::mem::transmute(old.sa_sigaction) };
            call(signal, info, context);
        }
        _ => {
            // SAFETY: restoring the default action; the fault repeats on return and ends the process as it would have.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_of_every_length_is_exact() {
        install_handler();
        for len in (0..600).chain([4096, 70_000]) {
            let from: Vec<u8> = (0..len).map(|at| at as u8 ^ 0x5A).collect();
            let mut to = vec![0; len];
            read(UserPtr(from.as_ptr() as u64), &mut to).expect("readable");
            assert_eq!(from, to);
            let mut back = vec![0; len + 1];
            write(UserPtr(back.as_mut_ptr() as u64), &to).expect("writable");
            assert_eq!(&back[..len], &from[..]);
            assert_eq!(back[len], 0, "nothing beyond the length is written");
        }
    }

    #[test]
    fn exchange_changes_only_what_it_expects_and_survives_bad_pointers() {
        install_handler();
        let mut words = [5_u64, 7];
        let at = UserPtr(words.as_mut_ptr() as u64);
        assert_eq!(compare_exchange64(at, 4, 9), Ok(5));
        assert_eq!(compare_exchange64(at, 5, 9), Ok(5));
        assert_eq!(compare_exchange32(at.offset(8), 7, u32::MAX), Ok(7));
        assert_eq!(words, [9, u64::from(u32::MAX)]);
        for bad in [UserPtr::NULL, at.offset(2), UserPtr(u64::MAX - 7)] {
            assert_eq!(
                compare_exchange64(bad, 0, 0),
                Err(NtStatus::ACCESS_VIOLATION)
            );
            assert_eq!(
                compare_exchange32(bad, 0, 0),
                Err(NtStatus::ACCESS_VIOLATION)
            );
        }
    }

    #[test]
    fn bad_pointer_returns_access_violation() {
        install_handler();
        let mut buffer = [0; 64];
        for address in [0, 1, 0x1000, 0xFFFF_8000_0000_0000, u64::MAX, USER_END - 1] {
            for len in [1, 8, 16, 40, 64] {
                assert_eq!(
                    read(UserPtr(address), &mut buffer[..len]),
                    Err(NtStatus::ACCESS_VIOLATION)
                );
                assert_eq!(
                    write(UserPtr(address), &buffer[..len]),
                    Err(NtStatus::ACCESS_VIOLATION)
                );
            }
        }
    }
}
