//! Telling a program of messages that nobody waits for (alpc §2.8, §2.17, §3.6).
//!
//! A port with an I/O completion port or a completion list has a notifier. It takes messages over for the process as they
//! come: into the list, or, what does not belong there, into [`QueueState::kept`](super::queue::QueueState), where
//! receivers look first; then it posts packets. Whoever looks for messages may do that ([`Notifier::collect`]); a thread
//! of the notifier does it when nobody else does:
//!
//! 1. While the list's workers are awake it rests: they collect for themselves, and senders wake nobody.
//! 2. Else it sleeps in the inbox as any receiver, and collects when it is chosen.
//! 3. It ends with the queue.

use std::mem::take;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::time::Duration;

use ntlpc_abi::NtStatus;
use ntlpc_shm::sys::{self, Deadline, Woken};
use parking_lot::Mutex;

use super::message::{Data, Incoming};
use super::queue::{Kept, Queue};
use super::receive::keep;
use super::session::{Me, me};
use super::take::take_new;
use crate::host::{self, CompletionPacket, CompletionPort};
use crate::interrupt;

/// Messages taken over for receivers before more are left in shared memory.
pub(super) const MANY_KEPT: usize = 512;
/// How long the thread sleeps if every receiver record is taken.
const NO_RECORD_PAUSE: Duration = Duration::from_millis(20);

/// A completion list as the engine sees it.
pub trait Ring: Send + Sync + std::fmt::Debug {
    /// Returns whether a message of this type belongs into the list.
    fn takes(&self, incoming: &Incoming) -> bool;
    /// Copies a message into the list; returns whether there was room.
    fn put(&self, incoming: &Incoming, data: &[u8]) -> bool;
    /// Returns whether enough workers are awake to find what is put in.
    fn is_attended(&self) -> bool;
    /// Returns whether nothing is in the list.
    fn is_empty(&self) -> bool;
}

/// Whom a port tells of its messages.
#[derive(Clone, Debug, Default)]
struct Targets {
    completion: Option<(Arc<dyn CompletionPort>, u64)>,
    ring: Option<Arc<dyn Ring>>,
}

/// The notifier of a queue.
#[derive(Debug, Default)]
pub struct Notifier {
    targets: Mutex<Targets>,
    /// Whether `targets` has a list; changed with it, read by every receive.
    has_ring: AtomicBool,
    /// Held by whoever collects, so that order is kept.
    collecting: Mutex<()>,
    /// Counts what may change the minds of those who rest: the futex they rest on.
    changes: AtomicU32,
    /// How many rest.
    resting: AtomicU32,
    has_thread: AtomicBool,
    /// Whether the thread sleeps in the inbox.
    is_asleep: AtomicBool,
}

/// What a collection found.
#[derive(Clone, Copy, Debug, Default)]
struct Collected {
    into_ring: u32,
    kept: u32,
    /// More is there than could be taken.
    has_more: bool,
}

impl Notifier {
    fn targets(&self) -> Targets {
        self.targets.lock().clone()
    }

    /// Posts packets with `key` to a completion port from now on.
    ///
    /// # Errors
    /// `PORT_ALREADY_SET`; what the host answers when no thread can be made.
    pub fn set_completion_port(
        &self,
        queue: &Arc<Queue>,
        port: Arc<dyn CompletionPort>,
        key: u64,
    ) -> Result<(), NtStatus> {
        {
            let mut targets = self.targets.lock();
            if targets.completion.is_some() {
                return Err(NtStatus::PORT_ALREADY_SET);
            }
            targets.completion = Some((port, key));
        }
        let started = self.start_thread(queue);
        if started.is_err() {
            self.targets.lock().completion = None;
        }
        started
    }

    /// Puts messages into a completion list from now on.
    ///
    /// # Errors
    /// `PORT_ALREADY_HAS_COMPLETION_LIST`.
    pub fn set_ring(&self, ring: Arc<dyn Ring>) -> Result<(), NtStatus> {
        {
            let mut targets = self.targets.lock();
            if targets.ring.is_some() {
                return Err(NtStatus::PORT_ALREADY_HAS_COMPLETION_LIST);
            }
            targets.ring = Some(ring);
            self.has_ring.store(true, SeqCst);
        }
        self.look_again();
        Ok(())
    }

    /// Ends the use of a completion list.
    pub fn clear_ring(&self) {
        {
            let mut targets = self.targets.lock();
            targets.ring = None;
            self.has_ring.store(false, SeqCst);
        }
        self.look_again();
    }

    /// Returns whether messages are taken over before receivers see them.
    #[must_use]
    pub fn has_ring(&self) -> bool {
        self.has_ring.load(SeqCst)
    }

    /// Returns whether the list has messages that not enough workers look for.
    #[must_use]
    pub fn must_check_ring(&self) -> bool {
        self.targets()
            .ring
            .is_some_and(|ring| !ring.is_empty() && !ring.is_attended())
    }

    /// Something changed: room was made, the queue ended. Everybody who rests looks again.
    pub fn look_again(&self) {
        self.change(i32::MAX);
    }

    /// A worker left the list: one of those who rest takes its place.
    pub fn worker_left(&self) {
        let has_thread = self.has_thread.load(SeqCst);
        self.change(if has_thread { i32::MAX } else { 1 });
    }

    /// Who rests counts itself, then compares `changes`; this thread changes it, then looks at the count.
    fn change(&self, wakes: i32) {
        self.changes.fetch_add(1, SeqCst);
        if self.resting.load(SeqCst) != 0 {
            sys::futex_wake(&self.changes, wakes);
        }
    }

    /// Returns what to [rest](Notifier::rest) on if nothing is found from now on.
    #[must_use]
    pub fn seen(&self) -> u32 {
        self.changes.load(SeqCst)
    }

    /// Waits until something changed since `seen`: the list's workers are awake and look for messages themselves.
    #[must_use]
    pub fn rest(&self, seen: u32, deadline: Option<Deadline>) -> Woken {
        self.resting.fetch_add(1, SeqCst);
        let woken = interrupt::waiting(|| sys::futex_wait(&self.changes, seen, deadline));
        self.resting.fetch_sub(1, SeqCst);
        woken
    }

    /// Returns whether the list's workers look for messages.
    #[must_use]
    pub fn is_attended(&self) -> bool {
        self.targets().ring.is_some_and(|ring| ring.is_attended())
    }

    /// Takes over what came. Does nothing if another thread is at it.
    pub fn collect(&self, queue: &Queue) {
        let targets = self.targets();
        let collected = self.collect_for(queue, &targets);
        Notifier::tell(&targets, collected);
    }

    /// Returns whether a receiver is blocked that is not this notifier.
    fn has_receiver(&self, queue: &Queue) -> bool {
        let own = usize::from(self.is_asleep.load(SeqCst));
        queue.inbox.has_sleepers() && queue.inbox.sleepers().len() > own
    }

    fn collect_for(&self, queue: &Queue, targets: &Targets) -> Collected {
        let mut collected = Collected::default();
        let Some(_collecting) = self.collecting.try_lock() else {
            return collected;
        };
        let Ok(me) = me() else {
            return collected;
        };
        if let Some(ring) = &targets.ring
            && !put_kept(queue, ring.as_ref(), &mut collected)
        {
            collected.has_more = true;
            return collected;
        }
        let (mut incoming, mut data) = (Incoming::default(), Data::new());
        loop {
            if queue.state.lock().kept.len() >= MANY_KEPT {
                collected.has_more = true;
                break;
            }
            if !matches!(take_new(queue, me, &mut incoming, &mut data), Ok(true)) {
                break;
            }
            let is_for_ring = |ring: &&Arc<dyn Ring>| ring.takes(&incoming);
            match targets.ring.as_ref().filter(is_for_ring) {
                Some(ring) if ring.put(&incoming, &data) => collected.into_ring += 1,
                Some(_) => {
                    keep(queue, take(&mut incoming), take(&mut data));
                    collected.has_more = true;
                    break;
                }
                None => {
                    // A blocked receiver comes first (alpc §3.6).
                    if !self.has_receiver(queue) {
                        collected.kept += 1;
                    }
                    keep(queue, take(&mut incoming), take(&mut data));
                }
            }
        }
        collected
    }

    /// Posts packets for what a collection found.
    fn tell(targets: &Targets, collected: Collected) {
        let Some((port, key)) = &targets.completion else {
            return;
        };
        let packet = |status| CompletionPacket {
            key: *key,
            context: 0,
            status,
            information: 0,
        };
        let is_attended = |ring: &Arc<dyn Ring>| ring.is_attended();
        let for_ring = match &targets.ring {
            Some(ring) if is_attended(ring) => 0,
            _ => collected.into_ring.min(1),
        };
        let packets =
            std::iter::repeat_n(NtStatus::ALPC_CHECK_COMPLETION_LIST, for_ring as usize).chain(
                std::iter::repeat_n(NtStatus::SUCCESS, collected.kept as usize),
            );
        for status in packets {
            if let Err(status) = port.post(packet(status)) {
                log::debug!("a packet for a port's message was lost: {status}");
            }
        }
    }

    fn start_thread(&self, queue: &Arc<Queue>) -> Result<(), NtStatus> {
        if self.has_thread.swap(true, SeqCst) {
            return Ok(());
        }
        let weak = Arc::downgrade(queue);
        let started = host::current().start_thread(Box::new(move || run(&weak)));
        if started.is_err() {
            self.has_thread.store(false, SeqCst);
        }
        started
    }
}

/// Puts kept messages into the list, oldest first; returns whether all of them that belong there fit.
fn put_kept(queue: &Queue, ring: &dyn Ring, collected: &mut Collected) -> bool {
    loop {
        let next = {
            let mut state = queue.state.lock();
            let at = state
                .kept
                .iter()
                .position(|kept| ring.takes(&kept.incoming));
            at.and_then(|at| Some((at, state.kept.remove(at)?)))
        };
        let Some((at, Kept { incoming, data })) = next else {
            return true;
        };
        if !ring.put(&incoming, &data) {
            let mut state = queue.state.lock();
            let at = at.min(state.kept.len());
            state.kept.insert(at, Kept { incoming, data });
            queue.has_kept.store(true, SeqCst);
            return false;
        }
        collected.into_ring += 1;
    }
}

/// Body of the thread.
fn run(queue: &Weak<Queue>) {
    let Ok(me) = me() else {
        log::warn!("no packets will tell of a port's messages: the server is gone");
        return;
    };
    // Step 3: the queue is let go of between two looks.
    while let Some(queue) = queue.upgrade() {
        let notifier = &queue.notifier;
        let seen = notifier.seen();
        let targets = notifier.targets();
        let is_attended = targets.ring.as_ref().is_some_and(|ring| ring.is_attended());
        let has_more = if is_attended {
            true
        } else {
            let collected = notifier.collect_for(&queue, &targets);
            Notifier::tell(&targets, collected);
            collected.has_more
        };
        if queue.is_ended() {
            return;
        }
        if has_more {
            let notifier = Arc::clone(notifier);
            drop(queue);
            let _ = notifier.rest(seen, None);
            continue;
        }
        sleep(queue, me, seen);
    }
}

/// Step 2: sleeps in the inbox until somebody rings, unless something came since.
fn sleep(queue: Arc<Queue>, me: Me, seen: u32) {
    let (inbox, notifier) = (queue.inbox.clone(), Arc::clone(&queue.notifier));
    let Some(record) = inbox.arm(me.tno) else {
        let _open = interrupt::open();
        std::thread::sleep(NO_RECORD_PAUSE);
        return;
    };
    notifier.is_asleep.store(true, SeqCst);
    let is_settled = notifier.seen() == seen && !queue.is_ended();
    // While this thread sleeps it keeps no queue alive; one that goes is closed by the server, which wakes everybody.
    drop(queue);
    if is_settled && inbox.sources().is_empty() {
        let _open = interrupt::open();
        let _ = inbox.wait(record, None);
    }
    notifier.is_asleep.store(false, SeqCst);
    inbox.disarm(record);
}
