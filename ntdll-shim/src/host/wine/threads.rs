//! Threads of ours, and the end of any thread.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ntlpc_abi::{ClientId, NtStatus};
use parking_lot::Mutex;

use super::arch::Arguments;
use super::callers;
use super::service::{guest, ntdll};
use super::structures::ThreadBasicInformation;
use crate::engine::{self, existing_session};
use crate::{host, interrupt};

/// Body of a thread of ours.
type Body = Box<dyn FnOnce() + Send>;

/// Bodies whose threads have not yet begun, by the number the thread is given: an argument of 32 bits in both widths.
static BODIES: Mutex<BTreeMap<u32, Body>> = Mutex::new(BTreeMap::new());

/// Runs `body` on a new thread of Wine's: only such a thread may call Wine.
pub fn start(body: Body) -> Result<(), NtStatus> {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    BODIES.lock().insert(number, body);
    start_at(guest().thread_thunk, number.into()).inspect_err(|_| drop(take_body(number)))
}

fn take_body(number: u32) -> Option<Body> {
    BODIES.lock().remove(&number)
}

/// Starts a thread at code of ours, made without notice to the DLLs.
pub fn start_at(address: u64, argument: u64) -> Result<(), NtStatus> {
    /// THREAD_CREATE_FLAGS_SKIP_THREAD_ATTACH.
    const SKIP_ATTACH: u64 = 2;
    const THREAD_ALL_ACCESS: u64 = 0x1F_FFFF;
    let mut thread = 0_u64;
    let ntdll = ntdll();
    // SAFETY: pointer to a local, access, no attributes, this process, code of ours, its argument, flags, zero bits, default
    // stack sizes, no attribute list.
    let status = unsafe {
        ntdll.call(
            ntdll.NtCreateThreadEx,
            [
                &raw mut thread as u64,
                THREAD_ALL_ACCESS,
                0,
                u64::MAX,
                address,
                argument,
                SKIP_ATTACH,
                0,
                0,
                0,
                0,
            ],
        )
    };
    NtStatus(status).ok()?;
    // SAFETY: the handle just made.
    unsafe { ntdll.call(ntdll.NtClose, [thread]) };
    Ok(())
}

/// What the thunk of [`start`] leads to.
pub unsafe fn run(arguments: Arguments) -> u32 {
    // SAFETY: the first argument is what the thread was started with.
    let [number] = unsafe { arguments.read() };
    run_body(number);
    0
}

/// Runs the body `start` had for this thread.
pub fn run_body(number: u64) {
    let _stretch = interrupt::begin();
    if let Some(body) = take_body(number as u32) {
        body();
    }
    engine::thread_exit();
}

/// `NtTerminateThread(Handle, Status)`.
///
/// A thread that ends itself tells the server first, so that its CLIENT_DIED notices are queued before the thread object
/// is signalled (lpc §3.6). A thread that ends another waits until the server has heard of the death from the kernel:
/// Wine signals the thread object before the Linux thread is gone, and a reply to it must find nobody (lpc#207).
pub unsafe fn terminate_thread(arguments: Arguments) -> u32 {
    // SAFETY: Wine passes the two arguments of the call.
    let all = unsafe { arguments.read::<2>() };
    let own = host::current().client_id();
    let victim = if matches!(all[0], CURRENT_THREAD | 0) {
        engine::thread_exit();
        callers::ended(own.thread);
        None
    } else {
        client_id(all[0]).ok()
    };
    let ntdll = ntdll();
    // SAFETY: the caller's own arguments.
    let status = unsafe { ntdll.pass(ntdll.NtTerminateThread, all) };
    if let (0, Some(victim)) = (status, victim) {
        let deadline = Instant::now() + PATIENCE;
        while is_alive(victim) && Instant::now() < deadline {
            let _open = interrupt::open();
            sleep(PAUSE);
        }
        // Also of a thread that the server never heard of: its id may be the next thread's.
        if victim.process == own.process {
            callers::ended(victim.thread);
        }
    }
    status
}

/// Returns whether the server knows the thread and has not heard of its end.
fn is_alive(id: ClientId) -> bool {
    existing_session().is_some_and(|session| session.check_alive(id).is_ok())
}

/// ClientId of a thread.
pub fn client_id(thread: u64) -> Result<ClientId, NtStatus> {
    const THREAD_BASIC_INFORMATION: u64 = 0;
    let mut basic = ThreadBasicInformation::default();
    let ntdll = ntdll();
    // SAFETY: thread, class, a local and its size, no length wanted.
    let status = unsafe {
        ntdll.call(
            ntdll.NtQueryInformationThread,
            [
                thread,
                THREAD_BASIC_INFORMATION,
                &raw mut basic as u64,
                size_of_val(&basic) as u64,
                0,
            ],
        )
    };
    NtStatus(status).ok()?;
    Ok(basic.client_id())
}

/// How long a dying thread is waited for; it may be stuck in the kernel.
const PATIENCE: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_micros(100);
const CURRENT_THREAD: u64 = u64::MAX - 1;
