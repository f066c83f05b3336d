//! Processes of C programs: `_spawn`, `_exec`, `_cwait`.
//!
//! Source: Microsoft Learn, "_spawn, _wspawn functions", "_exec, _wexec functions", "_cwait". Arguments are joined by blanks as they are: quoting them is the caller's business there too.

use ntlpc_abi::Handle;

use super::errno::{self, code};
use super::fd;
use super::io::path;
use super::mem::Char;
use super::os;
use super::os::files;
use super::os::spawn::{self, Process};
use super::stream;
use super::twins::twins;
use super::{environment, exit, inherit};
use crate::export::{Ptr, VarArgs};
use crate::win_api;

/// Modes of `_spawn`.
pub const WAIT: i32 = 0;
const OVERLAY: i32 = 2;
const DETACH: i32 = 4;

const BACKSLASH: u16 = b'\\' as u16;
const BLANK: u16 = b' ' as u16;

/// Returns text as UTF-16.
pub fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

/// Returns the first of `name`, `name.com`, `name.exe`, `name.bat`, `name.cmd` that is a file.
fn with_suffix(name: &[u16]) -> Option<Vec<u16>> {
    let is_file = |path: &Vec<u16>| {
        files::info(path).is_ok_and(|info| info.attributes & files::DIRECTORY == 0)
    };
    let leaf = name
        .rsplit(|unit| *unit == BACKSLASH || *unit == u16::from(b'/'))
        .next()
        .unwrap_or(name);
    if leaf.contains(&u16::from(b'.')) && is_file(&name.to_vec()) {
        return Some(name.to_vec());
    }
    [".com", ".exe", ".bat", ".cmd"]
        .into_iter()
        .map(|suffix| [name, &units(suffix)].concat())
        .find(is_file)
}

/// Finds a program by its name, along `PATH` if it is asked for and the name has no directory.
pub fn find(name: &[u16], is_searched: bool) -> Result<Vec<u16>, i32> {
    if let Some(found) = with_suffix(name) {
        return Ok(found);
    }
    let has_directory = name
        .iter()
        .any(|unit| matches!(u8::try_from(*unit), Ok(b'\\' | b'/' | b':')));
    if !is_searched || has_directory {
        return Err(code::ENOENT);
    }
    let listed = environment::get("PATH").unwrap_or_default();
    let mut directories = listed
        .split(|unit| *unit == u16::from(b';'))
        .filter(|part| !part.is_empty());
    directories
        .find_map(|directory| with_suffix(&[directory, &[BACKSLASH], name].concat()))
        .ok_or(code::ENOENT)
}

/// Returns the standard handles by the descriptors 0, 1 and 2.
pub fn standard_handles() -> [Handle; 3] {
    [0, 1, 2].map(|number| fd::get(number).map_or(Handle(0), |fd| fd.handle))
}

/// A call of one of the functions.
pub struct Request {
    /// `_P_WAIT` and the like.
    pub mode: i32,
    /// Name of the program.
    pub name: Vec<u16>,
    /// Whether it is looked for along `PATH`.
    pub is_searched: bool,
    /// Arguments, the program's own name first.
    pub arguments: Vec<Vec<u16>>,
    /// Variables; without, those of this process.
    pub environment: Option<Vec<u16>>,
}

/// Starts a program; returns its exit code or its handle, by the mode.
pub fn run(request: &Request) -> Result<isize, i32> {
    if !(WAIT..=DETACH).contains(&request.mode)
        || request.name.is_empty()
        || request.arguments.is_empty()
    {
        return Err(errno::invalid_parameter());
    }
    let image = find(&request.name, request.is_searched)?;
    let command_line = request.arguments.join(&BLANK);
    stream::flush_all();
    const DETACHED: u32 = 8;
    let process = Process {
        image: &image,
        command_line: &command_line,
        environment: request.environment.as_deref(),
        standard: standard_handles(),
        runtime_data: &inherit::block(&[]),
        flags: if request.mode == DETACH { DETACHED } else { 0 },
    };
    let handle = spawn::start(&process).map_err(fd::win32)?;
    match request.mode {
        WAIT => {
            let code = spawn::wait(handle).map_err(fd::win32)?;
            os::close(handle).map_err(fd::win32)?;
            Ok(code.cast_signed() as isize)
        }
        OVERLAY => exit::exit_now(0),
        DETACH => {
            os::close(handle).map_err(fd::win32)?;
            Ok(0)
        }
        _ => Ok(handle.0 as isize),
    }
}

fn answer(request: &Request) -> isize {
    run(request).unwrap_or_else(|number| {
        errno::set_errno(number);
        -1
    })
}

/// Reads an array of strings that ends with NULL.
fn strings<T: Char>(at: Ptr<Ptr<T>>) -> Vec<Vec<u16>> {
    (0..)
        .map(|index| at.add(index).read())
        .take_while(|at| !at.is_null())
        .map(path)
        .collect()
}

/// Reads strings up to NULL; what follows stays.
fn listed<T: Char>(first: Ptr<T>, rest: &mut VarArgs) -> Vec<Vec<u16>> {
    let mut arguments = Vec::new();
    let mut next = first;
    while !next.is_null() {
        arguments.push(path(next));
        next = rest.next_ptr();
    }
    arguments
}

/// Makes a block of an array of variables; NULL means those of this process.
fn block<T: Char>(variables: Ptr<Ptr<T>>) -> Option<Vec<u16>> {
    variables.non_null().map(|at| {
        let mut block: Vec<u16> = strings(at)
            .into_iter()
            .flat_map(|variable| [variable, vec![0]].concat())
            .collect();
        if block.is_empty() {
            block.push(0);
        }
        block
    })
}

fn by_array<T: Char>(
    mode: i32,
    name: Ptr<T>,
    is_searched: bool,
    arguments: Ptr<Ptr<T>>,
    environment: Option<Vec<u16>>,
) -> isize {
    if name.is_null() || arguments.is_null() {
        errno::invalid_parameter();
        return -1;
    }
    answer(&Request {
        mode,
        name: path(name),
        is_searched,
        arguments: strings(arguments),
        environment,
    })
}

fn by_list<T: Char>(
    mode: i32,
    name: Ptr<T>,
    is_searched: bool,
    first: Ptr<T>,
    mut rest: VarArgs,
    has_environment: bool,
) -> isize {
    if name.is_null() || first.is_null() {
        errno::invalid_parameter();
        return -1;
    }
    let arguments = listed(first, &mut rest);
    let environment = if has_environment {
        block(rest.next_ptr::<Ptr<T>>())
    } else {
        None
    };
    answer(&Request {
        mode,
        name: path(name),
        is_searched,
        arguments,
        environment,
    })
}

twins! {
    /// Starts a program with an array of arguments.
    "msvcrt.dll|ucrtbase.dll" fn _spawnv / _wspawnv(mode: i32, name: Ptr<Char>, arguments: Ptr<Ptr<Char>>) -> isize { by_array(mode, name, false, arguments, None) }

    /// Starts a program with arrays of arguments and variables.
    "msvcrt.dll|ucrtbase.dll" fn _spawnve / _wspawnve(mode: i32, name: Ptr<Char>, arguments: Ptr<Ptr<Char>>, variables: Ptr<Ptr<Char>>) -> isize { by_array(mode, name, false, arguments, block(variables)) }

    /// Starts a program of `PATH` with an array of arguments.
    "msvcrt.dll|ucrtbase.dll" fn _spawnvp / _wspawnvp(mode: i32, name: Ptr<Char>, arguments: Ptr<Ptr<Char>>) -> isize { by_array(mode, name, true, arguments, None) }

    /// Starts a program of `PATH` with arrays of arguments and variables.
    "msvcrt.dll|ucrtbase.dll" fn _spawnvpe / _wspawnvpe(mode: i32, name: Ptr<Char>, arguments: Ptr<Ptr<Char>>, variables: Ptr<Ptr<Char>>) -> isize { by_array(mode, name, true, arguments, block(variables)) }

    /// Starts a program with the arguments that follow.
    "msvcrt.dll|ucrtbase.dll" fn _spawnl / _wspawnl(mode: i32, name: Ptr<Char>, first: Ptr<Char>, rest: VarArgs) -> isize { by_list(mode, name, false, first, rest, false) }

    /// Starts a program with the arguments that follow, and variables.
    "msvcrt.dll|ucrtbase.dll" fn _spawnle / _wspawnle(mode: i32, name: Ptr<Char>, first: Ptr<Char>, rest: VarArgs) -> isize { by_list(mode, name, false, first, rest, true) }

    /// Starts a program of `PATH` with the arguments that follow.
    "msvcrt.dll|ucrtbase.dll" fn _spawnlp / _wspawnlp(mode: i32, name: Ptr<Char>, first: Ptr<Char>, rest: VarArgs) -> isize { by_list(mode, name, true, first, rest, false) }

    /// Starts a program of `PATH` with the arguments that follow, and variables.
    "msvcrt.dll|ucrtbase.dll" fn _spawnlpe / _wspawnlpe(mode: i32, name: Ptr<Char>, first: Ptr<Char>, rest: VarArgs) -> isize { by_list(mode, name, true, first, rest, true) }

    /// Starts a program in place of this one.
    "msvcrt.dll|ucrtbase.dll" fn _execv / _wexecv(name: Ptr<Char>, arguments: Ptr<Ptr<Char>>) -> isize { by_array(OVERLAY, name, false, arguments, None) }

    /// Starts a program in place of this one, with variables.
    "msvcrt.dll|ucrtbase.dll" fn _execve / _wexecve(name: Ptr<Char>, arguments: Ptr<Ptr<Char>>, variables: Ptr<Ptr<Char>>) -> isize { by_array(OVERLAY, name, false, arguments, block(variables)) }

    /// Starts a program of `PATH` in place of this one.
    "msvcrt.dll|ucrtbase.dll" fn _execvp / _wexecvp(name: Ptr<Char>, arguments: Ptr<Ptr<Char>>) -> isize { by_array(OVERLAY, name, true, arguments, None) }

    /// Starts a program of `PATH` in place of this one, with variables.
    "msvcrt.dll|ucrtbase.dll" fn _execvpe / _wexecvpe(name: Ptr<Char>, arguments: Ptr<Ptr<Char>>, variables: Ptr<Ptr<Char>>) -> isize { by_array(OVERLAY, name, true, arguments, block(variables)) }

    /// Starts a program in place of this one with the arguments that follow.
    "msvcrt.dll|ucrtbase.dll" fn _execl / _wexecl(name: Ptr<Char>, first: Ptr<Char>, rest: VarArgs) -> isize { by_list(OVERLAY, name, false, first, rest, false) }

    /// Starts a program in place of this one with the arguments that follow, and variables.
    "msvcrt.dll|ucrtbase.dll" fn _execle / _wexecle(name: Ptr<Char>, first: Ptr<Char>, rest: VarArgs) -> isize { by_list(OVERLAY, name, false, first, rest, true) }

    /// Starts a program of `PATH` in place of this one with the arguments that follow.
    "msvcrt.dll|ucrtbase.dll" fn _execlp / _wexeclp(name: Ptr<Char>, first: Ptr<Char>, rest: VarArgs) -> isize { by_list(OVERLAY, name, true, first, rest, false) }

    /// Starts a program of `PATH` in place of this one with the arguments that follow, and variables.
    "msvcrt.dll|ucrtbase.dll" fn _execlpe / _wexeclpe(name: Ptr<Char>, first: Ptr<Char>, rest: VarArgs) -> isize { by_list(OVERLAY, name, true, first, rest, true) }
}

win_api! {
    /// Waits for a process of `_spawn` and closes its handle.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _cwait(exit_code: Ptr<i32>, process: isize, action: i32) -> isize {
        let handle = Handle(process as u64);
        let done = spawn::wait(handle).and_then(|code| {
            os::close(handle)?;
            exit_code.write_if_some(code.cast_signed());
            Ok(process)
        });
        done.unwrap_or_else(|error| {
            fd::win32(error);
            errno::set_errno(code::ECHILD);
            -1
        })
    }

    /// Returns the id of the process.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _getpid() -> u32 {
        os::process_id()
    }
}
