//! Creating processes: `CreateProcess` and the attribute lists of `processthreadsapi.h`.

use std::path::PathBuf;

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use super::processenv::{self, StartupInfo, USE_STANDARD_HANDLES};
use super::processthreadsapi::{CREATE_SUSPENDED, ProcessInformation};
use super::synchapi::SecurityAttributes;
use crate::dlls::win32::{error, failed, refuse, units_arg, wide_arg, wide_of};
use crate::export::{Bool, Guest, Ptr};
use crate::ob::file::FILE_TYPE;
use crate::ob::group::Group;
use crate::ob::object::Object;
use crate::ob::path::{self, Target};
use crate::ob::shell;
use crate::ob::spawn::{self, NewProcess};
use crate::ob::table::{INHERIT, TABLE};
use crate::peb;
use crate::process::environment;
use crate::win_api;

/// `CREATE_UNICODE_ENVIRONMENT`.
const UNICODE_ENVIRONMENT: u32 = 0x400;
/// `CREATE_BREAKAWAY_FROM_JOB`.
const BREAKAWAY_FROM_JOB: u32 = 0x100_0000;
/// `CREATE_NEW_PROCESS_GROUP`.
const NEW_PROCESS_GROUP: u32 = 0x200;
/// `DETACHED_PROCESS`, `CREATE_NEW_CONSOLE`, `CREATE_NO_WINDOW`: the parent's console is not the child's.
const OTHER_CONSOLE: u32 = 0x800_0018;
/// `EXTENDED_STARTUPINFO_PRESENT`.
const EXTENDED_STARTUP: u32 = 0x8_0000;
/// `PROC_THREAD_ATTRIBUTE_HANDLE_LIST`.
const HANDLE_LIST: usize = 0x2_0002;

/// Bytes of an attribute list: its header and room for each attribute (number, address, size).
const LIST_HEADER: usize = 16;
const LIST_ENTRY: usize = 24;

/// Arguments of a call, strings decoded.
struct Request {
    application: Option<Vec<u16>>,
    command_line: Option<Vec<u16>>,
    inherits: bool,
    inherit_process: bool,
    inherit_thread: bool,
    flags: u32,
    environment: Option<Vec<u16>>,
    directory: Option<Vec<u16>>,
    startup: Ptr<StartupInfo>,
}

/// Takes the program's name off a command line: a quoted string, or up to the first blank.
fn first_word(command_line: &str) -> &str {
    match command_line.strip_prefix('"') {
        Some(rest) => rest.split('"').next().unwrap_or(rest),
        None => command_line
            .split([' ', '\t'])
            .next()
            .unwrap_or(command_line),
    }
}

/// The image: what the application name or the command line names.
///
/// An unquoted name with blanks is tried shorter to longer, as Microsoft Learn describes for `CreateProcess`.
fn image_of(request: &Request) -> Result<PathBuf, NtStatus> {
    let directory = path::directory();
    let search = std::env::var_os("PATH");
    let beside = crate::module::program_directory();
    if let Some(application) = &request.application {
        let name = String::from_utf16_lossy(application);
        return match path::resolve(&name, &directory)? {
            Target::File(found) if spawn::is_there(&found) => Ok(found),
            Target::File(_) => spawn::find_image(&name, beside, &directory, None)
                .ok_or(NtStatus::OBJECT_NAME_NOT_FOUND),
            _ => Err(NtStatus::ACCESS_DENIED),
        };
    }
    let line = String::from_utf16_lossy(request.command_line.as_deref().unwrap_or_default());
    let find = |name: &str| spawn::find_image(name, beside, &directory, search.as_deref());
    let word = first_word(&line);
    if line.starts_with('"') {
        return find(word).ok_or(NtStatus::OBJECT_NAME_NOT_FOUND);
    }
    let ends = line
        .char_indices()
        .filter(|(_, c)| *c == ' ')
        .map(|(i, _)| i)
        .chain([line.len()]);
    ends.filter_map(|end| find(&line[..end]))
        .next()
        .ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)
}

/// Returns `INVALID_IMAGE_FORMAT` unless the file is a PE image, or the shell that is built in.
fn check_image(image: &std::path::Path) -> Result<(), NtStatus> {
    if shell::is_built_in(image) {
        return Ok(());
    }
    let mut magic = [0; 2];
    let read = std::fs::File::open(image)
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic));
    if read.is_err() || &magic != b"MZ" {
        log::warn!("{} is not a PE image", image.display());
        return Err(NtStatus::INVALID_IMAGE_FORMAT);
    }
    Ok(())
}

/// Handles of `PROC_THREAD_ATTRIBUTE_HANDLE_LIST`, if the start-up information has a list with it.
fn handle_list(startup: Ptr<StartupInfo>, flags: u32) -> Option<Vec<Handle>> {
    if flags & EXTENDED_STARTUP == 0 {
        return None;
    }
    let list = startup
        .byte_add(StartupInfo::size() as u64)
        .cast::<Ptr<u8>>()
        .read()
        .non_null()?;
    let count = list.cast::<u32>().read();
    (0..count.min(64)).find_map(|i| {
        let entry = list.byte_add((LIST_HEADER + i as usize * LIST_ENTRY) as u64);
        let (kind, value, size) = (
            entry.cast::<u64>().read(),
            entry.byte_add(8).cast::<u64>().read(),
            entry.byte_add(16).cast::<u64>().read(),
        );
        (kind as usize == HANDLE_LIST)
            .then(|| Ptr::<Handle>::new(value).read_many(size as usize / Handle::size()))
    })
}

fn create(request: &Request) -> Result<ProcessInformation, NtStatus> {
    let mut image = image_of(request)?;
    let is_batch = shell::is_batch(&image);
    if is_batch {
        image = path::to_unix(shell::PATH);
    }
    check_image(&image)?;
    let startup = request.startup.read();
    let parameters = peb::parameters().read();
    let own = [
        parameters.standard_input,
        parameters.standard_output,
        parameters.standard_error,
    ];
    let uses_own = startup.flags & USE_STANDARD_HANDLES == 0;
    let standard = if uses_own {
        own
    } else {
        [
            startup.standard_input,
            startup.standard_output,
            startup.standard_error,
        ]
    };
    let list = handle_list(request.startup, request.flags);
    let mut handles = if request.inherits {
        spawn::inherited(list.as_deref())
    } else {
        Vec::new()
    };
    // Console handles and, when none are named, the parent's standard handles reach the child in any case.
    for handle in standard {
        if uses_own
            && !handles.iter().any(|(h, _)| *h == handle)
            && let Ok(mut entry) = TABLE.entry(handle)
            && std::ptr::eq(entry.object.object_type(), &FILE_TYPE)
        {
            entry.attributes |= INHERIT;
            handles.push((handle, entry));
        }
    }
    let block = request
        .environment
        .clone()
        .unwrap_or_else(processenv::block);
    let directory = request.directory.as_deref().map(String::from_utf16_lossy);
    let directory = match directory
        .map(|d| path::resolve(&d, &path::directory()))
        .transpose()?
    {
        Some(Target::File(directory)) if directory.is_dir() => Some(directory),
        Some(_) => return Err(NtStatus::NOT_A_DIRECTORY),
        None => None,
    };
    let command_line = match &request.command_line {
        Some(line) if !line.is_empty() => String::from_utf16_lossy(line),
        _ => format!(
            "\"{}\"",
            String::from_utf16_lossy(request.application.as_deref().unwrap_or_default())
        ),
    };
    let new = NewProcess {
        image,
        command_line: if is_batch {
            shell::batch_line(&command_line)
        } else {
            command_line
        },
        environment: environment::to_unix(&block),
        directory,
        standard,
        runtime_data: Ptr::<u8>::new(startup.reserved2.0).read_bytes(startup.reserved2_size.into()),
        handles,
        breaks_away: request.flags & BREAKAWAY_FROM_JOB != 0,
        is_suspended: request.flags & CREATE_SUSPENDED != 0,
        group: if request.flags & OTHER_CONSOLE != 0 {
            Group::NewConsole
        } else if request.flags & NEW_PROCESS_GROUP != 0 {
            Group::New
        } else {
            Group::Same
        },
    };
    let (process, thread) = spawn::spawn(&new)?;
    let (process_id, thread_id) = (
        process.pid,
        thread.tid.load(std::sync::atomic::Ordering::Acquire),
    );
    let attributes = |inherit: bool| if inherit { INHERIT } else { 0 };
    let access = process.object_type().generic[3];
    let process = TABLE.insert(process, access, attributes(request.inherit_process))?;
    let access = thread.object_type().generic[3];
    let thread = TABLE.insert(thread, access, attributes(request.inherit_thread))?;
    Ok(ProcessInformation {
        process,
        thread,
        process_id,
        thread_id,
    })
}

fn finish(request: &Request, to: Ptr<ProcessInformation>) -> Bool {
    match create(request) {
        Ok(information) => {
            to.write(information);
            Bool::TRUE
        }
        Err(NtStatus::INVALID_IMAGE_FORMAT) => refuse(error::BAD_EXE_FORMAT, Bool::FALSE),
        Err(status) => failed(status, Bool::FALSE),
    }
}

fn inherits(security: Ptr<SecurityAttributes>) -> bool {
    security
        .non_null()
        .is_some_and(|s| s.read().inherit_handle != 0)
}

/// Reads an environment block of either encoding as UTF-16.
fn environment_arg(at: UserPtr, flags: u32) -> Option<Vec<u16>> {
    if at.is_null() {
        return None;
    }
    if flags & UNICODE_ENVIRONMENT != 0 {
        let mut block: Vec<u16> = processenv::split_block(Ptr::new(at.0))
            .into_iter()
            .flat_map(|mut e| {
                e.push(0);
                e
            })
            .collect();
        block.push(0);
        return Some(block);
    }
    let mut block = Vec::new();
    let mut next = Ptr::<u8>::new(at.0);
    loop {
        let entry = next.read_c_string();
        if entry.is_empty() {
            block.push(0);
            return Some(block);
        }
        next = next.add(entry.len() + 1);
        block.extend(wide_of(&entry));
        block.push(0);
    }
}

win_api! {
    /// Starts a program.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateProcessW(application: Ptr<u16>, command_line: Ptr<u16>, process: Ptr<SecurityAttributes>, thread: Ptr<SecurityAttributes>, inherit: Bool, flags: u32, environment: UserPtr, directory: Ptr<u16>, startup: Ptr<StartupInfo>, information: Ptr<ProcessInformation>) -> Bool {
        let request = Request {
            application: units_arg(application),
            command_line: units_arg(command_line),
            inherits: inherit.get(),
            inherit_process: inherits(process),
            inherit_thread: inherits(thread),
            flags,
            environment: environment_arg(environment, flags),
            directory: units_arg(directory),
            startup,
        };
        finish(&request, information)
    }

    /// Starts a program.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateProcessA(application: Ptr<u8>, command_line: Ptr<u8>, process: Ptr<SecurityAttributes>, thread: Ptr<SecurityAttributes>, inherit: Bool, flags: u32, environment: UserPtr, directory: Ptr<u8>, startup: Ptr<StartupInfo>, information: Ptr<ProcessInformation>) -> Bool {
        let request = Request {
            application: wide_arg(application),
            command_line: wide_arg(command_line),
            inherits: inherit.get(),
            inherit_process: inherits(process),
            inherit_thread: inherits(thread),
            flags,
            environment: environment_arg(environment, flags),
            directory: wide_arg(directory),
            startup,
        };
        finish(&request, information)
    }

    /// Prepares a list of attributes for `CreateProcess`, or tells the bytes it needs.
    "kernel32.dll|kernelbase.dll" stdcall fn InitializeProcThreadAttributeList(list: Ptr<u8>, count: u32, _flags: u32, size: Ptr<usize>) -> Bool {
        let needed = LIST_HEADER + count as usize * LIST_ENTRY;
        let given = size.read();
        size.write(needed);
        if list.is_null() || given < needed {
            return refuse(error::INSUFFICIENT_BUFFER, Bool::FALSE);
        }
        list.cast::<u32>().write(0);
        list.byte_add(4).cast::<u32>().write(count);
        Bool::TRUE
    }

    /// Adds an attribute to a list.
    "kernel32.dll|kernelbase.dll" stdcall fn UpdateProcThreadAttribute(list: Ptr<u8>, _flags: u32, attribute: usize, value: UserPtr, size: usize, _previous: UserPtr, _returned: UserPtr) -> Bool {
        let (used, room) = (list.cast::<u32>().read(), list.byte_add(4).cast::<u32>().read());
        if used >= room {
            return refuse(error::INSUFFICIENT_BUFFER, Bool::FALSE);
        }
        if attribute != HANDLE_LIST {
            log::warn!("process attribute {attribute:#x} has no effect");
        }
        let entry = list.byte_add((LIST_HEADER + used as usize * LIST_ENTRY) as u64);
        entry.cast::<u64>().write(attribute as u64);
        entry.byte_add(8).cast::<u64>().write(value.0);
        entry.byte_add(16).cast::<u64>().write(size as u64);
        list.cast::<u32>().write(used + 1);
        Bool::TRUE
    }

    /// Ends a list of attributes.
    "kernel32.dll|kernelbase.dll" stdcall fn DeleteProcThreadAttributeList(list: Ptr<u8>) {
        list.cast::<u32>().write(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_the_program() {
        assert_eq!(first_word("\"a b.exe\" c"), "a b.exe");
        assert_eq!(first_word("a.exe c"), "a.exe");
        assert_eq!(first_word(""), "");
    }
}
