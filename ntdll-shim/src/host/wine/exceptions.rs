//! The exception port of a process (lpc §4.5) and the second chance of its exceptions.
//!
//! Wine knows no exception ports. NtSetInformationProcess sets one here, and the second chance of an exception,
//! NtRaiseException, goes to it first. `UnhandledExceptionFilter` of Wine has by then run the program's own filter and the
//! debugger the registry names for such cases (AeDebug), as that of Windows does.

use std::sync::atomic::{AtomicU32, Ordering};

use ntlpc_abi::{Handle, NtStatus, UserPtr, Width};

use super::arch::{Arguments, EXCEPTION_RECORD};
use super::service::ntdll;
use super::structures::{PROCESS_ID, ProcessBasicInformation, Word};
use super::tokens;
use crate::classic::exception::{self, Verdict};
use crate::{capture, host};

/// Not zero once this process has an exception port.
static HAS_PORT: AtomicU32 = AtomicU32::new(0);

/// Address of [`HAS_PORT`], for the stubs.
pub fn has_port_address() -> u64 {
    HAS_PORT.as_ptr() as u64
}

/// `NtSetInformationProcess(Process, Class, Buffer, Length)`.
pub unsafe fn set_information_process(arguments: Arguments) -> u32 {
    // SAFETY: Wine passes the four arguments of the call.
    let all = unsafe { arguments.read::<4>() };
    let [process, class, buffer, length] = all;
    if class as u32 != PROCESS_EXCEPTION_PORT {
        let ntdll = ntdll();
        // SAFETY: the caller's own arguments.
        return unsafe { ntdll.pass(ntdll.NtSetInformationProcess, all) };
    }
    match set_port(process, UserPtr(buffer), length as u32) {
        Ok(()) => NtStatus::SUCCESS.0,
        Err(status) => status.0,
    }
}

/// The order of the checks: lpc#211, lpc#213.
fn set_port(process: u64, buffer: UserPtr, length: u32) -> Result<(), NtStatus> {
    let mut port = [0; size_of::<Word>()];
    if length as usize != port.len() {
        return Err(NtStatus::INFO_LENGTH_MISMATCH);
    }
    capture::read(buffer, &mut port)?;
    if !tokens::has_privilege(SE_TCB_PRIVILEGE) {
        return Err(NtStatus::PRIVILEGE_NOT_HELD);
    }
    if process_id(process)? != host::current().client_id().process {
        log::warn!("NtSetInformationProcess: the exception port of another process");
        return Err(NtStatus::NOT_SUPPORTED);
    }
    exception::set_exception_port(Handle(Word::from_le_bytes(port) as u64))?;
    HAS_PORT.store(1, Ordering::Release);
    Ok(())
}

/// `NtRaiseException(Record, Context, FirstChance)` of a process with an exception port, for the second chance. Returns 0
/// if the thread shall go on at the context, else Wine goes on with the exception.
pub unsafe fn raise_exception(arguments: Arguments) -> u32 {
    const GO_ON: u32 = 0;
    const UNHANDLED: u32 = 1;
    // SAFETY: Wine passes the three arguments of the call.
    let [record, _, _] = unsafe { arguments.read() };
    let mut bytes = [0; EXCEPTION_RECORD];
    if capture::read(UserPtr(record), &mut bytes).is_err() {
        return UNHANDLED;
    }
    let code = u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    let ntdll = ntdll();
    match exception::ask(&for_port(&bytes)) {
        Verdict::Continue => GO_ON,
        Verdict::Unhandled => UNHANDLED,
        Verdict::EndThread => {
            crate::engine::thread_exit();
            // SAFETY: the calling thread and its exit status.
            unsafe { ntdll.call(ntdll.NtTerminateThread, [CURRENT_THREAD, code]) };
            UNHANDLED
        }
        Verdict::EndProcess => {
            // SAFETY: this process and its exit status.
            unsafe { ntdll.call(ntdll.NtTerminateProcess, [CURRENT_PROCESS, code]) };
            UNHANDLED
        }
    }
}

/// The record as the port wants it: that of a 32-bit program on 64-bit Windows is widened.
fn for_port(record: &[u8; EXCEPTION_RECORD]) -> Vec<u8> {
    const NARROW: usize = 0x50;
    if EXCEPTION_RECORD != NARROW || host::current().personality().port == Width::X86 {
        return record.to_vec();
    }
    // Code and flags; record, address; count (and what aligns it); information.
    let (words, _) = record.as_chunks::<4>();
    let wide = |word: &[u8; 4]| u64::from(u32::from_le_bytes(*word)).to_le_bytes();
    let mut widened = record[..8].to_vec();
    widened.extend(words[2..].iter().flat_map(wide));
    widened
}

/// Process id behind a process handle, from `PROCESS_BASIC_INFORMATION`.
fn process_id(process: u64) -> Result<u32, NtStatus> {
    let mut basic: ProcessBasicInformation = Default::default();
    let ntdll = ntdll();
    // SAFETY: process, ProcessBasicInformation, a local and its size, no length wanted.
    let status = unsafe {
        ntdll.call(
            ntdll.NtQueryInformationProcess,
            [
                process,
                PROCESS_BASIC_INFORMATION,
                basic.as_mut_ptr() as u64,
                size_of_val(&basic) as u64,
                0,
            ],
        )
    };
    NtStatus(status).ok()?;
    Ok(basic[PROCESS_ID] as u32)
}

const CURRENT_PROCESS: u64 = u64::MAX;
const CURRENT_THREAD: u64 = u64::MAX - 1;
const PROCESS_BASIC_INFORMATION: u64 = 0;
const PROCESS_EXCEPTION_PORT: u32 = 8;
/// `SE_TCB_PRIVILEGE` (phnt `ntseapi.h`).
const SE_TCB_PRIVILEGE: u32 = 7;
