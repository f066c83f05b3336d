//! Views of sections, images, and mappings made elsewhere.

use std::os::fd::BorrowedFd;

use ntlpc_abi::NtStatus;

use super::sys::{self, Backing};
use super::*;

impl Space {
    /// Maps `len` bytes of a section as a view. `copy` gives the view its own copies of written pages.
    pub fn map_view(
        &mut self,
        place: Placement,
        fd: BorrowedFd<'_>,
        offset: u64,
        len: usize,
        protect: u32,
    ) -> Result<usize, NtStatus> {
        let host = prot(protect)?;
        let copy = matches!(protect & 0xFF, page::WRITECOPY | page::EXECUTE_WRITECOPY);
        let backing = if copy {
            Backing::Private(fd, offset)
        } else {
            Backing::Shared(fd, offset)
        };
        let len = round_up(len, PAGE)?;
        let base = self.place(place, len, host, backing)?;
        self.insert(base, len, Kind::Mapped, protect, protect, true);
        Ok(base)
    }

    /// Keeps `len` bytes free for views at addresses the server chooses; returns where, the same each time.
    pub fn reserve_arena(&mut self, len: usize, below: usize) -> Result<usize, NtStatus> {
        if let Some((base, _)) = self.arena {
            return Ok(base);
        }
        let place = Placement { at: None, below };
        let base = self.place(place, len, libc::PROT_NONE, Backing::Anonymous)?;
        self.arena = Some((base, base + len));
        Ok(base)
    }

    pub(super) fn is_in_arena(&self, base: usize, end: usize) -> bool {
        self.arena
            .is_some_and(|(from, to)| base >= from && end <= to)
    }

    /// `NtUnmapViewOfSection`: removes the view that contains `address`. Returns its base and length.
    pub fn unmap_view(&mut self, address: usize) -> Result<(usize, usize), NtStatus> {
        let (start, allocation) = self.find(address).ok_or(NtStatus::NOT_MAPPED_VIEW)?;
        if !allocation.is_view || allocation.is_foreign {
            return Err(NtStatus::NOT_MAPPED_VIEW);
        }
        let len = allocation.end - start;
        self.allocations.remove(&start);
        if self.is_in_arena(start, start + len) {
            sys::map(Some(start), len, libc::PROT_NONE, Backing::Anonymous, true)
                .map_err(|_| NtStatus::NO_MEMORY)?;
        } else {
            sys::unmap(start, len);
        }
        Ok((start, len))
    }

    /// Maps `len` zero pages for an image below `limit` and returns the base; the caller registers it.
    pub fn reserve_image(
        &mut self,
        len: usize,
        host: i32,
        limit: usize,
    ) -> Result<usize, NtStatus> {
        let place = Placement {
            at: None,
            below: limit,
        };
        self.place(place, round_up(len, PAGE)?, host, Backing::Anonymous)
    }

    /// Records a mapping made elsewhere (image, stack, TEB). `protect` 0 records it as reserved.
    pub fn register(
        &mut self,
        base: usize,
        len: usize,
        kind: Kind,
        allocation_protect: u32,
        protect: u32,
    ) {
        self.insert(base, len, kind, allocation_protect, protect, false);
        if let Some(allocation) = self.allocations.get_mut(&base) {
            allocation.is_foreign = true;
        }
    }

    /// Records the protection of part of a registered mapping, without telling Linux.
    pub fn note_protection(&mut self, base: usize, len: usize, protect: u32) {
        if let Some((start, _)) = self.find(base) {
            let end = base.saturating_add(len).next_multiple_of(PAGE);
            self.set_runs(start, round_down(base, PAGE), end, protect);
        }
    }

    /// Forgets a mapping recorded with [`Space::register`]. The owner unmaps it.
    pub fn unregister(&mut self, base: usize) {
        self.allocations.remove(&base);
    }
}
