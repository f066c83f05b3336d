//! Memory and modules of a process: `psapi.h`.

use ntlpc_abi::{Handle, NtStatus};

use crate::dlls::win32::{ansi_of, error, failed, or_else, put_string, refuse};
use crate::export::{Bool, Guest, Ptr};
use crate::module::{self, Module};
use crate::ob::process::{Process, rights};
use crate::ob::table::lookup;
use crate::process::image;
use crate::{guest_struct, win_api};

guest_struct! {
    /// `PERFORMANCE_INFORMATION`.
    pub struct PerformanceInformation {
        size: u32,
        commit_total: usize,
        commit_limit: usize,
        commit_peak: usize,
        physical_total: usize,
        physical_available: usize,
        system_cache: usize,
        kernel_total: usize,
        kernel_paged: usize,
        kernel_nonpaged: usize,
        page_size: usize,
        handle_count: u32,
        process_count: u32,
        thread_count: u32,
    }
    /// `PROCESS_MEMORY_COUNTERS`.
    pub struct MemoryCounters {
        size: u32,
        page_faults: u32,
        peak_working_set: usize,
        working_set: usize,
        quotas: [usize; 4],
        page_file_usage: usize,
        peak_page_file_usage: usize,
    }
    /// `MODULEINFO`.
    pub struct ModuleInfo {
        base: Ptr<u8>,
        size: u32,
        entry_point: Ptr<u8>,
    }
}

/// Reads memory counters of a process. Source: `man 5 proc_pid_status`, kibibytes; `man 5 proc_pid_stat`, fields 10 and 12.
fn counters(pid: u32) -> Option<MemoryCounters> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
        number
            .and_then(|number| number.parse::<usize>().ok())
            .unwrap_or(0)
            << 10
    };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let faults = |at: usize| {
        fields
            .get(at)
            .and_then(|field| field.parse::<u64>().ok())
            .unwrap_or(0)
    };
    let private = bytes("RssAnon") + bytes("VmSwap");
    Some(MemoryCounters {
        size: u32::try_from(MemoryCounters::size()).unwrap_or(0),
        page_faults: u32::try_from(faults(7) + faults(9)).unwrap_or(u32::MAX),
        peak_working_set: bytes("VmHWM"),
        working_set: bytes("VmRSS"),
        quotas: [0; 4],
        page_file_usage: private,
        peak_page_file_usage: private,
    })
}

fn process_of(handle: Handle) -> Result<std::sync::Arc<Process>, NtStatus> {
    lookup::<Process>(handle, rights::QUERY_LIMITED_INFORMATION)
}

/// The module of this process at `base`; NULL is the program. Modules of other processes are not known.
fn module_of(process: Handle, base: Ptr<u8>) -> Result<Module, NtStatus> {
    if !process_of(process)?.is_current() {
        return Err(NtStatus::NOT_SUPPORTED);
    }
    module::at(base.address()).ok_or(NtStatus::INVALID_HANDLE)
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

/// Writes a name with a NUL if it fits; returns its length, or 0.
fn put_fitting<T: Guest + Default>(name: &[T], to: Ptr<T>, size: u32) -> u32 {
    match name.len() < size as usize {
        true => put_string(name, to, size),
        false => refuse(error::INSUFFICIENT_BUFFER, 0),
    }
}

/// Writes as much of a name as fits, with a NUL; returns its length.
fn put_name<T: Guest + Default>(name: &[T], to: Ptr<T>, size: u32) -> u32 {
    let fits = name.len().min((size as usize).saturating_sub(1));
    put_string(&name[..fits], to, size)
}

/// The path of a process's program, `is_native` with the name of its device.
fn program_of(handle: Handle, is_native: bool) -> Result<Vec<u16>, NtStatus> {
    let path = image::windows_path(&*process_of(handle)?)?;
    Ok(wide(&match is_native {
        true => crate::ob::volume::device_path(&path),
        false => path,
    }))
}

/// Writes a path for `QueryFullProcessImageName`, whose size is in and out.
fn put_program<T: Guest + Default>(
    path: Result<Vec<T>, NtStatus>,
    to: Ptr<T>,
    size: Ptr<u32>,
) -> Bool {
    match path {
        Ok(path) if path.len() < size.read() as usize => {
            size.write(put_string(&path, to, size.read()));
            Bool::TRUE
        }
        Ok(_) => refuse(error::INSUFFICIENT_BUFFER, Bool::FALSE),
        Err(status) => failed(status, Bool::FALSE),
    }
}

/// `PROCESS_NAME_NATIVE`.
const NATIVE: u32 = 1;

/// Reads `/proc`: what Linux calls slab is the kernel's memory, reclaimable or not, and its open files are the handles. It keeps no
/// peak of what was committed: that is the present value.
fn performance() -> PerformanceInformation {
    const PAGE_KIB: usize = 4;
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let pages = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<usize>().ok());
        kib.unwrap_or(0) / PAGE_KIB
    };
    let files = std::fs::read_to_string("/proc/sys/fs/file-nr").unwrap_or_default();
    let files = files.split_whitespace().next();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let threads = load
        .split_whitespace()
        .nth(3)
        .and_then(|both| both.split('/').nth(1)?.parse().ok());
    let names = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_process =
        |name: std::ffi::OsString| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let committed = pages("Committed_AS");
    PerformanceInformation {
        size: u32::try_from(PerformanceInformation::size()).unwrap_or(0),
        commit_total: committed,
        commit_limit: pages("MemTotal") + pages("SwapTotal"),
        commit_peak: committed,
        physical_total: pages("MemTotal"),
        physical_available: pages("MemAvailable"),
        system_cache: pages("Cached"),
        kernel_total: pages("Slab"),
        kernel_paged: pages("SReclaimable"),
        kernel_nonpaged: pages("SUnreclaim"),
        page_size: PAGE_KIB * 1024,
        handle_count: files.and_then(|count| count.parse().ok()).unwrap_or(0),
        process_count: u32::try_from(names.filter(|entry| is_process(entry.file_name())).count())
            .unwrap_or(0),
        thread_count: threads.unwrap_or(0),
    }
}

win_api! {
    /// Describes memory and processes of the machine; sizes are pages.
    "kernel32.dll|kernelbase.dll|psapi.dll" stdcall fn K32GetPerformanceInfo = "K32GetPerformanceInfo|GetPerformanceInfo" (to: Ptr<PerformanceInformation>, size: u32) -> Bool {
        if (size as usize) < PerformanceInformation::size() {
            return refuse(error::BAD_LENGTH, Bool::FALSE);
        }
        to.write(performance());
        Bool::TRUE
    }

    /// Returns the path of the program that a process runs.
    "kernel32.dll|kernelbase.dll" stdcall fn QueryFullProcessImageNameW(process: Handle, flags: u32, to: Ptr<u16>, size: Ptr<u32>) -> Bool {
        put_program(program_of(process, flags & NATIVE != 0), to, size)
    }

    /// Returns the path of the program that a process runs.
    "kernel32.dll|kernelbase.dll" stdcall fn QueryFullProcessImageNameA(process: Handle, flags: u32, to: Ptr<u8>, size: Ptr<u32>) -> Bool {
        put_program(program_of(process, flags & NATIVE != 0).map(|path| ansi_of(&path)), to, size)
    }

    /// Returns the path of the program that a process runs, with the name of its device.
    "kernel32.dll|kernelbase.dll|psapi.dll" stdcall fn K32GetProcessImageFileNameW = "K32GetProcessImageFileNameW|GetProcessImageFileNameW" (process: Handle, to: Ptr<u16>, size: u32) -> u32 {
        or_else(program_of(process, true).map(|path| put_fitting(&path, to, size)), 0)
    }

    /// Returns the path of the program that a process runs, with the name of its device.
    "kernel32.dll|kernelbase.dll|psapi.dll" stdcall fn K32GetProcessImageFileNameA = "K32GetProcessImageFileNameA|GetProcessImageFileNameA" (process: Handle, to: Ptr<u8>, size: u32) -> u32 {
        or_else(program_of(process, true).map(|path| put_fitting(&ansi_of(&path), to, size)), 0)
    }

    /// Reads how much memory a process uses.
    "kernel32.dll|kernelbase.dll|psapi.dll" stdcall fn K32GetProcessMemoryInfo = "K32GetProcessMemoryInfo|GetProcessMemoryInfo" (process: Handle, to: Ptr<MemoryCounters>, size: u32) -> Bool {
        let with_private = MemoryCounters::size() + usize::size();
        if (size as usize) < MemoryCounters::size() {
            return refuse(error::INSUFFICIENT_BUFFER, Bool::FALSE);
        }
        match process_of(process).and_then(|process| counters(process.pid).ok_or(NtStatus::PROCESS_IS_TERMINATING)) {
            Ok(counters) => {
                to.write(counters);
                // PROCESS_MEMORY_COUNTERS_EX: PrivateUsage
                if size as usize >= with_private {
                    to.byte_add(MemoryCounters::size() as u64).cast::<usize>().write(counters.page_file_usage);
                }
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Lists the modules of this process; the program comes first.
    "kernel32.dll|kernelbase.dll|psapi.dll" stdcall fn K32EnumProcessModulesEx = "K32EnumProcessModulesEx|EnumProcessModulesEx" (process: Handle, to: Ptr<Ptr<u8>>, size: u32, needed: Ptr<u32>, _filter: u32) -> Bool {
        match process_of(process) {
            Ok(process) if process.is_current() => {
                let modules = module::all();
                let room = size as usize / Ptr::<u8>::size();
                for (i, module) in modules.iter().take(room).enumerate() {
                    to.add(i).write(Ptr::new(module.view.base));
                }
                needed.write(u32::try_from(modules.len() * Ptr::<u8>::size()).unwrap_or(u32::MAX));
                Bool::TRUE
            }
            Ok(_) => failed(NtStatus::NOT_SUPPORTED, Bool::FALSE),
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Lists the modules of this process; the program comes first.
    "kernel32.dll|kernelbase.dll|psapi.dll" stdcall fn K32EnumProcessModules = "K32EnumProcessModules|EnumProcessModules" (process: Handle, to: Ptr<Ptr<u8>>, size: u32, needed: Ptr<u32>) -> Bool {
        K32EnumProcessModulesEx(process, to, size, needed, 0)
    }

    /// Describes where a module of this process lies.
    "kernel32.dll|kernelbase.dll|psapi.dll" stdcall fn K32GetModuleInformation = "K32GetModuleInformation|GetModuleInformation" (process: Handle, base: Ptr<u8>, to: Ptr<ModuleInfo>, size: u32) -> Bool {
        if (size as usize) < ModuleInfo::size() {
            return refuse(error::INSUFFICIENT_BUFFER, Bool::FALSE);
        }
        match module_of(process, base) {
            Ok(module) => {
                let base = Ptr::<u8>::new(module.view.base);
                // AddressOfEntryPoint is 16 bytes into the optional header, which follows 24 bytes of the NT headers.
                let headers = base.byte_add(base.byte_add(0x3c).cast::<u32>().read().into());
                let entry = headers.byte_add(24 + 16).cast::<u32>().read();
                let entry_point = if entry == 0 { Ptr::NULL } else { base.byte_add(entry.into()) };
                to.write(ModuleInfo { base, size: module.view.size, entry_point });
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Returns the file name of a module of this process.
    "kernel32.dll|kernelbase.dll|psapi.dll" stdcall fn K32GetModuleBaseNameW = "K32GetModuleBaseNameW|GetModuleBaseNameW" (process: Handle, base: Ptr<u8>, to: Ptr<u16>, size: u32) -> u32 {
        or_else(module_of(process, base).map(|module| put_name(&wide(&module.name), to, size)), 0)
    }

    /// Returns the file name of a module of this process.
    "kernel32.dll|kernelbase.dll|psapi.dll" stdcall fn K32GetModuleBaseNameA = "K32GetModuleBaseNameA|GetModuleBaseNameA" (process: Handle, base: Ptr<u8>, to: Ptr<u8>, size: u32) -> u32 {
        or_else(module_of(process, base).map(|module| put_name(&ansi_of(&wide(&module.name)), to, size)), 0)
    }

    /// Returns the path of a module of this process.
    "kernel32.dll|kernelbase.dll|psapi.dll" stdcall fn K32GetModuleFileNameExW = "K32GetModuleFileNameExW|GetModuleFileNameExW" (process: Handle, base: Ptr<u8>, to: Ptr<u16>, size: u32) -> u32 {
        or_else(module_of(process, base).map(|module| put_name(&wide(&module.path), to, size)), 0)
    }

    /// Returns the path of a module of this process.
    "kernel32.dll|kernelbase.dll|psapi.dll" stdcall fn K32GetModuleFileNameExA = "K32GetModuleFileNameExA|GetModuleFileNameExA" (process: Handle, base: Ptr<u8>, to: Ptr<u8>, size: u32) -> u32 {
        or_else(module_of(process, base).map(|module| put_name(&ansi_of(&wide(&module.path)), to, size)), 0)
    }
}
