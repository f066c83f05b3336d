//! Overlapped operations that cannot end at once: a host thread each, on a pipe, socket or device.
//!
//! The thread sleeps until the descriptor is ready or the operation is cancelled, moves the bytes straight to or from the
//! guest's buffer, and completes the operation. Those of one file and direction run in the order they were started in.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use ntlpc_abi::{NtStatus, UserPtr};
use parking_lot::{Condvar, Mutex};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::apc::Apc;
use super::file::File;
use super::overlapped::{Overlapped, Way, complete, complete_quietly};
use super::thread::Thread;
use crate::export::{Callback, Ptr};

/// A completion routine and the thread that runs it.
#[derive(Debug)]
pub struct Routine {
    overlapped: u64,
    function: Callback,
    /// `ApcContext`, if it is a routine of an `Nt` call.
    native_context: Option<UserPtr>,
    thread: Arc<Thread>,
}

impl Routine {
    /// Has the thread call the routine in its next alertable wait.
    pub fn queue(self, status: NtStatus, done: u64) {
        let args = match self.native_context {
            // Context, status block, reserved (Microsoft Learn "IO_APC_ROUTINE").
            Some(context) => [context.0, self.overlapped, 0, 0],
            // The last one is for routines of sockets: the flags of a receive, none of which exist here.
            None => {
                let code = u64::from(crate::win32_error::dos_error(status));
                [code, done, self.overlapped, 0]
            }
        };
        self.thread.apcs.push(Apc {
            function: self.function.0,
            args,
        });
    }
}

static ROUTINES: Mutex<Vec<Routine>> = Mutex::new(Vec::new());

/// Notes the completion routine of an operation that is about to start.
pub fn note_routine(overlapped: u64, function: Callback, thread: Arc<Thread>) {
    ROUTINES.lock().push(Routine {
        overlapped,
        function,
        native_context: None,
        thread,
    });
}

/// Notes the routine of an operation of an `Nt` call, by its status block.
pub fn note_native_routine(io: u64, function: Callback, context: UserPtr, thread: Arc<Thread>) {
    ROUTINES.lock().push(Routine {
        overlapped: io,
        function,
        native_context: Some(context),
        thread,
    });
}

/// Takes the completion routine of an operation.
pub fn take_routine(overlapped: u64) -> Option<Routine> {
    let mut routines = ROUTINES.lock();
    let at = routines
        .iter()
        .position(|routine| routine.overlapped == overlapped)?;
    Some(routines.remove(at))
}

/// An operation in progress.
struct Pending {
    file: usize,
    events: PollFlags,
    overlapped: u64,
    cancel: Arc<OwnedFd>,
    is_cancelled: bool,
    /// Its end is being told; it cannot be cancelled any more.
    is_over: bool,
    /// Whether those of its file and direction wait for it.
    is_ordered: bool,
}

impl Pending {
    fn is_before(&self, (file, events): (usize, PollFlags)) -> bool {
        self.is_ordered && self.file == file && self.events == events
    }
}

/// Whether an operation takes its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// After those of its file and direction that were started before.
    AsStarted,
    /// At any time.
    Any,
}

static PENDING: Mutex<Vec<Pending>> = Mutex::new(Vec::new());
/// Told when an operation ends or is cancelled.
static TURN: Condvar = Condvar::new();

/// Waits until an operation is the first of its file and direction.
fn wait_turn(own: &Arc<OwnedFd>) -> Result<(), NtStatus> {
    let mut pending = PENDING.lock();
    loop {
        let Some(at) = pending.iter().position(|p| Arc::ptr_eq(&p.cancel, own)) else {
            return Err(NtStatus::CANCELLED);
        };
        let (before, this) = (&pending[..at], &pending[at]);
        if this.is_cancelled {
            return Err(NtStatus::CANCELLED);
        }
        let lane = (this.file, this.events);
        if !this.is_ordered || !before.iter().any(|p| p.is_before(lane)) {
            return Ok(());
        }
        TURN.wait(&mut pending);
    }
}

fn remove(own: &Arc<OwnedFd>) {
    PENDING.lock().retain(|p| !Arc::ptr_eq(&p.cancel, own));
    TURN.notify_all();
}

fn wanted(way: Way) -> PollFlags {
    match way {
        Way::Read => PollFlags::IN,
        Way::Write => PollFlags::OUT,
    }
}

/// Returns whether an operation would end at once: none is before it, and the descriptor is ready.
#[must_use]
pub fn is_ready(file: &File, way: Way) -> bool {
    let key = (std::ptr::from_ref(file).addr(), wanted(way));
    if PENDING.lock().iter().any(|p| p.is_before(key)) {
        return false;
    }
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
    let transfer = move |file: &Arc<File>| match way {
        Way::Read => file.read(buffer, length, None),
        Way::Write => file.write(buffer, length, None),
    };
    start_operation(file, wanted(way), Order::AsStarted, overlapped, transfer)
}

/// Starts an operation that runs when the descriptor is ready; `RETRY` as its result waits again.
pub fn start_operation(
    file: Arc<File>,
    events: PollFlags,
    order: Order,
    overlapped: Ptr<Overlapped>,
    operation: impl FnMut(&Arc<File>) -> Result<usize, NtStatus> + Send + 'static,
) -> Result<(), NtStatus> {
    let wait = move |file: &Arc<File>, cancel: &OwnedFd| wait_ready(file.fd(), events, cancel);
    start_waiting(file, events, order, overlapped, wait, operation)
}

/// Starts an operation that runs when `wait` returns, which a descriptor of its own may tell ([`wait_ready`]); `RETRY` as
/// its result waits again. `events` is the direction.
pub fn start_waiting(
    file: Arc<File>,
    events: PollFlags,
    order: Order,
    overlapped: Ptr<Overlapped>,
    mut wait: impl FnMut(&Arc<File>, &OwnedFd) -> Result<(), NtStatus> + Send + 'static,
    mut operation: impl FnMut(&Arc<File>) -> Result<usize, NtStatus> + Send + 'static,
) -> Result<(), NtStatus> {
    let cancel = eventfd(0, EventfdFlags::CLOEXEC).map_err(|_| NtStatus::TOO_MANY_OPENED_FILES)?;
    let cancel = Arc::new(cancel);
    let key = Arc::as_ptr(&file).addr();
    PENDING.lock().push(Pending {
        file: key,
        events,
        overlapped: overlapped.address(),
        cancel: cancel.clone(),
        is_cancelled: false,
        is_over: false,
        is_ordered: order == Order::AsStarted,
    });
    let own = cancel.clone();
    let run = move || {
        let mut turn = wait_turn(&cancel);
        let status = loop {
            match turn
                .and_then(|()| wait(&file, &cancel))
                .and_then(|()| operation(&file))
            {
                Err(NtStatus::RETRY) => turn = Ok(()),
                other => break other,
            }
        };
        let (status, done) =
            status.map_or_else(|status| (status, 0), |done| (NtStatus::SUCCESS, done));
        for pending in PENDING.lock().iter_mut() {
            pending.is_over |= Arc::ptr_eq(&pending.cancel, &cancel);
        }
        match take_routine(overlapped.address()) {
            Some(routine) => {
                complete_quietly(overlapped, status, done);
                routine.queue(status, done as u64);
            }
            None => complete(&file, overlapped, status, done),
        }
        remove(&cancel);
    };
    match std::thread::Builder::new()
        .name("overlapped".into())
        .stack_size(0x2_0000)
        .spawn(run)
    {
        Ok(_) => Ok(()),
        Err(_) => {
            remove(&own);
            Err(NtStatus::INSUFFICIENT_RESOURCES)
        }
    }
}

/// Waits until a descriptor is ready.
///
/// # Errors
/// `CANCELLED`.
pub fn wait_ready(fd: BorrowedFd<'_>, events: PollFlags, cancel: &OwnedFd) -> Result<(), NtStatus> {
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

/// Cancels the operations on a file that has no handle any more.
pub fn cancel_all(file: &File) {
    cancel_those(std::ptr::from_ref(file).addr(), None);
}

/// Cancels the operations on a file, or the one with this `OVERLAPPED`; returns whether there was any.
pub fn cancel(file: &Arc<File>, overlapped: Option<u64>) -> bool {
    super::afd::cancel(file, overlapped) | cancel_those(Arc::as_ptr(file).addr(), overlapped)
}

fn cancel_those(key: usize, overlapped: Option<u64>) -> bool {
    let mut found = false;
    for pending in PENDING.lock().iter_mut() {
        if pending.file == key
            && !pending.is_over
            && overlapped.is_none_or(|o| o == pending.overlapped)
        {
            pending.is_cancelled = true;
            found |= rustix::io::write(&pending.cancel, &1_u64.to_ne_bytes()).is_ok();
        }
    }
    TURN.notify_all();
    found
}
