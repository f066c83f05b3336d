//! The object name space: directories, symbolic links, and names of everything else.
//!
//! Rules: lpc §3.8. A name is a path of UTF-16 components separated by `\`, absolute or relative to a directory object.

mod furnish;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::{BTreeMap, HashMap};

use ntlpc_abi::NtStatus;

pub use furnish::RootPolicy;
use walk::{Last, Walked, fold};

use crate::security::{
    DIRECTORY_CREATE_OBJECT, DIRECTORY_CREATE_SUBDIRECTORY, DIRECTORY_MAPPING, SecurityDescriptor,
    Token,
};

/// Identifies an object in the name space; the same number names it in requests.
pub type ObjectId = u64;

/// OBJ_CASE_INSENSITIVE.
pub const CASE_INSENSITIVE: u32 = 0x40;

const SEPARATOR: u16 = b'\\' as u16;

/// Type of a named object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// Object directory.
    Directory,
    /// Symbolic link.
    SymbolicLink,
    /// Connection port.
    Port,
    /// Connection port whose handle can be waited on.
    WaitablePort,
    /// Event.
    Event,
    /// Mutant.
    Mutant,
    /// Semaphore.
    Semaphore,
    /// Section.
    Section,
    /// Timer.
    Timer,
}

impl ObjectKind {
    /// Returns the type name of the object manager.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self {
            ObjectKind::Directory => "Directory",
            ObjectKind::SymbolicLink => "SymbolicLink",
            ObjectKind::Port => "Port",
            ObjectKind::WaitablePort => "WaitablePort",
            ObjectKind::Event => "Event",
            ObjectKind::Mutant => "Mutant",
            ObjectKind::Semaphore => "Semaphore",
            ObjectKind::Section => "Section",
            ObjectKind::Timer => "Timer",
        }
    }
}

/// What is found under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The object.
    pub id: ObjectId,
    /// Its type.
    pub kind: ObjectKind,
}

/// A place for a new object, checked and still free.
#[derive(Clone, Debug)]
pub struct Place {
    directory: ObjectId,
    leaf: Vec<u16>,
}

#[derive(Debug)]
struct Node {
    kind: ObjectKind,
    security: SecurityDescriptor,
    /// Directory and leaf name; `None` for the root.
    parent: Option<(ObjectId, Vec<u16>)>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Entries under their folded name, then their exact name.
    Directory(BTreeMap<Vec<u16>, BTreeMap<Vec<u16>, ObjectId>>),
    Link(Vec<u16>),
    Leaf,
}

/// The tree of names.
#[derive(Debug)]
pub struct NameSpace {
    nodes: HashMap<ObjectId, Node>,
    root: ObjectId,
    next_id: ObjectId,
}

impl NameSpace {
    /// Returns a fresh object id, for objects without a name as well.
    pub fn allocate_id(&mut self) -> ObjectId {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Looks up the object of a name.
    ///
    /// Statuses: `STATUS_OBJECT_NAME_INVALID` for an empty name, `STATUS_OBJECT_PATH_SYNTAX_BAD` for a missing or
    /// superfluous leading `\` or an empty component, `STATUS_OBJECT_PATH_NOT_FOUND`, `STATUS_OBJECT_NAME_NOT_FOUND`,
    /// `STATUS_OBJECT_TYPE_MISMATCH` for a path through something that is not a directory.
    pub fn open(
        &self,
        path: &[u16],
        root: Option<ObjectId>,
        attributes: u32,
    ) -> Result<Found, NtStatus> {
        let id = match self.walk(path, root, attributes, Last::Follow)? {
            Walked::Object(id) => id,
            Walked::Free(_) => return Err(NtStatus::OBJECT_NAME_NOT_FOUND),
        };
        self.found(id)
    }

    /// Looks up a symbolic link itself instead of what it stands for.
    pub fn open_link(
        &self,
        path: &[u16],
        root: Option<ObjectId>,
        attributes: u32,
    ) -> Result<Found, NtStatus> {
        match self.walk(path, root, attributes, Last::Keep)? {
            Walked::Object(id) => self.found(id),
            Walked::Free(_) => Err(NtStatus::OBJECT_NAME_NOT_FOUND),
        }
    }

    /// Finds the place for a new object of `kind` and checks that `token` may create it there.
    ///
    /// Statuses of [`open`](NameSpace::open); `STATUS_OBJECT_NAME_COLLISION` if the name is taken, whatever by;
    /// `STATUS_ACCESS_DENIED`.
    pub fn reserve(
        &self,
        path: &[u16],
        root: Option<ObjectId>,
        attributes: u32,
        kind: ObjectKind,
        token: &Token,
    ) -> Result<Place, NtStatus> {
        let place = match self.walk(path, root, attributes, Last::Follow)? {
            Walked::Object(_) => return Err(NtStatus::OBJECT_NAME_COLLISION),
            Walked::Free(place) => place,
        };
        let wanted = match kind {
            ObjectKind::Directory => DIRECTORY_CREATE_SUBDIRECTORY,
            _ => DIRECTORY_CREATE_OBJECT,
        };
        let directory = self
            .nodes
            .get(&place.directory)
            .ok_or(NtStatus::OBJECT_PATH_NOT_FOUND)?;
        directory.security.check(token, wanted, DIRECTORY_MAPPING)?;
        Ok(place)
    }

    /// Puts an object into a reserved place.
    ///
    /// # Panics
    ///
    /// Never, as long as nothing was inserted or removed since [`reserve`](NameSpace::reserve).
    pub fn insert(
        &mut self,
        place: Place,
        id: ObjectId,
        kind: ObjectKind,
        security: SecurityDescriptor,
    ) {
        let content = match kind {
            ObjectKind::Directory => Content::Directory(BTreeMap::new()),
            ObjectKind::SymbolicLink => Content::Link(Vec::new()),
            _ => Content::Leaf,
        };
        self.attach(
            place,
            id,
            Node {
                kind,
                security,
                parent: None,
                content,
            },
        );
    }

    /// Puts a symbolic link into a reserved place.
    pub fn insert_link(
        &mut self,
        place: Place,
        id: ObjectId,
        target: Vec<u16>,
        security: SecurityDescriptor,
    ) {
        let content = Content::Link(target);
        self.attach(
            place,
            id,
            Node {
                kind: ObjectKind::SymbolicLink,
                security,
                parent: None,
                content,
            },
        );
    }

    /// Removes the name of an object; no effect if it has none.
    ///
    /// Returns `STATUS_DIRECTORY_NOT_EMPTY` for a directory that still has entries, which keeps its name.
    pub fn remove(&mut self, id: ObjectId) -> Result<(), NtStatus> {
        let Some(node) = self.nodes.get(&id) else {
            return Ok(());
        };
        if let Content::Directory(entries) = &node.content
            && !entries.is_empty()
        {
            return Err(NtStatus::DIRECTORY_NOT_EMPTY);
        }
        let Some((parent, leaf)) = node.parent.clone() else {
            return Ok(());
        };
        self.nodes.remove(&id);
        if let Some(Node {
            content: Content::Directory(entries),
            ..
        }) = self.nodes.get_mut(&parent)
        {
            let folded = fold(&leaf);
            if let Some(same) = entries.get_mut(&folded) {
                same.remove(&leaf);
                if same.is_empty() {
                    entries.remove(&folded);
                }
            }
        }
        Ok(())
    }

    /// Returns the security descriptor of a named object.
    #[must_use]
    pub fn security(&self, id: ObjectId) -> Option<&SecurityDescriptor> {
        self.nodes.get(&id).map(|node| &node.security)
    }

    /// Returns the target of a symbolic link.
    #[must_use]
    pub fn link_target(&self, id: ObjectId) -> Option<&[u16]> {
        match &self.nodes.get(&id)?.content {
            Content::Link(target) => Some(target),
            _ => None,
        }
    }

    /// Returns the directory a named object is in.
    #[must_use]
    pub fn parent(&self, id: ObjectId) -> Option<ObjectId> {
        let (parent, _) = self.nodes.get(&id)?.parent.as_ref()?;
        Some(*parent)
    }

    /// Returns the absolute path of a named object.
    #[must_use]
    pub fn path(&self, id: ObjectId) -> Option<Vec<u16>> {
        let mut leaves = Vec::new();
        let mut node = self.nodes.get(&id)?;
        while let Some((parent, leaf)) = &node.parent {
            leaves.push(leaf);
            node = self.nodes.get(parent)?;
        }
        let mut path = Vec::new();
        for leaf in leaves.into_iter().rev() {
            path.push(SEPARATOR);
            path.extend_from_slice(leaf);
        }
        if path.is_empty() {
            path.push(SEPARATOR);
        }
        Some(path)
    }

    /// Returns the entries of a directory in ascending order of their folded names, or `None` if it is none.
    pub fn entries(&self, directory: ObjectId) -> Option<impl Iterator<Item = (&[u16], Found)>> {
        let Content::Directory(entries) = &self.nodes.get(&directory)?.content else {
            return None;
        };
        Some(
            entries
                .values()
                .flatten()
                .filter_map(|(leaf, &id)| Some((leaf.as_slice(), self.found(id).ok()?))),
        )
    }

    fn found(&self, id: ObjectId) -> Result<Found, NtStatus> {
        let node = self.nodes.get(&id).ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        Ok(Found {
            id,
            kind: node.kind,
        })
    }

    fn attach(&mut self, place: Place, id: ObjectId, mut node: Node) {
        if let Some(Node {
            content: Content::Directory(entries),
            ..
        }) = self.nodes.get_mut(&place.directory)
        {
            entries
                .entry(fold(&place.leaf))
                .or_default()
                .insert(place.leaf.clone(), id);
            node.parent = Some((place.directory, place.leaf));
            self.nodes.insert(id, node);
        }
    }
}
