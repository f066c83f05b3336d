//! From signal words to Wine events: a thread of this process that exists while some wait needs it.
//!
//! The sender of a message sets the signal word of a waitable port and may be a program outside Wine, so it can set no
//! Wine event. A wait that only Wine can do arms a hidden event here; the bridge watches the words of the armed events
//! with FUTEX_WAITV (man 2 futex_waitv) and sets the event of each that becomes 1. It is a Wine thread, since only such
//! a thread may call Wine, made without notice to the DLLs, and it ends a second after the last wait did.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ntlpc_shm::sys::{Deadline, KernelTime, SYS_FUTEX};
use parking_lot::Mutex;

use super::handles::Known;
use super::service::ntdll;
use super::threads;
use crate::engine::Port;
use crate::interrupt;

/// Most words of one FUTEX_WAITV.
const MOST_WORDS: usize = 128;
/// How long the bridge stays without work.
const LINGER_NS: u64 = 1_000_000_000;

static STATE: Mutex<State> = Mutex::new(State {
    armed: Vec::new(),
    is_running: false,
});
/// Changes whenever `armed` does, to end the wait of the bridge.
static CHANGES: AtomicU32 = AtomicU32::new(0);

struct State {
    armed: Vec<Armed>,
    is_running: bool,
}

/// A port some wait watches.
#[derive(Clone)]
struct Armed {
    port: Arc<Port>,
    event: u64,
    /// Waits under way that watch it.
    waits: u32,
    /// Whether the event was set since it was armed last.
    has_fired: bool,
}

/// A port's event during one wait.
#[derive(Debug)]
pub struct Bridged {
    port: u64,
    event: u64,
}

impl Bridged {
    /// Makes the event of a port agree with its signal word and has it set when the word is; `None` without memory.
    pub fn arm(known: &Known) -> Option<Bridged> {
        let port = &known.port;
        let bridged = Bridged {
            port: port.id,
            event: acquire(port)?,
        };
        let ntdll = ntdll();
        // SAFETY: an event of ours, no previous state wanted.
        unsafe { ntdll.call(ntdll.NtResetEvent, [bridged.event, 0]) };
        // Only now: a firing before the reset is undone by it, one after the reset is seen.
        let must_start = {
            let mut state = STATE.lock();
            if let Some(armed) = state
                .armed
                .iter_mut()
                .find(|armed| armed.event == bridged.event)
            {
                armed.has_fired = false;
            }
            !std::mem::replace(&mut state.is_running, true)
        };
        if must_start && !start() {
            STATE.lock().is_running = false;
            return None;
        }
        if port.is_signalled() {
            // SAFETY: as above.
            unsafe { ntdll.call(ntdll.NtSetEvent, [bridged.event, 0]) };
        }
        kick();
        Some(bridged)
    }

    /// Returns the handle of the event.
    pub fn event(&self) -> u64 {
        self.event
    }
}

impl Drop for Bridged {
    fn drop(&mut self) {
        let unused = {
            let mut state = STATE.lock();
            let at = state
                .armed
                .iter()
                .position(|armed| armed.port.id == self.port);
            at.and_then(|at| {
                state.armed[at].waits = state.armed[at].waits.saturating_sub(1);
                (state.armed[at].waits == 0).then(|| state.armed.swap_remove(at))
            })
        };
        if let Some(unused) = unused {
            let ntdll = ntdll();
            // SAFETY: an event of ours that no wait uses any more.
            unsafe { ntdll.call(ntdll.NtClose, [unused.event]) };
            kick();
        }
    }
}

/// Counts a wait on a port and returns its event, which the first of the waits under way makes.
fn acquire(port: &Arc<Port>) -> Option<u64> {
    let count = |state: &mut State| {
        let armed = state
            .armed
            .iter_mut()
            .find(|armed| armed.port.id == port.id)?;
        armed.waits += 1;
        Some(armed.event)
    };
    if let Some(event) = count(&mut STATE.lock()) {
        return Some(event);
    }
    let mut event = 0_u64;
    let ntdll = ntdll();
    // SAFETY: pointer to a local, EVENT_ALL_ACCESS, no attributes, NotificationEvent, not set.
    let status = unsafe {
        ntdll.call(
            ntdll.NtCreateEvent,
            [&raw mut event as u64, 0x1F_0003, 0, 0, 0],
        )
    };
    if status != 0 {
        return None;
    }
    let existing = {
        let mut state = STATE.lock();
        let existing = count(&mut state);
        if existing.is_none() {
            state.armed.push(Armed {
                port: port.clone(),
                event,
                waits: 1,
                has_fired: false,
            });
        }
        existing
    };
    if existing.is_some() {
        // SAFETY: the event made above, which lost the race.
        unsafe { ntdll.call(ntdll.NtClose, [event]) };
    }
    existing.or(Some(event))
}

/// Starts the thread. Returns whether Wine made it.
fn start() -> bool {
    let started = threads::start(Box::new(run));
    if let Err(status) = started {
        log::warn!("no thread to wait for ports among other objects: {status}");
    }
    started.is_ok()
}

/// Body of the thread.
fn run() {
    let mut idle_until = Deadline::after_ns(LINGER_NS);
    loop {
        let seen = CHANGES.load(Ordering::SeqCst);
        let armed: Vec<Armed> = {
            let mut state = STATE.lock();
            if state.armed.is_empty() && idle_until.has_passed() {
                state.is_running = false;
                return;
            }
            state
                .armed
                .iter()
                .filter(|armed| !armed.has_fired)
                .cloned()
                .collect()
        };
        if !armed.is_empty() {
            idle_until = Deadline::after_ns(LINGER_NS);
        }
        let (fired, watched): (Vec<Armed>, Vec<Armed>) = armed
            .into_iter()
            .partition(|armed| armed.port.is_signalled());
        fired.iter().for_each(fire);
        if fired.is_empty() {
            wait_for_any(seen, &watched, idle_until);
        }
    }
}

/// Sets an event, unless its last wait has ended.
fn fire(armed: &Armed) {
    let is_wanted = {
        let mut state = STATE.lock();
        let found = state
            .armed
            .iter_mut()
            .find(|other| other.event == armed.event);
        found.map(|other| other.has_fired = true).is_some()
    };
    if is_wanted {
        let ntdll = ntdll();
        // SAFETY: an event of ours; if it is closed this moment, the handle is no event and the call fails.
        unsafe { ntdll.call(ntdll.NtSetEvent, [armed.event, 0]) };
    }
}

/// Ends the wait of the bridge.
fn kick() {
    CHANGES.fetch_add(1, Ordering::SeqCst);
    // SAFETY: FUTEX_WAKE only uses the address as a key.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            CHANGES.as_ptr(),
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            1,
        )
    };
}

/// `struct futex_waitv` of `<linux/futex.h>`.
#[repr(C)]
struct WaitV {
    expected: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

const FUTEX2_SIZE_U32: u32 = 2;

/// Waits until `CHANGES` is no longer `seen`, the word of a port is set, or a second has passed.
fn wait_for_any(seen: u32, ports: &[Armed], idle_until: Deadline) {
    let mut words = vec![WaitV {
        expected: u64::from(seen),
        address: CHANGES.as_ptr() as u64,
        flags: FUTEX2_SIZE_U32 | libc::FUTEX_PRIVATE_FLAG as u32,
        reserved: 0,
    }];
    let watched = ports.iter().filter_map(|armed| armed.port.watch_signal());
    words.extend(
        watched
            .take(MOST_WORDS - 1)
            .map(|(address, expected)| WaitV {
                expected: expected.into(),
                address: address as u64,
                flags: FUTEX2_SIZE_U32,
                reserved: 0,
            }),
    );
    if ports.iter().any(|armed| armed.port.is_signalled()) {
        return;
    }
    let time = KernelTime::from(idle_until);
    let _open = interrupt::open();
    // SAFETY: the array and the time outlive the call; the words live in mappings that `ports` keep.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex_waitv,
            words.as_ptr(),
            words.len(),
            0,
            &raw const time,
            libc::CLOCK_MONOTONIC,
        )
    };
    if result < 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS) {
        // Kernels before 5.16: look every millisecond.
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// FUTEX_WAIT on a word of shared memory until an absolute deadline.
pub fn futex_wait(word: &AtomicU32, expected: u32, deadline: Option<Deadline>) {
    let clock = match deadline {
        Some(Deadline::Realtime(_)) => libc::FUTEX_CLOCK_REALTIME,
        _ => 0,
    };
    let time = deadline.map(KernelTime::from);
    let timeout = time
        .as_ref()
        .map_or(std::ptr::null(), |time| &raw const *time);
    // SAFETY: the word and the time outlive the call.
    unsafe {
        libc::syscall(
            SYS_FUTEX,
            word.as_ptr(),
            libc::FUTEX_WAIT_BITSET | clock,
            expected,
            timeout,
            0_usize,
            u32::MAX,
        )
    };
}
