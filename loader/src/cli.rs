//! The command line of `lpcrun`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::export::EXPORTS;
use crate::ob::{path, shell};
use crate::process::{self, Program, command_line};
use crate::trace::{self, Filter};
use crate::{cmd, diagnostics, module, wine_host};

const HELP: &str = "\
lpcrun runs Windows console programs on Linux.

Usage: lpcrun [options] [--] PROGRAM.EXE [arguments]
       lpcrun --list-missing PROGRAM.EXE
       lpcrun --list-functions
       lpcrun path -u|-w PATH

Options:
  --host HOST       standalone (default), wine, or auto (wine if imports are missing)
  --list-missing    list what the program imports and nothing provides; exit 1 if anything
  --list-functions  list what the built-in DLLs export: DLL, name, source file
  --trace FILTER    print one line per call on stderr: a comma list of DLL/NAME or NAME
                    with * and ?; -NAME excludes, ^NAME also prints on entry
  --log-file FILE   write the trace and messages there instead of stderr
  --cmdline STRING  give the program exactly this command line
  --personality P   what a 32-bit program finds: x86 (default), a 32-bit Windows, or wow64, a 64-bit one
  -C DIR            change to DIR first
  -h, --help        show this help
  -V, --version     show the version

path -u turns a Windows path into a Unix path, path -w the other way.

Environment: LPC_TRACE (as --trace), LPC_PERSONALITY (as --personality), LPC_PREFIX (the name space), RUST_LOG (messages),
LPC_FS (auto, flat or ldt: how 32-bit code gets its FS).
Exit code: the program's; 125 internal failure, 126 not runnable, 127 not found.
";

/// Which host runs the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    Standalone,
    Wine,
    Auto,
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    Help,
    Version,
    Path { to_unix: bool, path: String },
    Functions,
    Run(Options),
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    host: Host,
    lists_missing: bool,
    trace: Option<String>,
    log_file: Option<PathBuf>,
    command_line: Option<String>,
    directory: Option<PathBuf>,
    personality: Option<String>,
    program: String,
    arguments: Vec<String>,
}

/// Exit code for a command line that makes no sense.
const EXIT_USAGE: i32 = 125;

/// Runs `lpcrun`.
pub fn main() -> ! {
    let arguments = std::env::args_os()
        .skip(1)
        .map(|a| a.to_string_lossy().into_owned());
    match parse(arguments) {
        Ok(Request::Help) => print(HELP),
        Ok(Request::Version) => print(concat!("lpcrun ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Request::Path { to_unix, path }) => {
            print(&format!("{}\n", convert_path(to_unix, &path)))
        }
        Ok(Request::Functions) => print(&functions()),
        Ok(Request::Run(options)) => run(options),
        Err(message) => {
            eprintln!("lpcrun: {message}; see lpcrun --help");
            std::process::exit(EXIT_USAGE)
        }
    }
}

/// Writes what was asked for; only here, before any program runs, is stdout ours.
fn print(text: &str) -> ! {
    let is_written = std::io::stdout().write_all(text.as_bytes()).is_ok();
    std::process::exit(i32::from(!is_written))
}

/// Lists every export of the built-in DLLs: DLL, name, source file, separated by tabs.
fn functions() -> String {
    let mut lines: Vec<String> = EXPORTS
        .iter()
        .flat_map(|export| {
            let dlls = export.dlls.split('|');
            dlls.flat_map(move |dll| {
                export
                    .names()
                    .map(move |name| format!("{dll}\t{name}\t{}\n", export.file))
            })
        })
        .collect();
    lines.sort();
    lines.dedup();
    lines.concat()
}

fn convert_path(to_unix: bool, path: &str) -> String {
    if to_unix {
        return path::to_unix(path).display().to_string();
    }
    let absolute = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
    path::to_windows(&absolute)
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Request, String> {
    let mut options = Options {
        host: Host::Standalone,
        lists_missing: false,
        trace: None,
        log_file: None,
        command_line: None,
        directory: None,
        personality: None,
        program: String::new(),
        arguments: Vec::new(),
    };
    let mut next = arguments.next();
    while let Some(argument) = next.take() {
        let (name, attached) = match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => {
                (name.to_owned(), Some(value.to_owned()))
            }
            _ => (argument.clone(), None),
        };
        let mut value = || {
            attached
                .clone()
                .or_else(|| arguments.next())
                .ok_or(format!("{name} needs a value"))
        };
        match name.as_str() {
            "-h" | "--help" => return Ok(Request::Help),
            "-V" | "--version" => return Ok(Request::Version),
            "--list-missing" => options.lists_missing = true,
            "--list-functions" => return Ok(Request::Functions),
            "--trace" => options.trace = Some(value()?),
            "--log-file" => options.log_file = Some(value()?.into()),
            "--cmdline" => options.command_line = Some(value()?),
            "-C" => options.directory = Some(value()?.into()),
            "--host" => {
                options.host = match value()?.as_str() {
                    "standalone" => Host::Standalone,
                    "wine" => Host::Wine,
                    "auto" => Host::Auto,
                    other => return Err(format!("unknown host {other}")),
                };
            }
            "--personality" => options.personality = Some(value()?),
            "--" => {
                next = arguments.next();
                break;
            }
            _ if name.starts_with('-') && name.len() > 1 => {
                return Err(format!("unknown option {name}"));
            }
            _ => {
                next = Some(argument);
                break;
            }
        }
        next = arguments.next();
    }
    options.program = next.ok_or("no program given")?;
    options.arguments = arguments.collect();
    if options.program == "path"
        && matches!(
            options.arguments.first().map(String::as_str),
            Some("-u" | "-w")
        )
    {
        let to_unix = options.arguments[0] == "-u";
        let path = options
            .arguments
            .get(1)
            .cloned()
            .ok_or("path needs a path")?;
        return Ok(Request::Path { to_unix, path });
    }
    Ok(Request::Run(options))
}

fn run(mut options: Options) -> ! {
    if let Err(error) = diagnostics::start(options.log_file.as_deref()) {
        eprintln!("lpcrun: {error}");
        std::process::exit(EXIT_USAGE)
    }
    if let Some(directory) = &options.directory
        && let Err(error) = std::env::set_current_dir(directory)
    {
        eprintln!("lpcrun: {}: {error}", directory.display());
        std::process::exit(EXIT_USAGE)
    }
    if let Some(filter) = options
        .trace
        .take()
        .or_else(|| std::env::var("LPC_TRACE").ok())
    {
        trace::start(Filter::parse(&filter));
    }
    set_personality(options.personality.take());
    let path = find_program(&options.program);
    if shell::is_built_in(&path) {
        let joined = command_line::join(&options.program, &options.arguments);
        cmd::main(options.command_line.as_deref().unwrap_or(&joined))
    }
    if options.lists_missing {
        list_missing(&path)
    }
    let use_wine = match options.host {
        Host::Standalone => false,
        Host::Wine => true,
        Host::Auto => {
            // 32-bit programs find port calls here only.
            wine_host::find_wine().is_some()
                && !wine_host::is_i386(&path)
                && module::list_missing(&path).is_ok_and(|missing| !missing.is_empty())
        }
    };
    if use_wine {
        let Err(error) = wine_host::exec(path.as_os_str(), &options.arguments);
        eprintln!("lpcrun: {error}");
        std::process::exit(EXIT_USAGE)
    }
    process::run(&Program {
        path,
        name: options.program,
        arguments: options.arguments,
        command_line: options.command_line,
    })
}

/// Takes what 32-bit programs find from the option or the environment.
fn set_personality(option: Option<String>) {
    let wanted = option.or_else(|| std::env::var("LPC_PERSONALITY").ok());
    match wanted.as_deref() {
        None | Some("" | "x86") => {}
        Some("wow64") => crate::set_wow64(),
        Some(other) => {
            eprintln!("lpcrun: unknown personality {other}; see lpcrun --help");
            std::process::exit(EXIT_USAGE)
        }
    }
}

/// Returns the file a program name means: a Unix or Windows path, or a name on `PATH`.
fn find_program(name: &str) -> PathBuf {
    let given = Path::new(name);
    if given.exists() {
        return given.to_owned();
    }
    let converted = path::to_unix(name);
    if converted.exists() {
        return converted;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = (!name.contains(['/', '\\'])).then(|| {
        std::env::split_paths(&path)
            .map(|d| d.join(name))
            .find(|file| file.is_file())
    });
    let is_shell = ["cmd", "cmd.exe"]
        .iter()
        .any(|shell| name.eq_ignore_ascii_case(shell));
    found.flatten().unwrap_or_else(|| {
        if is_shell {
            path::to_unix(shell::PATH)
        } else {
            given.to_owned()
        }
    })
}

fn list_missing(path: &Path) -> ! {
    match module::list_missing(path) {
        Ok(missing) => {
            let mut text = String::new();
            for import in &missing {
                let delayed = if import.is_delayed { " (delayed)" } else { "" };
                text.push_str(&format!(
                    "{}!{}\t{}{delayed}\n",
                    import.dll, import.function, import.importer
                ));
            }
            let is_written = std::io::stdout().write_all(text.as_bytes()).is_ok();
            std::process::exit(i32::from(!missing.is_empty() || !is_written))
        }
        Err(error) => {
            eprintln!("lpcrun: {}: {error}", path.display());
            std::process::exit(process::EXIT_NOT_RUNNABLE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Request, String> {
        parse(arguments.iter().map(|&s| s.to_owned()))
    }

    #[test]
    fn options_end_at_the_program() {
        let Ok(Request::Run(options)) =
            parsed(&["--trace", "Nt*", "-C", "/tmp", "a.exe", "--help", "-x"])
        else {
            panic!("not a run");
        };
        assert_eq!(options.program, "a.exe");
        assert_eq!(options.arguments, ["--help", "-x"]);
        assert_eq!(options.trace.as_deref(), Some("Nt*"));
    }

    #[test]
    fn double_dash_allows_any_program_name() {
        let Ok(Request::Run(options)) = parsed(&["--", "-a.exe"]) else {
            panic!("not a run")
        };
        assert_eq!(options.program, "-a.exe");
    }

    #[test]
    fn path_is_a_command_only_with_its_option() {
        assert_eq!(
            parsed(&["path", "-u", "Z:\\tmp"]),
            Ok(Request::Path {
                to_unix: true,
                path: "Z:\\tmp".into()
            })
        );
        assert!(matches!(parsed(&["path", "x"]), Ok(Request::Run(_))));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            parsed(&["--nonsense"]),
            Err("unknown option --nonsense".into())
        );
        assert_eq!(parsed(&["--trace"]), Err("--trace needs a value".into()));
        assert_eq!(parsed(&[]), Err("no program given".into()));
    }
}
