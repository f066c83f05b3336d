//! `LD_PRELOAD` for Wine: `libntdll_shim.so`, and its i386 build where Wine has 32-bit Linux processes.
//!
//! | what | where it is looked for, in this order |
//! |---|---|
//! | `libntdll_shim.so` | `$LPC_SHIM`; beside `lpcrun`; `../lib` from there |
//! | its i386 build | `i386/libntdll_shim.so` beside that; cargo's `../i686-unknown-linux-gnu/PROFILE` |
//!
//! The dynamic linker says on stderr of every process that a library in `LD_PRELOAD` is of the other class, but it replaces
//! `$LIB` in a path by the directory that holds the libraries of its own class (man 8 ld.so). So both are named by one path
//! with `$LIB`, below a directory of links among the prefix's files.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use ntlpc_proto::Prefix;

pub(crate) const LIBRARY: &str = "libntdll_shim.so";
/// The dynamic linkers of both classes, each in the directory `$LIB` stands for or linked to it (System V ABI).
const LINKER_64: &str = "/lib64/ld-linux-x86-64.so.2";
const LINKER_32: &str = "/lib/ld-linux.so.2";

/// The libraries there are.
#[derive(Debug)]
pub(crate) struct Libraries {
    /// For 64-bit processes.
    pub(crate) wide: PathBuf,
    /// For 32-bit processes.
    pub(crate) narrow: Option<PathBuf>,
}

impl Libraries {
    /// Finds them, `here` being the directory of this program; or returns where the first was looked for.
    pub(crate) fn find(here: Option<&Path>) -> Result<Libraries, Vec<PathBuf>> {
        let places: Vec<PathBuf> = match env::var_os("LPC_SHIM").filter(|path| !path.is_empty()) {
            Some(library) => return Ok(Libraries::with(library.into())),
            None => here
                .iter()
                .flat_map(|here| [here.join(LIBRARY), here.join("../lib").join(LIBRARY)])
                .collect(),
        };
        match places.iter().find(|place| place.is_file()) {
            Some(library) => Ok(Libraries::with(library.clone())),
            None => Err(places),
        }
    }

    fn with(wide: PathBuf) -> Libraries {
        let narrow = || {
            let directory = wide.parent()?.canonicalize().ok()?;
            let profile = directory.file_name()?;
            let built = Path::new("../i686-unknown-linux-gnu").join(profile);
            [Path::new("i386"), &built]
                .map(|place| directory.join(place).join(LIBRARY))
                .into_iter()
                .find(|place| place.is_file())
        };
        Libraries {
            narrow: narrow(),
            wide,
        }
    }

    /// `LD_PRELOAD` with the library, and what was there behind it. 32-bit processes find theirs if there is one and
    /// `has_narrow` says that Wine has such.
    pub(crate) fn preload_list(&self, prefix: &Prefix, has_narrow: bool) -> OsString {
        let narrow = self.narrow.as_ref().filter(|_| has_narrow);
        let both = narrow.and_then(|narrow| {
            let linked = link_both(prefix, &self.wide, narrow);
            linked
                .inspect_err(|error| {
                    log::warn!("32-bit processes get Wine's own port calls: {error}")
                })
                .ok()
        });
        let mut list = both.unwrap_or_else(|| self.wide.clone()).into_os_string();
        if let Some(others) = env::var_os("LD_PRELOAD").filter(|list| !list.is_empty()) {
            list.push(":");
            list.push(others);
        }
        list
    }
}

/// Makes links to both libraries that one path with `$LIB` leads to; returns it.
fn link_both(prefix: &Prefix, wide: &Path, narrow: &Path) -> io::Result<PathBuf> {
    let (lib64, lib32) = (library_directory(LINKER_64)?, library_directory(LINKER_32)?);
    if lib64 == lib32 {
        return Err(io::Error::other(
            "both kinds of libraries have one directory",
        ));
    }
    prefix.prepare().map_err(io::Error::other)?;
    let root = prefix.socket_path().with_extension("preload");
    for (directory, library) in [(lib64, wide), (lib32, narrow)] {
        let directory = root.join(directory);
        fs::create_dir_all(&directory)?;
        let (library, link) = (library.canonicalize()?, directory.join(LIBRARY));
        if fs::read_link(&link).is_ok_and(|target| target == library) {
            continue;
        }
        // Another process may be starting Wine at this moment: the link is there all the time.
        let fresh = directory.join(format!("{}.{LIBRARY}", std::process::id()));
        symlink(&library, &fresh)?;
        fs::rename(&fresh, &link)?;
    }
    Ok(root.join("$LIB").join(LIBRARY))
}

/// What `$LIB` is for a dynamic linker, which lies there.
fn library_directory(linker: &str) -> io::Result<PathBuf> {
    let linker = Path::new(linker).canonicalize()?;
    let directory = linker.parent().unwrap_or(Path::new("/"));
    let directory = directory
        .strip_prefix("/usr")
        .or_else(|_| directory.strip_prefix("/"));
    directory.map(Path::to_owned).map_err(io::Error::other)
}
