//! The process as the guest sees it: PEB, parameters, shared data, start and end.

pub mod blocks;
pub mod command_line;
pub mod environment;
pub mod kuser;
pub mod load_config;
pub mod peb;
pub mod strings;

mod start;

pub use start::{EXIT_NOT_RUNNABLE, Program, exit, exit_process_now, report_missing, run};
