//! One line per call from the guest: `pid:tid dll!Name(args…) = result (µs)`.

use std::fmt::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Instant;

use crate::export::{ArgCursor, Function};
use crate::gate::CallFrame;
use crate::gate::stubs::Stub;

/// One part of a filter.
#[derive(Debug, PartialEq, Eq)]
struct Rule {
    dll: String,
    name: String,
    is_excluding: bool,
    shows_entry: bool,
}

/// A parsed filter: comma list of `dll/Name` or `Name` globs; `-` excludes, `^` also logs on entry.
/// The last rule that matches decides.
#[derive(Debug, PartialEq, Eq)]
pub struct Filter(Vec<Rule>);

static IS_ON: AtomicBool = AtomicBool::new(false);
static FILTER: OnceLock<Filter> = OnceLock::new();

/// Decisions by address of the stub, as a small cache: 0 unknown, else 1 + [`Choice`].
static CACHE: [AtomicU8; 1 << 16] = [const { AtomicU8::new(0) }; 1 << 16];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Silent = 1,
    Exit = 2,
    Both = 3,
}

impl Filter {
    /// Parses the text of `--trace`.
    #[must_use]
    pub fn parse(text: &str) -> Filter {
        let rules = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| {
                let (is_excluding, part) = part
                    .strip_prefix('-')
                    .map_or((false, part), |rest| (true, rest));
                let (shows_entry, part) = part
                    .strip_prefix('^')
                    .map_or((false, part), |rest| (true, rest));
                let (dll, name) = part.split_once(['/', '!']).unwrap_or(("*", part));
                Rule {
                    dll: dll.to_ascii_lowercase(),
                    name: name.to_owned(),
                    is_excluding,
                    shows_entry,
                }
            });
        Filter(rules.collect())
    }

    fn choose(&self, dll: &str, name: &str) -> Choice {
        let bare = dll.strip_suffix(".dll").unwrap_or(dll);
        let matches = |rule: &&Rule| {
            (glob(rule.dll.as_bytes(), dll.as_bytes())
                || glob(rule.dll.as_bytes(), bare.as_bytes()))
                && glob(rule.name.as_bytes(), name.as_bytes())
        };
        match self.0.iter().rev().find(matches) {
            Some(rule) if rule.is_excluding => Choice::Silent,
            Some(rule) if rule.shows_entry => Choice::Both,
            Some(_) => Choice::Exit,
            // Only exclusions: everything else is shown.
            None if !self.0.is_empty() && self.0.iter().all(|rule| rule.is_excluding) => {
                Choice::Exit
            }
            None => Choice::Silent,
        }
    }
}

/// Matches `*` and `?`, without regard to the case of letters.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            glob(rest, text) || text.split_first().is_some_and(|(_, t)| glob(pattern, t))
        }
        (Some((b'?', rest)), Some((_, t))) => glob(rest, t),
        (Some((p, rest)), Some((c, t))) => p.eq_ignore_ascii_case(c) && glob(rest, t),
        _ => false,
    }
}

/// Turns the trace on; the first filter stays.
pub fn start(filter: Filter) {
    let _ = FILTER.set(filter);
    IS_ON.store(true, Ordering::Release);
}

/// Returns whether any call may be traced.
#[must_use]
#[inline]
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Runs a call and prints it if the filter says so.
pub fn call(stub: &Stub, function: &Function, frame: &CallFrame) -> u64 {
    let choice = choose(stub, frame.stub_index());
    if choice == Choice::Silent {
        return (function.call)(frame);
    }
    let line = {
        let mut line = format!(
            "{}:{} {}!{}(",
            std::process::id(),
            crate::linux::thread_id(),
            stub.dll,
            stub.name
        );
        let mut cursor = ArgCursor::new(frame, function.convention);
        for (i, arg) in function.args.iter().enumerate() {
            let _ = write!(line, "{}{}: ", if i > 0 { ", " } else { "" }, arg.name);
            (arg.show)(&mut cursor, &mut line);
        }
        line.push(')');
        line
    };
    if choice == Choice::Both {
        crate::diagnostics::log_line(&format!("{line} …"));
    }
    let start = Instant::now();
    let result = (function.call)(frame);
    let micros = start.elapsed().as_micros();
    let mut line = line;
    line.push_str(" = ");
    (function.show_result)(result, &mut line);
    let _ = write!(line, " ({micros} µs)");
    crate::diagnostics::log_line(&line);
    result
}

fn choose(stub: &Stub, index: u64) -> Choice {
    let cached = &CACHE[index as usize & 0xffff];
    match cached.load(Ordering::Relaxed) {
        1 => return Choice::Silent,
        2 => return Choice::Exit,
        3 => return Choice::Both,
        _ => {}
    }
    let choice = FILTER.get().map_or(Choice::Silent, |filter| {
        filter.choose(&stub.dll, &stub.name)
    });
    cached.store(choice as u8, Ordering::Relaxed);
    choice
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(filter: &str, dll: &str, name: &str) -> Choice {
        Filter::parse(filter).choose(dll, name)
    }

    #[test]
    fn globs_match_names_and_dlls() {
        assert_eq!(choice("Nt*Port", "ntdll.dll", "NtCreatePort"), Choice::Exit);
        assert_eq!(choice("Nt*Port", "ntdll.dll", "NtClose"), Choice::Silent);
        assert_eq!(
            choice("kernel32/*", "kernel32.dll", "SetEvent"),
            Choice::Exit
        );
        assert_eq!(choice("kernel32/*", "ntdll.dll", "NtClose"), Choice::Silent);
    }

    #[test]
    fn exclusions_and_entry_marks_apply_in_order() {
        assert_eq!(
            choice(
                "*,-*CriticalSection",
                "kernel32.dll",
                "EnterCriticalSection"
            ),
            Choice::Silent
        );
        assert_eq!(
            choice("-*CriticalSection", "kernel32.dll", "Sleep"),
            Choice::Exit
        );
        assert_eq!(
            choice("*,^NtWait*", "ntdll.dll", "NtWaitForSingleObject"),
            Choice::Both
        );
    }
}
