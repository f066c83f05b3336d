//! `CreateProcess`: a new `lpcrun` with handles, standard handles and a shared page passed on.
//!
//! What the child needs beyond arguments and environment lies in a memfd whose number is in [`VARIABLE`]: the standard
//! handles, what its C runtime gets from the parent's, the number of its page, of the pipe that holds it back when created suspended, those of its jobs, and the inherited handles,
//! each with its value and the numbers of its descriptors. Only the descriptors of that list survive `exec`.
#![allow(
    unsafe_code,
    reason = "runs two system calls between fork and exec; owns descriptors by number"
)]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use ntlpc_abi::{Handle, NtStatus};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::file::status_of;
use super::group::{self, Group};
use super::job::Inherited;
use super::packed;
use super::process::Process;
use super::sync::Signal;
use super::table::{Entry, INHERIT, TABLE};
use super::thread::Thread;

/// Environment variable with the number of the start-up descriptor. The guest does not see it.
pub const VARIABLE: &str = "LPCRUN_STARTUP";

/// Where programs of the system lie.
const SYSTEM_DIRECTORY: &str = "C:\\windows\\system32";

/// What to start.
#[derive(Debug)]
pub struct NewProcess {
    /// Linux path of the image.
    pub image: PathBuf,
    /// Command line.
    pub command_line: String,
    /// Environment, Linux form.
    pub environment: Vec<(OsString, OsString)>,
    /// Linux path of the current directory.
    pub directory: Option<PathBuf>,
    /// Standard handles, values in the child.
    pub standard: [Handle; 3],
    /// `STARTUPINFO.lpReserved2`: what the parent's C runtime tells that of the child.
    pub runtime_data: Vec<u8>,
    /// Handles to pass on; each keeps its value.
    pub handles: Vec<(Handle, Entry)>,
    /// Whether the child leaves the jobs of this process (`CREATE_BREAKAWAY_FROM_JOB`).
    pub breaks_away: bool,
    /// Whether the child waits for `ResumeThread` before its first instruction.
    pub is_suspended: bool,
    /// Which processes it shares Ctrl-C and Ctrl-Break with.
    pub group: Group,
}

/// Returns the handles a child gets: all inheritable ones, or those of `list` that are inheritable.
#[must_use]
pub fn inherited(list: Option<&[Handle]>) -> Vec<(Handle, Entry)> {
    let mut all = TABLE.snapshot();
    all.retain(|(handle, entry)| {
        entry.attributes & INHERIT != 0 && list.is_none_or(|list| list.contains(handle))
    });
    all
}

/// Starts the process. Returns its object and that of its first thread.
pub fn spawn(new: &NewProcess) -> Result<(Arc<Process>, Arc<Thread>), NtStatus> {
    let jobs = Arc::new(Inherited::new(new.breaks_away)?);
    let signal = Signal::new(false);
    let page = signal.share()?;
    let gate = new
        .is_suspended
        .then(|| rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC))
        .transpose();
    let gate = gate.map_err(|error| status_of(&error.into()))?;
    let mut fds: Vec<OwnedFd> = Vec::new();
    let mut block = Vec::new();
    new.standard
        .iter()
        .for_each(|handle| block.extend(handle.0.to_le_bytes()));
    block.extend((new.runtime_data.len() as u32).to_le_bytes());
    block.extend(&new.runtime_data);
    push_fd(&mut block, &mut fds, Some(page));
    let (read_end, write_end) = gate.unzip();
    push_fd(&mut block, &mut fds, read_end);
    jobs.write(&mut block, &mut fds)?;
    for (handle, entry) in &new.handles {
        // What cannot cross is not inherited, as Windows does with handles that are no kernel objects.
        let Ok(packed) = entry.object.pack() else {
            log::debug!(
                "handle {handle:?} of type {} is not inherited",
                entry.object.object_type().name
            );
            continue;
        };
        block.extend(handle.0.to_le_bytes());
        block.extend(entry.access.to_le_bytes());
        block.extend(entry.attributes.to_le_bytes());
        packed::write(&packed, &mut block);
        for fd in packed.fds {
            push_fd(&mut block, &mut fds, Some(fd));
        }
    }
    let mut startup = std::fs::File::from(crate::vm::anonymous_section("lpcrun-startup", 0)?);
    startup
        .write_all(&block)
        .map_err(|error| status_of(&error))?;
    let passed: Vec<RawFd> = fds
        .iter()
        .map(AsRawFd::as_raw_fd)
        .chain([startup.as_raw_fd()])
        .collect();
    let child = command(new, startup.as_raw_fd(), passed, jobs)
        .spawn()
        .map_err(|error| status_of(&error))?;
    let pid = child.id();
    let linux = Pid::from_child(&child);
    let pidfd = pidfd_open(linux, PidfdFlags::empty()).map_err(|error| status_of(&error.into()))?;
    let thread_signal = Signal::from_page(signal.share()?)?;
    let process = Process::watch(pid, pidfd, signal, true)?;
    Ok((process, Thread::of_child(pid, thread_signal, write_end)))
}

fn push_fd(block: &mut Vec<u8>, fds: &mut Vec<OwnedFd>, fd: Option<OwnedFd>) {
    block.extend(fd.as_ref().map_or(-1, AsRawFd::as_raw_fd).to_le_bytes());
    fds.extend(fd);
}

fn command(new: &NewProcess, startup: RawFd, passed: Vec<RawFd>, jobs: Arc<Inherited>) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .env_clear()
        .envs(new.environment.iter().map(|(name, value)| (name, value)));
    for (name, value) in own_variables() {
        command.env(name, value);
    }
    command.env(VARIABLE, startup.to_string());
    command.env(group::VARIABLE, group::variable(new.group));
    if crate::wants_wow64() {
        command.arg("--personality").arg("wow64");
    }
    command
        .arg("--cmdline")
        .arg(&new.command_line)
        .arg("--")
        .arg(&new.image);
    if let Some(directory) = &new.directory {
        command.current_dir(directory);
    }
    let ignores_ctrl_c = new.group == Group::New;
    let keep = move || {
        if ignores_ctrl_c {
            // SAFETY: signal is async-signal-safe; the disposition is that of the child alone.
            unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
        }
        for &fd in &passed {
            // SAFETY: fcntl is async-signal-safe and the descriptors are open in the parent, so in the child too.
            if unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } < 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        if !jobs.enter() {
            return Err(std::io::ErrorKind::PermissionDenied.into());
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure only makes async-signal-safe system calls and allocates nothing.
    unsafe { command.pre_exec(keep) };
    command
}

/// Variables that configure lpcrun itself and go to every child, whatever environment the guest gives it.
fn own_variables() -> BTreeMap<OsString, OsString> {
    let is_own = |name: &OsStr| {
        let name = name.to_string_lossy();
        name.starts_with("LPC_")
            || matches!(
                name.as_ref(),
                "RUST_LOG" | "WINEPREFIX" | "HOME" | "XDG_RUNTIME_DIR"
            )
    };
    std::env::vars_os()
        .filter(|(name, _)| is_own(name))
        .collect()
}

/// Standard handles the creator passed.
static STANDARD: OnceLock<[Handle; 3]> = OnceLock::new();

/// Returns the standard handles the creator of this process passed; `None` if a Linux program started it.
#[must_use]
pub fn startup_handles() -> Option<[Handle; 3]> {
    STANDARD.get().copied()
}

/// What the creator's C runtime passed.
static RUNTIME_DATA: OnceLock<Vec<u8>> = OnceLock::new();

/// Returns what the C runtime of the creator passed to that of this process; empty if it passed nothing.
#[must_use]
pub fn runtime_data() -> &'static [u8] {
    RUNTIME_DATA.get().map_or(&[], Vec::as_slice)
}

/// Takes over what the creator of this process passed on. Called once, before any other thread runs.
pub fn adopt_startup() {
    if let Ok(text) = std::env::var(group::VARIABLE) {
        group::adopt(&text);
        // SAFETY: no other thread runs yet, so nobody reads the environment meanwhile.
        unsafe { std::env::remove_var(group::VARIABLE) };
    }
    let Some(number) = std::env::var(VARIABLE)
        .ok()
        .and_then(|text| text.parse::<RawFd>().ok())
    else {
        return;
    };
    // SAFETY: no other thread runs yet, so nobody reads the environment meanwhile.
    unsafe { std::env::remove_var(VARIABLE) };
    let Some(startup) = own(number) else { return };
    let mut block = Vec::new();
    let mut file = std::fs::File::from(startup);
    let is_read = file
        .seek(SeekFrom::Start(0))
        .and_then(|_| file.read_to_end(&mut block))
        .is_ok();
    if !is_read || read_block(&block).is_none() {
        crate::fatal(format_args!(
            "{VARIABLE} does not name what a parent lpcrun passed on"
        ));
    }
}

/// Takes a descriptor that the parent left open for us.
fn own(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: F_GETFD and F_SETFD only look at the number.
    if number < 3 || unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return None;
    }
    // SAFETY: open (see above), and nothing else in this process owns it: the parent passed it for this purpose.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }
    fn fd(&mut self) -> Option<RawFd> {
        self.take().map(i32::from_le_bytes)
    }
}

fn read_block(block: &[u8]) -> Option<()> {
    let mut cursor = Cursor(block);
    let standard = [
        Handle(cursor.u64()?),
        Handle(cursor.u64()?),
        Handle(cursor.u64()?),
    ];
    let _ = STANDARD.set(standard);
    let length = cursor.u32()? as usize;
    let (runtime_data, rest) = cursor.0.split_at_checked(length)?;
    let _ = RUNTIME_DATA.set(runtime_data.to_vec());
    cursor.0 = rest;
    super::process::adopt(own(cursor.fd()?)?);
    if let Some(gate) = own(cursor.fd()?) {
        let _ = GATE.set(gate);
    }
    let mut jobs = Vec::new();
    for _ in 0..cursor.u32()? {
        jobs.push([cursor.fd()?, cursor.fd()?, cursor.fd()?]);
    }
    super::job::adopt(&jobs, own)?;
    while !cursor.0.is_empty() {
        let (handle, access, attributes) = (Handle(cursor.u64()?), cursor.u32()?, cursor.u32()?);
        let mut count = 0;
        let (mut packed, rest) = packed::read(cursor.0, &mut |wanted| {
            count = wanted;
            Ok(Vec::new())
        })
        .ok()?;
        cursor.0 = rest;
        for _ in 0..count {
            packed.fds.push(own(cursor.fd()?)?);
        }
        match packed::build(packed) {
            Ok(object) => TABLE
                .insert_at(
                    handle,
                    Entry {
                        object,
                        access,
                        attributes,
                    },
                )
                .ok()?,
            Err(status) => log::warn!("inherited handle {handle:?} is lost: {status}"),
        }
    }
    Some(())
}

/// Pipe that holds this process back until its creator resumes it.
static GATE: OnceLock<OwnedFd> = OnceLock::new();

/// Waits until the creator resumes a process created suspended.
pub fn wait_for_resume() {
    if let Some(gate) = GATE.get() {
        // The end of the pipe is the permission; nothing is ever written.
        let _ = super::file::retry(|| rustix::io::read(gate, &mut [0; 1]).map_err(Into::into));
    }
}

/// Returns whether a program can be started from there: a file, or the shell that is built in.
#[must_use]
pub fn is_there(image: &Path) -> bool {
    crate::ob::shell::is_built_in(image) || image.is_file()
}

/// Finds the image of a command line: as given, then with `.exe`, beside the program, in the current directory, in the
/// system directory, in PATH.
#[must_use]
pub fn find_image(
    name: &str,
    program_directory: &Path,
    directory: &str,
    search: Option<&OsStr>,
) -> Option<PathBuf> {
    let with_suffix = |name: &str| {
        let leaf = name.rsplit(['\\', '/']).next().unwrap_or(name);
        if leaf.contains('.') {
            name.to_owned()
        } else {
            format!("{name}.exe")
        }
    };
    let resolve = |name: &str| match super::path::resolve(name, directory) {
        Ok(super::path::Target::File(path)) if is_there(&path) => Some(path),
        _ => None,
    };
    let candidates = [name.to_owned(), with_suffix(name)];
    if name.contains(['\\', '/', ':']) {
        return candidates.iter().find_map(|candidate| resolve(candidate));
    }
    let beside = super::path::to_windows(program_directory);
    let from_path = search.map(|list| {
        std::env::split_paths(list)
            .map(|p| super::path::to_windows(&p))
            .collect::<Vec<_>>()
    });
    std::iter::once(beside)
        .chain([directory.to_owned(), SYSTEM_DIRECTORY.to_owned()])
        .chain(from_path.into_iter().flatten())
        .find_map(|folder| {
            candidates
                .iter()
                .find_map(|c| resolve(&format!("{}\\{c}", folder.trim_end_matches('\\'))))
        })
}
