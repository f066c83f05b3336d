//! `cmd.exe`: what `system`, `CreateProcess("cmd /c …")` and batch files need, as a program of ours behind
//! `C:\windows\system32\cmd.exe`.
//!
//! It runs one command line (`/c`) or a batch file and ends; there is no prompt. Programs it starts get its handles.
//! Source of grammar and commands: Microsoft Learn "cmd", "Windows commands", "Command redirection, pipes".

mod batch;
mod builtins;
mod condition;
mod expand;
mod files;
mod parse;
mod program;
mod shell;
mod streams;

use shell::{Shell, Stop};

use crate::ob::{process, spawn, unpack};

/// What the options in front of the command say.
#[derive(Debug, PartialEq, Eq)]
struct Options<'a> {
    /// Text after `/c` or `/k`; `None` without either.
    command: Option<&'a str>,
    /// `/s`: the first and the last quote always go.
    strips_quotes: bool,
}

/// Runs the program and leaves with its exit code.
pub fn main(command_line: &str) -> ! {
    unpack::install();
    spawn::adopt_startup();
    spawn::wait_for_resume();
    let mut shell = Shell::new(streams::standard());
    let options = options(arguments(command_line));
    let Some(command) = options.command else {
        shell.complain("cmd: only /c is there: no prompt");
        process::exit_now(1);
    };
    let line = unquoted(command, options.strips_quotes, |name| {
        program::find(&shell, name).is_some()
    });
    let code = match shell.run_line(&line) {
        Ok(code) | Err(Stop::Exit(code) | Stop::EndBatch(code)) => code,
        Err(Stop::Goto(_)) => 1,
    };
    process::exit_now(code)
}

/// Takes the program's own name off the command line.
fn arguments(command_line: &str) -> &str {
    let line = command_line.trim_start();
    let end = match line.strip_prefix('"') {
        Some(rest) => rest.find('"').map(|at| at + 2),
        None => line.find([' ', '\t', '/']),
    };
    &line[end.unwrap_or(line.len())..]
}

fn options(mut rest: &str) -> Options<'_> {
    let mut strips_quotes = false;
    loop {
        rest = rest.trim_start();
        let mut letters = rest.strip_prefix('/').unwrap_or_default().chars();
        match letters.next().map(|letter| letter.to_ascii_lowercase()) {
            // What follows may touch the letter: `/cdir`.
            Some('c' | 'k' | 'r') => {
                return Options {
                    command: Some(&rest[2..]),
                    strips_quotes,
                };
            }
            Some(letter) => {
                strips_quotes |= letter == 's';
                rest = &rest[rest.find([' ', '\t']).unwrap_or(rest.len())..];
            }
            None => {
                return Options {
                    command: None,
                    strips_quotes,
                };
            }
        }
    }
}

/// Takes the outer quotes off a command, by the rule of `cmd /?`: they stay if there are exactly two, without special
/// characters but with a blank between them, and what they hold is a program.
fn unquoted(command: &str, strips_quotes: bool, is_program: impl Fn(&str) -> bool) -> String {
    let command = command.trim_start();
    let Some(rest) = command.strip_prefix('"') else {
        return command.to_owned();
    };
    let Some(last) = rest.rfind('"') else {
        return rest.to_owned();
    };
    let inside = &rest[..last];
    let is_kept = !strips_quotes
        && !inside.contains('"')
        && !inside.contains(['&', '<', '>', '(', ')', '@', '^', '|'])
        && inside.contains([' ', '\t'])
        && is_program(inside);
    if is_kept {
        command.to_owned()
    } else {
        format!("{inside}{}", &rest[last + 1..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_end_at_the_command() {
        let line = arguments("\"C:\\windows\\system32\\cmd.exe\" /d /s /c \"a b\"");
        let wanted = Options {
            command: Some(" \"a b\""),
            strips_quotes: true,
        };
        assert_eq!(options(line), wanted);
        assert_eq!(options(arguments("cmd /cver")).command, Some("ver"));
        assert_eq!(options(arguments("cmd")).command, None);
    }

    #[test]
    fn outer_quotes_go_by_the_rule() {
        let of = |line: &str| unquoted(line, false, |name| name == "a b.exe");
        assert_eq!(of(" \"a b.exe\" x"), "\"a b.exe\" x");
        assert_eq!(of("\"a b.exe\" \"x\""), "a b.exe\" \"x");
        assert_eq!(of("\"\"a b.exe\" \"x\"\""), "\"a b.exe\" \"x\"");
        assert_eq!(of("\"no program\" x"), "no program x");
        assert_eq!(of("echo \"x\""), "echo \"x\"");
    }
}
