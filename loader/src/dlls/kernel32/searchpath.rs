//! Finding files along a path, and names for temporary ones: `processenv.h`, `fileapi.h`.

use std::fs::OpenOptions;
use std::io::ErrorKind;

use ntlpc_abi::UserPtr;

use super::fileapi::{full_path, resolve_file};
use super::processenv::variable;
use crate::dlls::win32::{ansi_of, error, put_string, refuse, units_arg, wide_arg};
use crate::export::{Guest, Ptr};
use crate::module;
use crate::ob::path::{SYSTEM32, WINDOWS};
use crate::win_api;

/// `ERROR_BUFFER_OVERFLOW`.
const BUFFER_OVERFLOW: u32 = 111;
/// Longest directory of `GetTempFileName`: `MAX_PATH` less the name.
const LONGEST_TEMP_DIRECTORY: usize = 260 - 14;

/// Where `SearchPath` looks without a path, in its order (Microsoft Learn "SearchPathW", safe search mode off).
fn default_path() -> Vec<String> {
    let program = module::at(0).map_or_else(String::new, |module| module.path);
    let beside = program
        .rsplit_once('\\')
        .map_or("", |(directory, _)| directory);
    let mut directories: Vec<String> = [beside, ".", SYSTEM32, WINDOWS].map(str::to_owned).into();
    directories.extend(split_path(&variable("PATH").unwrap_or_default()));
    directories
}

fn split_path(path: &str) -> Vec<String> {
    let parts = path.split(';').filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

fn exists(path: &str) -> bool {
    let units: Vec<u16> = path.encode_utf16().collect();
    resolve_file(&units).is_ok_and(|path| path.exists())
}

/// Returns the full path of the first file found.
fn find(path: Option<&str>, name: &str, extension: Option<&str>) -> Option<String> {
    let leaf = name.rsplit(['\\', '/']).next().unwrap_or_default();
    let name = match extension {
        Some(extension) if !leaf.contains('.') => format!("{name}{extension}"),
        _ => name.to_owned(),
    };
    let full = |path: &str| full_path(&path.encode_utf16().collect::<Vec<u16>>());
    if name.contains(['\\', '/', ':']) {
        return exists(&name).then(|| full(&name));
    }
    let directories = path.map_or_else(default_path, split_path);
    let mut candidates = directories
        .iter()
        .map(|directory| format!("{}\\{name}", directory.trim_end_matches('\\')));
    candidates
        .find(|candidate| exists(candidate))
        .map(|found| full(&found))
}

fn search(
    path: Option<Vec<u16>>,
    name: Option<Vec<u16>>,
    extension: Option<Vec<u16>>,
) -> Result<String, u32> {
    let text = |units: Vec<u16>| String::from_utf16_lossy(&units);
    let name = name
        .map(text)
        .filter(|name| !name.is_empty())
        .ok_or(error::INVALID_PARAMETER)?;
    let (path, extension) = (path.map(text), extension.map(text));
    find(path.as_deref(), &name, extension.as_deref()).ok_or(error::FILE_NOT_FOUND)
}

/// Writes a path, and where its last component starts if all fits.
fn put_path<T: Guest + Default>(
    path: &[T],
    leaf_at: usize,
    size: u32,
    buffer: Ptr<T>,
    leaf: Ptr<UserPtr>,
) -> u32 {
    let written = put_string(path, buffer, size);
    if (written as usize) == path.len() {
        leaf.write_if_some(buffer.add(leaf_at).user());
    }
    written
}

/// Makes the name `prefixNNNN.TMP`. Without a number the file is created under the first one that is free.
fn temporary(directory: &str, prefix: &str, number: u32) -> Result<(String, u32), u32> {
    let directory = directory.trim_end_matches(['\\', '/']);
    if directory.len() > LONGEST_TEMP_DIRECTORY {
        return Err(BUFFER_OVERFLOW);
    }
    let prefix: String = prefix.chars().take(3).collect();
    let name = |number: u32| format!("{directory}\\{prefix}{number:X}.TMP");
    if number & 0xFFFF != 0 {
        return Ok((name(number & 0xFFFF), number & 0xFFFF));
    }
    let start = super::synchapi::tick_count() as u32 ^ std::process::id();
    for number in (0..0xFFFF).map(|step| (start.wrapping_add(step) & 0xFFFF).max(1)) {
        let path = resolve_file(&name(number).encode_utf16().collect::<Vec<_>>())
            .map_err(|_| error::DIRECTORY)?;
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(_) => return Ok((name(number), number)),
            Err(failure) if failure.kind() == ErrorKind::AlreadyExists => {}
            Err(failure) if failure.kind() == ErrorKind::PermissionDenied => {
                return Err(error::ACCESS_DENIED);
            }
            Err(_) => return Err(error::DIRECTORY),
        }
    }
    Err(error::FILE_EXISTS)
}

fn temporary_of(
    directory: Option<Vec<u16>>,
    prefix: Option<Vec<u16>>,
    number: u32,
) -> Result<(String, u32), u32> {
    let text = |units: Option<Vec<u16>>| String::from_utf16_lossy(&units.unwrap_or_default());
    if directory.is_none() {
        return Err(error::INVALID_PARAMETER);
    }
    temporary(&text(directory), &text(prefix), number)
}

/// Rounds a quotient half away from zero. Returns −1 for a quotient that is none or too large.
fn quotient(number: i32, numerator: i32, denominator: i32) -> i32 {
    if denominator == 0 {
        return -1;
    }
    let (product, divisor) = (
        i64::from(number) * i64::from(numerator),
        i64::from(denominator),
    );
    let half = divisor.abs() / 2;
    let rounded = (product.abs() + half) / divisor.abs() * product.signum() * divisor.signum();
    i32::try_from(rounded).unwrap_or(-1)
}

win_api! {
    /// Looks for a file along a path, by default that of programs.
    "kernel32.dll|kernelbase.dll" stdcall fn SearchPathW(path: Ptr<u16>, name: Ptr<u16>, extension: Ptr<u16>, size: u32, buffer: Ptr<u16>, leaf: Ptr<UserPtr>) -> u32 {
        match search(units_arg(path), units_arg(name), units_arg(extension)) {
            Ok(found) => {
                let units: Vec<u16> = found.encode_utf16().collect();
                let leaf_at = units.iter().rposition(|&unit| unit == u16::from(b'\\')).map_or(0, |at| at + 1);
                put_path(&units, leaf_at, size, buffer, leaf)
            }
            Err(code) => refuse(code, 0),
        }
    }

    /// Looks for a file along a path, by default that of programs.
    "kernel32.dll|kernelbase.dll" stdcall fn SearchPathA(path: Ptr<u8>, name: Ptr<u8>, extension: Ptr<u8>, size: u32, buffer: Ptr<u8>, leaf: Ptr<UserPtr>) -> u32 {
        match search(wide_arg(path), wide_arg(name), wide_arg(extension)) {
            Ok(found) => {
                let leaf_at = found.rfind('\\').map_or(0, |at| at + 1);
                put_path(found.as_bytes(), leaf_at, size, buffer, leaf)
            }
            Err(code) => refuse(code, 0),
        }
    }

    /// Makes the name of a temporary file, and the file if no number is given.
    "kernel32.dll|kernelbase.dll" stdcall fn GetTempFileNameW(directory: Ptr<u16>, prefix: Ptr<u16>, number: u32, to: Ptr<u16>) -> u32 {
        match temporary_of(units_arg(directory), units_arg(prefix), number) {
            Ok((name, number)) => {
                to.write_many(&name.encode_utf16().chain([0]).collect::<Vec<_>>());
                number
            }
            Err(code) => refuse(code, 0),
        }
    }

    /// Makes the name of a temporary file, and the file if no number is given.
    "kernel32.dll|kernelbase.dll" stdcall fn GetTempFileNameA(directory: Ptr<u8>, prefix: Ptr<u8>, number: u32, to: Ptr<u8>) -> u32 {
        match temporary_of(wide_arg(directory), wide_arg(prefix), number) {
            Ok((name, number)) => {
                to.write_bytes(&[&ansi_of(&name.encode_utf16().collect::<Vec<_>>())[..], &[0]].concat());
                number
            }
            Err(code) => refuse(code, 0),
        }
    }

    /// Multiplies, then divides, with a 64-bit product and a rounded result.
    "kernel32.dll|kernelbase.dll" stdcall fn MulDiv(number: i32, numerator: i32, denominator: i32) -> i32 {
        quotient(number, numerator, denominator)
    }
}
