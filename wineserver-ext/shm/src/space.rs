//! Where a mapping lies in the address space of this process.
//!
//! A segment has 65 MB, nearly all of it slots that are never touched. In a 64-bit process it is mapped as a whole; in a
//! 32-bit one, which would be full after some fifteen connections, in pieces when they are first reached. A piece overlaps the
//! next one by the size of the largest slot, so that what begins in it is contiguous there.
#![allow(
    unsafe_code,
    reason = "unmaps what it mapped; the addresses it gives are used by mem.rs"
)]

use std::io;
use std::os::fd::OwnedFd;
#[cfg(any(test, target_pointer_width = "32"))]
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::sys;

#[cfg(target_pointer_width = "32")]
pub(crate) use Pieces as Space;
#[cfg(target_pointer_width = "64")]
pub(crate) use Whole as Space;

/// Most bytes that are looked at by one address.
pub(crate) const CONTIGUOUS: usize = 0x1_1000;

/// A file mapped as a whole.
#[cfg(target_pointer_width = "64")]
#[derive(Debug)]
pub(crate) struct Whole {
    base: *mut u8,
    len: usize,
}

#[cfg(target_pointer_width = "64")]
impl Whole {
    pub(crate) fn new(fd: &OwnedFd, len: usize, writable: bool) -> io::Result<Whole> {
        let base = sys::map(fd, 0, len, writable)?;
        Ok(Whole { base, len })
    }

    /// Returns the address of a byte. At least [`CONTIGUOUS`] bytes of the file lie there in a row, or all that follow.
    #[inline]
    pub(crate) fn address(&self, _fd: &OwnedFd, offset: usize) -> *mut u8 {
        self.base.wrapping_add(offset)
    }

    /// Returns whether a range has addresses; [`Whole::address`] of a byte in it then succeeds.
    #[inline]
    pub(crate) fn reach(&self, _fd: &OwnedFd, _offset: usize, _size: usize) -> bool {
        true
    }
}

#[cfg(target_pointer_width = "64")]
impl Drop for Whole {
    fn drop(&mut self) {
        // SAFETY: the range came from `sys::map`, and every borrow of it ends with the mapping this belongs to.
        unsafe { sys::unmap(self.base, self.len) };
    }
}

/// A file mapped in pieces.
#[cfg(any(test, target_pointer_width = "32"))]
#[derive(Debug)]
pub(crate) struct Pieces {
    /// Null for a piece that was not reached yet.
    pieces: Box<[AtomicPtr<u8>]>,
    len: usize,
    writable: bool,
}

/// Distance of the starts of two pieces.
#[cfg(any(test, target_pointer_width = "32"))]
const PIECE: usize = 0x4_0000;

#[cfg(any(test, target_pointer_width = "32"))]
impl Pieces {
    pub(crate) fn new(fd: &OwnedFd, len: usize, writable: bool) -> io::Result<Pieces> {
        let pieces = (0..len.div_ceil(PIECE)).map(|_| AtomicPtr::default());
        let space = Pieces {
            pieces: pieces.collect(),
            len,
            writable,
        };
        // What every user needs fails here and not later.
        space.piece(fd, 0)?;
        Ok(space)
    }

    /// As that of the other.
    ///
    /// # Panics
    /// If the byte was not reached before and there is no room for it.
    #[inline]
    pub(crate) fn address(&self, fd: &OwnedFd, offset: usize) -> *mut u8 {
        let piece = self.pieces[offset / PIECE].load(Ordering::Acquire);
        let piece = if piece.is_null() {
            self.piece(fd, offset / PIECE)
                .expect("the first piece is there, and slots are reached before they are used")
        } else {
            piece
        };
        piece.wrapping_add(offset % PIECE)
    }

    /// As that of the other.
    #[inline]
    pub(crate) fn reach(&self, fd: &OwnedFd, offset: usize, size: usize) -> bool {
        (offset / PIECE..=(offset + size - 1) / PIECE).all(|at| {
            !self.pieces[at].load(Ordering::Acquire).is_null() || self.piece(fd, at).is_ok()
        })
    }

    #[cold]
    fn piece(&self, fd: &OwnedFd, at: usize) -> io::Result<*mut u8> {
        let mapped = sys::map(fd, at * PIECE, self.size(at), self.writable)?;
        let slot = &self.pieces[at];
        match slot.compare_exchange(
            std::ptr::null_mut(),
            mapped,
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            Ok(_) => Ok(mapped),
            Err(theirs) => {
                // SAFETY: mapped above, and nobody was told.
                unsafe { sys::unmap(mapped, self.size(at)) };
                Ok(theirs)
            }
        }
    }

    fn size(&self, at: usize) -> usize {
        (PIECE + CONTIGUOUS).min(self.len - at * PIECE)
    }
}

#[cfg(any(test, target_pointer_width = "32"))]
impl Drop for Pieces {
    fn drop(&mut self) {
        for (at, piece) in self.pieces.iter().enumerate() {
            let piece = piece.load(Ordering::Acquire);
            if !piece.is_null() {
                // SAFETY: the range came from `sys::map`, and every borrow of it ends with the mapping this belongs to.
                unsafe { sys::unmap(piece, self.size(at)) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_show_one_memory() {
        let len = 2 * PIECE + 0x3000;
        let fd = sys::create_memfd("pieces", len).expect("a memfd");
        let pieces = Pieces::new(&fd, len, true).expect("room");
        let edge = PIECE - 8;
        assert!(pieces.reach(&fd, edge, 16) && pieces.reach(&fd, len - 1, 1));
        let (first, second) = (pieces.address(&fd, edge), pieces.address(&fd, PIECE));
        // SAFETY: both bytes were reached, and nobody else has the file.
        unsafe {
            first.add(8).write(7);
            assert_eq!(second.read(), 7);
            pieces.address(&fd, len - 1).write(9);
        }
        assert_eq!(pieces.size(2), 0x3000);
    }
}
