//! Time and system information: `sysinfoapi.h`, `profileapi.h`.

use ntlpc_abi::Width;

use super::synchapi::tick_count;
use super::timezoneapi::{SystemTime, local_offset, parts};
use crate::dlls::win32::{ansi_of, error, put_string, refuse};
use crate::export::{Bool, Guest, Ptr};
use crate::guest_struct;
use crate::ob::path::{SYSTEM32, WINDOWS};
use crate::ob::time;
use crate::{vm, width, win_api};

guest_struct! {
    /// `SYSTEM_INFO`.
    pub struct SystemInfo {
        processor_architecture: u16,
        reserved: u16,
        page_size: u32,
        minimum_address: usize,
        maximum_address: usize,
        active_processor_mask: usize,
        number_of_processors: u32,
        processor_type: u32,
        allocation_granularity: u32,
        processor_level: u16,
        processor_revision: u16,
    }
    /// `MEMORYSTATUSEX`.
    pub struct MemoryStatusEx {
        length: u32,
        memory_load: u32,
        total_phys: u64,
        avail_phys: u64,
        total_page_file: u64,
        avail_page_file: u64,
        total_virtual: u64,
        avail_virtual: u64,
        avail_extended_virtual: u64,
    }
}

/// `PROCESSOR_ARCHITECTURE_AMD64`; `PROCESSOR_ARCHITECTURE_INTEL` is 0.
const ARCHITECTURE_AMD64: u16 = 9;
/// `PROCESSOR_AMD_X8664`.
const PROCESSOR_AMD64: u32 = 8664;

/// Describes the machine.
pub fn system_info() -> SystemInfo {
    let processors = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(64);
    let is_wide = width() == Width::X64;
    SystemInfo {
        processor_architecture: if is_wide { ARCHITECTURE_AMD64 } else { 0 },
        reserved: 0,
        page_size: 4096,
        minimum_address: vm::LOWEST,
        maximum_address: if is_wide {
            vm::HIGHEST_X64 - 1
        } else {
            0x7FFE_FFFF
        },
        active_processor_mask: usize::MAX >> (usize::BITS as usize - processors),
        number_of_processors: u32::try_from(processors).unwrap_or(1),
        processor_type: if is_wide { PROCESSOR_AMD64 } else { 586 },
        allocation_granularity: 0x1_0000,
        processor_level: 6,
        processor_revision: 0,
    }
}

fn wide_path(path: &str, buffer: Ptr<u16>, size: u32) -> u32 {
    put_string(&path.encode_utf16().collect::<Vec<u16>>(), buffer, size)
}

win_api! {
    /// Reads the system time.
    "kernel32.dll|kernelbase.dll" stdcall fn GetSystemTimeAsFileTime = "GetSystemTimeAsFileTime|GetSystemTimePreciseAsFileTime" (to: Ptr<i64>) {
        to.write(time::system_time());
    }

    /// Reads the system time in parts.
    "kernel32.dll|kernelbase.dll" stdcall fn GetSystemTime(to: Ptr<SystemTime>) {
        to.write(parts(time::system_time()));
    }

    /// Reads the local time in parts.
    "kernel32.dll|kernelbase.dll" stdcall fn GetLocalTime(to: Ptr<SystemTime>) {
        let now = time::system_time();
        to.write(parts(now + local_offset(now)));
    }

    /// Reads the system time.
    "ntdll.dll" stdcall fn NtQuerySystemTime = "NtQuerySystemTime|ZwQuerySystemTime" (to: Ptr<i64>) -> Result<(), ntlpc_abi::NtStatus> {
        to.try_write(time::system_time())
    }

    /// Converts UTC to local time.
    "kernel32.dll|kernelbase.dll" stdcall fn FileTimeToLocalFileTime(from: Ptr<i64>, to: Ptr<i64>) -> Bool {
        let time = from.read();
        to.write(time + local_offset(time));
        Bool::TRUE
    }

    /// Compares two times.
    "kernel32.dll|kernelbase.dll" stdcall fn CompareFileTime(first: Ptr<u64>, second: Ptr<u64>) -> i32 {
        first.read().cmp(&second.read()) as i32
    }

    /// Returns milliseconds since boot.
    "kernel32.dll|kernelbase.dll" stdcall fn GetTickCount() -> u32 {
        tick_count() as u32
    }

    /// Returns milliseconds since boot.
    "kernel32.dll|kernelbase.dll" stdcall fn GetTickCount64() -> u64 {
        tick_count()
    }

    /// Reads the performance counter.
    "kernel32.dll|kernelbase.dll" stdcall fn QueryPerformanceCounter(to: Ptr<i64>) -> Bool {
        to.write(time::performance_counter());
        Bool::TRUE
    }

    /// Reads the frequency of the performance counter.
    "kernel32.dll|kernelbase.dll" stdcall fn QueryPerformanceFrequency(to: Ptr<i64>) -> Bool {
        to.write(time::UNITS_PER_SECOND);
        Bool::TRUE
    }

    /// Reads the performance counter.
    "ntdll.dll" stdcall fn RtlQueryPerformanceCounter(to: Ptr<i64>) -> Bool {
        to.write(time::performance_counter());
        Bool::TRUE
    }

    /// Reads the frequency of the performance counter.
    "ntdll.dll" stdcall fn RtlQueryPerformanceFrequency(to: Ptr<i64>) -> Bool {
        to.write(time::UNITS_PER_SECOND);
        Bool::TRUE
    }

    /// Returns the time in 100 ns units since 1601, as precise as it is known.
    "ntdll.dll" stdcall fn RtlGetSystemTimePrecise() -> i64 {
        time::system_time()
    }

    /// Reads the performance counter and its frequency.
    "ntdll.dll" stdcall fn NtQueryPerformanceCounter = "NtQueryPerformanceCounter|ZwQueryPerformanceCounter" (to: Ptr<i64>, frequency: Ptr<i64>) -> Result<(), ntlpc_abi::NtStatus> {
        to.try_write(time::performance_counter())?;
        frequency.non_null().map_or(Ok(()), |f| f.try_write(time::UNITS_PER_SECOND))
    }

    /// Describes the machine.
    "kernel32.dll|kernelbase.dll" stdcall fn GetSystemInfo(to: Ptr<SystemInfo>) {
        to.write(system_info());
    }

    /// Describes the machine as a 64-bit program sees it, where there are such.
    "kernel32.dll|kernelbase.dll" stdcall fn GetNativeSystemInfo(to: Ptr<SystemInfo>) {
        let mut info = system_info();
        if crate::is_wow64() {
            info.processor_architecture = ARCHITECTURE_AMD64;
            info.processor_type = PROCESSOR_AMD64;
        }
        to.write(info);
    }

    /// Describes memory.
    "kernel32.dll|kernelbase.dll" stdcall fn GlobalMemoryStatusEx(to: Ptr<MemoryStatusEx>) -> Bool {
        if to.read().length != 64 {
            return refuse(error::INVALID_PARAMETER, Bool::FALSE);
        }
        let info = rustix::system::sysinfo();
        let unit = u64::from(info.mem_unit.max(1));
        let (total, free) = (info.totalram * unit, (info.freeram + info.bufferram) * unit);
        let (swap, free_swap) = (info.totalswap * unit, info.freeswap * unit);
        let space = system_info().maximum_address as u64;
        to.write(MemoryStatusEx {
            length: 64,
            memory_load: u32::try_from((total - free.min(total)) * 100 / total.max(1)).unwrap_or(100),
            total_phys: total,
            avail_phys: free,
            total_page_file: total + swap,
            avail_page_file: free + free_swap,
            total_virtual: space,
            avail_virtual: space - (total - free.min(total)).min(space),
            avail_extended_virtual: 0,
        });
        Bool::TRUE
    }

    /// Returns the Windows directory.
    "kernel32.dll|kernelbase.dll" stdcall fn GetWindowsDirectoryW = "GetWindowsDirectoryW|GetSystemWindowsDirectoryW" (buffer: Ptr<u16>, size: u32) -> u32 {
        wide_path(WINDOWS, buffer, size)
    }

    /// Returns the Windows directory.
    "kernel32.dll|kernelbase.dll" stdcall fn GetWindowsDirectoryA = "GetWindowsDirectoryA|GetSystemWindowsDirectoryA" (buffer: Ptr<u8>, size: u32) -> u32 {
        put_string(WINDOWS.as_bytes(), buffer, size)
    }

    /// Returns the system directory.
    "kernel32.dll|kernelbase.dll" stdcall fn GetSystemDirectoryW(buffer: Ptr<u16>, size: u32) -> u32 {
        wide_path(SYSTEM32, buffer, size)
    }

    /// Returns the system directory.
    "kernel32.dll|kernelbase.dll" stdcall fn GetSystemDirectoryA(buffer: Ptr<u8>, size: u32) -> u32 {
        put_string(SYSTEM32.as_bytes(), buffer, size)
    }

    /// Returns the name of the machine.
    "kernel32.dll|kernelbase.dll" stdcall fn GetComputerNameA(buffer: Ptr<u8>, size: Ptr<u32>) -> Bool {
        let name = ansi_of(&host_name());
        let written = put_string(&name, buffer, size.read());
        size.write(written);
        (written as usize == name.len()).into()
    }

    /// Returns the name of the machine.
    "kernel32.dll|kernelbase.dll" stdcall fn GetComputerNameW(buffer: Ptr<u16>, size: Ptr<u32>) -> Bool {
        let name = host_name();
        let written = put_string(&name, buffer, size.read());
        size.write(written);
        (written as usize == name.len()).into()
    }

    /// Returns a name of the machine (`COMPUTER_NAME_FORMAT`).
    "kernel32.dll|kernelbase.dll" stdcall fn GetComputerNameExW(format: u32, buffer: Ptr<u16>, size: Ptr<u32>) -> Bool {
        put_name(format, buffer, size, |name| name.encode_utf16().collect())
    }

    /// Returns a name of the machine (`COMPUTER_NAME_FORMAT`).
    "kernel32.dll|kernelbase.dll" stdcall fn GetComputerNameExA(format: u32, buffer: Ptr<u8>, size: Ptr<u32>) -> Bool {
        put_name(format, buffer, size, |name| name.as_bytes().to_vec())
    }

    /// Returns whether the processor has a feature (`PF_*`); every x86-64 has those up to SSE3.
    "kernel32.dll|kernelbase.dll" stdcall fn IsProcessorFeaturePresent(feature: u32) -> Bool {
        let has = match feature {
            2 | 3 | 6 | 8 | 9 | 10 | 12 | 13 | 14 | 23 => true,
            17 => std::is_x86_feature_detected!("xsave"),
            22 => std::is_x86_feature_detected!("rdrand"),
            28 => std::is_x86_feature_detected!("rdrand"),
            36 => std::is_x86_feature_detected!("ssse3"),
            37 => std::is_x86_feature_detected!("sse4.1"),
            38 => std::is_x86_feature_detected!("sse4.2"),
            39 => std::is_x86_feature_detected!("avx"),
            40 => std::is_x86_feature_detected!("avx2"),
            41 => std::is_x86_feature_detected!("avx512f"),
            _ => false,
        };
        has.into()
    }

    /// Returns the number of processors.
    "kernel32.dll|kernelbase.dll" stdcall fn GetActiveProcessorCount = "GetActiveProcessorCount|GetMaximumProcessorCount" (_group: u16) -> u32 {
        system_info().number_of_processors
    }

    /// Returns the processor the calling thread runs on.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn GetCurrentProcessorNumber = "GetCurrentProcessorNumber|NtGetCurrentProcessorNumber|RtlGetCurrentProcessorNumber" () -> u32 {
        u32::try_from(rustix::thread::sched_getcpu()).unwrap_or(0)
    }
}

/// Writes a string and a NUL. `size` takes its length, or the size needed with the NUL.
fn put_counted<T: Guest + Default>(units: &[T], buffer: Ptr<T>, size: Ptr<u32>) -> Bool {
    let needed = u32::try_from(units.len() + 1).unwrap_or(u32::MAX);
    let given = size.read();
    if buffer.is_null() || given < needed {
        size.write(needed);
        return refuse(error::MORE_DATA, Bool::FALSE);
    }
    put_string(units, buffer, given);
    size.write(needed - 1);
    Bool::TRUE
}

/// `COMPUTER_NAME_FORMAT`: NetBIOS, DNS host, DNS domain, DNS fully qualified; the physical ones are the same, from 4.
fn put_name<T: Guest + Default>(
    format: u32,
    buffer: Ptr<T>,
    size: Ptr<u32>,
    encode: fn(&str) -> Vec<T>,
) -> Bool {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    let (host, domain) = name.split_once('.').unwrap_or((&name, ""));
    let text = match format {
        0 | 4 => String::from_utf16_lossy(&host_name()),
        1 | 5 => host.to_owned(),
        2 | 6 => domain.to_owned(),
        3 | 7 => name.clone().into_owned(),
        _ => return refuse(error::INVALID_PARAMETER, Bool::FALSE),
    };
    put_counted(&encode(&text), buffer, size)
}

/// Returns the NetBIOS name of the machine.
pub fn host_name() -> Vec<u16> {
    let name = rustix::system::uname();
    name.nodename()
        .to_string_lossy()
        .to_uppercase()
        .encode_utf16()
        .take(15)
        .collect()
}
