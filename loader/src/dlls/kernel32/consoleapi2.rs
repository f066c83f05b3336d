//! The screen of the console: `consoleapi2.h`, by the escape sequences of the terminal; and events for processes.
//!
//! A terminal does not tell what it shows, so what needs that fails.
//!
//! Source: Microsoft Learn, "WriteConsoleOutput", "ScrollConsoleScreenBuffer", "GenerateConsoleCtrlEvent"; the sequences:
//! xterm, "XTerm Control Sequences" (CUP, SGR, DECSTBM, IL, DL, DECSC, DECRC).

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU16, Ordering};

use ntlpc_abi::{Handle, NtStatus};

use super::console_screen::{self, Rect};
use super::consoleapi::{console, write_text};
use super::stringapiset::CP_UTF8;
use crate::dlls::win32::{failed, success};
use crate::export::{Bool, Ptr};
use crate::process::control;
use crate::{guest_struct, win_api};

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

/// Colours of text to come.
static ATTRIBUTES: AtomicU16 = AtomicU16::new(console_screen::NORMAL);

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
        attributes: ATTRIBUTES.load(Ordering::Relaxed),
        window: [0, 0, columns - 1, rows - 1],
        maximum: [columns, rows],
    })
}

/// Writes sequences and leaves cursor and colours as they were.
fn draw(handle: Handle, text: &str) -> Result<(), NtStatus> {
    if text.is_empty() {
        return console(handle).map(|_| ());
    }
    write_text(handle, format!("\x1b7{text}\x1b8").as_bytes())
}

/// Draws a rectangle of cells, and says which part was.
fn write_cells(
    handle: Handle,
    cells: Ptr<u32>,
    size: u32,
    first: u32,
    region: Ptr<[i16; 4]>,
    decode: impl Fn(u16) -> u16,
) -> Bool {
    let pair = |packed: u32| [packed as i16, (packed >> 16) as i16];
    let [columns, rows] = pair(size);
    let [x, y] = pair(first);
    let wanted = Rect::of(region.read());
    let screen = match screen(handle) {
        Ok(screen) => Rect::of(screen.window),
        Err(status) => return failed(status, Bool::FALSE),
    };
    // What the buffer has from its first cell on, laid on the screen.
    let covered = Rect {
        left: wanted.left,
        top: wanted.top,
        right: wanted
            .left
            .saturating_add(columns.saturating_sub(x))
            .saturating_sub(1),
        bottom: wanted
            .top
            .saturating_add(rows.saturating_sub(y))
            .saturating_sub(1),
    };
    let drawn = wanted.and(covered).and(screen);
    let mut text = String::new();
    if x >= 0 && y >= 0 && !drawn.is_empty() {
        for row in drawn.top..=drawn.bottom {
            let line = i64::from(row - wanted.top) + i64::from(y);
            let column = i64::from(drawn.left - wanted.left) + i64::from(x);
            let at = cells.byte_add(((line * i64::from(columns) + column) * 4) as u64);
            let cells = at.read_many(usize::from((drawn.right - drawn.left + 1).cast_unsigned()));
            let cells = cells
                .into_iter()
                .map(|cell| (decode(cell as u16), (cell >> 16) as u16));
            let _ = write!(text, "{}", console_screen::row(drawn.left, row, cells));
        }
    }
    let result = draw(handle, &text);
    region.write(drawn.words());
    success(result)
}

win_api! {
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

    /// Sets the colours of text to come.
    "kernel32.dll|kernelbase.dll" stdcall fn SetConsoleTextAttribute(handle: Handle, attributes: u16) -> Bool {
        success(write_text(handle, console_screen::colours(attributes).as_bytes()).map(|()| ATTRIBUTES.store(attributes, Ordering::Relaxed)))
    }

    /// Moves the cursor; the position is column and row from 0.
    "kernel32.dll|kernelbase.dll" stdcall fn SetConsoleCursorPosition(handle: Handle, position: u32) -> Bool {
        let (column, row) = (position & 0xFFFF, position >> 16);
        success(write_text(handle, format!("\x1b[{};{}H", row + 1, column + 1).as_bytes()))
    }

    /// Draws a rectangle of cells.
    "kernel32.dll|kernelbase.dll" stdcall fn WriteConsoleOutputW(handle: Handle, cells: Ptr<u32>, size: u32, first: u32, region: Ptr<[i16; 4]>) -> Bool {
        write_cells(handle, cells, size, first, region, |unit| unit)
    }

    /// Draws a rectangle of cells; bytes that are no ASCII are Latin-1 unless the code page is UTF-8, where a cell holds no
    /// whole character.
    "kernel32.dll|kernelbase.dll" stdcall fn WriteConsoleOutputA(handle: Handle, cells: Ptr<u32>, size: u32, first: u32, region: Ptr<[i16; 4]>) -> Bool {
        let is_utf8 = super::consoleapi::GetConsoleOutputCP() == CP_UTF8;
        let decode = |unit: u16| match unit & 0xFF {
            0x80.. if is_utf8 => u16::from(b'?'),
            byte => byte,
        };
        write_cells(handle, cells, size, first, region, decode)
    }

    /// Moves whole rows up or down, and fills what they leave. Other moves need what the screen shows: `NOT_SUPPORTED`.
    "kernel32.dll|kernelbase.dll" stdcall fn ScrollConsoleScreenBufferW = "ScrollConsoleScreenBufferW|ScrollConsoleScreenBufferA" (handle: Handle, moved: Ptr<[i16; 4]>, clip: Ptr<[i16; 4]>, to: u32, fill: Ptr<u32>) -> Bool {
        let moved = Rect::of(moved.read());
        let clip = clip.non_null().map(|clip| Rect::of(clip.read()));
        let fill = fill.read();
        let fill = (fill as u16, (fill >> 16) as u16);
        let screen = match screen(handle) {
            Ok(screen) => Rect::of(screen.window),
            Err(status) => return failed(status, Bool::FALSE),
        };
        let to = [to as i16, (to >> 16) as i16];
        match console_screen::scroll(screen, moved, clip, to, fill) {
            Some(text) => success(draw(handle, &text)),
            None => failed(NtStatus::NOT_SUPPORTED, Bool::FALSE),
        }
    }

    /// Sends Ctrl-C or Ctrl-Break to the processes of a group of this console.
    "kernel32.dll|kernelbase.dll" stdcall fn GenerateConsoleCtrlEvent(event: u32, group: u32) -> Bool {
        success(control::generate(event, group))
    }
}
