//! Signals over 32-bit code, the gate and callbacks: none may find or leave FS wrong (pe32.md §4).
#![allow(unsafe_code, reason = "sends signals to threads of a child process")]
#![allow(
    clippy::unwrap_used,
    reason = "a failure of the test's own set-up ends it"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SIGNALS: u32 = 1_000_000;
/// Ends the test early on a slow machine, with fewer signals.
const LIMIT: Duration = Duration::from_secs(20);

/// Builds the program, or says why not.
fn spinner() -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/i386/spinner.c");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("spinner.exe");
    let built = Command::new("i686-w64-mingw32-gcc")
        .args(["-O2", "-Wall", "-Werror", "-o"])
        .args([&program, &source])
        .status();
    match built {
        Ok(status) => {
            assert!(status.success(), "the program does not build");
            Some(program)
        }
        Err(error) => {
            assert!(
                std::env::var_os("CI").is_none(),
                "no i386 compiler: {error}"
            );
            eprintln!("skipped: no i386 compiler: {error}");
            None
        }
    }
}

fn threads_of(child: &Child) -> Vec<i32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{}/task", child.id())) else {
        return Vec::new();
    };
    tasks
        .filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

#[test]
fn a_million_signals_over_code_gates_and_callbacks_find_fs_right() {
    let Some(program) = spinner() else { return };
    let mut child = Command::new(env!("CARGO_BIN_EXE_lpcrun"))
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
    eprintln!("{sent} signals: {}", line.trim_end());
    assert!(line.ends_with(" 0 mistakes\r\n"), "{line}");
    assert!(status.success(), "{status}");
}
