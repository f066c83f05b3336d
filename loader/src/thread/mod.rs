//! Guest threads: stacks, start and end.

pub mod fiber;
mod stack;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use ntlpc_abi::NtStatus;
use parking_lot::Mutex;

use crate::export::Callback;
use crate::gate;
use crate::module::{self, NotifyReason, tls};
use crate::ob::thread::Thread;
use crate::ob::{self, suspend};
use crate::{gate::signal_stack, teb};

pub use stack::{Stack, close_guard, open_guard};

/// What a new thread runs.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Guest function.
    pub function: u64,
    /// Its argument.
    pub argument: u64,
    /// Bytes of stack, 0 for the program's default.
    pub stack_reserve: u64,
    /// Whether entry points of DLLs are told (`THREAD_CREATE_FLAGS_SKIP_THREAD_ATTACH` says no).
    pub is_attached: bool,
}

static DEFAULT_STACK: AtomicU64 = AtomicU64::new(0x10_0000);
/// Run on each thread at its end, before its TEB goes.
static EXIT_HOOKS: Mutex<Vec<fn()>> = Mutex::new(Vec::new());

/// Sets the stack size of threads that ask for none.
pub fn set_default_stack(bytes: u64) {
    DEFAULT_STACK.store(bytes, Ordering::Relaxed);
}

/// Returns the stack size of threads that ask for none.
#[must_use]
pub fn default_stack() -> u64 {
    DEFAULT_STACK.load(Ordering::Relaxed)
}

/// Names a function to run on every thread at its end: for thread-local slots with callbacks.
pub fn at_exit(hook: fn()) {
    EXIT_HOOKS.lock().push(hook);
}

/// Runs `main` as the program's first thread on a stack of its own; the process lives until its last thread ends.
pub fn run_main(main: impl FnOnce() -> u32) -> ! {
    let object = Thread::new(0, 0);
    let code = match run_on_guest_stack(default_stack(), &object, main) {
        Ok(code) => code,
        Err(error) => crate::fatal(format_args!("cannot make the first thread: {error}")),
    };
    finish(&object, code);
    park_until_others_end()
}

/// Starts a thread that runs guest code; `object` becomes its NT object. Returns once the thread has its id.
///
/// # Errors
/// `NO_MEMORY` or `INSUFFICIENT_RESOURCES`.
pub fn spawn(start: Start, object: &Arc<Thread>) -> Result<(), NtStatus> {
    spawn_running(start, object, move || {
        Callback(start.function).call(&[start.argument]) as u32
    })
}

/// Starts a thread as [`spawn`] does that runs `run` instead of a guest function; its result is the exit code.
///
/// # Errors
/// `NO_MEMORY` or `INSUFFICIENT_RESOURCES`.
pub fn spawn_running(
    start: Start,
    object: &Arc<Thread>,
    run: impl FnOnce() -> u32 + Send + 'static,
) -> Result<(), NtStatus> {
    let (ready, wait) = mpsc::sync_channel(1);
    let thread_object = object.clone();
    let body = move || {
        let reserve = if start.stack_reserve == 0 {
            default_stack()
        } else {
            start.stack_reserve
        };
        let ready_in_thread = ready.clone();
        let result = run_on_guest_stack(reserve, &thread_object, move || {
            let _ = ready_in_thread.send(Ok(()));
            suspend::wait_while_suspended();
            if start.is_attached {
                module::notify_threads(NotifyReason::ThreadAttach);
            }
            run()
        });
        match result {
            Ok(code) => finish(&thread_object, code),
            Err(_) => {
                let _ = ready.send(Err(NtStatus::NO_MEMORY));
            }
        }
    };
    LIVE.fetch_add(1, Ordering::AcqRel);
    // The host side needs little: everything after the start runs on the guest's stack.
    let spawned = std::thread::Builder::new().stack_size(0x4_0000).spawn(body);
    let result = match spawned {
        Ok(_) => wait.recv().unwrap_or(Err(NtStatus::INSUFFICIENT_RESOURCES)),
        Err(_) => Err(NtStatus::INSUFFICIENT_RESOURCES),
    };
    if result.is_err() {
        LIVE.fetch_sub(1, Ordering::AcqRel);
    }
    result
}

/// Ends the calling thread from any depth, as `RtlExitUserThread` does.
///
/// Runs guest code: hold no lock.
pub fn exit(code: u32) -> ! {
    detach();
    gate::leave_stack(u64::from(code))
}

/// Threads that run guest code.
static LIVE: AtomicU64 = AtomicU64::new(1);

fn finish(object: &Arc<Thread>, code: u32) {
    ob::mutant::abandon_held();
    object.finish(code);
    if LIVE.fetch_sub(1, Ordering::AcqRel) == 1 {
        ob::process::exit_now(code);
    }
}

/// The process lives as long as any of its threads; the last one leaves for all.
fn park_until_others_end() -> ! {
    loop {
        std::thread::park();
    }
}

/// Tells everybody that the calling thread ends.
fn detach() {
    let hooks = EXIT_HOOKS.lock().clone();
    for hook in hooks {
        hook();
    }
    module::notify_threads(NotifyReason::ThreadDetach);
    module::loader_lock_release_all();
}

/// Gives the calling host thread a guest stack and TEB, runs `body` there, and takes both away.
fn run_on_guest_stack(
    reserve: u64,
    object: &Arc<Thread>,
    body: impl FnOnce() -> u32,
) -> Result<u32, std::io::Error> {
    let stack = Stack::new(reserve)?;
    let teb = teb::create(stack.range(), stack::GUARD_BYTES, crate::linux::thread_id())?;
    teb::install(teb);
    // A fault is reported from here on; the stack that Rust gives handlers is too small for ours.
    let signal_stack = signal_stack::install();
    let prepared = match gate::prepare_thread(teb) {
        Ok(prepared) => prepared,
        Err(error) => {
            signal_stack::remove(signal_stack);
            teb::uninstall();
            teb::destroy(teb);
            return Err(error);
        }
    };
    tls::add_thread(teb);
    teb::publish(teb);
    object.enter(teb);
    suspend::enter(&object.control);
    let mut body = Some(body);
    let mut call = || {
        set_float_control();
        let code = body.take().map_or(0, |body| body());
        detach();
        code
    };
    let code = stack.run(&mut call);
    suspend::leave();
    ntdll_shim::engine::thread_exit();
    module::loader_lock_release_all();
    teb::withdraw(teb);
    tls::remove_thread(teb);
    signal_stack::remove(signal_stack);
    teb::uninstall();
    drop(prepared);
    fiber::thread_ended(teb, stack);
    teb::destroy(teb);
    Ok(code)
}

/// Sets the floating-point controls a Windows thread starts with (pe32.md §3).
fn set_float_control() {
    gate::set_float_control(0x27f, 0x1f80);
}
