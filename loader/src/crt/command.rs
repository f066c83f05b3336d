//! Commands of the shell: `system`, `_popen`; pipes: `_pipe`.
//!
//! Source: Microsoft Learn, "system, _wsystem", "_popen, _wpopen", "_pclose", "_pipe".

use ntlpc_abi::Handle;

use super::errno::{self, code};
use super::fcntl::{flags, mode_of};
use super::fd::{self, Fd};
use super::io::{path, status};
use super::mem::Char;
use super::os::files;
use super::os::spawn::{self, Process};
use super::os::{self, FileKind};
use super::spawn::{Request, WAIT, find, run, standard_handles, units};
use super::stream::{self, File};
use super::twins::twins;
use super::{environment, inherit};
use crate::export::Ptr;
use crate::win_api;

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
        // The other end of the pipe takes the place of one.
        runtime_data: &inherit::block(&[i32::from(reads)]),
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
}
