//! What the system tells of itself: `NtQuerySystemInformation`.
//!
//! Classes and layouts: Microsoft Learn `NtQuerySystemInformation`; phnt `ntexapi.h`.

use ntlpc_abi::{Handle, NtStatus};

use crate::dlls::kernel32::sysinfoapi::system_info;
use crate::dlls::kernel32::systemtopologyapi::processor_times;
use crate::export::{Guest, Ptr};
use crate::ob::attributes::UnicodeString;
use crate::ob::time;
use crate::process::snapshot::{Parts, ProcessEntry, Snapshot};
use crate::{guest_struct, win_api};

guest_struct! {
    /// `SYSTEM_BASIC_INFORMATION`.
    pub struct BasicInformation {
        reserved: u32,
        timer_resolution_100ns: u32,
        page_size: u32,
        physical_pages: u32,
        lowest_page: u32,
        highest_page: u32,
        allocation_granularity: u32,
        minimum_address: usize,
        maximum_address: usize,
        active_processors: usize,
        processors: u8,
    }
    /// `SYSTEM_PROCESSOR_INFORMATION`.
    pub struct ProcessorInformation {
        architecture: u16,
        level: u16,
        revision: u16,
        maximum_processors: u16,
        features: u32,
    }
    /// `SYSTEM_PERFORMANCE_INFORMATION` up to the memory counters; the rest is zero.
    pub struct PerformanceInformation {
        idle_time: i64,
        transferred: [i64; 3],
        operations: [u32; 3],
        available_pages: u32,
        committed_pages: u32,
        commit_limit: u32,
        peak_commitment: u32,
        rest: [u32; 63],
    }
    /// `SYSTEM_TIMEOFDAY_INFORMATION`.
    pub struct TimeOfDayInformation {
        boot_time: i64,
        current_time: i64,
        time_zone_bias: i64,
        time_zone_id: u32,
        reserved: u32,
        boot_time_bias: u64,
        sleep_time_bias: u64,
    }
    /// `SYSTEM_PROCESSOR_PERFORMANCE_INFORMATION`.
    pub struct ProcessorPerformanceInformation {
        idle_time: i64,
        kernel_time: i64,
        user_time: i64,
        dpc_time: i64,
        interrupt_time: i64,
        interrupts: u32,
        reserved: u32,
    }
    /// `SYSTEM_PROCESS_INFORMATION` without its threads.
    pub struct ProcessInformation {
        next_entry: u32,
        threads: u32,
        private_working_set: i64,
        hard_faults: u32,
        most_threads: u32,
        cycles: u64,
        create_time: i64,
        user_time: i64,
        kernel_time: i64,
        image_name: UnicodeString,
        base_priority: i32,
        process: Handle,
        parent: Handle,
        handles: u32,
        session: u32,
        key: usize,
        peak_virtual_size: usize,
        virtual_size: usize,
        page_faults: u32,
        peak_working_set: usize,
        working_set: usize,
        quotas: [usize; 4],
        page_file_usage: usize,
        peak_page_file_usage: usize,
        private_pages: usize,
        io: [i64; 6],
    }
}

/// `NORMAL_PRIORITY_CLASS` as a base priority.
const NORMAL_PRIORITY: i32 = 8;

/// Writes one structure. Returns `INFO_LENGTH_MISMATCH`, with the length needed, unless `is_right` takes the length.
fn put<T: Guest>(
    to: Ptr<u8>,
    length: u32,
    returned: Ptr<u32>,
    is_right: fn(usize, usize) -> bool,
    value: T,
) -> Result<(), NtStatus> {
    if let Some(returned) = returned.non_null() {
        returned.try_write(u32::try_from(T::size()).unwrap_or(u32::MAX))?;
    }
    if !is_right(length as usize, T::size()) {
        return Err(NtStatus::INFO_LENGTH_MISMATCH);
    }
    to.cast::<T>().try_write(value)
}

fn basic() -> BasicInformation {
    let info = system_info();
    let pages = memory_pages().0;
    BasicInformation {
        reserved: 0,
        timer_resolution_100ns: 156_250,
        page_size: info.page_size,
        physical_pages: pages,
        lowest_page: 1,
        highest_page: pages,
        allocation_granularity: info.allocation_granularity,
        minimum_address: info.minimum_address,
        maximum_address: info.maximum_address,
        active_processors: info.active_processor_mask,
        processors: u8::try_from(info.number_of_processors).unwrap_or(u8::MAX),
    }
}

/// Physical pages: all, and those not in use.
fn memory_pages() -> (u32, u32) {
    let info = rustix::system::sysinfo();
    let pages = |amount: u64| {
        u32::try_from(amount * u64::from(info.mem_unit.max(1)) / 4096).unwrap_or(u32::MAX)
    };
    (pages(info.totalram), pages(info.freeram + info.bufferram))
}

fn performance() -> PerformanceInformation {
    let (pages, free) = memory_pages();
    PerformanceInformation {
        idle_time: processor_times().first().map_or(0, |times| times[0]),
        transferred: [0; 3],
        operations: [0; 3],
        available_pages: free,
        committed_pages: pages.saturating_sub(free),
        commit_limit: pages,
        peak_commitment: pages.saturating_sub(free),
        rest: [0; 63],
    }
}

fn time_of_day() -> TimeOfDayInformation {
    let now = time::system_time();
    let (seconds, _) = time::to_unix(now);
    let zone = jiff::tz::TimeZone::system();
    let ahead = jiff::Timestamp::from_second(seconds).map_or(0, |at| zone.to_offset(at).seconds());
    TimeOfDayInformation {
        boot_time: now - time::interrupt_time(),
        current_time: now,
        time_zone_bias: -i64::from(ahead) * time::UNITS_PER_SECOND,
        time_zone_id: 0,
        reserved: 0,
        boot_time_bias: 0,
        sleep_time_bias: 0,
    }
}

fn processors(to: Ptr<u8>, length: u32, returned: Ptr<u32>) -> Result<(), NtStatus> {
    let size = ProcessorPerformanceInformation::size();
    let all = processor_times();
    let each = all.get(1..).unwrap_or_default();
    let count = each.len().min(length as usize / size);
    if count == 0 {
        return Err(NtStatus::INFO_LENGTH_MISMATCH);
    }
    for (i, &[idle_time, kernel_time, user_time]) in each.iter().take(count).enumerate() {
        let entry = ProcessorPerformanceInformation {
            idle_time,
            kernel_time,
            user_time,
            dpc_time: 0,
            interrupt_time: 0,
            interrupts: 0,
            reserved: 0,
        };
        to.cast::<ProcessorPerformanceInformation>()
            .add(i)
            .try_write(entry)?;
    }
    match returned.non_null() {
        Some(returned) => returned.try_write(u32::try_from(count * size).unwrap_or(u32::MAX)),
        None => Ok(()),
    }
}

/// Lists this process and those it has started or opened, without their threads.
fn processes(to: Ptr<u8>, length: u32, returned: Ptr<u32>) -> Result<(), NtStatus> {
    let snapshot = Snapshot::take(Parts {
        processes: true,
        ..Parts::default()
    });
    let mut entries = Vec::new();
    while let Some(entry) = snapshot.process(entries.is_empty()) {
        entries.push(entry);
    }
    let bytes = |entry: &ProcessEntry| {
        (ProcessInformation::size() + (entry.name.encode_utf16().count() + 1) * 2)
            .next_multiple_of(8)
    };
    let needed: usize = entries.iter().map(bytes).sum();
    if let Some(returned) = returned.non_null() {
        returned.try_write(u32::try_from(needed).unwrap_or(u32::MAX))?;
    }
    if needed > length as usize {
        return Err(NtStatus::INFO_LENGTH_MISMATCH);
    }
    let mut at = to;
    for (i, entry) in entries.iter().enumerate() {
        let size = bytes(entry);
        let is_last = i + 1 == entries.len();
        let next = if is_last {
            0
        } else {
            u32::try_from(size).unwrap_or(0)
        };
        put_process(at, entry, next)?;
        at = at.byte_add(size as u64);
    }
    Ok(())
}

fn put_process(at: Ptr<u8>, entry: &ProcessEntry, next_entry: u32) -> Result<(), NtStatus> {
    let name: Vec<u8> = entry
        .name
        .encode_utf16()
        .chain([0])
        .flat_map(u16::to_le_bytes)
        .collect();
    let text = at.byte_add(ProcessInformation::size() as u64);
    let length = u16::try_from(name.len() - 2).map_err(|_| NtStatus::NAME_TOO_LONG)?;
    at.cast::<ProcessInformation>()
        .try_write(ProcessInformation {
            next_entry,
            threads: 0,
            private_working_set: 0,
            hard_faults: 0,
            most_threads: entry.threads,
            cycles: 0,
            create_time: 0,
            user_time: 0,
            kernel_time: 0,
            image_name: UnicodeString {
                length,
                maximum_length: length + 2,
                buffer: text.cast(),
            },
            base_priority: NORMAL_PRIORITY,
            process: Handle(entry.pid.into()),
            parent: Handle(entry.parent.into()),
            handles: 0,
            session: 1,
            key: entry.pid as usize,
            peak_virtual_size: 0,
            virtual_size: 0,
            page_faults: 0,
            peak_working_set: 0,
            working_set: 0,
            quotas: [0; 4],
            page_file_usage: 0,
            peak_page_file_usage: 0,
            private_pages: 0,
            io: [0; 6],
        })?;
    text.try_write_bytes(&name)
}

win_api! {
    /// Tells something of the system.
    "ntdll.dll" stdcall fn NtQuerySystemInformation = "NtQuerySystemInformation|ZwQuerySystemInformation" (class: u32, to: Ptr<u8>, length: u32, returned: Ptr<u32>) -> Result<(), NtStatus> {
        let exactly = |given: usize, size: usize| given == size;
        match class {
            // SystemBasicInformation, SystemNativeBasicInformation
            0 | 114 => put(to, length, returned, exactly, basic()),
            // SystemProcessorInformation
            1 => {
                let info = system_info();
                put(to, length, returned, |given, size| given >= size, ProcessorInformation {
                    architecture: info.processor_architecture,
                    level: info.processor_level,
                    revision: info.processor_revision,
                    maximum_processors: u16::try_from(info.number_of_processors).unwrap_or(u16::MAX),
                    features: 0,
                })
            }
            // SystemPerformanceInformation: later forms are longer.
            2 => put(to, length, returned, |given, size| given >= size, performance()),
            // SystemTimeOfDayInformation
            3 => put(to, length, returned, exactly, time_of_day()),
            // SystemProcessInformation
            5 => processes(to, length, returned),
            // SystemProcessorPerformanceInformation
            8 => processors(to, length, returned),
            _ => {
                log::warn!("NtQuerySystemInformation: class {class} is not there");
                Err(NtStatus::INVALID_INFO_CLASS)
            }
        }
    }
}
