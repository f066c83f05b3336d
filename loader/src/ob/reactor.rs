//! Overlapped operations that cannot end at once: a host thread each, on a pipe or device.
//!
//! The thread sleeps until the descriptor is ready or the operation is cancelled, moves the bytes straight to or from the
//! guest's buffer, and completes the operation.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use ntlpc_abi::NtStatus;
use parking_lot::Mutex;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::apc::Apc;
use super::file::File;
use super::overlapped::{Overlapped, Way, complete};
use super::thread::Thread;
use crate::export::{Callback, Ptr};

/// A completion routine and the thread that runs it.
struct Routine {
    overlapped: u64,
    function: Callback,
    thread: Arc<Thread>,
}

static ROUTINES: Mutex<Vec<Routine>> = Mutex::new(Vec::new());

/// Notes the completion routine of an operation that is about to start.
pub fn note_routine(overlapped: u64, function: Callback, thread: Arc<Thread>) {
    ROUTINES.lock().push(Routine {
        overlapped,
        function,
        thread,
    });
}

/// Takes the completion routine of an operation.
pub fn take_routine(overlapped: u64) -> Option<(Callback, Arc<Thread>)> {
    let mut routines = ROUTINES.lock();
    let at = routines
        .iter()
        .position(|routine| routine.overlapped == overlapped)?;
    let routine = routines.remove(at);
    Some((routine.function, routine.thread))
}

/// An operation in progress.
struct Pending {
    file: usize,
    overlapped: u64,
    cancel: Arc<OwnedFd>,
}

static PENDING: Mutex<Vec<Pending>> = Mutex::new(Vec::new());

fn wanted(way: Way) -> PollFlags {
    match way {
        Way::Read => PollFlags::IN,
        Way::Write => PollFlags::OUT,
    }
}

/// Returns whether an operation would end at once.
#[must_use]
pub fn is_ready(file: &File, way: Way) -> bool {
    let fd = file.fd();
    let mut fds = [PollFd::new(&fd, wanted(way))];
    let now = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    matches!(poll(&mut fds, Some(&now)), Ok(count) if count > 0)
}

/// Starts a read or write that completes later.
pub fn start(
    file: Arc<File>,
    way: Way,
    buffer: Ptr<u8>,
    length: usize,
    overlapped: Ptr<Overlapped>,
) -> Result<(), NtStatus> {
    start_operation(file, wanted(way), overlapped, move |file| match way {
        Way::Read => file.read(buffer, length, None),
        Way::Write => file.write(buffer, length, None),
    })
}

/// Starts an operation that runs when the descriptor is ready; `RETRY` as its result waits again.
pub fn start_operation(
    file: Arc<File>,
    events: PollFlags,
    overlapped: Ptr<Overlapped>,
    mut operation: impl FnMut(&Arc<File>) -> Result<usize, NtStatus> + Send + 'static,
) -> Result<(), NtStatus> {
    let cancel = eventfd(0, EventfdFlags::CLOEXEC).map_err(|_| NtStatus::TOO_MANY_OPENED_FILES)?;
    let cancel = Arc::new(cancel);
    let key = Arc::as_ptr(&file).addr();
    PENDING.lock().push(Pending {
        file: key,
        overlapped: overlapped.address(),
        cancel: cancel.clone(),
    });
    let run = move || {
        let status = loop {
            match wait_ready(&file, events, &cancel).and_then(|()| operation(&file)) {
                Err(NtStatus::RETRY) => {}
                other => break other,
            }
        };
        PENDING.lock().retain(|p| !Arc::ptr_eq(&p.cancel, &cancel));
        let (status, done) =
            status.map_or_else(|status| (status, 0), |done| (NtStatus::SUCCESS, done));
        complete(&file, overlapped, status, done);
        if let Some((function, thread)) = take_routine(overlapped.address()) {
            let code = u64::from(crate::win32_error::dos_error(status));
            thread.apcs.push(Apc {
                function: function.0,
                args: [code, done as u64, overlapped.address()],
            });
        }
    };
    match std::thread::Builder::new()
        .name("overlapped".into())
        .stack_size(0x2_0000)
        .spawn(run)
    {
        Ok(_) => Ok(()),
        Err(_) => {
            PENDING
                .lock()
                .retain(|p| p.overlapped != overlapped.address());
            Err(NtStatus::INSUFFICIENT_RESOURCES)
        }
    }
}

fn wait_ready(file: &File, events: PollFlags, cancel: &OwnedFd) -> Result<(), NtStatus> {
    let fd = file.fd();
    loop {
        let mut fds = [
            PollFd::new(&fd, events),
            PollFd::from_borrowed_fd(cancel.as_fd(), PollFlags::IN),
        ];
        if poll(&mut fds, None).is_err() {
            continue;
        }
        if !fds[1].revents().is_empty() {
            return Err(NtStatus::CANCELLED);
        }
        if !fds[0].revents().is_empty() {
            return Ok(());
        }
    }
}

/// Cancels the operations on a file, or the one with this `OVERLAPPED`; returns whether there was any.
pub fn cancel(file: &Arc<File>, overlapped: Option<u64>) -> bool {
    let key = Arc::as_ptr(file).addr();
    let mut found = false;
    for pending in PENDING.lock().iter() {
        if pending.file == key && overlapped.is_none_or(|o| o == pending.overlapped) {
            found |= rustix::io::write(&pending.cancel, &1_u64.to_ne_bytes()).is_ok();
        }
    }
    found
}
