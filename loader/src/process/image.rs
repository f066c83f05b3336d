//! Which program a process runs.

use ntlpc_abi::NtStatus;

use crate::ob::path;
use crate::ob::process::Process;
use crate::peb;

/// Returns the argument of a command line of `lpcrun` that names the program. Source: `man 5 proc_pid_cmdline`.
pub fn argument(pid: u32) -> Option<String> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    line.split(|byte| *byte == 0)
        .map(String::from_utf8_lossy)
        .find(|part| part.to_ascii_lowercase().ends_with(".exe"))
        .map(std::borrow::Cow::into_owned)
}

/// Returns the Windows path of the program that a process runs. A relative name of another process is taken from the
/// directory that process is in.
///
/// # Errors
/// `PROCESS_IS_TERMINATING` if it is gone.
pub fn windows_path(process: &Process) -> Result<String, NtStatus> {
    if process.is_current() {
        return Ok(peb::parameters().read().image_path.text());
    }
    let gone = NtStatus::PROCESS_IS_TERMINATING;
    let program = argument(process.pid).ok_or(gone)?;
    if program.as_bytes().get(1) == Some(&b':') {
        return Ok(program);
    }
    let directory = std::fs::read_link(format!("/proc/{}/cwd", process.pid)).map_err(|_| gone)?;
    Ok(path::to_windows(&directory.join(program)))
}
