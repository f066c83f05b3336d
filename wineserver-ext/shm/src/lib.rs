//! Shared memory between the two ends of a connection: inboxes, segments, slots, waits and rundown.
//!
//! The crate knows no NT layout and no host. Words and rules are described where they are declared:
//!
//! | file | topic |
//! |---|---|
//! | `mem.rs`, `sys.rs` | the mapped bytes, futexes, memfds: the only `unsafe` of the crate |
//! | `alert.rs` | a second word that ends a thread's sleeps |
//! | `model.rs` | feature `model`: words and futexes whose interleavings tests explore |
//! | `map.rs` | ready map: which slots of a lane, which sources of an inbox have something |
//! | `slot.rs` | one message: state word, header, payload |
//! | `turn.rs` | the word on which reply, callback, timeout, cancellation and loss race |
//! | `lane.rs` | one direction of a segment: allocate, publish, withdraw, take |
//! | `inbox.rs` | what a receiving port shares with its senders: tickets, bell, sleepers |
//! | `segment.rs` | the memfd of a connection: two lanes, the client's inbox, connection state |
//! | `outcome.rs` | what a client that waits for its connection is told |
//! | `receive.rs` | the receiving side's private order over all its sources |
//! | `spin.rs` | when a waiter may spin |
//! | `threads.rs` | the server's read-only table of threads |
//! | `notice.rs` | messages the server makes |
//! | `rundown.rs` | what the server does for a thread that died |
//!
//! Whatever a peer can write is read once, clamped and checked; `owner` words always name the thread to
//! clean up after.
#![deny(unsafe_code)]

pub mod alert;
pub mod inbox;
pub mod lane;
pub mod map;
pub mod mem;
#[cfg(feature = "model")]
pub mod model;
pub mod notice;
pub mod outcome;
pub mod receive;
pub mod rundown;
pub mod segment;
pub mod slot;
mod space;
pub mod spin;
pub mod sys;
pub mod threads;
pub mod turn;

/// Number the server gives to a registered thread; 0 is nobody. Not reused while anybody may hold it.
pub type Tno = u32;

/// The server's own number: owner of what it writes. Never given to a thread.
pub const SERVER: Tno = 1;
