//! The Windows side of the contract: statuses, layouts, limits and the table of port calls.
//!
//! Everything here is plain data and arithmetic. Layouts are described once and are generic over
//! [`Width`]; nothing in this crate touches guest memory.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod attributes;
mod calls;
pub mod completion_list;
pub mod layout;
pub mod limits;
mod status;
mod types;

pub use calls::{ArgKind, Call, CallId, ResultKind};
pub use status::NtStatus;
pub use types::{ClientId, Handle, UserPtr, Width};
