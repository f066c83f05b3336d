//! Starting programs by name: `shellapi.h`. Documents have no programs that open them.

use ntlpc_abi::{Handle, UserPtr};

use crate::dlls::kernel32::create_process::CreateProcessW;
use crate::dlls::kernel32::handleapi::CloseHandle;
use crate::dlls::kernel32::processenv::StartupInfo;
use crate::dlls::kernel32::processthreadsapi::ProcessInformation;
use crate::dlls::win32::{error, refuse, units_arg, wide_arg};
use crate::export::{Bool, Guest, Ptr};
use crate::ob::path;
use crate::ob::spawn;
use crate::teb;
use crate::{guest_struct, win_api};

/// What a success is told by: more than 32.
const DONE: usize = 42;
/// `SE_ERR_FNF`, `SE_ERR_ACCESSDENIED`, `SE_ERR_OOM`, `SE_ERR_NOASSOC`.
const NOT_FOUND: usize = 2;
const DENIED: usize = 5;
const NO_MEMORY: usize = 8;
const NO_ASSOCIATION: usize = 31;
/// `ERROR_NO_ASSOCIATION`.
const ERROR_NO_ASSOCIATION: u32 = 1155;
/// `SEE_MASK_NOCLOSEPROCESS`.
const KEEPS_PROCESS: u32 = 0x40;
/// Verbs that start a program.
const VERBS: [&str; 3] = ["", "open", "runas"];
const PROGRAMS: [&str; 4] = ["exe", "com", "bat", "cmd"];

guest_struct! {
    /// `SHELLEXECUTEINFOW`.
    pub struct ExecuteInfo {
        size: u32,
        mask: u32,
        window: UserPtr,
        verb: Ptr<u16>,
        file: Ptr<u16>,
        parameters: Ptr<u16>,
        directory: Ptr<u16>,
        show: i32,
        instance: usize,
        id_list: UserPtr,
        class: Ptr<u16>,
        class_key: Handle,
        hot_key: u32,
        icon: Handle,
        process: Handle,
    }
}

/// What to start.
#[derive(Debug, Default)]
struct Request {
    verb: Option<Vec<u16>>,
    file: Option<Vec<u16>>,
    parameters: Option<Vec<u16>>,
    directory: Option<Vec<u16>>,
}

/// A copy for the guest: the calls below take guest addresses, on i386 low ones.
fn copy(units: &[u16]) -> Option<Ptr<u16>> {
    let bytes = (units.len() + 1) * 2;
    let block = Ptr::<u16>::new(crate::heap::process().allocate(bytes, false)?);
    block.write_many(units);
    block.add(units.len()).write(0);
    Some(block)
}

fn free<T>(block: Ptr<T>) {
    if !block.is_null() {
        let _ = crate::heap::process().free(block.address());
    }
}

/// Starts a program; the error as `ShellExecute` tells it.
fn start(request: &Request) -> Result<ProcessInformation, usize> {
    let text =
        |units: &Option<Vec<u16>>| String::from_utf16_lossy(units.as_deref().unwrap_or_default());
    let (verb, file) = (text(&request.verb), text(&request.file));
    let file = file.trim_matches('"');
    if !VERBS.contains(&verb.to_lowercase().as_str()) || file.is_empty() {
        return Err(NO_ASSOCIATION);
    }
    let directory = match &request.directory {
        Some(directory) if !directory.is_empty() => String::from_utf16_lossy(directory),
        _ => path::directory(),
    };
    let search = std::env::var_os("PATH");
    let beside = crate::module::program_directory();
    let found = spawn::find_image(file, beside, &directory, search.as_deref()).ok_or(NOT_FOUND)?;
    let extension = found
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default();
    if !PROGRAMS.contains(&extension.to_lowercase().as_str()) {
        log::warn!("ShellExecute: no program opens {file}");
        return Err(NO_ASSOCIATION);
    }
    let image = path::to_windows(&found);
    let line = match text(&request.parameters) {
        none if none.is_empty() => format!("\"{image}\""),
        parameters => format!("\"{image}\" {parameters}"),
    };
    let wide = |text: &str| copy(&text.encode_utf16().collect::<Vec<u16>>());
    let room = StartupInfo::size() + ProcessInformation::size();
    let block = crate::heap::process()
        .allocate(room, true)
        .ok_or(NO_MEMORY)?;
    let startup = Ptr::<StartupInfo>::new(block);
    let information = startup.byte_add(StartupInfo::size() as u64).cast();
    let (image, line, directory) = (
        wide(&image).ok_or(NO_MEMORY)?,
        wide(&line).ok_or(NO_MEMORY)?,
        wide(&directory).ok_or(NO_MEMORY)?,
    );
    startup.cast::<u32>().write(StartupInfo::size() as u32);
    let is_started = CreateProcessW(
        image,
        line,
        Ptr::NULL,
        Ptr::NULL,
        Bool::FALSE,
        0,
        UserPtr::NULL,
        directory,
        startup,
        information,
    );
    let made: ProcessInformation = information.read();
    [image, line, directory].into_iter().for_each(free);
    free(startup);
    if is_started.get() {
        Ok(made)
    } else {
        Err(DENIED)
    }
}

/// Starts a program and lets go of it.
fn execute(request: &Request) -> usize {
    match start(request) {
        Ok(made) => {
            CloseHandle(made.thread);
            CloseHandle(made.process);
            DONE
        }
        Err(code) => refuse(last_error(code), code),
    }
}

fn last_error(code: usize) -> u32 {
    match code {
        NO_ASSOCIATION => ERROR_NO_ASSOCIATION,
        code => code as u32,
    }
}

win_api! {
    /// Starts a program; more than 32 says that it was.
    "shell32.dll" stdcall fn ShellExecuteW(_window: UserPtr, verb: Ptr<u16>, file: Ptr<u16>, parameters: Ptr<u16>, directory: Ptr<u16>, _show: i32) -> usize {
        execute(&Request {
            verb: units_arg(verb),
            file: units_arg(file),
            parameters: units_arg(parameters),
            directory: units_arg(directory),
        })
    }

    /// Starts a program; more than 32 says that it was.
    "shell32.dll" stdcall fn ShellExecuteA(_window: UserPtr, verb: Ptr<u8>, file: Ptr<u8>, parameters: Ptr<u8>, directory: Ptr<u8>, _show: i32) -> usize {
        execute(&Request {
            verb: wide_arg(verb),
            file: wide_arg(file),
            parameters: wide_arg(parameters),
            directory: wide_arg(directory),
        })
    }

    /// Starts a program and gives its handle if wanted.
    "shell32.dll" stdcall fn ShellExecuteExW(information: Ptr<ExecuteInfo>) -> Bool {
        let asked = information.read();
        if asked.size as usize != ExecuteInfo::size() {
            return refuse(error::INVALID_PARAMETER, Bool::FALSE);
        }
        let started = start(&Request {
            verb: units_arg(asked.verb),
            file: units_arg(asked.file),
            parameters: units_arg(asked.parameters),
            directory: units_arg(asked.directory),
        });
        let (instance, process) = match &started {
            Ok(made) => {
                CloseHandle(made.thread);
                let keeps = asked.mask & KEEPS_PROCESS != 0;
                if !keeps {
                    CloseHandle(made.process);
                }
                (DONE, if keeps { made.process } else { Handle::NULL })
            }
            Err(code) => (*code, Handle::NULL),
        };
        information.write(ExecuteInfo { instance, process, ..asked });
        if started.is_err() {
            teb::set_last_error(last_error(instance));
        }
        started.is_ok().into()
    }
}
