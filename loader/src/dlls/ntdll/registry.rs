//! The registry: the `Nt` calls.
//!
//! Prototypes and information classes: Microsoft Learn `ZwCreateKey`, `ZwQueryKey`, `ZwQueryValueKey` and their structures.

use ntlpc_abi::{Handle, NtStatus};

use super::objects::{probe, put_handle};
use crate::export::Ptr;
use crate::ob::attributes::{Attributes, ObjectAttributes, UnicodeString, read_string};
use crate::ob::object::{Object, access};
use crate::ob::table::lookup;
use crate::registry::key::{self, Key, rights};
use crate::registry::predefined;
use crate::registry::tree::{Node, Path, Value, split};
use crate::{registry, win_api};

/// `REG_OPTION_VOLATILE`.
const OPTION_VOLATILE: u32 = 1;
/// `REG_OPTION_CREATE_LINK`.
const OPTION_CREATE_LINK: u32 = 2;
/// Most bytes of a value (Microsoft Learn "Registry Element Size Limits": available memory; NT's own limit is 1 MiB for
/// what is kept in one cell). Larger ones are refused before they are copied.
const LARGEST_VALUE_BYTES: u32 = 64 << 20;

fn path_of(attributes: &Attributes) -> Result<Path, NtStatus> {
    let name = attributes.name.as_deref().unwrap_or_default();
    if attributes.root == Handle::NULL {
        return predefined::from_native(name);
    }
    Ok(lookup::<Key>(attributes.root, 0)?.below(split(name)))
}

fn optional_string(at: Ptr<UnicodeString>) -> Result<Vec<u16>, NtStatus> {
    at.non_null().map_or(Ok(Vec::new()), read_string)
}

/// An information structure in the making: fixed part, then what may be cut off.
struct Information {
    bytes: Vec<u8>,
    fixed: usize,
}

impl Information {
    fn new(words: &[u32]) -> Self {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let fixed = bytes.len();
        Information { bytes, fixed }
    }

    /// Starts with a time.
    fn timed(time_100ns: i64, words: &[u32]) -> Self {
        let mut bytes = time_100ns.to_le_bytes().to_vec();
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        let fixed = bytes.len();
        Information { bytes, fixed }
    }

    fn then(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    /// Writes what fits. Returns `BUFFER_TOO_SMALL` if that is not even the fixed part, `BUFFER_OVERFLOW` if it is not all.
    fn put(self, to: Ptr<u8>, length: u32, returned: Ptr<u32>) -> Result<(), NtStatus> {
        returned.try_write(size32(self.bytes.len()))?;
        let given = length as usize;
        if given < self.fixed {
            return Err(NtStatus::BUFFER_TOO_SMALL);
        }
        to.try_write_bytes(&self.bytes[..given.min(self.bytes.len())])?;
        if given < self.bytes.len() {
            return Err(NtStatus::BUFFER_OVERFLOW);
        }
        Ok(())
    }
}

fn size32(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

fn bytes_of(units: &[u16]) -> Vec<u8> {
    units.iter().flat_map(|unit| unit.to_le_bytes()).collect()
}

/// `KEY_INFORMATION_CLASS` of a key whose full path is `path`.
fn about_key(node: &Node, path: &[u16], class: u32) -> Result<Information, NtStatus> {
    let (name, key_class) = (bytes_of(&node.name), bytes_of(&node.class));
    let class_offset = |header: usize| match key_class.len() {
        0 => u32::MAX,
        _ => size32(header),
    };
    Ok(match class {
        // KeyBasicInformation
        0 => Information::timed(node.last_write_100ns, &[0, size32(name.len())]).then(&name),
        // KeyNodeInformation
        1 => {
            let offset = class_offset(24 + name.len());
            let words = [0, offset, size32(key_class.len()), size32(name.len())];
            let information = Information::timed(node.last_write_100ns, &words);
            information.then(&name).then(&key_class)
        }
        // KeyFullInformation
        2 => {
            let words = [
                0,
                class_offset(44),
                size32(key_class.len()),
                size32(node.children.len()),
                size32(node.longest_child_name_bytes()),
                size32(node.longest_child_class_bytes()),
                size32(node.values.len()),
                size32(node.longest_value_name_bytes()),
                size32(node.longest_data_bytes()),
            ];
            Information::timed(node.last_write_100ns, &words).then(&key_class)
        }
        // KeyNameInformation
        3 => {
            let path = bytes_of(path);
            Information::new(&[size32(path.len())]).then(&path)
        }
        4..=10 => return Err(NtStatus::NOT_IMPLEMENTED),
        _ => return Err(NtStatus::INVALID_PARAMETER),
    })
}

/// `KEY_VALUE_INFORMATION_CLASS` of a value.
fn about_value(value: &Value, class: u32) -> Result<Information, NtStatus> {
    let name = bytes_of(&value.name);
    let (name_len, data_len) = (size32(name.len()), size32(value.data.len()));
    Ok(match class {
        // KeyValueBasicInformation
        0 => Information::new(&[0, value.kind, name_len]).then(&name),
        // KeyValueFullInformation
        1 => {
            let offset = (20 + name.len()).next_multiple_of(8);
            let words = [0, value.kind, size32(offset), data_len, name_len];
            let padding = vec![0; offset - 20 - name.len()];
            Information::new(&words)
                .then(&name)
                .then(&padding)
                .then(&value.data)
        }
        // KeyValuePartialInformation
        2 => Information::new(&[0, value.kind, data_len]).then(&value.data),
        3 | 4 => return Err(NtStatus::NOT_IMPLEMENTED),
        _ => return Err(NtStatus::INVALID_PARAMETER),
    })
}

win_api! {
    /// Opens a key or makes it.
    "ntdll.dll" stdcall fn NtCreateKey = "NtCreateKey|ZwCreateKey" (to: Ptr<Handle>, access: u32, attributes: Ptr<ObjectAttributes>, title: u32, class: Ptr<UnicodeString>, options: u32, disposition: Ptr<u32>) -> Result<(), NtStatus> {
        probe(to)?;
        disposition.non_null().map_or(Ok(()), probe)?;
        let attributes = Attributes::read(attributes)?;
        let (path, class) = (path_of(&attributes)?, optional_string(class)?);
        if options & OPTION_CREATE_LINK != 0 {
            log::warn!("NtCreateKey: symbolic links are not supported");
            return Err(NtStatus::NOT_SUPPORTED);
        }
        let (handle, is_new) = key::create(path, class, options & OPTION_VOLATILE != 0, false, access, attributes.handle_flags())?;
        if let Some(disposition) = disposition.non_null() {
            disposition.try_write(if is_new { 1 } else { 2 })?;
        }
        match put_handle(to, Ok((handle, NtStatus::SUCCESS))) {
            NtStatus::SUCCESS => Ok(()),
            status => Err(status),
        }
    }

    /// Opens a key.
    "ntdll.dll" stdcall fn NtOpenKey = "NtOpenKey|ZwOpenKey" (to: Ptr<Handle>, access: u32, attributes: Ptr<ObjectAttributes>) -> NtStatus {
        let opened = probe(to).and_then(|()| Attributes::read(attributes)).and_then(|attributes| {
            key::open(path_of(&attributes)?, access, attributes.handle_flags())
        });
        put_handle(to, opened.map(|handle| (handle, NtStatus::SUCCESS)))
    }

    /// Opens a key; the options are for links and backups.
    "ntdll.dll" stdcall fn NtOpenKeyEx = "NtOpenKeyEx|ZwOpenKeyEx" (to: Ptr<Handle>, access: u32, attributes: Ptr<ObjectAttributes>, options: u32) -> NtStatus {
        NtOpenKey(to, access, attributes)
    }

    /// Opens the key of the user, `HKEY_CURRENT_USER`.
    "ntdll.dll" stdcall fn RtlOpenCurrentUser(access: u32, to: Ptr<Handle>) -> NtStatus {
        let opened = probe(to).and_then(|()| key::open(predefined::user(), access, 0));
        put_handle(to, opened.map(|handle| (handle, NtStatus::SUCCESS)))
    }

    /// Removes a key without subkeys.
    "ntdll.dll" stdcall fn NtDeleteKey = "NtDeleteKey|ZwDeleteKey" (key: Handle) -> Result<(), NtStatus> {
        lookup::<Key>(key, access::DELETE)?.delete()
    }

    /// Waits until changes are on the disk.
    "ntdll.dll" stdcall fn NtFlushKey = "NtFlushKey|ZwFlushKey" (key: Handle) -> Result<(), NtStatus> {
        lookup::<Key>(key, 0).and_then(|_| registry::flush())
    }

    /// Describes a key.
    "ntdll.dll" stdcall fn NtQueryKey = "NtQueryKey|ZwQueryKey" (key: Handle, class: u32, to: Ptr<u8>, length: u32, returned: Ptr<u32>) -> Result<(), NtStatus> {
        // The name may be asked with any right.
        let key = lookup::<Key>(key, if class == 3 { 0 } else { rights::QUERY_VALUE })?;
        let path = key.path();
        key.look(|node| about_key(node, &path, class))?.put(to, length, returned)
    }

    /// Describes a subkey by its place.
    "ntdll.dll" stdcall fn NtEnumerateKey = "NtEnumerateKey|ZwEnumerateKey" (key: Handle, index: u32, class: u32, to: Ptr<u8>, length: u32, returned: Ptr<u32>) -> Result<(), NtStatus> {
        let key = lookup::<Key>(key, rights::ENUMERATE_SUB_KEYS)?;
        let parent = key.path();
        let information = key.look(|node| {
            let child = node.children.values().nth(index as usize).ok_or(NtStatus::NO_MORE_ENTRIES)?;
            let path = [&parent[..], &[u16::from(b'\\')], &child.name[..]].concat();
            about_key(child, &path, class)
        })?;
        information.put(to, length, returned)
    }

    /// Reads a value.
    "ntdll.dll" stdcall fn NtQueryValueKey = "NtQueryValueKey|ZwQueryValueKey" (key: Handle, name: Ptr<UnicodeString>, class: u32, to: Ptr<u8>, length: u32, returned: Ptr<u32>) -> Result<(), NtStatus> {
        let key = lookup::<Key>(key, rights::QUERY_VALUE)?;
        let name = read_string(name)?;
        let information = key.look(|node| about_value(node.value(&name).ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?, class))?;
        information.put(to, length, returned)
    }

    /// Reads a value by its place.
    "ntdll.dll" stdcall fn NtEnumerateValueKey = "NtEnumerateValueKey|ZwEnumerateValueKey" (key: Handle, index: u32, class: u32, to: Ptr<u8>, length: u32, returned: Ptr<u32>) -> Result<(), NtStatus> {
        let key = lookup::<Key>(key, rights::QUERY_VALUE)?;
        let information = key.look(|node| about_value(node.values.get(index as usize).ok_or(NtStatus::NO_MORE_ENTRIES)?, class))?;
        information.put(to, length, returned)
    }

    /// Writes a value.
    "ntdll.dll" stdcall fn NtSetValueKey = "NtSetValueKey|ZwSetValueKey" (key: Handle, name: Ptr<UnicodeString>, title: u32, kind: u32, data: Ptr<u8>, size: u32) -> Result<(), NtStatus> {
        let key = lookup::<Key>(key, rights::SET_VALUE)?;
        let name = read_string(name)?;
        if size > LARGEST_VALUE_BYTES {
            return Err(NtStatus::INSUFFICIENT_RESOURCES);
        }
        let mut bytes = vec![0; size as usize];
        if !bytes.is_empty() {
            data.try_read_bytes(&mut bytes)?;
        }
        key.set_value(Value { name, kind, data: bytes })
    }

    /// Removes a value.
    "ntdll.dll" stdcall fn NtDeleteValueKey = "NtDeleteValueKey|ZwDeleteValueKey" (key: Handle, name: Ptr<UnicodeString>) -> Result<(), NtStatus> {
        let key = lookup::<Key>(key, rights::SET_VALUE)?;
        key.delete_value(read_string(name)?)
    }
}
