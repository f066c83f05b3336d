//! Guest memory of a thread, made on first use: what a thread leaves another one gets, since the low heap takes nothing back.

use std::cell::Cell;

use parking_lot::Mutex;

use super::low;

/// Blocks of one size whose threads have ended.
#[derive(Debug)]
pub struct Unused(Mutex<Vec<u64>>);

impl Unused {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Unused(Mutex::new(Vec::new()))
    }
}

/// The block of a thread; a thread-local of one type of block.
#[derive(Debug)]
pub struct ThreadBlock {
    /// 0 before the first use.
    at: Cell<u64>,
    unused: &'static Unused,
}

impl ThreadBlock {
    /// A block that comes from `unused` and goes there.
    #[must_use]
    pub const fn of(unused: &'static Unused) -> Self {
        ThreadBlock {
            at: Cell::new(0),
            unused,
        }
    }

    /// Returns the address of the block; `fill` writes it before its thread sees it, whatever another one left in it.
    pub fn get(&self, size: usize, align: usize, fill: impl FnOnce(u64)) -> u64 {
        if self.at.get() == 0 {
            let reused = self.unused.0.lock().pop();
            let at = reused.unwrap_or_else(|| low::allocate(size, align));
            fill(at);
            self.at.set(at);
        }
        self.at.get()
    }
}

impl Drop for ThreadBlock {
    fn drop(&mut self) {
        if self.at.get() != 0 {
            self.unused.0.lock().push(self.at.get());
        }
    }
}
