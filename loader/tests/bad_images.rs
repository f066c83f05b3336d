//! `lpcrun` itself against damaged images: it ends by itself, and what it refuses it refuses in one line.
//!
//! `LPC_FUZZ_CASES` asks for more cases than the usual, `LPC_FUZZ_SEED` for others.

use std::fmt::Write as _;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[path = "../src/image/sample.rs"]
mod sample;

use sample::{HEADERS, OPTIONAL, PE, SECTIONS, directory, directory_at, sample};

/// Exit code for an image that cannot be run.
const NOT_RUNNABLE: i32 = 126;
/// When a run counts as hung: far beyond what any takes.
const WATCHDOG: Duration = Duration::from_secs(60);
const WORKERS: u64 = 4;

/// `splitmix64`: enough to choose damage by.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next()).unwrap_or(0) % limit
    }
}

fn number(name: &str, usual: u64) -> u64 {
    let asked = std::env::var(name).ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Returns a damaged image: a few fields of headers, section table, directories or tables have values that tend to hurt.
fn damaged(random: &mut Random) -> Vec<u8> {
    const VALUES: [u32; 10] = [
        0,
        1,
        0xfff,
        0x1000,
        0x2000,
        0x2fff,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_fff8,
        u32::MAX,
    ];
    let mut image = sample();
    for _ in 0..=random.below(4) {
        let at = match random.below(5) {
            0 => random.below(HEADERS.len()),
            1 => directory_at(random.below(directory::DELAY_IMPORT + 1)) + random.below(8),
            2 => SECTIONS + random.below(80),
            3 => PE + 24 + random.below(112),
            _ => 0x400 + random.below(0x400),
        };
        let value = match random.below(3) {
            0 => random.next() as u32,
            _ => VALUES[random.below(VALUES.len())],
        };
        let len = [1, 2, 4, 4][random.below(4)];
        let end = (at + len).min(image.len());
        image[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
    }
    if random.below(6) == 0 {
        image.truncate(random.below(image.len()));
    }
    // Memory of gigabytes is the guest's right, not what is looked for here.
    let reserve = OPTIONAL + 72;
    if image.len() > reserve + 8 {
        image[reserve + 4..reserve + 8].fill(0);
    }
    image
}

struct Outcome {
    code: Option<i32>,
    signal: Option<i32>,
    output: String,
    errors: String,
}

/// Runs to the end; `None` if the watchdog had to end it.
fn finish(mut child: Child) -> Option<Outcome> {
    let start = Instant::now();
    let status = loop {
        match child.try_wait().expect("our child") {
            Some(status) => break status,
            None if start.elapsed() > WATCHDOG => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    if let (Some(mut out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) {
        out.read_to_end(&mut output).expect("a pipe");
        err.read_to_end(&mut errors).expect("a pipe");
    }
    Some(Outcome {
        code: status.code(),
        signal: status.signal(),
        output: String::from_utf8_lossy(&output).into_owned(),
        errors: String::from_utf8_lossy(&errors).into_owned(),
    })
}

fn start(arguments: &[&Path], prefix: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_lpcrun"))
        .args(arguments)
        .env("LPC_PREFIX", prefix)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("lpcrun starts")
}

/// Says what is wrong with a run, if anything is.
fn complaint(outcome: Option<Outcome>, runs_guest: bool) -> Option<String> {
    let Some(outcome) = outcome else {
        return Some("it hangs".into());
    };
    if let Some(signal) = outcome.signal {
        return Some(format!("signal {signal}: {}", outcome.errors));
    }
    if outcome.errors.contains("panicked") {
        return Some(outcome.errors);
    }
    if runs_guest && !outcome.output.is_empty() {
        return Some(format!("output {:?}", outcome.output));
    }
    let is_one_line =
        outcome.errors.trim_end().lines().count() == 1 && outcome.errors.ends_with('\n');
    if outcome.code == Some(NOT_RUNNABLE)
        && !(is_one_line && outcome.errors.starts_with("lpcrun: "))
    {
        return Some(format!(
            "refused without one clear line: {:?}",
            outcome.errors
        ));
    }
    None
}

#[test]
fn damaged_images_end_lpcrun_with_a_line_or_run() {
    let (cases, seed) = (number("LPC_FUZZ_CASES", 240), number("LPC_FUZZ_SEED", 1));
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bad-images");
    std::fs::create_dir_all(&directory).expect("a directory of our own");
    let next = AtomicU64::new(0);
    let refused = AtomicU64::new(0);
    let work = |worker: u64| {
        let mut complaints = String::new();
        let path = directory.join(format!("{worker}.exe"));
        loop {
            let case = next.fetch_add(1, Ordering::Relaxed);
            if case >= cases {
                return complaints;
            }
            let image = damaged(&mut Random(seed.wrapping_mul(1_000_003) + case));
            std::fs::write(&path, &image).expect("room for the image");
            let run = finish(start(&[&path], &directory));
            let is_refused = run
                .as_ref()
                .is_some_and(|run| run.code == Some(NOT_RUNNABLE));
            refused.fetch_add(u64::from(is_refused), Ordering::Relaxed);
            let listed = finish(start(&[Path::new("--list-missing"), &path], &directory));
            for (what, found) in [
                ("run", complaint(run, true)),
                ("listed", complaint(listed, false)),
            ] {
                if let Some(found) = found {
                    let kept = directory.join(format!("seed{seed}-case{case}.exe"));
                    std::fs::write(&kept, &image).expect("room for the image");
                    let _ = writeln!(complaints, "{} {what}: {found}", kept.display());
                }
            }
        }
    };
    let complaints: String = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| scope.spawn(move || work(worker)))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("a worker"))
            .collect()
    });
    assert!(complaints.is_empty(), "{complaints}");
    let refused = refused.into_inner();
    // Damage of all kinds: some images still run, some are refused.
    assert!(
        cases < 100 || refused > cases / 10 && refused < cases,
        "{refused} of {cases} were refused"
    );
}
