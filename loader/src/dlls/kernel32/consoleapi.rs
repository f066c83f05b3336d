//! The console: `consoleapi.h` and its relatives, over the terminal.
//!
//! Text is UTF-8. Modes of input are those of the terminal; modes of output are kept for whoever asks: the terminal
//! interprets escape sequences by itself.

use std::sync::atomic::{AtomicU32, Ordering};

use ntlpc_abi::{Handle, NtStatus};

use super::stringapiset::CP_UTF8;
use crate::dlls::win32::{ansi_of, error, failed, refuse, success, wide_of};
use crate::export::{Bool, Callback, Ptr};
use crate::ob::file::{File, retry, status_of};
use crate::ob::synchronous;
use crate::ob::table::lookup;
use crate::ob::terminal;
use crate::win_api;

/// No mode: the terminal's own counts.
const UNKNOWN: u32 = u32::MAX;
/// `ENABLE_PROCESSED_OUTPUT | ENABLE_WRAP_AT_EOL_OUTPUT`.
const DEFAULT_OUTPUT_MODE: u32 = 3;

static INPUT_MODE: AtomicU32 = AtomicU32::new(UNKNOWN);
static OUTPUT_MODE: AtomicU32 = AtomicU32::new(DEFAULT_OUTPUT_MODE);
static CODE_PAGES: [AtomicU32; 2] = [AtomicU32::new(CP_UTF8), AtomicU32::new(CP_UTF8)];

/// Returns a handle's file if it is a terminal.
pub(super) fn console(handle: Handle) -> Result<std::sync::Arc<File>, NtStatus> {
    let file = lookup::<File>(handle, 0)?;
    if file.is_console() {
        Ok(file)
    } else {
        Err(NtStatus::INVALID_HANDLE)
    }
}

/// Returns whether a console's file is its input: one open for reading only, or standard input.
pub(super) fn is_input(file: &File) -> bool {
    let is_read_only = rustix::fs::fcntl_getfl(file.fd())
        .is_ok_and(|flags| flags & rustix::fs::OFlags::RWMODE == rustix::fs::OFlags::RDONLY);
    let is_stdin = || {
        let stdin = crate::peb::parameter::<Handle>("standard_input").read();
        lookup::<File>(stdin, 0).is_ok_and(|stdin| std::ptr::eq(&raw const *stdin, file))
    };
    is_read_only || is_stdin()
}

/// Returns the mode of console input.
pub(super) fn input_mode(file: &File) -> u32 {
    match INPUT_MODE.load(Ordering::Relaxed) {
        UNKNOWN => terminal::modes(file.fd()),
        mode => mode,
    }
}

fn mode(file: &File) -> u32 {
    if is_input(file) {
        input_mode(file)
    } else {
        OUTPUT_MODE.load(Ordering::Relaxed)
    }
}

fn set_mode(file: &File, mode: u32) {
    if is_input(file) {
        INPUT_MODE.store(mode, Ordering::Relaxed);
        terminal::set_modes(file.fd(), mode);
    } else {
        OUTPUT_MODE.store(mode, Ordering::Relaxed);
    }
}

/// Writes text to a console.
pub(super) fn write_text(handle: Handle, bytes: &[u8]) -> Result<(), NtStatus> {
    let file = console(handle)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let done = retry(|| rustix::io::write(file.fd(), rest).map_err(Into::into))
            .map_err(|error| status_of(&error))?;
        rest = &rest[done..];
    }
    Ok(())
}

fn written(result: Result<(), NtStatus>, count: u32, to: Ptr<u32>) -> Bool {
    match result {
        Ok(()) => {
            to.write_if_some(count);
            Bool::TRUE
        }
        Err(status) => failed(status, Bool::FALSE),
    }
}

/// Reads one line of the terminal, at most `most` bytes of UTF-8, with CR LF at its end as a console gives it; without
/// line input what there is, with CR for Enter.
fn read_line(handle: Handle, most: usize) -> Result<String, NtStatus> {
    let file = console(handle)?;
    let mut bytes = vec![0; most.min(0x8000)];
    let done =
        synchronous::retry(|| rustix::io::read(file.fd(), &mut bytes[..]).map_err(Into::into))
            .map_err(|error| status_of(&error))?;
    bytes.truncate(done);
    let end = if input_mode(&file) & terminal::LINE != 0 {
        "\r\n"
    } else {
        "\r"
    };
    Ok(String::from_utf8_lossy(&bytes).replace('\n', end))
}

win_api! {
    /// Reads the mode of a console handle.
    "kernel32.dll|kernelbase.dll" stdcall fn GetConsoleMode(handle: Handle, mode: Ptr<u32>) -> Bool {
        match console(handle) {
            Ok(file) => {
                mode.write(self::mode(&file));
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Sets the mode of a console handle.
    "kernel32.dll|kernelbase.dll" stdcall fn SetConsoleMode(handle: Handle, mode: u32) -> Bool {
        success(console(handle).map(|file| set_mode(&file, mode)))
    }

    /// Returns the code page of console input.
    "kernel32.dll|kernelbase.dll" stdcall fn GetConsoleCP() -> u32 {
        CODE_PAGES[0].load(Ordering::Relaxed)
    }

    /// Returns the code page of console output.
    "kernel32.dll|kernelbase.dll" stdcall fn GetConsoleOutputCP() -> u32 {
        CODE_PAGES[1].load(Ordering::Relaxed)
    }

    /// Sets the code page of console input.
    "kernel32.dll|kernelbase.dll" stdcall fn SetConsoleCP(page: u32) -> Bool {
        CODE_PAGES[0].store(page, Ordering::Relaxed);
        Bool::TRUE
    }

    /// Sets the code page of console output.
    "kernel32.dll|kernelbase.dll" stdcall fn SetConsoleOutputCP(page: u32) -> Bool {
        CODE_PAGES[1].store(page, Ordering::Relaxed);
        Bool::TRUE
    }

    /// Writes text to the console.
    "kernel32.dll|kernelbase.dll" stdcall fn WriteConsoleW(handle: Handle, text: Ptr<u16>, count: u32, done: Ptr<u32>, _reserved: Ptr<u8>) -> Bool {
        let bytes = ansi_of(&text.read_many(count as usize));
        written(write_text(handle, &bytes), count, done)
    }

    /// Writes text to the console.
    "kernel32.dll|kernelbase.dll" stdcall fn WriteConsoleA(handle: Handle, text: Ptr<u8>, count: u32, done: Ptr<u32>, _reserved: Ptr<u8>) -> Bool {
        let bytes = text.read_bytes(count as usize);
        written(write_text(handle, &bytes), count, done)
    }

    /// Reads text from the console.
    "kernel32.dll|kernelbase.dll" stdcall fn ReadConsoleW(handle: Handle, buffer: Ptr<u16>, count: u32, done: Ptr<u32>, _control: Ptr<u8>) -> Bool {
        match read_line(handle, (count as usize).saturating_sub(1).max(1)) {
            Ok(line) => {
                let mut units = wide_of(line.as_bytes());
                units.truncate(count as usize);
                buffer.write_many(&units);
                done.write(u32::try_from(units.len()).unwrap_or(0));
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Names a function for Ctrl-C; NULL with TRUE ignores it.
    "kernel32.dll|kernelbase.dll" stdcall fn SetConsoleCtrlHandler(handler: Callback, add: Bool) -> Bool {
        if handler.is_null() {
            crate::process::control::ignore(add.get());
            return Bool::TRUE;
        }
        if crate::process::control::change(handler, add.get()) { Bool::TRUE } else { refuse(error::INVALID_PARAMETER, Bool::FALSE) }
    }

    /// Returns the window of the console: none.
    "kernel32.dll|kernelbase.dll" stdcall fn GetConsoleWindow() -> Handle {
        Handle::NULL
    }
}
