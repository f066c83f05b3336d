//! `lpcrun --host wine`: runs the program under stock Wine with `libntdll_shim.so` preloaded.
//!
//! | what | where it is looked for, in this order |
//! |---|---|
//! | Wine | `$WINE`; `wine64` on `$PATH`; `/usr/lib/wine/wine64`; `wine` on `$PATH` |
//! | `libntdll_shim.so` | see `wine_preload.rs` |
//! | prefix | `$WINEPREFIX`, else Wine's default |
//!
//! Wine takes the place of this process, so that standard handles, signals and the exit code are the program's own.

use std::convert::Infallible;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io;

use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::wine_preload::{LIBRARY, Libraries};
use ntlpc_proto::{Prefix, PrefixError, StartError, connect_or_start};

const SERVER: &str = "wineserver-ext";
const DEBIAN_WINE: &str = "/usr/lib/wine/wine64";

/// Returns the Wine that [`exec`] would run, if there is one.
pub(crate) fn find_wine() -> Option<PathBuf> {
    if let Some(wine) = variable("WINE") {
        return Some(PathBuf::from(wine));
    }
    on_path("wine64")
        .or_else(|| Some(PathBuf::from(DEBIAN_WINE)).filter(|wine| wine.is_file()))
        .or_else(|| on_path("wine"))
}

/// Starts the prefix's server and becomes Wine running `program` with `arguments`; returns only if that fails.
///
/// # Errors
/// What is missing, or why it could not be started.
pub(crate) fn exec<A: AsRef<OsStr>>(
    program: &OsStr,
    arguments: &[A],
) -> Result<Infallible, WineError> {
    let wine = find_wine().ok_or(WineError::NoWine)?;
    let here = executable_directory();
    let libraries = Libraries::find(here.as_deref()).map_err(WineError::NoLibrary)?;
    let wow64 = Wow64::of(&wine);
    if is_i386(Path::new(program)) {
        match wow64 {
            Wow64::Absent => return Err(WineError::No32Bit(wine)),
            Wow64::Old if libraries.narrow.is_none() => log::warn!(
                "{} runs 32-bit programs in 32-bit processes, for which there is no i386/{LIBRARY} beside {}: this one gets \
                 Wine's own port calls",
                wine.display(),
                libraries.wide.display()
            ),
            Wow64::Old | Wow64::New => {}
        }
    }
    let prefix = Prefix::from_environment().map_err(WineError::Prefix)?;
    // The server outlives this connection by its linger time; a later one is made by the program's first call.
    let beside: Vec<&Path> = here.iter().map(PathBuf::as_path).collect();
    drop(connect_or_start(&prefix, &beside).map_err(WineError::Server)?);

    let mut command = Command::new(&wine);
    command.arg(program).args(arguments).env(
        "LD_PRELOAD",
        libraries.preload_list(&prefix, matches!(wow64, Wow64::Old)),
    );
    if let Some(server) = here
        .map(|directory| directory.join(SERVER))
        .filter(|server| server.is_file())
        && variable("LPC_SERVER").is_none()
    {
        command.env("LPC_SERVER", server);
    }
    if variable("WINEDEBUG").is_none() {
        command.env("WINEDEBUG", "fixme-all");
    }
    Err(WineError::NotRun(wine, command.exec()))
}

/// Returns whether a file is an i386 program.
pub(crate) fn is_i386(program: &Path) -> bool {
    const PE_OFFSET: u64 = 0x3C;
    let read = || -> io::Result<bool> {
        let file = File::open(program)?;
        let mut offset = [0; 4];
        file.read_exact_at(&mut offset, PE_OFFSET)?;
        let mut start = [0; 6];
        file.read_exact_at(&mut start, u32::from_le_bytes(offset).into())?;
        Ok(start == *b"PE\0\0\x4c\x01")
    };
    read().unwrap_or(false)
}

/// How a Wine runs 32-bit programs.
enum Wow64 {
    /// In 64-bit processes.
    New,
    /// In 32-bit processes, by a `ntdll.so` of their own.
    Old,
    /// Not at all: without their DLLs it dies while it loads such a program, and says so nowhere (Debian's wine64 8.0: exit
    /// code 0).
    Absent,
}

impl Wow64 {
    fn of(wine: &Path) -> Wow64 {
        const PLACES: [&str; 7] = [
            "wine",
            "x86_64-linux-gnu/wine",
            "i386-linux-gnu/wine",
            "lib/wine",
            "lib32/wine",
            "lib/x86_64-linux-gnu/wine",
            "lib/i386-linux-gnu/wine",
        ];
        let wine = wine.canonicalize().unwrap_or_else(|_| wine.to_owned());
        let above = wine.ancestors().skip(1).take(3);
        let places: Vec<PathBuf> = above
            .flat_map(|directory| PLACES.map(|place| directory.join(place)))
            .collect();
        let any_has = |file| places.iter().any(|place| place.join(file).is_file());
        if any_has("i386-unix/ntdll.so") {
            Wow64::Old
        } else if any_has("i386-windows/ntdll.dll") {
            Wow64::New
        } else {
            Wow64::Absent
        }
    }
}

/// Why Wine does not run the program.
#[derive(Debug)]
pub(crate) enum WineError {
    /// There is no Wine in the places looked at.
    NoWine,
    /// This Wine runs no 32-bit programs.
    No32Bit(PathBuf),
    /// The library to preload is in none of these places.
    NoLibrary(Vec<PathBuf>),
    /// The prefix cannot be used.
    Prefix(PrefixError),
    /// The server of the prefix does not start.
    Server(StartError),
    /// Wine itself does not start.
    NotRun(PathBuf, io::Error),
}

impl fmt::Display for WineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WineError::NoWine => {
                write!(
                    f,
                    "no Wine found: set WINE to its path, or install it ({DEBIAN_WINE} or on PATH)"
                )
            }
            WineError::No32Bit(wine) => write!(
                f,
                "{} has no i386-windows/ntdll.dll: it runs no 32-bit programs (Debian: install wine32); \
                 --host standalone may",
                wine.display()
            ),
            WineError::NoLibrary(places) => {
                write!(
                    f,
                    "{LIBRARY} not found: set LPC_SHIM to its path. Looked at:"
                )?;
                places
                    .iter()
                    .try_for_each(|place| write!(f, " {}", place.display()))
            }
            WineError::Prefix(error) => error.fmt(f),
            WineError::Server(error) => error.fmt(f),
            WineError::NotRun(wine, error) => write!(f, "cannot run {}: {error}", wine.display()),
        }
    }
}

impl std::error::Error for WineError {}

fn executable_directory() -> Option<PathBuf> {
    Some(env::current_exe().ok()?.parent()?.to_owned())
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}
