//! What the runtime needs of the system below it: handles, files, the process, exceptions.
//!
//! These are calls of `kernel32`'s functions, as the runtime DLLs make them on Windows. Results go to locals of ours,
//! which lie in the same address space as the guest. Errors are Win32 codes.

pub mod files;
pub mod spawn;

use ntlpc_abi::{Handle, NtStatus};

use crate::dlls::kernel32::{
    errhandlingapi, fileapi, filelock, handleapi, heapapi, ioapiset, namedpipeapi, processenv,
    processthreadsapi,
};
use crate::export::{Bool, Ptr};
use crate::{exception, process};

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

/// How a file is opened: the arguments of `CreateFileW`.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    /// Access mask.
    pub access: u32,
    /// Sharing mask.
    pub share: u32,
    /// `CREATE_NEW` and the like.
    pub disposition: u32,
    /// Attributes and flags.
    pub flags: u32,
}

fn result(done: Bool) -> Result<(), u32> {
    if done.get() {
        Ok(())
    } else {
        Err(errhandlingapi::GetLastError())
    }
}

fn address<T>(local: &mut T) -> u64 {
    std::ptr::from_mut(local) as u64
}

/// Largest transfer of one call.
const MAX_TRANSFER: usize = 1 << 30;

fn standard_number(index: usize) -> Option<u32> {
    // STD_INPUT_HANDLE, STD_OUTPUT_HANDLE and STD_ERROR_HANDLE are -10, -11 and -12.
    u32::try_from(index)
        .ok()
        .filter(|index| *index < 3)
        .map(|index| 0_u32.wrapping_sub(10 + index))
}

/// Returns the standard handle of descriptor 0, 1 or 2.
pub fn standard_handle(index: usize) -> Option<Handle> {
    let handle = processenv::GetStdHandle(standard_number(index)?);
    (handle.0 != 0 && handle.0 != u64::MAX).then_some(handle)
}

/// Makes `handle` the standard handle of descriptor `index`, if that has one.
pub fn set_standard_handle(index: usize, handle: Handle) {
    if let Some(number) = standard_number(index) {
        processenv::SetStdHandle(number, handle);
    }
}

/// Returns what a handle leads to.
pub fn file_kind(handle: Handle) -> FileKind {
    const DISK: u32 = 1;
    const CHARACTER: u32 = 2;
    match fileapi::GetFileType(handle) {
        DISK => FileKind::Disk,
        CHARACTER => FileKind::Character,
        _ => FileKind::Pipe,
    }
}

/// Returns whether a handle is one of a file, pipe or device.
pub fn is_file(handle: Handle) -> bool {
    const UNKNOWN: u32 = 0;
    fileapi::GetFileType(handle) != UNKNOWN
}

/// Reads; 0 at the end of a file or when all writers of a pipe are gone.
pub fn read(handle: Handle, buffer: &mut [u8]) -> Result<usize, u32> {
    const HANDLE_EOF: u32 = 38;
    const BROKEN_PIPE: u32 = 109;
    let length = buffer.len().min(MAX_TRANSFER) as u32;
    let mut done = 0_u32;
    let read = ioapiset::ReadFile(
        handle,
        Ptr::new(buffer.as_mut_ptr() as u64),
        length,
        Ptr::new(address(&mut done)),
        Ptr::NULL,
    );
    match result(read) {
        Ok(()) => Ok(done as usize),
        Err(HANDLE_EOF | BROKEN_PIPE) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Writes; returns how much.
pub fn write(handle: Handle, bytes: &[u8]) -> Result<usize, u32> {
    let length = bytes.len().min(MAX_TRANSFER) as u32;
    let mut done = 0_u32;
    result(ioapiset::WriteFile(
        handle,
        Ptr::new(bytes.as_ptr() as u64),
        length,
        Ptr::new(address(&mut done)),
        Ptr::NULL,
    ))?;
    Ok(done as usize)
}

/// Moves the file pointer; returns the new one.
pub fn seek(handle: Handle, offset: i64, whence: Whence) -> Result<i64, u32> {
    let mut position = 0_i64;
    result(fileapi::SetFilePointerEx(
        handle,
        offset,
        Ptr::new(address(&mut position)),
        whence as u32,
    ))?;
    Ok(position)
}

/// Returns the size of a file.
pub fn size(handle: Handle) -> Result<i64, u32> {
    let mut size = 0_i64;
    result(fileapi::GetFileSizeEx(handle, Ptr::new(address(&mut size))))?;
    Ok(size)
}

/// Cuts or extends a file at `size`; the file pointer stays.
pub fn set_size(handle: Handle, size: i64) -> Result<(), u32> {
    let before = seek(handle, 0, Whence::Current)?;
    seek(handle, size, Whence::Start)?;
    let done = result(fileapi::SetEndOfFile(handle));
    seek(handle, before, Whence::Start)?;
    done
}

/// Writes a file's data to the disk.
pub fn commit(handle: Handle) -> Result<(), u32> {
    result(fileapi::FlushFileBuffers(handle))
}

/// Opens a file.
pub fn open(path: &[u16], how: Open, inherit: bool) -> Result<Handle, u32> {
    const INHERIT: u32 = 1;
    let mut name = path.to_vec();
    name.push(0);
    let file = fileapi::CreateFileW(
        Ptr::new(name.as_ptr() as u64),
        how.access,
        how.share,
        Ptr::NULL,
        how.disposition,
        how.flags,
        Handle(0),
    );
    if file.0 == u64::MAX || file.0 == 0 {
        return Err(errhandlingapi::GetLastError());
    }
    if inherit {
        handleapi::SetHandleInformation(file, INHERIT, INHERIT);
    }
    Ok(file)
}

/// Closes a handle.
pub fn close(handle: Handle) -> Result<(), u32> {
    result(handleapi::CloseHandle(handle))
}

/// Duplicates a handle.
pub fn duplicate(handle: Handle, inherit: bool) -> Result<Handle, u32> {
    const CURRENT_PROCESS: Handle = Handle(u64::MAX);
    const SAME_ACCESS: u32 = 2;
    let mut target = 0_u64;
    result(handleapi::DuplicateHandle(
        CURRENT_PROCESS,
        handle,
        CURRENT_PROCESS,
        Ptr::new(address(&mut target)),
        0,
        Bool::from(inherit),
        SAME_ACCESS,
    ))?;
    Ok(Handle(target))
}

/// Returns how many bytes wait in a pipe; 0 for anything else.
pub fn available(handle: Handle) -> i64 {
    let mut count = 0_u32;
    namedpipeapi::PeekNamedPipe(
        handle,
        Ptr::NULL,
        0,
        Ptr::NULL,
        Ptr::new(address(&mut count)),
        Ptr::NULL,
    );
    count.into()
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

/// Returns the environment block of the process without its final NUL.
pub fn environment() -> Vec<u16> {
    let strings = processenv::GetEnvironmentStringsW();
    let mut block = Vec::new();
    loop {
        let entry = super::mem::string(strings.add(block.len()));
        if entry.is_empty() {
            break;
        }
        block.extend_from_slice(&entry);
        block.push(0);
    }
    processenv::FreeEnvironmentStringsW(strings.cast());
    block
}

/// Locks or unlocks a range for this handle alone, without waiting.
pub fn lock(handle: Handle, start: i64, count: u32, is_locked: bool) -> Result<(), u32> {
    let (low, high) = (start as u32, (start >> 32) as u32);
    result(if is_locked {
        filelock::LockFile(handle, low, high, count, 0)
    } else {
        filelock::UnlockFile(handle, low, high, count, 0)
    })
}

/// Sets or removes a variable of the process environment.
pub fn set_environment_variable(name: &[u16], value: Option<&[u16]>) {
    let terminated = |text: &[u16]| [text, &[0]].concat();
    let name = terminated(name);
    let value = value.map(terminated);
    let value_at = value.as_ref().map_or(0, |value| value.as_ptr() as u64);
    processenv::SetEnvironmentVariableW(Ptr::new(name.as_ptr() as u64), Ptr::new(value_at));
}

/// Returns the path of the program.
pub fn program_path() -> Vec<u16> {
    parameter_text("image_path")
}

/// Returns a text of the process parameters. Exported variables are filled in before the first guest thread exists, so
/// calls that need its TEB would be too early.
fn parameter_text(field: &str) -> Vec<u16> {
    let string = crate::peb::parameter::<crate::ob::attributes::UnicodeString>(field).read();
    string.buffer.read_many(usize::from(string.length / 2))
}

/// Returns the handle of the process heap.
pub fn process_heap_handle() -> u64 {
    heapapi::GetProcessHeap().0
}

/// Returns the id of the process.
pub fn process_id() -> u32 {
    processthreadsapi::GetCurrentProcessId()
}

/// Returns how long the process has run, in milliseconds.
pub fn process_age_ms() -> i64 {
    const CURRENT_PROCESS: Handle = Handle(u64::MAX);
    let mut times = [0_i64; 4];
    let [created, exited, kernel, user] =
        [0, 1, 2, 3].map(|index| Ptr::new(&raw mut times[index] as u64));
    processthreadsapi::GetProcessTimes(CURRENT_PROCESS, created, exited, kernel, user);
    (crate::ob::time::system_time() - times[0]) / 10_000
}

/// Ends the process as `ExitProcess` does.
pub fn exit_process(code: u32) -> ! {
    process::exit(code)
}

/// Ends the process as `__fastfail` does: with `STATUS_STACK_BUFFER_OVERRUN`, past all handlers.
pub fn fail_fast() -> ! {
    const STACK_BUFFER_OVERRUN: u32 = 0xC000_0409;
    log::error!("the C runtime ended the program (fast fail)");
    crate::ob::process::exit_now(STACK_BUFFER_OVERRUN)
}

/// Ends the process because its heap is damaged: `STATUS_HEAP_CORRUPTION`.
pub fn heap_corruption() -> ! {
    const HEAP_CORRUPTION: u32 = 0xC000_0374;
    crate::ob::process::exit_now(HEAP_CORRUPTION)
}

/// Raises `STATUS_INTEGER_DIVIDE_BY_ZERO` at the guest's call.
pub fn raise_divide_by_zero() -> ! {
    exception::raise_from_call(NtStatus(0xC000_0094), &[])
}
