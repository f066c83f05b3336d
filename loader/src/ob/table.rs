//! The handle table: values are multiples of four from 4, negative ones are pseudo-handles.

use std::any::Any;
use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};
use parking_lot::RwLock;

use super::object::{Object, downcast};

/// `OBJ_INHERIT`: children created with handle inheritance get the handle.
pub const INHERIT: u32 = 0x2;
/// `OBJ_PROTECT_CLOSE` in `OBJECT_HANDLE_FLAG_INFORMATION` terms: closing it fails.
pub const PROTECT: u32 = 0x1;

/// Most handles of one process (16 million on Windows; the value keeps handles below 2^26).
const MAX_HANDLES: usize = 1 << 24;

/// What a handle stands for.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The object.
    pub object: Arc<dyn Object>,
    /// Rights granted when the handle was made.
    pub access: u32,
    /// [`INHERIT`] and [`PROTECT`].
    pub attributes: u32,
}

#[derive(Debug, Default)]
struct Slots {
    slots: Vec<Option<Entry>>,
    /// Lowest slot that may be free; everything below is in use.
    lowest: usize,
}

/// The handles of this process.
#[derive(Debug)]
pub struct Table {
    slots: RwLock<Slots>,
}

/// The one handle table. Lock order: nothing else is locked, dropped or called under it.
pub static TABLE: Table = Table {
    slots: RwLock::new(Slots {
        slots: Vec::new(),
        lowest: 0,
    }),
};

const fn index_of(handle: Handle) -> Option<usize> {
    // The two low bits are ignored, as on Windows (Raymond Chen, "Why are HANDLE values always a multiple of four?").
    if handle.0 < 4 || handle.0 > 4 * MAX_HANDLES as u64 {
        None
    } else {
        Some((handle.0 as usize >> 2) - 1)
    }
}

const fn handle_of(index: usize) -> Handle {
    Handle((index as u64 + 1) << 2)
}

impl Table {
    /// Makes a handle. Returns `TOO_MANY_OPENED_FILES` when the table is full.
    pub fn insert(
        &self,
        object: Arc<dyn Object>,
        access: u32,
        attributes: u32,
    ) -> Result<Handle, NtStatus> {
        let mut table = self.slots.write();
        let from = table.lowest;
        let free = table
            .slots
            .iter()
            .skip(from)
            .position(Option::is_none)
            .map_or(table.slots.len(), |i| from + i);
        if free >= MAX_HANDLES {
            return Err(NtStatus::INSUFFICIENT_RESOURCES);
        }
        object.header().opened();
        let entry = Some(Entry {
            object,
            access,
            attributes,
        });
        match table.slots.get_mut(free) {
            Some(slot) => *slot = entry,
            None => table.slots.push(entry),
        }
        table.lowest = free + 1;
        Ok(handle_of(free))
    }

    /// Makes a handle with a given value, as an inherited one needs. Returns `INVALID_HANDLE` if it is taken.
    pub fn insert_at(&self, handle: Handle, entry: Entry) -> Result<(), NtStatus> {
        let index = index_of(handle).ok_or(NtStatus::INVALID_HANDLE)?;
        let mut table = self.slots.write();
        if table.slots.len() <= index {
            table.slots.resize(index + 1, None);
        }
        let slot = &mut table.slots[index];
        if slot.is_some() {
            return Err(NtStatus::INVALID_HANDLE);
        }
        entry.object.header().opened();
        *slot = Some(entry);
        Ok(())
    }

    /// Returns what a handle stands for.
    pub fn entry(&self, handle: Handle) -> Result<Entry, NtStatus> {
        let index = index_of(handle).ok_or(NtStatus::INVALID_HANDLE)?;
        self.slots
            .read()
            .slots
            .get(index)
            .cloned()
            .flatten()
            .ok_or(NtStatus::INVALID_HANDLE)
    }

    /// Closes a handle. Returns `HANDLE_NOT_CLOSABLE` for a protected one.
    pub fn close(&self, handle: Handle) -> Result<(), NtStatus> {
        let index = index_of(handle).ok_or(NtStatus::INVALID_HANDLE)?;
        let entry = {
            let mut table = self.slots.write();
            let slot = table.slots.get_mut(index).ok_or(NtStatus::INVALID_HANDLE)?;
            if slot
                .as_ref()
                .is_some_and(|entry| entry.attributes & PROTECT != 0)
            {
                return Err(NtStatus::HANDLE_NOT_CLOSABLE);
            }
            let entry = slot.take().ok_or(NtStatus::INVALID_HANDLE)?;
            table.lowest = table.lowest.min(index);
            entry
        };
        if entry.object.header().closed() {
            entry.object.last_handle_closed();
        }
        Ok(())
    }

    /// Changes the attributes of a handle.
    pub fn set_attributes(
        &self,
        handle: Handle,
        change: impl Fn(u32) -> u32,
    ) -> Result<(), NtStatus> {
        let index = index_of(handle).ok_or(NtStatus::INVALID_HANDLE)?;
        let mut table = self.slots.write();
        let entry = table
            .slots
            .get_mut(index)
            .and_then(Option::as_mut)
            .ok_or(NtStatus::INVALID_HANDLE)?;
        entry.attributes = change(entry.attributes);
        Ok(())
    }

    /// Returns every handle with its entry, in ascending order.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(Handle, Entry)> {
        let table = self.slots.read();
        let used = table.slots.iter().enumerate();
        used.filter_map(|(i, slot)| slot.clone().map(|entry| (handle_of(i), entry)))
            .collect()
    }

    /// Returns the number of open handles.
    #[must_use]
    pub fn count(&self) -> usize {
        self.slots.read().slots.iter().flatten().count()
    }
}

/// Returns the object of `handle` as its Rust type, with the rights the handle grants.
///
/// Order of checks as on NT: handle, type, access.
pub fn lookup<T: Object>(handle: Handle, access: u32) -> Result<Arc<T>, NtStatus> {
    let entry = super::pseudo_entry(handle)?;
    let object = downcast::<T>(entry.object)?;
    if access & !entry.access != 0 {
        return Err(NtStatus::ACCESS_DENIED);
    }
    Ok(object)
}

/// Reads from the object of `handle`, checked as by [`lookup`], without keeping it. For `read` the table's lock order holds.
pub fn read<T: Object, R>(
    handle: Handle,
    access: u32,
    read: impl FnOnce(&T) -> R,
) -> Result<R, NtStatus> {
    let Some(index) = index_of(handle) else {
        return lookup::<T>(handle, access).map(|object| read(&object));
    };
    let table = TABLE.slots.read();
    let entry = table.slots.get(index).and_then(Option::as_ref);
    let entry = entry.ok_or(NtStatus::INVALID_HANDLE)?;
    let object: &(dyn Any + Send + Sync) = &*entry.object;
    let object = object
        .downcast_ref::<T>()
        .ok_or(NtStatus::OBJECT_TYPE_MISMATCH)?;
    if access & !entry.access != 0 {
        return Err(NtStatus::ACCESS_DENIED);
    }
    Ok(read(object))
}

/// Returns the object of `handle` whatever its type.
pub fn lookup_any(handle: Handle, access: u32) -> Result<Arc<dyn Object>, NtStatus> {
    let entry = super::pseudo_entry(handle)?;
    if access & !entry.access != 0 {
        return Err(NtStatus::ACCESS_DENIED);
    }
    Ok(entry.object)
}

#[cfg(test)]
mod tests {
    use super::super::sync::Event;
    use super::*;

    fn table() -> Table {
        Table {
            slots: RwLock::new(Slots::default()),
        }
    }

    #[test]
    fn handles_are_multiples_of_four_and_are_reused_lowest_first() {
        let table = table();
        let event: Arc<dyn Object> = Arc::new(Event::new(true, false));
        let make = || table.insert(event.clone(), 0x1F_0003, 0).expect("insert");
        assert_eq!([make(), make(), make()], [Handle(4), Handle(8), Handle(12)]);
        table.close(Handle(8)).expect("close");
        assert_eq!(table.close(Handle(8)), Err(NtStatus::INVALID_HANDLE));
        assert_eq!([make(), make()], [Handle(8), Handle(16)]);
        assert_eq!(table.count(), 4);
    }

    #[test]
    fn protected_handles_stay() {
        let table = table();
        let handle = table
            .insert(Arc::new(Event::new(true, false)), 0, PROTECT)
            .expect("insert");
        assert_eq!(table.close(handle), Err(NtStatus::HANDLE_NOT_CLOSABLE));
        table.set_attributes(handle, |_| 0).expect("set");
        assert_eq!(table.close(handle), Ok(()));
    }

    #[test]
    fn garbage_handles_are_invalid() {
        let table = table();
        for bad in [0, 3, 0xDEAD_BEEC, u64::MAX - 100] {
            assert_eq!(
                table.entry(Handle(bad)).err(),
                Some(NtStatus::INVALID_HANDLE),
                "{bad:#x}"
            );
        }
    }
}
