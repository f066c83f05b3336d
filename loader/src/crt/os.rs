//! What the runtime needs of the system below it: handles, the process, exceptions.

use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};

use crate::export::Ptr;
use crate::ob::file::{self, File};
use crate::ob::table;
use crate::process::peb;

/// What a handle leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A file on disk.
    Disk,
    /// A console or other character device.
    Character,
    /// A pipe or socket.
    Pipe,
}

/// Where a seek starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    /// The beginning of the file.
    Start,
    /// The file pointer.
    Current,
    /// The end of the file.
    End,
}

/// `ERROR_CALL_NOT_IMPLEMENTED`.
const NOT_IMPLEMENTED: u32 = 120;
/// `ERROR_NEGATIVE_SEEK`.
const NEGATIVE_SEEK: u32 = 131;

/// Returns the standard handle of descriptor 0, 1 or 2.
pub fn standard_handle(index: u32) -> Option<Handle> {
    let handle = standard_field(index as usize)?.read();
    (handle != Handle::NULL).then_some(handle)
}

/// Makes `handle` the standard handle of descriptor `index`, if that has one.
pub fn set_standard_handle(index: usize, handle: Handle) {
    if let Some(field) = standard_field(index) {
        field.write(handle);
    }
}

fn standard_field(index: usize) -> Option<Ptr<Handle>> {
    const FIELDS: [&str; 3] = ["standard_input", "standard_output", "standard_error"];
    FIELDS.get(index).map(|field| peb::parameter(field))
}

fn file(handle: Handle) -> Result<Arc<File>, u32> {
    table::lookup(handle, 0).map_err(win32_error)
}

/// Returns what a handle leads to.
pub fn file_kind(handle: Handle) -> FileKind {
    match file(handle).map(|file| file.kind) {
        Ok(file::FileKind::Disk) => FileKind::Disk,
        Ok(file::FileKind::Character) => FileKind::Character,
        _ => FileKind::Pipe,
    }
}

/// Reads; 0 at the end. Fails with a Win32 error.
pub fn read(handle: Handle, buffer: &mut [u8]) -> Result<usize, u32> {
    let at = Ptr::new(buffer.as_mut_ptr() as u64);
    match file(handle)?.read(at, buffer.len(), None) {
        Err(NtStatus::END_OF_FILE | NtStatus::PIPE_BROKEN) => Ok(0),
        outcome => outcome.map_err(win32_error),
    }
}

/// Writes; returns how much. Fails with a Win32 error.
pub fn write(handle: Handle, bytes: &[u8]) -> Result<usize, u32> {
    let at = Ptr::new(bytes.as_ptr() as u64);
    file(handle)?
        .write(at, bytes.len(), None)
        .map_err(win32_error)
}

/// Moves the file pointer; returns the new one.
pub fn seek(handle: Handle, offset: i64, whence: Whence) -> Result<i64, u32> {
    use rustix::fs::SeekFrom;
    let from = match whence {
        Whence::Start => SeekFrom::Start(u64::try_from(offset).map_err(|_| NEGATIVE_SEEK)?),
        Whence::Current => SeekFrom::Current(offset),
        Whence::End => SeekFrom::End(offset),
    };
    let position = rustix::fs::seek(file(handle)?.fd(), from);
    position
        .map(u64::cast_signed)
        .map_err(|error| win32_error(file::status_of(&error.into())))
}

/// Closes a handle.
pub fn close(handle: Handle) -> Result<(), u32> {
    table::TABLE.close(handle).map_err(win32_error)
}

/// Duplicates a handle.
pub fn duplicate(handle: Handle, inherit: bool) -> Result<Handle, u32> {
    let entry = table::TABLE.entry(handle).map_err(win32_error)?;
    let attributes = if inherit { table::INHERIT } else { 0 };
    table::TABLE
        .insert(entry.object, entry.access, attributes)
        .map_err(win32_error)
}

fn win32_error(status: NtStatus) -> u32 {
    crate::dlls::win32::dos_error(status)
}

/// Writes a message of the runtime where the guest's standard error goes.
pub fn write_standard_error(text: &[u8]) {
    if let Some(handle) = standard_handle(2) {
        // There is nowhere else to report a failure.
        let _ = write(handle, text);
    }
}

/// Returns the command line of the process.
pub fn command_line() -> Vec<u16> {
    parameter_text("command_line")
}

fn parameter_text(field: &str) -> Vec<u16> {
    let string = peb::parameter::<crate::ob::attributes::UnicodeString>(field).read();
    string.buffer.read_many(usize::from(string.length / 2))
}

/// Returns the environment block of the process.
pub fn environment() -> Vec<u16> {
    crate::dlls::kernel32::processenv::block()
}

/// Sets or removes a variable of the process environment.
pub fn set_environment_variable(name: &[u16], value: Option<&[u16]>) {
    // An impossible name was refused by the caller.
    let _ = crate::dlls::kernel32::processenv::set_variable(
        Some(name.to_vec()),
        value.map(<[u16]>::to_vec),
    );
}

/// Returns the path of the program.
pub fn program_path() -> Vec<u16> {
    parameter_text("image_path")
}

/// Returns the names in a directory that match the last component of `pattern`.
pub fn matching_names(_pattern: &[u16]) -> Vec<Vec<u16>> {
    Vec::new()
}

/// Returns the handle of the process heap.
pub fn process_heap_handle() -> u64 {
    0
}

/// Ends the process.
pub fn exit_process(code: u32) -> ! {
    crate::process::exit(code)
}

/// `STATUS_STACK_BUFFER_OVERRUN`, what `__fastfail` ends a process with.
const FAST_FAIL: u32 = 0xC000_0409;
/// `STATUS_HEAP_CORRUPTION`.
const HEAP_CORRUPTION: u32 = 0xC000_0374;
/// `STATUS_INTEGER_DIVIDE_BY_ZERO`.
const DIVIDE_BY_ZERO: u32 = 0xC000_0094;

/// Ends the process as `__fastfail` does.
pub fn fail_fast() -> ! {
    exit_process(FAST_FAIL)
}

/// Ends the process because its heap is damaged.
pub fn heap_corruption() -> ! {
    exit_process(HEAP_CORRUPTION)
}

/// Raises the exception of a division by zero in the guest.
pub fn raise_divide_by_zero() -> ! {
    exit_process(DIVIDE_BY_ZERO)
}

/// Deletes a file.
pub fn delete(_path: &[u16]) -> Result<(), u32> {
    Err(NOT_IMPLEMENTED)
}
