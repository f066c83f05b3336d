//! Threads as objects: handle, exit code, suspend count, priority, name, impersonation.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicU64, Ordering};

use ntlpc_abi::NtStatus;
use parking_lot::Mutex;

use super::apc::{self, Queue};
use super::object::{Header, Object, ObjectType};
use super::packed::{Packed, PackedKind};
use super::suspend::{self, Control};
use super::sync::Signal;
use super::token::Token;
use super::waitable::Waitable;

/// `THREAD_ALL_ACCESS` and the generic mapping of threads.
pub static THREAD_TYPE: ObjectType = ObjectType {
    name: "Thread",
    generic: [0x2_0048, 0x2_0437, 0x12_0800, 0x1F_FFFF],
};

/// Access rights of threads. Source: Microsoft Learn "Thread Security and Access Rights".
pub mod rights {
    /// `THREAD_TERMINATE`.
    pub const TERMINATE: u32 = 0x1;
    /// `THREAD_SUSPEND_RESUME`.
    pub const SUSPEND_RESUME: u32 = 0x2;
    /// `THREAD_GET_CONTEXT`.
    pub const GET_CONTEXT: u32 = 0x8;
    /// `THREAD_SET_CONTEXT`.
    pub const SET_CONTEXT: u32 = 0x10;
    /// `THREAD_SET_INFORMATION`.
    pub const SET_INFORMATION: u32 = 0x20;
    /// `THREAD_QUERY_INFORMATION`.
    pub const QUERY_INFORMATION: u32 = 0x40;
    /// `THREAD_SET_THREAD_TOKEN`.
    pub const SET_THREAD_TOKEN: u32 = 0x80;
    /// `THREAD_SET_LIMITED_INFORMATION`.
    pub const SET_LIMITED_INFORMATION: u32 = 0x400;
    /// `THREAD_QUERY_LIMITED_INFORMATION`.
    pub const QUERY_LIMITED_INFORMATION: u32 = 0x800;
}

/// Exit code of a thread that runs (`STATUS_PENDING`, `STILL_ACTIVE`).
pub const STILL_ACTIVE: u32 = 259;

/// A thread of this process, or a view of one of another process.
#[derive(Debug)]
pub struct Thread {
    header: Header,
    /// NT process id it belongs to.
    pub pid: u32,
    /// NT thread id, which is Linux's; 0 until the thread runs.
    pub tid: AtomicU32,
    /// Set when it has ended.
    pub signal: Signal,
    /// APCs.
    pub apcs: Arc<Queue>,
    /// Suspension, termination and exit code, which is [`STILL_ACTIVE`] before.
    pub control: Arc<Control>,
    /// Relative priority (`THREAD_PRIORITY_*`).
    pub priority: AtomicI32,
    /// Address of its TEB; 0 for a thread of another process.
    pub teb: AtomicU64,
    /// Address it started at.
    pub start_address: AtomicU64,
    /// Creation time.
    pub create_time: i64,
    /// Exit time, 0 before.
    pub exit_time: AtomicI64,
    /// Name given by `SetThreadDescription`.
    pub name: Mutex<Vec<u16>>,
    /// End of a pipe whose closing lets a child created suspended run.
    pub gate: Mutex<Option<std::os::fd::OwnedFd>>,
    /// Token it impersonates with.
    pub token: Mutex<Option<Arc<Token>>>,
    /// 1 from an alert by number until the thread waits for it; a futex.
    pub alert: AtomicU32,
}

fn control(suspend_count: u32) -> Arc<Control> {
    Arc::new(Control {
        suspend_count: suspend_count.into(),
        is_terminating: false.into(),
        exit_code: STILL_ACTIVE.into(),
    })
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Thread>>> = const { RefCell::new(None) };
}

/// Threads of this process that have not ended.
static THREADS: Mutex<Vec<Arc<Thread>>> = Mutex::new(Vec::new());

impl Thread {
    /// Makes the object of a thread of this process that has yet to start; `suspend_count` as created.
    #[must_use]
    pub fn new(start_address: u64, suspend_count: u32) -> Arc<Self> {
        let thread = Arc::new(Thread {
            header: Header::default(),
            pid: std::process::id(),
            tid: AtomicU32::new(0),
            signal: Signal::new(false),
            apcs: Arc::default(),
            control: control(suspend_count),
            priority: AtomicI32::new(0),
            teb: AtomicU64::new(0),
            start_address: AtomicU64::new(start_address),
            create_time: super::time::system_time(),
            exit_time: AtomicI64::new(0),
            name: Mutex::new(Vec::new()),
            gate: Mutex::new(None),
            token: Mutex::new(None),
            alert: AtomicU32::new(0),
        });
        THREADS.lock().push(thread.clone());
        thread
    }

    /// Makes the object of the first thread of a child; it ends with the process, whose page it shares.
    pub fn of_child(pid: u32, signal: Signal, gate: Option<std::os::fd::OwnedFd>) -> Arc<Self> {
        let thread = Thread::of_other(pid, pid, signal);
        thread
            .control
            .suspend_count
            .store(u32::from(gate.is_some()), Ordering::Relaxed);
        *thread.gate.lock() = gate;
        thread
    }

    /// Makes the object of a thread of another process, with the page its signal lies in.
    pub fn of_other(pid: u32, tid: u32, signal: Signal) -> Arc<Self> {
        Arc::new(Thread {
            header: Header::default(),
            pid,
            tid: AtomicU32::new(tid),
            signal,
            apcs: Arc::default(),
            control: control(0),
            priority: AtomicI32::new(0),
            teb: AtomicU64::new(0),
            start_address: AtomicU64::new(0),
            create_time: super::time::system_time(),
            exit_time: AtomicI64::new(0),
            name: Mutex::new(Vec::new()),
            gate: Mutex::new(None),
            token: Mutex::new(None),
            alert: AtomicU32::new(0),
        })
    }

    /// Binds the object to the calling Linux thread, which becomes this NT thread.
    pub fn enter(self: &Arc<Self>, teb: u64) {
        self.tid.store(crate::linux::thread_id(), Ordering::Release);
        self.teb.store(teb, Ordering::Release);
        apc::enter(&self.apcs);
        CURRENT.set(Some(self.clone()));
    }

    /// Adds a suspension and returns the count before. The thread runs no guest code once this returns.
    ///
    /// # Errors
    /// `SUSPEND_COUNT_EXCEEDED`, `THREAD_IS_TERMINATING`.
    pub fn suspend(&self) -> Result<u32, NtStatus> {
        if self.has_ended() {
            return Err(NtStatus::THREAD_IS_TERMINATING);
        }
        suspend::suspend(&self.control)
    }

    /// Takes one suspension back, whatever process the thread belongs to; returns the count before.
    pub fn resume(&self) -> u32 {
        if self.pid == std::process::id() {
            return suspend::resume(&self.control);
        }
        // A child created suspended reads from this pipe before its first instruction.
        u32::from(self.gate.lock().take().is_some())
    }

    /// Ends the thread with `code`. Does not return if it is the calling one.
    pub fn terminate(&self, code: u32) {
        if !self.has_ended() {
            suspend::terminate(&self.control, code);
        }
    }

    /// Returns the exit code, or [`STILL_ACTIVE`].
    #[must_use]
    pub fn exit_code(&self) -> u32 {
        self.control.exit_code.load(Ordering::Acquire)
    }

    /// Returns whether the thread has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.signal.is_signaled()
    }

    /// Ends the thread as an object: exit code, signal. Called on the thread itself at its end, or
    /// for a thread that was removed by force.
    pub fn finish(self: &Arc<Self>, exit_code: u32) {
        if self.has_ended() {
            return;
        }
        self.control.exit_code.store(exit_code, Ordering::Release);
        self.exit_time
            .store(super::time::system_time(), Ordering::Release);
        THREADS.lock().retain(|thread| !Arc::ptr_eq(thread, self));
        self.signal.assign(true);
    }
}

/// Runs `act` on the calling thread's object.
pub fn with_current<T>(act: impl FnOnce(&Arc<Thread>) -> T) -> T {
    CURRENT.with_borrow_mut(|slot| {
        // Threads the loader did not start (tests) get an object at first use.
        let thread = slot.get_or_insert_with(|| {
            let thread = Thread::new(0, 0);
            thread
                .tid
                .store(crate::linux::thread_id(), Ordering::Release);
            apc::enter(&thread.apcs);
            thread
        });
        act(thread)
    })
}

/// Returns the calling thread's object.
#[must_use]
pub fn current() -> Arc<Thread> {
    with_current(Arc::clone)
}

/// Returns the live threads of this process.
#[must_use]
pub fn all() -> Vec<Arc<Thread>> {
    THREADS.lock().clone()
}

/// Finds a live thread of this process by id.
pub fn find(tid: u32) -> Result<Arc<Thread>, NtStatus> {
    let threads = THREADS.lock();
    threads
        .iter()
        .find(|t| t.tid.load(Ordering::Acquire) == tid)
        .cloned()
        .ok_or(NtStatus::INVALID_CID)
}

impl Object for Thread {
    fn object_type(&self) -> &'static ObjectType {
        &THREAD_TYPE
    }
    fn header(&self) -> &Header {
        &self.header
    }
    fn waitable(&self) -> Option<&dyn Waitable> {
        Some(&self.signal)
    }
    fn pack(&self) -> Result<Packed, NtStatus> {
        let mut bytes = self.pid.to_le_bytes().to_vec();
        bytes.extend(self.tid.load(Ordering::Acquire).to_le_bytes());
        bytes.extend(self.create_time.to_le_bytes());
        Ok(Packed {
            kind: PackedKind::Thread,
            bytes,
            fds: vec![self.signal.share()?],
        })
    }
}
