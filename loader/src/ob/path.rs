//! From Windows paths to Linux ones.
//!
//! | Windows | Linux |
//! |---|---|
//! | `Z:\a\b`, `\\?\Z:\a\b`, `\??\Z:\a\b` | `/a/b` |
//! | `C:\a` | `$LPC_DRIVE_C/a`, else `drive_c/a` in the prefix |
//! | other drives | not there |
//! | `a\b`, `\a`, `Z:a` | relative to the current directory or its drive |
//! | `\\?\Volume{…}\a`, `\Device\HarddiskVolume3\a` | as on the drive of that volume |
//! | `NUL`, `CON`, `CONIN$`, `CONOUT$` | `/dev/null`, the terminal |
//!
//! A component that does not exist as written is looked for without regard to case.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use ntlpc_abi::NtStatus;

use super::volume;

/// UTF-16 units a component may have (Microsoft Learn "Maximum Path Length Limitation").
const LONGEST_NAME: usize = 255;

/// The Windows directory.
pub const WINDOWS: &str = "C:\\windows";
/// The system directory.
pub const SYSTEM32: &str = "C:\\windows\\system32";

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file or directory.
    File(PathBuf),
    /// `NUL`.
    Null,
    /// The console: input (`CONIN$`), output (`CONOUT$`), or either (`CON`).
    Console,
    /// A named pipe, `\\.\pipe\name`.
    Pipe(String),
    /// `\\.\MountPointManager`.
    MountManager,
}

/// Returns the directory that is drive `C:`.
#[must_use]
pub fn drive_c() -> PathBuf {
    if let Some(directory) = std::env::var_os("LPC_DRIVE_C") {
        return PathBuf::from(directory);
    }
    let prefix = std::env::var_os("LPC_PREFIX").or_else(|| std::env::var_os("WINEPREFIX"));
    let prefix = prefix.map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/".into())).join(".wine"),
        PathBuf::from,
    );
    prefix.join("drive_c")
}

/// Returns the Windows path of a Linux path.
#[must_use]
pub fn to_windows(path: &Path) -> String {
    if let Ok(inside) = path.strip_prefix(drive_c()) {
        return format!("C:\\{}", inside.to_string_lossy().replace('/', "\\"));
    }
    let text = path.to_string_lossy().replace('/', "\\");
    if text.starts_with('\\') {
        format!("Z:{text}")
    } else {
        text
    }
}

/// Returns the Linux path of a Windows path. A relative one stays relative, and so does a Linux path; what names no file
/// becomes a name that does not exist.
#[must_use]
pub fn to_unix(path: &str) -> PathBuf {
    let is_prefixed = ["//?/", "/??/", "\\\\?\\", "\\??\\"]
        .iter()
        .any(|prefix| path.starts_with(prefix));
    if path.starts_with('/') && !is_prefixed {
        return PathBuf::from(path);
    }
    let has_drive = path.as_bytes().get(1) == Some(&b':');
    if !has_drive && !path.starts_with('\\') {
        return PathBuf::from(path.replace('\\', "/"));
    }
    match resolve(&path.replace('/', "\\"), "Z:\\") {
        Ok(Target::File(found)) => found,
        Ok(Target::Null) => PathBuf::from("/dev/null"),
        Ok(Target::Console) => PathBuf::from("/dev/tty"),
        Ok(Target::Pipe(_) | Target::MountManager) | Err(_) => PathBuf::from(path),
    }
}

/// Bytes of a file name: UTF-16 of the guest as UTF-8; lone surrogates come from bytes that are not UTF-8.
fn os_string(text: &str) -> OsString {
    OsString::from_vec(text.as_bytes().to_vec())
}

/// Makes a path absolute in Windows terms and takes `.` and `..` out: what `GetFullPathName` returns.
#[must_use]
pub fn full(path: &str, directory: &str) -> String {
    let path = path.replace('/', "\\");
    if let Some(rest) = path
        .strip_prefix("\\\\?\\")
        .or_else(|| path.strip_prefix("\\??\\"))
    {
        return format!("\\\\?\\{rest}");
    }
    if path.starts_with("\\\\") {
        return path;
    }
    if is_device(&path) {
        return format!("\\\\.\\{path}");
    }
    let drive_of = |path: &str| {
        path.get(..2)
            .filter(|d| d.as_bytes()[1] == b':')
            .map(str::to_owned)
    };
    let current = drive_of(directory).unwrap_or_else(|| "Z:".to_owned());
    let (drive, rest) = match drive_of(&path) {
        Some(drive) => (drive.to_ascii_uppercase(), path[2..].to_owned()),
        None => (current.clone(), path.clone()),
    };
    let absolute = if rest.starts_with('\\') {
        rest
    } else if drive.eq_ignore_ascii_case(&current) {
        format!(
            "{}\\{rest}",
            directory.get(2..).unwrap_or("").trim_end_matches('\\')
        )
    } else {
        format!("\\{rest}")
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in absolute.split('\\') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            // Trailing dots and spaces are not part of a Win32 name.
            name => parts.push(name.trim_end_matches([' ', '.'])),
        }
    }
    let trailing = if absolute.ends_with('\\') && !parts.is_empty() {
        "\\"
    } else {
        ""
    };
    format!("{drive}\\{}{trailing}", parts.join("\\"))
}

fn is_device(path: &str) -> bool {
    matches!(
        path.to_ascii_uppercase().as_str(),
        "NUL" | "NUL:" | "CON" | "CONIN$" | "CONOUT$"
    )
}

/// Resolves a Windows path.
///
/// Returns `OBJECT_PATH_NOT_FOUND` for drives and devices that are not there, `OBJECT_NAME_INVALID` for an empty path or
/// characters Win32 forbids.
pub fn resolve(path: &str, directory: &str) -> Result<Target, NtStatus> {
    if path.is_empty() {
        return Err(NtStatus::OBJECT_PATH_NOT_FOUND);
    }
    let full = volume::to_drive(path).unwrap_or_else(|| full(path, directory));
    let bare = full.strip_prefix("\\\\?\\").unwrap_or(&full);
    if let Some(device) = full
        .strip_prefix("\\\\.\\")
        .or_else(|| bare.strip_prefix("GLOBALROOT\\Device\\"))
        .or_else(|| {
            full.strip_prefix("\\\\?\\")
                .filter(|_| bare.as_bytes().get(1) != Some(&b':'))
        })
    {
        return match device.to_ascii_uppercase().trim_end_matches(':') {
            "NUL" => Ok(Target::Null),
            "CON" | "CONIN$" | "CONOUT$" => Ok(Target::Console),
            "MOUNTPOINTMANAGER" => Ok(Target::MountManager),
            upper => match upper.strip_prefix("PIPE\\") {
                Some(_) => Ok(Target::Pipe(device[5..].to_owned())),
                None => Err(NtStatus::OBJECT_PATH_NOT_FOUND),
            },
        };
    }
    let rest = bare.get(2..).ok_or(NtStatus::OBJECT_PATH_NOT_FOUND)?;
    if rest.contains(['<', '>', '"', '|', '?', '*', '\0']) || rest.contains(':') {
        return Err(NtStatus::OBJECT_NAME_INVALID);
    }
    let is_too_long = |part: &str| part.encode_utf16().count() > LONGEST_NAME;
    if rest.split('\\').any(is_too_long) {
        return Err(NtStatus::OBJECT_NAME_INVALID);
    }
    let root = match bare[..2].to_ascii_uppercase().as_str() {
        "Z:" => PathBuf::from("/"),
        "C:" => drive_c(),
        _ => return Err(NtStatus::OBJECT_PATH_NOT_FOUND),
    };
    Ok(Target::File(find(root, rest)))
}

/// Finds `rest` under `root`, component by component where the whole does not exist as written.
fn find(root: PathBuf, rest: &str) -> PathBuf {
    let straight = root.join(os_string(&rest.trim_start_matches('\\').replace('\\', "/")));
    if straight.symlink_metadata().is_ok() {
        return straight;
    }
    let mut at = root;
    for part in rest.split('\\').filter(|part| !part.is_empty()) {
        let exact = at.join(os_string(part));
        at = if exact.symlink_metadata().is_ok() {
            exact
        } else {
            similar(&at, part).unwrap_or(exact)
        };
    }
    at
}

fn similar(directory: &Path, name: &str) -> Option<PathBuf> {
    let wanted = name.to_lowercase();
    std::fs::read_dir(directory)
        .ok()?
        .flatten()
        .find(|entry| {
            entry
                .file_name()
                .to_str()
                .is_some_and(|found| found.to_lowercase() == wanted)
        })
        .map(|entry| entry.path())
}

/// Returns the current directory as Windows names it, with a trailing backslash.
pub fn directory() -> String {
    let current = to_windows(&std::env::current_dir().unwrap_or_else(|_| "/".into()));
    if current.ends_with('\\') {
        current
    } else {
        current + "\\"
    }
}

/// Resolves a path of the guest against its current directory; see [`resolve`].
pub fn resolve_here(name: &[u16]) -> Result<Target, NtStatus> {
    resolve(&String::from_utf16_lossy(name), &directory())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_two_prefixes() {
        let pipe =
            |path: &str| matches!(resolve(path, "Z:\\"), Ok(Target::Pipe(name)) if name == "uv\\1");
        assert!(pipe(r"\\.\pipe\uv\1") && pipe(r"\\?\pipe\uv\1"));
        assert!(matches!(resolve(r"\\?\Z:\x", "Z:\\"), Ok(Target::File(_))));
        assert!(resolve(r"\\?\UNC\server\x", "Z:\\").is_err());
    }

    #[test]
    fn full_paths() {
        let full = |path| full(path, "Z:\\work\\dir\\");
        assert_eq!(full("a\\..\\b"), "Z:\\work\\dir\\b");
        assert_eq!(full("/x/./y/"), "Z:\\x\\y\\");
        assert_eq!(full("c:q"), "C:\\q");
        assert_eq!(full("Z:q"), "Z:\\work\\dir\\q");
        assert_eq!(full("nul"), "\\\\.\\nul");
        assert_eq!(full("..\\..\\..\\.."), "Z:\\");
    }

    #[test]
    fn drives_are_told_apart() {
        assert_eq!(to_unix("Z:\\etc\\hosts"), Path::new("/etc/hosts"));
        assert_eq!(to_unix("\\\\?\\z:\\etc"), Path::new("/etc"));
        assert_eq!(to_unix("C:\\x\\y"), drive_c().join("x/y"));
        assert_eq!(to_unix("a\\b"), Path::new("a/b"));
        assert_eq!(to_unix("/a b/c"), Path::new("/a b/c"));
        assert_eq!(to_windows(&to_unix("C:\\x\\y")), "C:\\x\\y");
    }

    #[test]
    fn case_is_ignored_where_needed() {
        let directory = std::env::temp_dir().join(format!("ntlpc-path-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("MixedCase")).expect("directory");
        std::fs::write(directory.join("MixedCase/File.TXT"), b"").expect("file");
        let windows = format!("{}\\mixedcase\\FILE.txt", to_windows(&directory));
        assert_eq!(
            resolve(&windows, "Z:\\"),
            Ok(Target::File(directory.join("MixedCase/File.TXT")))
        );
        std::fs::remove_dir_all(directory).expect("clean up");
    }

    #[test]
    fn devices_and_bad_names() {
        assert_eq!(resolve("NUL", "Z:\\"), Ok(Target::Null));
        assert_eq!(
            resolve("\\\\.\\pipe\\x", "Z:\\"),
            Ok(Target::Pipe("x".into()))
        );
        assert_eq!(resolve("a?b", "Z:\\"), Err(NtStatus::OBJECT_NAME_INVALID));
        assert_eq!(
            resolve("Q:\\x", "Z:\\"),
            Err(NtStatus::OBJECT_PATH_NOT_FOUND)
        );
    }
}
