//! What the tests of the loader that build a Windows program share.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds `tests/SOURCE` by the mingw compiler of `prefix` in a folder of the test's own; `None` if there is no such compiler,
/// which CI does not allow.
pub fn build(prefix: &str, source: &str, folder: &str, flags: &[&str]) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(source);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    std::fs::create_dir_all(&folder).expect("a folder for the program");
    let name = source.file_stem().expect("a file").to_string_lossy();
    let program = folder.join(format!("{name}-{prefix}.exe"));
    let built = Command::new(format!("{prefix}-w64-mingw32-gcc"))
        .args(flags)
        .arg("-o")
        .args([&program, &source])
        .status();
    match built {
        Ok(status) => {
            assert!(status.success(), "the program does not build");
            Some(program)
        }
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "no compiler: {error}");
            eprintln!("skipped: no compiler: {error}");
            None
        }
    }
}
