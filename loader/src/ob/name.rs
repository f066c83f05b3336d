//! Named objects: creating and opening through the name space.
//!
//! Names of this process are kept here with a weak reference, so that one object opened twice is one object; what other
//! processes see is the server's business.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use ntlpc_abi::{Handle, NtStatus};
use parking_lot::Mutex;

use super::attributes::{Attributes, obj};
use super::object::{Object, downcast};
use super::table::{TABLE, lookup};

/// The name of an object; giving it up removes the name from the name space.
#[derive(Debug)]
pub struct Name {
    path: Vec<u16>,
}

impl Name {
    /// Returns the full path.
    #[must_use]
    pub fn path(&self) -> &[u16] {
        &self.path
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let mut names = NAMES.lock();
        // Another object may have taken the name after this one's last handle was closed.
        if names
            .get(&key(&self.path))
            .is_some_and(|weak| weak.strong_count() == 0)
        {
            names.remove(&key(&self.path));
        }
    }
}

/// Objects of this process by name.
static NAMES: Mutex<BTreeMap<Vec<u16>, Weak<dyn Object>>> = Mutex::new(BTreeMap::new());

/// Names are looked up without regard to case (`ObCaseInsensitive`, on by default since XP).
fn key(path: &[u16]) -> Vec<u16> {
    path.iter().map(|&unit| upcase(unit)).collect()
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

/// An object directory as an object: `\BaseNamedObjects` and the like.
#[derive(Debug)]
pub struct Directory {
    header: super::object::Header,
    /// Full path.
    pub path: Vec<u16>,
}

/// `DIRECTORY_ALL_ACCESS` and the generic mapping of directories.
pub static DIRECTORY_TYPE: super::object::ObjectType = super::object::ObjectType {
    name: "Directory",
    generic: [0x2_0003, 0x2_000C, 0x2_0003, 0xF_000F],
};

impl Directory {
    /// Makes a handle's view of the directory at `path`.
    #[must_use]
    pub fn new(path: Vec<u16>) -> Self {
        Directory {
            header: super::object::Header::default(),
            path,
        }
    }

    /// Returns the server's number of the directory.
    pub fn server_id(&self) -> Result<u64, NtStatus> {
        Err(NtStatus::NOT_SUPPORTED)
    }
}

impl Object for Directory {
    fn object_type(&self) -> &'static super::object::ObjectType {
        &DIRECTORY_TYPE
    }
    fn header(&self) -> &super::object::Header {
        &self.header
    }
}

/// Returns the full path a call names, or `None` for an unnamed object.
pub fn full_path(attributes: &Attributes) -> Result<Option<Vec<u16>>, NtStatus> {
    let Some(name) = &attributes.name else {
        return Ok(None);
    };
    let separator = u16::from(b'\\');
    if attributes.root == Handle::NULL {
        if name.first() != Some(&separator) {
            return Err(NtStatus::OBJECT_PATH_SYNTAX_BAD);
        }
        return Ok(Some(name.clone()));
    }
    if name.first() == Some(&separator) {
        return Err(NtStatus::OBJECT_PATH_SYNTAX_BAD);
    }
    let directory = lookup::<Directory>(attributes.root, 0)?;
    let mut path = directory.path.clone();
    if path.last() != Some(&separator) {
        path.push(separator);
    }
    path.extend_from_slice(name);
    Ok(Some(path))
}

/// Creates an object, or opens the existing one of that name if `OBJ_OPENIF` allows it.
///
/// Returns the handle and `SUCCESS` or `OBJECT_NAME_EXISTS`; `OBJECT_NAME_COLLISION` without `OBJ_OPENIF`,
/// `OBJECT_TYPE_MISMATCH` if the name belongs to an object of another type.
pub fn create<T: Object>(
    attributes: &Attributes,
    access: u32,
    make: impl FnOnce() -> Result<T, NtStatus>,
) -> Result<(Handle, NtStatus), NtStatus> {
    let security = super::security::descriptor_of(attributes.security)?;
    let Some(path) = full_path(attributes)? else {
        let object = Arc::new(make()?);
        *object.header().security.lock() = security;
        let granted = object.object_type().grant(access)?;
        return Ok((
            TABLE.insert(object, granted, attributes.handle_flags())?,
            NtStatus::SUCCESS,
        ));
    };
    let (object, status) = {
        let mut names = NAMES.lock();
        match names.get(&key(&path)).and_then(Weak::upgrade) {
            Some(existing) => {
                downcast::<T>(existing.clone())?;
                if attributes.flags & obj::OPENIF == 0 {
                    return Err(NtStatus::OBJECT_NAME_COLLISION);
                }
                (existing, NtStatus::OBJECT_NAME_EXISTS)
            }
            None => {
                let object: Arc<dyn Object> = Arc::new(make()?);
                *object.header().security.lock() = security;
                *object.header().name.lock() = Some(Name { path: path.clone() });
                names.insert(key(&path), Arc::downgrade(&object));
                (object, NtStatus::SUCCESS)
            }
        }
    };
    let granted = object.object_type().grant(access)?;
    Ok((
        TABLE.insert(object, granted, attributes.handle_flags())?,
        status,
    ))
}

/// Opens an existing object by name. Returns `OBJECT_NAME_NOT_FOUND` or `OBJECT_TYPE_MISMATCH`.
pub fn open<T: Object>(attributes: &Attributes, access: u32) -> Result<Handle, NtStatus> {
    let path = full_path(attributes)?.ok_or(NtStatus::OBJECT_NAME_INVALID)?;
    let found = NAMES.lock().get(&key(&path)).and_then(Weak::upgrade);
    let object = downcast::<T>(found.ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?)?;
    let granted = object.object_type().grant(access)?;
    TABLE.insert(object, granted, attributes.handle_flags())
}
