//! Opening the process or thread that sent a message, by Wine's NtOpenProcess and NtOpenThread.

use ntlpc_abi::{ClientId, Handle, NtStatus};

use super::ntdll::Entry;
use super::service::ntdll;
use super::structures::{ObjectAttributes, Word, client_id_words};

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
    const OBJ_INHERIT: Word = 2;
    let mut handle = 0_u64;
    let client_id = client_id_words(id);
    let attributes = ObjectAttributes::new(if is_inheritable { OBJ_INHERIT } else { 0 });
    // SAFETY: pointers to locals: handle, access, attributes, client id.
    let status = unsafe {
        ntdll().call(
            entry,
            [
                &raw mut handle as u64,
                u64::from(access),
                &raw const attributes as u64,
                client_id.as_ptr() as u64,
            ],
        )
    };
    NtStatus(status).ok()?;
    Ok(Handle(handle))
}
