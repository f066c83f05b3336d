//! C++ as Microsoft's compiler translates it: exceptions, run-time types.
//!
//! `tables3` and `tables4` read what the compiler says about a function's frame, `throw` what it says about an exception,
//! `frame` and `frame32` are the handlers of such frames, `search` what they share, `catching` what a thread is doing about exceptions. Everything is read where it
//! lies in the guest; nothing here owns memory while guest code runs, because guest code may leave by another way.

mod catching;
mod data;
mod exception;
mod frame;
mod frame32;
mod rtti;
mod search;
mod tables;
mod tables3;
mod tables4;
mod throw;
mod undecorate;

pub use throw::CODE;
