//! The console: `consoleapi.h` and its relatives, over the terminal.
//!
//! Text is UTF-8. Output modes are kept for whoever asks; the terminal interprets escape sequences by itself.

use std::sync::atomic::{AtomicU32, Ordering};

use ntlpc_abi::{Handle, NtStatus};

use super::stringapiset::CP_UTF8;
use crate::dlls::win32::{ansi_of, error, failed, refuse, success, wide_of};
use crate::export::{Bool, Callback, Ptr};
use crate::guest_struct;
use crate::ob::file::{File, retry, status_of};
use crate::ob::table::lookup;
use crate::win_api;

guest_struct! {
    /// `CONSOLE_SCREEN_BUFFER_INFO`.
    pub struct ScreenBufferInfo {
        size: [i16; 2],
        cursor: [i16; 2],
        attributes: u16,
        window: [i16; 4],
        maximum: [i16; 2],
    }
}

/// `ENABLE_PROCESSED_INPUT | ENABLE_LINE_INPUT | ENABLE_ECHO_INPUT`.
const DEFAULT_INPUT_MODE: u32 = 7;
/// `ENABLE_PROCESSED_OUTPUT | ENABLE_WRAP_AT_EOL_OUTPUT`.
const DEFAULT_OUTPUT_MODE: u32 = 3;

static INPUT_MODE: AtomicU32 = AtomicU32::new(DEFAULT_INPUT_MODE);
static OUTPUT_MODE: AtomicU32 = AtomicU32::new(DEFAULT_OUTPUT_MODE);
static CODE_PAGES: [AtomicU32; 2] = [AtomicU32::new(CP_UTF8), AtomicU32::new(CP_UTF8)];

/// Returns a handle's file if it is a terminal.
fn console(handle: Handle) -> Result<std::sync::Arc<File>, NtStatus> {
    let file = lookup::<File>(handle, 0)?;
    if file.is_console() {
        Ok(file)
    } else {
        Err(NtStatus::INVALID_HANDLE)
    }
}

/// The input mode belongs to handles open for reading only.
fn mode_of(file: &File) -> &'static AtomicU32 {
    let is_input = rustix::fs::fcntl_getfl(file.fd())
        .is_ok_and(|flags| flags & rustix::fs::OFlags::RWMODE == rustix::fs::OFlags::RDONLY);
    let is_stdin = crate::peb::parameter::<Handle>("standard_input").read();
    let is_stdin =
        lookup::<File>(is_stdin, 0).is_ok_and(|stdin| std::ptr::eq(&raw const *stdin, file));
    if is_input || is_stdin {
        &INPUT_MODE
    } else {
        &OUTPUT_MODE
    }
}

fn write_text(handle: Handle, bytes: &[u8]) -> Result<(), NtStatus> {
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

/// Reads one line of the terminal, at most `most` bytes of UTF-8, with CR LF at its end as a console gives it.
fn read_line(handle: Handle, most: usize) -> Result<String, NtStatus> {
    let file = console(handle)?;
    let mut bytes = vec![0; most.min(0x8000)];
    let done = retry(|| rustix::io::read(file.fd(), &mut bytes[..]).map_err(Into::into))
        .map_err(|error| status_of(&error))?;
    bytes.truncate(done);
    Ok(String::from_utf8_lossy(&bytes).replace('\n', "\r\n"))
}

fn screen(handle: Handle) -> Result<ScreenBufferInfo, NtStatus> {
    let file = console(handle)?;
    let size = rustix::termios::tcgetwinsize(file.fd()).map_err(|_| NtStatus::INVALID_HANDLE)?;
    let (columns, rows) = (
        size.ws_col.max(1).cast_signed(),
        size.ws_row.max(1).cast_signed(),
    );
    Ok(ScreenBufferInfo {
        size: [columns, rows],
        cursor: [0, 0],
        attributes: 7,
        window: [0, 0, columns - 1, rows - 1],
        maximum: [columns, rows],
    })
}

/// The escape sequence of console attributes: blue, green and red bits, then brightness; background above.
fn colours(attributes: u16) -> String {
    let colour = |bits: u16| (bits & 4) >> 2 | bits & 2 | (bits & 1) << 2;
    let foreground = colour(attributes) + if attributes & 8 != 0 { 90 } else { 30 };
    let background = colour(attributes >> 4) + if attributes & 0x80 != 0 { 100 } else { 40 };
    match attributes & 0xFF {
        // White on black is whatever the terminal's normal colours are.
        7 => "\x1b[0m".to_owned(),
        _ if attributes & 0xF0 == 0 => format!("\x1b[0;{foreground}m"),
        _ => format!("\x1b[0;{foreground};{background}m"),
    }
}

win_api! {
    /// Reads the mode of a console handle.
    "kernel32.dll|kernelbase.dll" stdcall fn GetConsoleMode(handle: Handle, mode: Ptr<u32>) -> Bool {
        match console(handle) {
            Ok(file) => {
                mode.write(mode_of(&file).load(Ordering::Relaxed));
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Sets the mode of a console handle.
    "kernel32.dll|kernelbase.dll" stdcall fn SetConsoleMode(handle: Handle, mode: u32) -> Bool {
        success(console(handle).map(|file| mode_of(&file).store(mode, Ordering::Relaxed)))
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

    /// Describes the screen.
    "kernel32.dll|kernelbase.dll" stdcall fn GetConsoleScreenBufferInfo(handle: Handle, to: Ptr<ScreenBufferInfo>) -> Bool {
        match screen(handle) {
            Ok(value) => {
                to.write(value);
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

    /// Sets the colours of text to come.
    "kernel32.dll|kernelbase.dll" stdcall fn SetConsoleTextAttribute(handle: Handle, attributes: u16) -> Bool {
        success(write_text(handle, colours(attributes).as_bytes()))
    }

    /// Moves the cursor; the position is column and row from 0.
    "kernel32.dll|kernelbase.dll" stdcall fn SetConsoleCursorPosition(handle: Handle, position: u32) -> Bool {
        let (column, row) = (position & 0xFFFF, position >> 16);
        success(write_text(handle, format!("\x1b[{};{}H", row + 1, column + 1).as_bytes()))
    }

    /// Sets the title of the console window; a terminal keeps its own.
    "kernel32.dll|kernelbase.dll" stdcall fn SetConsoleTitleW = "SetConsoleTitleW|SetConsoleTitleA" (_title: Ptr<u8>) -> Bool {
        Bool::TRUE
    }

    /// Returns the window of the console: none.
    "kernel32.dll|kernelbase.dll" stdcall fn GetConsoleWindow() -> Handle {
        Handle::NULL
    }
}
