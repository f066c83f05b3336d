//! Processes and threads: `processthreadsapi.h`.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use super::synchapi::SecurityAttributes;
use crate::dlls::win32::{error, failed, or_else, refuse, success};
use crate::export::{Bool, Callback, Ptr};
use crate::ob::agent;
use crate::ob::process::{self, Process};
use crate::ob::table::{INHERIT, TABLE, lookup};
use crate::ob::thread::{self as threads, STILL_ACTIVE, Thread, rights};
use crate::ob::{object::Object, pseudo_entry, time};
use crate::thread::{self, Start};
use crate::{guest_struct, width, win_api};

guest_struct! {
    /// `PROCESS_INFORMATION`.
    pub struct ProcessInformation {
        process: Handle,
        thread: Handle,
        process_id: u32,
        thread_id: u32,
    }
}

/// Lets every running thread of the process pass a memory barrier. Source: `man 2 membarrier`.
fn flush_write_buffers() {
    use rustix::thread::{MembarrierCommand, membarrier};
    static IS_EXPEDITED: OnceLock<bool> = OnceLock::new();
    let register = || membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok();
    let command = if *IS_EXPEDITED.get_or_init(register) {
        MembarrierCommand::PrivateExpedited
    } else {
        MembarrierCommand::Global
    };
    if let Err(error) = membarrier(command) {
        log::warn!("FlushProcessWriteBuffers: membarrier: {error}");
    }
}

/// `CREATE_SUSPENDED`.
pub const CREATE_SUSPENDED: u32 = 4;
/// `THREAD_PRIORITY_ERROR_RETURN`.
const PRIORITY_ERROR: i32 = i32::MAX;

/// Starts a thread of this process and returns its handle and id.
pub fn create_thread(
    start: Start,
    is_suspended: bool,
    inherit: bool,
) -> Result<(Handle, u32), NtStatus> {
    let object = Thread::new(start.function, u32::from(is_suspended));
    thread::spawn(start, &object)?;
    let access = object.object_type().generic[3];
    let tid = object.tid.load(Ordering::Acquire);
    TABLE
        .insert(object, access, if inherit { INHERIT } else { 0 })
        .map(|handle| (handle, tid))
}

fn create(
    security: Ptr<SecurityAttributes>,
    stack: usize,
    function: Callback,
    parameter: UserPtr,
    flags: u32,
    id: Ptr<u32>,
) -> Handle {
    let inherit = security
        .non_null()
        .is_some_and(|s| s.read().inherit_handle != 0);
    // STACK_SIZE_PARAM_IS_A_RESERVATION; a commit size alone leaves the reserve at the default.
    let reserve = if flags & 0x1_0000 != 0 {
        stack as u64
    } else {
        (stack as u64).max(thread::default_stack())
    };
    let start = Start {
        function: function.0,
        argument: parameter.0,
        stack_reserve: reserve,
        is_attached: true,
    };
    match create_thread(start, flags & CREATE_SUSPENDED != 0, inherit) {
        Ok((handle, tid)) => {
            id.write_if_some(tid);
            handle
        }
        Err(status) => failed(status, Handle::NULL),
    }
}

fn times(created: i64, exited: i64, to: [Ptr<i64>; 4]) {
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let cpu = clock.tv_sec * time::UNITS_PER_SECOND + clock.tv_nsec / 100;
    to[0].write(created);
    to[1].write(exited);
    to[2].write(0);
    to[3].write(cpu);
}

fn exit_code(handle: Handle) -> Result<u32, NtStatus> {
    lookup::<Process>(handle, process::rights::QUERY_LIMITED_INFORMATION)
        .map(|process| process.exit_code())
}

fn open_process(access: u32, inherit: Bool, id: u32) -> Result<Handle, NtStatus> {
    let object = agent::open_process(id)?;
    let mut granted = object.object_type().grant(access)?;
    // Microsoft Learn "Process Security and Access Rights": the one right brings the other.
    if granted & process::rights::QUERY_INFORMATION != 0 {
        granted |= process::rights::QUERY_LIMITED_INFORMATION;
    }
    TABLE.insert(object, granted, if inherit.get() { INHERIT } else { 0 })
}

fn open_thread(access: u32, inherit: Bool, id: u32) -> Result<Handle, NtStatus> {
    let object = agent::open_thread(id)?;
    let granted = object.object_type().grant(access)?;
    TABLE.insert(object, granted, if inherit.get() { INHERIT } else { 0 })
}

fn affinity() -> usize {
    let set = rustix::thread::sched_getaffinity(None).ok();
    (0..usize::BITS as usize)
        .filter(|&cpu| set.as_ref().is_some_and(|s| s.is_set(cpu)))
        .fold(0, |mask, cpu| mask | 1 << cpu)
}

fn set_affinity(tid: Option<u32>, mask: usize) -> Result<(), NtStatus> {
    let mut set = rustix::thread::CpuSet::new();
    (0..usize::BITS as usize)
        .filter(|cpu| mask >> cpu & 1 != 0)
        .for_each(|cpu| set.set(cpu));
    let pid = tid.and_then(|tid| rustix::process::Pid::from_raw(tid.cast_signed()));
    rustix::thread::sched_setaffinity(pid, &set).map_err(|_| NtStatus::INVALID_PARAMETER)
}

win_api! {
    /// The pseudo-handle of the calling process.
    "kernel32.dll|kernelbase.dll" stdcall fn GetCurrentProcess() -> Handle {
        Handle::CURRENT_PROCESS
    }

    /// The pseudo-handle of the calling thread.
    "kernel32.dll|kernelbase.dll" stdcall fn GetCurrentThread() -> Handle {
        Handle::CURRENT_THREAD
    }

    /// Id of the calling process.
    "kernel32.dll|kernelbase.dll" stdcall fn GetCurrentProcessId() -> u32 {
        std::process::id()
    }

    /// Id of the calling thread.
    "kernel32.dll|kernelbase.dll" stdcall fn GetCurrentThreadId() -> u32 {
        crate::linux::thread_id()
    }

    /// Id of a process.
    "kernel32.dll|kernelbase.dll" stdcall fn GetProcessId(process: Handle) -> u32 {
        or_else(lookup::<Process>(process, 0).map(|p| p.pid), 0)
    }

    /// Id of a thread.
    "kernel32.dll|kernelbase.dll" stdcall fn GetThreadId(thread: Handle) -> u32 {
        or_else(lookup::<Thread>(thread, 0).map(|t| t.tid.load(Ordering::Acquire)), 0)
    }

    /// Id of the process of a thread.
    "kernel32.dll|kernelbase.dll" stdcall fn GetProcessIdOfThread(thread: Handle) -> u32 {
        or_else(lookup::<Thread>(thread, 0).map(|t| t.pid), 0)
    }

    /// Ends the process after telling the entry points of its DLLs.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn ExitProcess = "ExitProcess|RtlExitUserProcess" (code: u32) {
        crate::process::exit(code)
    }

    /// Ends the calling thread.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn ExitThread = "ExitThread|RtlExitUserThread" (code: u32) {
        thread::exit(code)
    }

    /// Starts a thread.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateThread(security: Ptr<SecurityAttributes>, stack: usize, function: Callback, parameter: UserPtr, flags: u32, id: Ptr<u32>) -> Handle {
        create(security, stack, function, parameter, flags, id)
    }

    /// Starts a thread in this process.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateRemoteThread(process: Handle, security: Ptr<SecurityAttributes>, stack: usize, function: Callback, parameter: UserPtr, flags: u32, id: Ptr<u32>) -> Handle {
        match lookup::<Process>(process, 2) {
            Ok(process) if process.is_current() => create(security, stack, function, parameter, flags, id),
            Ok(_) => failed(NtStatus::NOT_SUPPORTED, Handle::NULL),
            Err(status) => failed(status, Handle::NULL),
        }
    }

    /// Takes one suspension of a thread back; returns the count before.
    "kernel32.dll|kernelbase.dll" stdcall fn ResumeThread(thread: Handle) -> u32 {
        match lookup::<Thread>(thread, rights::SUSPEND_RESUME) {
            Ok(thread) => thread.resume(),
            Err(status) => failed(status, u32::MAX),
        }
    }

    /// Suspends a thread; returns the count before.
    "kernel32.dll|kernelbase.dll" stdcall fn SuspendThread(thread: Handle) -> u32 {
        or_else(lookup::<Thread>(thread, rights::SUSPEND_RESUME).and_then(|thread| thread.suspend()), u32::MAX)
    }

    /// Makes what other threads wrote visible, wherever they run: each passes a memory barrier before this returns.
    "kernel32.dll|kernelbase.dll" stdcall fn FlushProcessWriteBuffers() {
        flush_write_buffers();
    }

    /// Reads the exit code of a thread.
    "kernel32.dll|kernelbase.dll" stdcall fn GetExitCodeThread(thread: Handle, code: Ptr<u32>) -> Bool {
        match lookup::<Thread>(thread, rights::QUERY_LIMITED_INFORMATION) {
            Ok(thread) => {
                code.write(if thread.has_ended() { thread.exit_code() } else { STILL_ACTIVE });
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Reads the exit code of a process.
    "kernel32.dll|kernelbase.dll" stdcall fn GetExitCodeProcess(process: Handle, code: Ptr<u32>) -> Bool {
        match exit_code(process) {
            Ok(value) => {
                code.write(value);
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Ends a process at once.
    "kernel32.dll|kernelbase.dll" stdcall fn TerminateProcess(process: Handle, code: u32) -> Bool {
        success(lookup::<Process>(process, process::rights::TERMINATE).and_then(|p| p.terminate(code)))
    }

    /// Opens a process by id.
    "kernel32.dll|kernelbase.dll" stdcall fn OpenProcess(access: u32, inherit: Bool, id: u32) -> Handle {
        or_else(open_process(access, inherit, id), Handle::NULL)
    }

    /// Opens a thread of this process by id.
    "kernel32.dll|kernelbase.dll" stdcall fn OpenThread(access: u32, inherit: Bool, id: u32) -> Handle {
        or_else(open_thread(access, inherit, id), Handle::NULL)
    }

    /// Reads the times of a process; CPU time is this process's.
    "kernel32.dll|kernelbase.dll" stdcall fn GetProcessTimes(process: Handle, created: Ptr<i64>, exited: Ptr<i64>, kernel: Ptr<i64>, user: Ptr<i64>) -> Bool {
        match lookup::<Process>(process, process::rights::QUERY_LIMITED_INFORMATION) {
            Ok(process) => {
                times(process.create_time, process.exit_time(), [created, exited, kernel, user]);
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Returns the borders of the calling thread's stack.
    "kernel32.dll|kernelbase.dll" stdcall fn GetCurrentThreadStackLimits(low: Ptr<usize>, high: Ptr<usize>) {
        low.write(crate::teb::DEALLOCATION_STACK.at::<usize>(crate::teb::current()).read());
        high.write(crate::teb::STACK_BASE.at::<usize>(crate::teb::current()).read());
    }

    /// Reads the times of a thread; CPU time is the process's.
    "kernel32.dll|kernelbase.dll" stdcall fn GetThreadTimes(thread: Handle, created: Ptr<i64>, exited: Ptr<i64>, kernel: Ptr<i64>, user: Ptr<i64>) -> Bool {
        match lookup::<Thread>(thread, rights::QUERY_LIMITED_INFORMATION) {
            Ok(thread) => {
                let ended = thread.exit_time.load(Ordering::Acquire);
                times(thread.create_time, ended, [created, exited, kernel, user]);
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Returns the relative priority of a thread.
    "kernel32.dll|kernelbase.dll" stdcall fn GetThreadPriority(thread: Handle) -> i32 {
        or_else(lookup::<Thread>(thread, 0).map(|t| t.priority.load(Ordering::Relaxed)), PRIORITY_ERROR)
    }

    /// Sets the relative priority of a thread; Linux gives every thread its share.
    "kernel32.dll|kernelbase.dll" stdcall fn SetThreadPriority(thread: Handle, priority: i32) -> Bool {
        success(lookup::<Thread>(thread, rights::SET_LIMITED_INFORMATION).map(|t| t.priority.store(priority, Ordering::Relaxed)))
    }

    /// Takes note that priorities may not be boosted; Linux has no such boost.
    "kernel32.dll|kernelbase.dll" stdcall fn SetProcessPriorityBoost = "SetProcessPriorityBoost|SetThreadPriorityBoost" (_object: Handle, _disable: Bool) -> Bool {
        Bool::TRUE
    }

    /// Returns the priority class of a process: normal.
    "kernel32.dll|kernelbase.dll" stdcall fn GetPriorityClass(process: Handle) -> u32 {
        or_else(lookup::<Process>(process, 0).map(|_| 0x20), 0)
    }

    /// Sets the priority class of a process; Linux decides.
    "kernel32.dll|kernelbase.dll" stdcall fn SetPriorityClass(process: Handle, _class: u32) -> Bool {
        success(lookup::<Process>(process, process::rights::SET_INFORMATION).map(|_| ()))
    }

    /// Reads the processors a process and the system may use.
    "kernel32.dll|kernelbase.dll" stdcall fn GetProcessAffinityMask(_process: Handle, own: Ptr<usize>, system: Ptr<usize>) -> Bool {
        let mask = affinity();
        own.write(mask);
        system.write(mask);
        Bool::TRUE
    }

    /// Sets the processors the process may use.
    "kernel32.dll|kernelbase.dll" stdcall fn SetProcessAffinityMask(process: Handle, mask: usize) -> Bool {
        success(lookup::<Process>(process, process::rights::SET_INFORMATION).and_then(|_| {
            threads::all().iter().try_for_each(|t| set_affinity(Some(t.tid.load(Ordering::Acquire)), mask))
        }))
    }

    /// Sets the processors a thread may use; returns the old mask.
    "kernel32.dll|kernelbase.dll" stdcall fn SetThreadAffinityMask(thread: Handle, mask: usize) -> usize {
        let before = affinity();
        or_else(
            lookup::<Thread>(thread, rights::SET_INFORMATION)
                .and_then(|t| set_affinity(Some(t.tid.load(Ordering::Acquire)), mask))
                .map(|()| before),
            0,
        )
    }

    /// Names a thread.
    "kernel32.dll|kernelbase.dll" stdcall fn SetThreadDescription(thread: Handle, name: Ptr<u16>) -> u32 {
        let name = name.read_wide_string();
        match lookup::<Thread>(thread, rights::SET_LIMITED_INFORMATION) {
            Ok(thread) => {
                *thread.name.lock() = name;
                0
            }
            // HRESULT_FROM_NT
            Err(status) => status.0 | 0x1000_0000,
        }
    }

    /// Returns the name of a thread in memory for `LocalFree`.
    "kernel32.dll|kernelbase.dll" stdcall fn GetThreadDescription(thread: Handle, name: Ptr<Ptr<u16>>) -> u32 {
        let mut units = match lookup::<Thread>(thread, rights::QUERY_LIMITED_INFORMATION) {
            Ok(thread) => thread.name.lock().clone(),
            Err(status) => return status.0 | 0x1000_0000,
        };
        units.push(0);
        let Some(block) = crate::heap::process().allocate(units.len() * 2, false) else { return 0x8007_000E };
        let text = Ptr::<u16>::new(block);
        text.write_many(&units);
        name.write(text);
        0
    }

    /// Returns whether a process runs under WOW64, as far as the personality says so.
    "kernel32.dll|kernelbase.dll" stdcall fn IsWow64Process(process: Handle, answer: Ptr<i32>) -> Bool {
        match pseudo_entry(process) {
            Ok(_) => {
                answer.write(i32::from(crate::is_wow64()));
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Returns the machine of a process and of the system.
    "kernel32.dll|kernelbase.dll" stdcall fn IsWow64Process2(_process: Handle, process_machine: Ptr<u16>, native: Ptr<u16>) -> Bool {
        const I386: u16 = 0x14C;
        const AMD64: u16 = 0x8664;
        process_machine.write(if crate::is_wow64() { I386 } else { 0 });
        let is_native32 = width() == ntlpc_abi::Width::X86 && !crate::is_wow64();
        native.write_if_some(if is_native32 { I386 } else { AMD64 });
        Bool::TRUE
    }

    /// Keeps bytes of stack for the handler of a stack overflow; the guard here is large enough.
    "kernel32.dll|kernelbase.dll" stdcall fn SetThreadStackGuarantee(bytes: Ptr<u32>) -> Bool {
        let wanted = bytes.read();
        bytes.write(0);
        if wanted > 0x10_0000 { refuse(error::INVALID_PARAMETER, Bool::FALSE) } else { Bool::TRUE }
    }

    /// Returns the number of open handles.
    "kernel32.dll|kernelbase.dll" stdcall fn GetProcessHandleCount(process: Handle, count: Ptr<u32>) -> Bool {
        match lookup::<Process>(process, process::rights::QUERY_LIMITED_INFORMATION) {
            Ok(process) if process.is_current() => {
                count.write(u32::try_from(TABLE.count()).unwrap_or(u32::MAX));
                Bool::TRUE
            }
            Ok(_) => failed(NtStatus::NOT_SUPPORTED, Bool::FALSE),
            Err(status) => failed(status, Bool::FALSE),
        }
    }
}
