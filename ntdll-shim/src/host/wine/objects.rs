//! Close, duplication and queries of handles that may name ports.

use std::sync::atomic::Ordering;

use ntlpc_abi::{NtStatus, UserPtr};

use super::arch::Arguments;
use super::handles::{self, Closed, Known};
use super::page::page;
use super::service::ntdll;
use super::structures::Word;
use crate::capture;

/// `NtClose(Handle)`.
pub unsafe fn close(arguments: Arguments) -> u32 {
    // SAFETY: Wine passes the argument of the call.
    let [handle] = unsafe { arguments.read() };
    handles::close(handle)
}

/// `NtDuplicateObject(SourceProcess, SourceHandle, TargetProcess, *TargetHandle, Access, Attributes, Options)`.
///
/// What a duplicate names is learned when it is used; here only what is known becomes invalid.
pub unsafe fn duplicate_object(arguments: Arguments) -> u32 {
    // SAFETY: Wine passes the seven arguments of the call.
    let all = unsafe { arguments.read::<7>() };
    let [
        source_process,
        source_handle,
        target_process,
        _,
        _,
        _,
        options,
    ] = all;
    let mut closed = None;
    if source_process == CURRENT_PROCESS && options as u32 & DUPLICATE_CLOSE_SOURCE != 0 {
        closed = handles::forget(source_handle).map(Closed);
    }
    let ntdll = ntdll();
    // SAFETY: the caller's own arguments.
    let status = unsafe { ntdll.pass(ntdll.NtDuplicateObject, all) };
    drop(closed);
    if source_process != CURRENT_PROCESS || target_process != CURRENT_PROCESS {
        page().remote_duplications.fetch_add(1, Ordering::Release);
    }
    status
}

/// `NtQueryObject(Handle, Class, Buffer, Length, *ReturnLength)`: type and name are a port's, the rest is Wine's.
pub unsafe fn query_object(arguments: Arguments) -> u32 {
    // SAFETY: Wine passes the five arguments of the call.
    let all = unsafe { arguments.read::<5>() };
    let [handle, class, buffer, length, returned] = all;
    let answer = match class as u32 {
        OBJECT_NAME_INFORMATION => {
            handles::find_port(handle).map(|known| name_information(&known, buffer))
        }
        OBJECT_TYPE_INFORMATION => {
            handles::find_port(handle).map(|known| type_information(&known, buffer))
        }
        _ => None,
    };
    let Some(answer) = answer else {
        let ntdll = ntdll();
        // SAFETY: the caller's own arguments.
        return unsafe { ntdll.pass(ntdll.NtQueryObject, all) };
    };
    let length = length as u32 as usize;
    let status = if length < answer.len() {
        NtStatus::INFO_LENGTH_MISMATCH
    } else {
        NtStatus::SUCCESS
    };
    let written = if status.is_success() {
        capture::write(UserPtr(buffer), &answer)
    } else {
        Ok(())
    };
    let needed = (answer.len() as u32).to_le_bytes();
    let written = written.and_then(|()| match returned {
        0 => Ok(()),
        _ => capture::write(UserPtr(returned), &needed),
    });
    written.err().unwrap_or(status).0
}

/// `OBJECT_NAME_INFORMATION` for a buffer at `at`; of an unnamed port the empty string. Source: phnt `ntobapi.h`.
fn name_information(known: &Known, at: u64) -> Vec<u8> {
    let name = known.port.name();
    let units: Vec<u8> = name.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    if units.is_empty() {
        unicode_string(&[], 0)
    } else {
        with_string(vec![0; STRING], &units, at)
    }
}

/// `OBJECT_TYPE_INFORMATION` for a buffer at `at`. Source: phnt `ntobapi.h`; masks from lpc §3.8.
fn type_information(known: &Known, at: u64) -> Vec<u8> {
    let mut fixed = vec![0; STRING + 0x58];
    let mut put = |offset: usize, value: u32| {
        fixed[STRING + offset..][..4].copy_from_slice(&value.to_le_bytes());
    };
    put(0x30, 0x7B2); // InvalidAttributes
    put(0x34, 0x2_0001); // GenericMapping
    put(0x38, 0x1_0001);
    put(0x3C, 0);
    put(0x40, 0x1F_0001);
    put(0x44, 0x1F_0001); // ValidAccessMask
    put(0x4C, 1); // PoolType: paged
    let units: Vec<u8> = known
        .port
        .type_name()
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    with_string(fixed, &units, at)
}

/// Appends a string with its terminator, and describes it in the `UNICODE_STRING` at the start.
fn with_string(mut fixed: Vec<u8>, units: &[u8], at: u64) -> Vec<u8> {
    let string = unicode_string(units, at + fixed.len() as u64);
    fixed[..STRING].copy_from_slice(&string);
    fixed.extend(units);
    fixed.extend([0, 0]);
    fixed
}

fn unicode_string(units: &[u8], buffer: u64) -> Vec<u8> {
    let length = units.len() as u16;
    let maximum = if units.is_empty() { 0 } else { length + 2 };
    let mut string = vec![0; STRING];
    string[..2].copy_from_slice(&length.to_le_bytes());
    string[2..4].copy_from_slice(&maximum.to_le_bytes());
    string[STRING / 2..].copy_from_slice(&(buffer as Word).to_le_bytes());
    string
}

/// Size of a `UNICODE_STRING`.
const STRING: usize = 2 * size_of::<Word>();

const CURRENT_PROCESS: u64 = u64::MAX;
const DUPLICATE_CLOSE_SOURCE: u32 = 1;
const OBJECT_NAME_INFORMATION: u32 = 1;
const OBJECT_TYPE_INFORMATION: u32 = 2;
