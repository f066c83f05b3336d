//! Reading and writing, and what comes of overlapped operations: `fileapi.h`, `ioapiset.h`.

use std::sync::atomic::Ordering;

use ntlpc_abi::{Handle, NtStatus};

use crate::dlls::win32::{error, failed, refuse, success};
use crate::export::{Bool, Ptr};
use crate::ob::file::{File, FileKind, rights};
use crate::ob::overlapped::{Overlapped, Way, complete};
use crate::ob::sync::Event;
use crate::ob::table::lookup;
use crate::win_api;

/// `FILE_SKIP_COMPLETION_PORT_ON_SUCCESS`.
const SKIP_ON_SUCCESS: u8 = 1;

fn transfer_now(
    file: &File,
    way: Way,
    buffer: Ptr<u8>,
    length: usize,
    offset: Option<u64>,
) -> Result<usize, NtStatus> {
    match way {
        Way::Read => file.read(buffer, length, offset),
        Way::Write => file.write(buffer, length, offset),
    }
}

fn transfer(
    handle: Handle,
    way: Way,
    buffer: Ptr<u8>,
    length: u32,
    done: Ptr<u32>,
    overlapped: Ptr<Overlapped>,
) -> Bool {
    let access = match way {
        Way::Read => rights::READ_DATA,
        Way::Write => 0,
    };
    let file = match lookup::<File>(handle, access) {
        Ok(file) => file,
        Err(status) => return failed(status, Bool::FALSE),
    };
    done.write_if_some(0);
    if let Err(status) = crate::ob::pipe::accept_pending(&file) {
        return failed(status, Bool::FALSE);
    }
    let Some(overlapped) = overlapped.non_null() else {
        let result = transfer_now(&file, way, buffer, length as usize, None);
        return match result {
            Ok(count) => {
                done.write_if_some(u32::try_from(count).unwrap_or(u32::MAX));
                Bool::TRUE
            }
            // Reading at the end of a file is a success of zero bytes.
            Err(NtStatus::END_OF_FILE) => Bool::TRUE,
            Err(status) => failed(status, Bool::FALSE),
        };
    };
    let given = overlapped.read();
    let offset = u64::from(given.offset_high) << 32 | u64::from(given.offset);
    if let Ok(event) = lookup::<Event>(Handle(given.event.0 & !1), 0) {
        event.reset();
    }
    overlapped
        .cast::<usize>()
        .write(NtStatus::PENDING.0 as usize);
    if file.is_overlapped
        && file.kind != FileKind::Disk
        && !crate::ob::reactor::is_ready(&file, way)
    {
        file.signal.assign(false);
        return match crate::ob::reactor::start(file, way, buffer, length as usize, overlapped) {
            Ok(()) => refuse(error::IO_PENDING, Bool::FALSE),
            Err(status) => failed(status, Bool::FALSE),
        };
    }
    let result = transfer_now(&file, way, buffer, length as usize, Some(offset));
    let (status, count) =
        result.map_or_else(|status| (status, 0), |count| (NtStatus::SUCCESS, count));
    if !file.is_overlapped && status == NtStatus::SUCCESS && file.kind == FileKind::Disk {
        // Synchronous files keep a position even when told where to start.
        let _ = rustix::fs::seek(
            file.fd(),
            rustix::fs::SeekFrom::Start(offset + count as u64),
        );
    }
    if status != NtStatus::SUCCESS {
        overlapped.cast::<usize>().write(status.0 as usize);
        return failed(status, Bool::FALSE);
    }
    if file.notification_modes.load(Ordering::Relaxed) & SKIP_ON_SUCCESS != 0 {
        let port = file.completion.lock().take();
        complete(&file, overlapped, status, count);
        *file.completion.lock() = port;
    } else {
        complete(&file, overlapped, status, count);
    }
    done.write_if_some(u32::try_from(count).unwrap_or(u32::MAX));
    Bool::TRUE
}

fn overlapped_result(
    handle: Handle,
    overlapped: Ptr<Overlapped>,
    done: Ptr<u32>,
    deadline_ns: Option<u64>,
) -> Bool {
    use crate::ob::wait::{WaitKind, wait};
    let state = overlapped.cast::<usize>();
    let status = NtStatus(state.read() as u32);
    if status == NtStatus::PENDING {
        if deadline_ns == Some(0) {
            return refuse(error::IO_INCOMPLETE, Bool::FALSE);
        }
        let event = Handle(overlapped.read().event.0 & !1);
        let object = if event == Handle::NULL {
            crate::ob::pseudo_entry(handle)
        } else {
            crate::ob::pseudo_entry(event)
        };
        match object {
            Ok(entry)
                if wait(
                    std::slice::from_ref(&entry.object),
                    WaitKind::Any,
                    false,
                    deadline_ns,
                ) == NtStatus::TIMEOUT =>
            {
                return refuse(258, Bool::FALSE);
            }
            Ok(_) => {}
            Err(status) => return failed(status, Bool::FALSE),
        }
    }
    done.write(u32::try_from(state.add(1).read()).unwrap_or(u32::MAX));
    let status = NtStatus(state.read() as u32);
    if status.0 >= 0x8000_0000 {
        failed(status, Bool::FALSE)
    } else {
        Bool::TRUE
    }
}

win_api! {
    /// Reads from a file.
    "kernel32.dll|kernelbase.dll" stdcall fn ReadFile(file: Handle, buffer: Ptr<u8>, length: u32, done: Ptr<u32>, overlapped: Ptr<Overlapped>) -> Bool {
        transfer(file, Way::Read, buffer, length, done, overlapped)
    }

    /// Writes to a file.
    "kernel32.dll|kernelbase.dll" stdcall fn WriteFile(file: Handle, buffer: Ptr<u8>, length: u32, done: Ptr<u32>, overlapped: Ptr<Overlapped>) -> Bool {
        transfer(file, Way::Write, buffer, length, done, overlapped)
    }

    /// Reads the outcome of an overlapped operation.
    "kernel32.dll|kernelbase.dll" stdcall fn GetOverlappedResult(file: Handle, overlapped: Ptr<Overlapped>, done: Ptr<u32>, wait: Bool) -> Bool {
        overlapped_result(file, overlapped, done, if wait.get() { None } else { Some(0) })
    }

    /// Reads the outcome of an overlapped operation, waiting at most for a time.
    "kernel32.dll|kernelbase.dll" stdcall fn GetOverlappedResultEx(file: Handle, overlapped: Ptr<Overlapped>, done: Ptr<u32>, timeout: u32, _alertable: Bool) -> Bool {
        let deadline = if timeout == 0 { Some(0) } else { super::srw::milliseconds(timeout) };
        overlapped_result(file, overlapped, done, deadline)
    }

    /// Cancels the overlapped operations on a file.
    "kernel32.dll|kernelbase.dll" stdcall fn CancelIoEx(file: Handle, overlapped: Ptr<Overlapped>) -> Bool {
        match lookup::<File>(file, 0) {
            Ok(file) if crate::ob::reactor::cancel(&file, overlapped.non_null().map(Ptr::address)) => Bool::TRUE,
            Ok(_) => refuse(error::NOT_FOUND, Bool::FALSE),
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Cancels the overlapped operations on a file.
    "kernel32.dll|kernelbase.dll" stdcall fn CancelIo(file: Handle) -> Bool {
        success(lookup::<File>(file, 0).map(|file| { crate::ob::reactor::cancel(&file, None); }))
    }
}
