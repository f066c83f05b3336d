//! Which threads are inside a call on a port.
//!
//! A communication port lives until the calls on it are over (lpc §3.1), but the frames of a thread ended by
//! TerminateThread never let go of theirs. So a port ends with its last handle unless a live thread is listed here; then
//! with the last such call.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, compiler_fence};

use ntlpc_abi::ClientId;
use parking_lot::Mutex;

use crate::engine::{Port, existing_session};
use crate::host;

/// One thread.
#[derive(Debug)]
struct Slot {
    /// Its NT id; 0 for a free slot.
    thread: AtomicU32,
    /// Number of the port its call is on; 0 outside of calls.
    port: AtomicU64,
}

/// Every slot ever made; those of threads that ended are used again. Lock order: nothing is locked inside.
static SLOTS: Mutex<Vec<&'static Slot>> = Mutex::new(Vec::new());

/// Ports without handles that some thread was inside a call on.
static LINGERING: Mutex<Vec<Arc<Port>>> = Mutex::new(Vec::new());
static IS_ANY_LINGERING: AtomicBool = AtomicBool::new(false);

thread_local! {
    static MINE: Cell<Option<&'static Slot>> = const { Cell::new(None) };
}

/// This thread, as its calls note their ports.
#[derive(Clone, Copy, Debug)]
pub struct Caller(&'static Slot);

impl Caller {
    /// Returns the calling thread.
    pub fn current() -> Caller {
        Caller(MINE.get().unwrap_or_else(claim))
    }

    /// The call of this thread is on a port. Made under the lock of the table of handles, in which the handle was just
    /// found: who takes the handle out of the table sees it in `is_used`.
    pub fn enter(self, port: u64) {
        self.0.port.store(port, Ordering::Relaxed);
    }
}

/// The call of this thread is over.
pub fn leave() {
    if let Some(slot) = MINE.get() {
        slot.port.store(0, Ordering::Release);
    }
    // The processor may read the flag before it writes the slot: `end` has the barrier for both sides.
    compiler_fence(Ordering::SeqCst);
    if IS_ANY_LINGERING.load(Ordering::Relaxed) {
        end_lingering();
    }
}

/// A thread of this process has ended.
pub fn ended(thread: u32) {
    for slot in SLOTS.lock().iter() {
        if slot.thread.load(Ordering::Relaxed) == thread {
            slot.port.store(0, Ordering::Relaxed);
            slot.thread.store(0, Ordering::Release);
        }
    }
    end_lingering();
}

/// The last handle of this process on a port is closed: the port ends, once no live thread is inside a call on it.
pub fn end(port: &Arc<Port>) {
    if is_used(port.id) {
        LINGERING.lock().push(port.clone());
        IS_ANY_LINGERING.store(true, Ordering::SeqCst);
        barrier_in_every_thread();
        // The call may have ended before the flag was seen.
        end_lingering();
    } else {
        port.end();
    }
}

/// Runs a memory barrier in every running thread of this process (man 2 membarrier). Before Linux 4.14 a port lingers in
/// rare cases until the next call ends.
fn barrier_in_every_thread() {
    const REGISTER_PRIVATE_EXPEDITED: i32 = 1 << 4;
    const PRIVATE_EXPEDITED: i32 = 1 << 3;
    for command in [REGISTER_PRIVATE_EXPEDITED, PRIVATE_EXPEDITED] {
        // SAFETY: numbers only; the call touches no memory.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
    }
}

#[cold]
fn claim() -> &'static Slot {
    let thread = host::current().client_id().thread;
    let mut slots = SLOTS.lock();
    let free = slots
        .iter()
        .find(|slot| matches!(slot.thread.load(Ordering::Acquire), id if id == 0 || id == thread))
        .copied();
    let slot = free.unwrap_or_else(|| {
        let slot: &'static Slot = Box::leak(Box::new(Slot {
            thread: AtomicU32::new(0),
            port: AtomicU64::new(0),
        }));
        slots.push(slot);
        slot
    });
    slot.thread.store(thread, Ordering::Relaxed);
    MINE.set(Some(slot));
    slot
}

/// Returns whether a live thread of this process is inside a call on a port.
fn is_used(port: u64) -> bool {
    let inside: Vec<u32> = {
        let slots = SLOTS.lock();
        let inside = slots
            .iter()
            .filter(|slot| slot.port.load(Ordering::Acquire) == port);
        inside
            .map(|slot| slot.thread.load(Ordering::Relaxed))
            .collect()
    };
    let process = host::current().client_id().process;
    inside.into_iter().any(|thread| {
        existing_session()
            .is_some_and(|session| session.check_alive(ClientId { process, thread }).is_ok())
    })
}

/// Ends the lingering ports that nobody uses any more.
#[cold]
fn end_lingering() {
    let lingering = { std::mem::take(&mut *LINGERING.lock()) };
    let (used, unused): (Vec<_>, Vec<_>) = lingering.into_iter().partition(|port| is_used(port.id));
    {
        let mut lingering = LINGERING.lock();
        lingering.extend(used);
        IS_ANY_LINGERING.store(!lingering.is_empty(), Ordering::SeqCst);
    }
    for port in unused {
        port.end();
    }
}
