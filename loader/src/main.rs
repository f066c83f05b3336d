//! `lpcrun`: runs x86-64 and i386 Windows console programs on Linux.
//!
//! `docs/loader.md` tells the layers. `unsafe` needs an `allow` of its file, which says why: machine code and signal frames
//! (`gate`, `context`, `exception/signal.rs`), guest memory (`guest`, `vm`, `heap`, `crt/mem.rs`), words shared with other
//! processes or reached through GS (`ob`, `teb.rs`), and calls of Linux.
#![deny(unsafe_code)]

mod cli;
mod cmd;
mod context;
mod crt;
mod diagnostics;
mod dlls;
mod entry;
mod exception;
mod export;
mod gate;
mod guest;
mod heap;
mod image;
mod linux;
mod module;
mod ob;
mod peb;
mod pool;
mod process;
mod registry;
mod resource;
mod teb;
mod thread;
mod trace;
mod vm;
mod win32_error;
mod wine_host;
mod wine_preload;

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use ntlpc_abi::Width;

static WIDTH: OnceLock<Width> = OnceLock::new();

/// Returns the pointer width of the program, fixed when its image is loaded.
#[inline]
pub(crate) fn width() -> Width {
    *WIDTH.get().unwrap_or(&Width::X64)
}

static WANTS_WOW64: AtomicBool = AtomicBool::new(false);

/// Returns whether this is an i386 program that shall find itself on 64-bit Windows; fixed before it starts.
pub(crate) fn is_wow64() -> bool {
    wants_wow64() && width() == Width::X86
}

/// Returns whether i386 programs, this one or its children, shall find themselves on 64-bit Windows.
pub(crate) fn wants_wow64() -> bool {
    WANTS_WOW64.load(Ordering::Relaxed)
}

/// Exit code of failures of ours that are not the guest's.
const EXIT_HOST_FAILURE: i32 = 125;

/// Prints one line and ends the process.
pub(crate) fn fatal(message: fmt::Arguments<'_>) -> ! {
    eprintln!("lpcrun: {message}");
    std::process::exit(EXIT_HOST_FAILURE)
}

/// Fixes the pointer width of the process; the first choice stays.
pub(crate) fn set_width(width: Width) {
    let _ = WIDTH.set(width);
}

/// Lets i386 programs find themselves on 64-bit Windows.
pub(crate) fn set_wow64() {
    WANTS_WOW64.store(true, Ordering::Relaxed);
}

fn main() {
    cli::main()
}
