//! Stopping threads: suspend, resume, terminate, and the contexts of stopped threads.
//!
//! A thread stops itself at a *checkpoint*, where it holds nothing of ours: in guest code (the handler of the poke signal
//! stops there), where a call returns to the guest, or in a wait. Whoever wants it stopped says so in its object, then
//! pokes it until it has taken notice, so that a signal which arrives just before a wait is not lost.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ntlpc_abi::NtStatus;
use parking_lot::{Condvar, Mutex};

use crate::context::Context;
use crate::gate;

/// `MAXIMUM_SUSPEND_COUNT`.
const MAXIMUM: u32 = 127;
/// How long a suspension waits for the thread to take notice. One in a system call that no signal ends is stopped all
/// the same: it cannot return to the guest.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long the end of the process waits for each thread.
const LAST_PATIENCE: Duration = Duration::from_millis(20);
/// Time between two pokes.
const INTERVAL: Duration = Duration::from_millis(2);

/// What a thread's object and the thread itself share of its stopping.
#[derive(Debug)]
pub struct Control {
    /// How often it is suspended.
    pub suspend_count: AtomicU32,
    /// Set when it must end: waits are cut short.
    pub is_terminating: AtomicBool,
    /// Exit code, once it is known.
    pub exit_code: AtomicU32,
}

/// What others may know of a running thread.
#[derive(Debug)]
struct State {
    control: Arc<Control>,
    tid: i32,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    /// Context while the thread is stopped.
    stopped: Option<Box<Context>>,
    /// Context of an exception while the thread waits for the exception port's verdict.
    exception: Option<Box<Context>>,
    is_changed: bool,
    has_ended: bool,
}

thread_local! {
    static STATE: RefCell<Option<Arc<State>>> = const { RefCell::new(None) };
    /// Whether the thread must pass a checkpoint before it returns to the guest.
    static IS_POKED: Cell<bool> = const { Cell::new(false) };
}

static STATES: Mutex<Vec<Arc<State>>> = Mutex::new(Vec::new());
/// How many threads are being poked: until they have taken notice, every thread passes its checkpoints.
static POKING: AtomicU32 = AtomicU32::new(0);

/// Makes the calling thread one that can be stopped.
pub fn enter(control: &Arc<Control>) {
    let state = Arc::new(State {
        control: control.clone(),
        tid: crate::linux::thread_id().cast_signed(),
        inner: Mutex::default(),
        changed: Condvar::new(),
    });
    STATES.lock().push(state.clone());
    STATE.set(Some(state));
}

/// The calling thread has run its last guest instruction.
pub fn leave() {
    if let Some(state) = STATE.take() {
        STATES.lock().retain(|other| !Arc::ptr_eq(other, &state));
        state.inner.lock().has_ended = true;
        state.changed.notify_all();
    }
}

fn state_of(control: &Control) -> Option<Arc<State>> {
    let states = STATES.lock();
    states
        .iter()
        .find(|state| std::ptr::eq(&raw const *state.control, control))
        .cloned()
}

/// The poke signal: the real-time ones up to here are used by the C library and Wine.
pub(super) fn poke_signal() -> i32 {
    libc::SIGRTMIN() + 4
}

fn send_poke(tid: i32) {
    crate::linux::signal_thread(tid, poke_signal());
}

/// Takes note of a poke. Async-signal-safe.
pub(super) fn note_poke() {
    IS_POKED.set(true);
}

/// Returns whether the thread must pass a checkpoint before it returns to the guest.
#[must_use]
#[inline]
pub fn is_poked() -> bool {
    IS_POKED.get() || POKING.load(Ordering::Relaxed) != 0
}

/// Stops the calling thread, in a call that is about to return to the guest, for as long as it is suspended, and ends it
/// if it must end. Called with nothing held and nothing to drop.
pub fn checkpoint(activation: gate::ActivationPtr, result: u64) {
    let mut context = Context::after_call(&activation.get());
    context.set_result(result);
    let is_changed = stop(&mut context);
    leave_if_terminating();
    if is_changed {
        context.resume();
    }
}

/// Stops the calling thread, which is about to go to the guest at `context`, for as long as it is suspended, and ends it
/// if it must end. Called with nothing held and nothing to drop.
pub fn stop_at(context: &mut Context) {
    stop(context);
    leave_if_terminating();
}

/// Stops the calling thread in a wait that a signal may have interrupted, for as long as it is suspended. Returns whether
/// the thread must end: then the wait shall return.
pub fn pause_wait() -> bool {
    if is_poked() {
        let mut context = gate::current_activation().map_or_else(Context::new, |activation| {
            Context::after_call(&activation.get())
        });
        // A context set now would have to abandon the wait; NT too lets it take effect when the call returns.
        if stop(&mut context) {
            note_poke();
        }
    }
    terminating().is_some()
}

/// Blocks the calling thread, which has not yet run guest code, while it is suspended.
pub fn wait_while_suspended() {
    stop(&mut Context::new());
    leave_if_terminating();
}

/// Ends the calling thread if another one wants that. Called with nothing held and nothing to drop.
pub fn leave_if_terminating() {
    if let Some(code) = terminating() {
        gate::leave_stack(code.into());
    }
}

/// Returns the exit code of the calling thread if it must end.
pub(super) fn terminating() -> Option<u32> {
    STATE.with_borrow(|state| {
        let control = &state.as_ref()?.control;
        let is_terminating = control.is_terminating.load(Ordering::Acquire);
        is_terminating.then(|| control.exit_code.load(Ordering::Acquire))
    })
}

/// Stops the calling thread while it is suspended and not to be ended. Returns whether somebody changed the context.
pub(super) fn stop(context: &mut Context) -> bool {
    IS_POKED.set(false);
    let Some(state) = STATE.with_borrow(Option::clone) else {
        return false;
    };
    let must_stop = || {
        let control = &state.control;
        control.suspend_count.load(Ordering::Acquire) > 0
            && !control.is_terminating.load(Ordering::Acquire)
    };
    let mut inner = state.inner.lock();
    if !must_stop() {
        return false;
    }
    inner.stopped = Some(Box::new(*context));
    state.changed.notify_all();
    while must_stop() {
        state.changed.wait(&mut inner);
    }
    let is_changed = std::mem::take(&mut inner.is_changed);
    match inner.stopped.take() {
        Some(stopped) if is_changed => {
            *context = *stopped;
            true
        }
        _ => false,
    }
}

/// Adds a suspension and returns the count before. The thread runs no guest code once this returns.
///
/// # Errors
/// `SUSPEND_COUNT_EXCEEDED`.
pub fn suspend(control: &Control) -> Result<u32, NtStatus> {
    let higher = |count: u32| (count < MAXIMUM).then_some(count + 1);
    let before = control
        .suspend_count
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, higher)
        .map_err(|_| NtStatus::SUSPEND_COUNT_EXCEEDED)?;
    match state_of(control) {
        // The calling thread stops when this call returns.
        Some(state) if is_me(&state) => note_poke(),
        Some(state) if before == 0 => {
            poke_until(&state, |inner| inner.stopped.is_some(), Some(PATIENCE));
        }
        _ => {}
    }
    Ok(before)
}

/// Takes one suspension back and returns the count before.
pub fn resume(control: &Control) -> u32 {
    let lower = |count: u32| count.checked_sub(1);
    let before = control
        .suspend_count
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, lower)
        .unwrap_or(0);
    if let Some(state) = state_of(control) {
        wake(&state);
    }
    before
}

/// Ends a thread of this process with `code`. Does not return if that is the calling one.
pub fn terminate(control: &Control, code: u32) {
    let Some(state) = state_of(control) else {
        return;
    };
    if is_me(&state) {
        drop(state);
        gate::leave_stack(code.into());
    }
    control.exit_code.store(code, Ordering::Release);
    // Before the mark: a call that sees the mark and returns for it must not get back to the guest.
    POKING.fetch_add(1, Ordering::Relaxed);
    if control.is_terminating.swap(true, Ordering::AcqRel) {
        POKING.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    wake(&state);
    let has_ended = poke_until(&state, |inner| inner.has_ended, Some(PATIENCE));
    POKING.fetch_sub(1, Ordering::Relaxed);
    if !has_ended {
        // It is in a system call that no signal ends, and ends itself when it comes back.
        let poke_on = move || poke_until(&state, |inner| inner.has_ended, None);
        if let Err(error) = std::thread::Builder::new().spawn(poke_on) {
            log::warn!("a terminated thread may linger: {error}");
        }
    }
}

/// Returns the context of a thread; that of one that is not suspended is of little use, as on Windows.
///
/// # Errors
/// `THREAD_IS_TERMINATING`; `UNSUCCESSFUL` for a thread that is running.
pub fn context(control: &Control) -> Result<Context, NtStatus> {
    let state = state_of(control).ok_or(NtStatus::THREAD_IS_TERMINATING)?;
    if is_me(&state) {
        let activation = gate::current_activation().ok_or(NtStatus::UNSUCCESSFUL)?;
        return Ok(Context::after_call(&activation.get()));
    }
    let inner = state.inner.lock();
    let known = inner.exception.as_deref().or(inner.stopped.as_deref());
    known.copied().ok_or(NtStatus::UNSUCCESSFUL)
}

/// Changes the context of a suspended thread by `change`, which gets the present one.
///
/// # Errors
/// As [`context`].
pub fn set_context(control: &Control, change: impl FnOnce(&mut Context)) -> Result<(), NtStatus> {
    let state = state_of(control).ok_or(NtStatus::THREAD_IS_TERMINATING)?;
    let mut inner = state.inner.lock();
    if let Some(context) = inner.exception.as_deref_mut() {
        change(context);
        return Ok(());
    }
    change(inner.stopped.as_deref_mut().ok_or(NtStatus::UNSUCCESSFUL)?);
    inner.is_changed = true;
    Ok(())
}

/// Shows others the context of an exception that the calling thread asks the exception port about.
pub fn show_exception(context: &Context) {
    STATE.with_borrow(|state| {
        if let Some(state) = state {
            state.inner.lock().exception = Some(Box::new(*context));
        }
    });
}

/// Takes that context back, perhaps changed.
pub fn hide_exception() -> Option<Context> {
    STATE.with_borrow(|state| {
        let mut inner = state.as_ref()?.inner.lock();
        inner.exception.take().map(|context| *context)
    })
}

/// Stops all other guest threads for good, as the end of a process does before it tells the DLLs.
pub fn stop_others() {
    let others: Vec<_> = STATES
        .lock()
        .iter()
        .filter(|state| !is_me(state))
        .cloned()
        .collect();
    for state in others {
        state
            .control
            .suspend_count
            .fetch_add(MAXIMUM, Ordering::AcqRel);
        poke_until(&state, |inner| inner.stopped.is_some(), Some(LAST_PATIENCE));
    }
}

fn is_me(state: &State) -> bool {
    state.tid == crate::linux::thread_id().cast_signed()
}

fn wake(state: &State) {
    // Taken so that the thread is not between its look at the object and its sleep.
    drop(state.inner.lock());
    state.changed.notify_all();
}

/// Pokes a thread until `is_done`, or it ends, or time is up. Returns whether it is done.
fn poke_until(state: &State, is_done: impl Fn(&Inner) -> bool, patience: Option<Duration>) -> bool {
    POKING.fetch_add(1, Ordering::SeqCst);
    let start = Instant::now();
    let mut inner = state.inner.lock();
    let done = loop {
        if is_done(&inner) || inner.has_ended {
            break true;
        }
        if patience.is_some_and(|patience| start.elapsed() > patience) {
            break false;
        }
        send_poke(state.tid);
        state.changed.wait_for(&mut inner, INTERVAL);
    };
    POKING.fetch_sub(1, Ordering::SeqCst);
    done
}
