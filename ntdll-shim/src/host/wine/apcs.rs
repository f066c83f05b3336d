//! User APCs that end waits for ports.
//!
//! Wine gives a thread its APCs in its own alertable waits: such a wait returns `USER_APC`, and the unix call it was made in
//! returns into the APC and then to its caller, with that status (seen with Wine 8.0 and 10.0). So an alertable wait for a
//! port asks Wine by an alertable delay of no time, and ends if that says so.
//!
//! When it must ask again a sleeping thread learns by a word, which the hook of NtQueueApcThread changes. It also asks now
//! and then, for APCs that Wine makes itself (timers, completed I/O) or another process queues.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ntlpc_abi::NtStatus;
use parking_lot::Mutex;

use super::arch::Arguments;
use super::service::ntdll;
use super::threads;
use crate::host::{Alert, AlertWord};
use crate::{host, interrupt};

/// How often a sleeping thread asks for APCs that the hook does not see.
const LOOK_NS: u64 = 5_000_000;

/// Word of one thread: 1 once an APC was queued to it.
#[derive(Debug, Default)]
struct Apcs(AtomicU32);

impl AlertWord for Apcs {
    fn word(&self) -> &AtomicU32 {
        &self.0
    }
}

/// Threads that waited alertably for ports, by NT id. Lock order: nothing is locked inside.
static THREADS: Mutex<Option<HashMap<u32, Arc<Apcs>>>> = Mutex::new(None);
/// How many those are.
pub static THREAD_COUNT: AtomicU32 = AtomicU32::new(0);

/// A thread's entry of the table, as long as the thread lives.
struct Mine {
    thread: u32,
    apcs: Arc<Apcs>,
}

impl Drop for Mine {
    fn drop(&mut self) {
        change(|threads| {
            threads.remove(&self.thread);
        });
    }
}

thread_local! {
    static MINE: RefCell<Option<Mine>> = const { RefCell::new(None) };
}

fn change(change: impl FnOnce(&mut HashMap<u32, Arc<Apcs>>)) {
    // Also called by the thread's end, which is no call.
    let _guard = interrupt::enter();
    let mut threads = THREADS.lock();
    let threads = threads.get_or_insert_default();
    change(threads);
    THREAD_COUNT.store(threads.len() as u32, Ordering::SeqCst);
}

/// `NtQueueApcThread(Thread, Function, Context, Argument1, Argument2)`.
pub unsafe fn queue_apc_thread(arguments: Arguments) -> u32 {
    // SAFETY: Wine passes the five arguments of the call.
    let arguments = unsafe { arguments.read::<5>() };
    let ntdll = ntdll();
    // SAFETY: the caller's own arguments.
    let status = unsafe { ntdll.pass(ntdll.NtQueueApcThread, arguments) };
    if status == NtStatus::SUCCESS.0
        && let Ok(id) = threads::client_id(arguments[0])
    {
        change(|threads| {
            if let Some(apcs) = threads.get(&id.thread) {
                apcs.0.store(1, Ordering::SeqCst);
                ntlpc_shm::sys::futex_wake(&apcs.0, 1);
            }
        });
    }
    status
}

/// Returns the word of the calling thread.
pub fn watch() -> Alert {
    let mine = MINE.with_borrow(|mine| mine.as_ref().map(|mine| mine.apcs.clone()));
    let word = mine.unwrap_or_else(|| {
        let apcs = Arc::<Apcs>::default();
        let thread = host::current().client_id().thread;
        change(|threads| {
            threads.insert(thread, apcs.clone());
        });
        let mine = Mine {
            thread,
            apcs: apcs.clone(),
        };
        MINE.set(Some(mine));
        apcs
    });
    Alert {
        word,
        expected: 0,
        look_ns: Some(LOOK_NS),
    }
}

/// Lets Wine run the calling thread's APCs when the call it is in returns; returns what that call must return then.
pub fn alerted() -> Option<NtStatus> {
    MINE.with_borrow(|mine| {
        if let Some(mine) = mine {
            mine.apcs.0.store(0, Ordering::SeqCst);
        }
    });
    let _open = interrupt::open();
    let no_time: i64 = 0;
    let ntdll = ntdll();
    // SAFETY: TRUE and a pointer to a local.
    let status = unsafe { ntdll.call(ntdll.NtDelayExecution, [1, &raw const no_time as u64]) };
    match NtStatus(status) {
        status @ (NtStatus::USER_APC | NtStatus::ALERTED) => Some(status),
        _ => None,
    }
}
