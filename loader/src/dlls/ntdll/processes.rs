//! Processes and threads: the `Nt` calls.
//!
//! Information classes: phnt `ntpsapi.h`; Microsoft Learn where documented.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use super::objects::{probe, put_counted_string, put_handle, put_information};
use crate::export::{Boolean, Callback, Guest, Ptr};
use crate::guest_struct;
use crate::ob::attributes::{Attributes, ObjectAttributes, UnicodeString};
use crate::ob::object::Object;
use crate::ob::process::{Process, rights as process_rights};
use crate::ob::table::{TABLE, lookup};
use crate::ob::thread::{self as threads, Thread, rights};
use crate::ob::token::{self, Token};
use crate::ob::{agent, impersonation};
use crate::peb;
use crate::process::image;
use crate::thread::Start;
use crate::win_api;

guest_struct! {
    /// `CLIENT_ID`.
    pub struct ClientIdentifier {
        process: Handle,
        thread: Handle,
    }
    /// `PROCESS_BASIC_INFORMATION`.
    pub struct ProcessBasicInformation {
        exit_status: u32,
        peb_base: UserPtr,
        affinity: usize,
        base_priority: i32,
        unique_process_id: usize,
        inherited_from: usize,
    }
    /// `KERNEL_USER_TIMES`.
    pub struct KernelUserTimes {
        create: i64,
        exit: i64,
        kernel: i64,
        user: i64,
    }
    /// `THREAD_BASIC_INFORMATION`.
    pub struct ThreadBasicInformation {
        exit_status: u32,
        teb_base: UserPtr,
        client_id: ClientIdentifier,
        affinity: usize,
        priority: i32,
        base_priority: i32,
    }
}

fn cpu_time() -> i64 {
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    clock.tv_sec * crate::ob::time::UNITS_PER_SECOND + clock.tv_nsec / 100
}

fn query_process(
    handle: Handle,
    class: u32,
    buffer: Ptr<u8>,
    length: u32,
    returned: Ptr<u32>,
) -> Result<(), NtStatus> {
    let process = lookup::<Process>(handle, process_rights::QUERY_LIMITED_INFORMATION)?;
    match class {
        // ProcessBasicInformation
        0 => {
            let parent = rustix::process::getppid()
                .map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs());
            let value = ProcessBasicInformation {
                exit_status: process.exit_code(),
                peb_base: UserPtr(if process.is_current() {
                    peb::address()
                } else {
                    0
                }),
                affinity: 1,
                base_priority: 8,
                unique_process_id: process.pid as usize,
                inherited_from: parent as usize,
            };
            put_information(buffer, length, returned, value)
        }
        // ProcessTimes
        4 => {
            let value = KernelUserTimes {
                create: process.create_time,
                exit: process.exit_time(),
                kernel: 0,
                user: cpu_time(),
            };
            put_information(buffer, length, returned, value)
        }
        // ProcessDebugPort: none is ever set.
        7 => put_information(buffer, length, returned, 0_usize),
        // ProcessHandleCount
        20 => put_information(
            buffer,
            length,
            returned,
            u32::try_from(TABLE.count()).unwrap_or(u32::MAX),
        ),
        // ProcessWow64Information: the address of the 32-bit PEB.
        26 => {
            let is_wow64 = crate::is_wow64();
            let peb = if is_wow64 { peb::address() } else { 0 };
            put_information(buffer, length, returned, peb as usize)
        }
        // ProcessImageFileName, ProcessImageFileNameWin32
        27 | 43 => {
            let path = image::windows_path(&process)?;
            let name = match class {
                27 => crate::ob::volume::device_path(&path),
                _ => path,
            };
            put_counted_string(
                buffer,
                length,
                returned,
                UnicodeString::size(),
                &name.encode_utf16().collect::<Vec<u16>>(),
            )
        }
        // ProcessDebugFlags: not debugged, so inherited.
        31 => put_information(buffer, length, returned, 1_u32),
        _ => Err(NtStatus::INVALID_INFO_CLASS),
    }
}

fn set_process(handle: Handle, class: u32, buffer: Ptr<u8>, length: u32) -> Result<(), NtStatus> {
    match class {
        // ProcessExceptionPort (lpc#211-213)
        8 => {
            if length as usize != Handle::size() {
                return Err(NtStatus::INFO_LENGTH_MISMATCH);
            }
            let port = buffer.cast::<Handle>().try_read()?;
            impersonation::require(token::privilege::TCB)?;
            if !lookup::<Process>(handle, process_rights::SET_INFORMATION)?.is_current() {
                return Err(NtStatus::NOT_SUPPORTED);
            }
            ntdll_shim::classic::exception::set_exception_port(port)
        }
        // ProcessBasePriority, ProcessDefaultHardErrorMode, ProcessPriorityClass, ProcessPriorityBoost
        5 | 12 | 18 | 22 => lookup::<Process>(handle, process_rights::SET_INFORMATION).map(|_| ()),
        // ProcessAccessToken needs SeAssignPrimaryTokenPrivilege, which nobody has here.
        9 => Err(NtStatus::PRIVILEGE_NOT_HELD),
        _ => Err(NtStatus::INVALID_INFO_CLASS),
    }
}

fn query_thread(
    handle: Handle,
    class: u32,
    buffer: Ptr<u8>,
    length: u32,
    returned: Ptr<u32>,
) -> Result<(), NtStatus> {
    let thread = lookup::<Thread>(handle, rights::QUERY_LIMITED_INFORMATION)?;
    let tid = thread.tid.load(Ordering::Acquire);
    match class {
        // ThreadBasicInformation
        0 => {
            let priority = thread.priority.load(Ordering::Relaxed);
            let value = ThreadBasicInformation {
                exit_status: if thread.has_ended() {
                    thread.exit_code()
                } else {
                    threads::STILL_ACTIVE
                },
                teb_base: UserPtr(thread.teb.load(Ordering::Acquire)),
                client_id: ClientIdentifier {
                    process: Handle(thread.pid.into()),
                    thread: Handle(tid.into()),
                },
                affinity: 1,
                priority: 8 + priority,
                base_priority: priority,
            };
            put_information(buffer, length, returned, value)
        }
        // ThreadTimes
        1 => {
            let exit = thread.exit_time.load(Ordering::Acquire);
            put_information(
                buffer,
                length,
                returned,
                KernelUserTimes {
                    create: thread.create_time,
                    exit,
                    kernel: 0,
                    user: cpu_time(),
                },
            )
        }
        // ThreadQuerySetWin32StartAddress
        9 => put_information(
            buffer,
            length,
            returned,
            UserPtr(thread.start_address.load(Ordering::Acquire)),
        ),
        // ThreadAmILastThread
        12 => put_information(
            buffer,
            length,
            returned,
            u32::from(threads::all().len() == 1),
        ),
        // ThreadIsTerminated
        20 => put_information(buffer, length, returned, u32::from(thread.has_ended())),
        // ThreadSuspendCount
        35 => put_information(
            buffer,
            length,
            returned,
            thread.control.suspend_count.load(Ordering::Acquire),
        ),
        // ThreadNameInformation
        38 => {
            let name = thread.name.lock().clone();
            put_counted_string(buffer, length, returned, UnicodeString::size(), &name)
        }
        _ => Err(NtStatus::INVALID_INFO_CLASS),
    }
}

fn set_thread(handle: Handle, class: u32, buffer: Ptr<u8>, length: u32) -> Result<(), NtStatus> {
    match class {
        // ThreadBasePriority
        3 => {
            if length != 4 {
                return Err(NtStatus::INFO_LENGTH_MISMATCH);
            }
            let value = buffer.cast::<i32>().try_read()?;
            lookup::<Thread>(handle, rights::SET_INFORMATION)?
                .priority
                .store(value, Ordering::Relaxed);
            Ok(())
        }
        // ThreadImpersonationToken
        5 => {
            if length as usize != Handle::size() {
                return Err(NtStatus::INFO_LENGTH_MISMATCH);
            }
            let handle_of_token = buffer.cast::<Handle>().try_read()?;
            let token = (handle_of_token != Handle::NULL)
                .then(|| lookup::<Token>(handle_of_token, token::rights::IMPERSONATE))
                .transpose()?;
            let thread = lookup::<Thread>(handle, rights::SET_THREAD_TOKEN)?;
            impersonate(&thread, token)
        }
        // ThreadZeroTlsCell, ThreadHideFromDebugger: no debugger sees the guest's threads.
        10 | 17 => lookup::<Thread>(handle, rights::SET_INFORMATION).map(|_| ()),
        // ThreadNameInformation
        38 => {
            let name = crate::ob::attributes::read_string(
                buffer.cast::<crate::ob::attributes::UnicodeString>(),
            )?;
            *lookup::<Thread>(handle, rights::SET_LIMITED_INFORMATION)?
                .name
                .lock() = name;
            Ok(())
        }
        _ => Err(NtStatus::INVALID_INFO_CLASS),
    }
}

/// Makes a thread impersonate a token, or be itself again.
///
/// Returns `BAD_TOKEN_TYPE` for a primary token.
pub fn impersonate(thread: &Thread, token: Option<Arc<Token>>) -> Result<(), NtStatus> {
    if token
        .as_ref()
        .is_some_and(|token| !token.state().is_impersonation)
    {
        return Err(NtStatus::BAD_TOKEN_TYPE);
    }
    let wire = token
        .as_ref()
        .map(|token| token.to_bytes())
        .unwrap_or_default();
    *thread.token.lock() = token;
    if thread.tid.load(Ordering::Acquire) == crate::linux::thread_id() {
        tell_server(wire)?;
    }
    Ok(())
}

/// Tells the server whose identity the calling thread sends with (dynamic tracking, lpc#181).
fn tell_server(token: Vec<u8>) -> Result<(), NtStatus> {
    use ntdll_shim::engine::{existing_session, me};
    let Some(session) = existing_session() else {
        return Ok(());
    };
    let request = ntlpc_proto::process::SetThreadToken {
        tno: me()?.tno,
        token: ntlpc_proto::Bytes(token),
    };
    session.call(&request, &[]).map(|_| ())
}

fn open(
    to: Ptr<Handle>,
    access: u32,
    attributes: Ptr<ObjectAttributes>,
    find: impl FnOnce() -> Result<Arc<dyn Object>, NtStatus>,
) -> NtStatus {
    let opened = (|| {
        probe(to)?;
        let attributes = Attributes::read(attributes)?;
        if attributes.name.is_some() {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let object = find()?;
        let granted = object.object_type().grant(access)?;
        TABLE
            .insert(object, granted, attributes.handle_flags())
            .map(|handle| (handle, NtStatus::SUCCESS))
    })();
    put_handle(to, opened)
}

fn create_thread(
    to: Ptr<Handle>,
    process: Handle,
    start: Start,
    is_suspended: bool,
) -> Result<(Handle, u32), NtStatus> {
    probe(to)?;
    if !lookup::<Process>(process, 2)?.is_current() {
        return Err(NtStatus::NOT_SUPPORTED);
    }
    crate::dlls::kernel32::processthreadsapi::create_thread(start, is_suspended, false)
}

win_api! {
    /// Describes a process.
    "ntdll.dll" stdcall fn NtQueryInformationProcess = "NtQueryInformationProcess|ZwQueryInformationProcess" (process: Handle, class: u32, buffer: Ptr<u8>, length: u32, returned: Ptr<u32>) -> Result<(), NtStatus> {
        query_process(process, class, buffer, length, returned)
    }

    /// Changes a process.
    "ntdll.dll" stdcall fn NtSetInformationProcess = "NtSetInformationProcess|ZwSetInformationProcess" (process: Handle, class: u32, buffer: Ptr<u8>, length: u32) -> Result<(), NtStatus> {
        set_process(process, class, buffer, length)
    }

    /// Describes a thread.
    "ntdll.dll" stdcall fn NtQueryInformationThread = "NtQueryInformationThread|ZwQueryInformationThread" (thread: Handle, class: u32, buffer: Ptr<u8>, length: u32, returned: Ptr<u32>) -> Result<(), NtStatus> {
        query_thread(thread, class, buffer, length, returned)
    }

    /// Changes a thread.
    "ntdll.dll" stdcall fn NtSetInformationThread = "NtSetInformationThread|ZwSetInformationThread" (thread: Handle, class: u32, buffer: Ptr<u8>, length: u32) -> Result<(), NtStatus> {
        set_thread(thread, class, buffer, length)
    }

    /// Opens a process by id.
    "ntdll.dll" stdcall fn NtOpenProcess = "NtOpenProcess|ZwOpenProcess" (handle: Ptr<Handle>, access: u32, attributes: Ptr<ObjectAttributes>, id: Ptr<ClientIdentifier>) -> NtStatus {
        open(handle, access, attributes, || {
            let id = id.try_read()?;
            let pid = u32::try_from(id.process.0).map_err(|_| NtStatus::INVALID_CID)?;
            let object: Arc<dyn Object> = agent::open_process(pid)?;
            Ok(object)
        })
    }

    /// Opens a thread of this process by id.
    "ntdll.dll" stdcall fn NtOpenThread = "NtOpenThread|ZwOpenThread" (handle: Ptr<Handle>, access: u32, attributes: Ptr<ObjectAttributes>, id: Ptr<ClientIdentifier>) -> NtStatus {
        open(handle, access, attributes, || {
            let id = id.try_read()?;
            let tid = u32::try_from(id.thread.0).map_err(|_| NtStatus::INVALID_CID)?;
            agent::open_thread(tid)
        })
    }

    /// Ends a process at once; a NULL handle means every other thread of this one.
    "ntdll.dll" stdcall fn NtTerminateProcess = "NtTerminateProcess|ZwTerminateProcess" (process: Handle, status: u32) -> Result<(), NtStatus> {
        if process == Handle::NULL {
            return Err(NtStatus::NOT_SUPPORTED);
        }
        lookup::<Process>(process, process_rights::TERMINATE)?.terminate(status)
    }

    /// Starts a thread.
    "ntdll.dll" stdcall fn NtCreateThreadEx = "NtCreateThreadEx|ZwCreateThreadEx" (handle: Ptr<Handle>, _access: u32, _attributes: Ptr<ObjectAttributes>, process: Handle, function: Callback, argument: UserPtr, flags: u32, _zero_bits: usize, _commit: usize, reserve: usize, _list: Ptr<u8>) -> NtStatus {
        // THREAD_CREATE_FLAGS_CREATE_SUSPENDED, THREAD_CREATE_FLAGS_SKIP_THREAD_ATTACH
        let start = Start { function: function.0, argument: argument.0, stack_reserve: reserve as u64, is_attached: flags & 2 == 0 };
        let made = create_thread(handle, process, start, flags & 1 != 0);
        put_handle(handle, made.map(|(handle, _)| (handle, NtStatus::SUCCESS)))
    }

    /// Starts a thread.
    "ntdll.dll" stdcall fn RtlCreateUserThread(process: Handle, _security: UserPtr, suspended: Boolean, _zero_bits: u32, reserve: usize, _commit: usize, function: Callback, argument: UserPtr, handle: Ptr<Handle>, id: Ptr<ClientIdentifier>) -> NtStatus {
        let start = Start { function: function.0, argument: argument.0, stack_reserve: reserve as u64, is_attached: true };
        match create_thread(if handle.is_null() { Ptr::new(peb::parameters().address()) } else { handle }, process, start, suspended.get()) {
            Ok((made, tid)) => {
                if handle.is_null() {
                    let _ = TABLE.close(made);
                } else {
                    handle.write(made);
                }
                id.write_if_some(ClientIdentifier { process: Handle(std::process::id().into()), thread: Handle(tid.into()) });
                NtStatus::SUCCESS
            }
            Err(status) => status,
        }
    }

    /// Suspends a thread.
    "ntdll.dll" stdcall fn NtSuspendThread = "NtSuspendThread|ZwSuspendThread" (thread: Handle, previous: Ptr<u32>) -> Result<(), NtStatus> {
        let before = lookup::<Thread>(thread, rights::SUSPEND_RESUME)?.suspend()?;
        previous.non_null().map_or(Ok(()), |to| to.try_write(before))
    }

    /// Takes one suspension of a thread back.
    "ntdll.dll" stdcall fn NtResumeThread = "NtResumeThread|ZwResumeThread" (thread: Handle, previous: Ptr<u32>) -> Result<(), NtStatus> {
        let before = lookup::<Thread>(thread, rights::SUSPEND_RESUME)?.resume();
        previous.non_null().map_or(Ok(()), |to| to.try_write(before))
    }

    /// Opens the token of a process.
    "ntdll.dll" stdcall fn NtOpenProcessToken = "NtOpenProcessToken|ZwOpenProcessToken" (process: Handle, access: u32, handle: Ptr<Handle>) -> NtStatus {
        put_handle(handle, probe(handle).and_then(|()| open_process_token(process, access)).map(|h| (h, NtStatus::SUCCESS)))
    }

    /// Opens the token a thread impersonates with.
    "ntdll.dll" stdcall fn NtOpenThreadToken = "NtOpenThreadToken|ZwOpenThreadToken" (thread: Handle, access: u32, _as_self: Boolean, handle: Ptr<Handle>) -> NtStatus {
        put_handle(handle, probe(handle).and_then(|()| open_thread_token(thread, access)).map(|h| (h, NtStatus::SUCCESS)))
    }

    /// Ends the alertable wait of a thread, or its next one.
    "ntdll.dll" stdcall fn NtAlertThread = "NtAlertThread|ZwAlertThread" (thread: Handle) -> Result<(), NtStatus> {
        lookup::<Thread>(thread, rights::SUSPEND_RESUME)?.apcs.alert();
        Ok(())
    }

    /// Tells a monitor of silent exits that a process is about to be ended; nobody monitors any.
    "ntdll.dll" stdcall fn RtlReportSilentProcessExit(process: Handle, _status: NtStatus) -> Result<(), NtStatus> {
        lookup::<Process>(process, 0).map(|_| ())
    }

    /// The PEB of the process.
    "ntdll.dll" stdcall fn RtlGetCurrentPeb() -> UserPtr {
        UserPtr(peb::address())
    }
}

/// Makes a handle to the token of a process. Tokens of other processes are those of the same user.
pub fn open_process_token(process: Handle, access: u32) -> Result<Handle, NtStatus> {
    lookup::<Process>(process, process_rights::QUERY_LIMITED_INFORMATION)?;
    let token = token::primary();
    let granted = token.object_type().grant(access)?;
    TABLE.insert(token, granted, 0)
}

/// Makes a handle to the token a thread impersonates with.
///
/// Returns `NO_TOKEN`, or `CANT_OPEN_ANONYMOUS` at level Anonymous (lpc §3.9).
pub fn open_thread_token(thread: Handle, access: u32) -> Result<Handle, NtStatus> {
    let thread = lookup::<Thread>(thread, rights::QUERY_INFORMATION)?;
    let token = thread.token.lock().clone().ok_or(NtStatus::NO_TOKEN)?;
    if token.state().level == 0 {
        return Err(NtStatus::CANT_OPEN_ANONYMOUS);
    }
    let granted = token.object_type().grant(access)?;
    TABLE.insert(token, granted, 0)
}
