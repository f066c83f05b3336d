//! A client that writes garbage into the memory it shares with its server, while messages with views and handles pass:
//! the server goes on serving the others (`test-binaries/race/alpc_kills.c` has the roles).

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long garbage is written.
const HOSTILE: Duration = Duration::from_secs(2);
/// What a slow machine may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program in a role; killed when dropped.
struct Role(Child);

impl Role {
    fn start(program: &Path, prefix: &Path, role: &str, port: &str) -> Role {
        let child = Command::new(env!("CARGO_BIN_EXE_lpcrun"))
            .arg(program)
            .args(["--role", role, "hostile_peer", port])
            .env("LPC_PREFIX", prefix)
            .env("RUST_LOG", "off")
            .env("LPCTEST_TIMEOUT", "120")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("lpcrun starts");
        Role(child)
    }

    fn is_alive(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Returns how often its first thread gave up the CPU by itself: it grows with every wait for a message.
    fn waits(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
            .and_then(|count| count.trim().parse().ok())
            .unwrap_or(0)
    }

    /// Returns where the segments of its connections are mapped.
    fn segments(&self) -> Vec<(u64, u64)> {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.0.id())).unwrap_or_default();
        let range = |line: &str| {
            let (start, end) = line.split_whitespace().next()?.split_once('-')?;
            let parse = |text| u64::from_str_radix(text, 16).ok();
            Some((parse(start)?, parse(end)?))
        };
        maps.lines()
            .filter(|line| line.contains("memfd:ntlpc-segment") && line.contains("rw-s"))
            .filter_map(range)
            .collect()
    }

    fn until(&mut self, what: &str, is_true: impl Fn(&Role) -> bool) {
        let start = Instant::now();
        while !is_true(self) {
            assert!(self.is_alive(), "the program ended before {what}");
            assert!(start.elapsed() < PATIENCE, "never saw {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Marsaglia's xorshift64.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Writes random words all over the segments of a client while it has any; returns how many were written.
fn write_garbage(client: &Role, random: &mut u64, until: Instant) -> usize {
    let memory = File::options()
        .write(true)
        .open(format!("/proc/{}/mem", client.0.id()))
        .expect("a child's memory can be written");
    let mut written = 0;
    while Instant::now() < until {
        let segments = client.segments();
        if segments.is_empty() {
            break;
        }
        for (from, to) in segments {
            for _ in 0..256 {
                // Most of it where the traffic is: connection state, maps and the first slots.
                let span = [0x1_0000, to - from][usize::from(next(random).is_multiple_of(8))];
                let at = from + next(random) % span / 8 * 8;
                let word = next(random).to_le_bytes();
                written += usize::from(memory.write_at(&word, at).is_ok());
            }
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    written
}

#[test]
fn garbage_in_a_segment_hurts_its_connection_only() {
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../test-binaries/build/x64/race/alpc_kills.exe");
    if !program.exists() {
        assert!(
            std::env::var_os("CI").is_none(),
            "make -C test-binaries first"
        );
        eprintln!("skipped: make -C test-binaries first");
        return;
    }
    let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile-peer");
    fs::create_dir_all(&prefix).expect("a prefix");
    let port = "\\RPC Control\\hostile-peer";
    let seed = u64::from(std::process::id()) << 32 | 1;
    eprintln!("seed {seed:#x}");

    let mut server = Role::start(&program, &prefix, "server", port);
    server.until("a wait of the server", |server| server.waits() > 20);
    let mut honest = Role::start(&program, &prefix, "client", port);
    honest.until("a connection", |client| !client.segments().is_empty());
    // Garbage ends many a client by its own faults: another one goes on.
    let (mut random, mut written) = (seed, 0);
    let until = Instant::now() + HOSTILE;
    while Instant::now() < until {
        let mut hostile = Role::start(&program, &prefix, "client", port);
        hostile.until("a connection", |client| !client.segments().is_empty());
        written += write_garbage(&hostile, &mut random, until);
    }
    assert!(written > 0, "no garbage was written");
    eprintln!("{written} words of garbage");

    assert!(server.is_alive(), "the server died of garbage");
    let before = honest.waits();
    honest.until("another answer", |client| client.waits() > before + 100);
    let mut late = Role::start(&program, &prefix, "client", port);
    late.until("an answer to a new client", |client| client.waits() > 100);
    assert!(server.is_alive() && honest.is_alive() && late.is_alive());
}
