//! The signal of a process, thread or file.

use super::*;

/// A signal owned by another object: an auto- or manual-reset flag to wait on. Used by processes, threads, files.
#[derive(Debug)]
pub struct Signal(Cell);

impl Signal {
    /// Makes a signal.
    #[must_use]
    pub fn new(is_set: bool) -> Self {
        Signal(Cell::new(u32::from(is_set), 1))
    }

    /// Takes over the page of a signal made elsewhere.
    pub fn from_page(fd: OwnedFd) -> Result<Self, NtStatus> {
        Ok(Signal(Cell::from_page(fd)?))
    }

    /// Moves it to a shared page and returns a descriptor of it.
    pub fn share(&self) -> Result<OwnedFd, NtStatus> {
        self.0.share()
    }

    /// Returns where its record lies.
    #[must_use]
    pub fn place(&self) -> Arc<Place> {
        self.0.place()
    }

    /// Sets or resets it.
    pub fn assign(&self, is_set: bool) {
        self.0
            .with(|place| place.update(|_| Some(u32::from(is_set))));
    }
}

impl Waitable for Signal {
    fn is_signaled(&self) -> bool {
        is_set(&self.0)
    }
    fn take(&self) -> Option<Taken> {
        is_set(&self.0).then_some(Taken::Signaled)
    }
    fn give_back(&self, _taken: Taken) {}
    fn watch(&self) -> Option<Watch> {
        watch_zero(&self.0)
    }
}
