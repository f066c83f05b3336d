//! The title of the console, which programs set and put back: `consoleapi2.h`. A terminal keeps its own.
//!
//! Source: Microsoft Learn, "GetConsoleTitle function", "SetConsoleTitle function".

use parking_lot::Mutex;

use crate::dlls::win32::{ansi_of, error, refuse, units_arg, wide_arg};
use crate::export::{Bool, Guest, Ptr};
use crate::peb::strings::UnicodeString;
use crate::win_api;

/// What the program has set.
static TITLE: Mutex<Option<Vec<u16>>> = Mutex::new(None);

/// A title nobody has set is the creator's (`STARTUPINFO::lpTitle`), or else the path of the program.
fn title() -> Vec<u16> {
    let read = |field| {
        let text = crate::peb::parameter::<UnicodeString>(field).read();
        text.buffer.read_many(usize::from(text.length) / 2)
    };
    let set = TITLE.lock().clone();
    set.or_else(|| Some(read("window_title")).filter(|title| !title.is_empty()))
        .unwrap_or_else(|| read("image_path"))
}

fn set(title: Option<Vec<u16>>) -> Bool {
    match title {
        Some(title) => {
            *TITLE.lock() = Some(title);
            Bool::TRUE
        }
        None => refuse(error::INVALID_PARAMETER, Bool::FALSE),
    }
}

/// Writes as much of a title as fits, with a NUL; returns the length of the whole.
fn put<T: Guest + Default>(title: &[T], buffer: Ptr<T>, size: u32) -> u32 {
    if size == 0 {
        return refuse(error::INSUFFICIENT_BUFFER, 0);
    }
    let fitting = title.len().min(size as usize - 1);
    buffer.write_many(&title[..fitting]);
    buffer.add(fitting).write(T::default());
    u32::try_from(title.len()).unwrap_or(u32::MAX)
}

win_api! {
    /// Sets the title of the console.
    "kernel32.dll|kernelbase.dll" stdcall fn SetConsoleTitleW(title: Ptr<u16>) -> Bool {
        set(units_arg(title))
    }

    /// Sets the title of the console.
    "kernel32.dll|kernelbase.dll" stdcall fn SetConsoleTitleA(title: Ptr<u8>) -> Bool {
        set(wide_arg(title))
    }

    /// Returns the title of the console: the program's path if nobody set one.
    "kernel32.dll|kernelbase.dll" stdcall fn GetConsoleTitleW(buffer: Ptr<u16>, size: u32) -> u32 {
        put(&title(), buffer, size)
    }

    /// Returns the title of the console: the program's path if nobody set one.
    "kernel32.dll|kernelbase.dll" stdcall fn GetConsoleTitleA(buffer: Ptr<u8>, size: u32) -> u32 {
        put(&ansi_of(&title()), buffer, size)
    }
}
