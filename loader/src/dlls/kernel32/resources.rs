//! Resources of modules: `libloaderapi.h`.

use super::libloaderapi::{text_a, text_w};
use crate::dlls::win32::refuse;
use crate::export::{Bool, Callback, Ptr};
use crate::heap::blocks;
use crate::image::{Directory, View};
use crate::resource::{self, Key, Missing};
use crate::{module, win_api};

/// Win32 errors of this header.
mod error {
    pub const INVALID_HANDLE: u32 = 6;
    pub const RESOURCE_DATA_NOT_FOUND: u32 = 1812;
    pub const RESOURCE_TYPE_NOT_FOUND: u32 = 1813;
    pub const RESOURCE_NAME_NOT_FOUND: u32 = 1814;
    pub const RESOURCE_LANG_NOT_FOUND: u32 = 1815;
    pub const RESOURCE_ENUM_USER_STOP: u32 = 15106;
}

/// Returns the image of a module and where its resources are; the Win32 error if it has none.
fn resources_of(module: Ptr<u8>) -> Result<(View, u32), u32> {
    let directory = module::at(module.address()).and_then(|module| {
        let directory = module.headers?.directory(Directory::Resource)?;
        Some((module.view, directory.0))
    });
    directory.ok_or(error::RESOURCE_DATA_NOT_FOUND)
}

/// Finds a resource; the address of its `IMAGE_RESOURCE_DATA_ENTRY`, or a Win32 error.
pub fn find(module: Ptr<u8>, kind: &Key, name: &Key, language: u16) -> Result<Ptr<u8>, u32> {
    let (view, root) = resources_of(module)?;
    match resource::find(&view, root, kind, name, language) {
        Ok(entry) => Ok(Ptr::new(entry)),
        Err(Missing::Type) => Err(error::RESOURCE_TYPE_NOT_FOUND),
        Err(Missing::Name) => Err(error::RESOURCE_NAME_NOT_FOUND),
        Err(Missing::Language) => Err(error::RESOURCE_LANG_NOT_FOUND),
    }
}

fn found(module: Ptr<u8>, kind: &Key, name: &Key, language: u16) -> Ptr<u8> {
    find(module, kind, name, language).unwrap_or_else(|code| refuse(code, Ptr::NULL))
}

fn key_w(at: Ptr<u16>) -> Key {
    match u16::try_from(at.address()) {
        Ok(id) => Key::Id(id),
        Err(_) => Key::parse(&text_w(at)),
    }
}

fn key_a(at: Ptr<u8>) -> Key {
    match u16::try_from(at.address()) {
        Ok(id) => Key::Id(id),
        Err(_) => Key::parse(&text_a(at)),
    }
}

fn tell_names(
    module: Ptr<u8>,
    kind: &Key,
    kind_argument: u64,
    callback: Callback,
    argument: usize,
    encode: impl Fn(&str) -> Vec<u8>,
) -> Bool {
    let (view, root) = match resources_of(module) {
        Ok(place) => place,
        Err(code) => return refuse(code, Bool::FALSE),
    };
    let Some(names) = resource::names(&view, root, kind) else {
        return refuse(error::RESOURCE_TYPE_NOT_FOUND, Bool::FALSE);
    };
    for name in names {
        let (told, text) = match name {
            Key::Id(id) => (u64::from(id), None),
            Key::Name(name) => {
                let bytes = encode(&name);
                let text = blocks::allocate(bytes.len());
                Ptr::<u8>::new(text).write_bytes(&bytes);
                (text, Some(text))
            }
        };
        let goes_on = callback.call(&[module.address(), kind_argument, told, argument as u64]);
        if let Some(text) = text {
            blocks::free(text);
        }
        if goes_on as u32 == 0 {
            return refuse(error::RESOURCE_ENUM_USER_STOP, Bool::FALSE);
        }
    }
    Bool::TRUE
}

/// Returns address and bytes of a resource's data.
pub fn data_of(module: Ptr<u8>, resource: Ptr<u8>) -> Option<(Ptr<u8>, u32)> {
    let base = module::at(module.address())?.view.base;
    let words = resource.cast::<u32>();
    Some((
        Ptr::new(base + u64::from(words.read())),
        words.add(1).read(),
    ))
}

win_api! {
    /// Finds a resource by name and type.
    "kernel32.dll|kernelbase.dll" stdcall fn FindResourceW(module: Ptr<u8>, name: Ptr<u16>, kind: Ptr<u16>) -> Ptr<u8> {
        found(module, &key_w(kind), &key_w(name), 0)
    }

    /// Finds a resource by name and type.
    "kernel32.dll|kernelbase.dll" stdcall fn FindResourceA(module: Ptr<u8>, name: Ptr<u8>, kind: Ptr<u8>) -> Ptr<u8> {
        found(module, &key_a(kind), &key_a(name), 0)
    }

    /// Finds a resource by type, name and language.
    "kernel32.dll|kernelbase.dll" stdcall fn FindResourceExW(module: Ptr<u8>, kind: Ptr<u16>, name: Ptr<u16>, language: u16) -> Ptr<u8> {
        found(module, &key_w(kind), &key_w(name), language)
    }

    /// Finds a resource by type, name and language.
    "kernel32.dll|kernelbase.dll" stdcall fn FindResourceExA(module: Ptr<u8>, kind: Ptr<u8>, name: Ptr<u8>, language: u16) -> Ptr<u8> {
        found(module, &key_a(kind), &key_a(name), language)
    }

    /// Tells a callback the names of all resources of a type until it says no.
    "kernel32.dll|kernelbase.dll" stdcall fn EnumResourceNamesW(module: Ptr<u8>, kind: Ptr<u16>, callback: Callback, argument: usize) -> Bool {
        tell_names(module, &key_w(kind), kind.address(), callback, argument, |name| name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect())
    }

    /// Tells a callback the names of all resources of a type until it says no.
    "kernel32.dll|kernelbase.dll" stdcall fn EnumResourceNamesA(module: Ptr<u8>, kind: Ptr<u8>, callback: Callback, argument: usize) -> Bool {
        tell_names(module, &key_a(kind), kind.address(), callback, argument, |name| name.bytes().chain([0]).collect())
    }

    /// Returns the address of a resource's bytes.
    "kernel32.dll|kernelbase.dll" stdcall fn LoadResource(module: Ptr<u8>, resource: Ptr<u8>) -> Ptr<u8> {
        match data_of(module, resource) {
            Some((data, _)) => data,
            None => refuse(error::INVALID_HANDLE, Ptr::NULL),
        }
    }

    /// Returns the address of a loaded resource's bytes.
    "kernel32.dll|kernelbase.dll" stdcall fn LockResource(resource: Ptr<u8>) -> Ptr<u8> {
        resource
    }

    /// Returns how many bytes a resource has.
    "kernel32.dll|kernelbase.dll" stdcall fn SizeofResource(module: Ptr<u8>, resource: Ptr<u8>) -> u32 {
        resource.cast::<u32>().add(1).read()
    }

    /// Forgets a loaded resource; nothing is needed.
    "kernel32.dll|kernelbase.dll" stdcall fn FreeResource(resource: Ptr<u8>) -> Bool {
        Bool::FALSE
    }
}
