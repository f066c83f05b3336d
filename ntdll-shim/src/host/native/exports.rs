//! The C functions of `ntlpc.h`: every call of the table by its NT name, and what a program needs around them.
#![allow(
    unsafe_code,
    reason = "exported C functions; pointers of the program are copied like a guest's"
)]

use std::ffi::c_int;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use ntlpc_abi::{CallId, Handle, NtStatus, UserPtr, for_each_call};

use super::handles::{Object, SharedMemory, TABLE};
use super::{enter, revert};
use crate::{Slots, guest};

/// The C type of an argument or a result: every pointer is an address.
macro_rules! c_type {
    (U32) => {
        u32
    };
    (Bool) => {
        u8
    };
    (Status) => {
        u32
    };
    (Void) => {
        ()
    };
    ($other:ident) => {
        u64
    };
}

macro_rules! export {
    (@result) => { u32 };
    (@result $result:ident) => { c_type!($result) };
    (@convert $bits:expr) => { $bits as u32 };
    (@convert $bits:expr, Void) => { { $bits; } };
    (@convert $bits:expr, $result:ident) => { $bits as c_type!($result) };
    ($($name:ident = $family:ident :: $function:ident ($($arg:ident : $kind:ident),* $(,)?) $(-> $result:ident)?;)*) => {$(
        #[doc = concat!("`", stringify!($name), "` of `ntlpc.h`.")]
        #[unsafe(no_mangle)]
        #[allow(non_snake_case, reason = "NT's name")]
        extern "C" fn $name($($arg: c_type!($kind)),*) -> export!(@result $($result)?) {
            export!(@convert run(CallId::$name, &[$(u64::from($arg)),*]) $(, $result)?)
        }
    )*};
}

for_each_call!(export);

/// Makes a call. A helper that touches memory it cannot dies of it, as its Windows counterpart does without a handler.
fn run(id: CallId, slots: &[u64]) -> u64 {
    if let Err(status) = enter() {
        return status.0.into();
    }
    match crate::call(id, Slots(slots)) {
        Ok(result) => result,
        Err(fault) => {
            eprintln!("{}: bad address {:#x}", id.call().name, fault.0.0);
            std::process::abort()
        }
    }
}

fn status_of(outcome: Result<(), NtStatus>) -> u32 {
    outcome.err().unwrap_or(NtStatus::SUCCESS).0
}

/// `ntlpc_close` of `ntlpc.h`.
#[unsafe(no_mangle)]
extern "C" fn ntlpc_close(handle: u64) -> u32 {
    status_of(TABLE.close(Handle(handle)))
}

/// `ntlpc_section` of `ntlpc.h`.
#[unsafe(no_mangle)]
extern "C" fn ntlpc_section(fd: c_int, section: u64) -> u32 {
    status_of(make_section(fd, UserPtr(section)))
}

fn make_section(fd: c_int, at: UserPtr) -> Result<(), NtStatus> {
    enter()?;
    guest::probe_handle(at)?;
    let fd = duplicate(fd).ok_or(NtStatus::INVALID_HANDLE)?;
    let stat = rustix::fs::fstat(&fd).map_err(|_| NtStatus::INVALID_HANDLE)?;
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    if size == 0 {
        return Err(NtStatus::MAPPED_FILE_SIZE_ZERO);
    }
    let handle = TABLE.insert(Object::Section(Arc::new(SharedMemory { fd, size })))?;
    guest::write_word(at, handle.0).inspect_err(|_| {
        // The handle was made a moment ago.
        let _ = TABLE.close(handle);
    })
}

fn duplicate(fd: c_int) -> Option<OwnedFd> {
    if fd < 0 {
        return None;
    }
    // SAFETY: not -1; it is borrowed for the system call that says whether it is open.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    fd.try_clone_to_owned().ok()
}

/// `ntlpc_revert` of `ntlpc.h`.
#[unsafe(no_mangle)]
extern "C" fn ntlpc_revert() {
    revert();
}

/// Returns the directory this library lies in: its server is beside it.
pub(super) fn library_directory() -> Option<PathBuf> {
    let own = ntlpc_close as *const () as u64;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (first, end) = range.split_once('-')?;
        let first = u64::from_str_radix(first, 16).ok()?;
        let end = u64::from_str_radix(end, 16).ok()?;
        let path = rest.find('/').map(|at| &rest[at..]);
        path.filter(|_| (first..end).contains(&own))
    })?;
    PathBuf::from(path).parent().map(Into::into)
}
