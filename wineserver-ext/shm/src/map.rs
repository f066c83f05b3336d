//! Ready map: a set of indices that one side fills and the other empties, without locks.
//!
//! The root word holds indices 0–55 directly; its upper 8 bits say which of 8 middle words is not empty, each bit of a
//! middle word says which of its 64 leaf words is not empty. So a map with few members is one word on one cache line,
//! and one with 32,824 costs three loads.
//!
//! A map is an index: what it points at (a slot's state, a lane's map) is the truth. Two rules keep it complete, all
//! accesses being sequentially consistent:
//!
//! * who makes a thing ready does so *before* [`ReadyMap::set`];
//! * who clears a member looks at the thing *after* [`ReadyMap::clear`], and sets it again if it is ready.
//!
//! One of the two sees the other, whichever order the accesses fall in. Summaries follow the same rules, one level up.

use crate::mem::{AtomicU64, Mapping, Ordering::SeqCst, Window};

/// Indices held by the root word itself.
pub const DIRECT: u32 = 56;
/// Number of indices a map can hold.
pub const CAPACITY: u32 = DIRECT + 8 * 64 * 64;
/// Bytes of the middle and leaf words.
pub const TREE_LEN: usize = (8 + 512) * 8;

/// Where the words of one map lie in a mapping.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Offset of the root word.
    pub root: usize,
    /// Offset of 8 middle words followed by 512 leaf words.
    pub tree: usize,
}

/// A ready map in shared memory.
#[derive(Clone, Copy, Debug)]
pub struct ReadyMap<'a> {
    root: Window<'a, 8>,
    /// Offset of the tree.
    tree: usize,
}

/// Place of an index outside the root word.
struct Place {
    root_bit: u64,
    middle: usize,
    middle_bit: u64,
    leaf: usize,
    leaf_bit: u64,
}

impl Place {
    fn of(index: u32, tree: usize) -> Place {
        let rest = index - DIRECT;
        let (group, word, bit) = (rest / 4096, rest / 64 % 64, rest % 64);
        Place {
            root_bit: 1 << (DIRECT + group),
            middle: tree + group as usize * 8,
            middle_bit: 1 << word,
            leaf: tree + 64 + (group * 64 + word) as usize * 8,
            leaf_bit: 1 << bit,
        }
    }
}

impl<'a> ReadyMap<'a> {
    /// Returns the map at `at`.
    #[must_use]
    #[inline]
    pub fn new(mem: &'a Mapping, at: Layout) -> ReadyMap<'a> {
        ReadyMap {
            root: mem.window(at.root),
            tree: at.tree,
        }
    }

    /// Returns a word of the tree.
    #[inline(always)]
    fn word(&self, offset: usize) -> &'a AtomicU64 {
        self.root.mapping().w64(offset)
    }

    /// Adds `index`.
    #[inline(always)]
    pub fn set(&self, index: u32) {
        assert!(index < CAPACITY, "index outside of a ready map");
        if index < DIRECT {
            raise(self.root.w64::<0>(), 1 << index);
            return;
        }
        let place = Place::of(index, self.tree);
        raise(self.word(place.leaf), place.leaf_bit);
        raise(self.word(place.middle), place.middle_bit);
        raise(self.root.w64::<0>(), place.root_bit);
    }

    /// Removes `index`. The caller then looks at what it stood for.
    ///
    /// Returns whether another member was out of sight for a moment, so that the caller rings: a receiver that looked in that
    /// moment may have gone to sleep.
    #[inline(always)]
    pub fn clear(&self, index: u32) -> bool {
        assert!(index < CAPACITY, "index outside of a ready map");
        if index < DIRECT {
            self.root.w64::<0>().fetch_and(!(1 << index), SeqCst);
            return false;
        }
        let place = Place::of(index, self.tree);
        let left = self.word(place.leaf).fetch_and(!place.leaf_bit, SeqCst) & !place.leaf_bit;
        left == 0 && self.lower(&place)
    }

    /// Returns whether the map has no member.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.root.w64::<0>().load(SeqCst) == 0
    }

    /// Returns the root word: enough to see how crowded a map of few members is.
    #[must_use]
    #[inline]
    pub fn root(&self) -> u64 {
        self.root.w64::<0>().load(SeqCst)
    }

    /// Returns the members the root word itself holds that are not in `known`, as bits, and whether the tree has any.
    #[must_use]
    #[inline]
    pub fn direct(&self, known: &Known) -> (u64, bool) {
        let root = self.root();
        (root & (u64::MAX >> 8) & !known.direct, root >> DIRECT != 0)
    }

    /// Asks for the cache line of the root word.
    #[inline]
    pub(crate) fn prefetch(&self) {
        self.root.prefetch::<0>();
    }

    /// Calls `visit` with every member that is not in `known`, and clears summary bits of words that are empty. Returns
    /// whether a member was out of sight for a moment, as [`ReadyMap::clear`].
    #[inline]
    pub fn scan(&self, known: &Known, mut visit: impl FnMut(u32)) -> bool {
        let (direct, has_tree) = self.direct(known);
        for_each_bit(direct, &mut visit);
        has_tree && self.scan_tree(known, &mut visit)
    }

    /// As [`ReadyMap::scan`], of the members in the tree.
    #[cold]
    pub fn scan_tree(&self, known: &Known, visit: &mut impl FnMut(u32)) -> bool {
        let mut hidden = false;
        for_each_bit(self.root() >> DIRECT, &mut |group: u32| {
            let first = DIRECT + group * 4096;
            let middle = self.word(self.tree + group as usize * 8).load(SeqCst);
            if middle == 0 {
                hidden |= self.lower_root(&Place::of(first, self.tree));
            }
            for_each_bit(middle, &mut |word: u32| {
                let place = Place::of(first + word * 64, self.tree);
                let leaf = self.word(place.leaf).load(SeqCst);
                if leaf == 0 {
                    hidden |= self.lower(&place);
                }
                let at = (group * 64 + word) as usize;
                let seen = known.leaves.as_ref().map_or(0, |leaves| leaves[at]);
                for_each_bit(leaf & !seen, &mut |bit: u32| visit(first + word * 64 + bit));
            });
        });
        hidden
    }

    /// Clears the summaries of a leaf that was seen empty. Who finds the word below not empty after all puts back every bit
    /// above it: another thread may have cleared the upper one meanwhile.
    fn lower(&self, place: &Place) -> bool {
        let left = self.word(place.middle).fetch_and(!place.middle_bit, SeqCst);
        if self.word(place.leaf).load(SeqCst) != 0 {
            raise(self.word(place.middle), place.middle_bit);
            raise(self.root.w64::<0>(), place.root_bit);
            return true;
        }
        left & !place.middle_bit == 0 && self.lower_root(place)
    }

    fn lower_root(&self, place: &Place) -> bool {
        self.root.w64::<0>().fetch_and(!place.root_bit, SeqCst);
        if self.word(place.middle).load(SeqCst) == 0 {
            return false;
        }
        raise(self.root.w64::<0>(), place.root_bit);
        true
    }
}

#[inline]
fn raise(word: &AtomicU64, bit: u64) {
    if word.load(SeqCst) & bit == 0 {
        word.fetch_or(bit, SeqCst);
    }
}

/// A private set of indices: members of a map that were seen already.
#[derive(Debug, Default)]
pub struct Known {
    direct: u64,
    leaves: Option<Box<[u64; 512]>>,
}

impl Known {
    /// Adds `index`.
    #[inline]
    pub fn insert(&mut self, index: u32) {
        if index < DIRECT {
            self.direct |= 1 << index;
        } else {
            let rest = index - DIRECT;
            self.leaves.get_or_insert_with(|| Box::new([0; 512]))[(rest / 64) as usize] |=
                1 << (rest % 64);
        }
    }

    /// Removes `index`.
    #[inline]
    pub fn remove(&mut self, index: u32) {
        if index < DIRECT {
            self.direct &= !(1 << index);
        } else if let Some(leaves) = &mut self.leaves {
            let rest = index - DIRECT;
            leaves[(rest / 64) as usize] &= !(1 << (rest % 64));
        }
    }
}

#[inline]
pub(crate) fn for_each_bit(mut bits: u64, visit: &mut impl FnMut(u32)) {
    while bits != 0 {
        visit(bits.trailing_zeros());
        bits &= bits - 1;
    }
}

#[cfg(all(test, not(feature = "model")))]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_map_holds_what_was_set_and_not_cleared(steps in prop::collection::vec((0..CAPACITY, any::<bool>()), 1..200)) {
            let mem = Mapping::create("map", 8192).expect("a memfd");
            let map = ReadyMap::new(&mem, Layout { root: 0, tree: 64 });
            let mut model = BTreeSet::new();
            for (index, add) in steps {
                if add {
                    map.set(index);
                    model.insert(index);
                } else {
                    map.clear(index);
                    model.remove(&index);
                }
                let mut seen = BTreeSet::new();
                map.scan(&Known::default(), |index| { seen.insert(index); });
                prop_assert_eq!(&seen, &model);
                prop_assert_eq!(map.is_empty(), model.is_empty());
            }
        }
    }
}
