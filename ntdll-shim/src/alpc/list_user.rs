//! The worker's side of a completion list: helpers that work on its memory without a system call (alpc §2.17,
//! alpc#307–325).
//!
//! Head and Tail change by compare-and-swap on `State`, for worker threads come and go without a lock. Only one thread of
//! the process takes an entry at a time: else a whole turn of the list between reading an entry and taking it would go
//! unnoticed.

use ntlpc_abi::completion_list::{
    ATTRIBUTE_FLAGS, ATTRIBUTE_SIZE, BITMAP_OFFSET, DATA_OFFSET, DATA_SIZE, GRANULE,
    LAST_CALLBACK_ID, LAST_MESSAGE_ID, LIST_OFFSET, LIST_SIZE, POST_COUNT, RETURN_COUNT, STATE,
    State,
};
use ntlpc_abi::{UserPtr, Width};
use parking_lot::Mutex;

use super::user::{read_u16, read_u32, update_u32, update_u64, write_u32, write_word};
use crate::dispatch::Fault;
use crate::host;

/// Held while an entry is taken or added.
pub(super) static ENTRIES: Mutex<()> = Mutex::new(());

/// Offset of `TotalLength` in a message.
const TOTAL_LENGTH: usize = 2;

/// Attributes follow their message at the next multiple of this.
pub(super) const ATTRIBUTE_ALIGN: u64 = 8;

/// Offsets of MessageId and CallbackId in a message.
fn ids(width: Width) -> (usize, usize) {
    (width.pick(0x10, 0x18), width.pick(0x14, 0x20))
}

pub(crate) fn alpc_register_completion_list_worker_thread(list: UserPtr) -> Result<bool, Fault> {
    let join = |bits| {
        let state = State::from_bits(bits);
        let active = state.active.checked_add(1)?;
        Some(State { active, ..state }.bits())
    };
    Ok(update_u64(list.offset(STATE), join)?.is_some())
}

pub(crate) fn alpc_unregister_completion_list_worker_thread(list: UserPtr) -> Result<bool, Fault> {
    super::list::collect(list);
    let leave = |bits| {
        let state = State::from_bits(bits);
        let active = state.active.checked_sub(1)?;
        // A worker that would leave messages behind must look again (alpc#324).
        state.is_empty().then(|| State { active, ..state }.bits())
    };
    let has_left = update_u64(list.offset(STATE), leave)?.is_some();
    if has_left {
        super::list::note_leave(list);
    }
    Ok(has_left)
}

pub(crate) fn alpc_get_outstanding_completion_list_message_count(
    list: UserPtr,
) -> Result<u32, Fault> {
    super::list::collect(list);
    let posted = read_u32(list.offset(POST_COUNT))?;
    Ok(posted.wrapping_sub(read_u32(list.offset(RETURN_COUNT))?))
}

pub(crate) fn alpc_get_completion_list_last_message_information(
    list: UserPtr,
    last_message_id: UserPtr,
    last_callback_id: UserPtr,
) -> Result<(), Fault> {
    write_u32(last_message_id, read_u32(list.offset(LAST_MESSAGE_ID))?)?;
    write_u32(last_callback_id, read_u32(list.offset(LAST_CALLBACK_ID))?)
}

pub(crate) fn alpc_get_message_from_completion_list(
    list: UserPtr,
    message_attributes: UserPtr,
) -> Result<UserPtr, Fault> {
    let mut entry = pop(list)?;
    if entry.is_none() {
        super::list::collect(list);
        entry = pop(list)?;
    }
    let Some(entry) = entry else {
        return Ok(UserPtr::NULL);
    };
    let message = data_start(list)?.offset(entry as usize);
    let (message_id, callback_id) = ids(host::personality().guest);
    write_u32(
        list.offset(LAST_MESSAGE_ID),
        read_u32(message.offset(message_id))?,
    )?;
    write_u32(
        list.offset(LAST_CALLBACK_ID),
        read_u32(message.offset(callback_id))?,
    )?;
    if !message_attributes.is_null() {
        let attributes = alpc_get_completion_list_message_attributes(list, message)?;
        write_word(message_attributes, attributes.0)?;
    }
    Ok(message)
}

/// Takes the oldest entry.
fn pop(list: UserPtr) -> Result<Option<u32>, Fault> {
    let capacity = read_u32(list.offset(LIST_SIZE))? / 4;
    let entries = list.offset(read_u32(list.offset(LIST_OFFSET))? as usize);
    let _entries = ENTRIES.lock();
    let mut entry = Ok(0);
    let taken = update_u64(list.offset(STATE), |bits| {
        let state = State::from_bits(bits);
        if state.is_empty() {
            return None;
        }
        entry = read_u32(entries.offset(4 * state.head as usize));
        entry.is_ok().then(|| state.popped(capacity).bits())
    })?;
    let entry = entry?;
    Ok(taken.map(|_| entry))
}

pub(crate) fn alpc_get_completion_list_message_attributes(
    list: UserPtr,
    message: UserPtr,
) -> Result<UserPtr, Fault> {
    if read_u32(list.offset(ATTRIBUTE_FLAGS))? == 0 {
        return Ok(UserPtr::NULL);
    }
    let length = read_u16(message.offset(TOTAL_LENGTH))?;
    let end = message.offset(length.into()).0;
    Ok(UserPtr(end.next_multiple_of(ATTRIBUTE_ALIGN)))
}

/// Gives the room of a message back (alpc#318–321). The result is no part of the public prototype; Windows leaves a
/// number that is not 0 in the register (alpc §2.17).
pub(crate) fn alpc_free_completion_list_message(
    list: UserPtr,
    message: UserPtr,
) -> Result<u32, Fault> {
    const DONE: u32 = 1;
    let data_size = u64::from(read_u32(list.offset(DATA_SIZE))?);
    let start = data_start(list)?;
    let offset = message.0.wrapping_sub(start.0);
    if message.0 < start.0 || offset >= data_size || !offset.is_multiple_of(GRANULE.into()) {
        return Ok(DONE);
    }
    let length = u64::from(read_u16(message.offset(TOTAL_LENGTH))?);
    let attribute_size = u64::from(read_u32(list.offset(ATTRIBUTE_SIZE))?);
    let has_attributes = read_u32(list.offset(ATTRIBUTE_FLAGS))? != 0;
    let span = if has_attributes {
        length.next_multiple_of(ATTRIBUTE_ALIGN) + attribute_size
    } else {
        length
    };
    if length == 0 || offset + span > data_size {
        return Ok(DONE);
    }
    let first = (offset / u64::from(GRANULE)) as u32;
    let count = span.div_ceil(GRANULE.into()) as u32;
    clear_bits(list, first, count)?;
    update_u32(list.offset(RETURN_COUNT), |returned| {
        returned.wrapping_add(1)
    })?;
    super::list::note_room(list);
    Ok(DONE)
}

/// Clears a run of bits of the bitmap.
fn clear_bits(list: UserPtr, first: u32, count: u32) -> Result<(), Fault> {
    let bitmap = list.offset(read_u32(list.offset(BITMAP_OFFSET))? as usize);
    for (word, mask) in bit_runs(first, count) {
        update_u32(bitmap.offset(4 * word as usize), |bits| bits & !mask)?;
    }
    Ok(())
}

/// Splits a run of bits into words of 32: index and mask of each.
pub(super) fn bit_runs(first: u32, count: u32) -> impl Iterator<Item = (u32, u32)> {
    let end = first + count;
    let words = first / 32..end.div_ceil(32);
    words.map(move |word| {
        let from = first.max(32 * word) - 32 * word;
        let to = end.min(32 * word + 32) - 32 * word;
        (word, u32::MAX >> (32 - (to - from)) << from)
    })
}

fn data_start(list: UserPtr) -> Result<UserPtr, Fault> {
    Ok(list.offset(read_u32(list.offset(DATA_OFFSET))? as usize))
}

#[cfg(test)]
mod tests {
    use super::bit_runs;

    #[test]
    fn run_of_bits_is_split_at_words() {
        let runs = |first, count| bit_runs(first, count).collect::<Vec<_>>();
        assert_eq!(runs(0, 1), [(0, 1)]);
        assert_eq!(runs(2, 2), [(0, 0xC)]);
        assert_eq!(runs(30, 4), [(0, 0xC000_0000), (1, 3)]);
        assert_eq!(runs(32, 32), [(1, u32::MAX)]);
        assert_eq!(runs(31, 34), [(0, 0x8000_0000), (1, u32::MAX), (2, 1)]);
    }
}
