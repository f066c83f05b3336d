//! The environment as C programs see it: `_environ`, `getenv`, `_putenv`.
//!
//! Strings and arrays live in guest memory. Replaced ones are never freed: the guest may still hold them, as on Windows
//! where only the pointer `getenv` gave last is documented to be valid.

use std::sync::OnceLock;

use parking_lot::Mutex;

use super::errno::{self, code};
use super::mem::{self, Char};
use super::startup::{narrow_lossy, permanent, permanent_string};
use super::text::{self, CodePage};
use super::twins::twins;
use super::unit::Unit;
use super::{locale, os};
use crate::export::{Guest, Ptr};
use crate::win_api;

/// A variable and its guest strings `NAME=value`.
struct Variable {
    name: Vec<u16>,
    narrow: u64,
    wide: u64,
}

static VARIABLES: Mutex<Vec<Variable>> = Mutex::new(Vec::new());

/// Returns a name as it is compared: without case.
fn folded(name: &[u16]) -> Vec<u16> {
    name.iter()
        .map(|unit| u16::from_low(locale::single(u32::from(*unit), char::to_uppercase)))
        .collect()
}

/// Splits `NAME=value`; a leading equals sign belongs to the name.
fn split(entry: &[u16]) -> Option<(&[u16], &[u16])> {
    let equals = entry
        .iter()
        .skip(1)
        .position(|unit| *unit == u16::from(b'='))?
        + 1;
    Some((&entry[..equals], &entry[equals + 1..]))
}

fn variable(entry: &[u16]) -> Option<Variable> {
    let (name, _) = split(entry)?;
    Some(Variable {
        name: folded(name),
        narrow: permanent_string(&narrow_lossy(entry)).address(),
        wide: permanent_string(entry).address(),
    })
}

/// Takes the environment of the process over, once.
pub fn initialize() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let block = os::environment();
        let variables: Vec<Variable> = block
            .split(|unit| *unit == 0)
            // Entries such as `=C:=C:\dir` are the current directories of drives, which C programs do not see.
            .filter(|entry| entry.first().is_some_and(|unit| *unit != u16::from(b'=')))
            .filter_map(variable)
            .collect();
        *VARIABLES.lock() = variables;
        publish();
        __initenv.ptr().write(_environ.ptr().read());
        __winitenv.ptr().write(_wenviron.ptr().read());
    });
}

/// Makes new arrays of the variables.
fn publish() {
    let variables = VARIABLES.lock();
    let bytes = (variables.len() + 1) * Ptr::<u8>::size();
    let (narrow, wide) = (
        Ptr::<Ptr<u8>>::new(permanent(bytes)),
        Ptr::<Ptr<u16>>::new(permanent(bytes)),
    );
    for (index, variable) in variables.iter().enumerate() {
        narrow.add(index).write(Ptr::new(variable.narrow));
        wide.add(index).write(Ptr::new(variable.wide));
    }
    drop(variables);
    _environ.ptr().write(narrow);
    _wenviron.ptr().write(wide);
}

/// Returns `_environ`.
pub fn narrow_array() -> Ptr<Ptr<u8>> {
    initialize();
    _environ.ptr().read()
}

/// Returns `_wenviron`.
pub fn wide_array() -> Ptr<Ptr<u16>> {
    initialize();
    _wenviron.ptr().read()
}

/// Returns the guest address of a variable's value.
fn find<T: Char>(name: &[u16]) -> Option<Ptr<T>> {
    initialize();
    let name_len = name.len();
    let folded = folded(name);
    let variables = VARIABLES.lock();
    let variable = variables.iter().find(|variable| variable.name == folded)?;
    let start = if T::WIDE {
        variable.wide + 2 * (name_len as u64 + 1)
    } else {
        variable.narrow + narrow_lossy(name).len() as u64 + 1
    };
    Some(Ptr::new(start))
}

/// Returns the value of a variable.
pub fn get(name: &str) -> Option<Vec<u16>> {
    find::<u16>(&name.encode_utf16().collect::<Vec<u16>>()).map(mem::string)
}

/// Sets or, with an empty value, removes a variable here and in the process.
fn set(name: &[u16], value: &[u16]) -> Result<(), i32> {
    if name.is_empty() || name.contains(&u16::from(b'=')) {
        return Err(code::EINVAL);
    }
    initialize();
    let mut entry = name.to_vec();
    entry.push(u16::from(b'='));
    entry.extend_from_slice(value);
    let key = folded(name);
    let new = if value.is_empty() {
        None
    } else {
        variable(&entry)
    };
    let mut variables = VARIABLES.lock();
    let position = variables.iter().position(|variable| variable.name == key);
    match (position, new) {
        (Some(index), Some(new)) => variables[index] = new,
        (Some(index), None) => {
            variables.remove(index);
        }
        (None, Some(new)) => variables.push(new),
        (None, None) => {}
    }
    drop(variables);
    publish();
    os::set_environment_variable(name, (!value.is_empty()).then_some(value));
    Ok(())
}

/// Returns a guest string in wide characters.
fn widen<T: Char>(text: &[T]) -> Vec<u16> {
    if T::WIDE {
        return text.iter().map(|unit| u16::from_low(unit.code())).collect();
    }
    let bytes: Vec<u8> = text.iter().map(|unit| u8::from_low(unit.code())).collect();
    text::wide(CodePage::Utf8, &bytes)
        .unwrap_or_else(|| String::from_utf8_lossy(&bytes).encode_utf16().collect())
}

fn put<T: Char>(entry: Ptr<T>) -> i32 {
    if entry.is_null() {
        errno::invalid_parameter();
        return -1;
    }
    let entry = widen(&mem::string(entry));
    let done = split(&entry).map_or(Err(code::EINVAL), |(name, value)| set(name, value));
    match done {
        Ok(()) => 0,
        Err(number) => {
            errno::set_errno(number);
            -1
        }
    }
}

twins! {
    /// Returns the value of a variable.
    "msvcrt.dll|ucrtbase.dll" fn getenv / _wgetenv(name: Ptr<Char>) -> Ptr<Char> {
        if name.is_null() {
            errno::invalid_parameter();
            return Ptr::NULL;
        }
        find(&widen(&mem::string(name))).unwrap_or(Ptr::NULL)
    }

    /// Copies the value of a variable if it fits; stores the size it needs.
    "msvcrt.dll|ucrtbase.dll" fn getenv_s / _wgetenv_s(needed: Ptr<usize>, to: Ptr<Char>, size: usize, name: Ptr<Char>) -> i32 {
        if needed.is_null() || (to.is_null() && size > 0) || name.is_null() {
            return errno::invalid_parameter();
        }
        needed.write(0);
        if size > 0 {
            to.write(<Char as crate::crt::unit::Unit>::from_ascii(0));
        }
        let Some(value) = find::<Char>(&widen(&mem::string(name))) else { return 0 };
        let value = mem::string(value);
        needed.write(value.len() + 1);
        if size == 0 {
            return 0;
        }
        if value.len() >= size {
            return errno::fail(code::ERANGE);
        }
        mem::write_string(to, &value);
        0
    }

    /// Stores a copy of the value of a variable in memory of its own.
    "msvcrt.dll|ucrtbase.dll" fn _dupenv_s / _wdupenv_s(to: Ptr<Ptr<Char>>, size: Ptr<usize>, name: Ptr<Char>) -> i32 {
        if to.is_null() || name.is_null() {
            return errno::invalid_parameter();
        }
        to.write(Ptr::NULL);
        size.write_if_some(0);
        if let Some(value) = find::<Char>(&widen(&mem::string(name))) {
            let value = mem::string(value);
            to.write(permanent_string(&value));
            size.write_if_some(value.len() + 1);
        }
        0
    }

    /// Sets a variable by `NAME=value`.
    "msvcrt.dll|ucrtbase.dll" fn _putenv / _wputenv(entry: Ptr<Char>) -> i32 {
        put(entry)
    }

    /// Sets a variable.
    "msvcrt.dll|ucrtbase.dll" fn _putenv_s / _wputenv_s(name: Ptr<Char>, value: Ptr<Char>) -> i32 {
        if name.is_null() || value.is_null() {
            return errno::invalid_parameter();
        }
        match set(&widen(&mem::string(name)), &widen(&mem::string(value))) {
            Ok(()) => 0,
            Err(number) => errno::fail(number),
        }
    }
}

win_api! {
    /// The environment.
    "msvcrt.dll" data _environ: Ptr<Ptr<u8>> = Ptr::NULL;
    /// The wide environment.
    "msvcrt.dll" data _wenviron: Ptr<Ptr<u16>> = Ptr::NULL;
    /// The environment the process started with.
    "msvcrt.dll" data __initenv: Ptr<Ptr<u8>> = Ptr::NULL;
    /// The wide environment the process started with.
    "msvcrt.dll" data __winitenv: Ptr<Ptr<u16>> = Ptr::NULL;

    /// Address of the initial environment.
    "msvcrt.dll" cdecl fn __p___initenv() -> Ptr<Ptr<Ptr<u8>>> { __initenv.ptr() }
    /// Address of the initial wide environment.
    "msvcrt.dll" cdecl fn __p___winitenv() -> Ptr<Ptr<Ptr<u16>>> { __winitenv.ptr() }

    /// Address of the environment.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __p__environ() -> Ptr<Ptr<Ptr<u8>>> {
        initialize();
        _environ.ptr()
    }

    /// Address of the wide environment.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __p__wenviron() -> Ptr<Ptr<Ptr<u16>>> {
        initialize();
        _wenviron.ptr()
    }

    /// Makes the environment.
    "ucrtbase.dll" cdecl fn _initialize_narrow_environment = "_initialize_narrow_environment|_initialize_wide_environment" () -> i32 {
        initialize();
        0
    }

    /// Returns the environment the process started with.
    "ucrtbase.dll" cdecl fn _get_initial_narrow_environment() -> Ptr<Ptr<u8>> {
        initialize();
        __initenv.ptr().read()
    }

    /// Returns the wide environment the process started with.
    "ucrtbase.dll" cdecl fn _get_initial_wide_environment() -> Ptr<Ptr<u16>> {
        initialize();
        __winitenv.ptr().read()
    }
}
