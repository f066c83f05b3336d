//! Ctrl-C: SIGINT becomes a call of the guest's handlers in a thread of their own, as on Windows.
//!
//! The signal handler only counts; a host thread waits for the count and runs the guest's handlers, last added first,
//! until one returns TRUE. If none does, the process ends with `STATUS_CONTROL_C_EXIT`.
#![allow(unsafe_code, reason = "installs a signal handler")]

use std::sync::Once;
use std::sync::atomic::{AtomicI32, Ordering};

use parking_lot::Mutex;

use crate::export::Callback;
use crate::gate::signals;
use crate::ob::thread::Thread;
use crate::ob::wait::{WaitKind, wait};
use crate::thread::{self, Start};

/// `STATUS_CONTROL_C_EXIT`.
const CONTROL_C_EXIT: u32 = 0xC000_013A;
/// `CTRL_C_EVENT`.
const CTRL_C: u64 = 0;

/// Handlers, called from the last to the first.
static HANDLERS: Mutex<Vec<Callback>> = Mutex::new(Vec::new());
/// Event counter the signal handler writes to; -1 before the first handler is added.
static COUNTER: AtomicI32 = AtomicI32::new(-1);

/// Adds or removes a handler; returns whether it was there to be removed.
pub fn change(handler: Callback, add: bool) -> bool {
    static WATCH: Once = Once::new();
    let mut handlers = HANDLERS.lock();
    if add {
        handlers.push(handler);
        drop(handlers);
        WATCH.call_once(watch);
        return true;
    }
    match handlers.iter().rposition(|h| *h == handler) {
        Some(at) => {
            handlers.remove(at);
            true
        }
        None => false,
    }
}

/// Ignores Ctrl-C, which children inherit, or takes that back.
pub fn ignore(is_ignored: bool) {
    let action = match (is_ignored, COUNTER.load(Ordering::Acquire)) {
        (true, _) => libc::SIG_IGN,
        (false, -1) => libc::SIG_DFL,
        (false, _) => return handle(),
    };
    // SAFETY: both actions are valid for SIGINT.
    unsafe { libc::signal(libc::SIGINT, action) };
}

fn handle() {
    signals::install(libc::SIGINT, on_signal, libc::SA_RESTART);
}

extern "C" fn on_signal(_: i32, _: *mut libc::siginfo_t, _: *mut libc::ucontext_t, _: u64) {
    let one = 1_u64;
    // SAFETY: write is async-signal-safe; the counter stays open for the life of the process.
    unsafe {
        libc::write(
            COUNTER.load(Ordering::Relaxed),
            (&raw const one).cast(),
            size_of::<u64>(),
        )
    };
}

/// Starts the thread that runs the handlers.
fn watch() {
    let Ok(counter) = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC) else {
        log::warn!("Ctrl-C handlers will not run: no descriptor left");
        return;
    };
    COUNTER.store(std::os::fd::AsRawFd::as_raw_fd(&counter), Ordering::Release);
    handle();
    let run = move || {
        loop {
            let mut count = [0; 8];
            if crate::ob::file::retry(|| rustix::io::read(&counter, &mut count).map_err(Into::into))
                .is_ok()
            {
                deliver();
            }
        }
    };
    if std::thread::Builder::new()
        .name("ctrl-c".into())
        .stack_size(0x1_0000)
        .spawn(run)
        .is_err()
    {
        log::warn!("Ctrl-C handlers will not run: no thread left");
    }
}

/// Runs the handlers in guest threads until one takes the event.
fn deliver() {
    let handlers: Vec<Callback> = HANDLERS.lock().iter().rev().copied().collect();
    for handler in handlers {
        let object = Thread::new(handler.0, 0);
        let start = Start {
            function: handler.0,
            argument: CTRL_C,
            stack_reserve: 0,
            is_attached: true,
        };
        if thread::spawn(start, &object).is_err() {
            break;
        }
        let waited: [std::sync::Arc<dyn crate::ob::object::Object>; 1] = [object.clone()];
        wait(&waited, WaitKind::Any, false, None);
        if object.exit_code() != 0 {
            return;
        }
    }
    crate::ob::process::exit_now(CONTROL_C_EXIT);
}
