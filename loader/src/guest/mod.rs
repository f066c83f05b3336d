//! Guest memory: typed pointers, structures of both widths, bulk copies, atomic words.

mod bulk;
mod field;
mod layout;
mod memory;

pub use bulk::{atomic_u32, atomic_u64, read_into, read_process, write_from, write_process};
pub use field::Field;
pub use memory::{Guest, Memory, Ptr};
