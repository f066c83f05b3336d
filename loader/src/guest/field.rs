//! Fields of blocks whose layout differs by more than the width of its words.

use super::memory::Ptr;
use crate::width;

/// An offset on i386 and on x64.
#[derive(Clone, Copy, Debug)]
pub struct Field(pub usize, pub usize);

impl Field {
    /// Returns the offset for the width of this process.
    #[must_use]
    pub fn offset(self) -> usize {
        width().pick(self.0, self.1)
    }

    /// Returns its address in the TEB at `teb`.
    #[must_use]
    pub fn at<T>(self, teb: u64) -> Ptr<T> {
        Ptr::new(teb + self.offset() as u64)
    }
}
