//! Messages of threads: the message functions of `winuser.h`. No message has a window.

use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};

use super::queue::{self, Filter, Message, QUIT};
use crate::dlls::kernel32::synchapi::{run_apcs, tick_count};
use crate::dlls::win32::{error, failed, refuse};
use crate::export::{Bool, Ptr};
use crate::ob::object::{Object, access};
use crate::ob::table::lookup_any;
use crate::ob::wait::{self, WaitKind, deadline};
use crate::{guest_struct, win_api};

guest_struct! {
    /// `MSG`.
    pub struct Msg {
        window: usize,
        message: u32,
        word: usize,
        long: isize,
        time: u32,
        x: i32,
        y: i32,
    }
}

/// `PM_REMOVE`.
const REMOVE: u32 = 1;
/// Kinds of input a posted message is: `QS_POSTMESSAGE`, `QS_ALLPOSTMESSAGE`.
const POSTED: u32 = 0x8 | 0x100;
/// `MWMO_WAITALL`, `MWMO_ALERTABLE`, `MWMO_INPUTAVAILABLE`.
const WAIT_ALL: u32 = 1;
const ALERTABLE: u32 = 2;
const INPUT_AVAILABLE: u32 = 4;
const WAIT_FAILED: u32 = u32::MAX;
const WAIT_IO_COMPLETION: u32 = 0xC0;
/// `WM_KEYDOWN`, `WM_KEYUP`, `WM_SYSKEYDOWN`, `WM_SYSKEYUP`.
const KEYS: [u32; 4] = [0x100, 0x101, 0x104, 0x105];
/// `HWND_BROADCAST`.
const BROADCAST: usize = 0xFFFF;

/// Milliseconds since boot, as messages carry them.
pub fn now() -> u32 {
    tick_count() as u32
}

/// Returns whether a window is none: NULL, or -1 for messages without a window.
fn is_none(window: isize) -> bool {
    window == 0 || window == -1
}

fn put(to: Ptr<Msg>, message: Message) {
    to.write(Msg {
        window: 0,
        message: message.number,
        word: message.word,
        long: message.long,
        time: message.time,
        x: 0,
        y: 0,
    });
}

/// Waits for objects or a message. Returns what `wait::wait` does, the message being the last object.
fn wait_with_queue(
    mut objects: Vec<Arc<dyn Object>>,
    kind: WaitKind,
    is_alertable: bool,
    milliseconds: u32,
) -> NtStatus {
    objects.push(queue::own().news());
    let timeout = (milliseconds != u32::MAX).then(|| i64::from(milliseconds) * -10_000);
    wait::wait(&objects, kind, is_alertable, deadline(timeout))
}

fn get(to: Ptr<Msg>, window: isize, filter: Filter) -> i32 {
    if !is_none(window) {
        return refuse(error::INVALID_WINDOW_HANDLE, -1);
    }
    loop {
        if let Some(message) = queue::own().look(filter, true) {
            put(to, message);
            return i32::from(message.number != QUIT);
        }
        let status = wait_with_queue(Vec::new(), WaitKind::Any, false, u32::MAX);
        if status.is_error() {
            return failed(status, -1);
        }
    }
}

fn peek(to: Ptr<Msg>, window: isize, filter: Filter, flags: u32) -> Bool {
    if !is_none(window) {
        return refuse(error::INVALID_WINDOW_HANDLE, Bool::FALSE);
    }
    match queue::own().look(filter, flags & REMOVE != 0) {
        Some(message) => {
            put(to, message);
            Bool::TRUE
        }
        None => Bool::FALSE,
    }
}

fn post(tid: u32, number: u32, word: usize, long: isize) -> Bool {
    let Some(queue) = queue::of_thread(tid) else {
        return refuse(error::INVALID_THREAD_ID, Bool::FALSE);
    };
    let message = Message {
        number,
        word,
        long,
        time: now(),
    };
    if !queue.post(message) {
        return refuse(error::NOT_ENOUGH_QUOTA, Bool::FALSE);
    }
    Bool::TRUE
}

fn wait_for_input(
    count: u32,
    handles: Ptr<Handle>,
    milliseconds: u32,
    mask: u32,
    flags: u32,
) -> u32 {
    // One place is that of the queue.
    if count as usize >= wait::MAX_OBJECTS || count != 0 && handles.is_null() {
        return refuse(error::INVALID_PARAMETER, WAIT_FAILED);
    }
    if flags & !(WAIT_ALL | ALERTABLE | INPUT_AVAILABLE) != 0 {
        return refuse(error::INVALID_PARAMETER, WAIT_FAILED);
    }
    let handles = handles.read_many(count as usize);
    let objects: Result<Vec<Arc<dyn Object>>, NtStatus> = handles
        .iter()
        .map(|&handle| lookup_any(handle, access::SYNCHRONIZE))
        .collect();
    let objects = match objects {
        Ok(objects) => objects,
        Err(status) => return failed(status, WAIT_FAILED),
    };
    let kind = if flags & WAIT_ALL != 0 {
        WaitKind::All
    } else {
        WaitKind::Any
    };
    let is_alertable = flags & ALERTABLE != 0;
    let status = if mask & POSTED == 0 {
        let timeout = (milliseconds != u32::MAX).then(|| i64::from(milliseconds) * -10_000);
        wait::wait(&objects, kind, is_alertable, deadline(timeout))
    } else {
        if flags & INPUT_AVAILABLE != 0 && kind == WaitKind::Any && queue::own().status().0 {
            return match wait::wait(&objects, kind, is_alertable, Some(0)) {
                status if !objects.is_empty() && status.0 < count => status.0,
                _ => count,
            };
        }
        wait_with_queue(objects, kind, is_alertable, milliseconds)
    };
    if status == NtStatus::USER_APC {
        run_apcs();
        return WAIT_IO_COMPLETION;
    }
    if status.is_error() {
        return failed(status, WAIT_FAILED);
    }
    if status.0 == count {
        // What woke this thread is no longer new.
        queue::own().seen();
    }
    status.0
}

win_api! {
    /// Waits for a message of the calling thread and takes it; 0 for `WM_QUIT`.
    "user32.dll" stdcall fn GetMessageW = "GetMessageW|GetMessageA" (message: Ptr<Msg>, window: isize, first: u32, last: u32) -> i32 {
        get(message, window, Filter::new(first, last))
    }

    /// Looks for a message of the calling thread.
    "user32.dll" stdcall fn PeekMessageW = "PeekMessageW|PeekMessageA" (message: Ptr<Msg>, window: isize, first: u32, last: u32, flags: u32) -> Bool {
        peek(message, window, Filter::new(first, last), flags)
    }

    /// Posts a message to a thread of this process that has a queue.
    "user32.dll" stdcall fn PostThreadMessageW = "PostThreadMessageW|PostThreadMessageA" (thread: u32, message: u32, word: usize, long: isize) -> Bool {
        queue::own();
        post(thread, message, word, long)
    }

    /// Posts a message to the calling thread; windows are not there.
    "user32.dll" stdcall fn PostMessageW = "PostMessageW|PostMessageA" (window: usize, message: u32, word: usize, long: isize) -> Bool {
        match window {
            0 => {
                queue::own();
                post(crate::linux::thread_id(), message, word, long)
            }
            BROADCAST => Bool::TRUE,
            _ => refuse(error::INVALID_WINDOW_HANDLE, Bool::FALSE),
        }
    }

    /// Asks the calling thread to end its message loop.
    "user32.dll" stdcall fn PostQuitMessage(code: i32) {
        queue::own().post_quit(code as usize);
    }

    /// Makes characters of keys; there is no window whose keys would be translated.
    "user32.dll" stdcall fn TranslateMessage(message: Ptr<Msg>) -> Bool {
        KEYS.contains(&message.read().message).into()
    }

    /// Hands a message to its window; those of threads have none.
    "user32.dll" stdcall fn DispatchMessageW = "DispatchMessageW|DispatchMessageA" (message: Ptr<Msg>) -> isize {
        message.read();
        0
    }

    /// Waits for a message that nobody has looked at.
    "user32.dll" stdcall fn WaitMessage() -> Bool {
        let status = wait_with_queue(Vec::new(), WaitKind::Any, false, u32::MAX);
        if status.is_error() {
            return failed(status, Bool::FALSE);
        }
        Bool::TRUE
    }

    /// Tells what kinds of messages there are (upper half) and which are new (lower half).
    "user32.dll" stdcall fn GetQueueStatus(mask: u32) -> u32 {
        let (has_any, has_new) = queue::own().status();
        queue::own().seen();
        let kinds = mask & POSTED;
        (if has_any { kinds << 16 } else { 0 }) | if has_new { kinds } else { 0 }
    }

    /// Returns whether keys or mouse buttons are waiting: there are none.
    "user32.dll" stdcall fn GetInputState() -> Bool {
        Bool::FALSE
    }

    /// Returns the time of the last message in milliseconds since boot.
    "user32.dll" stdcall fn GetMessageTime() -> i32 {
        now().cast_signed()
    }

    /// Waits for objects or messages.
    "user32.dll" stdcall fn MsgWaitForMultipleObjects(count: u32, handles: Ptr<Handle>, all: Bool, milliseconds: u32, mask: u32) -> u32 {
        wait_for_input(count, handles, milliseconds, mask, if all.get() { WAIT_ALL } else { 0 })
    }

    /// Waits for objects or messages.
    "user32.dll" stdcall fn MsgWaitForMultipleObjectsEx(count: u32, handles: Ptr<Handle>, milliseconds: u32, mask: u32, flags: u32) -> u32 {
        wait_for_input(count, handles, milliseconds, mask, flags)
    }
}
