//! Handles, waits and directories of objects: the `Nt` calls.
//!
//! Prototypes and information classes: phnt `ntobapi.h`, `ntexapi.h`; Microsoft Learn where documented.

use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};

use crate::dlls::kernel32::synchapi::{run_apcs, wait_handles};
use crate::dlls::win32::dos_error;
use crate::export::{Boolean, Callback, Guest, Ptr};
use crate::guest_struct;
use crate::ob::apc::Apc;
use crate::ob::attributes::{Attributes, ObjectAttributes, UnicodeString};
use crate::ob::name::{self, Directory};
use crate::ob::object::Object;
use crate::ob::table::{INHERIT, PROTECT, TABLE, lookup};
use crate::ob::thread::Thread;
use crate::ob::wait::{self, WaitKind, deadline};
use crate::ob::{duplicate, handle as handles};
use crate::win_api;

guest_struct! {
    /// `OBJECT_BASIC_INFORMATION`.
    pub struct ObjectBasicInformation {
        attributes: u32,
        granted_access: u32,
        handle_count: u32,
        pointer_count: u32,
        paged_pool_charge: u32,
        non_paged_pool_charge: u32,
        reserved: [u32; 3],
        name_info_size: u32,
        type_info_size: u32,
        security_descriptor_size: u32,
        creation_time: i64,
    }
}

/// Writes a fresh handle; closes it again if the pointer is bad.
pub fn put_handle(to: Ptr<Handle>, made: Result<(Handle, NtStatus), NtStatus>) -> NtStatus {
    match made {
        Ok((handle, status)) => match to.try_write(handle) {
            Ok(()) => status,
            Err(fault) => {
                let _ = TABLE.close(handle);
                fault
            }
        },
        Err(status) => status,
    }
}

/// Creates an object whose handle goes to `to`; probes the pointer before any effect.
pub fn create<T: Object + name::Named>(
    to: Ptr<Handle>,
    attributes: Ptr<ObjectAttributes>,
    access: u32,
    make: impl FnOnce() -> Result<T, NtStatus>,
) -> NtStatus {
    put_handle(
        to,
        probe(to)
            .and_then(|()| Attributes::read(attributes))
            .and_then(|a| name::create(&a, access, make)),
    )
}

pub fn open<T: Object + name::Named>(
    to: Ptr<Handle>,
    attributes: Ptr<ObjectAttributes>,
    access: u32,
) -> NtStatus {
    let opened = probe(to)
        .and_then(|()| Attributes::read(attributes))
        .and_then(|a| name::open::<T>(&a, access));
    put_handle(to, opened.map(|handle| (handle, NtStatus::SUCCESS)))
}

/// Returns `ACCESS_VIOLATION` unless the pointer can be written.
pub fn probe<T: Guest>(to: Ptr<T>) -> Result<(), NtStatus> {
    to.try_read().and_then(|old| to.try_write(old))
}

/// Reads an optional `LARGE_INTEGER`.
pub fn timeout(at: Ptr<i64>) -> Result<Option<i64>, NtStatus> {
    at.non_null().map(Ptr::try_read).transpose()
}

pub fn put_optional<T: Guest>(to: Ptr<T>, value: T) -> Result<(), NtStatus> {
    to.non_null().map_or(Ok(()), |to| to.try_write(value))
}

/// Writes an information structure if the buffer has its exact size.
pub fn put_information<T: Guest>(
    to: Ptr<u8>,
    length: u32,
    returned: Ptr<u32>,
    value: T,
) -> Result<(), NtStatus> {
    if (length as usize) != T::size() {
        return Err(NtStatus::INFO_LENGTH_MISMATCH);
    }
    to.cast::<T>().try_write(value)?;
    put_optional(returned, length)
}

/// Writes a `UNICODE_STRING` followed by its text, as the query calls do.
pub fn put_counted_string(
    to: Ptr<u8>,
    length: u32,
    returned: Ptr<u32>,
    header: usize,
    units: &[u16],
) -> Result<(), NtStatus> {
    let bytes = units.len() * 2;
    let needed = header + if units.is_empty() { 0 } else { bytes + 2 };
    put_optional(returned, u32::try_from(needed).unwrap_or(u32::MAX))?;
    if (length as usize) < needed {
        return Err(NtStatus::INFO_LENGTH_MISMATCH);
    }
    let text = to.byte_add(header as u64).cast::<u16>();
    let buffer = if units.is_empty() { Ptr::NULL } else { text };
    let counted = u16::try_from(bytes).map_err(|_| NtStatus::BUFFER_OVERFLOW)?;
    to.cast::<UnicodeString>().try_write(UnicodeString {
        length: counted,
        maximum_length: if units.is_empty() { 0 } else { counted + 2 },
        buffer,
    })?;
    if !units.is_empty() {
        let mut raw: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        raw.extend([0, 0]);
        text.cast::<u8>().try_write_bytes(&raw)?;
    }
    Ok(())
}

fn wait_many(
    count: u32,
    handles: Ptr<Handle>,
    kind: u32,
    alertable: Boolean,
    time: Ptr<i64>,
) -> Result<NtStatus, NtStatus> {
    if count == 0 || count as usize > wait::MAX_OBJECTS {
        return Err(NtStatus::INVALID_PARAMETER_1);
    }
    let kind = match kind {
        0 => WaitKind::All,
        1 => WaitKind::Any,
        _ => return Err(NtStatus::INVALID_PARAMETER_3),
    };
    let deadline = deadline(timeout(time)?);
    let handles = (0..count as usize)
        .map(|i| handles.add(i).try_read())
        .collect::<Result<Vec<_>, _>>()?;
    Ok(wait_handles(&handles, kind, alertable.get(), deadline))
}

fn query_object(
    handle: Handle,
    class: u32,
    buffer: Ptr<u8>,
    length: u32,
    returned: Ptr<u32>,
) -> Result<(), NtStatus> {
    let entry = crate::ob::pseudo_entry(handle)?;
    match class {
        // ObjectBasicInformation
        0 => {
            let handles = entry.object.header().handles();
            put_information(
                buffer,
                length,
                returned,
                ObjectBasicInformation {
                    attributes: entry.attributes & INHERIT,
                    granted_access: entry.access,
                    handle_count: handles,
                    pointer_count: u32::try_from(Arc::strong_count(&entry.object))
                        .unwrap_or(u32::MAX),
                    paged_pool_charge: 0,
                    non_paged_pool_charge: 0,
                    reserved: [0; 3],
                    name_info_size: 0,
                    type_info_size: 0,
                    security_descriptor_size: 0,
                    creation_time: 0,
                },
            )
        }
        // ObjectNameInformation
        1 => {
            let name = entry.object.path();
            put_counted_string(buffer, length, returned, UnicodeString::size(), &name)
        }
        // ObjectTypeInformation: the name, counters nobody here keeps, then what the rights mean.
        2 => {
            let object_type = entry.object.object_type();
            let units: Vec<u16> = object_type.name.encode_utf16().collect();
            let header = UnicodeString::size() + 88;
            if length as usize >= header {
                let mut bytes = vec![0; header];
                let at = UnicodeString::size() + 48;
                let words = [object_type.invalid_attributes()]
                    .into_iter()
                    .chain(object_type.generic)
                    .chain([object_type.generic[3]]);
                for (i, word) in words.enumerate() {
                    bytes[at + 4 * i..at + 4 * i + 4].copy_from_slice(&word.to_le_bytes());
                }
                buffer.try_write_bytes(&bytes)?;
            }
            put_counted_string(buffer, length, returned, header, &units)
        }
        // ObjectHandleFlagInformation: Inherit, ProtectFromClose
        4 => {
            let flags = [
                u8::from(entry.attributes & INHERIT != 0),
                u8::from(entry.attributes & PROTECT != 0),
            ];
            put_information(buffer, length, returned, flags)
        }
        _ => Err(NtStatus::INVALID_INFO_CLASS),
    }
}

/// Writes `OBJECT_DIRECTORY_INFORMATION` entries, an empty one, then their strings. The context counts entries.
fn query_directory(
    directory: Handle,
    buffer: Ptr<u8>,
    length: u32,
    is_single: bool,
    is_restart: bool,
    context: Ptr<u32>,
    returned: Ptr<u32>,
) -> Result<(), NtStatus> {
    let directory = lookup::<Directory>(directory, 1)?;
    let start = if is_restart { 0 } else { context.try_read()? };
    let (mut entries, mut has_more) = directory.list(start)?;
    if entries.is_empty() {
        return Err(NtStatus::NO_MORE_ENTRIES);
    }
    if is_single && entries.len() > 1 {
        entries.truncate(1);
        has_more = true;
    }
    let strings: Vec<[Vec<u16>; 2]> = entries
        .into_iter()
        .map(|e| [e.name.0, e.type_name.encode_utf16().collect()])
        .collect();
    let head = 2 * UnicodeString::size();
    let bytes_of =
        |pair: &[Vec<u16>; 2]| pair.iter().map(|units| units.len() * 2 + 2).sum::<usize>();
    // As many entries as fit with the empty one behind them.
    let mut count = 0;
    let mut needed = head;
    for pair in &strings {
        let more = head + bytes_of(pair);
        if needed + more > length as usize {
            break;
        }
        needed += more;
        count += 1;
    }
    if count == 0 {
        put_optional(
            returned,
            u32::try_from(needed + head + bytes_of(&strings[0])).unwrap_or(u32::MAX),
        )?;
        return Err(NtStatus::BUFFER_TOO_SMALL);
    }
    let mut text = buffer.byte_add((head * (count + 1)) as u64);
    buffer
        .byte_add((head * count) as u64)
        .try_write_bytes(&vec![0; head])?;
    for (i, pair) in strings[..count].iter().enumerate() {
        for (j, units) in pair.iter().enumerate() {
            let counted = u16::try_from(units.len() * 2).map_err(|_| NtStatus::BUFFER_OVERFLOW)?;
            let mut raw: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
            raw.extend([0, 0]);
            text.try_write_bytes(&raw)?;
            let at = buffer.cast::<UnicodeString>().add(2 * i + j);
            at.try_write(UnicodeString {
                length: counted,
                maximum_length: counted + 2,
                buffer: text.cast(),
            })?;
            text = text.byte_add(raw.len() as u64);
        }
    }
    context.try_write(start + u32::try_from(count).unwrap_or(0))?;
    put_optional(returned, u32::try_from(needed).unwrap_or(u32::MAX))?;
    if has_more || count < strings.len() {
        Err(NtStatus::MORE_ENTRIES)
    } else {
        Ok(())
    }
}

fn set_object(handle: Handle, class: u32, buffer: Ptr<u8>, length: u32) -> Result<(), NtStatus> {
    if class != 4 {
        return Err(NtStatus::INVALID_INFO_CLASS);
    }
    if length != 2 {
        return Err(NtStatus::INFO_LENGTH_MISMATCH);
    }
    let [inherit, protect] = buffer.cast::<[u8; 2]>().try_read()?;
    let bits = (if inherit != 0 { INHERIT } else { 0 }) | if protect != 0 { PROTECT } else { 0 };
    TABLE.set_attributes(handle, |old| old & !(INHERIT | PROTECT) | bits)
}

win_api! {
    /// Closes a handle.
    "ntdll.dll" stdcall fn NtClose = "NtClose|ZwClose" (handle: Handle) -> Result<(), NtStatus> {
        handles::close(handle)
    }

    /// Copies a handle, within and between processes.
    "ntdll.dll" stdcall fn NtDuplicateObject = "NtDuplicateObject|ZwDuplicateObject" (source_process: Handle, source: Handle, target_process: Handle, target: Ptr<Handle>, access: u32, attributes: u32, options: u32) -> Result<(), NtStatus> {
        let attributes = attributes & INHERIT;
        let handle = duplicate::duplicate(source_process, source, target_process, access, attributes, options)?;
        put_optional(target, handle)
    }

    /// Describes an object.
    "ntdll.dll" stdcall fn NtQueryObject = "NtQueryObject|ZwQueryObject" (handle: Handle, class: u32, buffer: Ptr<u8>, length: u32, returned: Ptr<u32>) -> Result<(), NtStatus> {
        query_object(handle, class, buffer, length, returned)
    }

    /// Changes the flags of a handle.
    "ntdll.dll" stdcall fn NtSetInformationObject = "NtSetInformationObject|ZwSetInformationObject" (handle: Handle, class: u32, buffer: Ptr<u8>, length: u32) -> Result<(), NtStatus> {
        set_object(handle, class, buffer, length)
    }

    /// Waits for one object.
    "ntdll.dll" stdcall fn NtWaitForSingleObject = "NtWaitForSingleObject|ZwWaitForSingleObject" (handle: Handle, alertable: Boolean, time: Ptr<i64>) -> NtStatus {
        match timeout(time) {
            Ok(time) => wait_handles(&[handle], WaitKind::Any, alertable.get(), deadline(time)),
            Err(status) => status,
        }
    }

    /// Waits for any or all of several objects.
    "ntdll.dll" stdcall fn NtWaitForMultipleObjects = "NtWaitForMultipleObjects|ZwWaitForMultipleObjects" (count: u32, handles: Ptr<Handle>, kind: u32, alertable: Boolean, time: Ptr<i64>) -> NtStatus {
        wait_many(count, handles, kind, alertable, time).unwrap_or_else(|status| status)
    }

    /// Signals one object and waits for another.
    "ntdll.dll" stdcall fn NtSignalAndWaitForSingleObject = "NtSignalAndWaitForSingleObject|ZwSignalAndWaitForSingleObject" (signal: Handle, handle: Handle, alertable: Boolean, time: Ptr<i64>) -> NtStatus {
        let time = match timeout(time).and_then(|time| crate::ob::signal(signal).map(|()| time)) {
            Ok(time) => time,
            Err(status) => return status,
        };
        wait_handles(&[handle], WaitKind::Any, alertable.get(), deadline(time))
    }

    /// Sleeps.
    "ntdll.dll" stdcall fn NtDelayExecution = "NtDelayExecution|ZwDelayExecution" (alertable: Boolean, time: Ptr<i64>) -> NtStatus {
        let status = match time.try_read() {
            Ok(time) => wait::delay(alertable.get(), deadline(Some(time))),
            Err(status) => status,
        };
        if status == NtStatus::USER_APC {
            run_apcs();
        }
        status
    }

    /// Gives up the processor.
    "ntdll.dll" stdcall fn NtYieldExecution = "NtYieldExecution|ZwYieldExecution" () -> NtStatus {
        std::thread::yield_now();
        NtStatus::SUCCESS
    }

    /// Runs the pending APCs of the calling thread.
    "ntdll.dll" stdcall fn NtTestAlert = "NtTestAlert|ZwTestAlert" () -> NtStatus {
        run_apcs();
        NtStatus::SUCCESS
    }

    /// Queues an APC to a thread.
    "ntdll.dll" stdcall fn NtQueueApcThread = "NtQueueApcThread|ZwQueueApcThread" (thread: Handle, function: Callback, first: usize, second: usize, third: usize) -> Result<(), NtStatus> {
        let thread = lookup::<Thread>(thread, crate::ob::thread::rights::SET_CONTEXT)?;
        thread.apcs.push(Apc { function: function.0, args: [first as u64, second as u64, third as u64, 0] });
        Ok(())
    }

    /// Makes an object directory.
    "ntdll.dll" stdcall fn NtCreateDirectoryObject = "NtCreateDirectoryObject|ZwCreateDirectoryObject" (handle: Ptr<Handle>, access: u32, attributes: Ptr<ObjectAttributes>) -> NtStatus {
        create(handle, attributes, access, || Ok(Directory::default()))
    }

    /// Opens an object directory.
    "ntdll.dll" stdcall fn NtOpenDirectoryObject = "NtOpenDirectoryObject|ZwOpenDirectoryObject" (handle: Ptr<Handle>, access: u32, attributes: Ptr<ObjectAttributes>) -> NtStatus {
        open::<Directory>(handle, attributes, access)
    }

    /// Lists an object directory.
    "ntdll.dll" stdcall fn NtQueryDirectoryObject = "NtQueryDirectoryObject|ZwQueryDirectoryObject" (directory: Handle, buffer: Ptr<u8>, length: u32, single: Boolean, restart: Boolean, context: Ptr<u32>, returned: Ptr<u32>) -> Result<(), NtStatus> {
        query_directory(directory, buffer, length, single.get(), restart.get(), context, returned)
    }

    /// The Win32 error of a status; sets nothing.
    "ntdll.dll" stdcall fn RtlNtStatusToDosError = "RtlNtStatusToDosError|RtlNtStatusToDosErrorNoTeb" (status: NtStatus) -> u32 {
        dos_error(status)
    }
}
