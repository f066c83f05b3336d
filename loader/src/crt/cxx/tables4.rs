//! `FuncInfo4` of `__CxxFrameHandler4`: tables of compressed numbers.
//!
//! Source: Microsoft C++ Team Blog, "Making C++ Exception Handling Smaller On x64" (2019), and the descriptions of the
//! format in public disassembler plug-ins. A number's low bits say how many bytes it takes.

use super::tables::{Action, EMPTY, Handler, Try};
use crate::export::Ptr;

/// Bits of the first byte.
const IS_CATCH: u8 = 0x01;
const IS_SEPARATED: u8 = 0x02;
const HAS_BBT: u8 = 0x04;
const HAS_UNWIND_MAP: u8 = 0x08;
const HAS_TRY_MAP: u8 = 0x10;
const SYNCHRONOUS: u8 = 0x20;
const NOEXCEPT: u8 = 0x40;

/// Reads a table from one field to the next.
#[derive(Clone, Copy, Debug)]
struct Reader {
    at: u64,
}

impl Reader {
    fn new(image: u64, rva: u32) -> Reader {
        Reader {
            at: image + u64::from(rva),
        }
    }

    fn byte(&mut self) -> u8 {
        let value = Ptr::<u8>::new(self.at).read();
        self.at += 1;
        value
    }

    fn word(&mut self) -> u32 {
        let value = Ptr::<u32>::new(self.at).read();
        self.at += 4;
        value
    }

    /// Reads a compressed number: as many low one bits as further bytes, then a zero, then the value; all four set are
    /// followed by a whole word.
    fn number(&mut self) -> u32 {
        let first = self.byte();
        let extra = (first & 0xF).trailing_ones();
        if extra == 4 {
            return self.word();
        }
        let mut value = u32::from(first) >> (extra + 1);
        for index in 0..extra {
            value |= u32::from(self.byte()) << (7 - extra + 8 * index);
        }
        value
    }
}

/// The head of a function's tables.
#[derive(Clone, Copy, Debug)]
pub struct Tables4 {
    header: u8,
    unwind_map: u32,
    try_map: u32,
    ip_map: u32,
    parent: u32,
}

impl Tables4 {
    /// Reads the head.
    pub fn read(at: u64) -> Tables4 {
        let mut reader = Reader { at };
        let header = reader.byte();
        if header & HAS_BBT != 0 {
            reader.number();
        }
        let mut optional = |bit: u8| if header & bit == 0 { 0 } else { reader.word() };
        let unwind_map = optional(HAS_UNWIND_MAP);
        let try_map = optional(HAS_TRY_MAP);
        let ip_map = reader.word();
        let parent = if header & IS_CATCH == 0 {
            0
        } else {
            reader.number()
        };
        Tables4 {
            header,
            unwind_map,
            try_map,
            ip_map,
            parent,
        }
    }

    /// Returns the state at `pc` in the function or part of a function that starts at `begin`.
    pub fn state_at(&self, image: u64, begin: u32, pc: u32) -> i32 {
        let map = if self.header & IS_SEPARATED == 0 {
            Some(self.ip_map)
        } else {
            self.part_map(image, begin)
        };
        let Some(map) = map else {
            return EMPTY;
        };
        let mut reader = Reader::new(image, map);
        let count = reader.number();
        let (mut ip, mut state) = (begin, EMPTY);
        for _ in 0..count {
            ip = ip.wrapping_add(reader.number());
            if ip > pc {
                break;
            }
            state = reader.number().cast_signed() - 1;
        }
        state
    }

    /// Returns the map of the part of a separated function that starts at `begin`.
    fn part_map(&self, image: u64, begin: u32) -> Option<u32> {
        let mut reader = Reader::new(image, self.ip_map);
        let count = reader.number();
        (0..count).find_map(|_| {
            let (start, map) = (reader.word(), reader.word());
            (start == begin).then_some(map)
        })
    }

    /// Returns the state around a state and what leaving it does. Entries name the one around them by its distance.
    pub fn leave(&self, image: u64, state: i32) -> (i32, Action) {
        if self.unwind_map == 0 || state < 0 {
            return (EMPTY, Action::None);
        }
        let mut reader = Reader::new(image, self.unwind_map);
        let count = reader.number().min(i32::MAX.cast_unsigned());
        if state >= count.cast_signed() {
            return (EMPTY, Action::None);
        }
        let first = reader;
        let (mut start, mut distance, mut action) = (reader.at, 0, Action::None);
        for _ in 0..=state {
            start = reader.at;
            (distance, action) = unwind_entry(&mut reader);
        }
        let around = start.wrapping_sub(u64::from(distance));
        let mut reader = first;
        // Which entry starts there?
        let to_state = (0..state).find(|_| {
            let found = reader.at == around;
            if !found {
                unwind_entry(&mut reader);
            }
            found
        });
        (to_state.unwrap_or(EMPTY), action)
    }

    /// Returns the `try` block with a number.
    pub fn try_block(&self, image: u64, index: u32) -> Option<Try> {
        if self.try_map == 0 {
            return None;
        }
        let mut reader = Reader::new(image, self.try_map);
        if index >= reader.number() {
            return None;
        }
        let mut entry = [0; 4];
        for _ in 0..=index {
            entry = [
                reader.number(),
                reader.number(),
                reader.number(),
                reader.word(),
            ];
        }
        let [low, high, catch_high] = [entry[0], entry[1], entry[2]].map(u32::cast_signed);
        let mut handlers = Reader::new(image, entry[3]);
        let count = handlers.number();
        Some(Try {
            low,
            high,
            catch_high,
            count,
            handlers: Ptr::new(handlers.at),
        })
    }

    /// Returns the `catch` block with a number.
    pub fn handler(&self, image: u64, begin: u32, block: &Try, index: u32) -> Handler {
        let mut reader = Reader {
            at: block.handlers.address(),
        };
        let mut handler = Handler::default();
        for _ in 0..=index {
            handler = handler_entry(&mut reader, image, begin);
        }
        handler
    }

    /// Returns where a `catch` block's frame keeps the function's frame; `None` for the function itself.
    pub fn parent_offset(&self) -> Option<u32> {
        (self.header & IS_CATCH != 0).then_some(self.parent)
    }

    /// Returns whether no exception may leave the function.
    pub fn is_noexcept(&self) -> bool {
        self.header & NOEXCEPT != 0
    }

    /// Returns whether only C++ exceptions count.
    pub fn is_synchronous(&self) -> bool {
        self.header & SYNCHRONOUS != 0
    }
}

/// Reads an entry of the unwind map: the distance back to the entry around it, and its action.
fn unwind_entry(reader: &mut Reader) -> (u32, Action) {
    let number = reader.number();
    let action = match number & 3 {
        0 => Action::None,
        1 => Action::Destroy {
            destructor: reader.word(),
            object: reader.number(),
        },
        2 => Action::DestroyPointed {
            destructor: reader.word(),
            pointer: reader.number(),
        },
        _ => Action::Funclet(reader.word()),
    };
    (number >> 2, action)
}

fn handler_entry(reader: &mut Reader, image: u64, begin: u32) -> Handler {
    const HAS_ADJECTIVES: u8 = 0x01;
    const HAS_TYPE: u8 = 0x02;
    const HAS_OBJECT: u8 = 0x04;
    const CONTINUES_AT_RVA: u8 = 0x08;
    let header = reader.byte();
    let mut handler = Handler::default();
    if header & HAS_ADJECTIVES != 0 {
        handler.adjectives = reader.number();
    }
    if header & HAS_TYPE != 0 {
        handler.kind = reader.word();
    }
    if header & HAS_OBJECT != 0 {
        handler.object = reader.number().cast_signed();
    }
    handler.address = reader.word();
    handler.continuation_count = u32::from(header >> 4 & 3).min(2);
    for index in 0..handler.continuation_count as usize {
        handler.continuations[index] = if header & CONTINUES_AT_RVA == 0 {
            image + u64::from(begin) + u64::from(reader.number())
        } else {
            image + u64::from(reader.word())
        };
    }
    handler
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_one_to_five_bytes() {
        for (bytes, value) in [
            (&[0x02_u8][..], 1),
            (&[0xfe], 127),
            (&[0x01, 0x02], 128),
            (&[0xfd, 0xff], 0x3fff),
            (&[0x03, 0x00, 0x02], 0x4000),
            (&[0x07, 0x00, 0x00, 0x02], 0x20_0000),
            (&[0x0f, 0x78, 0x56, 0x34, 0x12], 0x1234_5678),
        ] {
            let mut reader = Reader {
                at: bytes.as_ptr() as u64,
            };
            assert_eq!(reader.number(), value, "{bytes:x?}");
            assert_eq!(reader.at, bytes.as_ptr() as u64 + bytes.len() as u64);
        }
    }

    /// An unwind map of three states: 0 destroys an object, 1 around nothing, 2 inside of 0.
    #[test]
    fn states_name_the_one_around_them_by_distance() {
        let map = [
            0x06_u8, // three entries
            // 0 (at 1): Destroy, distance 1 leads in front of the first; destructor 0x1234, object 0x20
            (1 << 2 | 1) << 1,
            0x34,
            0x12,
            0,
            0,
            0x40,
            // 1 (at 7): nothing, distance 7
            (7 << 2) << 1,
            // 2 (at 8): Funclet 0x5678, distance 7 leads to 0
            (7 << 2 | 3) << 1,
            0x78,
            0x56,
            0,
            0,
        ];
        let tables = Tables4 {
            header: HAS_UNWIND_MAP,
            unwind_map: 1,
            try_map: 0,
            ip_map: 0,
            parent: 0,
        };
        let image = map.as_ptr() as u64 - 1;
        assert_eq!(
            tables.leave(image, 0),
            (
                EMPTY,
                Action::Destroy {
                    destructor: 0x1234,
                    object: 0x20
                }
            )
        );
        assert_eq!(tables.leave(image, 1), (EMPTY, Action::None));
        assert_eq!(tables.leave(image, 2), (0, Action::Funclet(0x5678)));
        assert_eq!(tables.leave(image, 3), (EMPTY, Action::None));
    }

    #[test]
    fn addresses_lead_to_states() {
        // Two changes: state 0 from 0x10 on, state -1 from 0x30 on.
        let map = [0x04_u8, 0x20, 0x02, 0x40, 0x00];
        let tables = Tables4 {
            header: 0,
            unwind_map: 0,
            try_map: 0,
            ip_map: 1,
            parent: 0,
        };
        let image = map.as_ptr() as u64 - 1;
        let states =
            [0x100, 0x10f, 0x110, 0x12f, 0x130].map(|pc| tables.state_at(image, 0x100, pc));
        assert_eq!(states, [EMPTY, EMPTY, 0, 0, EMPTY]);
    }
}
