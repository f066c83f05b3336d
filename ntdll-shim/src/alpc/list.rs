//! The kernel's side of a completion list: where messages are put for the workers (alpc §2.17).
//!
//! The list lies in the program's memory, so nothing in it is believed: its shape is kept here, and what the program
//! changes can hurt only itself. The header is written at registration and then only counted in.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Weak};

use ntlpc_abi::completion_list::{
    ATTRIBUTE_FLAGS, ATTRIBUTE_SIZE, BITMAP_OFFSET, BITMAP_SIZE, DATA_OFFSET, DATA_SIZE, END_MAGIC,
    END_MAGIC_VALUE, GRANULE, HEADER, LIST_OFFSET, LIST_SIZE, POST_COUNT, RETURN_COUNT,
    START_MAGIC, START_MAGIC_VALUE, STATE, State, TOTAL_SIZE,
};
use ntlpc_abi::{NtStatus, UserPtr, attributes};
use parking_lot::RwLock;

use super::frame::Receiving;
use super::list_user::{ATTRIBUTE_ALIGN, ENTRIES, bit_runs};
use super::message::{
    Buffer, LPC_CANCELED, LPC_CONNECTION_REPLY, LPC_CONNECTION_REQUEST, LPC_PORT_CLOSED,
    header_len, width,
};
use super::user::{update_u32, update_u64};
use crate::dispatch::Fault;
use crate::engine::{Incoming, Port, Queue, Ring};
use crate::{guest, host};

/// Address and size must be multiples of this: the header has 64-bit words that change atomically.
const ALIGNMENT: u64 = 8;

/// Where the parts of a list lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    /// Entries, and granules of data.
    capacity: u32,
    list_offset: u32,
    bitmap_offset: u32,
    bitmap_size: u32,
    data_offset: u32,
}

impl Shape {
    /// Divides a list of `size` bytes; `None` if no message fits. There is an entry for each granule, since a message takes
    /// one at least.
    fn of(size: u32) -> Option<Shape> {
        let room = size.checked_sub(HEADER as u32)?;
        // An entry, a bit of the bitmap and a granule.
        let estimate = u64::from(room) * 8 / (8 * (4 + u64::from(GRANULE)) + 1);
        let shape = |capacity: u32| {
            let list_offset = HEADER as u32;
            let bitmap_offset = list_offset + 4 * capacity;
            let bitmap_size = 4 * capacity.div_ceil(32);
            Shape {
                capacity,
                list_offset,
                bitmap_offset,
                bitmap_size,
                data_offset: (bitmap_offset + bitmap_size).next_multiple_of(GRANULE),
            }
        };
        let fits = |shape: &Shape| {
            let end = u64::from(shape.data_offset) + u64::from(shape.capacity) * u64::from(GRANULE);
            end <= size.into()
        };
        let largest = (1..=estimate as u32).rev().map(shape);
        largest.take(4).find(fits)
    }
}

/// A registered list.
#[derive(Debug)]
pub(super) struct List {
    base: UserPtr,
    shape: Shape,
    attribute_flags: u32,
    attribute_size: u32,
    concurrency: AtomicU32,
    /// Granule at which the search for room begins.
    hint: AtomicU32,
    /// A message waits for room.
    is_full: AtomicBool,
    port: Weak<Port>,
    queue: Weak<Queue>,
}

/// The lists of this process by address.
static LISTS: RwLock<BTreeMap<u64, Arc<List>>> = RwLock::new(BTreeMap::new());

/// What a program asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub base: UserPtr,
    pub size: u32,
    pub concurrency: u32,
    pub attribute_flags: u32,
}

/// Registers a list at a connection port (alpc#307–311).
///
/// # Errors
/// `INVALID_PARAMETER`, `BUFFER_TOO_SMALL`, `ACCESS_VIOLATION`, `PORT_ALREADY_HAS_COMPLETION_LIST`.
pub(super) fn register(port: &Arc<Port>, wanted: Wanted) -> Result<(), NtStatus> {
    if wanted.base.is_null() || !wanted.base.0.is_multiple_of(ALIGNMENT) || wanted.concurrency == 0
    {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let shape = Shape::of(wanted.size).ok_or(NtStatus::BUFFER_TOO_SMALL)?;
    if port.queue.notifier.has_ring() {
        return Err(NtStatus::PORT_ALREADY_HAS_COMPLETION_LIST);
    }
    guest::probe_write(wanted.base, wanted.size as usize)?;
    let attribute_size = attributes::buffer_size(width(), wanted.attribute_flags) as u32;
    let list = Arc::new(List {
        base: wanted.base,
        shape,
        attribute_flags: wanted.attribute_flags,
        attribute_size,
        concurrency: AtomicU32::new(wanted.concurrency),
        hint: AtomicU32::new(0),
        is_full: AtomicBool::new(false),
        port: Arc::downgrade(port),
        queue: Arc::downgrade(&port.queue),
    });
    list.write_header(wanted.size)?;
    // The list is found from the first message on.
    LISTS.write().insert(wanted.base.0, list.clone());
    let set = port.queue.notifier.set_ring(list);
    if set.is_err() {
        LISTS.write().remove(&wanted.base.0);
    }
    set
}

/// Returns the address of a port's completion list.
#[must_use]
pub fn completion_list(port: &Port) -> Option<u64> {
    list_of(port).ok().map(|list| list.base.0)
}

/// Returns the list of a port.
///
/// # Errors
/// `INVALID_PARAMETER` if it has none.
fn list_of(port: &Port) -> Result<Arc<List>, NtStatus> {
    let lists = LISTS.read();
    let mut lists = lists.values();
    let found = lists.find(|list| std::ptr::eq(list.queue.as_ptr(), Arc::as_ptr(&port.queue)));
    found.cloned().ok_or(NtStatus::INVALID_PARAMETER)
}

/// Ends the use of a port's list, whose memory is the program's again.
///
/// # Errors
/// As [`list_of`].
pub(super) fn unregister(port: &Port) -> Result<(), NtStatus> {
    let list = list_of(port)?;
    port.queue.notifier.clear_ring();
    LISTS.write().remove(&list.base.0);
    // Whoever was putting a message in is done.
    drop(ENTRIES.lock());
    Ok(())
}

/// Sets how many workers shall be awake (alpc#326).
///
/// # Errors
/// As [`list_of`]; `INVALID_PARAMETER` for none.
pub(super) fn adjust(port: &Port, concurrency: u32) -> Result<(), NtStatus> {
    if concurrency == 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    list_of(port)?.concurrency.store(concurrency, SeqCst);
    port.queue.notifier.look_again();
    Ok(())
}

/// Empties a port's list (alpc#327).
///
/// # Errors
/// As [`list_of`]; `ACCESS_VIOLATION`.
pub(super) fn run_down(port: &Port) -> Result<(), NtStatus> {
    let list = list_of(port)?;
    {
        let _entries = ENTRIES.lock();
        list.empty()
            .map_err(|Fault(_)| NtStatus::ACCESS_VIOLATION)?;
    }
    port.queue.notifier.look_again();
    Ok(())
}

/// Takes over what came for the list at `base`: asked for by a worker that finds it empty.
pub(super) fn collect(base: UserPtr) {
    if let Some(queue) = find(base).and_then(|list| list.queue.upgrade()) {
        queue.notifier.collect(&queue);
    }
}

/// Room was made in the list at `base`.
pub(super) fn note_room(base: UserPtr) {
    let Some(list) = find(base).filter(|list| list.is_full.swap(false, SeqCst)) else {
        return;
    };
    if let Some(queue) = list.queue.upgrade() {
        queue.notifier.collect(&queue);
        queue.notifier.look_again();
    }
}

/// A worker of the list at `base` went to sleep.
pub(super) fn note_leave(base: UserPtr) {
    if let Some(queue) = find(base).and_then(|list| list.queue.upgrade()) {
        queue.notifier.worker_left();
    }
}

fn find(base: UserPtr) -> Option<Arc<List>> {
    LISTS.read().get(&base.0).cloned()
}

impl List {
    fn write_header(&self, size: u32) -> Result<(), NtStatus> {
        let shape = &self.shape;
        let mut header = [0; HEADER];
        let mut put = |at: usize, value: &[u8]| header[at..at + value.len()].copy_from_slice(value);
        put(START_MAGIC, &START_MAGIC_VALUE.to_le_bytes());
        put(END_MAGIC, &END_MAGIC_VALUE.to_le_bytes());
        put(STATE, &State::EMPTY.bits().to_le_bytes());
        for (at, value) in [
            (TOTAL_SIZE, size),
            (LIST_OFFSET, shape.list_offset),
            (LIST_SIZE, 4 * shape.capacity),
            (BITMAP_OFFSET, shape.bitmap_offset),
            (BITMAP_SIZE, shape.bitmap_size),
            (DATA_OFFSET, shape.data_offset),
            (DATA_SIZE, GRANULE * shape.capacity),
            (ATTRIBUTE_FLAGS, self.attribute_flags),
            (ATTRIBUTE_SIZE, self.attribute_size),
        ] {
            put(at, &value.to_le_bytes());
        }
        let host = host::current();
        host.write(self.base, &header)?;
        let zeros = vec![0; shape.bitmap_size as usize];
        host.write(self.at(shape.bitmap_offset), &zeros)
    }

    fn at(&self, offset: u32) -> UserPtr {
        self.base.offset(offset as usize)
    }

    fn state(&self) -> Result<State, Fault> {
        let mut bytes = [0; 8];
        let at = self.base.offset(STATE);
        host::current()
            .read(at, &mut bytes)
            .map_err(|_| Fault(at))?;
        Ok(State::from_bits(u64::from_le_bytes(bytes)))
    }

    fn empty(&self) -> Result<(), Fault> {
        update_u64(self.base.offset(STATE), |bits| {
            let active = State::from_bits(bits).active;
            Some(
                State {
                    active,
                    ..State::EMPTY
                }
                .bits(),
            )
        })?;
        for (word, mask) in bit_runs(0, self.shape.capacity) {
            update_u32(self.at(self.shape.bitmap_offset + 4 * word), |bits| {
                bits & !mask
            })?;
        }
        let posted = super::user::read_u32(self.base.offset(POST_COUNT))?;
        super::user::write_u32(self.base.offset(RETURN_COUNT), posted)
    }

    /// Copies a message into the list; `None` without room.
    fn add(
        &self,
        port: &Arc<Port>,
        incoming: &Incoming,
        data: &[u8],
    ) -> Result<Option<()>, NtStatus> {
        let total = u64::from(incoming.body_len) + header_len() as u64;
        let (span, attributes_at) = match self.attribute_flags {
            0 => (total, None),
            _ => {
                let at = total.next_multiple_of(ATTRIBUTE_ALIGN);
                (at + u64::from(self.attribute_size), Some(at))
            }
        };
        let count = span.div_ceil(GRANULE.into()) as u32;
        let fault = |Fault(_)| NtStatus::ACCESS_VIOLATION;
        let Some(first) = self.find_room(count)? else {
            return Ok(None);
        };
        let offset = first * GRANULE;
        let message = self.at(self.shape.data_offset + offset);
        Buffer::unlimited(message).deliver(incoming, data)?;
        if let Some(at) = attributes_at {
            let buffer = UserPtr(message.0.wrapping_add(at));
            let allocated = self.attribute_flags.to_le_bytes();
            host::current().write(buffer.offset(attributes::ALLOCATED), &allocated)?;
            Receiving::capture(buffer)?.deliver(port, incoming)?;
        }
        self.mark(first, count).map_err(fault)?;
        let mut written = Ok(());
        let pushed = update_u64(self.base.offset(STATE), |bits| {
            let state = State::from_bits(bits).pushed(self.shape.capacity)?;
            let entry = self.at(self.shape.list_offset + 4 * state.tail.min(self.shape.capacity));
            written = guest::write_u32(entry, offset);
            written.is_ok().then(|| state.bits())
        });
        written?;
        if pushed.map_err(fault)?.is_none() {
            for (word, mask) in bit_runs(first, count) {
                let at = self.at(self.shape.bitmap_offset + 4 * word);
                update_u32(at, |bits| bits & !mask).map_err(fault)?;
            }
            return Ok(None);
        }
        self.hint.store(first + count, SeqCst);
        update_u32(self.base.offset(POST_COUNT), |posted| {
            posted.wrapping_add(1)
        })
        .map_err(fault)?;
        Ok(Some(()))
    }

    /// Finds `count` free granules in a row. Only this side takes granules, one message at a time.
    fn find_room(&self, count: u32) -> Result<Option<u32>, NtStatus> {
        let capacity = self.shape.capacity;
        let hint = self.hint.load(SeqCst).min(capacity);
        if hint + count <= capacity && self.is_free(hint, count)? {
            return Ok(Some(hint));
        }
        let mut bitmap = vec![0; self.shape.bitmap_size as usize];
        host::current().read(self.at(self.shape.bitmap_offset), &mut bitmap)?;
        let is_free = |at: u32| bitmap[at as usize / 8] & (1 << (at % 8)) == 0;
        let run_from = |start: u32, end: u32| {
            let mut length = 0;
            (start..end).find_map(|at| {
                length = if is_free(at) { length + 1 } else { 0 };
                (length == count).then(|| at + 1 - count)
            })
        };
        Ok(run_from(hint, capacity).or_else(|| run_from(0, capacity)))
    }

    /// Returns whether granules are free, usually by one look at one word.
    fn is_free(&self, first: u32, count: u32) -> Result<bool, NtStatus> {
        for (word, mask) in bit_runs(first, count) {
            let bits = guest::read_u32(self.at(self.shape.bitmap_offset + 4 * word))?;
            if bits & mask != 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn mark(&self, first: u32, count: u32) -> Result<(), Fault> {
        for (word, mask) in bit_runs(first, count) {
            update_u32(self.at(self.shape.bitmap_offset + 4 * word), |bits| {
                bits | mask
            })?;
        }
        Ok(())
    }
}

impl Ring for List {
    /// Requests, datagrams and replies. Handshakes and ends are for those who call (alpc#329).
    fn takes(&self, incoming: &Incoming) -> bool {
        !matches!(
            incoming.message_type,
            LPC_CONNECTION_REQUEST | LPC_CONNECTION_REPLY | LPC_CANCELED | LPC_PORT_CLOSED
        )
    }

    fn put(&self, incoming: &Incoming, data: &[u8]) -> bool {
        let Some(port) = self.port.upgrade() else {
            return false;
        };
        // A fault on the program's memory is a status here.
        let _entries = ENTRIES.lock();
        match self.add(&port, incoming, data) {
            Ok(Some(())) => true,
            Ok(None) => {
                self.is_full.store(true, SeqCst);
                false
            }
            Err(status) => {
                log::debug!(
                    "the completion list at {:?} cannot be used: {status}",
                    self.base
                );
                false
            }
        }
    }

    fn is_attended(&self) -> bool {
        let concurrency = self.concurrency.load(SeqCst);
        self.state()
            .is_ok_and(|state| u32::from(state.active) >= concurrency)
    }

    fn is_empty(&self) -> bool {
        self.state().is_ok_and(State::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_uses_the_whole_list_and_is_aligned() {
        assert_eq!(Shape::of(0), None);
        assert_eq!(Shape::of(HEADER as u32 + 64), None);
        for size in [HEADER as u32 + 256, 0x1000, 0x1_0000, 0x10_0001] {
            let shape = Shape::of(size).expect("room");
            let end = shape.data_offset + shape.capacity * GRANULE;
            assert!(end <= size);
            assert!(size - end < 3 * GRANULE, "{size:#x}: {shape:?}");
            assert!(shape.data_offset.is_multiple_of(GRANULE));
            assert!(shape.bitmap_size * 8 >= shape.capacity);
            assert_eq!(shape.bitmap_offset, shape.list_offset + 4 * shape.capacity);
            assert!(shape.data_offset >= shape.bitmap_offset + shape.bitmap_size);
        }
    }
}
