//! The object manager of the standalone host: handle table, object types, waits.
//!
//! Objects live in this process. What other processes share of them is little and explicit: the state of a
//! synchronization object is one page ([`record`]), sections and files are descriptors, ports belong to the server.
//! An object crosses to another process [packed](object::Packed): named objects through the server's name space,
//! handles by inheritance or through the other process's [agent].

pub mod apc;
pub mod attributes;
pub mod futex;
pub mod guest;
pub mod mutant;
pub mod name;
pub mod object;
pub mod process;
pub mod record;
pub mod security;
pub mod sid;
pub mod sync;
pub mod table;
pub mod thread;
pub mod time;
pub mod token;
pub mod wait;

use ntlpc_abi::{Handle, NtStatus};

use table::{Entry, TABLE};

/// Returns what a handle stands for, pseudo-handles included.
pub fn pseudo_entry(handle: Handle) -> Result<Entry, NtStatus> {
    match handle {
        Handle::CURRENT_PROCESS => Ok(Entry {
            object: process::current(),
            access: process::PROCESS_TYPE.generic[3],
            attributes: 0,
        }),
        Handle::CURRENT_THREAD => Ok(Entry {
            object: thread::current(),
            access: thread::THREAD_TYPE.generic[3],
            attributes: 0,
        }),
        _ => TABLE.entry(handle),
    }
}
