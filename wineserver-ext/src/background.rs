//! Becoming the server of a prefix: the lock, the socket, the background process, signals and limits.

use core::fmt;
use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ntlpc_proto::transport::{Wait, control_socket};
use ntlpc_proto::{Connection, Prefix, PrefixError, StartError, connect_existing, sys};
use rustix::fs::{FlockOperation, Mode, flock};
use rustix::net::SocketAddrUnix;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, setrlimit};

/// What a ready server says on the pipe of whoever started it.
const READY: &str = "ready\n";
/// Connections the kernel keeps until they are accepted.
const BACKLOG: i32 = 1024;
/// Time between two looks at something that cannot be waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How long a server that is ending may keep its lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// How long a server may take to end before it is killed.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// Why this process is not the server.
#[derive(Debug)]
pub enum ServeError {
    /// The prefix has one.
    AlreadyRunning,
    /// The files of the prefix cannot be used.
    Prefix(PrefixError),
    /// The running server cannot be reached.
    Connect(StartError),
    /// A system call failed; what it was for.
    System(&'static str, io::Error),
    /// The background process said why it does not run.
    Child(String),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::AlreadyRunning => f.write_str("the prefix already has a server"),
            ServeError::Prefix(error) => error.fmt(f),
            ServeError::Connect(error) => error.fmt(f),
            ServeError::System(what, error) => write!(f, "cannot {what}: {error}"),
            ServeError::Child(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for ServeError {}

impl From<PrefixError> for ServeError {
    fn from(error: PrefixError) -> ServeError {
        ServeError::Prefix(error)
    }
}

/// The prefix taken: as long as this lives, no other process becomes its server.
#[derive(Debug)]
pub struct Seat {
    prefix: Prefix,
    /// Listening socket, non-blocking.
    pub listener: OwnedFd,
    /// Kept open for its lock.
    _lock: File,
}

impl Seat {
    /// Takes the prefix and listens at its socket.
    ///
    /// Returns [`ServeError::AlreadyRunning`] if another server answers there.
    pub fn take(prefix: Prefix) -> Result<Seat, ServeError> {
        prefix.prepare()?;
        prefix.check_socket()?;
        let lock = take_lock(&prefix)?;
        let path = prefix.socket_path();
        // With the lock held, a socket that is still there belongs to a server that was killed.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(ServeError::System("remove the old socket", error));
            }
            _ => {}
        }
        let listener = control_socket(Wait::NonBlocking)
            .map_err(|error| ServeError::System("make a socket", error))?;
        let failed =
            |error: rustix::io::Errno| ServeError::System("listen at the socket", error.into());
        let address = SocketAddrUnix::new(&path).map_err(failed)?;
        rustix::net::bind(&listener, &address).map_err(failed)?;
        rustix::fs::chmod(&path, Mode::RUSR | Mode::WUSR).map_err(failed)?;
        rustix::net::listen(&listener, BACKLOG).map_err(failed)?;
        Ok(Seat {
            prefix,
            listener,
            _lock: lock,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // The name goes before the lock: a client that finds no socket starts a server, which waits for the lock.
        let _ = std::fs::remove_file(self.prefix.socket_path());
    }
}

/// Starts the server in the background, with the options of this process; returns once it listens.
pub fn start(prefix: &Prefix) -> Result<(), ServeError> {
    prefix.prepare()?;
    let failed = |error| ServeError::System("start in the background", error);
    let program = env::current_exe().map_err(failed)?;
    // What the caller had open is not the server's: a pipe's reader would never see its end.
    sys::close_inherited_on_exec().map_err(failed)?;
    let mut child = Command::new(program)
        .args(env::args_os().skip(1))
        .arg("--foreground")
        .arg("--announce")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log_file(&prefix.log_path()))
        .spawn()
        .map_err(failed)?;
    let mut words = String::new();
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_string(&mut words).map_err(failed)?;
    }
    if words == READY {
        return Ok(());
    }
    let status = child.wait().map_err(failed)?;
    if status.code() == Some(ALREADY_RUNNING_EXIT) {
        return Err(ServeError::AlreadyRunning);
    }
    let words = words.trim();
    Err(ServeError::Child(if words.is_empty() {
        status.to_string()
    } else {
        words.to_owned()
    }))
}

/// Exit code of a process that found the prefix served, as wineserver's; also of `-k` without a server.
pub const ALREADY_RUNNING_EXIT: i32 = ntlpc_proto::ALREADY_RUNNING_EXIT;

/// Leaves the session of whoever started this process, says on stdout that the server is ready, and lets go of stdout.
pub fn announce() -> io::Result<()> {
    // A process that leads a group already (started by hand with --announce) keeps its session.
    let _ = rustix::process::setsid();
    rustix::process::chdir("/")?;
    let mut stdout = io::stdout();
    stdout.write_all(READY.as_bytes())?;
    stdout.flush()?;
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(())
}

/// Returns a socket that becomes readable when the process is asked to end.
pub fn end_requests() -> io::Result<UnixStream> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let (read, write) = UnixStream::pair()?;
    read.set_nonblocking(true)?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    Ok(read)
}

/// Raises the limit of open descriptors as far as it goes: each connection takes one.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        log::warn!(
            "cannot raise the limit of open files above {:?}: {error}",
            limit.current
        );
    }
}

/// Starts logging to stderr at the level of `-d`; `RUST_LOG` overrides it.
pub fn start_log(debug: u32) {
    let level = match debug {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level)).init();
}

/// Sends `signal` to the running server; `None` ends it, by force if it does not end by itself.
///
/// Returns whether there was one.
pub fn kill(prefix: &Prefix, signal: Option<i32>) -> Result<bool, ServeError> {
    let Some(connection) = connect_existing(prefix).map_err(ServeError::Connect)? else {
        return Ok(false);
    };
    let pid = server_pid(&connection)?;
    let failed = |error: rustix::io::Errno| ServeError::System("signal the server", error.into());
    match signal {
        Some(0) => rustix::process::test_kill_process(pid).map_err(failed)?,
        Some(number) => {
            let signal = Signal::from_named_raw(number).ok_or(ServeError::System(
                "signal the server",
                io::ErrorKind::InvalidInput.into(),
            ))?;
            rustix::process::kill_process(pid, signal).map_err(failed)?;
        }
        None => {
            rustix::process::kill_process(pid, Signal::INT).map_err(failed)?;
            if !wait_for_end(prefix, Some(KILL_PATIENCE))? {
                rustix::process::kill_process(pid, Signal::KILL).map_err(failed)?;
                wait_for_end(prefix, None)?;
            }
        }
    }
    Ok(true)
}

/// Waits until the prefix has no server; returns whether that came to pass within `patience`.
pub fn wait_for_end(prefix: &Prefix, patience: Option<Duration>) -> Result<bool, ServeError> {
    let file = match File::open(prefix.lock_path()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(ServeError::System("open the server's lock", error)),
    };
    let failed =
        |error: rustix::io::Errno| ServeError::System("wait for the server's lock", error.into());
    let Some(patience) = patience else {
        rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockShared)).map_err(failed)?;
        return Ok(true);
    };
    let end = Instant::now() + patience;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < end => sleep(LOOK_AGAIN),
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(false),
            Err(error) => return Err(failed(error)),
        }
    }
}

fn take_lock(prefix: &Prefix) -> Result<File, ServeError> {
    let failed = |error| ServeError::System("open the lock file", error);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(prefix.lock_path())
        .map_err(failed)?;
    let end = Instant::now() + LOCK_PATIENCE;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            Err(error) => return Err(ServeError::System("lock the prefix", error.into())),
        }
        // Its owner serves, or is ending and has removed its socket already.
        if connect_existing(prefix)
            .map_err(ServeError::Connect)?
            .is_some()
            || Instant::now() >= end
        {
            return Err(ServeError::AlreadyRunning);
        }
        sleep(LOOK_AGAIN);
    }
}

fn server_pid(connection: &Connection) -> Result<Pid, ServeError> {
    let failed = |error| ServeError::System("find the server's process", error);
    let credentials = sys::peer_credentials(connection).map_err(failed)?;
    let pid = credentials.pid.and_then(Pid::from_raw);
    pid.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
}

fn log_file(path: &Path) -> Stdio {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path);
    file.map_or_else(|_| Stdio::null(), Stdio::from)
}
