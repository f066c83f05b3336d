//! The control protocol between a port host and `wineserver-ext`.
//!
//! A host (our loader, Wine, a native program) keeps one [`Connection`] per process. Each call sends one request frame
//! and receives one reply frame over a `SOCK_SEQPACKET` socket; descriptors travel with the frames. Every request is
//! declared once, by [`requests!`], in the file of its family:
//!
//! | family | file | about |
//! |---|---|---|
//! | [`Process`](process::Process) | `process.rs` | processes, threads, their tokens, terminate and exception ports |
//! | [`Port`](port::Port) | `port.rs` | ports, the connection handshake, handles in several processes, request data |
//! | [`Object`](object::Object) | `object.rs` | named events, mutants, semaphores, timers, sections, directories |
//! | [`Attachment`](attachment::Attachment) | `attachment.rs` | descriptors that travel beside a message |
//! | [`Inspect`](inspect::Inspect) | `inspect.rs` | what `lpcctl` shows |
//!
//! # Using it
//!
//! ```no_run
//! use ntlpc_proto::{Prefix, connect_or_start, process::{CheckThread, Hello}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let connection = connect_or_start(&Prefix::from_environment()?, &[])?;
//! let (identity, fds) = connection.call(&Hello { image: "demo.exe".into(), ..Hello::default() }, &[])?;
//! let thread_table = &fds[0];
//! let (found, _) = connection.call(&CheckThread { pid: identity.nt_pid, tid: 4 }, &[])?;
//! # let _ = (thread_table, found);
//! # Ok(()) }
//! ```
//!
//! A call fails with [`CallError::Refused`] and the NT status the server decided, or with [`CallError::Lost`] when the
//! server is gone. The order of a request's and a reply's descriptors is part of its declaration; a name that ends in
//! `?` is present only under the condition its document states.
//!
//! # Versions
//!
//! Every frame starts with [`frame::MAGIC`] and [`frame::VERSION`]. The version grows with every change of a declaration
//! that an older peer would misread; both ends refuse another version by name.
#![deny(unsafe_code)]

pub mod attachment;
mod connection;
pub mod frame;
pub mod inspect;
pub mod object;
pub mod port;
mod prefix;
pub mod process;
mod request;
mod start;
#[allow(unsafe_code, reason = "system calls without a fitting safe wrapper")]
pub mod sys;
pub mod transport;
pub mod wire;

pub use connection::{CallError, Connection};
pub use prefix::{Prefix, PrefixError, fnv1a};
pub use request::{Field, Request, RequestInfo};
pub use start::{ALREADY_RUNNING_EXIT, StartError, connect_existing, connect_or_start};
pub use wire::{Bytes, Malformed, Name};

/// Every family: its name, its number, its requests.
pub const FAMILIES: &[(&str, u8, &[RequestInfo])] = &[
    ("Process", process::Process::FAMILY, process::Process::TABLE),
    ("Port", port::Port::FAMILY, port::Port::TABLE),
    ("Object", object::Object::FAMILY, object::Object::TABLE),
    (
        "Attachment",
        attachment::Attachment::FAMILY,
        attachment::Attachment::TABLE,
    ),
    ("Inspect", inspect::Inspect::FAMILY, inspect::Inspect::TABLE),
];
