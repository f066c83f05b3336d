//! The object name space: directories, symbolic links, and names of everything else.
//!
//! Rules: lpc §3.8. A name is a path of UTF-16 components separated by `\`, absolute or relative to a directory object.

use std::collections::{BTreeMap, HashMap};

use ntlpc_abi::NtStatus;

use crate::security::{
    AccessMask, DIRECTORY_CREATE_OBJECT, DIRECTORY_CREATE_SUBDIRECTORY, DIRECTORY_MAPPING, Dacl,
    SecurityDescriptor, Sid, Token,
};

/// Identifies an object in the name space; the same number names it in requests.
pub type ObjectId = u64;

/// OBJ_CASE_INSENSITIVE.
pub const CASE_INSENSITIVE: u32 = 0x40;

const SEPARATOR: u16 = b'\\' as u16;
/// Symbolic links followed before a path counts as circular (lpc §3.8).
const MAX_LINKS: u32 = 30;

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

/// Who may create objects directly in `\`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RootPolicy {
    /// Everybody; the public test programs create `\MyPort` and the like.
    #[default]
    Everyone,
    /// Administrators, as on Windows.
    Administrators,
}

impl NameSpace {
    /// Makes a name space with the directories a console program finds.
    #[must_use]
    pub fn new(policy: RootPolicy) -> NameSpace {
        const ALL: AccessMask = 0x000F_000F;
        const READ: AccessMask = 0x0002_0003;
        let open = SecurityDescriptor {
            owner: None,
            dacl: Some(Dacl::allowing(ALL, &[Sid::everyone()])),
        };
        let closed = SecurityDescriptor {
            owner: Some(Sid::administrators()),
            dacl: Some(Dacl(
                [
                    Dacl::allowing(ALL, &[Sid::administrators(), Sid::local_system()]),
                    Dacl::allowing(READ, &[Sid::everyone()]),
                ]
                .into_iter()
                .flat_map(|dacl| dacl.0)
                .collect(),
            )),
        };
        let root_security = match policy {
            RootPolicy::Everyone => open.clone(),
            RootPolicy::Administrators => closed.clone(),
        };
        const ROOT: ObjectId = 1;
        let root = Node {
            kind: ObjectKind::Directory,
            security: root_security,
            parent: None,
            content: Content::Directory(BTreeMap::new()),
        };
        let mut space = NameSpace {
            nodes: HashMap::from([(ROOT, root)]),
            root: ROOT,
            next_id: ROOT + 1,
        };
        for path in [
            r"\RPC Control",
            r"\BaseNamedObjects",
            r"\??",
            r"\GLOBAL??",
            r"\Windows",
            r"\Sessions",
        ] {
            space.furnish(path, ObjectKind::Directory, open.clone(), None);
        }
        for path in [
            r"\Security",
            r"\KernelObjects",
            r"\ObjectTypes",
            r"\Device",
            r"\KnownDlls",
        ] {
            space.furnish(path, ObjectKind::Directory, closed.clone(), None);
        }
        for path in [
            r"\Sessions\BNOLINKS",
            r"\Sessions\0",
            r"\Sessions\1",
            r"\Sessions\1\BaseNamedObjects",
        ] {
            space.furnish(path, ObjectKind::Directory, open.clone(), None);
        }
        for (path, target) in [
            (r"\DosDevices", r"\??"),
            (r"\Sessions\0\BaseNamedObjects", r"\BaseNamedObjects"),
            (r"\Sessions\BNOLINKS\0", r"\BaseNamedObjects"),
            (r"\Sessions\BNOLINKS\1", r"\Sessions\1\BaseNamedObjects"),
            (r"\BaseNamedObjects\Global", r"\BaseNamedObjects"),
            (r"\BaseNamedObjects\Local", r"\BaseNamedObjects"),
            (r"\BaseNamedObjects\Session", r"\Sessions\BNOLINKS"),
            (r"\Sessions\1\BaseNamedObjects\Global", r"\BaseNamedObjects"),
            (
                r"\Sessions\1\BaseNamedObjects\Local",
                r"\Sessions\1\BaseNamedObjects",
            ),
            (
                r"\Sessions\1\BaseNamedObjects\Session",
                r"\Sessions\BNOLINKS",
            ),
        ] {
            space.furnish(path, ObjectKind::SymbolicLink, open.clone(), Some(target));
        }
        space
    }

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

    fn walk(
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

    fn furnish(
        &mut self,
        path: &str,
        kind: ObjectKind,
        security: SecurityDescriptor,
        target: Option<&str>,
    ) {
        let path: Vec<u16> = path.encode_utf16().collect();
        let id = self.allocate_id();
        if let Ok(Walked::Free(place)) = self.walk(&path, None, 0, Last::Keep) {
            match target {
                Some(target) => {
                    self.insert_link(place, id, target.encode_utf16().collect(), security)
                }
                None => self.insert(place, id, kind, security),
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Follow,
    Keep,
}

enum Walked {
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
fn fold(name: &[u16]) -> Vec<u16> {
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

#[cfg(test)]
mod tests;
