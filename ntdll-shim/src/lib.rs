//! NT port calls on Linux: classic LPC and ALPC over shared memory, for our loader and stock Wine.
//!
//! A host hands every call over as an array of 64-bit slots to [`call`]; the personality captures the guest's structures
//! and drives the [`engine`]; the engine moves messages through shared memory and asks the server for everything else.
#![deny(unsafe_code)]

mod alpc;
pub mod capture;
pub mod classic;
mod dispatch;
pub mod engine;
mod guest;
pub mod host;
pub mod interrupt;
mod names;
pub mod trace;

pub use alpc::completion_list;
pub use dispatch::{Fault, Slots, call};
