//! Named objects: creating and opening through the server's name space.
//!
//! The server keeps a named object packed. One object opened twice in this process is one object here: what the server
//! numbered is kept with a weak reference.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Weak};

use ntdll_shim::engine::{existing_session, generation, session};
use ntlpc_abi::{Handle, NtStatus};
use ntlpc_proto::object::{
    CloseObject, CreateObject, DirectoryEntry, ListDirectory, NamedKind, OpenObject,
};
use ntlpc_proto::{Bytes, Name as WireName};
use parking_lot::Mutex;

use super::attributes::{Attributes, obj};
use super::impersonation;
use super::object::{Header, Name, Object, ObjectType, downcast};
use super::packed::{Packed, PackedKind};
use super::table::{TABLE, lookup};

/// Makes the name of an object that the server holds for this process.
fn held(path: &[u16], id: u64) -> Name {
    Name {
        path: path.to_vec(),
        id,
        generation: generation(),
        release,
    }
}

fn release(name: &Name) {
    OBJECTS.lock().remove(&name.id);
    // The end of the process gives up everything; a lost server has nothing to give up.
    if let Some(session) = existing_session()
        && name.generation == generation()
    {
        let _ = session.call(&CloseObject { id: name.id }, &[]);
    }
}

/// Objects of this process by the server's number.
static OBJECTS: Mutex<Objects> = Mutex::new(Objects(Vec::new()));

/// A small map; programs have few named objects.
struct Objects(Vec<(u64, Weak<dyn Object>)>);

impl Objects {
    fn get(&self, id: u64) -> Option<Arc<dyn Object>> {
        self.0
            .iter()
            .find(|(other, _)| *other == id)
            .and_then(|(_, weak)| weak.upgrade())
    }
    fn insert(&mut self, id: u64, object: &Arc<dyn Object>) {
        self.0.retain(|(_, weak)| weak.strong_count() != 0);
        self.0.push((id, Arc::downgrade(object)));
    }
    /// Forgets an object that is gone; a new one under the same number stays.
    fn remove(&mut self, id: &u64) {
        self.0
            .retain(|(other, weak)| other != id || weak.strong_count() != 0);
    }
}

/// Upper case of one UTF-16 unit, by Unicode's simple mapping as far as it stays in one unit.
#[must_use]
pub fn upcase(unit: u16) -> u16 {
    if unit < 0x80 {
        return if (u16::from(b'a')..=u16::from(b'z')).contains(&unit) {
            unit - 32
        } else {
            unit
        };
    }
    let Some(c) = char::from_u32(u32::from(unit)) else {
        return unit;
    };
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(one), None) => u16::try_from(u32::from(one)).unwrap_or(unit),
        _ => unit,
    }
}

/// An object directory: `\BaseNamedObjects` and the like.
#[derive(Debug, Default)]
pub struct Directory {
    header: Header,
}

/// `DIRECTORY_ALL_ACCESS` and the generic mapping of directories.
pub static DIRECTORY_TYPE: ObjectType = ObjectType {
    name: "Directory",
    generic: [0x2_0003, 0x2_000C, 0x2_0003, 0xF_000F],
};

impl Directory {
    /// Returns the server's number of the directory.
    pub fn server_id(&self) -> Result<u64, NtStatus> {
        self.header
            .name
            .lock()
            .as_ref()
            .map(|name| name.id)
            .ok_or(NtStatus::OBJECT_TYPE_MISMATCH)
    }

    /// Lists up to a frame of entries from the one numbered `start`; says whether more follow.
    pub fn list(&self, start: u32) -> Result<(Vec<DirectoryEntry>, bool), NtStatus> {
        let (reply, _) = session()?.call(
            &ListDirectory {
                id: self.server_id()?,
                start,
            },
            &[],
        )?;
        Ok((reply.entries, reply.has_more))
    }
}

impl Object for Directory {
    fn object_type(&self) -> &'static ObjectType {
        &DIRECTORY_TYPE
    }
    fn header(&self) -> &Header {
        &self.header
    }
    fn pack(&self) -> Result<Packed, NtStatus> {
        Ok(Packed {
            kind: PackedKind::Directory,
            bytes: Vec::new(),
            fds: Vec::new(),
        })
    }
}

fn named_kind(kind: PackedKind) -> Result<NamedKind, NtStatus> {
    Ok(match kind {
        PackedKind::Event => NamedKind::Event,
        PackedKind::Mutant => NamedKind::Mutant,
        PackedKind::Semaphore => NamedKind::Semaphore,
        PackedKind::Timer => NamedKind::Timer,
        PackedKind::Section => NamedKind::Section,
        PackedKind::Directory => NamedKind::Directory,
        _ => return Err(NtStatus::NOT_SUPPORTED),
    })
}

/// The server's number of the directory a name is relative to; 0 for an absolute name.
fn root(attributes: &Attributes) -> Result<u64, NtStatus> {
    match attributes.root {
        Handle::NULL => Ok(0),
        handle => lookup::<Directory>(handle, 0)?.server_id(),
    }
}

/// Creates an object, or opens the existing one of that name if `OBJ_OPENIF` allows it.
///
/// Returns the handle and `SUCCESS` or `OBJECT_NAME_EXISTS`; `OBJECT_NAME_COLLISION` without `OBJ_OPENIF`,
/// `OBJECT_TYPE_MISMATCH` if the name belongs to an object of another type.
pub fn create<T: Object + Named>(
    attributes: &Attributes,
    access: u32,
    make: impl FnOnce() -> Result<T, NtStatus>,
) -> Result<(Handle, NtStatus), NtStatus> {
    let security = super::security::descriptor_of(attributes.security)?;
    let Some(path) = &attributes.name else {
        let object = Arc::new(make()?);
        *object.header().security.lock() = security;
        let granted = object.object_type().grant(access)?;
        return Ok((
            TABLE.insert(object, granted, attributes.handle_flags())?,
            NtStatus::SUCCESS,
        ));
    };
    let object: Arc<dyn Object> = Arc::new(make()?);
    let Packed { kind, bytes, fds } = object.pack()?;
    let request = CreateObject {
        kind: named_kind(kind)?,
        name: WireName(path.clone()),
        root: root(attributes)?,
        attributes: attributes.flags & obj::OPENIF,
        access: object.object_type().map_access(access),
        token: Bytes(impersonation::effective().to_bytes()),
        security: Bytes(security.clone().unwrap_or_default()),
        packed: Bytes(bytes),
    };
    let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    let (reply, fds) = session()?.call(&request, &borrowed)?;
    let (object, status) = if reply.existed {
        (
            existing(kind, reply.id, reply.packed, fds, path)?,
            NtStatus::OBJECT_NAME_EXISTS,
        )
    } else {
        *object.header().security.lock() = security;
        *object.header().name.lock() = Some(held(path, reply.id));
        OBJECTS.lock().insert(reply.id, &object);
        (object, NtStatus::SUCCESS)
    };
    let object = downcast::<T>(object)?;
    Ok((
        TABLE.insert(object, reply.granted, attributes.handle_flags())?,
        status,
    ))
}

/// Opens an existing object by name. Returns `OBJECT_NAME_NOT_FOUND` or `OBJECT_TYPE_MISMATCH`.
pub fn open<T: Object + Named>(attributes: &Attributes, access: u32) -> Result<Handle, NtStatus> {
    let path = attributes
        .name
        .as_ref()
        .ok_or(NtStatus::OBJECT_NAME_INVALID)?;
    let request = OpenObject {
        kind: named_kind(T::KIND)?,
        name: WireName(path.clone()),
        root: root(attributes)?,
        attributes: 0,
        access: T::TYPE.map_access(access),
        token: Bytes(impersonation::effective().to_bytes()),
    };
    let (reply, fds) = session()?.call(&request, &[])?;
    let object = downcast::<T>(existing(T::KIND, reply.id, reply.packed, fds, path)?)?;
    TABLE.insert(object, reply.granted, attributes.handle_flags())
}

/// The object the server answered with: the one this process has, or a new one of what was packed.
fn existing(
    kind: PackedKind,
    id: u64,
    packed: Bytes,
    fds: Vec<OwnedFd>,
    path: &[u16],
) -> Result<Arc<dyn Object>, NtStatus> {
    // The answer is a hold of its own, given up with `hold` if the process has the object already.
    let hold = held(path, id);
    let mut objects = OBJECTS.lock();
    if let Some(object) = objects.get(id) {
        drop(objects);
        drop(hold);
        return Ok(object);
    }
    let object = super::packed::build(Packed {
        kind,
        bytes: packed.0,
        fds,
    })?;
    *object.header().name.lock() = Some(hold);
    objects.insert(id, &object);
    Ok(object)
}

/// Types that have names in the name space.
pub trait Named {
    /// How they are packed.
    const KIND: PackedKind;
    /// Their object type.
    const TYPE: &'static ObjectType;
}
