//! C++ as Microsoft's compiler translates it: exceptions, run-time types.
//!
//! `tables3` and `tables4` read what the compiler says about a function's frame, `throw` what it says about an exception,
//! `frame` is the handler of such frames, `catching` what a thread is doing about exceptions. Everything is read where it
//! lies in the guest; nothing here owns memory while guest code runs, because guest code may leave by another way.

mod catching;
mod data;
mod exception;
mod frame;
mod rtti;
mod tables;
mod tables3;
mod tables4;
mod throw;
mod undecorate;

pub use throw::{CODE, Thrown};
