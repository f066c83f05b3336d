//! From a path to an object, or to the place where one could be.

use std::collections::BTreeMap;

use ntlpc_abi::NtStatus;

use super::{CASE_INSENSITIVE, Content, NameSpace, ObjectId, Place, SEPARATOR};

/// Symbolic links followed before a path counts as circular (lpc §3.8).
const MAX_LINKS: u32 = 30;

impl NameSpace {
    pub(super) fn walk(
        &self,
        path: &[u16],
        root: Option<ObjectId>,
        attributes: u32,
        last: Last,
    ) -> Result<Walked, NtStatus> {
        if path.is_empty() {
            return match root {
                Some(root) => Ok(Walked::Object(root)),
                None => Err(NtStatus::OBJECT_NAME_INVALID),
            };
        }
        let is_absolute = path[0] == SEPARATOR;
        let start = match root {
            None if is_absolute => self.root,
            Some(root) if !is_absolute => root,
            _ => return Err(NtStatus::OBJECT_PATH_SYNTAX_BAD),
        };
        let is_folded = attributes & CASE_INSENSITIVE != 0;
        let mut links = 0;
        let mut at = start;
        let mut rest = if is_absolute {
            path[1..].to_vec()
        } else {
            path.to_vec()
        };
        while !rest.is_empty() {
            let end = rest.iter().position(|&unit| unit == SEPARATOR);
            let component = rest[..end.unwrap_or(rest.len())].to_vec();
            let remainder = end.map(|end| rest[end + 1..].to_vec());
            if component.is_empty() || remainder.as_ref().is_some_and(Vec::is_empty) {
                return Err(NtStatus::OBJECT_PATH_SYNTAX_BAD);
            }
            let node = self.nodes.get(&at).ok_or(NtStatus::OBJECT_PATH_NOT_FOUND)?;
            let Content::Directory(entries) = &node.content else {
                return Err(NtStatus::OBJECT_TYPE_MISMATCH);
            };
            let Some(next) = lookup(entries, &component, is_folded) else {
                return match remainder {
                    Some(_) => Err(NtStatus::OBJECT_PATH_NOT_FOUND),
                    None => Ok(Walked::Free(Place {
                        directory: at,
                        leaf: component,
                    })),
                };
            };
            let is_last = remainder.is_none();
            match &self
                .nodes
                .get(&next)
                .ok_or(NtStatus::OBJECT_PATH_NOT_FOUND)?
                .content
            {
                Content::Link(target) if !is_last || last == Last::Follow => {
                    links += 1;
                    if links > MAX_LINKS || target.first() != Some(&SEPARATOR) {
                        return Err(NtStatus::OBJECT_NAME_INVALID);
                    }
                    at = self.root;
                    let mut resolved = target[1..].to_vec();
                    if let Some(remainder) = remainder {
                        resolved.push(SEPARATOR);
                        resolved.extend_from_slice(&remainder);
                    }
                    rest = resolved;
                }
                _ => {
                    at = next;
                    rest = remainder.unwrap_or_default();
                }
            }
        }
        Ok(Walked::Object(at))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Follow,
    Keep,
}

pub(super) enum Walked {
    Object(ObjectId),
    Free(Place),
}

fn lookup(
    entries: &BTreeMap<Vec<u16>, BTreeMap<Vec<u16>, ObjectId>>,
    name: &[u16],
    is_folded: bool,
) -> Option<ObjectId> {
    let same = entries.get(&fold(name))?;
    match same.get(name) {
        None if is_folded => same.values().next().copied(),
        exact => exact.copied(),
    }
}

/// Folds case one code unit at a time, as NT compares names.
pub(super) fn fold(name: &[u16]) -> Vec<u16> {
    name.iter()
        .map(|&unit| {
            let mut upper = char::from_u32(u32::from(unit))
                .into_iter()
                .flat_map(char::to_uppercase);
            match (upper.next(), upper.next()) {
                (Some(single), None) => u16::try_from(u32::from(single)).unwrap_or(unit),
                _ => unit,
            }
        })
        .collect()
}
