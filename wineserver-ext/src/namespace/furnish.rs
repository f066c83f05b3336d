//! The directories and links a console program finds.

use std::collections::{BTreeMap, HashMap};

use super::walk::{Last, Walked};
use super::{Content, NameSpace, Node, ObjectId, ObjectKind};
use crate::security::{AccessMask, Dacl, SecurityDescriptor, Sid};

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
