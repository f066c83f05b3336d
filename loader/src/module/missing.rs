//! `--list-missing`: what a program imports and nothing provides.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::path::{Path, PathBuf};

use super::{apiset, builtin, search};
use crate::image::{self, Directory, Exports, ImageError, ImportName, Imports, Mapped};

/// One missing import.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MissingImport {
    /// DLL as named by the importer, lower case.
    pub dll: String,
    /// Function or `#ordinal`.
    pub function: String,
    /// File name of the image that imports it.
    pub importer: String,
    /// Whether it is looked up only when first called.
    pub is_delayed: bool,
}

/// Lists what `program` and the DLLs beside it import and nothing provides; nothing is run.
pub fn list_missing(program: &Path) -> Result<Vec<MissingImport>, ImageError> {
    let directory = program.parent().unwrap_or(Path::new("."));
    let mut missing = Vec::new();
    let mut seen = HashSet::from([program.to_owned()]);
    let mut queue = VecDeque::from([program.to_owned()]);
    let mut is_program = true;
    while let Some(path) = queue.pop_front() {
        let mapped = match File::open(&path)
            .map_err(ImageError::from)
            .and_then(|file| image::map(&file))
        {
            Ok(mapped) => mapped,
            Err(error) if is_program => return Err(error),
            Err(error) => {
                log::warn!("{}: {error}", path.display());
                continue;
            }
        };
        is_program = false;
        let result = list_one(&mapped, &path, directory, &mut missing);
        image::unmap(&mapped.view);
        for file in result? {
            if seen.insert(file.clone()) {
                queue.push_back(file);
            }
        }
    }
    missing.sort();
    missing.dedup();
    Ok(missing)
}

/// Lists one image's missing imports and returns the files it imports from.
fn list_one(
    mapped: &Mapped,
    path: &Path,
    directory: &Path,
    missing: &mut Vec<MissingImport>,
) -> Result<Vec<PathBuf>, ImageError> {
    let importer = path
        .file_name()
        .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let mut files = Vec::new();
    for imports in Imports::read(&mapped.view, &mapped.headers)? {
        let dll = search::key_of(&imports.dll.to_ascii_lowercase());
        let host = apiset::host_of(&dll);
        let file = if builtin::is_known_dll(host) {
            None
        } else {
            search::find_file(&dll, directory)
        };
        let provided: Box<dyn Fn(&ImportName) -> bool> = match &file {
            Some(file) => {
                let exports = exports_of(file);
                Box::new(move |name| exports.as_ref().is_some_and(|e| e.has(name)))
            }
            None => Box::new(|name| builtin::has(host, name)),
        };
        for import in imports
            .functions
            .iter()
            .filter(|import| !provided(&import.name))
        {
            missing.push(MissingImport {
                dll: dll.clone(),
                function: import.name.to_string(),
                importer: importer.clone(),
                is_delayed: imports.is_delayed,
            });
        }
        files.extend(file);
    }
    Ok(files)
}

/// A DLL mapped to look into its exports.
struct Provider {
    mapped: Mapped,
    exports: Option<Exports>,
}

impl Provider {
    fn has(&self, name: &ImportName) -> bool {
        let Some(exports) = &self.exports else {
            return false;
        };
        match name {
            ImportName::Name(name) => exports.by_name(name).is_some(),
            ImportName::Ordinal(ordinal) => exports.by_ordinal(u32::from(*ordinal)).is_some(),
        }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        image::unmap(&self.mapped.view);
    }
}

fn exports_of(file: &Path) -> Option<Provider> {
    let mapped = image::map(&File::open(file).ok()?).ok()?;
    let exports = mapped
        .headers
        .directory(Directory::Export)
        .and_then(|d| Exports::new(mapped.view, d));
    Some(Provider { mapped, exports })
}
