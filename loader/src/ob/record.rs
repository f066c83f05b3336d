//! The state of a synchronization object: one small record, private to this process or alone in a page of its own
//! that other processes map too.
//!
//! A record that has to be shared is moved: its word becomes [`MOVED`], and everybody who meets that value looks up
//! the new place. One page per shared object keeps a hostile peer from touching objects that were not shared with it.
//! Everything read from a shared page is a plain number that is checked where it is used.
#![allow(unsafe_code, reason = "maps the pages of shared records")]

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

use ntlpc_abi::NtStatus;
use parking_lot::RwLock;

/// Set in a word when somebody sleeps on it; the next change takes it off and wakes them.
pub const SLEEPERS: u32 = 0x8000_0000;
/// The word of a record that has moved to a shared page.
pub const MOVED: u32 = 0x7FFF_FFFF;

/// State words of one object. What `word` means is the object type's business, apart from [`SLEEPERS`] and [`MOVED`].
#[derive(Debug, Default)]
#[repr(C)]
pub struct Record {
    /// State: count of a semaphore, 1 for a set event, owner of a mutant.
    pub word: AtomicU32,
    /// Type-specific constant: kind of event, limit of a semaphore.
    pub constant: AtomicU32,
    /// Link of the owner's robust list (mutants); written by the owner, read by the kernel.
    pub robust_next: AtomicU64,
    /// Due time of a timer on the monotonic clock, 0 when not set.
    pub due_ns: AtomicU64,
    /// Period of a timer in nanoseconds, 0 for one shot.
    pub period_ns: AtomicU64,
    /// Type-specific value: exit code of a process.
    pub value: AtomicU32,
    /// Type-specific value: number of changes so far.
    pub changes: AtomicU32,
    /// Type-specific value: exit time.
    pub time_100ns: AtomicI64,
}

/// Distance from [`Record::robust_next`] to [`Record::word`], for the kernel's robust list.
pub const ROBUST_OFFSET: i64 = -8;
const _: () =
    assert!(std::mem::offset_of!(Record, robust_next) == 8 && size_of::<Record>() <= PAGE_SIZE);

const PAGE_SIZE: usize = 4096;

/// A page shared with other processes that holds one record.
pub struct Page {
    fd: OwnedFd,
    record: NonNull<Record>,
}

// SAFETY: the record consists of atomics, and the mapping lives as long as the page.
unsafe impl Send for Page {}
// SAFETY: as for Send.
unsafe impl Sync for Page {}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("fd", &self.fd)
            .finish_non_exhaustive()
    }
}

impl Page {
    /// Makes a fresh zeroed page, sealed against changes of its size.
    pub fn new() -> Result<Self, NtStatus> {
        use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
        let fd = memfd_create(
            "ntlpc-object",
            MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
        )
        .map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
        ftruncate(&fd, PAGE_SIZE as u64).map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
        fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)
            .map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
        Page::map(fd)
    }

    /// Maps a page received from another process.
    ///
    /// Returns `INVALID_PARAMETER` unless it is a memfd sealed against shrinking, so that touching it cannot fault.
    pub fn map(fd: OwnedFd) -> Result<Self, NtStatus> {
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        let seals = rustix::fs::fcntl_get_seals(&fd).map_err(|_| NtStatus::INVALID_PARAMETER)?;
        let size = rustix::fs::fstat(&fd)
            .map_err(|_| NtStatus::INVALID_PARAMETER)?
            .st_size;
        if !seals.contains(rustix::fs::SealFlags::SHRINK) || size < PAGE_SIZE as i64 {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        // SAFETY: a fresh mapping of a whole page, at an address the kernel chooses.
        let base = unsafe {
            mmap(
                std::ptr::null_mut(),
                PAGE_SIZE,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                &fd,
                0,
            )
        }
        .map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
        let record = NonNull::new(base.cast::<Record>()).ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
        Ok(Page { fd, record })
    }

    fn record(&self) -> &Record {
        // SAFETY: page-aligned, mapped for the lifetime of self, cannot shrink (sealed), and all-atomic.
        unsafe { self.record.as_ref() }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: made by mmap with this size; no reference outlives self.
        let _ = unsafe { rustix::mm::munmap(self.record.as_ptr().cast(), PAGE_SIZE) };
    }
}

/// Where a record lies now.
#[derive(Debug)]
pub enum Place {
    /// In this process only.
    Private(Record),
    /// In a page shared with others.
    Shared(Page),
}

impl Place {
    /// Returns the record.
    #[must_use]
    pub fn record(&self) -> &Record {
        match self {
            Place::Private(record) => record,
            Place::Shared(page) => page.record(),
        }
    }

    /// Returns whether other processes may have it mapped.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self, Place::Shared(_))
    }

    /// Returns the descriptor of the page.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Place::Private(_) => None,
            Place::Shared(page) => Some(page.fd.as_fd()),
        }
    }

    /// Changes the word with `change` until it sticks and wakes the sleepers. `None` from `change` leaves it alone.
    ///
    /// Returns the old value without [`SLEEPERS`], or `Err` when the record has moved.
    pub fn update(&self, change: impl Fn(u32) -> Option<u32>) -> Result<Option<u32>, Moved> {
        let word = &self.record().word;
        let mut old = word.load(Ordering::Acquire);
        loop {
            if old == MOVED {
                return Err(Moved);
            }
            let Some(new) = change(old & !SLEEPERS) else {
                return Ok(None);
            };
            // Release pairs with the Acquire load of whoever takes the new state.
            match word.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(seen) => old = seen,
            }
        }
        if old & SLEEPERS != 0 {
            super::futex::wake_all(word, self.is_shared());
        }
        Ok(Some(old & !SLEEPERS))
    }

    /// Changes the word like [`Place::update`], but leaves sleepers asleep: the change gives them nothing.
    pub fn take(&self, change: impl Fn(u32) -> Option<u32>) -> Result<Option<u32>, Moved> {
        let word = &self.record().word;
        let mut old = word.load(Ordering::Acquire);
        loop {
            if old == MOVED {
                return Err(Moved);
            }
            let Some(new) = change(old & !SLEEPERS) else {
                return Ok(None);
            };
            match word.compare_exchange_weak(
                old,
                new | old & SLEEPERS,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Ok(Some(old & !SLEEPERS)),
                Err(seen) => old = seen,
            }
        }
    }
}

/// The record moved to a shared page while it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved;

/// A record that can be shared later.
#[derive(Debug)]
pub struct Cell {
    place: RwLock<Arc<Place>>,
}

impl Cell {
    /// Makes a private record in the given state.
    #[must_use]
    pub fn new(word: u32, constant: u32) -> Self {
        let record = Record {
            word: AtomicU32::new(word),
            constant: AtomicU32::new(constant),
            ..Record::default()
        };
        Cell {
            place: RwLock::new(Arc::new(Place::Private(record))),
        }
    }

    /// Takes over the page of an object made elsewhere.
    pub fn from_page(fd: OwnedFd) -> Result<Self, NtStatus> {
        Ok(Cell {
            place: RwLock::new(Arc::new(Place::Shared(Page::map(fd)?))),
        })
    }

    /// Returns where the record lies now.
    #[must_use]
    pub fn place(&self) -> Arc<Place> {
        self.place.read().clone()
    }

    /// Runs `act` on the record, again if it moves meanwhile.
    pub fn with<T>(&self, act: impl Fn(&Place) -> Result<T, Moved>) -> T {
        loop {
            // A mover holds the write lock until the new place is there, so this waits at most for a copy.
            let place = self.place();
            if let Ok(value) = act(&place) {
                return value;
            }
        }
    }

    /// Moves the record to a page of its own, unless it has one, and returns a descriptor of it.
    pub fn share(&self) -> Result<OwnedFd, NtStatus> {
        let duplicate = |fd: BorrowedFd<'_>| {
            fd.try_clone_to_owned()
                .map_err(|_| NtStatus::TOO_MANY_OPENED_FILES)
        };
        let mut place = self.place.write();
        if let Some(fd) = place.fd() {
            return duplicate(fd);
        }
        let page = Page::new()?;
        let (old, new) = (place.record(), page.record());
        for (from, to) in [(&old.due_ns, &new.due_ns), (&old.period_ns, &new.period_ns)] {
            to.store(from.load(Ordering::Acquire), Ordering::Relaxed);
        }
        for (from, to) in [
            (&old.constant, &new.constant),
            (&old.value, &new.value),
            (&old.changes, &new.changes),
        ] {
            to.store(from.load(Ordering::Acquire), Ordering::Relaxed);
        }
        let word = old.word.swap(MOVED, Ordering::AcqRel);
        new.word.store(word & !SLEEPERS, Ordering::Release);
        let fd = duplicate(page.fd.as_fd())?;
        let before = std::mem::replace(&mut *place, Arc::new(Place::Shared(page)));
        drop(place);
        if word & SLEEPERS != 0 {
            super::futex::wake_all(&before.record().word, false);
        }
        Ok(fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sharing_keeps_the_state_and_retires_the_private_record() {
        let cell = Cell::new(3, 7);
        let before = cell.place();
        let fd = cell.share().expect("share");
        assert_eq!(before.take(Some), Err(Moved));
        let other = Cell::from_page(fd).expect("map");
        assert_eq!(other.place().record().word.load(Ordering::Relaxed), 3);
        cell.with(|p| p.update(|w| Some(w + 1)));
        assert_eq!(other.place().record().word.load(Ordering::Relaxed), 4);
        assert_eq!(other.place().record().constant.load(Ordering::Relaxed), 7);
    }

    #[test]
    fn pages_that_can_shrink_are_refused() {
        let fd = rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::CLOEXEC).expect("memfd");
        rustix::fs::ftruncate(&fd, 4096).expect("size");
        assert_eq!(Page::map(fd).err(), Some(NtStatus::INVALID_PARAMETER));
    }
}
