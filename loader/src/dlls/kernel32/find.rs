//! Searches for files by pattern: `fileapi.h`, `FindFirstFile` and what belongs to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};
use parking_lot::Mutex;
use rustix::fs::{AtFlags, CWD, statat};

use super::fileapi::resolve_file;
use super::fileattributes::{FileAttributeData, attribute, data_of};
use super::filesystem::{ansi, wide};
use crate::dlls::win32::{
    INVALID_HANDLE_VALUE, error, failed, or_else, refuse, success, units_arg, wide_arg,
};
use crate::export::{Bool, Guest, Ptr};
use crate::guest_struct;
use crate::ob::file::status_of;
use crate::ob::object::{Header, Object, ObjectType};
use crate::ob::pattern::Pattern;
use crate::ob::table::{TABLE, lookup};
use crate::win_api;

guest_struct! {
    /// The fixed part of `WIN32_FIND_DATAW` and `WIN32_FIND_DATAA`; the names follow.
    pub struct FindData {
        file: FileAttributeData,
        reparse_tag: u32,
        reserved: u32,
    }
}

/// Elements of `cFileName`.
const NAME_ELEMENTS: usize = 260;

/// An open search.
#[derive(Debug)]
struct Search {
    header: Header,
    directory: PathBuf,
    left: Mutex<Vec<String>>,
}

static SEARCH_TYPE: ObjectType = ObjectType {
    name: "FindFile",
    generic: [0; 4],
};

impl Object for Search {
    fn object_type(&self) -> &'static ObjectType {
        &SEARCH_TYPE
    }
    fn header(&self) -> &Header {
        &self.header
    }
}

/// Starts a search. Returns the search and its first name.
fn search(name: &[u16]) -> Result<(Search, String), NtStatus> {
    let text = String::from_utf16_lossy(name).replace('/', "\\");
    let (directory, pattern) = match text.rsplit_once('\\') {
        Some((directory, pattern)) => (format!("{directory}\\"), pattern.to_owned()),
        None if text.as_bytes().get(1) == Some(&b':') => {
            (text[..2].to_owned(), text[2..].to_owned())
        }
        None => (".".to_owned(), text.clone()),
    };
    let directory = resolve_file(&directory.encode_utf16().collect::<Vec<_>>())?;
    if !pattern.contains(['*', '?']) {
        let exact = resolve_file(name)?;
        exact.symlink_metadata().map_err(|error| {
            if exact.parent().is_none_or(Path::is_dir) {
                status_of(&error)
            } else {
                NtStatus::OBJECT_PATH_NOT_FOUND
            }
        })?;
        let leaf = exact
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        return Ok((
            Search {
                header: Header::default(),
                directory,
                left: Mutex::default(),
            },
            leaf,
        ));
    }
    let listed = std::fs::read_dir(&directory).map_err(|error| match status_of(&error) {
        NtStatus::OBJECT_NAME_NOT_FOUND => NtStatus::OBJECT_PATH_NOT_FOUND,
        status => status,
    })?;
    let mut names: Vec<String> = listed
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    // NTFS lists in the order of upper-case names; `.` and `..` come first except at the root.
    names.sort_by_key(|name| name.to_uppercase());
    if directory != Path::new("/") {
        names.splice(0..0, [".".to_owned(), "..".to_owned()]);
    }
    let pattern = Pattern::new(&pattern);
    names.retain(|name| pattern.matches(name));
    names.reverse();
    let first = names.pop().ok_or(NtStatus::NO_SUCH_FILE)?;
    Ok((
        Search {
            header: Header::default(),
            directory,
            left: Mutex::new(names),
        },
        first,
    ))
}

/// Describes a found name; a file that went meanwhile is described as empty.
fn describe(directory: &Path, name: &str) -> FindData {
    let at = directory.join(name);
    let stat =
        statat(CWD, &at, AtFlags::empty()).or_else(|_| statat(CWD, &at, AtFlags::SYMLINK_NOFOLLOW));
    let gone = FileAttributeData {
        attributes: attribute::ARCHIVE,
        ..FileAttributeData::default()
    };
    FindData {
        file: stat.map_or(gone, |stat| data_of(&stat)),
        reparse_tag: 0,
        reserved: 0,
    }
}

fn put_found<T: Guest + Default>(to: Ptr<FindData>, data: FindData, mut name: Vec<T>) {
    to.write(data);
    name.truncate(NAME_ELEMENTS - 1);
    name.push(T::default());
    let at = to.byte_add(FindData::size() as u64).cast::<T>();
    at.write_many(&name);
    // cAlternateFileName: no short names.
    at.add(NAME_ELEMENTS).write(T::default());
}

fn find_first<T: Guest + Default>(
    name: Option<Vec<u16>>,
    to: Ptr<FindData>,
    encode: impl Fn(&str) -> Vec<T>,
) -> Handle {
    match search(&name.unwrap_or_default()) {
        Ok((search, first)) => {
            put_found(to, describe(&search.directory, &first), encode(&first));
            or_else(TABLE.insert(Arc::new(search), 0, 0), INVALID_HANDLE_VALUE)
        }
        Err(status) => failed(status, INVALID_HANDLE_VALUE),
    }
}

fn find_next<T: Guest + Default>(
    handle: Handle,
    to: Ptr<FindData>,
    encode: impl Fn(&str) -> Vec<T>,
) -> Bool {
    let search = match lookup::<Search>(handle, 0) {
        Ok(search) => search,
        Err(status) => return failed(status, Bool::FALSE),
    };
    let next = search.left.lock().pop();
    match next {
        Some(name) => {
            put_found(to, describe(&search.directory, &name), encode(&name));
            Bool::TRUE
        }
        None => refuse(error::NO_MORE_FILES, Bool::FALSE),
    }
}

win_api! {
    /// Starts a search.
    "kernel32.dll|kernelbase.dll" stdcall fn FindFirstFileW(name: Ptr<u16>, data: Ptr<FindData>) -> Handle {
        find_first(units_arg(name), data, wide)
    }

    /// Starts a search.
    "kernel32.dll|kernelbase.dll" stdcall fn FindFirstFileA(name: Ptr<u8>, data: Ptr<FindData>) -> Handle {
        find_first(wide_arg(name), data, ansi)
    }

    /// Starts a search.
    "kernel32.dll|kernelbase.dll" stdcall fn FindFirstFileExW(name: Ptr<u16>, _level: u32, data: Ptr<FindData>, _search: u32, _filter: Ptr<u8>, _flags: u32) -> Handle {
        find_first(units_arg(name), data, wide)
    }

    /// Starts a search.
    "kernel32.dll|kernelbase.dll" stdcall fn FindFirstFileExA(name: Ptr<u8>, _level: u32, data: Ptr<FindData>, _search: u32, _filter: Ptr<u8>, _flags: u32) -> Handle {
        find_first(wide_arg(name), data, ansi)
    }

    /// Continues a search.
    "kernel32.dll|kernelbase.dll" stdcall fn FindNextFileW(search: Handle, data: Ptr<FindData>) -> Bool {
        find_next(search, data, wide)
    }

    /// Continues a search.
    "kernel32.dll|kernelbase.dll" stdcall fn FindNextFileA(search: Handle, data: Ptr<FindData>) -> Bool {
        find_next(search, data, ansi)
    }

    /// Ends a search.
    "kernel32.dll|kernelbase.dll" stdcall fn FindClose(search: Handle) -> Bool {
        success(lookup::<Search>(search, 0).and_then(|_| TABLE.close(search)))
    }
}
