//! Which images the built-in command interpreter stands behind: `cmd.exe` and batch files.

use std::path::Path;

use super::path;

/// Where Windows programs find it.
pub const PATH: &str = "C:\\windows\\system32\\cmd.exe";

/// Returns whether the image is this program. A file there, as Wine has one, is never run.
#[must_use]
pub fn is_built_in(image: &Path) -> bool {
    let parts = image.strip_prefix(path::drive_c());
    parts.is_ok_and(|rest| {
        rest.to_string_lossy()
            .eq_ignore_ascii_case("windows/system32/cmd.exe")
    })
}

/// Returns whether the file is run by handing it to this program.
#[must_use]
pub fn is_batch(image: &Path) -> bool {
    image.extension().is_some_and(|extension| {
        extension.eq_ignore_ascii_case("bat") || extension.eq_ignore_ascii_case("cmd")
    })
}

/// Returns the command line that makes this program run a batch file's command line.
#[must_use]
pub fn batch_line(command_line: &str) -> String {
    format!("{PATH} /c \"{command_line}\"")
}
