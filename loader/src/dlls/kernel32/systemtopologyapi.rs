//! Processors, nodes and their times: `systemtopologyapi.h`, `processtopologyapi.h`, parts of `sysinfoapi.h`.
//!
//! The machine shows itself as one group, one node and one package with a core for each processor the process may use:
//! Linux may hand out any subset of the machine, so its real topology is not the guest's.

use ntlpc_abi::Handle;

use super::sysinfoapi::system_info;
use crate::dlls::win32::{error, refuse};
use crate::export::{Bool, Guest, Ptr};
use crate::ob::time::UNITS_PER_SECOND;
use crate::{guest_struct, win_api};

guest_struct! {
    /// `GROUP_AFFINITY`.
    pub struct GroupAffinity {
        mask: usize,
        group: u16,
        reserved: [u16; 3],
    }
    /// `PROCESSOR_NUMBER`.
    pub struct ProcessorNumber {
        group: u16,
        number: u8,
        reserved: u8,
    }
    /// `SYSTEM_LOGICAL_PROCESSOR_INFORMATION`; `details` starts with the flags of a core or the number of a node.
    pub struct LogicalProcessorInformation {
        processor_mask: usize,
        relationship: u32,
        details: [u64; 2],
    }
    /// `SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX` with a `PROCESSOR_RELATIONSHIP`.
    pub struct ProcessorRelationship {
        relationship: u32,
        size: u32,
        flags: u8,
        efficiency_class: u8,
        reserved: [u8; 20],
        group_count: u16,
        group_mask: GroupAffinity,
    }
    /// `SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX` with a `NUMA_NODE_RELATIONSHIP`.
    pub struct NodeRelationship {
        relationship: u32,
        size: u32,
        node_number: u32,
        reserved: [u8; 18],
        group_count: u16,
        group_mask: GroupAffinity,
    }
    /// `SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX` with a `GROUP_RELATIONSHIP` of one `PROCESSOR_GROUP_INFO`.
    pub struct GroupRelationship {
        relationship: u32,
        size: u32,
        maximum_group_count: u16,
        active_group_count: u16,
        reserved: [u8; 20],
        maximum_processor_count: u8,
        active_processor_count: u8,
        reserved_info: [u8; 38],
        active_processor_mask: usize,
    }
}

/// `LOGICAL_PROCESSOR_RELATIONSHIP` of `winnt.h`.
mod relation {
    pub const CORE: u32 = 0;
    pub const NUMA_NODE: u32 = 1;
    pub const CACHE: u32 = 2;
    pub const PACKAGE: u32 = 3;
    pub const GROUP: u32 = 4;
    pub const ALL: u32 = 0xFFFF;
}

fn affinity(mask: usize) -> GroupAffinity {
    GroupAffinity {
        mask,
        group: 0,
        reserved: [0; 3],
    }
}

fn masks() -> impl Iterator<Item = usize> {
    (0..system_info().number_of_processors).map(|processor| 1 << processor)
}

/// Appends a structure to `at`; the cursor moves even where nothing is written, so the needed size comes out.
fn put<T: Guest>(value: T, buffer: Ptr<u8>, room: u32, used: &mut u32) {
    let size = u32::try_from(T::size()).unwrap_or(u32::MAX);
    if *used + size <= room {
        buffer.byte_add(u64::from(*used)).cast().write(value);
    }
    *used += size;
}

/// Tells the size needed, or that all is written.
fn finish(used: u32, room: u32, length: Ptr<u32>) -> Bool {
    length.write(used);
    if used > room {
        return refuse(error::INSUFFICIENT_BUFFER, Bool::FALSE);
    }
    Bool::TRUE
}

fn size_of_guest<T: Guest>() -> u32 {
    u32::try_from(T::size()).unwrap_or(u32::MAX)
}

fn logical_processors(wanted: u32, buffer: Ptr<u8>, length: Ptr<u32>) -> Bool {
    if wanted > relation::GROUP && wanted != relation::ALL {
        return refuse(error::INVALID_PARAMETER, Bool::FALSE);
    }
    let room = if buffer.is_null() { 0 } else { length.read() };
    let mut used = 0;
    let info = system_info();
    let is_wanted = |relation| wanted == relation || wanted == relation::ALL;
    let processors = |relationship, mask| ProcessorRelationship {
        relationship,
        size: size_of_guest::<ProcessorRelationship>(),
        flags: 0,
        efficiency_class: 0,
        reserved: [0; 20],
        group_count: 1,
        group_mask: affinity(mask),
    };
    if is_wanted(relation::CORE) {
        for mask in masks() {
            put(processors(relation::CORE, mask), buffer, room, &mut used);
        }
    }
    if is_wanted(relation::PACKAGE) {
        let package = processors(relation::PACKAGE, info.active_processor_mask);
        put(package, buffer, room, &mut used);
    }
    if is_wanted(relation::NUMA_NODE) {
        let node = NodeRelationship {
            relationship: relation::NUMA_NODE,
            size: size_of_guest::<NodeRelationship>(),
            node_number: 0,
            reserved: [0; 18],
            group_count: 1,
            group_mask: affinity(info.active_processor_mask),
        };
        put(node, buffer, room, &mut used);
    }
    if is_wanted(relation::GROUP) {
        let count = u8::try_from(info.number_of_processors).unwrap_or(64);
        let group = GroupRelationship {
            relationship: relation::GROUP,
            size: size_of_guest::<GroupRelationship>(),
            maximum_group_count: 1,
            active_group_count: 1,
            reserved: [0; 20],
            maximum_processor_count: count,
            active_processor_count: count,
            reserved_info: [0; 38],
            active_processor_mask: info.active_processor_mask,
        };
        put(group, buffer, room, &mut used);
    }
    if wanted == relation::CACHE {
        log::info!("GetLogicalProcessorInformationEx: caches are not told");
    }
    finish(used, room, length)
}

/// Idle, kernel (with idle) and user time in 100 ns: of all processors together, then of each. Source: `man 5 proc_stat`,
/// in ticks.
pub fn processor_times() -> Vec<[i64; 3]> {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let lines = stat.lines().take_while(|line| line.starts_with("cpu"));
    lines.filter_map(times_of_line).collect()
}

fn times_of_line(line: &str) -> Option<[i64; 3]> {
    let fields = line.split_whitespace().skip(1);
    let ticks: Vec<i64> = fields.filter_map(|field| field.parse().ok()).collect();
    let &[user, nice, system, idle, iowait, irq, softirq, ..] = ticks.as_slice() else {
        return None;
    };
    let unit =
        UNITS_PER_SECOND / i64::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100);
    let idle = idle + iowait;
    Some([idle, system + irq + softirq + idle, user + nice].map(|ticks| ticks * unit))
}

win_api! {
    /// Returns the highest number of a node.
    "kernel32.dll|kernelbase.dll" stdcall fn GetNumaHighestNodeNumber(highest: Ptr<u32>) -> Bool {
        highest.write(0);
        Bool::TRUE
    }

    /// Returns the processors of a node.
    "kernel32.dll|kernelbase.dll" stdcall fn GetNumaNodeProcessorMask(node: u8, mask: Ptr<u64>) -> Bool {
        if node != 0 {
            return refuse(error::INVALID_PARAMETER, Bool::FALSE);
        }
        mask.write(system_info().active_processor_mask as u64);
        Bool::TRUE
    }

    /// Returns the processors of a node.
    "kernel32.dll|kernelbase.dll" stdcall fn GetNumaNodeProcessorMaskEx(node: u16, mask: Ptr<GroupAffinity>) -> Bool {
        if node != 0 {
            return refuse(error::INVALID_PARAMETER, Bool::FALSE);
        }
        mask.write(affinity(system_info().active_processor_mask));
        Bool::TRUE
    }

    /// Returns the node of a processor.
    "kernel32.dll|kernelbase.dll" stdcall fn GetNumaProcessorNode(processor: u8, node: Ptr<u8>) -> Bool {
        if u32::from(processor) >= system_info().number_of_processors {
            node.write(0xFF);
            return refuse(error::INVALID_PARAMETER, Bool::FALSE);
        }
        node.write(0);
        Bool::TRUE
    }

    /// Returns the node of a processor.
    "kernel32.dll|kernelbase.dll" stdcall fn GetNumaProcessorNodeEx(processor: Ptr<ProcessorNumber>, node: Ptr<u16>) -> Bool {
        let processor = processor.read();
        if processor.group != 0 || u32::from(processor.number) >= system_info().number_of_processors {
            node.write(0xFFFF);
            return refuse(error::INVALID_PARAMETER, Bool::FALSE);
        }
        node.write(0);
        Bool::TRUE
    }

    /// Returns the processor the calling thread runs on.
    "kernel32.dll|kernelbase.dll" stdcall fn GetCurrentProcessorNumberEx(processor: Ptr<ProcessorNumber>) {
        let number = u8::try_from(super::sysinfoapi::GetCurrentProcessorNumber()).unwrap_or(0);
        processor.write(ProcessorNumber { group: 0, number, reserved: 0 });
    }

    /// Returns the number of processor groups.
    "kernel32.dll|kernelbase.dll" stdcall fn GetActiveProcessorGroupCount = "GetActiveProcessorGroupCount|GetMaximumProcessorGroupCount" () -> u16 {
        1
    }

    /// Returns the groups a process runs in.
    "kernel32.dll|kernelbase.dll" stdcall fn GetProcessGroupAffinity(_process: Handle, count: Ptr<u16>, groups: Ptr<u16>) -> Bool {
        let room = count.read();
        count.write(1);
        if room == 0 {
            return refuse(error::INSUFFICIENT_BUFFER, Bool::FALSE);
        }
        groups.write(0);
        Bool::TRUE
    }

    /// Describes cores, node and package.
    "kernel32.dll|kernelbase.dll" stdcall fn GetLogicalProcessorInformation(buffer: Ptr<u8>, length: Ptr<u32>) -> Bool {
        let room = if buffer.is_null() { 0 } else { length.read() };
        let all = system_info().active_processor_mask;
        let mut used = 0;
        let cores = masks().map(|mask| (mask, relation::CORE));
        for (processor_mask, relationship) in cores.chain([(all, relation::NUMA_NODE), (all, relation::PACKAGE)]) {
            put(LogicalProcessorInformation { processor_mask, relationship, details: [0; 2] }, buffer, room, &mut used);
        }
        finish(used, room, length)
    }

    /// Describes cores, node, package and group.
    "kernel32.dll|kernelbase.dll" stdcall fn GetLogicalProcessorInformationEx(wanted: u32, buffer: Ptr<u8>, length: Ptr<u32>) -> Bool {
        logical_processors(wanted, buffer, length)
    }

    /// Returns idle, kernel and user time of all processors.
    "kernel32.dll|kernelbase.dll" stdcall fn GetSystemTimes(idle: Ptr<i64>, kernel: Ptr<i64>, user: Ptr<i64>) -> Bool {
        let Some(&times) = processor_times().first() else { return refuse(error::NOT_SUPPORTED, Bool::FALSE) };
        for (to, time) in [idle, kernel, user].into_iter().zip(times) {
            to.write_if_some(time);
        }
        Bool::TRUE
    }

    /// Returns the size of large pages: 0, there are none.
    "kernel32.dll|kernelbase.dll" stdcall fn GetLargePageMinimum() -> usize {
        0
    }
}
