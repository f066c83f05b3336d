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

/// Returns the name of the device behind a path's drive, with the rest of the path: `\Device\HarddiskVolume3\…` for `C:\…`.
pub fn device_path(windows: &str) -> String {
    match windows.split_at_checked(2) {
        Some((drive, rest)) if drive.ends_with(':') => format!("{}{rest}", device(drive)),
        _ => windows.to_owned(),
    }
}

/// Returns the device behind a drive; each drive is a volume of its own.
pub fn device(drive: &str) -> String {
    let letter = drive
        .as_bytes()
        .first()
        .map_or(b'A', u8::to_ascii_uppercase);
    format!(
        "\\Device\\HarddiskVolume{}",
        u32::from(letter) - u32::from(b'A') + 1
    )
}
