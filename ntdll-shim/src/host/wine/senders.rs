//! Opening the process or thread that sent a message, by Wine's NtOpenProcess and NtOpenThread.

use ntlpc_abi::{ClientId, Handle, NtStatus};

use super::ntdll::Entry;
use super::service::ntdll;

/// Returns which thread a handle names: `ThreadBasicInformation`, whose ClientId follows exit status and TEB.
pub fn thread_id(handle: Handle) -> Result<ClientId, NtStatus> {
    const THREAD_BASIC_INFORMATION: u64 = 0;
    const CLIENT_ID: usize = 2;
    let mut basic = [0_u64; 6];
    let ntdll = ntdll();
    // SAFETY: thread, class, a local and its size, no length wanted.
    let status = unsafe {
        ntdll.call(
            ntdll.NtQueryInformationThread,
            [
                handle.0,
                THREAD_BASIC_INFORMATION,
                basic.as_mut_ptr() as u64,
                size_of_val(&basic) as u64,
                0,
            ],
        )
    };
    NtStatus(status).ok()?;
    Ok(ClientId {
        process: basic[CLIENT_ID] as u32,
        thread: basic[CLIENT_ID + 1] as u32,
    })
}

/// Opens a process.
pub fn open_process(process: u32, access: u32, is_inheritable: bool) -> Result<Handle, NtStatus> {
    let id = ClientId { process, thread: 0 };
    open(ntdll().NtOpenProcess, id, access, is_inheritable)
}

/// Opens a thread.
pub fn open_thread(id: ClientId, access: u32, is_inheritable: bool) -> Result<Handle, NtStatus> {
    open(ntdll().NtOpenThread, id, access, is_inheritable)
}

fn open(entry: Entry, id: ClientId, access: u32, is_inheritable: bool) -> Result<Handle, NtStatus> {
    const OBJECT_ATTRIBUTES_LEN: u64 = 48;
    const OBJ_INHERIT: u64 = 2;
    let mut handle = 0_u64;
    let client_id = [u64::from(id.process), u64::from(id.thread)];
    let flags = if is_inheritable { OBJ_INHERIT } else { 0 };
    // Length, root, name, attributes, descriptor, quality of service.
    let attributes = [OBJECT_ATTRIBUTES_LEN, 0, 0, flags, 0, 0];
    // SAFETY: pointers to locals: handle, access, attributes, client id.
    let status = unsafe {
        ntdll().call(
            entry,
            [
                &raw mut handle as u64,
                u64::from(access),
                attributes.as_ptr() as u64,
                client_id.as_ptr() as u64,
            ],
        )
    };
    NtStatus(status).ok()?;
    Ok(Handle(handle))
}
