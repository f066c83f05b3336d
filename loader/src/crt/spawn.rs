//! Processes of C programs: `_spawn`, `_exec`, `system`, `_popen`, `_pipe`.
//!
//! Source: Microsoft Learn, "_spawn, _wspawn functions", "_exec, _wexec functions", "system, _wsystem", "_popen",
//! "_pipe", "_cwait". Arguments are joined by blanks as they are: quoting them is the caller's business there too. Of the
//! descriptors, a child gets the first three.

use ntlpc_abi::Handle;

use super::errno::{self, code};
use super::fcntl::{flags, mode_of};
use super::fd::{self, Fd};
use super::io::{path, status};
use super::mem::Char;
use super::os::files;
use super::os::spawn::{self, Process};
use super::os::{self, FileKind};
use super::stream::{self, File};
use super::twins::twins;
use super::{environment, exit};
use crate::export::{Ptr, VarArgs};
use crate::win_api;

/// Modes of `_spawn`.
const WAIT: i32 = 0;
const OVERLAY: i32 = 2;
const DETACH: i32 = 4;

const BACKSLASH: u16 = b'\\' as u16;
const BLANK: u16 = b' ' as u16;

fn units(text: &str) -> Vec<u16> {
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
fn find(name: &[u16], is_searched: bool) -> Result<Vec<u16>, i32> {
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
fn standard_handles() -> [Handle; 3] {
    [0, 1, 2].map(|number| fd::get(number).map_or(Handle(0), |fd| fd.handle))
}

/// A call of one of the functions.
struct Request {
    mode: i32,
    name: Vec<u16>,
    is_searched: bool,
    arguments: Vec<Vec<u16>>,
    environment: Option<Vec<u16>>,
}

fn run(request: &Request) -> Result<isize, i32> {
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

/// Returns the command interpreter.
fn shell() -> Result<Vec<u16>, i32> {
    let named = environment::get("COMSPEC").filter(|name| files::info(name).is_ok());
    named.map_or_else(|| find(&units("cmd.exe"), true), Ok)
}

/// Returns the command line that makes the interpreter run a command.
fn shell_line(shell: &[u16], command: &[u16]) -> Vec<u16> {
    [shell, &units(" /c "), command].concat()
}

fn run_command<T: Char>(command: Ptr<T>) -> i32 {
    let shell = shell();
    if command.is_null() {
        return i32::from(shell.is_ok());
    }
    let command = path(command);
    let code = shell.and_then(|shell| {
        let arguments = vec![shell_line(&shell, &command)];
        run(&Request {
            mode: WAIT,
            name: shell,
            is_searched: false,
            arguments,
            environment: None,
        })
    });
    code.map_or_else(|number| status(Err(number)), |code| code as i32)
}

/// Starts the interpreter with one end of a pipe; returns a stream on the other.
fn open_command<T: Char>(command: Ptr<T>, mode: Ptr<T>) -> Result<Ptr<File>, i32> {
    if command.is_null() || mode.is_null() {
        return Err(errno::invalid_parameter());
    }
    let letters: String = path(mode)
        .iter()
        .filter_map(|unit| char::from_u32(u32::from(*unit)))
        .collect();
    let reads = match letters.chars().next() {
        Some('r') => true,
        Some('w') => false,
        _ => return Err(errno::invalid_parameter()),
    };
    let translation = if letters.contains('b') {
        flags::BINARY
    } else if letters.contains('t') {
        flags::TEXT
    } else {
        0
    };
    let shell = shell()?;
    let ends = spawn::pipe(false).map_err(fd::win32)?;
    let (own, theirs) = if reads {
        (ends[0], ends[1])
    } else {
        (ends[1], ends[0])
    };
    let inherited = os::duplicate(theirs, true);
    os::close(theirs).map_err(fd::win32)?;
    let inherited = inherited.map_err(fd::win32)?;
    let mut standard = standard_handles();
    standard[usize::from(reads)] = inherited;
    stream::flush_all();
    let command_line = shell_line(&shell, &path(command));
    let started = spawn::start(&Process {
        image: &shell,
        command_line: &command_line,
        environment: None,
        standard,
        flags: 0,
    });
    os::close(inherited).map_err(fd::win32)?;
    let child = match started {
        Ok(child) => child,
        Err(error) => {
            os::close(own).map_err(fd::win32)?;
            return Err(fd::win32(error));
        }
    };
    let number = fd::add(descriptor(own, translation))?;
    let file = stream::create(number).ok_or(code::ENOMEM)?;
    if let Some(shared) = stream::get(file) {
        shared.lock().child = Some(child);
    }
    Ok(file)
}

/// Describes an end of a pipe.
fn descriptor(handle: Handle, open: i32) -> Fd {
    Fd {
        handle,
        kind: FileKind::Pipe,
        mode: mode_of(open),
        append: false,
        at_end: false,
        no_inherit: open & flags::NOINHERIT != 0,
    }
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

    /// Makes the command interpreter run a command.
    "msvcrt.dll|ucrtbase.dll" fn system / _wsystem(command: Ptr<Char>) -> i32 {
        run_command(command)
    }

    /// Makes the command interpreter run a command at the other end of a pipe.
    "msvcrt.dll|ucrtbase.dll" fn _popen / _wpopen(command: Ptr<Char>, mode: Ptr<Char>) -> Ptr<File> {
        open_command(command, mode).unwrap_or_else(|number| {
            errno::set_errno(number);
            Ptr::NULL
        })
    }
}

win_api! {
    /// Closes a stream of `_popen`, waits for the command and returns its exit code.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _pclose(file: Ptr<File>) -> i32 {
        let is_command = stream::get(file).is_some_and(|shared| shared.lock().child.is_some());
        if !is_command {
            errno::invalid_parameter();
            return -1;
        }
        let code = stream::close(file).and_then(|child| {
            let child = child.ok_or(code::ECHILD)?;
            let code = spawn::wait(child).map_err(fd::win32)?;
            os::close(child).map_err(fd::win32)?;
            Ok(code.cast_signed())
        });
        code.unwrap_or_else(|number| status(Err(number)))
    }

    /// Makes a pipe of two descriptors.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _pipe(to: Ptr<i32>, size: u32, mode: i32) -> i32 {
        let made = spawn::pipe(mode & flags::NOINHERIT == 0).map_err(fd::win32).and_then(|ends| {
            let read = fd::add(descriptor(ends[0], mode))?;
            let write = fd::add(descriptor(ends[1], mode))?;
            Ok([read, write])
        });
        status(made.map(|numbers| to.write_many(&numbers)))
    }

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
