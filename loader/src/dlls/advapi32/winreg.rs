//! Keys of the registry: `winreg.h`. Source: Microsoft Learn "Registry Functions".

use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};

use crate::dlls::win32::{ansi_of, dos_error, error, units_arg, wide_arg};
use crate::export::{Guest, Ptr};
use crate::ob::handle as handles;
use crate::registry::key::{self, Key, rights};
use crate::registry::tree::{Node, split};
use crate::registry::{self, predefined};
use crate::win_api;

/// `REG_OPTION_VOLATILE`.
const OPTION_VOLATILE: u32 = 1;
/// `REG_OPTION_NON_VOLATILE`, `VOLATILE`, `BACKUP_RESTORE`: what creation takes. Links are not there.
const OPTIONS: u32 = 0x5;
/// `MAXIMUM_ALLOWED`: what `RegOpenKey` and `RegCreateKey` ask for.
const MAXIMUM_ALLOWED: u32 = 0x200_0000;

/// Returns the Win32 error of a result; these functions return it and leave the last error alone.
pub(super) fn code(result: Result<(), NtStatus>) -> u32 {
    result.map_or_else(dos_error, |()| error::SUCCESS)
}

/// Returns the key of a handle, or of a path below it.
pub(super) fn key_at(
    handle: Handle,
    path: Option<&[u16]>,
    access: u32,
) -> Result<Arc<Key>, NtStatus> {
    match path.filter(|path| !path.is_empty()) {
        None => key::of_handle(handle, access),
        Some(path) => key::at(key::of_handle(handle, 0)?.below(split(path))),
    }
}

fn open(handle: Handle, path: Option<Vec<u16>>, access: u32, to: Ptr<Handle>) -> u32 {
    let path = path.unwrap_or_default();
    if to.is_null() {
        return error::INVALID_PARAMETER;
    }
    // A predefined key without a path is its own result.
    if path.is_empty() && predefined::path_of(handle).is_some() {
        to.write(handle);
        return error::SUCCESS;
    }
    let opened =
        key::of_handle(handle, 0).and_then(|key| key::open(key.below(split(&path)), access, 0));
    match opened {
        Ok(opened) => {
            to.write(opened);
            error::SUCCESS
        }
        Err(status) => dos_error(status),
    }
}

/// Where the results of a creation go.
struct Created {
    key: Ptr<Handle>,
    disposition: Ptr<u32>,
}

fn create(
    handle: Handle,
    path: Option<Vec<u16>>,
    class: Option<Vec<u16>>,
    options: u32,
    access: u32,
    to: &Created,
) -> u32 {
    let Some(path) = path else {
        // ERROR_BADKEY
        return 1010;
    };
    if to.key.is_null() || options & !OPTIONS != 0 {
        return error::INVALID_PARAMETER;
    }
    let is_volatile = options & OPTION_VOLATILE != 0;
    let made = key::of_handle(handle, 0).and_then(|key| {
        let path = key.below(split(&path));
        key::create(
            path,
            class.unwrap_or_default(),
            is_volatile,
            true,
            access,
            0,
        )
    });
    match made {
        Ok((made, is_new)) => {
            to.key.write(made);
            // REG_CREATED_NEW_KEY, REG_OPENED_EXISTING_KEY
            to.disposition.write_if_some(if is_new { 1 } else { 2 });
            error::SUCCESS
        }
        Err(status) => dos_error(status),
    }
}

fn delete(handle: Handle, path: Option<Vec<u16>>) -> u32 {
    let Some(path) = path else {
        return error::INVALID_PARAMETER;
    };
    code(key_at(handle, Some(&path), 0).and_then(|key| key.delete()))
}

fn delete_tree(handle: Handle, path: Option<Vec<u16>>) -> u32 {
    let path = path.filter(|path| !path.is_empty());
    let is_own = path.is_none();
    code(
        key_at(handle, path.as_deref(), rights::ENUMERATE_SUB_KEYS).and_then(|key| {
            key.clear()?;
            if is_own { Ok(()) } else { key.delete() }
        }),
    )
}

/// Writes text with its NUL and its length without, if `*size` elements hold it: else `ERROR_MORE_DATA`.
pub(super) fn put_text<T: Guest + Default>(text: &[T], to: Ptr<T>, size: Ptr<u32>) -> u32 {
    if to.is_null() || size.is_null() {
        return error::SUCCESS;
    }
    if (size.read() as usize) <= text.len() {
        return error::MORE_DATA;
    }
    to.write_many(text);
    to.add(text.len()).write(T::default());
    size.write(u32::try_from(text.len()).unwrap_or(u32::MAX));
    error::SUCCESS
}

/// Name, class and time of a subkey.
struct Subkey {
    name: Vec<u16>,
    class: Vec<u16>,
    time_100ns: i64,
}

fn subkey(handle: Handle, index: u32) -> Result<Subkey, NtStatus> {
    key::of_handle(handle, rights::ENUMERATE_SUB_KEYS)?.look(|node| {
        let child = node.children.values().nth(index as usize);
        let child = child.ok_or(NtStatus::NO_MORE_ENTRIES)?;
        Ok(Subkey {
            name: child.name.clone(),
            class: child.class.clone(),
            time_100ns: child.last_write_100ns,
        })
    })
}

/// What `RegQueryInfoKey` tells, in its order; lengths in UTF-16 units, data in bytes.
struct Info {
    class: Vec<u16>,
    subkeys: usize,
    longest_subkey: usize,
    longest_class: usize,
    values: usize,
    longest_value_name: usize,
    longest_data: usize,
    time_100ns: i64,
}

fn info(node: &Node) -> Info {
    Info {
        class: node.class.clone(),
        subkeys: node.children.len(),
        longest_subkey: node.longest_child_name_bytes() / 2,
        longest_class: node.longest_child_class_bytes() / 2,
        values: node.values.len(),
        longest_value_name: node.longest_value_name_bytes() / 2,
        longest_data: node.longest_data_bytes(),
        time_100ns: node.last_write_100ns,
    }
}

impl Info {
    fn write_numbers(&self, to: [Ptr<u32>; 6]) {
        let numbers = [
            self.subkeys,
            self.longest_subkey,
            self.longest_class,
            self.values,
            self.longest_value_name,
            self.longest_data,
        ];
        for (to, number) in to.into_iter().zip(numbers) {
            to.write_if_some(u32::try_from(number).unwrap_or(u32::MAX));
        }
    }
}

win_api! {
    /// Opens a key.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegOpenKeyExW(key: Handle, path: Ptr<u16>, options: u32, access: u32, to: Ptr<Handle>) -> u32 {
        open(key, units_arg(path), access, to)
    }

    /// Opens a key.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegOpenKeyExA(key: Handle, path: Ptr<u8>, options: u32, access: u32, to: Ptr<Handle>) -> u32 {
        open(key, wide_arg(path), access, to)
    }

    /// Opens a key with every right.
    "advapi32.dll" stdcall fn RegOpenKeyW(key: Handle, path: Ptr<u16>, to: Ptr<Handle>) -> u32 {
        open(key, units_arg(path), MAXIMUM_ALLOWED, to)
    }

    /// Opens a key with every right.
    "advapi32.dll" stdcall fn RegOpenKeyA(key: Handle, path: Ptr<u8>, to: Ptr<Handle>) -> u32 {
        open(key, wide_arg(path), MAXIMUM_ALLOWED, to)
    }

    /// Opens the key of the user.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegOpenCurrentUser(access: u32, to: Ptr<Handle>) -> u32 {
        let opened = key::of_handle(Handle(0x8000_0001), 0).and_then(|key| key::open(key.below(Vec::new()), access, 0));
        opened.map_or_else(dos_error, |opened| {
            to.write(opened);
            error::SUCCESS
        })
    }

    /// Opens a key or makes it with the keys above it.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegCreateKeyExW(key: Handle, path: Ptr<u16>, reserved: u32, class: Ptr<u16>, options: u32, access: u32, security: Ptr<u8>, to: Ptr<Handle>, disposition: Ptr<u32>) -> u32 {
        create(key, units_arg(path), units_arg(class), options, access, &Created { key: to, disposition })
    }

    /// Opens a key or makes it with the keys above it.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegCreateKeyExA(key: Handle, path: Ptr<u8>, reserved: u32, class: Ptr<u8>, options: u32, access: u32, security: Ptr<u8>, to: Ptr<Handle>, disposition: Ptr<u32>) -> u32 {
        create(key, wide_arg(path), wide_arg(class), options, access, &Created { key: to, disposition })
    }

    /// Opens a key or makes it, with every right.
    "advapi32.dll" stdcall fn RegCreateKeyW(key: Handle, path: Ptr<u16>, to: Ptr<Handle>) -> u32 {
        create(key, Some(units_arg(path).unwrap_or_default()), None, 0, MAXIMUM_ALLOWED, &Created { key: to, disposition: Ptr::NULL })
    }

    /// Opens a key or makes it, with every right.
    "advapi32.dll" stdcall fn RegCreateKeyA(key: Handle, path: Ptr<u8>, to: Ptr<Handle>) -> u32 {
        create(key, Some(wide_arg(path).unwrap_or_default()), None, 0, MAXIMUM_ALLOWED, &Created { key: to, disposition: Ptr::NULL })
    }

    /// Closes a key; predefined ones stay.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegCloseKey(key: Handle) -> u32 {
        if predefined::path_of(key).is_some() {
            return error::SUCCESS;
        }
        code(key::of_handle(key, 0).and_then(|_| handles::close(key)))
    }

    /// Waits until changes are on the disk.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegFlushKey(key: Handle) -> u32 {
        code(key::of_handle(key, 0).and_then(|_| registry::flush()))
    }

    /// Removes a key without subkeys.
    "advapi32.dll" stdcall fn RegDeleteKeyW(key: Handle, path: Ptr<u16>) -> u32 {
        delete(key, units_arg(path))
    }

    /// Removes a key without subkeys.
    "advapi32.dll" stdcall fn RegDeleteKeyA(key: Handle, path: Ptr<u8>) -> u32 {
        delete(key, wide_arg(path))
    }

    /// Removes a key without subkeys.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegDeleteKeyExW(key: Handle, path: Ptr<u16>, view: u32, reserved: u32) -> u32 {
        delete(key, units_arg(path))
    }

    /// Removes a key without subkeys.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegDeleteKeyExA(key: Handle, path: Ptr<u8>, view: u32, reserved: u32) -> u32 {
        delete(key, wide_arg(path))
    }

    /// Removes a key with all below it, or all below the key of a handle.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegDeleteTreeW(key: Handle, path: Ptr<u16>) -> u32 {
        delete_tree(key, units_arg(path))
    }

    /// Removes a key with all below it, or all below the key of a handle.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegDeleteTreeA(key: Handle, path: Ptr<u8>) -> u32 {
        delete_tree(key, wide_arg(path))
    }

    /// Names a subkey by its place.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegEnumKeyExW(key: Handle, index: u32, name: Ptr<u16>, name_size: Ptr<u32>, reserved: Ptr<u32>, class: Ptr<u16>, class_size: Ptr<u32>, time: Ptr<i64>) -> u32 {
        match subkey(key, index) {
            Ok(child) => {
                time.write_if_some(child.time_100ns);
                match put_text(&child.name, name, name_size) {
                    error::SUCCESS => put_text(&child.class, class, class_size),
                    refused => refused,
                }
            }
            Err(status) => dos_error(status),
        }
    }

    /// Names a subkey by its place.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegEnumKeyExA(key: Handle, index: u32, name: Ptr<u8>, name_size: Ptr<u32>, reserved: Ptr<u32>, class: Ptr<u8>, class_size: Ptr<u32>, time: Ptr<i64>) -> u32 {
        match subkey(key, index) {
            Ok(child) => {
                time.write_if_some(child.time_100ns);
                match put_text(&ansi_of(&child.name), name, name_size) {
                    error::SUCCESS => put_text(&ansi_of(&child.class), class, class_size),
                    refused => refused,
                }
            }
            Err(status) => dos_error(status),
        }
    }

    /// Names a subkey by its place.
    "advapi32.dll" stdcall fn RegEnumKeyW(key: Handle, index: u32, name: Ptr<u16>, size: u32) -> u32 {
        match subkey(key, index) {
            Ok(child) if child.name.len() < size as usize => {
                name.write_many(&child.name);
                name.add(child.name.len()).write(0);
                error::SUCCESS
            }
            Ok(_) => error::MORE_DATA,
            Err(status) => dos_error(status),
        }
    }

    /// Names a subkey by its place.
    "advapi32.dll" stdcall fn RegEnumKeyA(key: Handle, index: u32, name: Ptr<u8>, size: u32) -> u32 {
        match subkey(key, index).map(|child| ansi_of(&child.name)) {
            Ok(child) if child.len() < size as usize => {
                name.write_bytes(&child);
                name.add(child.len()).write(0);
                error::SUCCESS
            }
            Ok(_) => error::MORE_DATA,
            Err(status) => dos_error(status),
        }
    }

    /// Describes a key.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegQueryInfoKeyW(key: Handle, class: Ptr<u16>, class_size: Ptr<u32>, reserved: Ptr<u32>, subkeys: Ptr<u32>, longest_subkey: Ptr<u32>, longest_class: Ptr<u32>, values: Ptr<u32>, longest_value_name: Ptr<u32>, longest_data: Ptr<u32>, security: Ptr<u32>, time: Ptr<i64>) -> u32 {
        match key::of_handle(key, rights::QUERY_VALUE).and_then(|key| key.look(|node| Ok(info(node)))) {
            Ok(info) => {
                info.write_numbers([subkeys, longest_subkey, longest_class, values, longest_value_name, longest_data]);
                security.write_if_some(0);
                time.write_if_some(info.time_100ns);
                put_text(&info.class, class, class_size)
            }
            Err(status) => dos_error(status),
        }
    }

    /// Describes a key.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegQueryInfoKeyA(key: Handle, class: Ptr<u8>, class_size: Ptr<u32>, reserved: Ptr<u32>, subkeys: Ptr<u32>, longest_subkey: Ptr<u32>, longest_class: Ptr<u32>, values: Ptr<u32>, longest_value_name: Ptr<u32>, longest_data: Ptr<u32>, security: Ptr<u32>, time: Ptr<i64>) -> u32 {
        match key::of_handle(key, rights::QUERY_VALUE).and_then(|key| key.look(|node| Ok(info(node)))) {
            Ok(info) => {
                info.write_numbers([subkeys, longest_subkey, longest_class, values, longest_value_name, longest_data]);
                security.write_if_some(0);
                time.write_if_some(info.time_100ns);
                put_text(&ansi_of(&info.class), class, class_size)
            }
            Err(status) => dos_error(status),
        }
    }
}
