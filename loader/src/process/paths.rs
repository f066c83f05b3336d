//! Windows names of Unix paths: drive `Z:` is the root, `C:` holds the few directories programs ask for.

use std::path::{Path, PathBuf};

/// Returns the Windows path of a Unix path.
#[must_use]
pub fn to_windows(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.starts_with('/') {
        format!("Z:{}", text.replace('/', "\\"))
    } else {
        text.replace('/', "\\")
    }
}

/// Returns the Unix path of a Windows path; relative paths stay relative.
#[must_use]
pub fn to_unix(path: &str) -> PathBuf {
    let slashes = path.replace('\\', "/");
    let bare = slashes
        .strip_prefix("//?/")
        .or_else(|| slashes.strip_prefix("/??/"))
        .unwrap_or(&slashes);
    let bytes = bare.as_bytes();
    let rest = if bytes.len() >= 2 && bytes[1] == b':' {
        &bare[2..]
    } else {
        bare
    };
    PathBuf::from(rest)
}
