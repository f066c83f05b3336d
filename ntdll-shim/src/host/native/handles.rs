//! Handles of a native program: multiples of four from 4, the lowest free first.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};
use parking_lot::Mutex;

use crate::engine::Port;
use crate::host::Section;

/// Handles a process may have open, as many as NT allows in a table (2²⁴).
const MAX_HANDLES: usize = 1 << 24;

/// What a handle names.
#[derive(Clone, Debug)]
pub(super) enum Object {
    /// A port, with every right.
    Port(Arc<Port>),
    /// A section, readable and writable.
    Section(Arc<SharedMemory>),
}

/// A section: a descriptor of memory of the program's making.
#[derive(Debug)]
pub(super) struct SharedMemory {
    /// The memory.
    pub fd: OwnedFd,
    /// Its size in bytes.
    pub size: u64,
}

impl SharedMemory {
    /// Returns the section for one call.
    pub fn duplicate(&self) -> Result<Section, NtStatus> {
        let fd = self.fd.try_clone();
        Ok(Section {
            fd: fd.map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?,
            size: self.size,
        })
    }
}

/// The table of handles.
#[derive(Debug)]
pub(super) struct Table(Mutex<Vec<Option<Object>>>);

/// The table of this process.
pub(super) static TABLE: Table = Table(Mutex::new(Vec::new()));

impl Table {
    /// Makes a handle.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES` if there are too many.
    pub fn insert(&self, object: Object) -> Result<Handle, NtStatus> {
        let mut entries = self.0.lock();
        let index = entries
            .iter()
            .position(Option::is_none)
            .unwrap_or(entries.len());
        if index == MAX_HANDLES {
            return Err(NtStatus::INSUFFICIENT_RESOURCES);
        }
        if index == entries.len() {
            entries.push(None);
        }
        entries[index] = Some(object);
        Ok(Handle(4 * (index as u64 + 1)))
    }

    /// Returns what a handle names.
    ///
    /// # Errors
    /// `INVALID_HANDLE`.
    pub fn get(&self, handle: Handle) -> Result<Object, NtStatus> {
        let index = index(handle).ok_or(NtStatus::INVALID_HANDLE)?;
        let entries = self.0.lock();
        entries
            .get(index)
            .and_then(Clone::clone)
            .ok_or(NtStatus::INVALID_HANDLE)
    }

    /// Closes a handle.
    ///
    /// # Errors
    /// `INVALID_HANDLE`.
    pub fn close(&self, handle: Handle) -> Result<(), NtStatus> {
        let index = index(handle).ok_or(NtStatus::INVALID_HANDLE)?;
        let closed = self.0.lock().get_mut(index).and_then(Option::take);
        match closed.ok_or(NtStatus::INVALID_HANDLE)? {
            // A port has one handle here: nothing duplicates them.
            Object::Port(port) => port.handles_closed(),
            Object::Section(_) => {}
        }
        Ok(())
    }
}

/// NT ignores the low two bits of a handle.
fn index(handle: Handle) -> Option<usize> {
    usize::try_from(handle.0 / 4).ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section() -> Object {
        let fd = std::fs::File::open("/dev/null").expect("a device").into();
        Object::Section(Arc::new(SharedMemory { fd, size: 0 }))
    }

    #[test]
    fn closed_handles_are_invalid_and_used_again() {
        let table = Table(Mutex::new(Vec::new()));
        let first = table.insert(section()).expect("room");
        let second = table.insert(section()).expect("room");
        assert_eq!((first, second), (Handle(4), Handle(8)));
        assert_eq!(table.close(first), Ok(()));
        assert_eq!(table.close(first), Err(NtStatus::INVALID_HANDLE));
        assert!(table.get(Handle(11)).is_ok(), "the low bits do not count");
        for bad in [0, 3, 12, u64::MAX] {
            let got = table.get(Handle(bad)).err();
            assert_eq!(got, Some(NtStatus::INVALID_HANDLE), "{bad}");
        }
        assert_eq!(table.insert(section()), Ok(first));
    }
}
