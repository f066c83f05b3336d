//! Symbols by address: exports, and functions of the COFF symbol table. There are no line numbers.
//!
//! Source: Microsoft Learn "`SymFromAddr` function", "`SYMBOL_INFO` structure".

use std::sync::atomic::{AtomicU32, Ordering};

use ntlpc_abi::{Handle, UserPtr};
use parking_lot::Mutex;

use super::coff;
use crate::dlls::win32::{ansi_of, error, refuse, units_arg, wide_arg};
use crate::export::{Bool, Guest, Ptr};
use crate::module;
use crate::ob::process::{Process, rights};
use crate::ob::table::lookup;
use crate::{guest_struct, win_api};

/// `ERROR_INVALID_ADDRESS`.
pub const INVALID_ADDRESS: u32 = 487;
/// `SYMOPT_UNDNAME`, which is set at first.
static OPTIONS: AtomicU32 = AtomicU32::new(2);
/// `SYMFLAG_EXPORT`, `SymTagFunction`, `SymTagPublicSymbol`.
const FLAG_EXPORT: u32 = 0x200;
const TAG_FUNCTION: u32 = 5;
const TAG_PUBLIC: u32 = 10;

guest_struct! {
    /// `SYMBOL_INFOW`, `SYMBOL_INFO` up to the name.
    pub struct SymbolInfo {
        size: u32,
        type_index: u32,
        reserved: [u64; 2],
        index: u32,
        bytes: u32,
        module: u64,
        flags: u32,
        value: u64,
        address: u64,
        register: u32,
        scope: u32,
        tag: u32,
        name_length: u32,
        most_name_length: u32,
    }
}

/// Where the name follows: without the padding at the end.
const NAME_AT: u64 = 84;

/// Handles for which there is a session, and the path each searches.
static SESSIONS: Mutex<Vec<(Handle, Vec<u16>)>> = Mutex::new(Vec::new());

/// Returns whether there is a session; an error if not.
pub fn has_session(process: Handle) -> bool {
    SESSIONS.lock().iter().any(|(known, _)| *known == process)
        || refuse(error::INVALID_HANDLE, false)
}

fn initialize(process: Handle, path: Option<Vec<u16>>) -> Bool {
    let mut sessions = SESSIONS.lock();
    if process == Handle::NULL || sessions.iter().any(|(known, _)| *known == process) {
        return refuse(error::INVALID_PARAMETER, Bool::FALSE);
    }
    // Any value may name a session; a handle of another process would want its modules.
    let other = lookup::<Process>(process, rights::QUERY_LIMITED_INFORMATION);
    if other.is_ok_and(|process| !process.is_current()) {
        log::warn!("SymInitialize: there are symbols of the calling process only");
        return refuse(error::NOT_SUPPORTED, Bool::FALSE);
    }
    sessions.push((process, path.unwrap_or_default()));
    Bool::TRUE
}

/// A symbol that was found.
struct Found {
    name: String,
    start: u64,
    size: u32,
    module: u64,
    is_export: bool,
}

/// The function an address lies in: the nearest that starts at or before it.
fn at(address: u64) -> Option<Found> {
    let module = module::containing(address)?;
    let rva = module.view.rva(address)?;
    let table = coff::of(&module);
    let behind = table.partition_point(|(start, _)| *start <= rva);
    let own = behind.checked_sub(1).map(|index| &table[index]);
    let exported = module.exports.and_then(|exports| exports.nearest(rva));
    let end = table
        .get(behind)
        .map_or(module.view.size, |(next, _)| *next);
    let found = |start: u32, name: String, is_export: bool| Found {
        name,
        start: module.view.base + u64::from(start),
        size: end.saturating_sub(start),
        module: module.view.base,
        is_export,
    };
    match (own, exported) {
        (Some((start, name)), Some((_, distance))) if *start >= rva - distance => {
            Some(found(*start, name.clone(), false))
        }
        (_, Some((name, distance))) => Some(found(rva - distance, name, true)),
        (Some((start, name)), None) => Some(found(*start, name.clone(), false)),
        (None, None) => None,
    }
}

/// Describes the symbol at an address; the name is cut where it does not fit.
fn from_address<T: Guest + Default>(
    process: Handle,
    address: u64,
    displacement: Ptr<u64>,
    to: Ptr<SymbolInfo>,
    encode: impl Fn(&str) -> Vec<T>,
) -> Bool {
    if !has_session(process) {
        return Bool::FALSE;
    }
    let given = to.read();
    let Some(found) = at(address) else {
        return refuse(INVALID_ADDRESS, Bool::FALSE);
    };
    let name = encode(&found.name);
    let room = (given.most_name_length as usize).saturating_sub(1);
    let shown = &name[..room.min(name.len())];
    to.write(SymbolInfo {
        type_index: 0,
        reserved: [0; 2],
        index: 0,
        bytes: found.size,
        module: found.module,
        flags: if found.is_export { FLAG_EXPORT } else { 0 },
        value: 0,
        address: found.start,
        register: 0,
        scope: 0,
        tag: if found.is_export {
            TAG_PUBLIC
        } else {
            TAG_FUNCTION
        },
        name_length: name.len() as u32,
        ..given
    });
    if given.most_name_length != 0 {
        let place = to.byte_add(NAME_AT).cast::<T>();
        place.write_many(shown);
        place.add(shown.len()).write(T::default());
    }
    displacement.write_if_some(address - found.start);
    Bool::TRUE
}

/// There are no line numbers.
fn no_line(process: Handle) -> Bool {
    if !has_session(process) {
        return Bool::FALSE;
    }
    refuse(INVALID_ADDRESS, Bool::FALSE)
}

fn search_path(process: Handle) -> Option<Vec<u16>> {
    let sessions = SESSIONS.lock();
    let session = sessions.iter().find(|(known, _)| *known == process);
    session.map(|(_, path)| path.clone())
}

fn set_search_path(process: Handle, path: Option<Vec<u16>>) -> Bool {
    let mut sessions = SESSIONS.lock();
    match sessions.iter_mut().find(|(known, _)| *known == process) {
        Some(session) => {
            session.1 = path.unwrap_or_default();
            Bool::TRUE
        }
        None => refuse(error::INVALID_HANDLE, Bool::FALSE),
    }
}

fn put_search_path<T: Guest + Default>(path: Option<Vec<T>>, to: Ptr<T>, size: u32) -> Bool {
    match path {
        Some(path) if (size as usize) > path.len() => {
            to.write_many(&path);
            to.add(path.len()).write(T::default());
            Bool::TRUE
        }
        Some(_) => refuse(error::INSUFFICIENT_BUFFER, Bool::FALSE),
        None => refuse(error::INVALID_HANDLE, Bool::FALSE),
    }
}

win_api! {
    /// Begins a session for a process, which is the calling one.
    "dbghelp.dll" stdcall fn SymInitialize(process: Handle, path: Ptr<u8>, _invade: Bool) -> Bool {
        initialize(process, wide_arg(path))
    }

    /// Begins a session for a process, which is the calling one.
    "dbghelp.dll" stdcall fn SymInitializeW(process: Handle, path: Ptr<u16>, _invade: Bool) -> Bool {
        initialize(process, units_arg(path))
    }

    /// Ends a session.
    "dbghelp.dll" stdcall fn SymCleanup(process: Handle) -> Bool {
        if !has_session(process) {
            return Bool::FALSE;
        }
        let mut sessions = SESSIONS.lock();
        sessions.retain(|(known, _)| *known != process);
        if sessions.is_empty() {
            coff::forget();
        }
        Bool::TRUE
    }

    /// Sets how symbols are shown; what is set is remembered.
    "dbghelp.dll" stdcall fn SymSetOptions(options: u32) -> u32 {
        OPTIONS.store(options, Ordering::Relaxed);
        options
    }

    /// Returns how symbols are shown.
    "dbghelp.dll" stdcall fn SymGetOptions() -> u32 {
        OPTIONS.load(Ordering::Relaxed)
    }

    /// Sets where files of symbols are looked for.
    "dbghelp.dll" stdcall fn SymSetSearchPath(process: Handle, path: Ptr<u8>) -> Bool {
        set_search_path(process, wide_arg(path))
    }

    /// Sets where files of symbols are looked for.
    "dbghelp.dll" stdcall fn SymSetSearchPathW(process: Handle, path: Ptr<u16>) -> Bool {
        set_search_path(process, units_arg(path))
    }

    /// Returns where files of symbols are looked for.
    "dbghelp.dll" stdcall fn SymGetSearchPath(process: Handle, path: Ptr<u8>, size: u32) -> Bool {
        put_search_path(search_path(process).map(|path| ansi_of(&path)), path, size)
    }

    /// Returns where files of symbols are looked for.
    "dbghelp.dll" stdcall fn SymGetSearchPathW(process: Handle, path: Ptr<u16>, size: u32) -> Bool {
        put_search_path(search_path(process), path, size)
    }

    /// Describes the function an address lies in.
    "dbghelp.dll" stdcall fn SymFromAddr(process: Handle, address: u64, displacement: Ptr<u64>, symbol: Ptr<SymbolInfo>) -> Bool {
        from_address(process, address, displacement, symbol, |name| name.as_bytes().to_vec())
    }

    /// Describes the function an address lies in.
    "dbghelp.dll" stdcall fn SymFromAddrW(process: Handle, address: u64, displacement: Ptr<u64>, symbol: Ptr<SymbolInfo>) -> Bool {
        from_address(process, address, displacement, symbol, |name| name.encode_utf16().collect::<Vec<u16>>())
    }

    /// Finds the source line of an address: none is known.
    "dbghelp.dll" stdcall fn SymGetLineFromAddr64 = "SymGetLineFromAddr64|SymGetLineFromAddrW64" (process: Handle, _address: u64, _displacement: UserPtr, _line: UserPtr) -> Bool {
        no_line(process)
    }

    /// Writes a dump of a process: not done. The last error is an `HRESULT`, as documented.
    "dbghelp.dll" stdcall fn MiniDumpWriteDump(_process: Handle, _id: u32, _file: Handle, _kind: u32, _exception: UserPtr, _stream: UserPtr, _callback: UserPtr) -> Bool {
        log::warn!("MiniDumpWriteDump: dumps are not written");
        refuse(0x8007_0000 | error::NOT_SUPPORTED, Bool::FALSE)
    }
}
