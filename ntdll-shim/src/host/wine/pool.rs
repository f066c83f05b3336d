//! Ports whose messages are callbacks of Wine's thread pool (alpc §2.18).
//!
//! A `TP_ALPC` is a `TP_WORK` of Wine's: both call back with (instance, context, object). Only PE code may call Wine's pool
//! and the program's callbacks, so the code beside ntdll does that ([`Code`]), and asks the services here for everything
//! else:
//!
//! | code | services | Wine's functions |
//! |---|---|---|
//! | `TpAllocAlpcCompletion` | [`new`], [`finish`] | TpAllocWork |
//! | `TpReleaseAlpcCompletion` | [`release`] | TpReleaseWork |
//! | `TpWaitForAlpcCompletion` | | TpWaitForWork |
//! | the work's callback | [`enter`], [`leave`] | |
//! | the poster, a thread | [`next`] | TpPostWork |

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use ntlpc_abi::layout::{Layout, PortMessage};
use ntlpc_abi::{CallId, Handle, NtStatus, UserPtr};
use parking_lot::{Condvar, Mutex};

use super::arch::{Arguments, Service, service};
use super::code::Target;
use super::exports::Exports;
use super::pool_code::{Functions, Pool as Code};
use super::service::THREAD;
use super::structures::Word;
use super::threads;
use crate::engine::Port;
use crate::host::{self, CompletionPacket, CompletionPort, PORT_ALL_ACCESS};
use crate::{Slots, alpc, call, guest, interrupt};

/// Number of the first service of this file; they follow the others.
pub const FIRST: usize = THREAD + 1;

/// The services by number: [`FIRST`] and on.
pub const SERVICES: [Service; 10] = [
    service!(new),
    service!(finish),
    service!(release),
    service!(enter),
    service!(leave),
    service!(next),
    service!(register_list),
    service!(unregister_list),
    service!(send_on_completion),
    service!(send_pending),
];

/// Makes the code; `None` if this Wine's pool lacks a function.
pub fn code(exports: &Exports<'_>, base: u64, target: Target) -> Option<Code> {
    let find = |name| exports.find(name).map(|rva| base + u64::from(rva));
    let functions = Functions {
        alloc_work: find("TpAllocWork")?,
        release_work: find("TpReleaseWork")?,
        wait_for_work: find("TpWaitForWork")?,
        post_work: find("TpPostWork")?,
    };
    Some(Code::new(target, FIRST as u32, functions))
}

/// Start address of the poster, known once the code is in place.
static POSTER: AtomicU64 = AtomicU64::new(0);

/// Says where the poster's code lies.
pub fn set_poster(address: u64) {
    POSTER.store(address, SeqCst);
}

/// What the work's callback is given as its context: the program's callback and context first, for the code.
#[repr(C)]
struct Given {
    callback: u64,
    context: u64,
    number: u64,
}

const _: () = assert!(std::mem::offset_of!(Given, context) == 8);

/// A `TP_ALPC`.
struct Object {
    given: Box<Given>,
    port: Arc<Port>,
    /// The `TP_WORK`; 0 until Wine made it.
    work: u64,
    /// Callbacks posted before there was a work.
    early: u32,
    /// Callbacks posted and not ended.
    outstanding: u32,
    is_worker: bool,
    is_released: bool,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<u64, Object>,
    last_number: u64,
    /// Works to post.
    queue: VecDeque<u64>,
    has_poster: bool,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);
static POSTED: Condvar = Condvar::new();

/// Runs `act` with the state.
fn with<R>(act: impl FnOnce(&mut State) -> R) -> R {
    act(STATE.lock().get_or_insert_default())
}

impl State {
    fn of_work(&mut self, work: u64) -> Option<&mut Object> {
        self.objects.values_mut().find(|object| object.work == work)
    }

    fn post(&mut self, number: u64) {
        let Some(object) = self.objects.get_mut(&number) else {
            return;
        };
        if object.is_released {
            return;
        }
        object.outstanding += 1;
        match object.work {
            0 => object.early += 1,
            work => self.queue.push_back(work),
        }
        POSTED.notify_one();
    }

    /// Forgets an object that was released and has no callbacks any more.
    fn settle(&mut self, number: u64) {
        let is_over = self
            .objects
            .get(&number)
            .is_some_and(|object| object.is_released && object.outstanding == 0);
        if is_over {
            self.objects.remove(&number);
        }
    }
}

/// Where a port's packets go.
#[derive(Debug)]
struct Callbacks(u64);

impl CompletionPort for Callbacks {
    fn post(&self, _packet: CompletionPacket) -> Result<(), NtStatus> {
        with(|state| state.post(self.0));
        Ok(())
    }
}

fn status(outcome: Result<(), NtStatus>) -> u32 {
    outcome.err().unwrap_or(NtStatus::SUCCESS).0
}

/// `(out, port, callback, context)`: associates the port. The second argument becomes the context for TpAllocWork.
unsafe fn new(arguments: Arguments) -> u32 {
    // SAFETY: the code passes what the program passed.
    let [out, port, callback, context] = unsafe { arguments.read() };
    let made = (|| {
        guest::write_word(UserPtr(out), 0)?;
        let port = host::current().port(Handle(port), PORT_ALL_ACCESS)?;
        if callback == 0 {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let starts = with(|state| !std::mem::replace(&mut state.has_poster, true));
        if starts {
            threads::start_at(POSTER.load(SeqCst), 0)
                .inspect_err(|_| with(|state| state.has_poster = false))?;
        }
        let (number, given) = with(|state| {
            state.last_number += 1;
            let number = state.last_number;
            let given = Box::new(Given {
                callback,
                context,
                number,
            });
            let address = &raw const *given as u64;
            let object = Object {
                given,
                port: Arc::clone(&port),
                work: 0,
                early: 0,
                outstanding: 0,
                is_worker: false,
                is_released: false,
            };
            state.objects.insert(number, object);
            (number, address)
        });
        let target = Arc::new(Callbacks(number));
        let set = port
            .queue
            .notifier
            .set_completion_port(&port.queue, target, number);
        set.inspect_err(|_| drop(with(|state| state.objects.remove(&number))))?;
        Ok(given)
    })();
    match made {
        Ok(given) => {
            // SAFETY: the arguments lie in the home area of the code's caller.
            unsafe { arguments.write(1, given) };
            0
        }
        Err(status) => status.0,
    }
}

/// `(out, given, status of TpAllocWork)`.
unsafe fn finish(arguments: Arguments) -> u32 {
    // SAFETY: the code passes these.
    let [out, given, status] = unsafe { arguments.read() };
    // SAFETY: `new` made it, and it lives as long as its object, which nobody knows yet.
    let number = unsafe { (*(given as usize as *const Given)).number };
    let mut work = [0; size_of::<Word>()];
    let has_work = status as u32 == 0 && host::current().read(UserPtr(out), &mut work).is_ok();
    with(|state| {
        let Some(object) = state.objects.get_mut(&number) else {
            return;
        };
        if has_work {
            object.work = Word::from_le_bytes(work) as u64;
            let early = std::mem::take(&mut object.early);
            let work = object.work;
            state
                .queue
                .extend(std::iter::repeat_n(work, early as usize));
            POSTED.notify_one();
        } else {
            state.objects.remove(&number);
        }
    });
    status as u32
}

/// `(work)`: no new callbacks come.
unsafe fn release(arguments: Arguments) -> u32 {
    // SAFETY: the code passes this.
    let [work] = unsafe { arguments.read() };
    with(|state| {
        let Some(object) = state.of_work(work) else {
            return;
        };
        object.is_released = true;
        let number = object.given.number;
        // What was not posted never will be.
        let before = state.queue.len();
        state.queue.retain(|&queued| queued != work);
        let dropped = (before - state.queue.len()) as u32;
        if let Some(object) = state.objects.get_mut(&number) {
            object.outstanding -= dropped.min(object.outstanding);
        }
        state.settle(number);
    });
    0
}

thread_local! {
    /// Messages to send when the calling callback returns: port, flags, message.
    static PENDING: RefCell<Vec<(u64, u32, Vec<u8>)>> = const { RefCell::new(Vec::new()) };
}

/// `(given)`: a callback begins.
unsafe fn enter(arguments: Arguments) -> u32 {
    // SAFETY: the code passes this.
    let [given] = unsafe { arguments.read() };
    if let Some(list) = worker_list(given) {
        helper(CallId::AlpcRegisterCompletionListWorkerThread, list);
    }
    0
}

/// `(given)`: a callback has returned. Returns 1 if it is to be called again: the list has something.
unsafe fn leave(arguments: Arguments) -> u32 {
    // SAFETY: the code passes this.
    let [given] = unsafe { arguments.read() };
    send_all();
    if let Some(list) = worker_list(given)
        && !helper(CallId::AlpcUnregisterCompletionListWorkerThread, list)
    {
        return 1;
    }
    // SAFETY: the object lives until its last callback has ended, which is not before the line below.
    let number = unsafe { (*(given as usize as *const Given)).number };
    with(|state| {
        if let Some(object) = state.objects.get_mut(&number) {
            object.outstanding = object.outstanding.saturating_sub(1);
        }
        state.settle(number);
    });
    0
}

fn worker_list(given: u64) -> Option<u64> {
    // SAFETY: as in `leave`.
    let number = unsafe { (*(given as usize as *const Given)).number };
    let port = with(|state| {
        let object = state.objects.get(&number)?;
        object.is_worker.then(|| Arc::clone(&object.port))
    });
    port.and_then(|port| alpc::completion_list(&port))
}

fn helper(id: CallId, list: u64) -> bool {
    call(id, Slots(&[list])).unwrap_or_default() != 0
}

/// Waits for a work to post; the first argument becomes that. Returns 1 if there is nothing to wait for.
unsafe fn next(arguments: Arguments) -> u32 {
    let work = {
        let mut state = STATE.lock();
        loop {
            let work = state.get_or_insert_default().queue.pop_front();
            if let Some(work) = work {
                break work;
            }
            let _open = interrupt::open();
            POSTED.wait(&mut state);
        }
    };
    // SAFETY: the first argument is the code's own.
    unsafe { arguments.write(0, work) };
    0
}

fn set_worker(work: u64, is_worker: bool) {
    with(|state| {
        if let Some(object) = state.of_work(work) {
            object.is_worker = is_worker;
        }
    });
}

/// `TpAlpcRegisterCompletionList(Alpc)`.
unsafe fn register_list(arguments: Arguments) -> u32 {
    // SAFETY: Wine's dispatcher passes the argument of the call.
    let [work] = unsafe { arguments.read() };
    set_worker(work, true);
    0
}

/// `TpAlpcUnregisterCompletionList(Alpc)`.
unsafe fn unregister_list(arguments: Arguments) -> u32 {
    // SAFETY: as above.
    let [work] = unsafe { arguments.read() };
    set_worker(work, false);
    0
}

/// `TpCallbackSendAlpcMessageOnCompletion(Instance, Port, Flags, Message)`. The message is copied: the callback's frame is
/// gone when it is sent.
unsafe fn send_on_completion(arguments: Arguments) -> u32 {
    // SAFETY: as above.
    let [_instance, port, flags, message] = unsafe { arguments.read() };
    let width = host::current().personality().port;
    let copied = guest::read::<PortMessage>(UserPtr(message), width).and_then(|header| {
        let length = usize::from(header.total_length).max(PortMessage::size(width));
        let mut copy = vec![0; length];
        host::current().read(UserPtr(message), &mut copy)?;
        Ok(copy)
    });
    let outcome = copied.map(|message| {
        PENDING.with_borrow_mut(|pending| pending.push((port, flags as u32, message)));
    });
    status(outcome)
}

/// `TpCallbackSendPendingAlpcMessage(Instance)`.
unsafe fn send_pending(_arguments: Arguments) -> u32 {
    send_all();
    0
}

fn send_all() {
    for (port, flags, message) in PENDING.take() {
        let slots = [
            port,
            u64::from(flags),
            message.as_ptr() as u64,
            0,
            0,
            0,
            0,
            0,
        ];
        let sent = call(CallId::NtAlpcSendWaitReceivePort, Slots(&slots));
        let sent = NtStatus(sent.unwrap_or_default() as u32);
        if sent != NtStatus::SUCCESS {
            log::warn!("a message left to be sent at the end of a callback: {sent}");
        }
    }
}

/// Kept so that the list of services and their numbers in the code cannot differ.
const _: () = assert!(SERVICES.len() == Code::SERVICES);
