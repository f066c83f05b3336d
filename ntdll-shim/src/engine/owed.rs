//! Delivered requests that are not answered, by message id.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use ntlpc_abi::ClientId;

use super::queue::Outstanding;

/// Spreads message ids, which count up, over a table.
#[derive(Debug, Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    fn write_u32(&mut self, id: u32) {
        /// 2^64 over the golden ratio.
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(GOLDEN);
    }
}

/// What is owed to the other ends of a queue's connections.
#[derive(Debug, Default)]
pub struct Owed {
    by_id: HashMap<u32, (ClientId, Outstanding), BuildHasherDefault<IdHasher>>,
    /// Further requests of an id: of nested callbacks, or of damaged peers.
    further: Vec<(u32, ClientId, Outstanding)>,
}

impl Owed {
    /// Returns how many requests there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len() + self.further.len()
    }

    /// Adds the request `id` of a thread, or replaces it.
    #[inline(always)]
    pub fn insert(&mut self, id: u32, client: ClientId, outstanding: Outstanding) {
        match self.by_id.entry(id) {
            Entry::Vacant(place) => {
                place.insert((client, outstanding));
            }
            Entry::Occupied(mut first) if first.get().0 == client => {
                first.get_mut().1 = outstanding;
            }
            Entry::Occupied(_) => {
                self.further
                    .retain(|(other, sender, _)| (*other, *sender) != (id, client));
                self.further.push((id, client, outstanding));
            }
        }
    }

    /// Returns the request `id` of a thread.
    #[must_use]
    #[inline]
    pub fn get(&self, id: u32, client: ClientId) -> Option<&Outstanding> {
        self.of(id)
            .find(|(sender, _)| *sender == client)
            .map(|(_, outstanding)| outstanding)
    }

    /// Returns the requests of an id with their senders.
    #[inline]
    pub fn of(&self, id: u32) -> impl Iterator<Item = (ClientId, &Outstanding)> + Clone {
        let first = self.by_id.get(&id);
        let further = self.further.iter().filter(move |(other, ..)| *other == id);
        first
            .map(|(client, outstanding)| (*client, outstanding))
            .into_iter()
            .chain(further.map(|(_, client, outstanding)| (*client, outstanding)))
    }

    /// Takes the request `id` of a thread away and returns it.
    #[inline(always)]
    pub fn remove(&mut self, id: u32, client: ClientId) -> Option<Outstanding> {
        match self.by_id.entry(id) {
            Entry::Occupied(first) if first.get().0 == client => {
                let (_, outstanding) = first.remove();
                if !self.further.is_empty() {
                    self.promote(id);
                }
                Some(outstanding)
            }
            _ => {
                let is_meant = |(other, sender, _): &(u32, ClientId, Outstanding)| {
                    (*other, *sender) == (id, client)
                };
                let at = self.further.iter().position(is_meant)?;
                Some(self.further.swap_remove(at).2)
            }
        }
    }

    /// Takes the request `id` away and returns it with its sender, if there is but one and it is as wanted.
    #[inline]
    pub fn remove_only(
        &mut self,
        id: u32,
        is_wanted: impl FnOnce(&Outstanding) -> bool,
    ) -> Option<(ClientId, Outstanding)> {
        if !self.further.is_empty() {
            return None;
        }
        match self.by_id.entry(id) {
            Entry::Occupied(only) if is_wanted(&only.get().1) => Some(only.remove()),
            _ => None,
        }
    }

    /// Makes one of the further requests of an id the first.
    #[cold]
    fn promote(&mut self, id: u32) {
        if let Some(at) = self.further.iter().position(|(other, ..)| *other == id) {
            let (_, client, outstanding) = self.further.swap_remove(at);
            self.by_id.insert(id, (client, outstanding));
        }
    }

    /// Keeps the requests `is_kept` says.
    pub fn retain(&mut self, mut is_kept: impl FnMut(u32, &Outstanding) -> bool) {
        self.by_id
            .retain(|&id, (_, outstanding)| is_kept(id, outstanding));
        let further = std::mem::take(&mut self.further);
        for (id, client, outstanding) in further {
            if is_kept(id, &outstanding) {
                self.insert(id, client, outstanding);
            }
        }
    }
}
