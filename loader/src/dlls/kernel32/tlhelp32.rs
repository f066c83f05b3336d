//! Toolhelp: `tlhelp32.h`.

use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use crate::dlls::win32::{INVALID_HANDLE_VALUE, ansi_of, error, failed, or_else, refuse};
use crate::export::{Bool, Guest, Ptr};
use crate::ob::table::{INHERIT, TABLE, lookup};
use crate::process::snapshot::{ModuleEntry, Parts, ProcessEntry, Snapshot};
use crate::{guest_struct, win_api};

guest_struct! {
    /// `PROCESSENTRY32W` before its name.
    pub struct ProcessEntry32 {
        size: u32,
        usage: u32,
        process: u32,
        default_heap: usize,
        module: u32,
        threads: u32,
        parent: u32,
        priority: i32,
        flags: u32,
    }
    /// `THREADENTRY32`.
    pub struct ThreadEntry32 {
        size: u32,
        usage: u32,
        thread: u32,
        owner: u32,
        base_priority: i32,
        delta_priority: i32,
        flags: u32,
    }
    /// `MODULEENTRY32W` before its names.
    pub struct ModuleEntry32 {
        size: u32,
        module: u32,
        process: u32,
        global_usage: u32,
        process_usage: u32,
        base: UserPtr,
        base_size: u32,
        handle: UserPtr,
    }
}

/// Units of the names in the entries.
const PATH: usize = 260;
/// Units of a module's name.
const NAME: usize = 256;

/// A character of either kind of name.
trait Unit: Guest + Default {
    fn encode(text: &str) -> Vec<Self>;
}

impl Unit for u8 {
    fn encode(text: &str) -> Vec<u8> {
        ansi_of(&text.encode_utf16().collect::<Vec<_>>())
    }
}

impl Unit for u16 {
    fn encode(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }
}

/// Writes a name of at most `room - 1` units and its NUL.
fn put_name<T: Unit>(to: Ptr<T>, text: &str, room: usize) {
    let mut units = T::encode(text);
    units.truncate(room - 1);
    units.push(T::default());
    to.write_many(&units);
}

/// Where the names of an entry begin: right behind its last field, without the padding of the whole.
fn behind<T: Unit>(at: Ptr<u8>, end: usize) -> Ptr<T> {
    at.byte_add(end as u64).cast()
}

fn take(flags: u32, process: u32) -> Result<Handle, NtStatus> {
    // TH32CS_SNAPHEAPLIST 1, SNAPPROCESS 2, SNAPTHREAD 4, SNAPMODULE 8, SNAPMODULE32 0x10
    let parts = Parts {
        processes: flags & 2 != 0,
        threads: flags & 4 != 0,
        modules: flags & 0x18 != 0,
    };
    if flags & 1 != 0 {
        log::warn!("CreateToolhelp32Snapshot: heaps are not told");
        return Err(NtStatus::NOT_SUPPORTED);
    }
    if parts.modules && process != 0 && process != std::process::id() {
        // Modules of other processes are theirs to know.
        return Err(NtStatus::PARTIAL_COPY);
    }
    let attributes = if flags & 0x8000_0000 != 0 { INHERIT } else { 0 };
    TABLE.insert(Arc::new(Snapshot::take(parts)), 0xF_001F, attributes)
}

fn put_module<T: Unit>(to: Ptr<u8>, entry: &ModuleEntry) {
    let end = ModuleEntry32::offset_of("handle") + UserPtr::size();
    to.cast::<ModuleEntry32>().write(ModuleEntry32 {
        size: to.cast::<u32>().read(),
        module: 1,
        process: std::process::id(),
        global_usage: 1,
        process_usage: 1,
        base: UserPtr(entry.base),
        base_size: entry.size,
        handle: UserPtr(entry.base),
    });
    let name = behind::<T>(to, end);
    put_name(name, &entry.name, NAME);
    put_name(name.add(NAME), &entry.path, PATH);
}

fn put_process<T: Unit>(to: Ptr<u8>, entry: &ProcessEntry) {
    let end = ProcessEntry32::offset_of("flags") + 4;
    to.cast::<ProcessEntry32>().write(ProcessEntry32 {
        size: to.cast::<u32>().read(),
        usage: 0,
        process: entry.pid,
        default_heap: 0,
        module: 0,
        threads: entry.threads,
        parent: entry.parent,
        // Normal priority.
        priority: 8,
        flags: 0,
    });
    put_name(behind::<T>(to, end), &entry.name, PATH);
}

/// Hands the next entry of a list to `put`; the end of the list is `ERROR_NO_MORE_FILES`.
fn next<E>(
    snapshot: Handle,
    read: impl FnOnce(&Snapshot) -> Option<E>,
    put: impl FnOnce(&E),
) -> Bool {
    match lookup::<Snapshot>(snapshot, 0) {
        Ok(snapshot) => match read(&snapshot) {
            Some(entry) => {
                put(&entry);
                Bool::TRUE
            }
            None => refuse(error::NO_MORE_FILES, Bool::FALSE),
        },
        Err(status) => failed(status, Bool::FALSE),
    }
}

fn thread(snapshot: Handle, to: Ptr<ThreadEntry32>, restarts: bool) -> Bool {
    next(
        snapshot,
        |snapshot| snapshot.thread(restarts),
        |tid| {
            to.write(ThreadEntry32 {
                size: to.cast::<u32>().read(),
                usage: 0,
                thread: *tid,
                owner: std::process::id(),
                base_priority: 8,
                delta_priority: 0,
                flags: 0,
            });
        },
    )
}

win_api! {
    /// Takes a snapshot of modules and threads of this process, and of the processes it knows.
    "kernel32.dll" stdcall fn CreateToolhelp32Snapshot(flags: u32, process: u32) -> Handle {
        or_else(take(flags, process), INVALID_HANDLE_VALUE)
    }

    /// Reads the first module.
    "kernel32.dll" stdcall fn Module32FirstW(snapshot: Handle, to: Ptr<u8>) -> Bool {
        next(snapshot, |s| s.module(true), |entry| put_module::<u16>(to, entry))
    }

    /// Reads the next module.
    "kernel32.dll" stdcall fn Module32NextW(snapshot: Handle, to: Ptr<u8>) -> Bool {
        next(snapshot, |s| s.module(false), |entry| put_module::<u16>(to, entry))
    }

    /// Reads the first module.
    "kernel32.dll" stdcall fn Module32First(snapshot: Handle, to: Ptr<u8>) -> Bool {
        next(snapshot, |s| s.module(true), |entry| put_module::<u8>(to, entry))
    }

    /// Reads the next module.
    "kernel32.dll" stdcall fn Module32Next(snapshot: Handle, to: Ptr<u8>) -> Bool {
        next(snapshot, |s| s.module(false), |entry| put_module::<u8>(to, entry))
    }

    /// Reads the first process.
    "kernel32.dll" stdcall fn Process32FirstW(snapshot: Handle, to: Ptr<u8>) -> Bool {
        next(snapshot, |s| s.process(true), |entry| put_process::<u16>(to, entry))
    }

    /// Reads the next process.
    "kernel32.dll" stdcall fn Process32NextW(snapshot: Handle, to: Ptr<u8>) -> Bool {
        next(snapshot, |s| s.process(false), |entry| put_process::<u16>(to, entry))
    }

    /// Reads the first process.
    "kernel32.dll" stdcall fn Process32First(snapshot: Handle, to: Ptr<u8>) -> Bool {
        next(snapshot, |s| s.process(true), |entry| put_process::<u8>(to, entry))
    }

    /// Reads the next process.
    "kernel32.dll" stdcall fn Process32Next(snapshot: Handle, to: Ptr<u8>) -> Bool {
        next(snapshot, |s| s.process(false), |entry| put_process::<u8>(to, entry))
    }

    /// Reads the first thread.
    "kernel32.dll" stdcall fn Thread32First(snapshot: Handle, to: Ptr<ThreadEntry32>) -> Bool {
        thread(snapshot, to, true)
    }

    /// Reads the next thread.
    "kernel32.dll" stdcall fn Thread32Next(snapshot: Handle, to: Ptr<ThreadEntry32>) -> Bool {
        thread(snapshot, to, false)
    }
}
