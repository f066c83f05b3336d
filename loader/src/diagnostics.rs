//! Where `lpcrun`'s own output goes: stderr or a log file, never the guest's stdout.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::OnceLock;

static LOG_FILE: OnceLock<File> = OnceLock::new();

/// Sends the log and the trace to the file at `path`, or to stderr.
pub fn start(path: Option<&Path>) -> Result<(), String> {
    if let Some(path) = path {
        let file = File::options().create(true).append(true).open(path);
        let _ = LOG_FILE.set(file.map_err(|error| format!("{}: {error}", path.display()))?);
    }
    let mut builder = env_logger::Builder::new();
    builder
        .filter_level(log::LevelFilter::Warn)
        .parse_default_env();
    if let Some(Ok(file)) = LOG_FILE.get().map(File::try_clone) {
        builder.target(env_logger::Target::Pipe(Box::new(file)));
    }
    builder.format(|buffer, record| {
        writeln!(
            buffer,
            "lpcrun: {}: {}",
            record.level().as_str().to_ascii_lowercase(),
            record.args()
        )
    });
    builder.init();
    Ok(())
}

/// Writes a line of the trace in one piece.
pub fn log_line(line: &str) {
    let text = format!("{line}\n");
    let _ = match LOG_FILE.get() {
        Some(mut file) => file.write_all(text.as_bytes()),
        None => std::io::stderr().write_all(text.as_bytes()),
    };
}

/// Writes a message about the program's end on stderr, and in the log file if there is one.
pub fn diagnostic(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
    if LOG_FILE.get().is_some() {
        log_line(text);
    }
}
