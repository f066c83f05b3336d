//! Registers of threads: as programs see them, and as signals find them.

pub mod i386;
mod machine;
mod record;
mod registers;

pub use machine::Machine;
pub use record::{Record, flag};
pub use registers::{Context, reg};
