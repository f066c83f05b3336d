//! Where a DLL named by a program is found.

use std::path::{Path, PathBuf};

use crate::ob::path;

/// `LOAD_LIBRARY_*` choices that matter to the search.
#[derive(Clone, Copy, Debug, Default)]
pub struct SearchFlags {
    /// Look for built-in DLLs only (`LOAD_LIBRARY_SEARCH_SYSTEM32`).
    pub is_system_only: bool,
    /// Only look into it (`LOAD_LIBRARY_AS_DATAFILE`).
    pub is_data: bool,
    /// Neither load what it needs nor run anything of it (`DONT_RESOLVE_DLL_REFERENCES`).
    pub is_bare: bool,
}

/// Returns the look-up key of a lower-case name or path: its last part, with `.dll` if it has no suffix.
#[must_use]
pub fn key_of(name: &str) -> String {
    let base = name.rsplit(['\\', '/']).next().unwrap_or(name);
    match base.strip_suffix('.') {
        Some(bare) => bare.to_owned(),
        None if base.contains('.') => base.to_owned(),
        None => format!("{base}.dll"),
    }
}

/// Returns whether a lower-case name is a path to somewhere else than the system directory, where the built-in DLLs are.
#[must_use]
pub fn is_foreign_path(name: &str) -> bool {
    const SYSTEM: [&str; 2] = ["c:\\windows\\system32", "c:\\windows\\syswow64"];
    let name = name.replace('/', "\\");
    name.rsplit_once('\\')
        .is_some_and(|(directory, _)| !SYSTEM.contains(&directory))
}

/// Finds the file of a DLL named by `name` (a file name or Windows path).
#[must_use]
pub fn find_file(name: &str, program_directory: &Path) -> Option<PathBuf> {
    if name.contains(['\\', '/']) {
        let path = path::to_unix(name);
        let directory = path.parent()?;
        return find_in(directory, &key_of(path.file_name()?.to_str()?));
    }
    let key = key_of(name);
    let working = std::env::current_dir().ok();
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(program_directory.to_owned())
        .chain(working)
        .chain(std::env::split_paths(&path))
        .find_map(|directory| find_in(&directory, &key))
}

/// Finds `name` in a directory, whatever the case of its letters.
fn find_in(directory: &Path, name: &str) -> Option<PathBuf> {
    let exact = directory.join(name);
    if exact.is_file() {
        return Some(exact);
    }
    std::fs::read_dir(directory)
        .ok()?
        .filter_map(Result::ok)
        .find(|entry| {
            entry
                .file_name()
                .to_str()
                .is_some_and(|n| n.eq_ignore_ascii_case(name))
        })
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::{is_foreign_path, key_of};

    #[test]
    fn the_system_directory_is_that_of_the_built_in_dlls() {
        assert!(!is_foreign_path("advapi32.dll"));
        assert!(!is_foreign_path("c:\\windows\\system32\\advapi32.dll"));
        assert!(!is_foreign_path("c:/windows/syswow64/advapi32.dll"));
        assert!(is_foreign_path("c:\\windows\\system32\\drivers\\x.dll"));
        assert!(is_foreign_path("z:\\tmp\\x.dll"));
    }

    #[test]
    fn names_get_a_suffix_unless_they_have_one() {
        assert_eq!(key_of("kernel32"), "kernel32.dll");
        assert_eq!(key_of("c:\\x\\plugin.ocx"), "plugin.ocx");
        assert_eq!(key_of("nosuffix."), "nosuffix");
    }
}
