//! Modules and their exports: `libloaderapi.h`.

use crate::export::{Bool, Callback, Guest, Ptr};
use crate::image::ImportName;
use crate::module::{self, LoadError, SearchFlags};
use crate::win_api;
use crate::{teb, thread};

/// Win32 errors of this header.
mod error {
    pub const INVALID_HANDLE: u32 = 6;
    pub const INVALID_PARAMETER: u32 = 87;
    pub const INSUFFICIENT_BUFFER: u32 = 122;
    pub const MOD_NOT_FOUND: u32 = 126;
    pub const PROC_NOT_FOUND: u32 = 127;
    pub const BAD_EXE_FORMAT: u32 = 193;
    pub const DLL_INIT_FAILED: u32 = 1114;
}

const DONT_RESOLVE_DLL_REFERENCES: u32 = 0x1;
const LOAD_LIBRARY_AS_DATAFILE: u32 = 0x2;
const LOAD_LIBRARY_AS_IMAGE_RESOURCE: u32 = 0x20;
const LOAD_LIBRARY_AS_DATAFILE_EXCLUSIVE: u32 = 0x40;
const LOAD_LIBRARY_SEARCH_SYSTEM32: u32 = 0x800;

const GET_MODULE_HANDLE_EX_FLAG_PIN: u32 = 1;
const GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT: u32 = 2;
const GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS: u32 = 4;

/// Reads a byte string of the program; the code page of programs is UTF-8.
pub(crate) fn text_a(at: Ptr<u8>) -> String {
    String::from_utf8_lossy(&at.read_c_string()).into_owned()
}

/// Reads a wide string of the program.
pub(crate) fn text_w(at: Ptr<u16>) -> String {
    String::from_utf16_lossy(&at.read_wide_string())
}

fn fail<T>(code: u32, value: T) -> T {
    teb::set_last_error(code);
    value
}

fn load_error(error: &LoadError) -> u32 {
    match error {
        LoadError::NotFound(_) => error::MOD_NOT_FOUND,
        LoadError::InitFailed(_) => error::DLL_INIT_FAILED,
        LoadError::Image(..) => error::BAD_EXE_FORMAT,
    }
}

fn handle_of(name: Option<String>) -> Ptr<u8> {
    let found = match name {
        None => module::at(0),
        Some(name) => module::find(&name),
    };
    match found {
        Some(module) => Ptr::new(module.view.base),
        None => fail(error::MOD_NOT_FOUND, Ptr::NULL),
    }
}

fn load(name: &str, flags: u32) -> Ptr<u8> {
    let data = LOAD_LIBRARY_AS_DATAFILE
        | LOAD_LIBRARY_AS_IMAGE_RESOURCE
        | LOAD_LIBRARY_AS_DATAFILE_EXCLUSIVE;
    let search = SearchFlags {
        is_system_only: flags & LOAD_LIBRARY_SEARCH_SYSTEM32 != 0,
        is_data: flags & data != 0,
        is_bare: flags & DONT_RESOLVE_DLL_REFERENCES != 0,
    };
    match module::load(name, search) {
        Ok(base) if module::at(base).is_some_and(|module| module.is_data) => {
            // Handles of data are marked: 1 for a file, 2 for an image.
            let mark = if flags & LOAD_LIBRARY_AS_IMAGE_RESOURCE != 0 {
                2
            } else {
                1
            };
            Ptr::new(base | mark)
        }
        Ok(base) => Ptr::new(base),
        Err(error) => fail(load_error(&error), Ptr::NULL),
    }
}

/// Names below 64 KiB are ordinals.
fn import_name(name: Ptr<u8>) -> ImportName {
    match u16::try_from(name.address()) {
        Ok(ordinal) => ImportName::Ordinal(ordinal),
        Err(_) => ImportName::Name(text_a(name)),
    }
}

fn module_handle_ex(
    flags: u32,
    name: impl FnOnce() -> Option<String>,
    address: u64,
    out: Ptr<Ptr<u8>>,
) -> Bool {
    out.write(Ptr::NULL);
    let found = if flags & GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS != 0 {
        module::containing(address)
    } else {
        match name() {
            None => module::at(0),
            Some(name) => module::find(&name),
        }
    };
    let Some(module) = found else {
        return fail(error::MOD_NOT_FOUND, Bool::FALSE);
    };
    if flags & GET_MODULE_HANDLE_EX_FLAG_PIN != 0 {
        module::pin(module.view.base);
    } else if flags & GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT == 0 {
        module::add_reference(module.view.base);
    }
    out.write(Ptr::new(module.view.base));
    Bool::TRUE
}

/// Stores a module's path in units of `T`; returns the length stored.
fn file_name<T: Guest>(
    module: Ptr<u8>,
    buffer: Ptr<T>,
    size: u32,
    encode: impl Fn(&str) -> Vec<T>,
    zero: T,
) -> u32 {
    let Some(module) = module::at(module.address()) else {
        return fail(error::MOD_NOT_FOUND, 0);
    };
    let units = encode(&module.path);
    let Some(room) = (size as usize).checked_sub(1) else {
        return fail(error::INSUFFICIENT_BUFFER, 0);
    };
    let stored = units.len().min(room);
    buffer.write_many(&units[..stored]);
    buffer.add(stored).write(zero);
    if stored < units.len() {
        return fail(error::INSUFFICIENT_BUFFER, size);
    }
    teb::set_last_error(0);
    stored as u32
}

win_api! {
    /// Returns the base of a loaded module, or of the program.
    "kernel32.dll|kernelbase.dll" stdcall fn GetModuleHandleA(name: Ptr<u8>) -> Ptr<u8> {
        handle_of(name.non_null().map(text_a))
    }

    /// Returns the base of a loaded module, or of the program.
    "kernel32.dll|kernelbase.dll" stdcall fn GetModuleHandleW(name: Ptr<u16>) -> Ptr<u8> {
        handle_of(name.non_null().map(text_w))
    }

    /// Returns the base of a loaded module by name or address, counting a reference.
    "kernel32.dll|kernelbase.dll" stdcall fn GetModuleHandleExA(flags: u32, name: Ptr<u8>, module: Ptr<Ptr<u8>>) -> Bool {
        module_handle_ex(flags, || name.non_null().map(text_a), name.address(), module)
    }

    /// Returns the base of a loaded module by name or address, counting a reference.
    "kernel32.dll|kernelbase.dll" stdcall fn GetModuleHandleExW(flags: u32, name: Ptr<u16>, module: Ptr<Ptr<u8>>) -> Bool {
        module_handle_ex(flags, || name.non_null().map(text_w), name.address(), module)
    }

    /// Loads a DLL.
    "kernel32.dll|kernelbase.dll" stdcall fn LoadLibraryA(name: Ptr<u8>) -> Ptr<u8> {
        load(&text_a(name), 0)
    }

    /// Loads a DLL.
    "kernel32.dll|kernelbase.dll" stdcall fn LoadLibraryW(name: Ptr<u16>) -> Ptr<u8> {
        load(&text_w(name), 0)
    }

    /// Loads a DLL with options.
    "kernel32.dll|kernelbase.dll" stdcall fn LoadLibraryExA(name: Ptr<u8>, file: Ptr<u8>, flags: u32) -> Ptr<u8> {
        if !file.is_null() {
            return fail(error::INVALID_PARAMETER, Ptr::NULL);
        }
        load(&text_a(name), flags)
    }

    /// Loads a DLL with options.
    "kernel32.dll|kernelbase.dll" stdcall fn LoadLibraryExW(name: Ptr<u16>, file: Ptr<u8>, flags: u32) -> Ptr<u8> {
        if !file.is_null() {
            return fail(error::INVALID_PARAMETER, Ptr::NULL);
        }
        load(&text_w(name), flags)
    }

    /// Gives one reference to a DLL up; the last one unloads it.
    "kernel32.dll|kernelbase.dll" stdcall fn FreeLibrary(module: Ptr<u8>) -> Bool {
        if module::unload(module.address()) { Bool::TRUE } else { fail(error::INVALID_HANDLE, Bool::FALSE) }
    }

    /// Gives one reference to a DLL up and ends the thread.
    "kernel32.dll|kernelbase.dll" stdcall fn FreeLibraryAndExitThread(module: Ptr<u8>, code: u32) {
        module::unload(module.address());
        thread::exit(code)
    }

    /// Returns the address of an export; NULL for what is not there.
    "kernel32.dll|kernelbase.dll" stdcall fn GetProcAddress(module: Ptr<u8>, name: Ptr<u8>) -> Callback {
        let name = import_name(name);
        match module::proc_address(module.address(), &name) {
            Some(address) => Callback(address),
            None => {
                log::debug!("GetProcAddress({}): {name} is not there", module::describe(module.address()));
                fail(error::PROC_NOT_FOUND, Callback(0))
            }
        }
    }

    /// Stores the path of a module.
    "kernel32.dll|kernelbase.dll" stdcall fn GetModuleFileNameA(module: Ptr<u8>, buffer: Ptr<u8>, size: u32) -> u32 {
        file_name(module, buffer, size, |path| path.as_bytes().to_vec(), 0)
    }

    /// Stores the path of a module.
    "kernel32.dll|kernelbase.dll" stdcall fn GetModuleFileNameW(module: Ptr<u8>, buffer: Ptr<u16>, size: u32) -> u32 {
        file_name(module, buffer, size, |path| path.encode_utf16().collect(), 0)
    }

    /// Says that a DLL wants no news of threads.
    "kernel32.dll|kernelbase.dll" stdcall fn DisableThreadLibraryCalls(module: Ptr<u8>) -> Bool {
        if module::disable_thread_calls(module.address()) {
            Bool::TRUE
        } else {
            fail(error::INVALID_HANDLE, Bool::FALSE)
        }
    }
}
