//! Named objects other than ports: kept as their creator packed them, for as long as a process holds them.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ntlpc_abi::NtStatus;
use ntlpc_proto::object::{
    CloseObject, CloseObjectReply, CreateObject, CreateObjectReply, DirectoryEntry, ListDirectory,
    ListDirectoryReply, NamedKind, OpenObject, OpenObjectReply,
};
use ntlpc_proto::{Bytes, Name};

use crate::answer::{OutFd, Outcome, answer, answer_with};
use crate::limits::{MAX_NAME_UNITS, MAX_OBJECTS};
use crate::namespace::{CASE_INSENSITIVE, ObjectId, ObjectKind};
use crate::process::ProcessNo;
use crate::security::{AccessMask, GenericMapping, SecurityDescriptor};
use crate::state::State;

/// OBJ_OPENIF.
const OPEN_IF: u32 = 0x80;
/// Entries of one ListDirectory reply: names of the largest size still fit a frame.
const LIST_ENTRIES: usize = 64;

/// A named object some process holds.
#[derive(Debug)]
pub(crate) struct NamedObject {
    kind: NamedKind,
    packed: Bytes,
    fds: Vec<Arc<OwnedFd>>,
    /// Creates and opens by process.
    holders: HashMap<ProcessNo, u32>,
}

const fn object_kind(kind: NamedKind) -> ObjectKind {
    match kind {
        NamedKind::Event => ObjectKind::Event,
        NamedKind::Mutant => ObjectKind::Mutant,
        NamedKind::Semaphore => ObjectKind::Semaphore,
        NamedKind::Timer => ObjectKind::Timer,
        NamedKind::Section => ObjectKind::Section,
        NamedKind::Directory => ObjectKind::Directory,
    }
}

/// Generic mappings of the types (public `wdm.h`).
const fn mapping(kind: NamedKind) -> GenericMapping {
    match kind {
        NamedKind::Section => GenericMapping {
            read: 0x2_0005,
            write: 0x2_0002,
            execute: 0x2_0008,
            all: 0xF_001F,
        },
        NamedKind::Directory => crate::security::DIRECTORY_MAPPING,
        NamedKind::Mutant => GenericMapping {
            read: 0x2_0001,
            write: 0x2_0000,
            execute: 0x12_0000,
            all: 0x1F_0001,
        },
        NamedKind::Event | NamedKind::Semaphore | NamedKind::Timer => GenericMapping {
            read: 0x2_0001,
            write: 0x2_0002,
            execute: 0x12_0000,
            all: 0x1F_0003,
        },
    }
}

impl State {
    /// Creates or opens a named object.
    pub(crate) fn create_object(
        &mut self,
        caller: ProcessNo,
        request: CreateObject,
        fds: Vec<OwnedFd>,
    ) -> Outcome<CreateObject> {
        let token = self.token_of_process(caller, &request.token.0)?;
        self.check_object_room()?;
        if request.name.0.is_empty() || request.name.0.len() > MAX_NAME_UNITS {
            return Err(NtStatus::OBJECT_NAME_INVALID);
        }
        let root = (request.root != 0).then_some(request.root);
        let kind = object_kind(request.kind);
        let place = match self
            .names
            .reserve(&request.name.0, root, CASE_INSENSITIVE, kind, &token)
        {
            Err(NtStatus::OBJECT_NAME_COLLISION) if request.attributes & OPEN_IF != 0 => {
                let open = OpenObject {
                    kind: request.kind,
                    name: request.name,
                    root: request.root,
                    attributes: request.attributes,
                    access: request.access,
                    token: request.token,
                };
                let opened = self.open_object(caller, open)?;
                let OpenObjectReply {
                    id,
                    granted,
                    packed,
                } = opened.reply;
                return answer_with(
                    CreateObjectReply {
                        id,
                        existed: true,
                        granted,
                        packed,
                    },
                    opened.fds,
                );
            }
            place => place?,
        };
        let security = if request.security.0.is_empty() {
            SecurityDescriptor {
                owner: Some(token.user().clone()),
                dacl: token.default_dacl().clone(),
            }
        } else {
            let mut security =
                SecurityDescriptor::parse(&request.security.0, token.default_dacl())?
                    .canonical(self.owner_uid);
            security.owner.get_or_insert_with(|| token.user().clone());
            security
        };
        let id = self.names.allocate_id();
        self.names.insert(place, id, kind, security);
        let object = NamedObject {
            kind: request.kind,
            packed: request.packed,
            fds: fds.into_iter().map(Arc::new).collect(),
            holders: HashMap::from([(caller, 1)]),
        };
        self.objects.insert(id, object);
        // The creator gets what it asked for, whatever the descriptor says.
        let granted = creator_access(request.access, mapping(request.kind));
        answer(CreateObjectReply {
            id,
            existed: false,
            granted,
            packed: Bytes::default(),
        })
    }

    /// Opens a named object.
    pub(crate) fn open_object(
        &mut self,
        caller: ProcessNo,
        request: OpenObject,
    ) -> Outcome<OpenObject> {
        let token = self.token_of_process(caller, &request.token.0)?;
        let root = (request.root != 0).then_some(request.root);
        let found = self.names.open(&request.name.0, root, CASE_INSENSITIVE)?;
        if found.kind != object_kind(request.kind) {
            return Err(NtStatus::OBJECT_TYPE_MISMATCH);
        }
        let security = self
            .names
            .security(found.id)
            .ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        let granted = security.check(&token, request.access, mapping(request.kind))?;
        // Directories of the name space itself have no object: nobody's hold keeps them.
        let Some(object) = self.objects.get_mut(&found.id) else {
            return answer(OpenObjectReply {
                id: found.id,
                granted,
                packed: Bytes::default(),
            });
        };
        *object.holders.entry(caller).or_insert(0) += 1;
        let fds = object
            .fds
            .iter()
            .map(|fd| OutFd::Other(Arc::clone(fd)))
            .collect();
        answer_with(
            OpenObjectReply {
                id: found.id,
                granted,
                packed: object.packed.clone(),
            },
            fds,
        )
    }

    /// Gives up one hold of a process.
    pub(crate) fn close_object(
        &mut self,
        caller: ProcessNo,
        request: CloseObject,
    ) -> Outcome<CloseObject> {
        if let Some(object) = self.objects.get_mut(&request.id) {
            let holds = object
                .holders
                .get_mut(&caller)
                .ok_or(NtStatus::INVALID_HANDLE)?;
            *holds -= 1;
            if *holds == 0 {
                self.forget_object(request.id, caller);
            }
        }
        answer(CloseObjectReply {})
    }

    /// Lists a directory.
    pub(crate) fn list_directory(&self, request: ListDirectory) -> Outcome<ListDirectory> {
        let entries = self
            .names
            .entries(request.id)
            .ok_or(NtStatus::OBJECT_TYPE_MISMATCH)?;
        let mut listed: Vec<DirectoryEntry> = entries
            .skip(request.start as usize)
            .take(LIST_ENTRIES + 1)
            .map(|(name, found)| DirectoryEntry {
                // A longer name would not fit the frame with its neighbours.
                name: Name(name.iter().copied().take(400).collect()),
                type_name: found.kind.type_name().to_owned(),
            })
            .collect();
        let has_more = listed.len() > LIST_ENTRIES;
        listed.truncate(LIST_ENTRIES);
        answer(ListDirectoryReply {
            entries: listed,
            has_more,
        })
    }

    /// Gives up every hold of a process that is gone.
    pub(crate) fn run_down_objects(&mut self, process: ProcessNo) {
        let held: Vec<ObjectId> = self
            .objects
            .iter()
            .filter(|(_, object)| object.holders.contains_key(&process))
            .map(|(&id, _)| id)
            .collect();
        for id in held {
            self.forget_object(id, process);
        }
    }

    fn forget_object(&mut self, id: ObjectId, process: ProcessNo) {
        let Some(object) = self.objects.get_mut(&id) else {
            return;
        };
        object.holders.remove(&process);
        if !object.holders.is_empty() {
            return;
        }
        self.remove_name(id);
    }

    /// Takes the name of an object away, and with it the directories nobody holds that lose their last entry. A directory
    /// with entries stays.
    pub(crate) fn remove_name(&mut self, id: ObjectId) {
        let mut next = Some(id);
        while let Some(id) = next {
            let parent = self.names.parent(id);
            if self.names.remove(id).is_err() {
                return;
            }
            if let Some(object) = self.objects.remove(&id) {
                log::debug!("object {id} ({:?}) is gone", object.kind);
            }
            next = parent.filter(|parent| {
                self.objects
                    .get(parent)
                    .is_some_and(|directory| directory.holders.is_empty())
            });
        }
    }

    fn check_object_room(&self) -> Result<(), NtStatus> {
        if self.objects.len() < MAX_OBJECTS {
            Ok(())
        } else {
            Err(NtStatus::INSUFFICIENT_RESOURCES)
        }
    }
}

/// Rights of the creator: what it asked for, MAXIMUM_ALLOWED being everything.
const fn creator_access(wanted: AccessMask, mapping: GenericMapping) -> AccessMask {
    const MAXIMUM_ALLOWED: AccessMask = 0x200_0000;
    if wanted & MAXIMUM_ALLOWED != 0 {
        mapping.all
    } else {
        wanted & mapping.all
    }
}
