//! Changes of the tree and how a journal writes them.

use super::tree::{Node, Path, Value, folded, split};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Makes a key below one that is there.
    CreateKey {
        /// Class of the key.
        class: Vec<u16>,
        /// Whether it goes with the end of the session.
        is_volatile: bool,
    },
    /// Removes a key with all below it.
    DeleteKey,
    /// Writes a value.
    SetValue(Value),
    /// Removes a value.
    DeleteValue(Vec<u16>),
}

/// A change with its place and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Key it is about.
    pub path: Path,
    /// System time.
    pub time_100ns: i64,
    /// What happened.
    pub change: Change,
}

/// Makes the change. One whose key is not there does nothing: it was removed with a key above it.
pub fn apply(root: &mut Node, record: &Record) {
    let time = record.time_100ns;
    match &record.change {
        Change::CreateKey { class, is_volatile } => {
            let Some((name, parents)) = record.path.split_last() else {
                return;
            };
            if let Some(parent) = root.find_mut(parents) {
                let child = || Node::new(name, class, *is_volatile, time);
                parent.children.entry(folded(name)).or_insert_with(child);
                parent.last_write_100ns = time;
            }
        }
        Change::DeleteKey => {
            let Some((name, parents)) = record.path.split_last() else {
                return;
            };
            if let Some(parent) = root.find_mut(parents)
                && parent.children.remove(&folded(name)).is_some()
            {
                parent.last_write_100ns = time;
            }
        }
        Change::SetValue(value) => {
            let Some(node) = root.find_mut(&record.path) else {
                return;
            };
            node.last_write_100ns = time;
            match node.position(&value.name) {
                Some(at) => {
                    node.values[at].kind = value.kind;
                    node.values[at].data.clone_from(&value.data);
                }
                None => node.values.push(value.clone()),
            }
        }
        Change::DeleteValue(name) => {
            let Some(node) = root.find_mut(&record.path) else {
                return;
            };
            if let Some(at) = node.position(name) {
                node.values.remove(at);
                node.last_write_100ns = time;
            }
        }
    }
}

impl Record {
    /// Returns the record as bytes: operation, time, path, and what the operation needs. Little-endian, counted strings.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let path = self.path.join(&u16::from(b'\\'));
        let mut bytes = vec![match &self.change {
            Change::CreateKey { .. } => 1,
            Change::DeleteKey => 2,
            Change::SetValue(_) => 3,
            Change::DeleteValue(_) => 4,
        }];
        bytes.extend(self.time_100ns.to_le_bytes());
        put_text(&mut bytes, &path);
        match &self.change {
            Change::CreateKey { class, is_volatile } => {
                put_text(&mut bytes, class);
                bytes.push(u8::from(*is_volatile));
            }
            Change::DeleteKey => {}
            Change::SetValue(value) => {
                put_text(&mut bytes, &value.name);
                bytes.extend(value.kind.to_le_bytes());
                put_counted(&mut bytes, &value.data);
            }
            Change::DeleteValue(name) => put_text(&mut bytes, name),
        }
        bytes
    }

    /// Reads a record; `None` for bytes that are none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Record> {
        let mut rest = bytes;
        let operation = take::<1>(&mut rest)?[0];
        let time_100ns = i64::from_le_bytes(take(&mut rest)?);
        let path = split(&take_text(&mut rest)?);
        let change = match operation {
            1 => Change::CreateKey {
                class: take_text(&mut rest)?,
                is_volatile: take::<1>(&mut rest)?[0] != 0,
            },
            2 => Change::DeleteKey,
            3 => Change::SetValue(Value {
                name: take_text(&mut rest)?,
                kind: u32::from_le_bytes(take(&mut rest)?),
                data: take_counted(&mut rest)?.to_vec(),
            }),
            4 => Change::DeleteValue(take_text(&mut rest)?),
            _ => return None,
        };
        rest.is_empty().then_some(Record {
            path,
            time_100ns,
            change,
        })
    }
}

fn put_counted(bytes: &mut Vec<u8>, data: &[u8]) {
    bytes.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(data);
}

fn put_text(bytes: &mut Vec<u8>, text: &[u16]) {
    let units: Vec<u8> = text.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    put_counted(bytes, &units);
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn take_counted<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = u32::from_le_bytes(take(rest)?) as usize;
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

fn take_text(rest: &mut &[u8]) -> Option<Vec<u16>> {
    let bytes = take_counted(rest)?;
    let pairs = bytes.chunks_exact(2);
    Some(
        pairs
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_their_bytes() {
        let text = |text: &str| text.encode_utf16().collect::<Vec<u16>>();
        let changes = [
            Change::CreateKey {
                class: text("class"),
                is_volatile: true,
            },
            Change::DeleteKey,
            Change::SetValue(Value {
                name: text("naïve"),
                kind: 3,
                data: vec![1, 2, 3],
            }),
            Change::DeleteValue(Vec::new()),
        ];
        for change in changes {
            let record = Record {
                path: split(&text("Machine\\Software\\x")),
                time_100ns: 42,
                change,
            };
            let bytes = record.to_bytes();
            assert_eq!(Record::from_bytes(&bytes), Some(record));
            assert_eq!(Record::from_bytes(&bytes[..bytes.len() - 1]), None);
        }
    }
}
