//! Addresses for remote views: the range a process set aside, given out in NT's allocation units.

use std::collections::BTreeMap;

/// Granularity of NT view addresses (`SYSTEM_INFO.dwAllocationGranularity`).
const GRANULARITY: u64 = 0x1_0000;

/// The address range one process set aside for views its peers' connections bring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arena {
    base: u64,
    end: u64,
    /// End of each range in use, by its base.
    used: BTreeMap<u64, u64>,
}

impl Arena {
    /// Describes the range `base..base + size`, cut to whole units; an impossible range is empty.
    #[must_use]
    pub fn new(base: u64, size: u64) -> Arena {
        let end = base.checked_add(size).unwrap_or(base) / GRANULARITY * GRANULARITY;
        let base = base.checked_next_multiple_of(GRANULARITY).unwrap_or(end);
        Arena {
            base,
            end: end.max(base),
            used: BTreeMap::new(),
        }
    }

    /// Returns whether the host gave no range: it maps remote views where it likes.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.base == self.end
    }

    /// Takes the lowest free range of at least `size` bytes and returns its base.
    pub fn allocate(&mut self, size: u64) -> Option<u64> {
        let size = size.max(1).checked_next_multiple_of(GRANULARITY)?;
        let mut at = self.base;
        for (&base, &end) in &self.used {
            if base - at >= size {
                break;
            }
            at = end;
        }
        let end = at.checked_add(size).filter(|&end| end <= self.end)?;
        self.used.insert(at, end);
        Some(at)
    }

    /// Gives the range at `base` back; no effect if it is not in use.
    pub fn free(&mut self, base: u64) {
        self.used.remove(&base);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_whole_units_and_lowest_first() {
        let mut arena = Arena::new(0x1_0000_1000, 0x5_0000);

        assert_eq!(arena.allocate(1), Some(0x1_0001_0000));
        assert_eq!(arena.allocate(0x1_0001), Some(0x1_0002_0000));
        arena.free(0x1_0001_0000);
        assert_eq!(arena.allocate(0x2_0000), None);
        assert_eq!(arena.allocate(0x1_0000), Some(0x1_0001_0000));
    }

    #[test]
    fn absurd_ranges_are_empty() {
        for arena in [
            Arena::new(u64::MAX, u64::MAX),
            Arena::new(1, 2),
            Arena::new(u64::MAX - 10, 5),
            Arena::default(),
        ] {
            assert!(arena.is_absent(), "{arena:?}");
            assert_eq!(arena.clone().allocate(1), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn ranges_never_overlap(steps in proptest::collection::vec((0u64..0x4_0000, proptest::bool::ANY), 1..60)) {
            let mut arena = Arena::new(0x10_0000, 0x20_0000);
            let mut held: Vec<(u64, u64)> = Vec::new();
            for (size, is_free) in steps {
                if is_free && !held.is_empty() {
                    arena.free(held.remove(0).0);
                } else if let Some(base) = arena.allocate(size) {
                    let end = base + size.max(1);
                    proptest::prop_assert!(base >= 0x10_0000 && end <= 0x30_0000);
                    proptest::prop_assert!(held.iter().all(|&(b, e)| end <= b || e <= base));
                    held.push((base, end));
                }
            }
        }
    }
}
