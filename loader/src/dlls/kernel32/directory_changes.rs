//! Changes in directories: `ReadDirectoryChangesW` of `winbase.h`.
//!
//! Source: Microsoft Learn, "ReadDirectoryChangesW function".

use std::os::fd::OwnedFd;
use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};
use rustix::event::PollFlags;

use super::ioapi::with_routine;
use crate::dlls::win32::{error, failed, refuse};
use crate::export::{Bool, Callback, Ptr};
use crate::ob::changes::{self, Changes, filter};
use crate::ob::file::{File, rights};
use crate::ob::overlapped::Overlapped;
use crate::ob::reactor::{self, Order};
use crate::ob::sync::Event;
use crate::ob::synchronous::Call;
use crate::ob::table::lookup;
use crate::ob::{suspend, terminal};
use crate::win_api;

/// `ERROR_NOACCESS`: the buffer is not aligned.
const NOACCESS: u32 = 998;
/// How often a wait looks whether it shall end, in ms.
const INTERVAL: i64 = 100;

fn give(changes: &Changes, buffer: Ptr<u8>, length: usize) -> Result<usize, NtStatus> {
    let bytes = changes.take(length)?;
    buffer.try_write_bytes(&bytes)?;
    Ok(bytes.len())
}

/// Waits for changes.
fn wait(changes: &Changes, buffer: Ptr<u8>, length: usize) -> Result<usize, NtStatus> {
    let call = Call::begin();
    loop {
        match give(changes, buffer, length) {
            Err(NtStatus::RETRY) => {}
            other => return other,
        }
        let is_ready = terminal::has_input(changes.fd(), INTERVAL);
        if call.is_cancelled() || !is_ready && suspend::pause_wait() {
            return Err(NtStatus::CANCELLED);
        }
    }
}

fn start(
    file: &Arc<File>,
    changes: Arc<Changes>,
    buffer: Ptr<u8>,
    length: usize,
    overlapped: Ptr<Overlapped>,
) -> Bool {
    overlapped
        .cast::<usize>()
        .write(NtStatus::PENDING.0 as usize);
    if let Ok(event) = lookup::<Event>(Handle(overlapped.read().event.0 & !1), 0) {
        event.reset();
    }
    file.signal.assign(false);
    let watched = changes.clone();
    let wait = move |_: &Arc<File>, cancel: &OwnedFd| {
        if watched.has_records() {
            return Ok(());
        }
        reactor::wait_ready(watched.fd(), PollFlags::IN, cancel)
    };
    let operation = move |_: &Arc<File>| give(&changes, buffer, length);
    match reactor::start_waiting(
        file.clone(),
        PollFlags::IN,
        Order::AsStarted,
        overlapped,
        wait,
        operation,
    ) {
        Ok(()) => refuse(error::IO_PENDING, Bool::FALSE),
        Err(status) => failed(status, Bool::FALSE),
    }
}

win_api! {
    /// Tells of changes in a directory, once there are any.
    "kernel32.dll|kernelbase.dll" stdcall fn ReadDirectoryChangesW(directory: Handle, buffer: Ptr<u8>, length: u32, is_tree: Bool, filter: u32, returned: Ptr<u32>, overlapped: Ptr<Overlapped>, routine: Callback) -> Bool {
        let file = match lookup::<File>(directory, rights::READ_DATA) {
            Ok(file) => file,
            Err(status) => return failed(status, Bool::FALSE),
        };
        if filter == 0 || filter & !filter::ALL != 0 {
            return refuse(error::INVALID_PARAMETER, Bool::FALSE);
        }
        if !buffer.address().is_multiple_of(4) {
            return refuse(NOACCESS, Bool::FALSE);
        }
        let changes = match changes::of(&file, filter, is_tree.get()) {
            Ok(changes) => changes,
            Err(status) => return failed(status, Bool::FALSE),
        };
        let Some(overlapped) = overlapped.non_null().filter(|_| file.is_overlapped) else {
            return match wait(&changes, buffer, length as usize) {
                Ok(count) => {
                    returned.write_if_some(u32::try_from(count).unwrap_or(u32::MAX));
                    Bool::TRUE
                }
                Err(status) => failed(status, Bool::FALSE),
            };
        };
        let begin = |_| start(&file, changes, buffer, length as usize, overlapped);
        let begun = if routine.is_null() {
            begin(Ptr::NULL)
        } else if file.completion.lock().is_some() {
            return refuse(error::INVALID_PARAMETER, Bool::FALSE);
        } else {
            with_routine(directory, overlapped, routine, begin)
        };
        // A request that was taken is a success, whenever it ends.
        if !begun.get() && crate::teb::last_error() == error::IO_PENDING { Bool::TRUE } else { begun }
    }
}
