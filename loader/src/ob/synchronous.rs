//! Calls that wait in a system call for input or output, and their cancellation by other threads: `CancelSynchronousIo`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::suspend::poke_signal;
use crate::linux;

/// How long a cancellation repeats its signal: one that comes just before the system call is lost.
const PATIENCE: Duration = Duration::from_millis(200);
/// Time between two signals.
const INTERVAL: Duration = Duration::from_millis(1);

/// A call in progress.
#[derive(Debug)]
pub struct Call {
    tid: u32,
    is_cancelled: Arc<AtomicBool>,
}

/// Calls in progress: thread, and what tells the call to end.
static CALLS: Mutex<Vec<(u32, Arc<AtomicBool>)>> = Mutex::new(Vec::new());

impl Call {
    /// Notes that the calling thread is about to wait.
    #[must_use]
    pub fn begin() -> Call {
        let call = Call {
            tid: linux::thread_id(),
            is_cancelled: Arc::default(),
        };
        CALLS.lock().push((call.tid, call.is_cancelled.clone()));
        call
    }

    /// Returns whether another thread has cancelled the call.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Acquire)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        CALLS
            .lock()
            .retain(|(_, flag)| !Arc::ptr_eq(flag, &self.is_cancelled));
    }
}

/// Repeats a system call that a signal interrupted, unless the signal was to cancel it: `ECANCELED`.
pub fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let waiting = Call::begin();
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                if waiting.is_cancelled() {
                    return Err(io::Error::from_raw_os_error(libc::ECANCELED));
                }
            }
            other => return other,
        }
    }
}

/// Cancels what a thread of this process waits for; returns whether it waited.
pub fn cancel(tid: u32) -> bool {
    let find = || {
        let calls = CALLS.lock();
        let found = calls.iter().rev().find(|(waiter, _)| *waiter == tid);
        found.map(|(_, flag)| flag.clone())
    };
    let Some(flag) = find() else { return false };
    flag.store(true, Ordering::Release);
    let start = Instant::now();
    while start.elapsed() < PATIENCE && find().is_some_and(|present| Arc::ptr_eq(&present, &flag)) {
        linux::signal_thread(tid.cast_signed(), poke_signal());
        std::thread::sleep(INTERVAL);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_in_progress_are_cancelled() {
        let me = linux::thread_id();
        assert!(!cancel(me));
        let call = Call::begin();
        assert!(!call.is_cancelled());
        CALLS.lock().iter().for_each(|(tid, flag)| {
            if *tid == me {
                flag.store(true, Ordering::Release);
            }
        });
        assert!(call.is_cancelled());
        drop(call);
        assert!(!cancel(me));
    }
}
