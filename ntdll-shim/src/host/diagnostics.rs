//! Diagnostics of a library that nobody initialises: lines on stderr, chosen by `LPC_LOG`, else `RUST_LOG`.

/// Starts the logger unless the program has one.
pub fn init() {
    let variable = if std::env::var_os("LPC_LOG").is_some() {
        "LPC_LOG"
    } else {
        "RUST_LOG"
    };
    let environment = env_logger::Env::new().filter_or(variable, "warn");
    let _ = env_logger::Builder::from_env(environment)
        .format(format)
        .try_init();
}

fn format(out: &mut env_logger::fmt::Formatter, record: &log::Record<'_>) -> std::io::Result<()> {
    use std::io::Write;
    writeln!(
        out,
        "ntlpc[{}] {}: {}",
        std::process::id(),
        record.level(),
        record.args()
    )
}
