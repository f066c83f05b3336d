//! Semaphores.

use super::*;

/// `SEMAPHORE_ALL_ACCESS` and the generic mapping of semaphores.
pub static SEMAPHORE_TYPE: ObjectType = ObjectType {
    name: "Semaphore",
    generic: [0x2_0001, 0x2_0002, 0x12_0000, 0x1F_0003],
};

/// A semaphore. Word: count. Constant: limit.
///
/// The largest count is one less than NT's, because that value marks a record that moved.
#[derive(Debug)]
pub struct Semaphore {
    header: Header,
    cell: Cell,
}

impl Semaphore {
    /// Makes a semaphore. Returns `INVALID_PARAMETER` unless `0 <= count <= limit` and `limit > 0`.
    pub fn new(count: i32, limit: i32) -> Result<Self, NtStatus> {
        if limit <= 0 || count < 0 || count > limit {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let limit = limit.unsigned_abs();
        let cell = Cell::new(count.unsigned_abs().min(MOVED - 1), limit);
        Ok(Semaphore {
            header: Header::default(),
            cell,
        })
    }

    /// Builds the semaphore another process packed.
    pub fn unpack(fd: OwnedFd) -> Result<Self, NtStatus> {
        Ok(Semaphore {
            header: Header::default(),
            cell: Cell::from_page(fd)?,
        })
    }

    /// Returns the limit.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.cell.place().record().constant.load(Ordering::Relaxed)
    }

    /// Returns the count.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.cell.with(value)
    }

    /// Adds to the count; returns the count before, or `SEMAPHORE_LIMIT_EXCEEDED`.
    pub fn release(&self, count: i32) -> Result<u32, NtStatus> {
        let Ok(count) = u32::try_from(count) else {
            return Err(NtStatus::INVALID_PARAMETER);
        };
        if count == 0 {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let limit = self.limit().min(MOVED - 1);
        let add = |word: u32| word.checked_add(count).filter(|&sum| sum <= limit);
        self.cell
            .with(|place| place.update(add))
            .ok_or(NtStatus::SEMAPHORE_LIMIT_EXCEEDED)
    }
}

impl Waitable for Semaphore {
    fn is_signaled(&self) -> bool {
        is_set(&self.cell)
    }

    fn take(&self) -> Option<Taken> {
        self.cell
            .with(|place| place.take(|word| word.checked_sub(1)))
            .map(|_| Taken::Signaled)
    }

    fn give_back(&self, _taken: Taken) {
        self.cell
            .with(|place| place.update(|word| Some(word.saturating_add(1).min(MOVED - 1))));
    }

    fn watch(&self) -> Option<Watch> {
        watch_zero(&self.cell)
    }
}

impl Object for Semaphore {
    fn object_type(&self) -> &'static ObjectType {
        &SEMAPHORE_TYPE
    }
    fn header(&self) -> &Header {
        &self.header
    }
    fn waitable(&self) -> Option<&dyn Waitable> {
        Some(self)
    }
    fn pack(&self) -> Result<Packed, NtStatus> {
        pack_cell(&self.cell, PackedKind::Semaphore)
    }
}
