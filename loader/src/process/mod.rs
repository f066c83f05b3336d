//! The process as the guest sees it: parameters, program, start and end, Ctrl-C, snapshots.

pub mod command_line;
pub mod control;
pub mod environment;
pub mod image;
pub mod snapshot;

mod start;

pub use start::{EXIT_NOT_RUNNABLE, Program, exit, run};
