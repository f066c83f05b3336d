//! Paths as texts: `pathcch.h`. Source: Microsoft Learn, "PathCchCanonicalizeEx function" and its neighbours.

use crate::dlls::win32::units_arg;
use crate::export::Ptr;
use crate::win_api;

/// Results: `E_INVALIDARG`, `E_OUTOFMEMORY`, `ERROR_FILENAME_EXCED_RANGE` and `ERROR_INSUFFICIENT_BUFFER` as `HRESULT`.
const OK: u32 = 0;
const FALSE: u32 = 1;
const INVALID_ARGUMENT: u32 = 0x8007_0057;
const OUT_OF_MEMORY: u32 = 0x8007_000E;
const NAME_TOO_LONG: u32 = 0x8007_00CE;
const INSUFFICIENT_BUFFER: u32 = 0x8007_007A;

/// `PATHCCH_ALLOW_LONG_PATHS`, `PATHCCH_ENSURE_TRAILING_SLASH`, `PATHCCH_CANONICALIZE_SLASHES`; the other flags say what a
/// process may do with long names.
const ALLOW_LONG: u32 = 0x01;
const ENSURE_SLASH: u32 = 0x20;
const CANONICALIZE_SLASHES: u32 = 0x40;

/// Most units of a path, with its NUL: `MAX_PATH`, and `PATHCCH_MAX_CCH`.
const MAX_PATH: usize = 260;
const MAX_LONG: usize = 0x8000;

/// Returns the length of the root: `C:\`, `C:`, `\`, `\\server\share\`, `\\?\…` before one of these.
fn root_length(path: &str) -> usize {
    let has_drive = |at: usize| {
        let bytes = path.as_bytes();
        bytes.get(at).is_some_and(u8::is_ascii_alphabetic) && bytes.get(at + 1) == Some(&b':')
    };
    let drive_end = |at: usize| at + 2 + usize::from(path[at + 2..].starts_with('\\'));
    // The end of `server\share\` from `at` on.
    let share_end = |at: usize| {
        let mut ends = path[at..].match_indices('\\').map(|(end, _)| at + end + 1);
        ends.nth(1).unwrap_or(path.len())
    };
    let lower = path.to_ascii_lowercase();
    if lower.starts_with("\\\\?\\unc\\") {
        return share_end(8);
    }
    if path.starts_with("\\\\?\\") {
        return if has_drive(4) { drive_end(4) } else { 4 };
    }
    if path.starts_with("\\\\") {
        return share_end(2);
    }
    if has_drive(0) {
        return drive_end(0);
    }
    usize::from(path.starts_with('\\'))
}

/// Takes `.` and `..` out, and dots at the ends of names; a path of nothing is `\`.
fn canonical(path: &str, flags: u32) -> Result<String, u32> {
    let path = if flags & CANONICALIZE_SLASHES != 0 {
        path.replace('/', "\\")
    } else {
        path.to_owned()
    };
    let (root, rest) = path.split_at(root_length(&path));
    let mut names: Vec<&str> = Vec::new();
    for name in rest.split('\\') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name if name.ends_with('.') && !name.ends_with("*.") => {
                names.extend(Some(name.trim_end_matches('.')).filter(|name| !name.is_empty()));
            }
            name => names.push(name),
        }
    }
    let mut result = root.to_owned() + &names.join("\\");
    if result.is_empty() {
        result.push('\\');
    }
    let ended_in_slash = rest.ends_with('\\') && !names.is_empty();
    if (ended_in_slash || flags & ENSURE_SLASH != 0) && !result.ends_with('\\') {
        result.push('\\');
    }
    let most = if flags & ALLOW_LONG != 0 {
        MAX_LONG
    } else {
        MAX_PATH
    };
    if result.encode_utf16().count() >= most {
        return Err(NAME_TOO_LONG);
    }
    Ok(result)
}

/// Puts `more` behind `path`; one with a root of its own takes its place, but keeps the drive if it is only `\…`.
fn combined(path: Option<&str>, more: Option<&str>, flags: u32) -> Result<String, u32> {
    let joined = match (path, more) {
        (None, None) => return Err(INVALID_ARGUMENT),
        (Some(only), None | Some("")) | (None, Some(only)) => only.to_owned(),
        (Some(path), Some(more)) if more.starts_with('\\') && !more.starts_with("\\\\") => {
            path[..root_length(path)].trim_end_matches('\\').to_owned() + more
        }
        (Some(_), Some(more)) if root_length(more) > 0 => more.to_owned(),
        (Some(path), Some(more)) => format!("{}\\{more}", path.trim_end_matches('\\')),
    };
    canonical(&joined, flags)
}

fn text(at: Ptr<u16>) -> Option<String> {
    units_arg(at).map(|units| String::from_utf16_lossy(&units))
}

/// Writes a result and its NUL.
fn put(result: Result<String, u32>, to: Ptr<u16>, size: usize) -> u32 {
    if to.is_null() || size == 0 {
        return INVALID_ARGUMENT;
    }
    let units: Vec<u16> = match &result {
        Ok(path) => path.encode_utf16().chain([0]).collect(),
        Err(_) => vec![0],
    };
    match result {
        Ok(_) if units.len() > size => {
            to.write(0);
            INSUFFICIENT_BUFFER
        }
        Ok(_) => {
            to.write_many(&units);
            OK
        }
        Err(code) => {
            to.write(0);
            code
        }
    }
}

/// Gives a result in memory for `LocalFree`.
fn give(result: Result<String, u32>, to: Ptr<Ptr<u16>>) -> u32 {
    if to.is_null() {
        return INVALID_ARGUMENT;
    }
    to.write(Ptr::NULL);
    let units: Vec<u16> = match result {
        Ok(path) => path.encode_utf16().chain([0]).collect(),
        Err(code) => return code,
    };
    let Some(block) = crate::heap::process().allocate(units.len() * 2, false) else {
        return OUT_OF_MEMORY;
    };
    let block = Ptr::<u16>::new(block);
    block.write_many(&units);
    to.write(block);
    OK
}

win_api! {
    /// Simplifies a path, in memory for `LocalFree`.
    "kernelbase.dll" stdcall fn PathAllocCanonicalize(path: Ptr<u16>, flags: u32, to: Ptr<Ptr<u16>>) -> u32 {
        give(text(path).ok_or(INVALID_ARGUMENT).and_then(|path| canonical(&path, flags)), to)
    }

    /// Joins two paths, in memory for `LocalFree`.
    "kernelbase.dll" stdcall fn PathAllocCombine(path: Ptr<u16>, more: Ptr<u16>, flags: u32, to: Ptr<Ptr<u16>>) -> u32 {
        give(combined(text(path).as_deref(), text(more).as_deref(), flags), to)
    }

    /// Simplifies a path.
    "kernelbase.dll" stdcall fn PathCchCanonicalizeEx(to: Ptr<u16>, size: usize, path: Ptr<u16>, flags: u32) -> u32 {
        put(text(path).ok_or(INVALID_ARGUMENT).and_then(|path| canonical(&path, flags)), to, size)
    }

    /// Simplifies a path.
    "kernelbase.dll" stdcall fn PathCchCanonicalize(to: Ptr<u16>, size: usize, path: Ptr<u16>) -> u32 {
        PathCchCanonicalizeEx(to, size, path, 0)
    }

    /// Joins two paths.
    "kernelbase.dll" stdcall fn PathCchCombineEx(to: Ptr<u16>, size: usize, path: Ptr<u16>, more: Ptr<u16>, flags: u32) -> u32 {
        put(combined(text(path).as_deref(), text(more).as_deref(), flags), to, size)
    }

    /// Joins two paths.
    "kernelbase.dll" stdcall fn PathCchCombine(to: Ptr<u16>, size: usize, path: Ptr<u16>, more: Ptr<u16>) -> u32 {
        PathCchCombineEx(to, size, path, more, 0)
    }

    /// Puts a path behind another.
    "kernelbase.dll" stdcall fn PathCchAppend(path: Ptr<u16>, size: usize, more: Ptr<u16>) -> u32 {
        PathCchCombineEx(path, size, path, more, 0)
    }

    /// Takes the last name off a path; `S_FALSE` if there is none.
    "kernelbase.dll" stdcall fn PathCchRemoveFileSpec(path: Ptr<u16>, size: usize) -> u32 {
        let Some(text) = text(path) else { return INVALID_ARGUMENT };
        if size == 0 || size > MAX_LONG {
            return INVALID_ARGUMENT;
        }
        let root = root_length(&text);
        let end = text[root..].rfind('\\').map_or(root, |at| root + at);
        if end == text.len() {
            return FALSE;
        }
        path.add(text[..end].encode_utf16().count()).write(0);
        OK
    }

    /// Returns where the root of a path ends.
    "kernelbase.dll" stdcall fn PathCchSkipRoot(path: Ptr<u16>, rest: Ptr<Ptr<u16>>) -> u32 {
        let Some(text) = text(path) else { return INVALID_ARGUMENT };
        let root = root_length(&text);
        if root == 0 {
            return INVALID_ARGUMENT;
        }
        rest.write(path.add(text[..root].encode_utf16().count()));
        OK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_simple() {
        let run = |path: &str| canonical(path, 0).expect(path);
        assert_eq!(run(r"C:\a\.\b\..\c"), r"C:\a\c");
        assert_eq!(run(r"C:\..\x."), r"C:\x");
        assert_eq!(run(r"\\s\h\..\a\"), r"\\s\h\a\");
        assert_eq!(run(""), r"\");
        assert_eq!(run(r"\\?\C:\a\.."), r"\\?\C:\");
        assert_eq!(canonical(&"a".repeat(300), 0), Err(NAME_TOO_LONG));
        assert!(canonical(&"a".repeat(300), ALLOW_LONG).is_ok());
        assert_eq!(
            canonical("C:/a/b", CANONICALIZE_SLASHES).as_deref(),
            Ok(r"C:\a\b")
        );
    }

    #[test]
    fn paths_are_joined() {
        let run = |path, more| combined(Some(path), Some(more), 0).expect(more);
        assert_eq!(run(r"C:\a", r"b\..\c"), r"C:\a\c");
        assert_eq!(run(r"C:\a", r"\b"), r"C:\b");
        assert_eq!(run(r"C:\a", r"D:\b"), r"D:\b");
        assert_eq!(run(r"C:\a", ""), r"C:\a");
        assert_eq!(combined(None, None, 0), Err(INVALID_ARGUMENT));
    }
}
