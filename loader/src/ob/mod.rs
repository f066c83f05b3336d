//! The object manager of the standalone host: handle table, object types, waits.
//!
//! Objects live in this process. What other processes share of them is little and explicit: the state of a
//! synchronization object is one page ([`record`]), sections and files are descriptors, ports belong to the server.
//! An object crosses to another process [packed](packed::Packed): named objects through the server's name space,
//! handles by inheritance or through the other process's [agent].

pub mod afd;
pub mod agent;
pub mod apc;
pub mod attributes;
pub mod changes;
pub mod completion;
pub mod directory;
pub mod duplicate;
pub mod file;
pub mod futex;
pub mod group;
pub mod handle;
pub mod host;
pub mod impersonation;
pub mod interface;
pub mod job;
pub mod mutant;
pub mod name;
pub mod named_directory;
pub mod network_events;
pub mod object;
pub mod open;
pub mod overlapped;
pub mod packed;
pub mod path;
pub mod pattern;
pub mod pipe;
pub mod poke;
pub mod process;
pub mod reactor;
pub mod record;
pub mod resolver;
pub mod section;
pub mod security;
pub mod shell;
pub mod sid;
pub mod socket;
pub mod socket_option;
pub mod spawn;
pub mod stdio;
pub mod suspend;
pub mod sync;
pub mod synchronous;
pub mod table;
pub mod terminal;
pub mod thread;
pub mod time;
pub mod token;
pub mod unpack;
pub mod volume;
pub mod wait;
pub mod wait_packet;
pub mod waitable;

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

/// Signals an event, mutant or semaphore once, as `NtSignalAndWaitForSingleObject` does.
pub fn signal(handle: Handle) -> Result<(), NtStatus> {
    use object::downcast;
    let object = table::lookup_any(handle, 0)?;
    if let Ok(event) = downcast::<sync::Event>(object.clone()) {
        event.set();
        return Ok(());
    }
    if let Ok(mutant) = downcast::<mutant::Mutant>(object.clone()) {
        return mutant.release().map(|_| ());
    }
    downcast::<sync::Semaphore>(object)?.release(1).map(|_| ())
}
