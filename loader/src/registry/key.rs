//! Key objects: what handles of keys stand for, and what can be done with a key.

use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};

use super::change::{Change, Record};
use super::predefined;
use super::tree::{Node, Path, Value};
use super::{alter, look};
use crate::ob::object::{Header, Object, ObjectType};
use crate::ob::table::{TABLE, lookup};
use crate::ob::time;

/// `KEY_READ`, `KEY_WRITE`, `KEY_EXECUTE`, `KEY_ALL_ACCESS`.
pub static KEY_TYPE: ObjectType = ObjectType {
    name: "Key",
    generic: [0x2_0019, 0x2_0006, 0x2_0019, 0xF_003F],
};

/// Access rights of keys. Source: Microsoft Learn "Registry Key Security and Access Rights".
pub mod rights {
    /// `KEY_QUERY_VALUE`.
    pub const QUERY_VALUE: u32 = 1;
    /// `KEY_SET_VALUE`.
    pub const SET_VALUE: u32 = 2;
    /// `KEY_ENUMERATE_SUB_KEYS`.
    pub const ENUMERATE_SUB_KEYS: u32 = 8;
    /// `KEY_WOW64_64KEY` and `KEY_WOW64_32KEY`: there is one view for both, as for shared keys.
    pub const WOW64: u32 = 0x300;
}

/// Longest name of a key, in UTF-16 units (Microsoft Learn "Registry Element Size Limits").
const LONGEST_KEY_NAME: usize = 255;
/// Longest name of a value.
const LONGEST_VALUE_NAME: usize = 16383;
/// Levels below a predefined key.
const MOST_LEVELS: usize = 512;

/// An open key.
#[derive(Debug)]
pub struct Key {
    header: Header,
    path: Path,
    /// Which key the path named when it was opened.
    id: u64,
}

impl Object for Key {
    fn object_type(&self) -> &'static ObjectType {
        &KEY_TYPE
    }
    fn header(&self) -> &Header {
        &self.header
    }
    fn path(&self) -> Vec<u16> {
        predefined::to_native(&self.path)
    }
}

/// Returns the key of a handle, predefined ones included, if it grants `access`.
pub fn of_handle(handle: Handle, access: u32) -> Result<Arc<Key>, NtStatus> {
    match predefined::path_of(handle) {
        Some(path) => at(path),
        None => lookup::<Key>(handle, access),
    }
}

/// Returns the key at a path without a handle. Returns `OBJECT_NAME_NOT_FOUND` if it is not there.
pub fn at(path: Path) -> Result<Arc<Key>, NtStatus> {
    look(|root| opened(root, path)).map(Arc::new)
}

/// Opens the key at a path.
///
/// Returns `OBJECT_NAME_NOT_FOUND` if it is not there.
pub fn open(path: Path, access: u32, attributes: u32) -> Result<Handle, NtStatus> {
    let granted = KEY_TYPE.grant(access & !rights::WOW64)?;
    let key = look(|root| opened(root, path))?;
    TABLE.insert(Arc::new(key), granted, attributes)
}

/// Opens the key at a path, or makes it.
///
/// Returns the handle and whether the key is new. `CHILD_MUST_BE_VOLATILE` for a lasting key below a volatile one,
/// `OBJECT_NAME_NOT_FOUND` if more than the last key is missing and `makes_parents` is false.
pub fn create(
    path: Path,
    class: Vec<u16>,
    is_volatile: bool,
    makes_parents: bool,
    access: u32,
    attributes: u32,
) -> Result<(Handle, bool), NtStatus> {
    let granted = KEY_TYPE.grant(access & !rights::WOW64)?;
    if path.iter().any(|name| name.len() > LONGEST_KEY_NAME) || path.len() > MOST_LEVELS {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let is_new = alter(|root| {
        if root.find(&path).is_some() {
            return Ok((Vec::new(), false));
        }
        let mut depth = path.len().saturating_sub(1);
        while root.find(&path[..depth]).is_none() {
            depth -= 1;
        }
        if depth == 0 || depth + 1 < path.len() && !makes_parents {
            return Err(NtStatus::OBJECT_NAME_NOT_FOUND);
        }
        if !is_volatile
            && root
                .find(&path[..depth])
                .is_some_and(|node| node.is_volatile)
        {
            return Err(NtStatus::CHILD_MUST_BE_VOLATILE);
        }
        let records = (depth + 1..=path.len()).map(|depth| {
            let class = if depth == path.len() {
                class.clone()
            } else {
                Vec::new()
            };
            record(
                path[..depth].to_vec(),
                Change::CreateKey { class, is_volatile },
            )
        });
        Ok((records.collect(), true))
    })?;
    let key = look(|root| opened(root, path))?;
    Ok((TABLE.insert(Arc::new(key), granted, attributes)?, is_new))
}

fn opened(root: &Node, path: Path) -> Result<Key, NtStatus> {
    let node = root.find(&path).ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
    let id = node.id;
    let header = Header::default();
    Ok(Key { header, path, id })
}

fn record(path: Path, change: Change) -> Record {
    let time_100ns = time::system_time();
    Record {
        path,
        time_100ns,
        change,
    }
}

impl Key {
    /// Returns the path of a subkey.
    #[must_use]
    pub fn below(&self, names: Path) -> Path {
        let mut path = self.path.clone();
        path.extend(names);
        path
    }

    fn node<'a>(&self, root: &'a Node) -> Result<&'a Node, NtStatus> {
        root.find(&self.path)
            .filter(|node| node.id == self.id)
            .ok_or(NtStatus::KEY_DELETED)
    }

    /// Looks at the key. No guest memory may be touched meanwhile.
    pub fn look<T>(&self, act: impl FnOnce(&Node) -> Result<T, NtStatus>) -> Result<T, NtStatus> {
        look(|root| act(self.node(root)?))
    }

    /// Writes a value.
    pub fn set_value(&self, value: Value) -> Result<(), NtStatus> {
        if value.name.len() > LONGEST_VALUE_NAME {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        alter(|root| {
            let node = self.node(root)?;
            // Nothing is written down for what is there already.
            let records = match node.value(&value.name) {
                Some(old) if old.kind == value.kind && old.data == value.data => Vec::new(),
                _ => vec![record(self.path.clone(), Change::SetValue(value))],
            };
            Ok((records, ()))
        })
    }

    /// Removes a value. Returns `OBJECT_NAME_NOT_FOUND` without one of this name.
    pub fn delete_value(&self, name: Vec<u16>) -> Result<(), NtStatus> {
        alter(|root| {
            let node = self.node(root)?;
            node.position(&name)
                .ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
            Ok((
                vec![record(self.path.clone(), Change::DeleteValue(name))],
                (),
            ))
        })
    }

    /// Removes the key. Returns `CANNOT_DELETE` if it has subkeys or is a root.
    pub fn delete(&self) -> Result<(), NtStatus> {
        alter(|root| {
            let node = self.node(root)?;
            if !node.children.is_empty() || self.path.len() < 2 {
                return Err(NtStatus::CANNOT_DELETE);
            }
            Ok((vec![record(self.path.clone(), Change::DeleteKey)], ()))
        })
    }

    /// Removes all values and subkeys.
    pub fn clear(&self) -> Result<(), NtStatus> {
        alter(|root| {
            let node = self.node(root)?;
            let values = node
                .values
                .iter()
                .map(|value| record(self.path.clone(), Change::DeleteValue(value.name.clone())));
            let children = node
                .children
                .values()
                .map(|child| record(self.below(vec![child.name.clone()]), Change::DeleteKey));
            Ok((values.chain(children).collect(), ()))
        })
    }
}
