//! Events, mutants, semaphores and timers: the `Nt` calls.
//!
//! Prototypes and information classes: phnt `ntexapi.h`; Microsoft Learn where documented.

use ntlpc_abi::{Handle, NtStatus};

use super::objects::{create, open, probe, put_handle, put_information, put_optional};
use crate::export::{Boolean, Callback, Ptr};
use crate::guest_struct;
use crate::ob::attributes::{Attributes, ObjectAttributes};
use crate::ob::mutant::{self, Mutant};
use crate::ob::sync::{Event, MODIFY_STATE, QUERY_STATE, Semaphore, Timer};
use crate::ob::table::lookup;
use crate::ob::wait::deadline;
use crate::win_api;

guest_struct! {
    /// `EVENT_BASIC_INFORMATION`, `SEMAPHORE_BASIC_INFORMATION`: two words.
    pub struct TwoWords {
        first: u32,
        second: u32,
    }
    /// `MUTANT_BASIC_INFORMATION`.
    pub struct MutantBasicInformation {
        current_count: i32,
        owned_by_caller: u8,
        abandoned_state: u8,
    }
}

win_api! {
    /// Makes an event: kind 0 notification, 1 synchronization.
    "ntdll.dll" stdcall fn NtCreateEvent = "NtCreateEvent|ZwCreateEvent" (handle: Ptr<Handle>, access: u32, attributes: Ptr<ObjectAttributes>, kind: u32, initial: Boolean) -> NtStatus {
        if kind > 1 {
            return NtStatus::INVALID_PARAMETER_4;
        }
        create(handle, attributes, access, || Ok(Event::new(kind == 0, initial.get())))
    }

    /// Opens an event.
    "ntdll.dll" stdcall fn NtOpenEvent = "NtOpenEvent|ZwOpenEvent" (handle: Ptr<Handle>, access: u32, attributes: Ptr<ObjectAttributes>) -> NtStatus {
        open::<Event>(handle, attributes, access)
    }

    /// Sets an event.
    "ntdll.dll" stdcall fn NtSetEvent = "NtSetEvent|ZwSetEvent" (event: Handle, previous: Ptr<u32>) -> Result<(), NtStatus> {
        let before = lookup::<Event>(event, MODIFY_STATE)?.set();
        put_optional(previous, u32::from(before))
    }

    /// Resets an event.
    "ntdll.dll" stdcall fn NtResetEvent = "NtResetEvent|ZwResetEvent" (event: Handle, previous: Ptr<u32>) -> Result<(), NtStatus> {
        let before = lookup::<Event>(event, MODIFY_STATE)?.reset();
        put_optional(previous, u32::from(before))
    }

    /// Resets an event.
    "ntdll.dll" stdcall fn NtClearEvent = "NtClearEvent|ZwClearEvent" (event: Handle) -> Result<(), NtStatus> {
        lookup::<Event>(event, MODIFY_STATE)?.reset();
        Ok(())
    }

    /// Sets an event for whoever waits now.
    "ntdll.dll" stdcall fn NtPulseEvent = "NtPulseEvent|ZwPulseEvent" (event: Handle, previous: Ptr<u32>) -> Result<(), NtStatus> {
        let before = lookup::<Event>(event, MODIFY_STATE)?.pulse();
        put_optional(previous, u32::from(before))
    }

    /// Reads kind and state of an event.
    "ntdll.dll" stdcall fn NtQueryEvent = "NtQueryEvent|ZwQueryEvent" (event: Handle, class: u32, buffer: Ptr<u8>, length: u32, returned: Ptr<u32>) -> Result<(), NtStatus> {
        if class != 0 {
            return Err(NtStatus::INVALID_INFO_CLASS);
        }
        let event = lookup::<Event>(event, QUERY_STATE)?;
        let value = TwoWords { first: u32::from(!event.is_manual()), second: u32::from(event.is_set()) };
        put_information(buffer, length, returned, value)
    }

    /// Makes a mutant.
    "ntdll.dll" stdcall fn NtCreateMutant = "NtCreateMutant|ZwCreateMutant" (handle: Ptr<Handle>, access: u32, attributes: Ptr<ObjectAttributes>, owned: Boolean) -> NtStatus {
        put_handle(handle, probe(handle).and_then(|()| Attributes::read(attributes)).and_then(|a| mutant::create(&a, access, owned.get())))
    }

    /// Opens a mutant.
    "ntdll.dll" stdcall fn NtOpenMutant = "NtOpenMutant|ZwOpenMutant" (handle: Ptr<Handle>, access: u32, attributes: Ptr<ObjectAttributes>) -> NtStatus {
        open::<Mutant>(handle, attributes, access)
    }

    /// Releases a mutant; gives 1 minus the times it was held.
    "ntdll.dll" stdcall fn NtReleaseMutant = "NtReleaseMutant|ZwReleaseMutant" (mutant: Handle, previous: Ptr<i32>) -> Result<(), NtStatus> {
        let held = lookup::<Mutant>(mutant, 0)?.release()?;
        put_optional(previous, 1 - held.cast_signed())
    }

    /// Makes a semaphore.
    "ntdll.dll" stdcall fn NtCreateSemaphore = "NtCreateSemaphore|ZwCreateSemaphore" (handle: Ptr<Handle>, access: u32, attributes: Ptr<ObjectAttributes>, initial: i32, maximum: i32) -> NtStatus {
        create(handle, attributes, access, || Semaphore::new(initial, maximum))
    }

    /// Opens a semaphore.
    "ntdll.dll" stdcall fn NtOpenSemaphore = "NtOpenSemaphore|ZwOpenSemaphore" (handle: Ptr<Handle>, access: u32, attributes: Ptr<ObjectAttributes>) -> NtStatus {
        open::<Semaphore>(handle, attributes, access)
    }

    /// Adds to the count of a semaphore.
    "ntdll.dll" stdcall fn NtReleaseSemaphore = "NtReleaseSemaphore|ZwReleaseSemaphore" (semaphore: Handle, count: i32, previous: Ptr<u32>) -> Result<(), NtStatus> {
        let before = lookup::<Semaphore>(semaphore, MODIFY_STATE)?.release(count)?;
        put_optional(previous, before)
    }

    /// Reads count and limit of a semaphore.
    "ntdll.dll" stdcall fn NtQuerySemaphore = "NtQuerySemaphore|ZwQuerySemaphore" (semaphore: Handle, class: u32, buffer: Ptr<u8>, length: u32, returned: Ptr<u32>) -> Result<(), NtStatus> {
        if class != 0 {
            return Err(NtStatus::INVALID_INFO_CLASS);
        }
        let semaphore = lookup::<Semaphore>(semaphore, QUERY_STATE)?;
        put_information(buffer, length, returned, TwoWords { first: semaphore.count(), second: semaphore.limit() })
    }

    /// Reads how often a mutant is held, whether by the caller, and whether its owner died.
    "ntdll.dll" stdcall fn NtQueryMutant = "NtQueryMutant|ZwQueryMutant" (mutant: Handle, class: u32, buffer: Ptr<u8>, length: u32, returned: Ptr<u32>) -> Result<(), NtStatus> {
        if class != 0 {
            return Err(NtStatus::INVALID_INFO_CLASS);
        }
        let (depth, is_mine, is_abandoned) = lookup::<Mutant>(mutant, QUERY_STATE)?.query();
        put_information(buffer, length, returned, MutantBasicInformation {
            current_count: 1 - depth.cast_signed(),
            owned_by_caller: u8::from(is_mine),
            abandoned_state: u8::from(is_abandoned),
        })
    }

    /// Makes a timer: kind 0 notification, 1 synchronization.
    "ntdll.dll" stdcall fn NtCreateTimer = "NtCreateTimer|ZwCreateTimer" (handle: Ptr<Handle>, access: u32, attributes: Ptr<ObjectAttributes>, kind: u32) -> NtStatus {
        if kind > 1 {
            return NtStatus::INVALID_PARAMETER_4;
        }
        create(handle, attributes, access, || Ok(Timer::new(kind == 0)))
    }

    /// Sets a timer; the period is in milliseconds.
    "ntdll.dll" stdcall fn NtSetTimer = "NtSetTimer|ZwSetTimer" (timer: Handle, due: Ptr<i64>, routine: Callback, _context: usize, _resume: Boolean, period: i32, previous: Ptr<u8>) -> Result<(), NtStatus> {
        let due = due.try_read()?;
        let period = u64::try_from(period).map_err(|_| NtStatus::INVALID_PARAMETER_6)?;
        if !routine.is_null() {
            return Err(NtStatus::NOT_SUPPORTED);
        }
        let before = lookup::<Timer>(timer, MODIFY_STATE)?.set(deadline(Some(due)).unwrap_or(0), period * 1_000_000);
        put_optional(previous, u8::from(before))
    }

    /// Cancels a timer.
    "ntdll.dll" stdcall fn NtCancelTimer = "NtCancelTimer|ZwCancelTimer" (timer: Handle, state: Ptr<u8>) -> Result<(), NtStatus> {
        let before = lookup::<Timer>(timer, MODIFY_STATE)?.cancel();
        put_optional(state, u8::from(before))
    }
}
