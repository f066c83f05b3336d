//! Completion ports and completion routines: `ioapiset.h`, `fileapi.h`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use super::srw::milliseconds;
use crate::dlls::ntdll::iocompletion::remove;
use crate::dlls::win32::{INVALID_HANDLE_VALUE, error, failed, refuse, success};
use crate::export::{Bool, Callback, Ptr};
use crate::guest_struct;
use crate::ob::completion::{COMPLETION_TYPE, Completion, Packet};
use crate::ob::file::File;
use crate::ob::overlapped::Overlapped;
use crate::ob::sync::MODIFY_STATE;
use crate::ob::synchronous;
use crate::ob::table::{TABLE, lookup};
use crate::ob::thread::{self, Thread, rights};
use crate::win_api;

guest_struct! {
    /// `OVERLAPPED_ENTRY`.
    pub struct OverlappedEntry {
        key: usize,
        overlapped: UserPtr,
        internal: usize,
        bytes: u32,
    }
}

fn associate(file: Handle, port: Handle, key: usize) -> Result<Handle, NtStatus> {
    let (completion, handle) = if port == Handle::NULL {
        let completion = Arc::new(Completion::default());
        let handle = TABLE.insert(completion.clone(), COMPLETION_TYPE.generic[3], 0)?;
        (completion, handle)
    } else {
        (lookup::<Completion>(port, MODIFY_STATE)?, port)
    };
    if file != INVALID_HANDLE_VALUE {
        let file = lookup::<File>(file, 0)?;
        let mut slot = file.completion.lock();
        // A file belongs to one port for good.
        if !file.is_overlapped || slot.is_some() {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        *slot = Some((completion, key as u64));
    }
    Ok(handle)
}

fn packets(port: Handle, most: usize, timeout: u32) -> Result<Vec<Packet>, NtStatus> {
    Ok(lookup::<Completion>(port, MODIFY_STATE)?.remove(most, milliseconds(timeout)))
}

/// Reads or writes, then queues the completion routine to the calling thread.
pub(super) fn with_routine(
    file: Handle,
    overlapped: Ptr<Overlapped>,
    routine: Callback,
    transfer: impl FnOnce(Ptr<u32>) -> Bool,
) -> Bool {
    if let Err(status) = lookup::<File>(file, 0) {
        return failed(status, Bool::FALSE);
    }
    // The event member is the caller's own with a routine; no event is set.
    let given = overlapped.read();
    overlapped.write(Overlapped {
        event: Handle::NULL,
        ..given
    });
    crate::ob::reactor::note_routine(overlapped.address(), routine, thread::current());
    let done = transfer(Ptr::NULL);
    let is_pending = !done.get() && crate::teb::last_error() == error::IO_PENDING;
    let status = NtStatus(overlapped.cast::<usize>().read() as u32);
    overlapped
        .byte_add((<Overlapped as crate::export::Guest>::size() - crate::width().pointer()) as u64)
        .cast::<Handle>()
        .write(given.event);
    if is_pending {
        return Bool::TRUE;
    }
    if let Some(routine) = crate::ob::reactor::take_routine(overlapped.address()) {
        if !done.get() && status.0 >= 0xC000_0000 && status != NtStatus::END_OF_FILE {
            return Bool::FALSE;
        }
        let bytes = overlapped.cast::<usize>().add(1).read() as u64;
        routine.queue(status, bytes);
    }
    Bool::TRUE
}

win_api! {
    /// Makes a completion port and binds files to it.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateIoCompletionPort(file: Handle, port: Handle, key: usize, _threads: u32) -> Handle {
        crate::dlls::win32::or_else(associate(file, port, key), Handle::NULL)
    }

    /// Queues a packet to a completion port.
    "kernel32.dll|kernelbase.dll" stdcall fn PostQueuedCompletionStatus(port: Handle, bytes: u32, key: usize, overlapped: UserPtr) -> Bool {
        let packet = Packet { key: key as u64, value: overlapped.0, status: 0, information: bytes.into() };
        success(lookup::<Completion>(port, MODIFY_STATE).map(|port| port.post(packet)))
    }

    /// Takes a packet from a completion port.
    "kernel32.dll|kernelbase.dll" stdcall fn GetQueuedCompletionStatus(port: Handle, bytes: Ptr<u32>, key: Ptr<usize>, overlapped: Ptr<UserPtr>, timeout: u32) -> Bool {
        match packets(port, 1, timeout) {
            Ok(list) => match list.first() {
                Some(packet) => {
                    bytes.write(packet.information as u32);
                    key.write(packet.key as usize);
                    overlapped.write(UserPtr(packet.value));
                    let status = NtStatus(packet.status);
                    if status.0 >= 0x8000_0000 { failed(status, Bool::FALSE) } else { Bool::TRUE }
                }
                None => {
                    overlapped.write(UserPtr::NULL);
                    refuse(258, Bool::FALSE)
                }
            },
            Err(status) => {
                overlapped.write(UserPtr::NULL);
                failed(status, Bool::FALSE)
            }
        }
    }

    /// Takes several packets from a completion port.
    "kernel32.dll|kernelbase.dll" stdcall fn GetQueuedCompletionStatusEx(port: Handle, entries: Ptr<OverlappedEntry>, count: u32, removed: Ptr<u32>, timeout: u32, alertable: Bool) -> Bool {
        match remove(port, count as usize, milliseconds(timeout), alertable.get()) {
            Ok(list) => {
                for (i, packet) in list.iter().enumerate() {
                    entries.add(i).write(OverlappedEntry {
                        key: packet.key as usize,
                        overlapped: UserPtr(packet.value),
                        internal: packet.status as usize,
                        bytes: packet.information as u32,
                    });
                }
                removed.write(list.len() as u32);
                if list.is_empty() { refuse(258, Bool::FALSE) } else { Bool::TRUE }
            }
            // WAIT_IO_COMPLETION
            Err(NtStatus::USER_APC) => refuse(NtStatus::USER_APC.0, Bool::FALSE),
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Cancels the read, write or other call on a pipe or device that a thread of this process waits in.
    "kernel32.dll|kernelbase.dll" stdcall fn CancelSynchronousIo(thread: Handle) -> Bool {
        match lookup::<Thread>(thread, rights::TERMINATE) {
            Ok(thread) if synchronous::cancel(thread.tid.load(Ordering::Acquire)) => Bool::TRUE,
            Ok(_) => refuse(error::NOT_FOUND, Bool::FALSE),
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Says whether what ends at once is told to the port and the event.
    "kernel32.dll|kernelbase.dll" stdcall fn SetFileCompletionNotificationModes(file: Handle, modes: u8) -> Bool {
        success(lookup::<File>(file, 0).map(|file| file.notification_modes.store(modes, Ordering::Relaxed)))
    }

    /// Reads and calls a routine in an alertable wait.
    "kernel32.dll|kernelbase.dll" stdcall fn ReadFileEx(file: Handle, buffer: Ptr<u8>, length: u32, overlapped: Ptr<Overlapped>, routine: Callback) -> Bool {
        with_routine(file, overlapped, routine, |done| super::ioapiset::ReadFile(file, buffer, length, done, overlapped))
    }

    /// Writes and calls a routine in an alertable wait.
    "kernel32.dll|kernelbase.dll" stdcall fn WriteFileEx(file: Handle, buffer: Ptr<u8>, length: u32, overlapped: Ptr<Overlapped>, routine: Callback) -> Bool {
        with_routine(file, overlapped, routine, |done| super::ioapiset::WriteFile(file, buffer, length, done, overlapped))
    }
}
