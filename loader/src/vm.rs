//! The guest's address space: reservations, commitment, protection, views — `NtAllocateVirtualMemory` and friends.
//!
//! Linux knows mappings; NT knows *allocations* (64 KiB granular) made of pages that are reserved or committed, each
//! with its own protection. The [`Space`] keeps NT's picture and tells Linux only the protections, so that
//! `VirtualQuery` answers truthfully for images, stacks and views too: whoever maps memory the guest may ask about
//! [registers](Space::register) it here.
//!
//! Source: Microsoft Learn `VirtualAlloc`, `VirtualFree`, `VirtualProtect`, `VirtualQuery`, `MapViewOfFile`.

mod allocation;
pub mod low;
mod placement;
pub mod sys;
#[cfg(test)]
mod tests;
pub mod thread_block;
mod views;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use allocation::Allocation;
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
    /// `PAGE_TARGETS_INVALID` and `PAGE_TARGETS_NO_UPDATE`, with an executable protection: which places control may go to by
    /// Control Flow Guard. Nothing enforces that here, and no query tells it.
    pub const TARGETS: u32 = 0x4000_0000;
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

/// Takes off what an executable protection says for Control Flow Guard.
fn without_targets(protect: u32) -> u32 {
    if protect & 0xF0 != 0 {
        protect & !page::TARGETS
    } else {
        protect
    }
}

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
        let protect = without_targets(protect);
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
        let protect = without_targets(protect);
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
}

/// Makes a memfd of `size` bytes for a section that no file backs.
pub fn anonymous_section(name: &str, size: u64) -> Result<OwnedFd, NtStatus> {
    let fd = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)
        .map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
    rustix::fs::ftruncate(fd.as_fd(), size).map_err(|_| NtStatus::SECTION_TOO_BIG)?;
    Ok(fd)
}
