//! The thread pool behind `Tp…`, the pools of `threadpoolapiset.h`, registered waits and timer queues.
//!
//! A pool is a queue of jobs and the guest threads that run them. A [job](Job) is one call of the callback of an
//! [item](item::Item): a work, timer, wait or I/O item, or a registration of the older interfaces. Timers and waits are
//! [watched](watch) by threads of their own, which queue the jobs.
//!
//! A callback may never return (`ExitThread`, an exception): what a thread is doing is noted in [`NOW`], and the hook at
//! the end of every thread settles it.

pub mod environment;
pub mod group;
pub mod item;
mod registry;
pub mod watch;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Once};

use ntlpc_abi::{CallId, Handle, NtStatus};
use parking_lot::Mutex;

use crate::export::Callback;
use crate::ob::futex::{self, Sleep, Woken, now_ns};
use crate::ob::thread::Thread;
use crate::thread::{self, Start};
use item::Item;
pub use registry::Registry;

/// Most threads of a pool whose owner set none. Source: Microsoft Learn "Thread Pools" (500).
const DEFAULT_MAXIMUM: u32 = 500;
/// Threads a pool starts at once when jobs queue up; more come every [`GROWTH_NS`] while no thread is free.
const EAGER: u32 = 8;
/// Pause between two threads beyond [`EAGER`].
const GROWTH_NS: u64 = 10_000_000;
/// How long a thread without work stays.
const IDLE_NS: u64 = 10_000_000_000;

/// `TP_CALLBACK_PRIORITY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in winnt.h")]
pub enum Priority {
    High = 0,
    Normal = 1,
    Low = 2,
}

/// One call of an item's callback.
#[derive(Clone, Debug)]
pub struct Job {
    /// Whose callback.
    pub item: Arc<Item>,
    /// What the callback is told besides what the item knows.
    pub argument: Argument,
}

/// What a callback learns from the event that led to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// Nothing.
    None,
    /// Whether a wait timed out or a timer came due, instead of an object being signaled.
    TimedOut(bool),
    /// A completed operation.
    Io(crate::ob::completion::Packet),
}

/// A pool.
#[derive(Debug)]
pub struct Pool {
    inner: Mutex<Inner>,
    /// Changes with every job; threads without work sleep on it.
    word: AtomicU32,
}

#[derive(Debug)]
struct Inner {
    queues: [VecDeque<Job>; 3],
    threads: u32,
    idle: u32,
    minimum: u32,
    maximum: u32,
    is_growing: bool,
}

impl Inner {
    fn is_empty(&self) -> bool {
        self.queues.iter().all(VecDeque::is_empty)
    }
}

/// The pool of everybody who names none.
pub static DEFAULT: LazyLock<Arc<Pool>> = LazyLock::new(Pool::new);
/// Pools by what the guest knows them by.
pub static POOLS: Registry<Arc<Pool>> = Registry::new();

/// What the calling thread is for, and what it is doing.
#[derive(Debug, Default)]
struct Now {
    /// Pool it works for.
    pool: Option<Arc<Pool>>,
    /// Whether it is the watcher of this group.
    watcher: Option<Arc<watch::Group>>,
    /// Item whose callback runs; `None` once the callback was disassociated.
    item: Option<Arc<Item>>,
    /// What to do when the callback has returned.
    at_return: Vec<AtReturn>,
}

thread_local! {
    static NOW: RefCell<Now> = RefCell::default();
}

/// What a callback asked for when it returns. Source: Microsoft Learn, "Thread Pooling" (callback clean-up functions).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AtReturn {
    /// `SetEventWhenCallbackReturns`.
    SetEvent(Handle),
    /// `ReleaseSemaphoreWhenCallbackReturns`.
    ReleaseSemaphore(Handle, i32),
    /// `ReleaseMutexWhenCallbackReturns`.
    ReleaseMutex(Handle),
    /// `LeaveCriticalSectionWhenCallbackReturns`.
    LeaveCriticalSection(u64),
    /// `FreeLibraryWhenCallbackReturns`.
    FreeLibrary(u64),
    /// `TpCallbackSendAlpcMessageOnCompletion`: `NtAlpcSendWaitReceivePort`.
    SendAlpcMessage {
        /// The port.
        port: Handle,
        /// Flags of the call.
        flags: u32,
        /// Header and data.
        message: Vec<u8>,
    },
}

impl Pool {
    /// Makes a pool without threads.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Pool {
            inner: Mutex::new(Inner {
                queues: Default::default(),
                threads: 0,
                idle: 0,
                minimum: 0,
                maximum: DEFAULT_MAXIMUM,
                is_growing: false,
            }),
            word: AtomicU32::new(0),
        })
    }

    /// Sets the most threads the pool may have.
    pub fn set_maximum(&self, count: u32) {
        self.inner.lock().maximum = count.max(1);
    }

    /// Sets how many threads stay without work, and starts them.
    pub fn set_minimum(self: &Arc<Self>, count: u32) -> Result<(), NtStatus> {
        let missing = {
            let mut inner = self.inner.lock();
            inner.minimum = count;
            inner.maximum = inner.maximum.max(count);
            count.saturating_sub(inner.threads)
        };
        (0..missing).try_for_each(|_| self.start_thread())
    }

    /// Queues a job; the item has counted it.
    pub fn push(self: &Arc<Self>, job: Job, priority: Priority) {
        let (starts, grows) = {
            let mut inner = self.inner.lock();
            inner.queues[priority as usize].push_back(job);
            let queued: usize = inner.queues.iter().map(VecDeque::len).sum();
            let is_short = inner.idle < u32::try_from(queued).unwrap_or(u32::MAX)
                && inner.threads < inner.maximum;
            let starts = is_short && inner.threads < EAGER.max(inner.minimum);
            let grows = is_short && !starts && !inner.is_growing;
            inner.is_growing |= grows;
            (starts, grows)
        };
        self.word.fetch_add(1, Ordering::Release);
        futex::wake(&self.word, false, 1);
        if starts && let Err(status) = self.start_thread() {
            log::warn!("thread pool: no thread: {status}");
        }
        if grows {
            watch::grow_later(self.clone(), now_ns() + GROWTH_NS);
        }
    }

    /// Starts one more thread if jobs wait and none is free. Returns when to look again.
    fn grow(self: &Arc<Self>) -> Option<u64> {
        {
            let mut inner = self.inner.lock();
            if inner.is_empty() || inner.threads >= inner.maximum {
                inner.is_growing = false;
                return None;
            }
            if inner.idle > 0 {
                return Some(now_ns() + GROWTH_NS);
            }
        }
        if self.start_thread().is_err() {
            self.inner.lock().is_growing = false;
            return None;
        }
        Some(now_ns() + GROWTH_NS)
    }

    /// Takes an item's queued jobs back; returns how many there were.
    pub fn cancel(&self, item: &Arc<Item>) -> u32 {
        let mut inner = self.inner.lock();
        let mut count = 0;
        for queue in &mut inner.queues {
            queue.retain(|job| {
                let is_other = !Arc::ptr_eq(&job.item, item);
                count += u32::from(!is_other);
                is_other
            });
        }
        count
    }

    fn start_thread(self: &Arc<Self>) -> Result<(), NtStatus> {
        self.inner.lock().threads += 1;
        let pool = self.clone();
        let result = start(move || {
            NOW.with_borrow_mut(|now| now.pool = Some(pool.clone()));
            pool.work();
        });
        if result.is_err() {
            self.inner.lock().threads -= 1;
        }
        result
    }

    /// Runs jobs until there are none for a while.
    fn work(self: &Arc<Self>) {
        let mut idle_since = None;
        loop {
            let seen = self.word.load(Ordering::Acquire);
            let job = {
                let mut inner = self.inner.lock();
                let job = inner.queues.iter_mut().find_map(VecDeque::pop_front);
                if job.is_some() {
                    inner.idle -= u32::from(idle_since.take().is_some());
                } else if idle_since.is_none() {
                    inner.idle += 1;
                    idle_since = Some(now_ns());
                } else if idle_since.is_some_and(|since| now_ns() - since >= IDLE_NS)
                    && inner.threads > inner.minimum
                {
                    inner.idle -= 1;
                    return;
                }
                job
            };
            if let Some(job) = job {
                run(job);
                continue;
            }
            let sleep = Sleep {
                word: &self.word,
                expected: seen,
                is_shared: false,
            };
            if futex::sleep(&[sleep], Some(now_ns() + IDLE_NS)) == Woken::Ending {
                self.inner.lock().idle -= 1;
                return;
            }
        }
    }
}

/// Starts a guest thread that runs `body`.
pub fn start(body: impl FnOnce() + Send + 'static) -> Result<(), NtStatus> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| thread::at_exit(settle_thread));
    let start = Start {
        function: 0,
        argument: 0,
        stack_reserve: 0,
        is_attached: true,
    };
    thread::spawn_running(start, &Thread::new(0, 0), move || {
        body();
        0
    })
}

/// Runs one job. The guest may leave from inside: nothing is held, and [`settle_thread`] does the rest.
fn run(job: Job) {
    job.item.begin();
    let (callback, arguments, count) = job.item.call(job.argument);
    NOW.with_borrow_mut(|now| now.item = Some(job.item));
    if let Some(list) = NOW.with_borrow(|now| now.item.as_ref()?.worker_list()) {
        run_as_worker(list, callback, &arguments[..count]);
    } else {
        callback.call(&arguments[..count]);
    }
    settle();
}

/// Calls a callback while the thread counts as a worker of a completion list; again, while something is left in the list.
fn run_as_worker(list: u64, callback: Callback, arguments: &[u64]) {
    let helper = |id| ntdll_shim::call(id, ntdll_shim::Slots(&[list])).unwrap_or_default() != 0;
    helper(CallId::AlpcRegisterCompletionListWorkerThread);
    callback.call(arguments);
    while !helper(CallId::AlpcUnregisterCompletionListWorkerThread) {
        callback.call(arguments);
    }
}

/// Does what is due when a callback has returned or will not return.
fn settle() {
    let (item, at_return) = NOW.with_borrow_mut(|now| {
        let at_return = std::mem::take(&mut now.at_return);
        (now.item.take(), at_return)
    });
    for action in at_return {
        action.run();
    }
    if let Some(item) = item {
        item.end();
    }
}

/// Hook at the end of every thread.
fn settle_thread() {
    settle();
    let (pool, watcher) = NOW.with_borrow_mut(|now| (now.pool.take(), now.watcher.take()));
    if let Some(pool) = pool {
        pool.inner.lock().threads -= 1;
    }
    if let Some(group) = watcher {
        group.watcher_ended();
    }
}

/// The calling callback no longer counts as running for those who wait for its item.
pub fn disassociate() {
    if let Some(item) = NOW.with_borrow_mut(|now| now.item.take()) {
        item.end();
    }
}

/// The calling callback may run long. Returns whether the pool can still serve others.
pub fn may_run_long() -> bool {
    let Some(pool) = NOW.with_borrow(|now| now.pool.clone()) else {
        return false;
    };
    let (can, starts) = {
        let inner = pool.inner.lock();
        let can = inner.idle > 0 || inner.threads < inner.maximum;
        (can, inner.idle == 0 && can)
    };
    !starts || pool.start_thread().is_ok() && can
}

/// Notes what shall happen when the calling callback returns.
pub fn at_return(action: AtReturn) {
    NOW.with_borrow_mut(|now| now.at_return.push(action));
}

/// Sends what the calling callback said to send when it returns.
pub fn send_pending_message() {
    let pending = NOW.with_borrow_mut(|now| {
        let is_message = |action: &AtReturn| matches!(action, AtReturn::SendAlpcMessage { .. });
        let (messages, rest) = std::mem::take(&mut now.at_return)
            .into_iter()
            .partition(is_message);
        now.at_return = rest;
        let messages: Vec<AtReturn> = messages;
        messages
    });
    for message in pending {
        message.run();
    }
}

impl AtReturn {
    fn run(self) {
        use crate::dlls::kernel32::{critical_section, libloaderapi};
        use crate::export::Ptr;
        let result = match &self {
            &AtReturn::SetEvent(event) | &AtReturn::ReleaseMutex(event) => crate::ob::signal(event),
            &AtReturn::ReleaseSemaphore(semaphore, count) => {
                crate::ob::table::lookup::<crate::ob::sync::Semaphore>(semaphore, 2)
                    .and_then(|semaphore| semaphore.release(count).map(|_| ()))
            }
            &AtReturn::LeaveCriticalSection(section) => {
                critical_section::LeaveCriticalSection(Ptr::new(section));
                Ok(())
            }
            &AtReturn::FreeLibrary(module) => {
                libloaderapi::FreeLibrary(Ptr::new(module));
                Ok(())
            }
            AtReturn::SendAlpcMessage {
                port,
                flags,
                message,
            } => {
                let address = message.as_ptr() as u64;
                let slots = [port.0, u64::from(*flags), address, 0, 0, 0, 0, 0];
                let sent =
                    ntdll_shim::call(CallId::NtAlpcSendWaitReceivePort, ntdll_shim::Slots(&slots));
                NtStatus(sent.unwrap_or_default() as u32).ok()
            }
        };
        if let Err(status) = result {
            log::warn!("thread pool: {self:?}: {status}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancelling_takes_back_only_the_items_own_jobs() {
        let pool = Pool::new();
        // Without room for a thread nothing runs the jobs.
        pool.inner.lock().maximum = 0;
        let items = [0, 1].map(|context| {
            Item::new(
                item::Kind::Work,
                Callback(0),
                context,
                environment::Environment::of_pool(pool.clone()),
            )
        });
        for item in [&items[0], &items[1], &items[0]] {
            item.post(Argument::None);
        }
        assert_eq!(pool.cancel(&items[0]), 2);
        assert_eq!(pool.cancel(&items[0]), 0);
        assert_eq!(pool.cancel(&items[1]), 1);
    }
}
