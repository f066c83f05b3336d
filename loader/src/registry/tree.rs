//! Keys and values as a tree.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ob::name::upcase;

/// A value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Name as it was written; empty for the default value.
    pub name: Vec<u16>,
    /// `REG_*`.
    pub kind: u32,
    /// Bytes as they were written.
    pub data: Vec<u8>,
}

/// A key with all below it.
#[derive(Debug)]
pub struct Node {
    /// Tells this key from another that takes its place later; of this process.
    pub id: u64,
    /// Name as it was written.
    pub name: Vec<u16>,
    /// Class.
    pub class: Vec<u16>,
    /// System time of the last change of the key itself, its values or the list of its subkeys.
    pub last_write_100ns: i64,
    /// Whether it goes with the end of the session.
    pub is_volatile: bool,
    /// Values, oldest first.
    pub values: Vec<Value>,
    /// Subkeys by upper-case name, the order in which NT enumerates them.
    pub children: BTreeMap<Vec<u16>, Node>,
}

/// Names from the root; no name is empty.
pub type Path = Vec<Vec<u16>>;

/// Splits a path at its backslashes.
#[must_use]
pub fn split(path: &[u16]) -> Path {
    path.split(|&unit| unit == u16::from(b'\\'))
        .filter(|name| !name.is_empty())
        .map(<[u16]>::to_vec)
        .collect()
}

/// Returns a name in the form in which names are compared.
#[must_use]
pub fn folded(name: &[u16]) -> Vec<u16> {
    name.iter().map(|&unit| upcase(unit)).collect()
}

impl Node {
    /// Makes a key without values and subkeys.
    #[must_use]
    pub fn new(name: &[u16], class: &[u16], is_volatile: bool, time_100ns: i64) -> Node {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        Node {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            name: name.to_vec(),
            class: class.to_vec(),
            last_write_100ns: time_100ns,
            is_volatile,
            values: Vec::new(),
            children: BTreeMap::new(),
        }
    }

    /// Returns the key at a path below this one.
    #[must_use]
    pub fn find(&self, path: &[Vec<u16>]) -> Option<&Node> {
        path.iter()
            .try_fold(self, |node, name| node.children.get(&folded(name)))
    }

    /// Returns the key at a path below this one, to change it.
    pub fn find_mut(&mut self, path: &[Vec<u16>]) -> Option<&mut Node> {
        path.iter()
            .try_fold(self, |node, name| node.children.get_mut(&folded(name)))
    }

    /// Returns a value by name.
    #[must_use]
    pub fn value(&self, name: &[u16]) -> Option<&Value> {
        self.values.get(self.position(name)?)
    }

    /// Returns the place of a value in the list.
    #[must_use]
    pub fn position(&self, name: &[u16]) -> Option<usize> {
        let wanted = folded(name);
        self.values
            .iter()
            .position(|value| folded(&value.name) == wanted)
    }

    /// Returns the bytes of the longest name among the values.
    #[must_use]
    pub fn longest_value_name_bytes(&self) -> usize {
        let lengths = self.values.iter().map(|value| value.name.len() * 2);
        lengths.max().unwrap_or(0)
    }

    /// Returns the bytes of the longest data among the values.
    #[must_use]
    pub fn longest_data_bytes(&self) -> usize {
        let lengths = self.values.iter().map(|value| value.data.len());
        lengths.max().unwrap_or(0)
    }

    /// Returns the bytes of the longest name among the subkeys.
    #[must_use]
    pub fn longest_child_name_bytes(&self) -> usize {
        let lengths = self.children.values().map(|child| child.name.len() * 2);
        lengths.max().unwrap_or(0)
    }

    /// Returns the bytes of the longest class among the subkeys.
    #[must_use]
    pub fn longest_child_class_bytes(&self) -> usize {
        let lengths = self.children.values().map(|child| child.class.len() * 2);
        lengths.max().unwrap_or(0)
    }
}
