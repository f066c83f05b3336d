//! Events, semaphores, timers and signals: one word of a shared record each. Mutants have their own file.

mod event;
mod semaphore;
mod signal;
#[cfg(test)]
mod tests;
mod timer;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ntlpc_abi::NtStatus;

use super::futex::now_ns;
use super::object::{Header, Object, ObjectType};
use super::packed::{Packed, PackedKind};
use super::record::{Cell, MOVED, Place, SLEEPERS};
use super::waitable::{Taken, Waitable, Watch, watch_record};

pub use event::{EVENT_TYPE, Event};
pub use semaphore::{SEMAPHORE_TYPE, Semaphore};
pub use signal::Signal;
pub use timer::{TIMER_TYPE, Timer};

/// `EVENT_MODIFY_STATE`, `SEMAPHORE_MODIFY_STATE`, `TIMER_MODIFY_STATE`.
pub const MODIFY_STATE: u32 = 2;
/// `EVENT_QUERY_STATE`, `SEMAPHORE_QUERY_STATE`, `TIMER_QUERY_STATE`.
pub const QUERY_STATE: u32 = 1;

fn is_set(cell: &Cell) -> bool {
    cell.with(value) != 0
}

fn value(place: &Place) -> Result<u32, super::record::Moved> {
    match place.record().word.load(Ordering::Acquire) {
        MOVED => Err(super::record::Moved),
        word => Ok(word & !SLEEPERS),
    }
}

fn watch_zero(cell: &Cell) -> Option<Watch> {
    watch_record(&cell.place(), |word| word == 0)
}

fn pack_cell(cell: &Cell, kind: PackedKind) -> Result<Packed, NtStatus> {
    Ok(Packed {
        kind,
        bytes: Vec::new(),
        fds: vec![cell.share()?],
    })
}
