//! Event tracing and the event log: `evntprov.h`, and the log part of `winbase.h`.
//!
//! No tracing session ever listens here, so a provider is registered and never enabled, as on a Windows where nobody traces it.
//! What a program reports to the event log goes to ours, at the level of its type (`RUST_LOG=loader=info`).
//! Source: Microsoft Learn, "EventRegister function", "EventWriteTransfer function", "ReportEventW function".

use std::sync::atomic::{AtomicU64, Ordering};

use ntlpc_abi::{Handle, UserPtr};

use crate::dlls::win32::{error, refuse, units_arg, wide_arg};
use crate::export::{Bool, Boolean, Callback, Ptr};
use crate::win_api;

/// Registrations so far; a handle is one of the numbers given out.
static REGISTERED: AtomicU64 = AtomicU64::new(0);

fn is_registered(handle: u64) -> bool {
    (1..=REGISTERED.load(Ordering::Relaxed)).contains(&handle)
}

/// `ERROR_SUCCESS` for a provider that was registered: nobody listens, so that nothing more is to do.
fn accepted(handle: u64) -> u32 {
    if is_registered(handle) {
        error::SUCCESS
    } else {
        error::INVALID_HANDLE
    }
}

/// What stands for an event source; it has no state.
const EVENT_SOURCE: Handle = Handle(0x4556_4E54);

/// `EVENTLOG_ERROR_TYPE`, `EVENTLOG_WARNING_TYPE`.
const ERROR_TYPE: u16 = 1;
const WARNING_TYPE: u16 = 2;

fn report(source: Handle, kind: u16, id: u32, strings: &[Vec<u16>]) -> Bool {
    if source != EVENT_SOURCE {
        return refuse(error::INVALID_HANDLE, Bool::FALSE);
    }
    let level = match kind {
        ERROR_TYPE => log::Level::Error,
        WARNING_TYPE => log::Level::Warn,
        _ => log::Level::Info,
    };
    let strings: Vec<_> = strings
        .iter()
        .map(|s| String::from_utf16_lossy(s))
        .collect();
    log::log!(level, "event {id}: {}", strings.join(" "));
    Bool::TRUE
}

/// Reads an array of `count` strings by `read`; a NULL array is empty.
fn array_of<T>(
    array: Ptr<Ptr<T>>,
    count: u16,
    read: fn(Ptr<T>) -> Option<Vec<u16>>,
) -> Vec<Vec<u16>> {
    let count = if array.is_null() { 0 } else { count.into() };
    (0..count)
        .filter_map(|index| read(array.add(index).read()))
        .collect()
}

win_api! {
    /// Registers a provider of events; its callback is never called, since nobody enables it.
    "advapi32.dll|kernelbase.dll|ntdll.dll" stdcall fn EventRegister = "EventRegister|EtwEventRegister" (_provider: Ptr<u8>, _enable: Callback, _context: UserPtr, handle: Ptr<u64>) -> u32 {
        if handle.is_null() {
            return error::INVALID_PARAMETER;
        }
        handle.write(REGISTERED.fetch_add(1, Ordering::Relaxed) + 1);
        error::SUCCESS
    }

    /// Ends a registration.
    "advapi32.dll|kernelbase.dll|ntdll.dll" stdcall fn EventUnregister = "EventUnregister|EtwEventUnregister" (handle: u64) -> u32 {
        accepted(handle)
    }

    /// Describes a provider.
    "advapi32.dll|kernelbase.dll|ntdll.dll" stdcall fn EventSetInformation = "EventSetInformation|EtwEventSetInformation" (handle: u64, _class: u32, _information: UserPtr, _length: u32) -> u32 {
        accepted(handle)
    }

    /// Writes an event, which nobody reads.
    "advapi32.dll|kernelbase.dll|ntdll.dll" stdcall fn EventWrite = "EventWrite|EtwEventWrite" (handle: u64, _descriptor: UserPtr, _count: u32, _data: UserPtr) -> u32 {
        accepted(handle)
    }

    /// Writes an event of an activity, which nobody reads.
    "advapi32.dll|kernelbase.dll|ntdll.dll" stdcall fn EventWriteTransfer = "EventWriteTransfer|EtwEventWriteTransfer" (handle: u64, _descriptor: UserPtr, _activity: UserPtr, _related: UserPtr, _count: u32, _data: UserPtr) -> u32 {
        accepted(handle)
    }

    /// Writes a text as an event, which nobody reads.
    "advapi32.dll|kernelbase.dll|ntdll.dll" stdcall fn EventWriteString = "EventWriteString|EtwEventWriteString" (handle: u64, _level: u8, _keyword: u64, _text: Ptr<u16>) -> u32 {
        accepted(handle)
    }

    /// Returns whether somebody reads an event.
    "advapi32.dll|kernelbase.dll|ntdll.dll" stdcall fn EventEnabled = "EventEnabled|EtwEventEnabled" (_handle: u64, _descriptor: UserPtr) -> Boolean {
        false.into()
    }

    /// Returns whether somebody reads a provider's events of a level.
    "advapi32.dll|kernelbase.dll|ntdll.dll" stdcall fn EventProviderEnabled = "EventProviderEnabled|EtwEventProviderEnabled" (_handle: u64, _level: u8, _keyword: u64) -> Boolean {
        false.into()
    }

    /// Opens the event log for a source.
    "advapi32.dll" stdcall fn RegisterEventSourceW = "RegisterEventSourceW|RegisterEventSourceA" (_server: UserPtr, source: UserPtr) -> Handle {
        if source.0 == 0 { refuse(error::INVALID_PARAMETER, Handle::NULL) } else { EVENT_SOURCE }
    }

    /// Closes the event log.
    "advapi32.dll" stdcall fn DeregisterEventSource(source: Handle) -> Bool {
        if source == EVENT_SOURCE { Bool::TRUE } else { refuse(error::INVALID_HANDLE, Bool::FALSE) }
    }

    /// Writes an entry of the event log: to our log.
    "advapi32.dll" stdcall fn ReportEventW(source: Handle, kind: u16, _category: u16, id: u32, _user: UserPtr, count: u16, _size: u32, strings: Ptr<Ptr<u16>>, _data: UserPtr) -> Bool {
        report(source, kind, id, &array_of(strings, count, units_arg))
    }

    /// Writes an entry of the event log: to our log.
    "advapi32.dll" stdcall fn ReportEventA(source: Handle, kind: u16, _category: u16, id: u32, _user: UserPtr, count: u16, _size: u32, strings: Ptr<Ptr<u8>>, _data: UserPtr) -> Bool {
        report(source, kind, id, &array_of(strings, count, wide_arg))
    }
}
