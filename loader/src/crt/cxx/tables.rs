//! What a function's tables say, whatever their version.
//!
//! A function with `try` blocks or objects to destroy is always in a *state*. Each state but -1 names the state around it
//! and what leaving it does; each `try` block covers a range of states, and so do the `catch` blocks that belong to it.

use super::tables3::Tables3;
use super::tables4::Tables4;
use crate::export::Ptr;

/// The state outside of everything.
pub const EMPTY: i32 = -1;

/// The function a frame belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// Image base that addresses in tables are relative to.
    pub image: u64,
    /// Start of the function or of the `catch` block, relative to the image.
    pub begin: u32,
    /// Its tables.
    pub tables: Tables,
}

/// Tables of one version.
#[derive(Clone, Copy, Debug)]
pub enum Tables {
    /// Of `__CxxFrameHandler3` and its predecessors.
    Version3(Tables3),
    /// Of `__CxxFrameHandler4`.
    Version4(Tables4),
}

/// What leaving a state does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    None,
    /// Calls a function with the frame in its second argument.
    Funclet(u32),
    /// Destroys the object at an offset of the frame.
    Destroy {
        /// The destructor.
        destructor: u32,
        /// Offset of the object.
        object: u32,
    },
    /// Destroys the object that a word at an offset of the frame points to.
    DestroyPointed {
        /// The destructor.
        destructor: u32,
        /// Offset of the word.
        pointer: u32,
    },
}

/// A `try` block and how many `catch` blocks it has.
#[derive(Clone, Copy, Debug)]
pub struct Try {
    /// First state of the block.
    pub low: i32,
    /// Last state of the block.
    pub high: i32,
    /// Last state of its `catch` blocks, which start behind `high`.
    pub catch_high: i32,
    /// Number of `catch` blocks.
    pub count: u32,
    /// Where their description begins.
    pub handlers: Ptr<u8>,
}

/// A `catch` block.
#[derive(Clone, Copy, Debug, Default)]
pub struct Handler {
    /// `HT_*` bits.
    pub adjectives: u32,
    /// Type descriptor relative to the image; 0 for `catch (...)`.
    pub kind: u32,
    /// Offset in the frame where the object goes; 0 for none.
    pub object: i32,
    /// The block's function.
    pub address: u32,
    /// Offset in the block's own frame where it keeps the function's frame.
    pub parent: u32,
    /// Where the function continues, by what the block's function returns; none if it returns the address.
    pub continuations: [u64; 2],
    /// How many of these there are.
    pub continuation_count: u32,
}

impl Function {
    /// Returns the state at an address of code.
    pub fn state_at(&self, pc: u64) -> i32 {
        let pc = pc.wrapping_sub(self.image) as u32;
        match self.tables {
            Tables::Version3(tables) => tables.state_at(self.image, pc),
            Tables::Version4(tables) => tables.state_at(self.image, self.begin, pc),
        }
    }

    /// Returns the state around a state and what leaving it does.
    pub fn leave(&self, state: i32) -> (i32, Action) {
        match self.tables {
            Tables::Version3(tables) => tables.leave(self.image, state),
            Tables::Version4(tables) => tables.leave(self.image, state),
        }
    }

    /// Returns the `try` block with a number; inner ones come first.
    pub fn try_block(&self, index: u32) -> Option<Try> {
        match self.tables {
            Tables::Version3(tables) => tables.try_block(self.image, index),
            Tables::Version4(tables) => tables.try_block(self.image, index),
        }
    }

    /// Iterates over the `try` blocks, inner ones first.
    pub fn try_blocks(&self) -> impl Iterator<Item = Try> {
        let function = *self;
        (0..).map_while(move |index| function.try_block(index))
    }

    /// Returns the `catch` block of a `try` block with a number.
    pub fn handler(&self, block: &Try, index: u32) -> Option<Handler> {
        if index >= block.count {
            return None;
        }
        match self.tables {
            Tables::Version3(tables) => tables.handler(block, index),
            Tables::Version4(tables) => Some(tables.handler(self.image, self.begin, block, index)),
        }
    }

    /// Returns the frame of the function that a frame belongs to: another one if it is that of a `catch` block.
    pub fn own_frame(&self, frame: u64, state: i32) -> u64 {
        let offset = match self.tables {
            Tables::Version4(tables) => tables.parent_offset(),
            Tables::Version3(_) => self
                .try_blocks()
                .filter(|block| block.is_catching(state))
                .flat_map(|block| {
                    (0..block.count).filter_map(move |index| self.handler(&block, index))
                })
                .find(|handler| handler.address == self.begin)
                .map(|handler| handler.parent),
        };
        offset.map_or(frame, |offset| {
            Ptr::<u64>::new(frame + u64::from(offset)).read()
        })
    }

    /// Returns the last state that leaving one of this frame keeps: a `catch` block ends where its states end.
    pub fn floor(&self, state: i32) -> i32 {
        self.try_blocks()
            .find(|block| block.is_catching(state))
            .map_or(EMPTY, |block| block.high)
    }

    /// Returns whether no exception may leave the function.
    pub fn is_noexcept(&self) -> bool {
        match self.tables {
            Tables::Version3(tables) => tables.is_noexcept(),
            Tables::Version4(tables) => tables.is_noexcept(),
        }
    }

    /// Returns whether the function knows of C++ exceptions alone (`/EHs`).
    pub fn is_synchronous(&self) -> bool {
        match self.tables {
            Tables::Version3(tables) => tables.is_synchronous(),
            Tables::Version4(tables) => tables.is_synchronous(),
        }
    }
}

impl Handler {
    /// Returns whether the block takes exceptions of other languages and faults: a `catch (...)` without the mark that it
    /// is for those of C++ only (`HT_IsStdDotDot`).
    pub fn takes_faults(&self) -> bool {
        const STANDARD: u32 = 0x40;
        self.kind == 0 && self.adjectives & STANDARD == 0
    }
}

impl Try {
    /// Returns whether the block covers a state.
    pub fn covers(&self, state: i32) -> bool {
        (self.low..=self.high).contains(&state)
    }

    /// Returns whether a state is that of one of its `catch` blocks.
    pub fn is_catching(&self, state: i32) -> bool {
        state > self.high && state <= self.catch_high
    }
}
