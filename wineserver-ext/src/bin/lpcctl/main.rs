//! `lpcctl`: who owns what, who waits for whom, what is queued (lpc §4.1–4.3).
#![forbid(unsafe_code)]

mod query;
mod table;
mod watch;

use std::io::{self, Write};
use std::process::ExitCode;

use ntlpc_proto::Prefix;
use query::Tool;

type Failure = Box<dyn std::error::Error>;

const HELP: &str = "\
Usage: lpcctl COMMAND

Shows the LPC ports of one prefix ($LPC_PREFIX, else $WINEPREFIX, else ~/.wine).

  ports              every port, one line each
  port ID            one port, its peer and its connection port, with messages and waits
  message [ID]       where messages are: queued, or received and not answered; ID as hex
  thread [TID]       threads that use ports, what they wait for; TID decimal
  waits              who waits for whom
  processes          every process
  names [DIRECTORY]  the object name space
  monitor            lines as ports and processes come and go, until interrupted
  top                the ports with the longest queues, redrawn every second

Columns: KIND CONN connection port, UNC unnamed, SRV server end, CLI client end; FLAGS as !lpc port prints them;
H/R handles and references; MAX largest message/connection information; Q queued messages.
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        // `lpcctl ports | head` is no failure.
        Err(error) if is_closed_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lpcctl: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    if matches!(words, [] | ["help" | "-h" | "--help"]) {
        return Ok(out.write_all(HELP.as_bytes())?);
    }
    let prefix = Prefix::from_environment()?;
    let command = Command::parse(words)
        .ok_or_else(|| format!("bad command {:?}; see lpcctl --help", words.join(" ")))?;
    let tool = Tool::connect(&prefix)?;
    match command {
        Command::Ports => table::ports(&mut out, &tool.ports()?)?,
        Command::Port(id) => table::port(&mut out, &tool, id)?,
        Command::Message(id) => table::messages(&mut out, &tool, id)?,
        Command::Thread(tid) => table::threads(&mut out, &tool, tid)?,
        Command::Waits => table::waits(&mut out, &tool.waits()?)?,
        Command::Processes => table::processes(&mut out, &tool.processes()?)?,
        Command::Names(directory) => table::names(&mut out, &tool.names(directory)?)?,
        Command::Monitor => watch::monitor(&mut out, &tool)?,
        Command::Top => watch::top(&mut out, &tool)?,
    }
    Ok(out.flush()?)
}

/// A parsed command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command<'a> {
    Ports,
    Port(u64),
    Message(Option<u32>),
    Thread(Option<u32>),
    Waits,
    Processes,
    Names(&'a str),
    Monitor,
    Top,
}

impl<'a> Command<'a> {
    fn parse(words: &[&'a str]) -> Option<Command<'a>> {
        let hex = |word: &str| u32::from_str_radix(word.trim_start_matches("0x"), 16).ok();
        Some(match words {
            ["ports"] => Command::Ports,
            ["port", id] => Command::Port(id.parse().ok()?),
            ["message"] => Command::Message(None),
            ["message", id] => Command::Message(Some(hex(id)?)),
            ["thread"] => Command::Thread(None),
            ["thread", tid] => Command::Thread(Some(tid.parse().ok()?)),
            ["waits"] => Command::Waits,
            ["processes"] => Command::Processes,
            ["names"] => Command::Names("\\"),
            ["names", directory] => Command::Names(directory),
            ["monitor"] => Command::Monitor,
            ["top"] => Command::Top,
            _ => return None,
        })
    }
}

fn is_closed_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_take_numbers_where_they_belong() {
        assert_eq!(Command::parse(&["port", "12"]), Some(Command::Port(12)));
        assert_eq!(
            Command::parse(&["message", "0x1f"]),
            Some(Command::Message(Some(0x1f)))
        );
        assert_eq!(Command::parse(&["thread"]), Some(Command::Thread(None)));
        for words in [
            &["port"][..],
            &["port", "x"],
            &["ports", "1"],
            &["message", "zz"],
            &["frobnicate"],
        ] {
            assert_eq!(Command::parse(words), None, "{words:?}");
        }
    }
}
