//! Alertable waits: user APCs and alerts end them (alpc#165).

use std::cell::Cell;

use ntlpc_abi::NtStatus;
use ntlpc_shm::alert::{Watching, watch};

use crate::host;

thread_local! {
    static IS_ALERTABLE: Cell<bool> = const { Cell::new(false) };
}

/// The calling thread waits alertably until this is dropped.
#[derive(Debug)]
#[must_use = "the thread waits alertably until this is dropped"]
pub struct Alertable {
    _watching: Option<Watching>,
}

/// Makes the waits of the calling thread alertable, if they are to be.
pub fn alertable(is_alertable: bool) -> Option<Alertable> {
    if !is_alertable {
        return None;
    }
    let alert = host::current().watch_alerts();
    IS_ALERTABLE.set(true);
    Some(Alertable {
        _watching: alert.map(watch),
    })
}

impl Drop for Alertable {
    fn drop(&mut self) {
        IS_ALERTABLE.set(false);
    }
}

/// Returns `USER_APC` or `ALERTED` if the calling thread waits alertably and that is to end its wait. An alert is taken
/// by that; APCs are left to whoever entered the call.
pub fn alerted() -> Option<NtStatus> {
    if !IS_ALERTABLE.get() {
        return None;
    }
    host::current().alerted()
}
