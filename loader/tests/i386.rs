//! Signals over 32-bit code, the gate and callbacks: none may find or leave FS wrong (pe32.md §4), by either method of
//! docs/pe32.md; and what is said where neither works.
#![allow(
    unsafe_code,
    reason = "sends signals to threads of a child process, and filters its system calls"
)]
#![allow(
    clippy::unwrap_used,
    reason = "a failure of the test's own set-up ends it"
)]

mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const SIGNALS: u32 = 1_000_000;
/// Ends the test early on a slow machine, with fewer signals.
const LIMIT: Duration = Duration::from_secs(20);
const LPCRUN: &str = env!("CARGO_BIN_EXE_lpcrun");

/// Builds the program, or says why not.
fn spinner() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let build = || {
        common::build(
            "i686",
            "i386/spinner.c",
            "i386",
            &["-O2", "-Wall", "-Werror"],
        )
    };
    BUILT.get_or_init(build).as_deref()
}

fn threads_of(child: &Child) -> Vec<i32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{}/task", child.id())) else {
        return Vec::new();
    };
    tasks
        .filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// Sends signals to all threads of the program while it checks itself.
fn send_signals(lpcrun: &Path, method: &str) {
    let Some(program) = spinner() else { return };
    let mut child = Command::new(lpcrun)
        .env("LPC_FS", method)
        .arg(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line.trim_end(), "running");

    let threads = threads_of(&child);
    let pid = child.id().cast_signed();
    // The signal that makes a thread look whether it must stop; without a reason it goes on.
    let poke = libc::SIGRTMIN() + 4;
    let start = Instant::now();
    let mut sent = 0;
    while sent < SIGNALS && start.elapsed() < LIMIT {
        for &thread in &threads {
            // SAFETY: no memory is involved; a full queue gives EAGAIN.
            let status = unsafe { libc::syscall(libc::SYS_tgkill, pid, thread, poke) };
            if status == 0 {
                sent += 1;
            } else {
                std::thread::yield_now();
            }
        }
    }

    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    line.clear();
    output.read_line(&mut line).unwrap();
    let status = child.wait().unwrap();
    eprintln!("{method}: {sent} signals: {}", line.trim_end());
    assert!(line.ends_with(" 0 mistakes\r\n"), "{line}");
    assert!(status.success(), "{status}");
}

#[test]
fn a_million_signals_over_code_gates_and_callbacks_find_fs_right() {
    send_signals(Path::new(LPCRUN), "auto");
}

/// The same by descriptors, in a copy of `lpcrun` in which every FSGSBASE instruction raises #UD, as all of them do
/// where the kernel has not enabled them.
#[test]
fn no_signal_finds_fs_wrong_where_there_is_no_fsgsbase() {
    send_signals(&without_fsgsbase(), "ldt");
}

/// Makes a copy of `lpcrun` with `ud2` in place of `rdfsbase`, `rdgsbase`, `wrfsbase` and `wrgsbase`.
fn without_fsgsbase() -> PathBuf {
    let mut code = std::fs::read(LPCRUN).unwrap();
    let mut found = 0;
    for at in 0..code.len() - 5 {
        // F3 REX.W 0F AE /0 to /3 with a register (Intel SDM volume 2, RDFSBASE, WRFSBASE).
        let is_one = matches!(
            code[at..at + 5],
            [0xf3, 0x48..=0x4f, 0x0f, 0xae, 0xc0..=0xdf]
        );
        if is_one {
            code[at..at + 5].copy_from_slice(&[0x0f, 0x0b, 0x90, 0x90, 0x90]);
            found += 1;
        }
    }
    assert!(found > 0, "no FSGSBASE instruction in lpcrun");
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lpcrun-without-fsgsbase");
    std::fs::write(&copy, code).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
    copy
}

/// Runs the program where modify_ldt has this effect, `SECCOMP_RET_*`; returns its exit code and what it said.
fn run_filtered(method: &'static str, effect: u32) -> Option<(Option<i32>, String)> {
    let program = spinner()?;
    let mut command = Command::new(LPCRUN);
    command.env("LPC_FS", method).arg(program);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let filter = move || {
        let statement = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter {
            code: code as u16,
            jt,
            jf,
            k,
        };
        let mut filter = [
            // The number of the call, at the start of `struct seccomp_data`.
            statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            statement(
                libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
                libc::SYS_modify_ldt as u32,
                0,
                1,
            ),
            statement(libc::BPF_RET | libc::BPF_K, effect, 0, 0),
            statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
        ];
        let program = libc::sock_fprog {
            len: filter.len() as u16,
            filter: filter.as_mut_ptr(),
        };
        // SAFETY: both are plain system calls; the filter is valid while the second one reads it.
        let status = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
                | libc::prctl(
                    libc::PR_SET_SECCOMP,
                    libc::SECCOMP_MODE_FILTER,
                    &raw const program,
                )
        };
        if status == 0 {
            Ok(())
        } else {
            Err(std::io::Error::last_os_error())
        }
    };
    // SAFETY: between fork and exec the closure makes two system calls and allocates nothing.
    unsafe { command.pre_exec(filter) };
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Some((output.status.code(), said))
}

#[test]
fn a_sandbox_without_descriptors_is_named() {
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned();
    for effect in [refuse, libc::SECCOMP_RET_KILL_PROCESS] {
        let Some((code, said)) = run_filtered("ldt", effect) else {
            return;
        };
        assert_eq!(code, Some(126), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("modify_ldt"), "{said}");
        // Flat FS needs no descriptor.
        let (code, said) = run_filtered("auto", effect).unwrap();
        assert_eq!((code, said.as_str()), (Some(0), ""));
    }
}
