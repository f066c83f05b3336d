//! Command line, environment, current directory, standard handles: `processenv.h`, and start-up information.

use ntlpc_abi::{Handle, UserPtr};
use parking_lot::Mutex;

use crate::dlls::win32::{ansi_of, error, put_string, refuse, success, wide_arg};
use crate::export::{Bool, Ptr};
use crate::guest_struct;
use crate::ob::path::{self, Target};
use crate::ob::stdio;
use crate::peb::{self, strings};
use crate::win_api;

guest_struct! {
    /// `STARTUPINFOW`, `STARTUPINFOA`.
    pub struct StartupInfo {
        size: u32,
        reserved: UserPtr,
        desktop: UserPtr,
        title: UserPtr,
        x: u32,
        y: u32,
        x_size: u32,
        y_size: u32,
        x_count_chars: u32,
        y_count_chars: u32,
        fill_attribute: u32,
        flags: u32,
        show_window: u16,
        reserved2_size: u16,
        reserved2: UserPtr,
        standard_input: Handle,
        standard_output: Handle,
        standard_error: Handle,
    }
}

/// `STARTF_USESTDHANDLES`.
pub const USE_STANDARD_HANDLES: u32 = 0x100;

/// The environment as `(name, value)`; the block in the process parameters is rebuilt after each change.
static ENVIRONMENT: Mutex<Option<Vec<(String, String)>>> = Mutex::new(None);

/// Splits a block into its strings.
pub fn split_block(at: Ptr<u16>) -> Vec<Vec<u16>> {
    let mut entries = Vec::new();
    let mut at = at;
    loop {
        let entry = at.read_wide_string();
        if entry.is_empty() {
            return entries;
        }
        at = at.add(entry.len() + 1);
        entries.push(entry);
    }
}

fn with_environment<T>(act: impl FnOnce(&mut Vec<(String, String)>) -> T) -> T {
    let mut environment = ENVIRONMENT.lock();
    act(environment.get_or_insert_with(|| {
        let entries = split_block(peb::parameter::<Ptr<u16>>("environment").read());
        entries
            .iter()
            .filter_map(|entry| {
                let text = String::from_utf16_lossy(entry);
                let at = text.get(1..)?.find('=')? + 1;
                Some((text[..at].to_owned(), text[at + 1..].to_owned()))
            })
            .collect()
    }))
}

/// Returns the environment block: `NAME=value` strings and an empty one.
pub fn block() -> Vec<u16> {
    let mut units: Vec<u16> = with_environment(|all| {
        all.iter()
            .flat_map(|(name, value)| {
                format!("{name}={value}\0")
                    .encode_utf16()
                    .collect::<Vec<u16>>()
            })
            .collect()
    });
    units.push(0);
    if units.len() == 1 {
        units.push(0);
    }
    units
}

/// Returns a variable of the environment, whatever the case of its name.
pub fn variable(name: &str) -> Option<String> {
    with_environment(|all| {
        all.iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.clone())
    })
}

fn set(name: &str, value: Option<String>) -> bool {
    if name.is_empty() || name[1..].contains('=') {
        return false;
    }
    with_environment(|all| {
        let at = all.iter().position(|(n, _)| n.eq_ignore_ascii_case(name));
        match (at, value) {
            (Some(at), Some(value)) => all[at].1 = value,
            (Some(at), None) => {
                all.remove(at);
            }
            (None, Some(value)) => {
                all.push((name.to_owned(), value));
                all.sort_by_key(|(n, _)| n.to_uppercase());
            }
            (None, None) => {}
        }
    });
    peb::parameter::<Ptr<u16>>("environment").write(strings::allocate_units(&block()));
    true
}

/// Replaces `%NAME%` by the value; unknown names stay.
pub fn expand(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('%') {
        out.push_str(&rest[..start]);
        let after = &rest[start + 1..];
        match after
            .find('%')
            .and_then(|end| variable(&after[..end]).map(|value| (end, value)))
        {
            Some((end, value)) => {
                out.push_str(&value);
                rest = &after[end + 1..];
            }
            None => {
                out.push('%');
                rest = after;
            }
        }
    }
    out + rest
}

fn shown_directory() -> String {
    let directory = path::directory();
    // A root keeps its backslash.
    if directory.len() > 3 {
        directory.trim_end_matches('\\').to_owned()
    } else {
        directory
    }
}

/// Changes the current directory, and what the process parameters say of it.
pub fn change_directory(name: &[u16]) -> Result<(), ntlpc_abi::NtStatus> {
    match path::resolve(&String::from_utf16_lossy(name), &path::directory())? {
        Target::File(path) => {
            std::env::set_current_dir(path).map_err(|error| {
                match crate::ob::file::status_of(&error) {
                    ntlpc_abi::NtStatus::OBJECT_PATH_NOT_FOUND => {
                        ntlpc_abi::NtStatus::NOT_A_DIRECTORY
                    }
                    status => status,
                }
            })?;
            strings::set_directory(&path::directory());
            crate::ob::directory::open();
            Ok(())
        }
        _ => Err(ntlpc_abi::NtStatus::OBJECT_NAME_INVALID),
    }
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

/// Text of a counted string in the process parameters, as a NUL-terminated copy made once.
fn command_line_ansi() -> Ptr<u8> {
    static COPY: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    let make = || {
        let text = peb::parameters().read().command_line.text();
        let mut bytes = text.into_bytes();
        bytes.push(0);
        strings::allocate_bytes(&bytes).address()
    };
    Ptr::new(*COPY.get_or_init(make))
}

fn startup_info(to: Ptr<StartupInfo>) {
    let parameters = peb::parameters().read();
    to.write(StartupInfo {
        size: u32::try_from(<StartupInfo as crate::export::Guest>::size()).unwrap_or(0),
        reserved: UserPtr::NULL,
        desktop: UserPtr::NULL,
        title: UserPtr::NULL,
        x: 0,
        y: 0,
        x_size: 0,
        y_size: 0,
        x_count_chars: 0,
        y_count_chars: 0,
        fill_attribute: 0,
        flags: if crate::ob::spawn::startup_handles().is_some() {
            USE_STANDARD_HANDLES
        } else {
            0
        },
        show_window: 0,
        reserved2_size: parameters.runtime_data.length,
        reserved2: parameters.runtime_data.buffer.user(),
        standard_input: parameters.standard_input,
        standard_output: parameters.standard_output,
        standard_error: parameters.standard_error,
    });
}

fn get_variable<T: crate::export::Guest + Default>(
    name: Option<Vec<u16>>,
    buffer: Ptr<T>,
    size: u32,
    encode: impl Fn(&str) -> Vec<T>,
) -> u32 {
    let value = name.and_then(|name| variable(&String::from_utf16_lossy(&name)));
    match value {
        Some(value) => {
            let written = put_string(&encode(&value), buffer, size);
            if written < size {
                crate::teb::set_last_error(error::SUCCESS);
            }
            written
        }
        None => refuse(error::ENVVAR_NOT_FOUND, 0),
    }
}

pub fn set_variable(name: Option<Vec<u16>>, value: Option<Vec<u16>>) -> Bool {
    let name = name
        .map(|n| String::from_utf16_lossy(&n))
        .unwrap_or_default();
    if set(&name, value.map(|v| String::from_utf16_lossy(&v))) {
        Bool::TRUE
    } else {
        refuse(error::INVALID_PARAMETER, Bool::FALSE)
    }
}

fn allocate_copy<T: crate::export::Guest>(elements: &[T]) -> Ptr<T> {
    match crate::heap::process().allocate(elements.len() * T::size(), false) {
        Some(block) => {
            let copy = Ptr::new(block);
            copy.write_many(elements);
            copy
        }
        None => refuse(error::NOT_ENOUGH_MEMORY, Ptr::NULL),
    }
}

fn free_copy(block: u64) -> Bool {
    crate::heap::process().free(block).is_ok().into()
}

win_api! {
    /// Returns the command line.
    "kernel32.dll|kernelbase.dll" stdcall fn GetCommandLineW() -> Ptr<u16> {
        peb::parameters().read().command_line.buffer
    }

    /// Returns the command line.
    "kernel32.dll|kernelbase.dll" stdcall fn GetCommandLineA() -> Ptr<u8> {
        command_line_ansi()
    }

    /// Describes how the process was started.
    "kernel32.dll|kernelbase.dll" stdcall fn GetStartupInfoW = "GetStartupInfoW|GetStartupInfoA" (to: Ptr<StartupInfo>) {
        startup_info(to);
    }

    /// Returns a standard handle.
    "kernel32.dll|kernelbase.dll" stdcall fn GetStdHandle(number: u32) -> Handle {
        match stdio::field(number) {
            Some(field) => peb::parameter::<Handle>(field).read(),
            None => refuse(error::INVALID_HANDLE, crate::dlls::win32::INVALID_HANDLE_VALUE),
        }
    }

    /// Changes a standard handle.
    "kernel32.dll|kernelbase.dll" stdcall fn SetStdHandle(number: u32, handle: Handle) -> Bool {
        match stdio::field(number) {
            Some(field) => {
                peb::parameter::<Handle>(field).write(handle);
                Bool::TRUE
            }
            None => refuse(error::INVALID_HANDLE, Bool::FALSE),
        }
    }

    /// Reads an environment variable.
    "kernel32.dll|kernelbase.dll" stdcall fn GetEnvironmentVariableW(name: Ptr<u16>, buffer: Ptr<u16>, size: u32) -> u32 {
        get_variable(crate::dlls::win32::units_arg(name), buffer, size, wide)
    }

    /// Reads an environment variable.
    "kernel32.dll|kernelbase.dll" stdcall fn GetEnvironmentVariableA(name: Ptr<u8>, buffer: Ptr<u8>, size: u32) -> u32 {
        get_variable(wide_arg(name), buffer, size, |value| value.as_bytes().to_vec())
    }

    /// Sets or removes an environment variable.
    "kernel32.dll|kernelbase.dll" stdcall fn SetEnvironmentVariableW(name: Ptr<u16>, value: Ptr<u16>) -> Bool {
        set_variable(crate::dlls::win32::units_arg(name), crate::dlls::win32::units_arg(value))
    }

    /// Sets or removes an environment variable.
    "kernel32.dll|kernelbase.dll" stdcall fn SetEnvironmentVariableA(name: Ptr<u8>, value: Ptr<u8>) -> Bool {
        set_variable(wide_arg(name), wide_arg(value))
    }

    /// Returns a copy of the environment block.
    "kernel32.dll|kernelbase.dll" stdcall fn GetEnvironmentStringsW() -> Ptr<u16> {
        allocate_copy(&block())
    }

    /// Returns a copy of the environment block.
    "kernel32.dll|kernelbase.dll" stdcall fn GetEnvironmentStringsA = "GetEnvironmentStrings|GetEnvironmentStringsA" () -> Ptr<u8> {
        allocate_copy(&ansi_of(&block()))
    }

    /// Frees a copy of the environment block.
    "kernel32.dll|kernelbase.dll" stdcall fn FreeEnvironmentStringsW = "FreeEnvironmentStringsW|FreeEnvironmentStringsA" (copy: Ptr<u8>) -> Bool {
        free_copy(copy.address())
    }

    /// Replaces `%NAME%` in a string.
    "kernel32.dll|kernelbase.dll" stdcall fn ExpandEnvironmentStringsW(from: Ptr<u16>, to: Ptr<u16>, size: u32) -> u32 {
        let units = wide(&expand(&String::from_utf16_lossy(&from.read_wide_string())));
        let written = put_string(&units, to, size);
        if written < size { written + 1 } else { written }
    }

    /// Replaces `%NAME%` in a string.
    "kernel32.dll|kernelbase.dll" stdcall fn ExpandEnvironmentStringsA(from: Ptr<u8>, to: Ptr<u8>, size: u32) -> u32 {
        let bytes = expand(&String::from_utf8_lossy(&from.read_c_string())).into_bytes();
        let written = put_string(&bytes, to, size);
        if written < size { written + 1 } else { written }
    }

    /// Returns the current directory.
    "kernel32.dll|kernelbase.dll" stdcall fn GetCurrentDirectoryW(size: u32, buffer: Ptr<u16>) -> u32 {
        put_string(&wide(&shown_directory()), buffer, size)
    }

    /// Returns the current directory.
    "kernel32.dll|kernelbase.dll" stdcall fn GetCurrentDirectoryA(size: u32, buffer: Ptr<u8>) -> u32 {
        put_string(shown_directory().as_bytes(), buffer, size)
    }

    /// Changes the current directory.
    "kernel32.dll|kernelbase.dll" stdcall fn SetCurrentDirectoryW(name: Ptr<u16>) -> Bool {
        success(change_directory(&name.read_wide_string()))
    }

    /// Changes the current directory.
    "kernel32.dll|kernelbase.dll" stdcall fn SetCurrentDirectoryA(name: Ptr<u8>) -> Bool {
        success(change_directory(&wide_arg(name).unwrap_or_default()))
    }

    /// Returns whether a program without a directory is looked for in the current one.
    "kernel32.dll|kernelbase.dll" stdcall fn NeedCurrentDirectoryForExePathW = "NeedCurrentDirectoryForExePathW|NeedCurrentDirectoryForExePathA" (_name: Ptr<u8>) -> Bool {
        Bool::TRUE
    }
}
