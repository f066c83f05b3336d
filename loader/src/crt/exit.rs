//! The end of a program: `exit`, `atexit`, `abort`, `terminate`.
//!
//! Sources: Microsoft Learn, "exit, _Exit, _exit", "_cexit, _c_exit", "_onexit", "abort", "_set_abort_behavior",
//! "terminate (CRT)"; corecrt_startup.h of the SDK for the onexit tables.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::{os, signal, startup, stdio};
use crate::export::{Callback, Guest, Ptr};
use crate::{guest_struct, heap, win_api};

/// Functions to call at exit, last one first.
static AT_EXIT: Mutex<Vec<u64>> = Mutex::new(Vec::new());
/// Functions to call at `quick_exit`, last one first.
static AT_QUICK_EXIT: Mutex<Vec<u64>> = Mutex::new(Vec::new());
/// Destroys the thread-local objects of the program's first thread.
static THREAD_LOCAL_EXIT: AtomicU64 = AtomicU64::new(0);

guest_struct! {
    /// `_onexit_table_t`.
    pub struct OnExitTable {
        first: Ptr<Callback>,
        last: Ptr<Callback>,
        end: Ptr<Callback>,
    }
}

/// Calls the functions of a list, last one first; they may add more. No lock is held meanwhile.
fn drain(list: &Mutex<Vec<u64>>) {
    loop {
        let next = list.lock().pop();
        match next {
            Some(function) => Callback(function).call(&[]),
            None => return,
        };
    }
}

/// Runs what a normal exit runs.
fn run_exit_functions() {
    let thread_local = Callback(THREAD_LOCAL_EXIT.swap(0, Ordering::Relaxed));
    if !thread_local.is_null() {
        // As a TLS callback: module, DLL_PROCESS_DETACH, reserved.
        thread_local.call(&[0, 0, 0]);
    }
    drain(&AT_EXIT);
}

/// Ends the process without exit functions.
pub fn exit_now(code: i32) -> ! {
    os::exit_process(code.cast_unsigned())
}

/// Ends the process after the exit functions and buffers.
pub fn exit_normally(code: i32) -> ! {
    run_exit_functions();
    stdio::flush_all();
    exit_now(code)
}

/// Ends the process as `abort` does after the SIGABRT handler returned or when there is none.
fn abort_process() -> ! {
    const EXIT_CODE: u32 = 3;
    const WRITE_MESSAGE: u32 = 1;
    const CALL_REPORT_FAULT: u32 = 2;
    let behaviour = ABORT_BEHAVIOUR.load(Ordering::Relaxed);
    if !startup::is_ucrt() && behaviour & WRITE_MESSAGE != 0 {
        const MESSAGE: &str = "\r\nThis application has requested the Runtime to terminate it in an unusual way.\r\n\
            Please contact the application's support team for more information.\r\n";
        os::write_standard_error(MESSAGE.as_bytes());
    }
    if startup::is_ucrt() && behaviour & CALL_REPORT_FAULT != 0 {
        os::fail_fast();
    }
    os::exit_process(EXIT_CODE)
}

static ABORT_BEHAVIOUR: AtomicU32 = AtomicU32::new(3);
static TERMINATE: AtomicU64 = AtomicU64::new(0);
static UNEXPECTED: AtomicU64 = AtomicU64::new(0);
static PURE_CALL: AtomicU64 = AtomicU64::new(0);

/// Adds a function to a table in guest memory, which grows by doubling.
fn add_to_table(table: Ptr<OnExitTable>, function: Callback) -> bool {
    let word = Callback::size() as u64;
    let mut entries = table.read();
    if entries.last.address() == entries.end.address() {
        let count = (entries.last.address() - entries.first.address()) / word;
        let bytes = (count * 2).max(32) * word;
        let grown = if entries.first.is_null() {
            heap::process().allocate(bytes as usize, false)
        } else {
            heap::process()
                .reallocate(entries.first.address(), bytes as usize, false, false)
                .ok()
                .flatten()
        };
        let Some(first) = grown else { return false };
        entries = OnExitTable {
            first: Ptr::new(first),
            last: Ptr::new(first + count * word),
            end: Ptr::new(first + bytes),
        };
    }
    entries.last.write(function);
    entries.last = entries.last.add(1);
    table.write(entries);
    true
}

/// Runs and empties a table in guest memory.
fn run_table(table: Ptr<OnExitTable>) {
    loop {
        let mut entries = table.read();
        if entries.last.address() <= entries.first.address() {
            break;
        }
        entries.last = entries
            .last
            .byte_add((Callback::size() as u64).wrapping_neg());
        let function = entries.last.read();
        table.write(entries);
        if !function.is_null() {
            function.call(&[]);
        }
    }
    let entries = table.read();
    if !entries.first.is_null() {
        super::malloc::free(entries.first.cast());
        _initialize_onexit_table(table);
    }
}

win_api! {
    /// Ends the process after exit functions and flushing.
    "msvcrt.dll|ucrtbase.dll" cdecl fn exit(code: i32) {
        exit_normally(code);
    }

    /// Ends the process at once.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _exit = "_exit|_Exit" (code: i32) {
        exit_now(code);
    }

    /// Ends the process after the functions of `at_quick_exit`.
    "ucrtbase.dll" cdecl fn quick_exit(code: i32) {
        drain(&AT_QUICK_EXIT);
        exit_now(code);
    }

    /// Runs exit functions and flushes, and returns.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _cexit() {
        run_exit_functions();
        stdio::flush_all();
    }

    /// Does what is left of an exit without functions and flushing: nothing.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _c_exit() {}

    /// Reports a start-up error of the runtime and ends the process.
    "msvcrt.dll" cdecl fn _amsg_exit(number: i32) {
        os::write_standard_error(format!("\r\nruntime error R60{number:02}\r\n").as_bytes());
        exit_now(255);
    }

    /// Ends the process abnormally.
    "msvcrt.dll|ucrtbase.dll" cdecl fn abort() {
        signal::raise_abort();
        abort_process();
    }

    /// Chooses what `abort` reports; returns the choice before.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _set_abort_behavior(flags: u32, mask: u32) -> u32 {
        let before = ABORT_BEHAVIOUR.load(Ordering::Relaxed);
        ABORT_BEHAVIOUR.store((before & !mask) | (flags & mask), Ordering::Relaxed);
        before
    }

    /// Adds a function to call at exit; returns it, or NULL.
    "msvcrt.dll" cdecl fn _onexit(function: Callback) -> Callback {
        AT_EXIT.lock().push(function.0);
        function
    }

    /// Adds a function to call at exit.
    "msvcrt.dll" cdecl fn atexit(function: Callback) -> i32 {
        AT_EXIT.lock().push(function.0);
        0
    }

    /// Adds a function to call at exit.
    "ucrtbase.dll" cdecl fn _crt_atexit(function: Callback) -> i32 {
        AT_EXIT.lock().push(function.0);
        0
    }

    /// Adds a function to call at `quick_exit`.
    "ucrtbase.dll" cdecl fn _crt_at_quick_exit(function: Callback) -> i32 {
        AT_QUICK_EXIT.lock().push(function.0);
        0
    }

    /// Adds a function to the table of a DLL that keeps its own, given by its begin and end.
    "msvcrt.dll" cdecl fn __dllonexit(function: Callback, begin: Ptr<Ptr<Callback>>, end: Ptr<Ptr<Callback>>) -> Callback {
        let (first, last) = (begin.read(), end.read());
        let bytes = (last.address() - first.address()) as usize + Callback::size();
        let grown = if first.is_null() {
            heap::process().allocate(bytes, false)
        } else {
            heap::process().reallocate(first.address(), bytes, false, false).ok().flatten()
        };
        let Some(table) = grown else { return Callback(0) };
        let new_end = table + bytes as u64;
        Ptr::<Callback>::new(new_end - Callback::size() as u64).write(function);
        begin.write(Ptr::new(table));
        end.write(Ptr::new(new_end));
        function
    }

    /// Empties a table of exit functions.
    "ucrtbase.dll" cdecl fn _initialize_onexit_table(table: Ptr<OnExitTable>) -> i32 {
        if table.is_null() {
            return -1;
        }
        table.write(OnExitTable { first: Ptr::NULL, last: Ptr::NULL, end: Ptr::NULL });
        0
    }

    /// Adds a function to a table of exit functions.
    "ucrtbase.dll" cdecl fn _register_onexit_function(table: Ptr<OnExitTable>, function: Callback) -> i32 {
        if table.is_null() || !add_to_table(table, function) { -1 } else { 0 }
    }

    /// Runs and empties a table of exit functions.
    "ucrtbase.dll" cdecl fn _execute_onexit_table(table: Ptr<OnExitTable>) -> i32 {
        if table.is_null() {
            return -1;
        }
        run_table(table);
        0
    }

    /// Sets the destructor of thread-local objects of the first thread.
    "ucrtbase.dll" cdecl fn _register_thread_local_exe_atexit_callback(function: Callback) {
        THREAD_LOCAL_EXIT.store(function.0, Ordering::Relaxed);
    }

    /// Calls the terminate handler, or ends the process abnormally.
    "msvcrt.dll|ucrtbase.dll" cdecl fn terminate = "terminate|?terminate@@YAXXZ" () {
        let handler = Callback(TERMINATE.load(Ordering::Relaxed));
        if !handler.is_null() {
            handler.call(&[]);
        }
        abort();
    }

    /// Sets the terminate handler; returns the one before.
    "msvcrt.dll|ucrtbase.dll" cdecl fn set_terminate = "set_terminate|?set_terminate@@YAP6AXXZP6AXXZ@Z" (handler: Callback) -> Callback {
        Callback(TERMINATE.swap(handler.0, Ordering::Relaxed))
    }

    /// Returns the terminate handler.
    "ucrtbase.dll" cdecl fn _get_terminate() -> Callback {
        Callback(TERMINATE.load(Ordering::Relaxed))
    }

    /// Sets the handler of unexpected exceptions, which nothing calls any more; returns the one before.
    "msvcrt.dll|ucrtbase.dll|vcruntime140.dll" cdecl fn set_unexpected = "set_unexpected|?set_unexpected@@YAP6AXXZP6AXXZ@Z" (handler: Callback) -> Callback {
        Callback(UNEXPECTED.swap(handler.0, Ordering::Relaxed))
    }

    /// Returns the handler of unexpected exceptions.
    "vcruntime140.dll|ucrtbase.dll" cdecl fn _get_unexpected() -> Callback {
        Callback(UNEXPECTED.load(Ordering::Relaxed))
    }

    /// Calls the handler of unexpected exceptions, or ends the program.
    "msvcrt.dll|vcruntime140.dll|ucrtbase.dll" cdecl fn unexpected = "unexpected|?unexpected@@YAXXZ" () {
        let handler = Callback(UNEXPECTED.load(Ordering::Relaxed));
        if !handler.is_null() {
            handler.call(&[]);
        }
        terminate();
    }

    /// Returns the handler of calls of pure virtual functions.
    "vcruntime140.dll|ucrtbase.dll" cdecl fn _get_purecall_handler() -> Callback {
        Callback(PURE_CALL.load(Ordering::Relaxed))
    }

    /// Notes that `main` begins or ends, for a trace that nobody takes.
    "vcruntime140.dll" cdecl fn __telemetry_main_invoke_trigger = "__telemetry_main_invoke_trigger|__telemetry_main_return_trigger" (image: Ptr<u8>) {}

    /// Sets the handler of calls of pure virtual functions; returns the one before.
    "msvcrt.dll|ucrtbase.dll|vcruntime140.dll" cdecl fn _set_purecall_handler(handler: Callback) -> Callback {
        Callback(PURE_CALL.swap(handler.0, Ordering::Relaxed))
    }

    /// Is called instead of a pure virtual function.
    "msvcrt.dll|vcruntime140.dll" cdecl fn _purecall() -> i32 {
        let handler = Callback(PURE_CALL.load(Ordering::Relaxed));
        if !handler.is_null() {
            handler.call(&[]);
        }
        log::error!("a pure virtual function was called");
        abort();
        0
    }

    /// Reports a failed assertion and ends the process.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _assert(expression: Ptr<u8>, file: Ptr<u8>, line: u32) {
        let text = |at: Ptr<u8>| if at.is_null() { String::new() } else { String::from_utf8_lossy(&super::mem::string(at)).into_owned() };
        fail_assertion(&text(expression), &text(file), line);
    }

    /// Reports a failed assertion and ends the process.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _wassert(expression: Ptr<u16>, file: Ptr<u16>, line: u32) {
        let text = |at: Ptr<u16>| if at.is_null() { String::new() } else { String::from_utf16_lossy(&super::mem::string(at)) };
        fail_assertion(&text(expression), &text(file), line);
    }
}

fn fail_assertion(expression: &str, file: &str, line: u32) {
    stdio::flush_all();
    os::write_standard_error(
        format!("Assertion failed: {expression}, file {file}, line {line}\r\n").as_bytes(),
    );
    abort();
}
