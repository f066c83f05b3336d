//! What callbacks are made for: work, timer, wait and I/O items, and registrations of the older interfaces.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use ntdll_shim::engine::Port;
use ntlpc_abi::Handle;
use parking_lot::Mutex;

use super::environment::Environment;
use super::{Argument, Job, Registry, watch};
use crate::export::{Callback, Ptr};
use crate::guest_struct;
use crate::ob::completion::Completion;
use crate::ob::futex::{self, Sleep};
use crate::ob::object::Object;
use crate::ob::sync::Event;

guest_struct! {
    /// `IO_STATUS_BLOCK` as an I/O callback of `Tp…` sees it.
    pub struct IoStatusBlock {
        status: usize,
        information: usize,
    }
}

/// Items by what the guest knows them by.
pub static ITEMS: Registry<Arc<Item>> = Registry::new();

/// What an item is, which decides how its callback is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `(instance, context)`, once.
    Simple,
    /// `(instance, context, work)`.
    Work,
    /// `(instance, context, timer)`.
    Timer,
    /// `(instance, context, wait, result)`.
    Wait,
    /// `(instance, context, value, io status block, io)`: `TP_IO_CALLBACK`.
    NativeIo,
    /// `(instance, context, overlapped, Win32 error, bytes, io)`: `PTP_WIN32_IO_CALLBACK`.
    Io,
    /// `(instance, context, alpc)`: `TP_ALPC_CALLBACK`.
    Alpc,
    /// `(instance, context, alpc, APC context)`: `TP_ALPC_CALLBACK_EX`.
    AlpcEx,
    /// `(context)`, once: `QueueUserWorkItem`.
    WorkItem,
    /// `(context, timed out)`: registered waits and timers of timer queues.
    Legacy,
    /// `(Win32 error, bytes, overlapped)`: `BindIoCompletionCallback`.
    LegacyIo,
}

/// An object and how long it is watched, in ns.
type Watched = (Arc<dyn Object>, Option<u64>);

/// An item.
#[derive(Debug)]
pub struct Item {
    /// What the guest knows it by.
    pub id: u64,
    /// What it is.
    pub kind: Kind,
    /// Function of the guest.
    pub callback: Callback,
    /// First argument of that function.
    pub context: u64,
    /// Pool, group and the like.
    pub environment: Environment,
    state: Mutex<State>,
    /// Changes whenever a callback ends; those who wait for all of them sleep on it.
    word: AtomicU32,
    /// Where files bound to it report, for I/O items.
    pub completions: Option<Arc<Completion>>,
    /// Watched object and timeout of a registered wait that is watched again after each callback.
    rearm: Mutex<Option<Watched>>,
    is_forgotten: AtomicBool,
    /// The port whose messages it is called for, and whether its threads are workers of the port's completion list.
    port: Mutex<(Weak<Port>, bool)>,
}

#[derive(Debug, Default)]
struct State {
    /// Callbacks queued or, for I/O, announced.
    pending: u32,
    /// Callbacks running.
    running: u32,
    /// Event to set when the last callback has ended.
    notify: Option<Arc<Event>>,
}

impl Item {
    /// Makes an item and adds it to its group. It is known to the guest until [`Item::forget`].
    #[must_use]
    pub fn new(
        kind: Kind,
        callback: Callback,
        context: u64,
        environment: Environment,
    ) -> Arc<Self> {
        let is_io = matches!(kind, Kind::NativeIo | Kind::Io | Kind::LegacyIo);
        let item = Arc::new(Item {
            id: Registry::<Arc<Item>>::reserve(),
            kind,
            callback,
            context,
            environment,
            state: Mutex::default(),
            word: AtomicU32::new(0),
            completions: is_io.then(Arc::default),
            rearm: Mutex::new(None),
            is_forgotten: AtomicBool::new(false),
            port: Mutex::default(),
        });
        ITEMS.insert_at(item.id, item.clone());
        if let Some(group) = &item.environment.group {
            group.add(&item);
        }
        item
    }

    /// Queues a callback.
    pub fn post(self: &Arc<Self>, argument: Argument) {
        self.announce();
        self.post_announced(argument);
    }

    /// Counts a callback that will be posted later.
    pub fn announce(&self) {
        self.state.lock().pending += 1;
    }

    /// Takes back an announced callback that will not come.
    pub fn renounce(&self) {
        self.settle(1, 0);
    }

    /// Queues a callback that was announced.
    pub fn post_announced(self: &Arc<Self>, argument: Argument) {
        let job = Job {
            item: self.clone(),
            argument,
        };
        self.environment.pool.push(job, self.environment.priority);
    }

    /// A callback begins on the calling thread.
    pub(super) fn begin(&self) {
        let mut state = self.state.lock();
        state.pending = state.pending.saturating_sub(1);
        state.running += 1;
    }

    /// A callback has ended, or counts as ended.
    pub(super) fn end(self: &Arc<Self>) {
        let is_once = matches!(self.kind, Kind::Simple | Kind::WorkItem);
        self.rearm();
        self.settle(0, 1);
        if is_once {
            self.forget();
        }
    }

    fn settle(&self, pending: u32, running: u32) {
        let notify = {
            let mut state = self.state.lock();
            state.pending = state.pending.saturating_sub(pending);
            state.running -= running;
            if state.pending + state.running == 0 {
                state.notify.take()
            } else {
                None
            }
        };
        self.word.fetch_add(1, Ordering::Release);
        futex::wake_all(&self.word, false);
        if let Some(event) = notify {
            event.set();
        }
    }

    /// Returns the function, its arguments and their number.
    pub(super) fn call(&self, argument: Argument) -> (Callback, [u64; 6], usize) {
        // The instance is only handed back to us, by the callback, on its own thread.
        let (instance, context, id) = (self.id, self.context, self.id);
        let timed_out = u64::from(matches!(argument, Argument::TimedOut(true)));
        let packet = match argument {
            Argument::Io(packet) => packet,
            _ => crate::ob::completion::Packet::default(),
        };
        let error = u64::from(crate::win32_error::dos_error(ntlpc_abi::NtStatus(
            packet.status,
        )));
        let (arguments, count) = match self.kind {
            Kind::Simple => ([instance, context, 0, 0, 0, 0], 2),
            Kind::Work | Kind::Timer | Kind::Alpc => ([instance, context, id, 0, 0, 0], 3),
            Kind::AlpcEx => ([instance, context, id, packet.value, 0, 0], 4),
            // WAIT_OBJECT_0 or WAIT_TIMEOUT
            Kind::Wait => ([instance, context, id, timed_out * 258, 0, 0], 4),
            Kind::NativeIo => (
                [
                    instance,
                    context,
                    packet.value,
                    self.io_block(packet),
                    id,
                    0,
                ],
                5,
            ),
            Kind::Io => (
                [
                    instance,
                    context,
                    packet.value,
                    error,
                    packet.information,
                    id,
                ],
                6,
            ),
            Kind::WorkItem => ([context, 0, 0, 0, 0, 0], 1),
            Kind::Legacy => ([context, timed_out, 0, 0, 0, 0], 2),
            Kind::LegacyIo => ([error, packet.information, packet.value, 0, 0, 0], 3),
        };
        (self.callback, arguments, count)
    }

    /// Writes an `IO_STATUS_BLOCK` of this thread for a callback and returns its address.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "lengths fit the guest's width"
    )]
    fn io_block(&self, packet: crate::ob::completion::Packet) -> u64 {
        thread_local! {
            static BLOCK: AtomicU64 = const { AtomicU64::new(0) };
        }
        BLOCK.with(|block| {
            if block.load(Ordering::Relaxed) == 0 {
                block.store(crate::vm::low::allocate(16, 8), Ordering::Relaxed);
            }
            let at = block.load(Ordering::Relaxed);
            Ptr::new(at).write(IoStatusBlock {
                status: packet.status as usize,
                information: packet.information as usize,
            });
            at
        })
    }

    /// Watches an object for the item until it is signaled or the deadline passes. With `repeats`, again after each
    /// callback, with the timeout counted anew.
    pub fn watch(
        self: &Arc<Self>,
        object: Arc<dyn Object>,
        timeout_ns: Option<u64>,
        repeats: bool,
    ) {
        *self.rearm.lock() = repeats.then(|| (object.clone(), timeout_ns));
        watch::arm(
            self,
            Some(object),
            timeout_ns.map(|ns| futex::now_ns().saturating_add(ns)),
            0,
        );
    }

    fn rearm(self: &Arc<Self>) {
        let again = self.rearm.lock().clone();
        if let Some((object, timeout_ns)) = again {
            watch::arm(
                self,
                Some(object),
                timeout_ns.map(|ns| futex::now_ns().saturating_add(ns)),
                0,
            );
            // A registration that ended meanwhile has nothing to watch.
            if self.rearm.lock().is_none() {
                watch::disarm(self);
            }
        }
    }

    /// No new callbacks come from timers and waits.
    pub fn stop(self: &Arc<Self>) {
        *self.rearm.lock() = None;
        watch::disarm(self);
    }

    /// Takes queued callbacks back; returns how many.
    pub fn cancel_queued(self: &Arc<Self>) -> u32 {
        let count = self.environment.pool.cancel(self);
        if count > 0 {
            self.settle(count, 0);
        }
        count
    }

    /// Returns whether no callback is queued or runs; if one does, `event` is set when the last has ended.
    pub fn notify_idle(&self, event: Option<Arc<Event>>) -> bool {
        let mut state = self.state.lock();
        if state.pending + state.running == 0 {
            return true;
        }
        state.notify = event;
        false
    }

    /// Waits until no callback is queued or runs.
    pub fn wait_idle(&self) {
        loop {
            let seen = self.word.load(Ordering::Acquire);
            if self.notify_idle(None) {
                return;
            }
            let sleep = Sleep {
                word: &self.word,
                expected: seen,
                is_shared: false,
            };
            if futex::sleep(&[sleep], None) == futex::Woken::Ending {
                return;
            }
        }
    }

    /// Returns whether the guest no longer knows the item.
    #[must_use]
    pub fn is_forgotten(&self) -> bool {
        self.is_forgotten.load(Ordering::Acquire)
    }

    /// Names the port whose messages the item is called for.
    pub fn set_port(&self, port: &Arc<Port>) {
        self.port.lock().0 = Arc::downgrade(port);
    }

    /// Says whether threads that run the callback are workers of the port's completion list.
    pub fn set_worker(&self, is_worker: bool) {
        self.port.lock().1 = is_worker;
    }

    /// Returns the completion list the calling thread is to be a worker of.
    pub(super) fn worker_list(&self) -> Option<u64> {
        let port = {
            let port = self.port.lock();
            port.1.then(|| port.0.upgrade()).flatten()
        };
        port.and_then(|port| ntdll_shim::completion_list(&port))
    }

    /// The guest no longer knows the item. Callbacks on their way still run.
    pub fn forget(self: &Arc<Self>) {
        if !self.is_forgotten.swap(true, Ordering::AcqRel) {
            ITEMS.remove(self.id);
            if let Some(group) = &self.environment.group {
                group.remove(self);
            }
        }
    }

    /// Ends a registration of the older interfaces: `event` NULL does not wait, `INVALID_HANDLE_VALUE` waits for the
    /// callbacks, another one is set when they have ended. Returns whether none is left.
    pub fn unregister(self: &Arc<Self>, event: Handle) -> Result<bool, ntlpc_abi::NtStatus> {
        let notify = match event {
            Handle::NULL | crate::dlls::win32::INVALID_HANDLE_VALUE => None,
            handle => Some(crate::ob::table::lookup::<Event>(handle, 2)?),
        };
        self.stop();
        self.cancel_queued();
        self.forget();
        if event == crate::dlls::win32::INVALID_HANDLE_VALUE {
            self.wait_idle();
            return Ok(true);
        }
        let is_idle = self.notify_idle(notify.clone());
        if is_idle && let Some(event) = notify {
            event.set();
        }
        Ok(is_idle)
    }
}
