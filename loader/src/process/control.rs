//! Ctrl-C and Ctrl-Break: signals become calls of the guest's handlers in threads of their own, as on Windows.
//!
//! Ctrl-C is SIGINT; Ctrl-Break is SIGQUIT from the terminal and [`group::break_signal`] from other processes. The signal
//! handler only counts; a host thread waits for the count and runs the guest's handlers, last added first, until one
//! returns TRUE. If none does, the process ends with `STATUS_CONTROL_C_EXIT`.
//!
//! Source: Microsoft Learn, "SetConsoleCtrlHandler function", "GenerateConsoleCtrlEvent function", "HandlerRoutine callback".
#![allow(unsafe_code, reason = "installs signal handlers")]

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Once, OnceLock};

use ntlpc_abi::NtStatus;
use parking_lot::Mutex;

use crate::export::Callback;
use crate::gate::signals;
use crate::ob::group::{self, CONTROL_C_EXIT};
use crate::ob::object::Object;
use crate::ob::thread::Thread;
use crate::ob::wait::{WaitKind, wait};
use crate::thread::{self, Start};

/// `CTRL_C_EVENT`.
pub const CTRL_C: u32 = 0;
/// `CTRL_BREAK_EVENT`.
pub const CTRL_BREAK: u32 = 1;

/// What one Ctrl-Break adds to the counter; a Ctrl-C adds 1.
const ONE_BREAK: u64 = 1 << 32;

/// Handlers, called from the last to the first.
static HANDLERS: Mutex<Vec<Callback>> = Mutex::new(Vec::new());
/// What the C runtime does with an event that no handler took; returns whether it took it.
static RUNTIME: OnceLock<fn(u32) -> bool> = OnceLock::new();
/// Event counter the signal handler writes to; -1 before the first handler is added.
static COUNTER: AtomicI32 = AtomicI32::new(-1);

/// Adds or removes a handler; returns whether it was there to be removed.
pub fn change(handler: Callback, add: bool) -> bool {
    let mut handlers = HANDLERS.lock();
    if add {
        handlers.push(handler);
        drop(handlers);
        watch_once();
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

/// Gives events that no handler takes to the C runtime, in a guest thread.
pub fn set_runtime(take: fn(u32) -> bool) {
    let _ = RUNTIME.set(take);
    watch_once();
}

/// Ignores Ctrl-C, which children inherit, or takes that back.
pub fn ignore(is_ignored: bool) {
    let action = match (is_ignored, COUNTER.load(Ordering::Acquire)) {
        (true, _) => libc::SIG_IGN,
        (false, -1) => libc::SIG_DFL,
        (false, _) => return handle(libc::SIGINT),
    };
    // SAFETY: both actions are valid for SIGINT.
    unsafe { libc::signal(libc::SIGINT, action) };
}

/// Whether Ctrl-C is ignored, by this program or by who started it.
fn is_ignored() -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: sigaction only writes the present action; a zeroed one is valid if it does not.
    let action = unsafe {
        libc::sigaction(libc::SIGINT, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}

/// Sends Ctrl-C or Ctrl-Break to a group of processes of this console, 0 for all of them.
///
/// # Errors
/// `INVALID_PARAMETER`: there is no such group, or event.
pub fn generate(event: u32, group: u32) -> Result<(), NtStatus> {
    let signal = match event {
        CTRL_C => libc::SIGINT,
        CTRL_BREAK => group::break_signal(),
        _ => return Err(NtStatus::INVALID_PARAMETER),
    };
    let members = group::members(group);
    if members.is_empty() {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    // The caller comes last: the event may end it.
    let (own, others): (Vec<u32>, Vec<u32>) = members
        .into_iter()
        .partition(|&pid| pid == std::process::id());
    for pid in others.into_iter().chain(own) {
        // SAFETY: kill only takes numbers. One that has ended meanwhile is none of ours to report.
        unsafe { libc::kill(pid.cast_signed(), signal) };
    }
    Ok(())
}

fn handle(signal: i32) {
    signals::install(signal, on_signal, libc::SA_RESTART);
}

extern "C" fn on_signal(signal: i32, _: *mut libc::siginfo_t, _: *mut libc::ucontext_t, _: bool) {
    let add = if signal == libc::SIGINT { 1 } else { ONE_BREAK };
    // SAFETY: write is async-signal-safe; the counter stays open for the life of the process.
    unsafe {
        libc::write(
            COUNTER.load(Ordering::Relaxed),
            (&raw const add).cast(),
            size_of::<u64>(),
        )
    };
}

fn watch_once() {
    static WATCH: Once = Once::new();
    WATCH.call_once(watch);
}

/// Starts the thread that runs the handlers.
fn watch() {
    let Ok(counter) = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC) else {
        log::warn!("Ctrl-C handlers will not run: no descriptor left");
        return;
    };
    COUNTER.store(std::os::fd::AsRawFd::as_raw_fd(&counter), Ordering::Release);
    if !is_ignored() {
        handle(libc::SIGINT);
    }
    handle(libc::SIGQUIT);
    handle(group::break_signal());
    let run = move || {
        loop {
            let mut count = [0; 8];
            let is_read = crate::ob::file::retry(|| {
                rustix::io::read(&counter, &mut count).map_err(Into::into)
            })
            .is_ok();
            let count = u64::from_ne_bytes(count);
            // Several that come at once are one, as signals are.
            if is_read && count % ONE_BREAK != 0 {
                deliver(CTRL_C);
            }
            if is_read && count / ONE_BREAK != 0 {
                deliver(CTRL_BREAK);
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
fn deliver(event: u32) {
    let handlers: Vec<Callback> = HANDLERS.lock().iter().rev().copied().collect();
    for handler in handlers {
        if run(handler.0, move || handler.call(&[event.into()]) as u32) {
            return;
        }
    }
    if let Some(&take) = RUNTIME.get()
        && run(0, move || take(event).into())
    {
        return;
    }
    crate::ob::process::exit_now(CONTROL_C_EXIT);
}

/// Runs a handler in a guest thread; returns whether it took the event.
fn run(function: u64, handler: impl FnOnce() -> u32 + Send + 'static) -> bool {
    let object = Thread::new(function, 0);
    let start = Start {
        function,
        argument: 0,
        stack_reserve: 0,
        is_attached: true,
    };
    if thread::spawn_running(start, &object, handler).is_err() {
        return false;
    }
    let waited: [Arc<dyn Object>; 1] = [object.clone()];
    wait(&waited, WaitKind::Any, false, None);
    object.exit_code() != 0
}
