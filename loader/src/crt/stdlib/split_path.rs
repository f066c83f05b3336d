//! Paths in pieces: `_splitpath`, `_makepath`.

use crate::crt::errno::{self, code};
use crate::crt::mem::{self, Char};
use crate::crt::twins::twins;
use crate::crt::unit::Unit;
use crate::export::Ptr;

/// A path in its four pieces: drive with colon, directory with last separator, name, extension with dot.
#[derive(Debug, PartialEq, Eq)]
pub struct Pieces<'a, T> {
    drive: &'a [T],
    directory: &'a [T],
    name: &'a [T],
    extension: &'a [T],
}

/// Splits a path.
pub fn split<T: Unit>(path: &[T]) -> Pieces<'_, T> {
    let drive_len = if path.get(1).is_some_and(|unit| unit.ascii() == b':') {
        2
    } else {
        0
    };
    let (drive, rest) = path.split_at(drive_len);
    let directory_len = rest
        .iter()
        .rposition(|unit| matches!(unit.ascii(), b'/' | b'\\'))
        .map_or(0, |index| index + 1);
    let (directory, file) = rest.split_at(directory_len);
    let name_len = file
        .iter()
        .rposition(|unit| unit.ascii() == b'.')
        .unwrap_or(file.len());
    let (name, extension) = file.split_at(name_len);
    Pieces {
        drive,
        directory,
        name,
        extension,
    }
}

/// Joins pieces, adding the separators that are missing.
fn join<T: Unit>(pieces: [&[T]; 4]) -> Vec<T> {
    let [drive, directory, name, extension] = pieces;
    let mut path = Vec::new();
    if let Some(letter) = drive.first() {
        path.extend([*letter, T::from_ascii(b':')]);
    }
    path.extend_from_slice(directory);
    if directory
        .last()
        .is_some_and(|unit| !matches!(unit.ascii(), b'/' | b'\\'))
    {
        path.push(T::from_ascii(b'\\'));
    }
    path.extend_from_slice(name);
    if extension.first().is_some_and(|unit| unit.ascii() != b'.') {
        path.push(T::from_ascii(b'.'));
    }
    path.extend_from_slice(extension);
    path
}

fn optional<T: Char>(text: Ptr<T>) -> Vec<T> {
    if text.is_null() {
        Vec::new()
    } else {
        mem::string(text)
    }
}

/// Most characters of a piece the unchecked function stores: `_MAX_FNAME` without NUL.
const MAX_PIECE: usize = 255;

twins! {
    /// Splits a path into buffers of the documented sizes; NULL ones are left out.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" fn _splitpath / _wsplitpath(path: Ptr<Char>, drive: Ptr<Char>, directory: Ptr<Char>, name: Ptr<Char>, extension: Ptr<Char>) {
        let path = mem::string(path);
        let pieces = split(&path);
        for (to, piece) in [(drive, pieces.drive), (directory, pieces.directory), (name, pieces.name), (extension, pieces.extension)] {
            if !to.is_null() {
                mem::write_string(to, &piece[..piece.len().min(MAX_PIECE)]);
            }
        }
    }

    /// Splits a path into checked buffers.
    "msvcrt.dll|ucrtbase.dll" fn _splitpath_s / _wsplitpath_s(path: Ptr<Char>, drive: Ptr<Char>, drive_size: usize, directory: Ptr<Char>, directory_size: usize, name: Ptr<Char>, name_size: usize, extension: Ptr<Char>, extension_size: usize) -> i32 {
        let targets = [(drive, drive_size), (directory, directory_size), (name, name_size), (extension, extension_size)];
        if path.is_null() || targets.iter().any(|(to, size)| to.is_null() != (*size == 0)) {
            return errno::invalid_parameter();
        }
        let path = mem::string(path);
        let pieces = split(&path);
        let pieces = [pieces.drive, pieces.directory, pieces.name, pieces.extension];
        if targets.iter().zip(pieces).any(|((to, size), piece)| !to.is_null() && piece.len() >= *size) {
            for (to, _) in targets {
                to.write_if_some(<Char as crate::crt::unit::Unit>::from_ascii(0));
            }
            return errno::invalid(code::ERANGE);
        }
        for ((to, _), piece) in targets.into_iter().zip(pieces) {
            if !to.is_null() {
                mem::write_string(to, piece);
            }
        }
        0
    }

    /// Joins the pieces of a path.
    "msvcrt.dll|ucrtbase.dll" fn _makepath / _wmakepath(to: Ptr<Char>, drive: Ptr<Char>, directory: Ptr<Char>, name: Ptr<Char>, extension: Ptr<Char>) {
        mem::write_string(to, &join([&optional(drive), &optional(directory), &optional(name), &optional(extension)]));
    }

    /// Joins the pieces of a path if it fits.
    "msvcrt.dll|ucrtbase.dll" fn _makepath_s / _wmakepath_s(to: Ptr<Char>, size: usize, drive: Ptr<Char>, directory: Ptr<Char>, name: Ptr<Char>, extension: Ptr<Char>) -> i32 {
        if to.is_null() || size == 0 {
            return errno::invalid_parameter();
        }
        crate::crt::string::store_checked(to, size, &join([&optional(drive), &optional(directory), &optional(name), &optional(extension)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_split_at_drive_separator_and_last_dot() {
        let pieces = split(br"c:\a.b/file.tar.gz".as_slice());
        assert_eq!(pieces.drive, b"c:");
        assert_eq!(pieces.directory, br"\a.b/");
        assert_eq!(
            (pieces.name, pieces.extension),
            (b"file.tar".as_slice(), b".gz".as_slice())
        );
        assert_eq!(split(b"name".as_slice()).extension, b"");
    }

    #[test]
    fn joining_adds_missing_separators() {
        assert_eq!(
            join([b"c".as_slice(), b"dir", b"name", b"txt"]),
            br"c:dir\name.txt"
        );
        assert_eq!(join([b"".as_slice(), b"", b"name", b".txt"]), b"name.txt");
    }
}
