//! Consoles and process groups: who gets Ctrl-C and Ctrl-Break.
//!
//! Every process is told by its creator, in [`VARIABLE`], which console and which group it belongs to; both are named by the
//! process that was the first of them. Linux's process groups would not do: one that is not the terminal's cannot read from
//! it. So the members of a group are found by what was in their environment when they started (`/proc/PID/environ`).
//!
//! Source: Microsoft Learn, "GenerateConsoleCtrlEvent function", "Process Creation Flags".

use std::sync::OnceLock;

/// Environment variable with console and group, `new` for one that begins with the process. The guest does not see it.
pub const VARIABLE: &str = "LPCRUN_CONSOLE";
/// `STATUS_CONTROL_C_EXIT`.
pub const CONTROL_C_EXIT: u32 = 0xC000_013A;
const NEW: &str = "new";

/// What a new process shares with its creator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Console and group.
    Same,
    /// The console: `CREATE_NEW_PROCESS_GROUP`. Ctrl-C is ignored.
    New,
    /// Neither.
    NewConsole,
}

/// Console and group of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    console: u32,
    group: u32,
}

static OWN: OnceLock<Place> = OnceLock::new();

/// Reads [`VARIABLE`] of the process `pid`.
fn parse(text: &str, pid: u32) -> Option<Place> {
    let (console, group) = text.split_once(',')?;
    let id = |text: &str| {
        if text == NEW {
            Some(pid)
        } else {
            text.parse().ok()
        }
    };
    Some(Place {
        console: id(console)?,
        group: id(group)?,
    })
}

/// Takes what the creator said of this process.
pub fn adopt(text: &str) {
    if let Some(place) = parse(text, std::process::id()) {
        let _ = OWN.set(place);
    }
}

/// A process started from Linux is the first of its console.
fn own() -> Place {
    let pid = std::process::id();
    *OWN.get_or_init(|| Place {
        console: pid,
        group: pid,
    })
}

/// Returns [`VARIABLE`] for a child.
#[must_use]
pub fn variable(group: Group) -> String {
    let Place {
        console,
        group: own,
    } = own();
    match group {
        Group::Same => format!("{console},{own}"),
        Group::New => format!("{console},{NEW}"),
        Group::NewConsole => format!("{NEW},{NEW}"),
    }
}

/// Returns where a process belongs; `None` if no program of ours started it.
fn place_of(pid: u32) -> Option<Place> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut entries = environment.split(|&byte| byte == 0);
    let text = entries.find_map(|entry| {
        let value = entry.strip_prefix(VARIABLE.as_bytes())?;
        value.strip_prefix(b"=")
    })?;
    parse(std::str::from_utf8(text).ok()?, pid)
}

/// Returns the processes of a group of this console, or for 0 all of this console; empty if there is no such group.
#[must_use]
pub fn members(group: u32) -> Vec<u32> {
    let own = own();
    let is_wanted =
        |place: Place| place.console == own.console && (group == 0 || place.group == group);
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return vec![];
    };
    let ids = processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|&pid| {
        let place = if pid == std::process::id() {
            Some(own)
        } else if pid == own.console {
            // It has no creator of ours, or says that its console is new.
            Some(Place {
                console: pid,
                group: pid,
            })
        } else {
            place_of(pid)
        };
        place.is_some_and(is_wanted)
    })
    .collect()
}

/// The signal that is Ctrl-Break; one whose default ends the process. That of the terminal, SIGQUIT, would leave a core too.
#[must_use]
pub fn break_signal() -> i32 {
    libc::SIGRTMIN() + 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_named_by_their_first_process() {
        let place = |console, group| Some(Place { console, group });
        assert_eq!(parse("7,9", 12), place(7, 9));
        assert_eq!(parse("7,new", 12), place(7, 12));
        assert_eq!(parse("new,new", 12), place(12, 12));
        assert_eq!(parse("seven,9", 12), None);
        assert!(members(0).contains(&std::process::id()));
    }
}
