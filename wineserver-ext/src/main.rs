//! `wineserver-ext`: starts, ends or waits for the server of a prefix.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;

use ntlpc_proto::Prefix;
use wineserver_ext::background::{self, ALREADY_RUNNING_EXIT, Seat, ServeError};
use wineserver_ext::options::{Action, HELP, Options};
use wineserver_ext::server::Server;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let outcome = Options::parse(std::env::args_os().skip(1))
        .map_err(Failure::from)
        .and_then(run);
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("wineserver-ext: {error}");
            match error.downcast_ref() {
                Some(ServeError::AlreadyRunning) => ExitCode::from(ALREADY_RUNNING_EXIT as u8),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn run(options: Options) -> Result<ExitCode, Failure> {
    match options.action {
        Action::Help => say(HELP)?,
        Action::Version => say(concat!("wineserver-ext ", env!("CARGO_PKG_VERSION"), "\n"))?,
        Action::Kill(signal) => {
            if !background::kill(&Prefix::from_environment()?, signal)? {
                return Ok(ExitCode::from(ALREADY_RUNNING_EXIT as u8));
            }
        }
        Action::Wait => {
            background::wait_for_end(&Prefix::from_environment()?, None)?;
        }
        Action::Serve if options.is_foreground => serve(Prefix::from_environment()?, options)?,
        Action::Serve => background::start(&Prefix::from_environment()?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The texts asked for on the command line are this program's output.
fn say(text: &str) -> io::Result<()> {
    io::stdout().write_all(text.as_bytes())
}

fn serve(prefix: Prefix, options: Options) -> Result<(), Failure> {
    background::start_log(options.debug);
    background::raise_descriptor_limit();
    let seat = Seat::take(prefix)?;
    let end = background::end_requests()?;
    let listener = seat.listener.try_clone()?;
    let mut server = Server::new(listener, end, options.root_policy, options.idle)?;
    if options.announces {
        background::announce()?;
    }
    Ok(server.run()?)
}
