//! The command line: wineserver's own options (`man 1 wineserver`), and two of ours.

use core::fmt;
use std::ffi::OsString;
use std::time::Duration;

use crate::namespace::RootPolicy;

/// How long a server without clients stays by default, as wineserver does.
const DEFAULT_IDLE: Duration = Duration::from_secs(3);

/// Text of `--help`.
pub const HELP: &str = "\
Usage: wineserver-ext [options]

Owns the names, connections and deaths of the LPC ports of one prefix
($LPC_PREFIX, else $WINEPREFIX, else ~/.wine). Programs start it by themselves.

  -d[n], --debug[=n]       raise the debug level, or set it to n (0 to 3)
  -f,    --foreground      stay in the foreground and log to stderr
  -h,    --help            show this text
  -k[n], --kill[=n]        end the running server, or send it signal n
  -p[n], --persistent[=n]  stay without clients for n seconds, or for ever
  -v,    --version         show the version
  -w,    --wait            wait until the running server ends
         --restrict-root   only administrators may create objects in \\
         --announce        (for starting in the background) say on stdout when ready
";

/// What the program is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Be the server of the prefix.
    Serve,
    /// Send the running server a signal; `None`: end it, by force if it does not.
    Kill(Option<i32>),
    /// Wait for the end of the running server.
    Wait,
    /// Show the help text.
    Help,
    /// Show the version.
    Version,
}

/// The parsed command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What to do.
    pub action: Action,
    /// Whether to stay in the foreground.
    pub is_foreground: bool,
    /// Whether readiness is written to stdout, which is then closed.
    pub announces: bool,
    /// How long to stay without clients; `None` = for ever.
    pub idle: Option<Duration>,
    /// Debug level: 0 warnings, 1 information, 2 requests, 3 everything.
    pub debug: u32,
    /// Who may create objects in `\`.
    pub root_policy: RootPolicy,
}

/// A word of the command line that means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadOption(String);

impl fmt::Display for BadOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad option {:?}; see --help", self.0)
    }
}

impl std::error::Error for BadOption {}

impl Options {
    /// Parses the words after the program's name. The last of several actions counts, help before all.
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Options, BadOption> {
        let mut options = Options {
            action: Action::Serve,
            is_foreground: false,
            announces: false,
            idle: Some(DEFAULT_IDLE),
            debug: 0,
            root_policy: RootPolicy::default(),
        };
        for word in words {
            let word = word
                .into_string()
                .map_err(|word| BadOption(word.to_string_lossy().into_owned()))?;
            options.apply(&word).ok_or(BadOption(word))?;
        }
        Ok(options)
    }

    fn apply(&mut self, word: &str) -> Option<()> {
        let (name, value) = split(word)?;
        let number = || value.map(str::parse::<u32>).transpose().ok();
        match name {
            "d" | "debug" => self.debug = number()?.unwrap_or(self.debug + 1),
            "k" | "kill" => self.act(Action::Kill(number()?.map(i32::try_from).transpose().ok()?)),
            "p" | "persistent" => {
                self.idle = number()?.map(|seconds| Duration::from_secs(seconds.into()))
            }
            _ if value.is_some() => return None,
            "f" | "foreground" => self.is_foreground = true,
            "h" | "help" => self.act(Action::Help),
            "v" | "version" => self.act(Action::Version),
            "w" | "wait" => self.act(Action::Wait),
            "restrict-root" => self.root_policy = RootPolicy::Administrators,
            "announce" => self.announces = true,
            _ => return None,
        }
        Some(())
    }

    fn act(&mut self, action: Action) {
        if self.action != Action::Help {
            self.action = action;
        }
    }
}

/// Splits a word into the option's name and its value, which getopt allows only joined to it.
fn split(word: &str) -> Option<(&str, Option<&str>)> {
    if let Some(long) = word.strip_prefix("--") {
        return Some(match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        })
        .filter(|(name, _)| name.len() > 1);
    }
    let short = word.strip_prefix('-')?;
    let (name, value) = short.split_at_checked(1)?;
    Some((name, (!value.is_empty()).then_some(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, BadOption> {
        Options::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn default_is_to_serve_in_the_background_and_leave_when_idle() {
        let options = parse(&[]).expect("nothing is fine");

        assert_eq!(
            (options.action, options.is_foreground),
            (Action::Serve, false)
        );
        assert_eq!(options.idle, Some(DEFAULT_IDLE));
    }

    #[test]
    fn numbers_are_joined_to_their_option() {
        assert_eq!(
            parse(&["-p7"]).map(|options| options.idle),
            Ok(Some(Duration::from_secs(7)))
        );
        assert_eq!(
            parse(&["--persistent=7"]).map(|options| options.idle),
            Ok(Some(Duration::from_secs(7)))
        );
        assert_eq!(parse(&["-p"]).map(|options| options.idle), Ok(None));
        assert_eq!(
            parse(&["-k"]).map(|options| options.action),
            Ok(Action::Kill(None))
        );
        assert_eq!(
            parse(&["-k9"]).map(|options| options.action),
            Ok(Action::Kill(Some(9)))
        );
        assert_eq!(parse(&["-d", "-d"]).map(|options| options.debug), Ok(2));
        assert_eq!(parse(&["-d3"]).map(|options| options.debug), Ok(3));
    }

    #[test]
    fn meaningless_words_are_named() {
        for word in [
            "-x",
            "--frobnicate",
            "7",
            "-",
            "--",
            "-pnever",
            "-k-9",
            "-f1",
            "--wait=1",
        ] {
            assert_eq!(parse(&[word]), Err(BadOption(word.into())));
        }
    }

    #[test]
    fn every_option_is_in_the_help() {
        for name in [
            "debug",
            "foreground",
            "help",
            "kill",
            "persistent",
            "version",
            "wait",
            "restrict-root",
            "announce",
        ] {
            assert!(HELP.contains(&format!("--{name}")), "{name}");
        }
    }
}
