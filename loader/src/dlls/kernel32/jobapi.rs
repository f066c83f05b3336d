//! Job objects as far as build tools use them: `jobapi2.h`.
//!
//! A job is a set of processes of this one's children. `KILL_ON_JOB_CLOSE` ends them with the last handle; limits that
//! Linux would have to enforce are refused.

use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};
use parking_lot::Mutex;

use super::synchapi::SecurityAttributes;
use crate::dlls::win32::{error, or_else, refuse, success};
use crate::export::{Bool, Ptr};
use crate::ob::object::{Header, Object, ObjectType};
use crate::ob::process::{Process, rights};
use crate::ob::table::{INHERIT, TABLE, lookup};
use crate::{width, win_api};

static JOB_TYPE: ObjectType = ObjectType {
    name: "Job",
    generic: [0x2_0004, 0x2_000B, 0x12_0000, 0x1F_003F],
};

/// `JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE`.
const KILL_ON_CLOSE: u32 = 0x2000;
/// Limits without an effect of their own here: breakaway, silent breakaway, die on unhandled exception.
const HARMLESS: u32 = 0x400 | 0x800 | 0x1000;

#[derive(Debug, Default)]
struct Job {
    header: Header,
    limits: Mutex<u32>,
    processes: Mutex<Vec<Arc<Process>>>,
}

impl Object for Job {
    fn object_type(&self) -> &'static ObjectType {
        &JOB_TYPE
    }
    fn header(&self) -> &Header {
        &self.header
    }
    fn last_handle_closed(&self) {
        if *self.limits.lock() & KILL_ON_CLOSE != 0 {
            self.terminate(0);
        }
    }
}

impl Job {
    fn terminate(&self, code: u32) {
        for process in self.processes.lock().iter() {
            // One that ended by itself meanwhile is what was wanted.
            let _ = process.terminate(code);
        }
    }
}

fn set_information(job: Handle, class: u32, information: Ptr<u32>) -> Result<(), NtStatus> {
    let job = lookup::<Job>(job, 0x2)?;
    match class {
        // JobObjectBasicLimitInformation, JobObjectExtendedLimitInformation: LimitFlags behind two 64-bit times
        2 | 9 => {
            let limits = information.byte_add(16).read();
            if limits & !(KILL_ON_CLOSE | HARMLESS) != 0 {
                log::warn!("job limits {limits:#x} are not supported");
                return Err(NtStatus::NOT_SUPPORTED);
            }
            *job.limits.lock() = limits;
            Ok(())
        }
        // JobObjectBasicUIRestrictions: there is no UI to restrict
        4 => Ok(()),
        _ => Err(NtStatus::NOT_SUPPORTED),
    }
}

fn query_information(job: Handle, class: u32, to: Ptr<u8>, length: u32) -> Result<u32, NtStatus> {
    // NULL asks about the job of the caller, which is in none.
    let job = if job == Handle::NULL {
        None
    } else {
        Some(lookup::<Job>(job, 0x4)?)
    };
    let job = job.ok_or(NtStatus::PROCESS_NOT_IN_JOB)?;
    let size = match (class, width()) {
        // JobObjectBasicLimitInformation
        (2, ntlpc_abi::Width::X64) => 64,
        (2, ntlpc_abi::Width::X86) => 48,
        // JobObjectExtendedLimitInformation
        (9, ntlpc_abi::Width::X64) => 144,
        (9, ntlpc_abi::Width::X86) => 112,
        _ => return Err(NtStatus::INVALID_INFO_CLASS),
    };
    if length < size {
        return Err(NtStatus::INFO_LENGTH_MISMATCH);
    }
    let mut bytes = vec![0; size as usize];
    bytes[16..20].copy_from_slice(&job.limits.lock().to_le_bytes());
    to.write_bytes(&bytes);
    Ok(size)
}

win_api! {
    /// Makes a job.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateJobObjectW = "CreateJobObjectW|CreateJobObjectA" (security: Ptr<SecurityAttributes>, name: Ptr<u8>) -> Handle {
        if !name.is_null() {
            return refuse(error::NOT_SUPPORTED, Handle::NULL);
        }
        let inherit = security.non_null().is_some_and(|s| s.read().inherit_handle != 0);
        or_else(TABLE.insert(Arc::new(Job::default()), JOB_TYPE.generic[3], if inherit { INHERIT } else { 0 }), Handle::NULL)
    }

    /// Puts a process into a job.
    "kernel32.dll|kernelbase.dll" stdcall fn AssignProcessToJobObject(job: Handle, process: Handle) -> Bool {
        success((|| {
            let job = lookup::<Job>(job, 0x1)?;
            let process = lookup::<Process>(process, rights::TERMINATE)?;
            job.processes.lock().push(process);
            Ok(())
        })())
    }

    /// Ends every process of a job.
    "kernel32.dll|kernelbase.dll" stdcall fn TerminateJobObject(job: Handle, code: u32) -> Bool {
        success(lookup::<Job>(job, 0x8).map(|job| job.terminate(code)))
    }

    /// Sets the limits of a job.
    "kernel32.dll|kernelbase.dll" stdcall fn SetInformationJobObject(job: Handle, class: u32, information: Ptr<u32>, _length: u32) -> Bool {
        success(set_information(job, class, information))
    }

    /// Reads the limits of a job.
    "kernel32.dll|kernelbase.dll" stdcall fn QueryInformationJobObject(job: Handle, class: u32, information: Ptr<u8>, length: u32, returned: Ptr<u32>) -> Bool {
        success(query_information(job, class, information, length).map(|size| returned.write_if_some(size)))
    }

    /// Returns whether a process is in a job.
    "kernel32.dll|kernelbase.dll" stdcall fn IsProcessInJob(process: Handle, job: Handle, answer: Ptr<i32>) -> Bool {
        success((|| {
            let process = lookup::<Process>(process, rights::QUERY_LIMITED_INFORMATION)?;
            let is_in = match job {
                Handle::NULL => false,
                job => lookup::<Job>(job, 0x4)?.processes.lock().iter().any(|p| p.pid == process.pid),
            };
            answer.write(i32::from(is_in));
            Ok(())
        })())
    }
}
