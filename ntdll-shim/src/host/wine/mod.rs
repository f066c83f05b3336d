//! Stock Wine as a host: this library, named in `LD_PRELOAD`, gives an unmodified Wine every port call.
//!
//! Nothing happens when the library is loaded. When Wine's unix side installs its signal handlers ([`preload`]), its PE
//! `ntdll.dll` is mapped and no PE instruction has run. There [`inject`] puts thunks ([`code`]) and a longer export
//! directory ([`exports`]) above the image. A thunk reaches [`service`] through Wine's own dispatcher of unix calls, so
//! that our code runs on Wine's kernel stack like any unix call of Wine. A process that does not look as expected is
//! left alone.
//!
//! | what | file |
//! |---|---|
//! | port handles, and what is known of each | `handles.rs` |
//! | close, duplicate, query | `objects.rs` |
//! | which calls are under way | `callers.rs` |
//! | waits on waitable ports | `waits.rs`, `bridge.rs` |
//! | APCs that end waits for ports | `apcs.rs` |
//! | object directories, names that are Wine's | `names.rs` |
//! | sections, tokens, threads | `sections.rs`, `tokens.rs`, `threads.rs` |
//! | exception port | `exceptions.rs` |
//! | what differs between machines | `arch/` |
//! | calls of 32-bit code | `narrow.rs`, `arch/x86_64/wow64.rs` |
//! | ports in Wine's thread pool | `pool.rs`, `pool_code.rs` |
//! | handles in messages, completion ports | `carriers.rs`, `completion.rs` |
//! | what the Wine processes of a prefix tell each other | `page.rs` |
//!
//! Which of the calls are served is chosen by `LPC_HOST_CALLS`: `ours` (all of them), `native` (none; Wine's own stay)
//! or `auto`: ours, unless this Wine exports every call of the table itself. It is all or nothing because the calls
//! share one name space, and a port name must not be served by both.

#![allow(
    unsafe_code,
    reason = "signals, machine code, Wine's functions; each block proves its conditions"
)]

mod apcs;
mod arch;
mod bridge;
mod callers;
mod carriers;
mod code;
mod completion;
mod descriptors;
mod exceptions;
mod exports;
mod handles;
mod hooks;
mod host;
mod inject;
mod maps;
mod memory;
mod names;
mod narrow;
mod ntdll;
mod objects;
mod page;
mod pool;
mod pool_code;
mod preload;
mod sections;
mod senders;
mod service;
mod structures;
mod threads;
mod tokens;
mod waits;

/// Returns whether this is a process of Wine.
pub(super) fn is_here() -> bool {
    ntdll::is_loaded()
}
