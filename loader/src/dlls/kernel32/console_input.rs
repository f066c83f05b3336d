//! Input records of the console, read from the terminal and written by the program.
//!
//! Source: Microsoft Learn, "ReadConsoleInput", "PeekConsoleInput", "GetNumberOfConsoleInputEvents", "WriteConsoleInput",
//! "Low-Level Console Input Functions". The terminal tells of keys and of its size; menus, focus and the mouse are not told.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ntlpc_abi::{Handle, NtStatus};
use parking_lot::Mutex;

use super::console_keys::{self, InputRecord};
use super::consoleapi::{console, input_mode, is_input};
use crate::dlls::win32::{failed, success};
use crate::export::{Bool, Ptr};
use crate::ob::file::{File, retry, status_of};
use crate::ob::{suspend, terminal};
use crate::win_api;

/// `ENABLE_WINDOW_INPUT`.
const WINDOW_INPUT: u32 = 8;
/// `ENABLE_VIRTUAL_TERMINAL_INPUT`.
const VIRTUAL_TERMINAL_INPUT: u32 = 0x200;
/// How long the rest of a key's sequence may take, in ms.
const SEQUENCE: i64 = 20;
/// How often a wait looks at the size of the screen and whether the thread must end, in ms.
const INTERVAL: i64 = 100;

#[derive(Debug)]
struct Queue {
    records: VecDeque<InputRecord>,
    /// Bytes of a key that is not whole yet.
    rest: Vec<u8>,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    records: VecDeque::new(),
    rest: Vec::new(),
});
/// Columns and rows last told of; 0 before the first look.
static SIZE: AtomicU32 = AtomicU32::new(0);

/// Returns a handle's file if it is the input of a console, or the console opened by a name: `CONIN$` gives both.
fn input(handle: Handle) -> Result<Arc<File>, NtStatus> {
    let file = console(handle)?;
    if is_input(&file) || !file.path.as_os_str().is_empty() {
        Ok(file)
    } else {
        Err(NtStatus::INVALID_HANDLE)
    }
}

/// Takes what the terminal has without waiting for a key.
fn fill(file: &File) -> Result<(), NtStatus> {
    let mode = input_mode(file);
    let mut queue = QUEUE.lock();
    if let Ok(size) = rustix::termios::tcgetwinsize(file.fd()) {
        let now = u32::from(size.ws_col) | u32::from(size.ws_row) << 16;
        let before = SIZE.swap(now, Ordering::Relaxed);
        if before != 0 && before != now && mode & WINDOW_INPUT != 0 {
            let record = console_keys::size_record(size.ws_col, size.ws_row);
            queue.records.push_back(record);
        }
    }
    let mut bytes = [0; 256];
    let mut is_coming = false;
    while terminal::has_input(file.fd(), if is_coming { SEQUENCE } else { 0 }) {
        let done = retry(|| rustix::io::read(file.fd(), &mut bytes[..]).map_err(Into::into))
            .map_err(|error| status_of(&error))?;
        if done == 0 {
            return Err(NtStatus::PIPE_BROKEN);
        }
        queue.rest.extend(&bytes[..done]);
        is_coming = decode(&mut queue, mode, true);
    }
    if is_coming {
        decode(&mut queue, mode, false);
    }
    Ok(())
}

/// Makes records of bytes. Returns whether some are left that are the beginning of a key.
fn decode(queue: &mut Queue, mode: u32, is_coming: bool) -> bool {
    let keys = if mode & VIRTUAL_TERMINAL_INPUT != 0 {
        let whole = match std::str::from_utf8(&queue.rest) {
            Err(error) if error.error_len().is_none() && is_coming => error.valid_up_to(),
            _ => queue.rest.len(),
        };
        let bytes: Vec<u8> = queue.rest.drain(..whole).collect();
        console_keys::verbatim(&String::from_utf8_lossy(&bytes).replace('\n', "\r"))
    } else {
        let (keys, used) = console_keys::take(&queue.rest, is_coming);
        queue.rest.drain(..used);
        keys
    };
    let records = keys.into_iter().flat_map(console_keys::Key::records);
    queue.records.extend(records);
    !queue.rest.is_empty()
}

/// Returns up to `count` records, at least one if it `waits`; they stay in the queue unless it `removes` them.
fn records(
    handle: Handle,
    count: u32,
    waits: bool,
    removes: bool,
) -> Result<Vec<InputRecord>, NtStatus> {
    let file = input(handle)?;
    terminal::with_keys(file.fd(), || {
        loop {
            fill(&file)?;
            let mut queue = QUEUE.lock();
            let count = queue.records.len().min(count as usize);
            if count > 0 || !waits {
                return Ok(if removes {
                    queue.records.drain(..count).collect()
                } else {
                    queue.records.iter().take(count).copied().collect()
                });
            }
            drop(queue);
            if !terminal::has_input(file.fd(), INTERVAL) && suspend::pause_wait() {
                return Ok(vec![]);
            }
        }
    })
}

fn give(taken: Result<Vec<InputRecord>, NtStatus>, to: Ptr<InputRecord>, done: Ptr<u32>) -> Bool {
    match taken {
        Ok(records) => {
            to.write_many(&records);
            done.write(u32::try_from(records.len()).unwrap_or(0));
            Bool::TRUE
        }
        Err(status) => failed(status, Bool::FALSE),
    }
}

win_api! {
    /// Takes input records, once there are any.
    "kernel32.dll|kernelbase.dll" stdcall fn ReadConsoleInputW(handle: Handle, to: Ptr<InputRecord>, count: u32, done: Ptr<u32>) -> Bool {
        give(records(handle, count, count > 0, true), to, done)
    }

    /// Reads input records, if there are any, and leaves them.
    "kernel32.dll|kernelbase.dll" stdcall fn PeekConsoleInputW(handle: Handle, to: Ptr<InputRecord>, count: u32, done: Ptr<u32>) -> Bool {
        give(records(handle, count, false, false), to, done)
    }

    /// Tells how many input records there are.
    "kernel32.dll|kernelbase.dll" stdcall fn GetNumberOfConsoleInputEvents(handle: Handle, to: Ptr<u32>) -> Bool {
        match records(handle, u32::MAX, false, false) {
            Ok(records) => {
                to.write(u32::try_from(records.len()).unwrap_or(u32::MAX));
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Adds input records behind those that are there, for the functions that read records.
    "kernel32.dll|kernelbase.dll" stdcall fn WriteConsoleInputW(handle: Handle, from: Ptr<InputRecord>, count: u32, done: Ptr<u32>) -> Bool {
        let records = from.read_many(count as usize);
        match input(handle).and_then(|file| fill(&file)) {
            Ok(()) => {
                QUEUE.lock().records.extend(records);
                done.write(count);
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Forgets all input that was not read.
    "kernel32.dll|kernelbase.dll" stdcall fn FlushConsoleInputBuffer(handle: Handle) -> Bool {
        success(input(handle).map(|file| {
            let _ = rustix::termios::tcflush(file.fd(), rustix::termios::QueueSelector::IFlush);
            let mut queue = QUEUE.lock();
            queue.records.clear();
            queue.rest.clear();
        }))
    }
}
