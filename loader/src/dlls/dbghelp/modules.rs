//! Modules of this process as a debugger lists them: `dbghelp.h`.

use ntlpc_abi::{Handle, UserPtr, Width};

use super::symbols::{INVALID_ADDRESS, has_session};
use crate::dlls::win32::{error, refuse};
use crate::exception::unwind;
use crate::export::{Bool, Callback, Ptr};
use crate::module::{self, Module};
use crate::width;
use crate::win_api;

/// `IMAGEHLP_MODULE64` up to the names: size of the structure, base, size, link time, checksum, symbols, kind of symbols.
const MODULE_NAME_AT: u64 = 36;
/// Characters of `ModuleName`, `ImageName`, `LoadedImageName`.
const NAMES: [usize; 3] = [32, 256, 256];
/// `SymNone`.
const NO_SYMBOLS: u32 = 0;

/// Names of a module: its stem, its file, its path.
fn names(module: &Module) -> [String; 3] {
    let stem = module
        .name
        .rsplit_once('.')
        .map_or(module.name.as_str(), |(stem, _)| stem);
    [stem.to_owned(), module.path.clone(), module.path.clone()]
}

/// Fills the start of an `IMAGEHLP_MODULE64`; what the caller's structure has no room for is left out.
fn describe(module: &Module, to: Ptr<u8>) {
    let time = module
        .headers
        .as_ref()
        .map_or(0, |headers| headers.time_stamp);
    to.byte_add(8).cast::<u64>().write(module.view.base);
    for (i, word) in [module.view.size, time, 0, 0, NO_SYMBOLS]
        .into_iter()
        .enumerate()
    {
        to.byte_add(16).cast::<u32>().add(i).write(word);
    }
}

/// Writes the names of a module, each cut to its room.
fn put_names(module: &Module, to: Ptr<u8>, is_wide: bool) {
    let size = to.cast::<u32>().read() as usize;
    let mut at = MODULE_NAME_AT as usize;
    for (name, room) in names(module).iter().zip(NAMES) {
        let unit = if is_wide { 2 } else { 1 };
        if at + room * unit > size {
            return;
        }
        let place = to.byte_add(at as u64);
        if is_wide {
            let mut units: Vec<u16> = name.encode_utf16().take(room - 1).collect();
            units.resize(room, 0);
            place.cast::<u16>().write_many(&units);
        } else {
            let mut bytes: Vec<u8> = name.bytes().take(room - 1).collect();
            bytes.resize(room, 0);
            place.write_bytes(&bytes);
        }
        at += room * unit;
    }
}

fn module_info(process: Handle, address: u64, to: Ptr<u8>, is_wide: bool) -> Bool {
    if !has_session(process) {
        return Bool::FALSE;
    }
    let Some(module) = module::containing(address) else {
        return refuse(error::MOD_NOT_FOUND, Bool::FALSE);
    };
    describe(&module, to);
    put_names(&module, to, is_wide);
    Bool::TRUE
}

/// Arguments of a callback for a module: name, base, size, context.
fn arguments(name: u64, module: &Module, context: UserPtr) -> Vec<u64> {
    let base = match width() {
        Width::X64 => vec![module.view.base],
        Width::X86 => vec![module.view.base & 0xFFFF_FFFF, module.view.base >> 32],
    };
    let mut arguments = vec![name];
    arguments.extend(base);
    arguments.extend([module.view.size.into(), context.0]);
    arguments
}

/// Calls the guest for each module until it has enough. Its frame may vanish, with what was allocated here.
fn enumerate(callback: Callback, context: UserPtr, is_wide: bool) -> Bool {
    for module in module::all() {
        let Some(block) = crate::heap::process().allocate(module.path.len() * 2 + 2, true) else {
            return refuse(error::NOT_ENOUGH_MEMORY, Bool::FALSE);
        };
        if is_wide {
            let units: Vec<u16> = module.path.encode_utf16().collect();
            Ptr::<u16>::new(block).write_many(&units);
        } else {
            Ptr::<u8>::new(block).write_bytes(module.path.as_bytes());
        }
        let goes_on = callback.call(&arguments(block, &module, context)) as u32 != 0;
        let _ = crate::heap::process().free(block);
        if !goes_on {
            break;
        }
    }
    Bool::TRUE
}

/// Address of the entry of the function table for an address; there is none on i386.
pub fn function_entry(address: u64) -> u64 {
    match width() {
        Width::X64 => unwind::lookup(address).map_or(0, |entry| entry.address),
        Width::X86 => 0,
    }
}

/// Base of the module an address lies in, 0 for none.
pub fn base_of(address: u64) -> u64 {
    module::containing(address).map_or(0, |module| module.view.base)
}

win_api! {
    /// Returns the base of the module an address lies in.
    "dbghelp.dll" stdcall fn SymGetModuleBase64(process: Handle, address: u64) -> u64 {
        if !has_session(process) {
            return 0;
        }
        match base_of(address) {
            0 => refuse(error::MOD_NOT_FOUND, 0),
            base => base,
        }
    }

    /// Describes the module an address lies in.
    "dbghelp.dll" stdcall fn SymGetModuleInfo64(process: Handle, address: u64, to: Ptr<u8>) -> Bool {
        module_info(process, address, to, false)
    }

    /// Describes the module an address lies in.
    "dbghelp.dll" stdcall fn SymGetModuleInfoW64(process: Handle, address: u64, to: Ptr<u8>) -> Bool {
        module_info(process, address, to, true)
    }

    /// Takes note of a module; those of the process are known.
    "dbghelp.dll" stdcall fn SymLoadModule64(process: Handle, _file: Handle, _image: Ptr<u8>, _name: Ptr<u8>, base: u64, _size: u32) -> u64 {
        if !has_session(process) {
            return 0;
        }
        match module::at(base) {
            Some(module) => module.view.base,
            None => refuse(error::MOD_NOT_FOUND, 0),
        }
    }

    /// Takes note of a module; those of the process are known.
    "dbghelp.dll" stdcall fn SymLoadModuleEx = "SymLoadModuleEx|SymLoadModuleExW" (process: Handle, file: Handle, _image: UserPtr, _name: UserPtr, base: u64, size: u32, _data: UserPtr, _flags: u32) -> u64 {
        SymLoadModule64(process, file, Ptr::NULL, Ptr::NULL, base, size)
    }

    /// Looks at the modules again; they are looked up as they are.
    "dbghelp.dll" stdcall fn SymRefreshModuleList(process: Handle) -> Bool {
        has_session(process).into()
    }

    /// Finds the entry of the function table for an address.
    "dbghelp.dll" stdcall fn SymFunctionTableAccess64(process: Handle, address: u64) -> UserPtr {
        if !has_session(process) {
            return UserPtr::NULL;
        }
        match function_entry(address) {
            0 => refuse(INVALID_ADDRESS, UserPtr::NULL),
            entry => UserPtr(entry),
        }
    }

    /// Calls a function for each module.
    "dbghelp.dll" stdcall fn EnumerateLoadedModules64(_process: Handle, callback: Callback, context: UserPtr) -> Bool {
        enumerate(callback, context, false)
    }

    /// Calls a function for each module.
    "dbghelp.dll" stdcall fn EnumerateLoadedModulesW64(_process: Handle, callback: Callback, context: UserPtr) -> Bool {
        enumerate(callback, context, true)
    }
}
