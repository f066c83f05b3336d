//! The hooks: `sigaction` and `pthread_exit` (its entry is in [`super::arch`]), interposed by `LD_PRELOAD`.
//!
//! Wine installs its handlers of SIGQUIT (end this thread) and SIGUSR1 (suspend this thread) once, before the first PE
//! instruction and while the process has one thread. The second of them is the moment to [`inject`].
//! Both handlers are wrapped, so that they wait while the thread is in a stretch of [`crate::interrupt`]. So are those of
//! SIGSEGV and SIGBUS: where Wine would leave our frames for a fault in a guarded copy ([`crate::capture`]), the copy
//! fails instead; faults that Wine cures (write watches, pages not yet committed) stay Wine's.
//!
//! Wine 10 ends a thread by `pthread_exit` from the handler of SIGQUIT, whatever the thread was doing, and the C library unwinds the
//! stack from there. That must not come to frames of ours: at an instruction that is no call the unwinder finds no entry for
//! it and aborts the process. So an exit of Wine's looks like the outermost frame.
//!
//! In any other process the functions are the C library's own.

use super::{arch, inject, ntdll};
use crate::capture::{self, INSTRUCTION};
use crate::interrupt;
use libc::{c_int, c_void, sigaction as SigAction, siginfo_t, ucontext_t};
use std::ffi::CStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

type SigActionFn = unsafe extern "C" fn(c_int, *const SigAction, *mut SigAction) -> c_int;
type Handler = unsafe extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

/// Wine's own handlers of the wrapped signals; zero until it installs them.
static WRAPPED: [(c_int, AtomicUsize); 4] = [
    (libc::SIGQUIT, AtomicUsize::new(0)),
    (libc::SIGUSR1, AtomicUsize::new(0)),
    (libc::SIGSEGV, AtomicUsize::new(0)),
    (libc::SIGBUS, AtomicUsize::new(0)),
];

/// `sigaction(2)`.
///
/// # Safety
/// As for the C library's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigaction(
    signal: c_int,
    new: *const SigAction,
    old: *mut SigAction,
) -> c_int {
    let Some(real) = real() else {
        return -1;
    };
    let slot = WRAPPED
        .iter()
        .find(|(number, _)| *number == signal)
        .map(|(_, slot)| slot);
    let Some(slot) = slot.filter(|_| !new.is_null() && ntdll::is_loaded()) else {
        // SAFETY: the arguments are the caller's.
        return unsafe { real(signal, new, old) };
    };
    // SAFETY: not null, and the caller's to read.
    let wrapped = wrap(signal, unsafe { *new }, slot);
    // SAFETY: as above; `wrapped` lives across the call.
    let result = unsafe { real(signal, &raw const wrapped, old) };
    static TRIGGERED: AtomicBool = AtomicBool::new(false);
    if result == 0 && signal == libc::SIGUSR1 && !TRIGGERED.swap(true, Ordering::Relaxed) {
        inject::inject_once();
    }
    result
}

/// The C library's `sigaction`.
fn real() -> Option<SigActionFn> {
    static REAL: OnceLock<Option<SigActionFn>> = OnceLock::new();
    *REAL.get_or_init(|| {
        // SAFETY: the name is a C string.
        let address = unsafe { libc::dlsym(libc::RTLD_NEXT, c"sigaction".as_ptr()) };
        // SAFETY: the C library's symbol of that name has this type; null becomes `None`.
        unsafe { std::mem::transmute::<*mut c_void, Option<SigActionFn>>(address) }
    })
}

/// Puts our handler before a three-argument handler; every other action stays.
fn wrap(signal: c_int, mut action: SigAction, slot: &AtomicUsize) -> SigAction {
    let is_plain = action.sa_sigaction == libc::SIG_DFL || action.sa_sigaction == libc::SIG_IGN;
    if !is_plain && action.sa_flags & libc::SA_SIGINFO != 0 {
        arch::note_thread_block();
        interrupt::set_redeliver(redeliver);
        slot.store(action.sa_sigaction, Ordering::Relaxed);
        let ours: Handler = match signal {
            libc::SIGSEGV | libc::SIGBUS => on_fault_signal,
            _ => arch::on_signal,
        };
        action.sa_sigaction = ours as usize;
    }
    action
}

/// Returns Wine's handler of a signal, or `None` if it has to wait.
///
/// # Safety
/// The arguments are those of a signal handler.
pub unsafe extern "C" fn next_handler(
    signal: c_int,
    _info: *mut siginfo_t,
    context: *mut c_void,
) -> Option<Handler> {
    // SAFETY: the kernel passes a `ucontext_t` to a SA_SIGINFO handler.
    let must_wait = unsafe { arch::runs_code_of_this_thread(context) } && interrupt::defer(signal);
    if must_wait {
        None
    } else {
        wrapped_handler(signal)
    }
}

/// Wine's own handler of a wrapped signal.
fn wrapped_handler(signal: c_int) -> Option<Handler> {
    let (_, slot) = WRAPPED.iter().find(|(number, _)| *number == signal)?;
    // SAFETY: only a three-argument handler is stored, before ours is installed for the signal.
    unsafe { std::mem::transmute::<usize, Option<Handler>>(slot.load(Ordering::Relaxed)) }
}

unsafe extern "C" fn on_fault_signal(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    if let Some(handler) = wrapped_handler(signal) {
        // SAFETY: the kernel's own arguments.
        unsafe { on_fault(handler, signal, info, context) }
    }
}

/// Lets Wine handle a fault. If it went elsewhere from within a guarded copy, the copy goes on, to fail.
///
/// # Safety
/// The arguments are those of a signal handler.
unsafe fn on_fault(handler: Handler, signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let registers = context.cast::<ucontext_t>();
    // SAFETY: the kernel passes a `ucontext_t` to a SA_SIGINFO handler.
    let before = unsafe { (*registers).uc_mcontext.gregs };
    // SAFETY: the caller's arguments.
    unsafe { handler(signal, info, context) };
    let Some(resume) = capture::fixup(before[INSTRUCTION] as usize as u64) else {
        return;
    };
    // SAFETY: as above.
    let after = unsafe { &mut (*registers).uc_mcontext.gregs };
    if after[INSTRUCTION] != before[INSTRUCTION] {
        *after = before;
        after[INSTRUCTION] = resume as libc::greg_t;
    }
}

/// Returns the C library's `pthread_exit`, and whether its caller, at `return_address`, is Wine.
pub fn exit_for(return_address: *const c_void) -> (*mut c_void, bool) {
    // SAFETY: the name is a C string.
    let real = unsafe { libc::dlsym(libc::RTLD_NEXT, c"pthread_exit".as_ptr()) };
    // SAFETY: plain data, for which zeros are valid.
    let mut caller: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked for; the answer is a local.
    let is_known = unsafe { libc::dladdr(return_address, &raw mut caller) } != 0;
    let is_wines = is_known && {
        // SAFETY: dladdr filled in the name of the object, which is loaded.
        let name = unsafe { CStr::from_ptr(caller.dli_fname) };
        name.to_bytes().ends_with(b"/ntdll.so")
    };
    (real, is_wines)
}

/// Sends `signal` to the calling thread.
fn redeliver(signal: i32) {
    // SAFETY: system calls without pointers.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::gettid(), signal) };
}
