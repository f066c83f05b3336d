//! Delivered requests that are not answered, by message id.

use std::collections::HashMap;
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
    #[inline]
    pub fn insert(&mut self, id: u32, client: ClientId, outstanding: Outstanding) {
        match self.by_id.get_mut(&id) {
            None => drop(self.by_id.insert(id, (client, outstanding))),
            Some((known, first)) if *known == client => *first = outstanding,
            Some(_) => {
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

    /// Takes the request `id` of a thread away.
    #[inline]
    pub fn remove(&mut self, id: u32, client: ClientId) {
        let is_first = self
            .by_id
            .get(&id)
            .is_some_and(|(known, _)| *known == client);
        if is_first {
            self.by_id.remove(&id);
            if let Some(at) = self.further.iter().position(|(other, ..)| *other == id) {
                let (_, client, outstanding) = self.further.swap_remove(at);
                self.by_id.insert(id, (client, outstanding));
            }
        } else {
            self.further
                .retain(|(other, sender, _)| (*other, *sender) != (id, client));
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
