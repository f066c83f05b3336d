//! Job objects: `jobapi2.h`. Limits that Linux would have to enforce are refused, and so are names.

use std::sync::atomic::Ordering;

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use super::synchapi::{SecurityAttributes, attributes};
use crate::dlls::win32::{created, error, failed, refuse, success, units_arg, wide_arg};
use crate::export::{Bool, Guest, Ptr};
use crate::ob::completion::Completion;
use crate::ob::job::{self, Job, limit, rights};
use crate::ob::process::{self, Process};
use crate::ob::sync::MODIFY_STATE;
use crate::ob::table::lookup;
use crate::ob::{job::JOB_TYPE, name};
use crate::{guest_struct, win_api};

/// Limits that can be set.
const KNOWN: u32 = limit::ACTIVE_PROCESS
    | limit::DIE_ON_UNHANDLED_EXCEPTION
    | limit::BREAKAWAY_OK
    | limit::SILENT_BREAKAWAY_OK
    | limit::KILL_ON_JOB_CLOSE;

/// `JOBOBJECTINFOCLASS`.
mod class {
    pub const BASIC_ACCOUNTING: u32 = 1;
    pub const BASIC_LIMIT: u32 = 2;
    pub const BASIC_PROCESS_ID_LIST: u32 = 3;
    pub const BASIC_UI_RESTRICTIONS: u32 = 4;
    pub const ASSOCIATE_COMPLETION_PORT: u32 = 7;
    pub const EXTENDED_LIMIT: u32 = 9;
}

guest_struct! {
    /// `JOBOBJECT_BASIC_LIMIT_INFORMATION`.
    pub struct BasicLimits {
        process_time: i64,
        job_time: i64,
        flags: u32,
        minimum_working_set: usize,
        maximum_working_set: usize,
        active_processes: u32,
        affinity: usize,
        priority_class: u32,
        scheduling_class: u32,
    }

    /// `JOBOBJECT_EXTENDED_LIMIT_INFORMATION`.
    pub struct ExtendedLimits {
        basic: BasicLimits,
        io_counters: [u64; 6],
        memory: [usize; 4],
    }

    /// `JOBOBJECT_BASIC_ACCOUNTING_INFORMATION`.
    pub struct Accounting {
        user_time: u64,
        kernel_time: u64,
        period_user_time: u64,
        period_kernel_time: u64,
        page_faults: u32,
        processes: u32,
        active_processes: u32,
        terminated_processes: u32,
    }

    /// `JOBOBJECT_ASSOCIATE_COMPLETION_PORT`.
    pub struct AssociatePort {
        key: UserPtr,
        port: Handle,
    }
}

fn set_information(
    job: Handle,
    class: u32,
    information: Ptr<u8>,
    length: u32,
) -> Result<(), NtStatus> {
    let job = lookup::<Job>(job, rights::SET_ATTRIBUTES)?;
    let needed = match class {
        class::BASIC_LIMIT => BasicLimits::size(),
        class::EXTENDED_LIMIT => ExtendedLimits::size(),
        class::BASIC_UI_RESTRICTIONS => 4,
        class::ASSOCIATE_COMPLETION_PORT => AssociatePort::size(),
        _ => return Err(NtStatus::NOT_SUPPORTED),
    };
    if length as usize != needed {
        return Err(NtStatus::INFO_LENGTH_MISMATCH);
    }
    match class {
        class::ASSOCIATE_COMPLETION_PORT => {
            let AssociatePort { key, port } = information.cast().read();
            job.report_to(lookup::<Completion>(port, MODIFY_STATE)?, key.0)
        }
        // There is no UI to restrict.
        class::BASIC_UI_RESTRICTIONS => Ok(()),
        _ => {
            let limits: BasicLimits = information.cast().read();
            if limits.flags & !KNOWN != 0 {
                log::warn!("job limits {:#x} are not supported", limits.flags);
                return Err(NtStatus::NOT_SUPPORTED);
            }
            let shared = job.shared();
            shared
                .active_limit()
                .store(limits.active_processes, Ordering::Release);
            shared.limits().store(limits.flags, Ordering::Release);
            Ok(())
        }
    }
}

fn limits(job: &Job) -> BasicLimits {
    BasicLimits {
        process_time: 0,
        job_time: 0,
        flags: job.shared().limits().load(Ordering::Acquire),
        minimum_working_set: 0,
        maximum_working_set: 0,
        active_processes: job.shared().active_limit().load(Ordering::Acquire),
        affinity: 0,
        priority_class: 0,
        scheduling_class: 0,
    }
}

/// Writes a structure, if there is room for it; returns its length.
fn put<T: Guest>(to: Ptr<u8>, length: u32, value: T) -> Result<u32, NtStatus> {
    if (length as usize) < T::size() {
        return Err(NtStatus::INFO_LENGTH_MISMATCH);
    }
    to.cast().write(value);
    Ok(T::size() as u32)
}

/// `JOBOBJECT_BASIC_PROCESS_ID_LIST`; as many ids as there is room for.
fn put_ids(job: &Job, to: Ptr<u8>, length: u32) -> Result<u32, NtStatus> {
    let room = (length as usize)
        .checked_sub(8)
        .ok_or(NtStatus::INFO_LENGTH_MISMATCH)?
        / usize::size();
    let ids: Vec<usize> = job
        .shared()
        .live()
        .iter()
        .map(|process| process.pid as usize)
        .collect();
    let listed = room.min(ids.len());
    to.cast::<u32>().write(ids.len() as u32);
    to.byte_add(4).cast::<u32>().write(listed as u32);
    to.byte_add(8).cast::<usize>().write_many(&ids[..listed]);
    if listed < ids.len() {
        return Err(NtStatus::BUFFER_OVERFLOW);
    }
    Ok((8 + listed * usize::size()) as u32)
}

fn query_information(job: Handle, class: u32, to: Ptr<u8>, length: u32) -> Result<u32, NtStatus> {
    // NULL asks about the job of the caller.
    let job = match job {
        Handle::NULL => job::own().ok_or(NtStatus::ACCESS_DENIED)?,
        job => lookup::<Job>(job, rights::QUERY)?,
    };
    match class {
        class::BASIC_LIMIT => put(to, length, limits(&job)),
        class::EXTENDED_LIMIT => {
            let extended = ExtendedLimits {
                basic: limits(&job),
                io_counters: [0; 6],
                memory: [0; 4],
            };
            put(to, length, extended)
        }
        class::BASIC_ACCOUNTING => {
            let [user_time, kernel_time] = job.times();
            let accounting = Accounting {
                user_time,
                kernel_time,
                period_user_time: user_time,
                period_kernel_time: kernel_time,
                page_faults: 0,
                processes: job.shared().total(),
                active_processes: job.shared().live().len() as u32,
                terminated_processes: 0,
            };
            put(to, length, accounting)
        }
        class::BASIC_PROCESS_ID_LIST => put_ids(&job, to, length),
        _ => Err(NtStatus::INVALID_INFO_CLASS),
    }
}

fn create(security: Ptr<SecurityAttributes>, name: Option<Vec<u16>>) -> Handle {
    let made = name::create(&attributes(security, name), JOB_TYPE.generic[3], Job::new);
    created(made, Handle::NULL)
}

win_api! {
    /// Makes a job; one with a name is refused.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateJobObjectW(security: Ptr<SecurityAttributes>, name: Ptr<u16>) -> Handle {
        create(security, units_arg(name))
    }

    /// Makes a job; one with a name is refused.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateJobObjectA(security: Ptr<SecurityAttributes>, name: Ptr<u8>) -> Handle {
        create(security, wide_arg(name))
    }

    /// Puts a process, and the children it makes from then on, into a job.
    "kernel32.dll|kernelbase.dll" stdcall fn AssignProcessToJobObject(job: Handle, process: Handle) -> Bool {
        success((|| {
            let job = lookup::<Job>(job, rights::ASSIGN_PROCESS)?;
            job.assign(&*lookup::<Process>(process, process::rights::TERMINATE)?)
        })())
    }

    /// Ends every process of a job.
    "kernel32.dll|kernelbase.dll" stdcall fn TerminateJobObject(job: Handle, code: u32) -> Bool {
        success(lookup::<Job>(job, rights::TERMINATE).map(|job| job.terminate(code)))
    }

    /// Sets the limits of a job, or the port it reports to.
    "kernel32.dll|kernelbase.dll" stdcall fn SetInformationJobObject(job: Handle, class: u32, information: Ptr<u8>, length: u32) -> Bool {
        success(set_information(job, class, information, length))
    }

    /// Tells limits, processes and times of a job; without a handle, of the caller's.
    "kernel32.dll|kernelbase.dll" stdcall fn QueryInformationJobObject(job: Handle, class: u32, information: Ptr<u8>, length: u32, returned: Ptr<u32>) -> Bool {
        match query_information(job, class, information, length) {
            Ok(size) => {
                returned.write_if_some(size);
                Bool::TRUE
            }
            Err(NtStatus::BUFFER_OVERFLOW) => refuse(error::MORE_DATA, Bool::FALSE),
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Returns whether a process is in a job; without a handle, in any.
    "kernel32.dll|kernelbase.dll" stdcall fn IsProcessInJob(process: Handle, job: Handle, answer: Ptr<i32>) -> Bool {
        success((|| {
            let process = lookup::<Process>(process, process::rights::QUERY_LIMITED_INFORMATION)?;
            let is_in = match job {
                Handle::NULL => !job::jobs_of(&process)?.is_empty(),
                job => lookup::<Job>(job, rights::QUERY)?.contains(process.pid),
            };
            answer.write(i32::from(is_in));
            Ok(())
        })())
    }
}
