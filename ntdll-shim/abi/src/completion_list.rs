//! `ALPC_COMPLETION_LIST_HEADER` (alpc §1.8): the memory a port and its workers share. Offsets are the same for both
//! widths; source: phnt ntlpcapi.h, the variant whose fields keep a distance of 128 bytes.

/// `StartMagic`.
pub const START_MAGIC: usize = 0x000;
/// `TotalSize`.
pub const TOTAL_SIZE: usize = 0x008;
/// `ListOffset`.
pub const LIST_OFFSET: usize = 0x00C;
/// `ListSize`, in bytes: an entry is a `ULONG`, the offset of a message in the data area.
pub const LIST_SIZE: usize = 0x010;
/// `BitmapOffset`.
pub const BITMAP_OFFSET: usize = 0x014;
/// `BitmapSize`, in bytes: a set bit is a [`GRANULE`] of the data area in use.
pub const BITMAP_SIZE: usize = 0x018;
/// `DataOffset`.
pub const DATA_OFFSET: usize = 0x01C;
/// `DataSize`.
pub const DATA_SIZE: usize = 0x020;
/// `AttributeFlags`.
pub const ATTRIBUTE_FLAGS: usize = 0x024;
/// `AttributeSize`.
pub const ATTRIBUTE_SIZE: usize = 0x028;
/// `State`.
pub const STATE: usize = 0x080;
/// `LastMessageId`.
pub const LAST_MESSAGE_ID: usize = 0x088;
/// `LastCallbackId`.
pub const LAST_CALLBACK_ID: usize = 0x08C;
/// `PostCount`.
pub const POST_COUNT: usize = 0x100;
/// `ReturnCount`.
pub const RETURN_COUNT: usize = 0x180;
/// `LogSequenceNumber`.
pub const LOG_SEQUENCE_NUMBER: usize = 0x200;
/// `UserLock`.
pub const USER_LOCK: usize = 0x280;
/// `EndMagic`.
pub const END_MAGIC: usize = 0x288;
/// Size of the header.
pub const HEADER: usize = 0x300;

/// Value of `StartMagic` (alpc#307).
pub const START_MAGIC_VALUE: u64 = 0xDEAD_BEEF_BAAD_F00D;
/// Value of `EndMagic` (alpc#307).
pub const END_MAGIC_VALUE: u64 = 0xBAAD_F00D_DEAD_BEEF;
/// Unit of allocation in the data area.
pub const GRANULE: u32 = 64;

/// Index in the list that stands for none (`Head` and `Tail` of an empty list).
pub const NONE: u32 = 0xFF_FFFF;

/// The word that names the first and the last entry, and counts the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Index of the oldest entry; [`NONE`] if there is none.
    pub head: u32,
    /// Index of the newest entry; [`NONE`] if there is none.
    pub tail: u32,
    /// `ActiveThreadCount`.
    pub active: u16,
}

impl State {
    /// The state of a new list.
    pub const EMPTY: State = State {
        head: NONE,
        tail: NONE,
        active: 0,
    };

    /// Takes the word apart: `Head:24, Tail:24, ActiveThreadCount:16`.
    #[must_use]
    pub const fn from_bits(bits: u64) -> State {
        State {
            head: bits as u32 & NONE,
            tail: (bits >> 24) as u32 & NONE,
            active: (bits >> 48) as u16,
        }
    }

    /// Puts the word together.
    #[must_use]
    pub const fn bits(self) -> u64 {
        (self.head & NONE) as u64 | ((self.tail & NONE) as u64) << 24 | (self.active as u64) << 48
    }

    /// Returns whether there is no entry.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.head == NONE
    }

    /// Returns the state without its oldest entry, in a list of `capacity` entries.
    #[must_use]
    pub const fn popped(self, capacity: u32) -> State {
        if self.head == self.tail {
            return State {
                active: self.active,
                ..State::EMPTY
            };
        }
        let next = self.head + 1;
        State {
            head: if next >= capacity { 0 } else { next },
            ..self
        }
    }

    /// Returns the state with one more entry, at its `tail`; `None` if the list is full.
    #[must_use]
    pub const fn pushed(self, capacity: u32) -> Option<State> {
        if capacity == 0 {
            return None;
        }
        if self.is_empty() {
            return Some(State {
                head: 0,
                tail: 0,
                ..self
            });
        }
        let next = self.tail + 1;
        let tail = if next >= capacity { 0 } else { next };
        if tail == self.head {
            return None;
        }
        Some(State { tail, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_packs_into_24_24_and_16_bits() {
        let state = State {
            head: 0x12_3456,
            tail: 0x78_9ABC,
            active: 0xDEF0,
        };
        assert_eq!(state.bits(), 0xDEF0_789A_BC12_3456);
        assert_eq!(State::from_bits(state.bits()), state);
        assert_eq!(State::EMPTY.bits(), 0x0000_FFFF_FFFF_FFFF);
    }

    #[test]
    fn entries_leave_in_order_and_wrap() {
        let mut state = State {
            active: 7,
            ..State::EMPTY
        };
        for turn in 0..5 {
            state = state.pushed(3).expect("room");
            assert_eq!(state.head, state.tail, "turn {turn}");
            state = state.popped(3);
            assert!(state.is_empty());
        }
        for _ in 0..3 {
            state = state.pushed(3).expect("room");
        }
        assert_eq!(state.pushed(3), None);
        state = state.popped(3).pushed(3).expect("room");
        assert_eq!((state.head, state.tail, state.active), (1, 0, 7));
        assert_eq!(State::EMPTY.pushed(0), None);
    }
}
