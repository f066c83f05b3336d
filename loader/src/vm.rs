//! The guest's address space: reservations, commitment, protection, views — `NtAllocateVirtualMemory` and friends.
//!
//! Linux knows mappings; NT knows *allocations* (64 KiB granular) made of pages that are reserved or committed, each
//! with its own protection. The [`Space`] keeps NT's picture and tells Linux only the protections, so that
//! `VirtualQuery` answers truthfully for images, stacks and views too: whoever maps memory the guest may ask about
//! [registers](Space::register) it here.
//!
//! Source: Microsoft Learn `VirtualAlloc`, `VirtualFree`, `VirtualProtect`, `VirtualQuery`, `MapViewOfFile`.

pub mod sys;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ntlpc_abi::NtStatus;
use parking_lot::Mutex;
use sys::Backing;

/// Size of a page.
pub const PAGE: usize = 0x1000;
/// Alignment of an allocation's base.
pub const GRANULARITY: usize = 0x1_0000;
/// First address a guest may own.
pub const LOWEST: usize = GRANULARITY;
/// First address above the user range of an x86-64 guest.
pub const HIGHEST_X64: usize = 0x7FFF_FFFF_0000;

/// `PAGE_*` protections. Source: Microsoft Learn "Memory Protection Constants".
pub mod page {
    /// `PAGE_NOACCESS`.
    pub const NOACCESS: u32 = 0x01;
    /// `PAGE_READONLY`.
    pub const READONLY: u32 = 0x02;
    /// `PAGE_READWRITE`.
    pub const READWRITE: u32 = 0x04;
    /// `PAGE_WRITECOPY`.
    pub const WRITECOPY: u32 = 0x08;
    /// `PAGE_EXECUTE`.
    pub const EXECUTE: u32 = 0x10;
    /// `PAGE_EXECUTE_READ`.
    pub const EXECUTE_READ: u32 = 0x20;
    /// `PAGE_EXECUTE_READWRITE`.
    pub const EXECUTE_READWRITE: u32 = 0x40;
    /// `PAGE_EXECUTE_WRITECOPY`.
    pub const EXECUTE_WRITECOPY: u32 = 0x80;
    /// `PAGE_GUARD`: the first access raises `STATUS_GUARD_PAGE_VIOLATION` and removes the mark.
    pub const GUARD: u32 = 0x100;
    /// `PAGE_NOCACHE`.
    pub const NOCACHE: u32 = 0x200;
    /// `PAGE_WRITECOMBINE`.
    pub const WRITECOMBINE: u32 = 0x400;
}

/// `MEM_*` allocation and state bits. Source: Microsoft Learn `VirtualAlloc`, `MEMORY_BASIC_INFORMATION`.
pub mod mem {
    /// `MEM_COMMIT`.
    pub const COMMIT: u32 = 0x1000;
    /// `MEM_RESERVE`.
    pub const RESERVE: u32 = 0x2000;
    /// `MEM_DECOMMIT`.
    pub const DECOMMIT: u32 = 0x4000;
    /// `MEM_RELEASE`.
    pub const RELEASE: u32 = 0x8000;
    /// `MEM_FREE`, a state.
    pub const FREE: u32 = 0x1_0000;
    /// `MEM_PRIVATE`, a type.
    pub const PRIVATE: u32 = 0x2_0000;
    /// `MEM_MAPPED`, a type.
    pub const MAPPED: u32 = 0x4_0000;
    /// `MEM_RESET`.
    pub const RESET: u32 = 0x8_0000;
    /// `MEM_TOP_DOWN`.
    pub const TOP_DOWN: u32 = 0x10_0000;
    /// `MEM_WRITE_WATCH`.
    pub const WRITE_WATCH: u32 = 0x20_0000;
    /// `MEM_IMAGE`, a type.
    pub const IMAGE: u32 = 0x100_0000;
}

/// What an allocation is, as `VirtualQuery` reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `MEM_PRIVATE`: heaps, stacks, `VirtualAlloc`.
    Private,
    /// `MEM_MAPPED`: a view of a section.
    Mapped,
    /// `MEM_IMAGE`: a PE image.
    Image,
}

impl Kind {
    const fn bits(self) -> u32 {
        match self {
            Kind::Private => mem::PRIVATE,
            Kind::Mapped => mem::MAPPED,
            Kind::Image => mem::IMAGE,
        }
    }
}

/// `MEMORY_BASIC_INFORMATION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BasicInformation {
    /// First page of the run.
    pub base: usize,
    /// Base of the allocation, 0 when free.
    pub allocation_base: usize,
    /// Protection given at allocation, 0 when free.
    pub allocation_protect: u32,
    /// Bytes from `base` with the same state and protection.
    pub size: usize,
    /// `MEM_COMMIT`, `MEM_RESERVE` or `MEM_FREE`.
    pub state: u32,
    /// Current protection, 0 when reserved.
    pub protect: u32,
    /// `MEM_PRIVATE`, `MEM_MAPPED`, `MEM_IMAGE`; 0 when free.
    pub kind: u32,
}

/// What the fault handler has to do about a fault in guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An access violation.
    Violation,
    /// A guard page: raise `STATUS_GUARD_PAGE_VIOLATION` (or grow the stack). The mark is gone already.
    Guard,
}

/// Where a new allocation may lie.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// Exact base, rounded down to the granularity for a reservation.
    pub at: Option<usize>,
    /// First address above the allowed range (4 GiB or 2 GiB for i386 guests, else [`HIGHEST_X64`]).
    pub below: usize,
}

/// A run of pages of one allocation with the same state; `protect` 0 means reserved.
#[derive(Clone, Copy, Debug)]
struct Run {
    end: usize,
    protect: u32,
}

#[derive(Debug)]
struct Allocation {
    end: usize,
    kind: Kind,
    protect: u32,
    /// Backing of a view, so that protections turn on and off without losing it.
    is_view: bool,
    /// Set when the loader owns the mapping: `VirtualFree` and `UnmapViewOfFile` must not remove it.
    is_foreign: bool,
    runs: BTreeMap<usize, Run>,
}

/// The region map of the process.
#[derive(Debug, Default)]
pub struct Space {
    allocations: BTreeMap<usize, Allocation>,
    /// Range kept free for views whose addresses the server chooses; held by an inaccessible mapping.
    arena: Option<(usize, usize)>,
}

/// The one address space of the guest. Lock order: last; nothing is locked and no guest memory is touched under it.
pub static SPACE: Mutex<Space> = Mutex::new(Space {
    allocations: BTreeMap::new(),
    arena: None,
});

/// Checks a guest's protection value and gives Linux's.
///
/// Returns `INVALID_PAGE_PROTECTION` for a value that is not one base protection plus known modifiers.
pub fn prot(protect: u32) -> Result<i32, NtStatus> {
    if protect & !(0xFF | page::GUARD | page::NOCACHE | page::WRITECOMBINE) != 0 {
        return Err(NtStatus::INVALID_PAGE_PROTECTION);
    }
    let base = match protect & 0xFF {
        page::NOACCESS if protect & page::GUARD != 0 => {
            return Err(NtStatus::INVALID_PAGE_PROTECTION);
        }
        page::NOACCESS => libc::PROT_NONE,
        page::READONLY => libc::PROT_READ,
        page::READWRITE | page::WRITECOPY => libc::PROT_READ | libc::PROT_WRITE,
        page::EXECUTE | page::EXECUTE_READ => libc::PROT_READ | libc::PROT_EXEC,
        page::EXECUTE_READWRITE | page::EXECUTE_WRITECOPY => {
            libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC
        }
        _ => return Err(NtStatus::INVALID_PAGE_PROTECTION),
    };
    Ok(if protect & page::GUARD != 0 {
        libc::PROT_NONE
    } else {
        base
    })
}

const fn round_down(value: usize, to: usize) -> usize {
    value & !(to - 1)
}

fn round_up(value: usize, to: usize) -> Result<usize, NtStatus> {
    value
        .checked_add(to - 1)
        .map(|v| round_down(v, to))
        .ok_or(NtStatus::INVALID_PARAMETER)
}

impl Space {
    /// `NtAllocateVirtualMemory`: reserves, commits, or both. Returns the base and size actually covered.
    pub fn allocate(
        &mut self,
        place: Placement,
        size: usize,
        kind: u32,
        protect: u32,
    ) -> Result<(usize, usize), NtStatus> {
        if size == 0 {
            return Err(NtStatus::INVALID_PARAMETER_4);
        }
        let known = mem::COMMIT | mem::RESERVE | mem::RESET | mem::TOP_DOWN | mem::WRITE_WATCH;
        if kind & !known != 0 || kind & (mem::COMMIT | mem::RESERVE | mem::RESET) == 0 {
            return Err(NtStatus::INVALID_PARAMETER_5);
        }
        let host = prot(protect)?;
        if protect & 0xFF == page::WRITECOPY || protect & 0xFF == page::EXECUTE_WRITECOPY {
            return Err(NtStatus::INVALID_PAGE_PROTECTION);
        }
        match place.at {
            Some(at) if kind & mem::RESERVE == 0 => {
                let base = round_down(at, PAGE);
                let end = round_up(
                    at.checked_add(size).ok_or(NtStatus::INVALID_PARAMETER_4)?,
                    PAGE,
                )?;
                if kind & mem::COMMIT != 0 {
                    self.commit(base, end, protect, host)?;
                } else {
                    self.covering(base, end)?;
                }
                Ok((base, end - base))
            }
            _ => {
                let (base, len) = match place.at {
                    Some(at) => {
                        let base = round_down(at, GRANULARITY);
                        (
                            Some(base),
                            round_up(
                                at.checked_add(size).ok_or(NtStatus::INVALID_PARAMETER_4)?,
                                PAGE,
                            )? - base,
                        )
                    }
                    None => (None, round_up(size, PAGE)?),
                };
                let state = if kind & mem::COMMIT != 0 { protect } else { 0 };
                let host = if state != 0 { host } else { libc::PROT_NONE };
                let base = self.place(
                    Placement { at: base, ..place },
                    len,
                    host,
                    Backing::Anonymous,
                )?;
                self.insert(base, len, Kind::Private, protect, state, false);
                Ok((base, len))
            }
        }
    }

    /// `NtFreeVirtualMemory`: decommits pages or releases a whole allocation. Returns the range.
    pub fn free(
        &mut self,
        base: usize,
        size: usize,
        kind: u32,
    ) -> Result<(usize, usize), NtStatus> {
        let (start, allocation) = self.find(base).ok_or(NtStatus::MEMORY_NOT_ALLOCATED)?;
        if allocation.kind != Kind::Private || allocation.is_foreign {
            return Err(NtStatus::UNABLE_TO_DELETE_SECTION);
        }
        let allocation_end = allocation.end;
        match kind {
            mem::RELEASE => {
                if size != 0 && (round_down(base, PAGE) != start || base + size < allocation_end) {
                    return Err(NtStatus::UNABLE_TO_FREE_VM);
                }
                if round_down(base, PAGE) != start {
                    return Err(NtStatus::FREE_VM_NOT_AT_BASE);
                }
                self.allocations.remove(&start);
                sys::unmap(start, allocation_end - start);
                Ok((start, allocation_end - start))
            }
            mem::DECOMMIT => {
                let (from, to) = if size == 0 {
                    if base != start {
                        return Err(NtStatus::FREE_VM_NOT_AT_BASE);
                    }
                    (start, allocation_end)
                } else {
                    (
                        round_down(base, PAGE),
                        round_up(
                            base.checked_add(size).ok_or(NtStatus::INVALID_PARAMETER)?,
                            PAGE,
                        )?,
                    )
                };
                if to > allocation_end {
                    return Err(NtStatus::UNABLE_TO_FREE_VM);
                }
                sys::map(
                    Some(from),
                    to - from,
                    libc::PROT_NONE,
                    Backing::Anonymous,
                    true,
                )
                .map_err(|_| NtStatus::NO_MEMORY)?;
                self.set_runs(start, from, to, 0);
                Ok((from, to - from))
            }
            _ => Err(NtStatus::INVALID_PARAMETER_4),
        }
    }

    /// `NtProtectVirtualMemory`. Returns the range and the protection its first page had.
    pub fn protect(
        &mut self,
        base: usize,
        size: usize,
        protect: u32,
    ) -> Result<(usize, usize, u32), NtStatus> {
        if size == 0 {
            return Err(NtStatus::INVALID_PARAMETER_3);
        }
        let mut wanted = protect;
        let mut host = prot(protect)?;
        let from = round_down(base, PAGE);
        let to = round_up(
            base.checked_add(size)
                .ok_or(NtStatus::INVALID_PARAMETER_2)?,
            PAGE,
        )?;
        let (start, old) = {
            let (start, allocation) = self.covering(from, to)?;
            if allocation.kind == Kind::Image {
                // Images are private copies here: a writable page is reported as copied on write by Windows.
                wanted = match protect & 0xFF {
                    page::READWRITE => protect & !0xFF | page::WRITECOPY,
                    page::EXECUTE_READWRITE => protect & !0xFF | page::EXECUTE_WRITECOPY,
                    _ => protect,
                };
                host = prot(wanted)?;
            }
            if allocation.runs_in(from, to).any(|run| run.protect == 0) {
                return Err(NtStatus::NOT_COMMITTED);
            }
            (start, allocation.run_at(from).protect)
        };
        sys::protect(from, to - from, host).map_err(|_| NtStatus::SECTION_PROTECTION)?;
        self.set_runs(start, from, to, wanted);
        Ok((from, to - from, old))
    }

    /// `NtQueryVirtualMemory(MemoryBasicInformation)`.
    #[must_use]
    pub fn query(&self, address: usize, highest: usize) -> Option<BasicInformation> {
        if address >= highest {
            return None;
        }
        let at = round_down(address, PAGE);
        if let Some((start, allocation)) = self.find(at) {
            let run = allocation.run_at(at);
            // Windows merges neighbouring pages with equal state, so the runs are merged when they are set.
            return Some(BasicInformation {
                base: at,
                allocation_base: start,
                allocation_protect: allocation.protect,
                size: run.end - at,
                state: if run.protect == 0 {
                    mem::RESERVE
                } else {
                    mem::COMMIT
                },
                protect: run.protect,
                kind: allocation.kind.bits(),
            });
        }
        let end = self
            .allocations
            .range(at..)
            .next()
            .map_or(highest, |(&next, _)| next);
        Some(BasicInformation {
            base: at,
            allocation_base: 0,
            allocation_protect: 0,
            size: end - at,
            state: mem::FREE,
            protect: page::NOACCESS,
            kind: 0,
        })
    }

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

    fn is_in_arena(&self, base: usize, end: usize) -> bool {
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

    /// Takes note of a fault at `address`: removes the mark of a guard page.
    pub fn fault(&mut self, address: usize) -> Fault {
        let at = round_down(address, PAGE);
        let Some((start, allocation)) = self.find(at) else {
            return Fault::Violation;
        };
        let protect = allocation.run_at(at).protect;
        if protect & page::GUARD == 0 {
            return Fault::Violation;
        }
        let plain = protect & !page::GUARD;
        match prot(plain).map(|host| sys::protect(at, PAGE, host)) {
            Ok(Ok(())) => {
                self.set_runs(start, at, at + PAGE, plain);
                Fault::Guard
            }
            _ => Fault::Violation,
        }
    }

    /// Finds a free range and maps it.
    fn place(
        &self,
        place: Placement,
        len: usize,
        host: i32,
        backing: Backing<'_>,
    ) -> Result<usize, NtStatus> {
        if let Some(at) = place.at {
            let end = at.checked_add(len).ok_or(NtStatus::INVALID_PARAMETER)?;
            if at < LOWEST || end > place.below {
                return Err(NtStatus::INVALID_PARAMETER);
            }
            let is_arena = self.is_in_arena(at, end);
            if is_arena
                && self
                    .allocations
                    .range(..end)
                    .next_back()
                    .is_some_and(|(_, other)| other.end > at)
            {
                return Err(NtStatus::CONFLICTING_ADDRESSES);
            }
            return sys::map(Some(at), len, host, backing, is_arena).map_err(|error| {
                match error.raw_os_error() {
                    Some(libc::EEXIST | libc::EINVAL) => NtStatus::CONFLICTING_ADDRESSES,
                    Some(libc::EACCES | libc::EPERM) => NtStatus::ACCESS_DENIED,
                    _ => NtStatus::NO_MEMORY,
                }
            });
        }
        if place.below >= HIGHEST_X64 {
            return Self::place_anywhere(len, host, backing);
        }
        // Lowest gap between known allocations; foreign mappings of the host are met as EEXIST and stepped over.
        let mut at = LOWEST;
        while let Some(end) = at.checked_add(len).filter(|&end| end <= place.below) {
            let conflict = self
                .allocations
                .range(..end)
                .next_back()
                .filter(|(_, other)| other.end > at);
            if let Some((_, other)) = conflict {
                at = round_up(other.end, GRANULARITY)?;
                continue;
            }
            match sys::map(Some(at), len, host, backing, false) {
                Ok(base) => return Ok(base),
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => at += GRANULARITY,
                Err(error) if error.raw_os_error() == Some(libc::EPERM) && at < 0x10_0000 => {
                    at += GRANULARITY
                }
                Err(error) => return Err(place_error(&error)),
            }
        }
        Err(NtStatus::NO_MEMORY)
    }

    /// Lets Linux choose, then trims to the granularity.
    fn place_anywhere(len: usize, host: i32, backing: Backing<'_>) -> Result<usize, NtStatus> {
        let wide = len.checked_add(GRANULARITY).ok_or(NtStatus::NO_MEMORY)?;
        let found = sys::map(None, wide, libc::PROT_NONE, Backing::Anonymous, false)
            .map_err(|_| NtStatus::NO_MEMORY)?;
        let base = round_up(found, GRANULARITY)?;
        if base > found {
            sys::unmap(found, base - found);
        }
        if found + wide > base + len {
            sys::unmap(base + len, found + wide - base - len);
        }
        match sys::map(Some(base), len, host, backing, true) {
            Ok(base) => Ok(base),
            Err(error) => {
                sys::unmap(base, len);
                Err(place_error(&error))
            }
        }
    }

    fn commit(&mut self, base: usize, end: usize, protect: u32, host: i32) -> Result<(), NtStatus> {
        let (start, allocation) = self.covering(base, end)?;
        if allocation.kind != Kind::Private {
            return Err(NtStatus::ALREADY_COMMITTED);
        }
        sys::protect(base, end - base, host).map_err(|_| NtStatus::COMMITMENT_LIMIT)?;
        self.set_runs(start, base, end, protect);
        Ok(())
    }

    fn insert(
        &mut self,
        base: usize,
        len: usize,
        kind: Kind,
        protect: u32,
        state: u32,
        is_view: bool,
    ) {
        let end = base + len;
        let runs = BTreeMap::from([(
            base,
            Run {
                end,
                protect: state,
            },
        )]);
        self.allocations.insert(
            base,
            Allocation {
                end,
                kind,
                protect,
                is_view,
                is_foreign: false,
                runs,
            },
        );
    }

    fn find(&self, address: usize) -> Option<(usize, &Allocation)> {
        let (&start, allocation) = self.allocations.range(..=address).next_back()?;
        (address < allocation.end).then_some((start, allocation))
    }

    /// Returns the allocation that contains all of `from..to`.
    fn covering(&self, from: usize, to: usize) -> Result<(usize, &Allocation), NtStatus> {
        match self.find(from) {
            Some((start, allocation)) if to <= allocation.end => Ok((start, allocation)),
            _ => Err(NtStatus::CONFLICTING_ADDRESSES),
        }
    }

    fn set_runs(&mut self, start: usize, from: usize, to: usize, protect: u32) {
        if let Some(allocation) = self.allocations.get_mut(&start) {
            allocation.set(from, to.min(allocation.end), protect);
        }
    }
}

fn place_error(error: &std::io::Error) -> NtStatus {
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => NtStatus::SECTION_PROTECTION,
        _ => NtStatus::NO_MEMORY,
    }
}

impl Allocation {
    fn run_at(&self, at: usize) -> Run {
        // Runs tile the allocation without gaps.
        self.runs.range(..=at).next_back().map_or(
            Run {
                end: self.end,
                protect: 0,
            },
            |(_, run)| *run,
        )
    }

    fn runs_in(&self, from: usize, to: usize) -> impl Iterator<Item = Run> {
        let first = self.run_at(from);
        std::iter::once(first).chain(self.runs.range(from + 1..to).map(|(_, run)| *run))
    }

    /// Gives `from..to` one state and merges it with equal neighbours.
    fn set(&mut self, mut from: usize, mut to: usize, protect: u32) {
        let (&head, run) = match self.runs.range(..=from).next_back() {
            Some(found) => found,
            None => return,
        };
        let head_run = *run;
        let tail_run = self.run_at(to - 1);
        let inside: Vec<usize> = self.runs.range(from..to).map(|(&at, _)| at).collect();
        for at in inside {
            self.runs.remove(&at);
        }
        if head < from {
            if head_run.protect == protect {
                from = head;
            } else {
                self.runs.insert(
                    head,
                    Run {
                        end: from,
                        protect: head_run.protect,
                    },
                );
            }
        }
        if tail_run.end > to {
            if tail_run.protect == protect {
                to = tail_run.end;
            } else {
                self.runs.insert(to, tail_run);
            }
        }
        if let Some(next) = self
            .runs
            .get(&to)
            .copied()
            .filter(|next| next.protect == protect)
        {
            self.runs.remove(&to);
            to = next.end;
        }
        if let Some((&before, run)) = self.runs.range(..from).next_back()
            && run.end == from
            && run.protect == protect
        {
            from = before;
        }
        self.runs.insert(from, Run { end: to, protect });
    }
}

/// Makes a memfd of `size` bytes for a section that no file backs.
pub fn anonymous_section(name: &str, size: u64) -> Result<OwnedFd, NtStatus> {
    let fd = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)
        .map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
    rustix::fs::ftruncate(fd.as_fd(), size).map_err(|_| NtStatus::SECTION_TOO_BIG)?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANYWHERE: Placement = Placement {
        at: None,
        below: HIGHEST_X64,
    };

    #[test]
    fn commit_inside_a_reservation_splits_the_runs() {
        let mut space = Space::default();
        let (base, len) = space
            .allocate(ANYWHERE, 0x10_0000, mem::RESERVE, page::READWRITE)
            .expect("reserve");
        assert_eq!((base % GRANULARITY, len), (0, 0x10_0000));
        let at = Placement {
            at: Some(base + 0x2000),
            ..ANYWHERE
        };
        space
            .allocate(at, 0x1001, mem::COMMIT, page::READONLY)
            .expect("commit");
        let info = space.query(base + 0x2000, HIGHEST_X64).expect("query");
        assert_eq!(
            (info.size, info.state, info.protect),
            (0x2000, mem::COMMIT, page::READONLY)
        );
        let before = space.query(base, HIGHEST_X64).expect("query");
        assert_eq!(
            (before.size, before.state, before.allocation_base),
            (0x2000, mem::RESERVE, base)
        );
        space.free(base, 0, mem::RELEASE).expect("release");
        assert_eq!(
            space.query(base, HIGHEST_X64).map(|i| i.state),
            Some(mem::FREE)
        );
    }

    #[test]
    fn protect_merges_equal_neighbours_and_returns_the_old_value() {
        let mut space = Space::default();
        let (base, _) = space
            .allocate(
                ANYWHERE,
                0x4000,
                mem::RESERVE | mem::COMMIT,
                page::READWRITE,
            )
            .expect("allocate");
        assert_eq!(
            space.protect(base + 0x1000, 1, page::READONLY),
            Ok((base + 0x1000, PAGE, page::READWRITE))
        );
        assert_eq!(space.query(base, HIGHEST_X64).map(|i| i.size), Some(0x1000));
        assert_eq!(
            space.protect(base + 0x1000, 1, page::READWRITE),
            Ok((base + 0x1000, PAGE, page::READONLY))
        );
        assert_eq!(space.query(base, HIGHEST_X64).map(|i| i.size), Some(0x4000));
        assert_eq!(
            space.protect(base, 0x5000, page::READONLY).err(),
            Some(NtStatus::CONFLICTING_ADDRESSES)
        );
        space.free(base, 0, mem::RELEASE).expect("release");
    }

    #[test]
    fn guard_mark_is_one_shot() {
        let mut space = Space::default();
        let (base, _) = space
            .allocate(
                ANYWHERE,
                PAGE,
                mem::RESERVE | mem::COMMIT,
                page::READWRITE | page::GUARD,
            )
            .expect("allocate");
        assert_eq!(space.fault(base + 8), Fault::Guard);
        assert_eq!(space.fault(base + 8), Fault::Violation);
        assert_eq!(
            space.query(base, HIGHEST_X64).map(|i| i.protect),
            Some(page::READWRITE)
        );
        space.free(base, 0, mem::RELEASE).expect("release");
    }

    #[test]
    fn free_wants_the_allocation_base() {
        let mut space = Space::default();
        let (base, _) = space
            .allocate(ANYWHERE, 0x2000, mem::RESERVE, page::NOACCESS)
            .expect("allocate");
        assert_eq!(
            space.free(base + 0x1000, 0, mem::RELEASE).err(),
            Some(NtStatus::FREE_VM_NOT_AT_BASE)
        );
        space.free(base, 0, mem::RELEASE).expect("release");
        assert_eq!(
            space.free(base, 0, mem::RELEASE).err(),
            Some(NtStatus::MEMORY_NOT_ALLOCATED)
        );
    }

    #[test]
    fn low_placement_stays_below_the_limit() {
        let mut space = Space::default();
        let low = Placement {
            at: None,
            below: 0x8000_0000,
        };
        let (base, len) = space
            .allocate(low, 0x2_0000, mem::RESERVE | mem::COMMIT, page::READWRITE)
            .expect("allocate");
        assert!(base + len <= 0x8000_0000);
        space.free(base, 0, mem::RELEASE).expect("release");
    }
}
