//! Batch files: lines, labels, arguments.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::builtins::words;
use super::expand::Arguments;
use super::parse::{Trouble, parse};
use super::shell::{Shell, Stop};
use crate::ob::path;

/// A batch file that runs.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What its lines see as `%0`, `%1` and so on.
    pub arguments: Arguments,
    lines: Arc<[String]>,
    /// Line that is next.
    next: usize,
}

impl Batch {
    /// Reads a batch file.
    pub fn open(image: &Path, name: &str, rest: &str, directory: &str) -> io::Result<Self> {
        let bytes = std::fs::read(image)?;
        let text = String::from_utf8_lossy(&bytes);
        let file = std::fs::canonicalize(image).unwrap_or_else(|_| image.to_owned());
        Ok(Batch {
            arguments: arguments(name, rest, &path::to_windows(&file), directory),
            lines: text.lines().map(str::to_owned).collect(),
            next: 0,
        })
    }

    /// Returns the batch file from a label on, called with other arguments.
    #[must_use]
    pub fn at_label(&self, label: &str, name: &str, rest: &str) -> Option<Self> {
        let mut batch = self.clone();
        let Arguments {
            file, directory, ..
        } = &self.arguments;
        batch.arguments = arguments(name, rest, file, directory);
        batch.go_to(label).then_some(batch)
    }

    /// Goes behind a label. Returns whether there is one.
    fn go_to(&mut self, label: &str) -> bool {
        let is_wanted = |line: &String| {
            let name = line.trim_start().strip_prefix(':').unwrap_or_default();
            let name = name.trim_start().split([' ', '\t', ':', '&']).next();
            name.is_some_and(|name| !name.is_empty() && name.eq_ignore_ascii_case(label))
        };
        match self.lines.iter().position(is_wanted) {
            Some(at) => {
                self.next = at + 1;
                true
            }
            None => false,
        }
    }
}

fn arguments(name: &str, rest: &str, file: &str, directory: &str) -> Arguments {
    let mut all = vec![name.to_owned()];
    all.extend(words(rest));
    Arguments {
        words: all,
        all: rest.trim().to_owned(),
        file: file.to_owned(),
        directory: directory.to_owned(),
    }
}

/// Runs a batch file or a subroutine to its end; returns its code.
pub fn run(shell: &mut Shell, batch: Batch) -> Result<u32, Stop> {
    let outer = shell.batch.replace(batch);
    let saved = shell.saved();
    let code = run_lines(shell);
    // What `setlocal` saved comes back at the end at the latest.
    while shell.saved() > saved {
        shell.restore_variables();
    }
    shell.batch = outer;
    match code {
        Err(Stop::EndBatch(code)) => {
            shell.error_level = code.cast_signed();
            Ok(code)
        }
        code => code,
    }
}

/// Takes the next line, expanded where it is no label.
fn next_line(shell: &mut Shell) -> Option<String> {
    let batch = shell.batch.as_mut()?;
    let line = batch.lines.get(batch.next)?.clone();
    batch.next += 1;
    Some(line)
}

fn run_lines(shell: &mut Shell) -> Result<u32, Stop> {
    while let Some(line) = next_line(shell) {
        if line.trim_start().starts_with(':') || line.trim().is_empty() {
            continue;
        }
        let mut text = shell.expanded(&line);
        let mut node = parse(&text);
        while node == Err(Trouble::Open) {
            let Some(more) = next_line(shell) else { break };
            text = format!("{text}\n{}", shell.expanded(&more));
            node = parse(&text);
        }
        if shell.echoes && !text.trim_start().starts_with('@') {
            shell.say(&format!(
                "\r\n{}>{}\r\n",
                shell.directory_name(),
                text.trim()
            ));
        }
        match shell.run_parsed(node) {
            Err(Stop::Goto(label)) => {
                let is_there = shell
                    .batch
                    .as_mut()
                    .is_some_and(|batch| batch.go_to(&label));
                if !is_there {
                    let message =
                        format!("The system cannot find the batch label specified - {label}");
                    shell.error_level = shell.fail(&message);
                    return Ok(1);
                }
            }
            other => {
                other?;
            }
        }
    }
    // The code of the last command that has one: `echo` leaves that of the command before.
    Ok(shell.error_level.cast_unsigned())
}
