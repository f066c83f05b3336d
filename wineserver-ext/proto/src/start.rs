//! Connecting to the server of a prefix, starting it first if there is none.

use core::fmt;
use std::env;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};
use rustix::net::SocketAddrUnix;

use crate::transport::{Wait, control_socket};
use crate::{Connection, Prefix, PrefixError};

/// File name of the server program.
const SERVER: &str = "wineserver-ext";

/// Exit code of a server program that found the prefix served by another.
pub const ALREADY_RUNNING_EXIT: i32 = 2;

/// Why there is no connection to a server.
#[derive(Debug)]
pub enum StartError {
    /// The files of the prefix cannot be used.
    Prefix(PrefixError),
    /// The server program is in none of the places looked at.
    NoServer(Vec<PathBuf>),
    /// The server program could not be run.
    NotRun(PathBuf, io::Error),
    /// The server program ended with an error; its words.
    Failed(PathBuf, String),
    /// The socket could not be connected.
    Connect(PathBuf, io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Prefix(error) => error.fmt(f),
            StartError::NoServer(places) => {
                write!(
                    f,
                    "{SERVER} not found; set LPC_SERVER to its path. Looked at:"
                )?;
                places
                    .iter()
                    .try_for_each(|place| write!(f, " {}", place.display()))
            }
            StartError::NotRun(path, error) => write!(f, "cannot run {}: {error}", path.display()),
            StartError::Failed(path, words) => {
                write!(f, "{} did not start: {words}", path.display())
            }
            StartError::Connect(path, error) => {
                write!(f, "cannot connect to {}: {error}", path.display())
            }
        }
    }
}

impl std::error::Error for StartError {}

impl From<PrefixError> for StartError {
    fn from(error: PrefixError) -> StartError {
        StartError::Prefix(error)
    }
}

/// Connects to the server of `prefix` if one runs; `None` if none does.
pub fn connect_existing(prefix: &Prefix) -> Result<Option<Connection>, StartError> {
    prefix.check_socket()?;
    let path = prefix.socket_path();
    match connect(&path) {
        Ok(socket) => Ok(Some(Connection::new(socket))),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(StartError::Connect(path, error)),
    }
}

/// Connects to the server of `prefix`, starting it first if none runs.
///
/// The program is `$LPC_SERVER`, else one beside this executable or in `beside`, else one on `$PATH`. It inherits nothing
/// but the environment, and no zombie is left: the program started here ends once its background part listens.
pub fn connect_or_start(prefix: &Prefix, beside: &[&Path]) -> Result<Connection, StartError> {
    prefix.prepare()?;
    // A server that goes idle between our two steps closes its socket before it ends, so a few rounds always suffice.
    const ROUNDS: usize = 8;
    for _ in 0..ROUNDS {
        if let Some(connection) = connect_existing(prefix)? {
            return Ok(connection);
        }
        let _serialised = lock(&prefix.start_lock_path())?;
        if let Some(connection) = connect_existing(prefix)? {
            return Ok(connection);
        }
        start(prefix, beside)?;
    }
    Err(StartError::Connect(
        prefix.socket_path(),
        io::Error::from(io::ErrorKind::ConnectionRefused),
    ))
}

fn connect(path: &Path) -> io::Result<OwnedFd> {
    let socket = control_socket(Wait::Blocking)?;
    let address = SocketAddrUnix::new(path)?;
    rustix::io::retry_on_intr(|| rustix::net::connect(&socket, &address))?;
    Ok(socket)
}

fn lock(path: &Path) -> Result<File, StartError> {
    let failed = |error| StartError::Prefix(PrefixError::Unusable(path.to_path_buf(), error));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
        .map_err(failed)?;
    rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))
        .map_err(|error| failed(error.into()))?;
    Ok(file)
}

fn start(prefix: &Prefix, beside: &[&Path]) -> Result<(), StartError> {
    let program = find_server(beside)?;
    log::debug!(
        "starting {} for {}",
        program.display(),
        prefix.directory().display()
    );
    let output = Command::new(&program)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .env("LPC_PREFIX", prefix.directory())
        .output()
        .map_err(|error| StartError::NotRun(program.clone(), error))?;
    if output.status.success() || output.status.code() == Some(ALREADY_RUNNING_EXIT) {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(StartError::Failed(
        program,
        if words.is_empty() {
            output.status.to_string()
        } else {
            words
        },
    ))
}

fn find_server(beside: &[&Path]) -> Result<PathBuf, StartError> {
    if let Some(path) = env::var_os("LPC_SERVER").filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    let mut places: Vec<PathBuf> = beside
        .iter()
        .map(|directory| directory.join(SERVER))
        .collect();
    if let Ok(executable) = env::current_exe() {
        // Tests of cargo run one directory below the programs.
        places.extend(
            executable
                .ancestors()
                .skip(1)
                .take(2)
                .map(|directory| directory.join(SERVER)),
        );
    }
    if let Some(path) = env::var_os("PATH") {
        places.extend(env::split_paths(&path).map(|directory| directory.join(SERVER)));
    }
    places
        .iter()
        .find(|place| place.is_file())
        .cloned()
        .ok_or(StartError::NoServer(places))
}
