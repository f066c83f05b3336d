//! The central server of one prefix: names, ports, connections, security, deaths.
//!
//! | file | topic |
//! |---|---|
//! | `server.rs`, `poll.rs`, `dispatch.rs`, `answer.rs` | event loop, from frames to handlers and back |
//! | `state.rs`, `limits.rs` | everything the server knows, and how much it may become |
//! | `process.rs`, `threads.rs`, `arena.rs` | processes, threads, addresses for remote views |
//! | `namespace.rs`, `security/` | names, SIDs, tokens, access checks |
//! | `port.rs`, `holders.rs`, `sources.rs` | ports, handles to them in several processes, what they receive from |
//! | `connection.rs`, `views.rs` | the handshake, sections at both ends |
//! | `attachments.rs` | what travels beside messages |
//! | `request_data.rs`, `exception.rs` | work on waiting requests, exception ports |
//! | `rundown.rs`, `deaths.rs`, `notice.rs` | closing, dying, the server's own messages |
//! | `objects.rs` | named objects other than ports |
//! | `background.rs`, `options.rs` | becoming the server of a prefix, the command line |
//! | `inspect.rs` | what `lpcctl` shows |
#![forbid(unsafe_code)]

mod accept;
mod answer;
mod arena;
mod attachments;
pub mod background;
mod connecting;
mod connection;
mod deaths;
mod disconnect;
mod dispatch;
mod exception;
mod holders;
mod inspect;
mod limits;
pub mod namespace;
mod notice;
mod objects;
pub mod options;
mod poll;
mod port;
mod process;
mod request_data;
mod rundown;
pub mod security;
mod sender;
pub mod server;
mod sources;
mod state;
mod threads;
mod time;
mod views;
