//! The state of the shell and how it runs commands.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ntlpc_abi::NtStatus;

use super::batch::{self, Batch};
use super::expand::expand;
use super::parse::{Node, Redirection, Trouble, bare, parse};
use super::streams::{self, Streams};
use super::{builtins, condition, program};
use crate::ob::path;
use crate::ob::pipe;
use crate::process::environment;

/// `errorlevel` after a name that is no program; the process ends with 1 then.
const NOT_A_PROGRAM: i32 = 9009;

/// What ends more than a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// `exit`: the shell.
    Exit(u32),
    /// `exit /b`, `goto :eof`: the batch file or the subroutine.
    EndBatch(u32),
    /// `goto`: the line, and the batch file goes on at this label.
    Goto(String),
}

/// Variables by upper-case name: name as set, value.
type Variables = BTreeMap<String, (String, String)>;

/// The shell. A copy is a shell of its own, as each side of a pipe has one.
#[derive(Clone, Debug)]
pub struct Shell {
    /// Input, output, error output.
    pub streams: Streams,
    /// Current directory with a trailing backslash.
    pub directory: String,
    /// `%errorlevel%`.
    pub error_level: i32,
    /// `echo on`: lines of batch files are shown.
    pub echoes: bool,
    /// Directories of `pushd`.
    pub pushed: Vec<String>,
    /// Batch file that runs.
    pub batch: Option<Batch>,
    variables: Variables,
    saved: Vec<(Variables, String)>,
}

impl Shell {
    /// Makes a shell with the environment and the directory of this process.
    #[must_use]
    pub fn new(streams: Streams) -> Self {
        let block = environment::block(std::env::vars_os());
        let entries = block.split(|&unit| unit == 0).map(String::from_utf16_lossy);
        let pairs = entries.filter_map(|entry| {
            let (name, value) = entry.split_once('=')?;
            Some((name.to_uppercase(), (name.to_owned(), value.to_owned())))
        });
        Shell {
            streams,
            directory: path::directory(),
            error_level: 0,
            echoes: true,
            pushed: Vec::new(),
            batch: None,
            variables: pairs.collect(),
            saved: Vec::new(),
        }
    }

    /// Returns a variable's value, or what the shell computes by that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        let upper = name.to_uppercase();
        if let Some((_, value)) = self.variables.get(&upper) {
            return Some(value.clone());
        }
        match upper.as_str() {
            "CD" => Some(self.directory_name()),
            "ERRORLEVEL" => Some(self.error_level.to_string()),
            _ => None,
        }
    }

    /// Sets a variable, or takes it away.
    pub fn set(&mut self, name: &str, value: Option<String>) {
        match value {
            Some(value) => self
                .variables
                .insert(name.to_uppercase(), (name.to_owned(), value)),
            None => self.variables.remove(&name.to_uppercase()),
        };
    }

    /// Returns all variables, sorted.
    pub fn variables(&self) -> impl Iterator<Item = &(String, String)> {
        self.variables.values()
    }

    /// Returns the variables as a program gets them.
    #[must_use]
    pub fn environment_block(&self) -> Vec<u16> {
        let entries = self
            .variables()
            .map(|(name, value)| format!("{name}={value}\0"));
        let text: String = entries.chain(["\0".to_owned()]).collect();
        text.encode_utf16().collect()
    }

    /// `setlocal`.
    pub fn save_variables(&mut self) {
        self.saved
            .push((self.variables.clone(), self.directory.clone()));
    }

    /// `endlocal`.
    pub fn restore_variables(&mut self) {
        if let Some((variables, directory)) = self.saved.pop() {
            self.variables = variables;
            self.directory = directory;
        }
    }

    /// Returns how many `setlocal` have no `endlocal` yet.
    #[must_use]
    pub fn saved(&self) -> usize {
        self.saved.len()
    }

    /// Changes the current directory to a full path.
    pub fn enter(&mut self, directory: &str) {
        self.directory = format!("{}\\", directory.trim_end_matches('\\'));
    }

    /// Returns the current directory as it is shown.
    #[must_use]
    pub fn directory_name(&self) -> String {
        let name = self.directory.trim_end_matches('\\');
        if name.len() == 2 {
            self.directory.clone()
        } else {
            name.to_owned()
        }
    }

    /// Returns whether a batch file runs.
    #[must_use]
    pub fn is_in_batch(&self) -> bool {
        self.batch.is_some()
    }

    /// `shift`.
    pub fn shift(&mut self) {
        let words = self.batch.as_mut().map(|batch| &mut batch.arguments.words);
        if let Some(words) = words.filter(|words| !words.is_empty()) {
            words.remove(0);
        }
    }

    /// Writes to the output.
    pub fn say(&self, text: &str) {
        streams::write(self.streams[1].as_ref(), text.as_bytes());
    }

    /// Writes a line to the error output.
    pub fn complain(&self, text: &str) {
        let end = if text.ends_with('\n') { "" } else { "\r\n" };
        streams::write(self.streams[2].as_ref(), format!("{text}{end}").as_bytes());
    }

    /// Says why a command failed; returns its code.
    #[must_use]
    pub fn fail(&self, text: &str) -> i32 {
        self.complain(text);
        1
    }

    /// Puts values in the place of a line's variables.
    #[must_use]
    pub fn expanded(&self, line: &str) -> String {
        let arguments = self.batch.as_ref().map(|batch| &batch.arguments);
        expand(line, arguments, &|name| self.get(name))
    }

    /// Runs a line; returns the code of its last command.
    pub fn run_line(&mut self, line: &str) -> Result<u32, Stop> {
        let node = parse(&self.expanded(line));
        self.run_parsed(node)
    }

    /// Runs a line that was parsed.
    pub fn run_parsed(&mut self, node: Result<Option<Node>, Trouble>) -> Result<u32, Stop> {
        let what = match node {
            Ok(None) => return Ok(self.error_level.cast_unsigned()),
            Ok(Some(node)) => return self.run(&node).map(i32::cast_unsigned),
            Err(Trouble::Unexpected(text)) => text,
            Err(Trouble::Open) => String::new(),
        };
        self.error_level = if what.trim().is_empty() {
            self.fail("The syntax of the command is incorrect.")
        } else {
            self.fail(&format!("{what} was unexpected at this time."))
        };
        // A batch file ends here.
        Err(Stop::EndBatch(1))
    }

    /// Runs commands; returns the code of the last, 0 for success.
    fn run(&mut self, node: &Node) -> Result<i32, Stop> {
        match node {
            Node::Simple(text, redirections) => {
                self.redirected(redirections, |shell| shell.run_simple(text))
            }
            Node::Group(inside, redirections) => {
                self.redirected(redirections, |shell| shell.run(inside))
            }
            Node::Then(first, second) => {
                self.run(first)?;
                self.run(second)
            }
            Node::And(first, second) => match self.run(first)? {
                0 => self.run(second),
                code => Ok(code),
            },
            Node::Or(first, second) => match self.run(first)? {
                0 => Ok(0),
                _ => self.run(second),
            },
            Node::Pipe(first, second) => self.run_pipe(first, second),
            Node::If(asked, then, otherwise) => match condition::holds(self, asked) {
                Some(true) => self.run(then),
                Some(false) => otherwise.as_ref().map_or(Ok(0), |node| self.run(node)),
                None => {
                    self.error_level = self.fail("The syntax of the command is incorrect.");
                    Ok(1)
                }
            },
        }
    }

    fn redirected(
        &mut self,
        redirections: &[Redirection],
        run: impl FnOnce(&mut Self) -> Result<i32, Stop>,
    ) -> Result<i32, Stop> {
        if redirections.is_empty() {
            return run(self);
        }
        match streams::redirect(&self.streams, redirections, &self.directory) {
            Ok(streams) => {
                let before = std::mem::replace(&mut self.streams, streams);
                let code = run(self);
                self.streams = before;
                code
            }
            Err((name, status)) => {
                log::debug!("cmd: {name}: {status}");
                self.error_level = self.fail(match status {
                    NtStatus::OBJECT_NAME_NOT_FOUND => "The system cannot find the file specified.",
                    NtStatus::ACCESS_DENIED | NtStatus::FILE_IS_A_DIRECTORY => "Access is denied.",
                    _ => "The system cannot find the path specified.",
                });
                Ok(1)
            }
        }
    }

    /// Runs both sides at once, each in a shell of its own; the code is the second's.
    fn run_pipe(&mut self, first: &Node, second: &Node) -> Result<i32, Stop> {
        let Ok((reader, writer)) = pipe::anonymous() else {
            self.error_level = self.fail("The process tried to write to a nonexistent pipe.");
            return Ok(1);
        };
        let mut left = self.clone();
        left.streams[1] = Some(Arc::new(writer));
        let mut right = self.clone();
        right.streams[0] = Some(Arc::new(reader));
        let code = std::thread::scope(|scope| {
            // The left side's end of the pipe closes with its shell.
            scope.spawn(move || {
                let _ = left.run(first);
            });
            let code = right.run(second);
            // A left side that still writes gets a broken pipe.
            right.streams[0] = None;
            code
        });
        self.error_level = right.error_level;
        match code {
            Ok(code) => Ok(code),
            Err(Stop::Exit(code) | Stop::EndBatch(code)) => {
                self.error_level = code.cast_signed();
                Ok(self.error_level)
            }
            Err(Stop::Goto(_)) => Ok(1),
        }
    }

    fn run_simple(&mut self, text: &str) -> Result<i32, Stop> {
        if text.trim().is_empty() {
            return Ok(0);
        }
        if let Some(done) = builtins::run(self, text) {
            return done.map(|code| {
                self.error_level = code.unwrap_or(self.error_level);
                code.unwrap_or(0)
            });
        }
        let (name, rest) = builtins::name_of(text);
        let name = bare(name);
        // A drive letter changes to that drive.
        if name.len() == 2 && name.ends_with(':') && rest.trim().is_empty() {
            self.enter(&format!("{}\\", name.to_uppercase()));
            return Ok(0);
        }
        let Some(image) = program::find(self, &name) else {
            self.complain(&format!(
                "'{name}' is not recognized as an internal or external command,\r\noperable program or batch file."
            ));
            self.error_level = NOT_A_PROGRAM;
            return Ok(1);
        };
        if crate::ob::shell::is_batch(&image) {
            // Without `call` the batch file that runs does not go on.
            let was_in_batch = self.is_in_batch();
            let code = self.run_batch(&image, &name, rest)?;
            return if was_in_batch {
                Err(Stop::EndBatch(code))
            } else {
                Ok(code.cast_signed())
            };
        }
        let code = program::run(self, &image, text.trim()).unwrap_or_else(|status| {
            log::warn!("cmd: {}: {status}", image.display());
            self.complain("The system cannot execute the specified program.");
            1
        });
        self.error_level = code.cast_signed();
        Ok(self.error_level)
    }

    fn run_batch(&mut self, image: &Path, name: &str, rest: &str) -> Result<u32, Stop> {
        match batch::Batch::open(image, name, rest, &self.directory) {
            Ok(batch) => batch::run(self, batch),
            Err(error) => {
                log::warn!("cmd: {}: {error}", image.display());
                self.error_level = self.fail("Access is denied.");
                Ok(1)
            }
        }
    }

    /// `call`: a batch file, a label of this one, or any command.
    pub fn call(&mut self, text: &str) -> Result<i32, Stop> {
        let (name, rest) = builtins::name_of(text);
        let name = bare(name);
        let code = if let (Some(label), Some(batch)) = (name.strip_prefix(':'), &self.batch) {
            match batch.at_label(&label.to_lowercase(), &name, rest) {
                Some(routine) => batch::run(self, routine)?,
                None => {
                    self.error_level = self.fail(&format!(
                        "The system cannot find the batch label specified - {label}"
                    ));
                    1
                }
            }
        } else {
            match program::find(self, &name) {
                Some(image) if crate::ob::shell::is_batch(&image) => {
                    self.run_batch(&image, &name, rest)?
                }
                _ => return self.run_simple(text),
            }
        };
        Ok(code.cast_signed())
    }
}
