//! Finding room for allocations and keeping the map of them.

use std::collections::BTreeMap;

use ntlpc_abi::NtStatus;

use super::allocation::{Allocation, Run};
use super::sys::{self, Backing};
use super::*;

impl Space {
    /// Finds a free range and maps it.
    pub(super) fn place(
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
    pub(super) fn place_anywhere(
        len: usize,
        host: i32,
        backing: Backing<'_>,
    ) -> Result<usize, NtStatus> {
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

    pub(super) fn commit(
        &mut self,
        base: usize,
        end: usize,
        protect: u32,
        host: i32,
    ) -> Result<(), NtStatus> {
        let (start, allocation) = self.covering(base, end)?;
        if allocation.kind != Kind::Private {
            return Err(NtStatus::ALREADY_COMMITTED);
        }
        sys::protect(base, end - base, host).map_err(|_| NtStatus::COMMITMENT_LIMIT)?;
        self.set_runs(start, base, end, protect);
        Ok(())
    }

    pub(super) fn insert(
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

    pub(super) fn find(&self, address: usize) -> Option<(usize, &Allocation)> {
        let (&start, allocation) = self.allocations.range(..=address).next_back()?;
        (address < allocation.end).then_some((start, allocation))
    }

    /// Returns the allocation that contains all of `from..to`.
    pub(super) fn covering(
        &self,
        from: usize,
        to: usize,
    ) -> Result<(usize, &Allocation), NtStatus> {
        match self.find(from) {
            Some((start, allocation)) if to <= allocation.end => Ok((start, allocation)),
            _ => Err(NtStatus::CONFLICTING_ADDRESSES),
        }
    }

    pub(super) fn set_runs(&mut self, start: usize, from: usize, to: usize, protect: u32) {
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
