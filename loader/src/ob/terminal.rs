//! The terminal as a console's input: its modes, and keys as they are pressed.
//!
//! Source: Microsoft Learn, "SetConsoleMode function"; `man 3 termios`.

use std::os::fd::BorrowedFd;

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp,
    tcsetattr,
};

/// `ENABLE_PROCESSED_INPUT`: Ctrl-C is no key.
pub const PROCESSED: u32 = 1;
/// `ENABLE_LINE_INPUT`.
pub const LINE: u32 = 2;
/// `ENABLE_ECHO_INPUT`; only with [`LINE`].
pub const ECHO: u32 = 4;

/// What the terminal was like before this process changed it.
static FOUND: Mutex<Option<Termios>> = Mutex::new(None);

/// Returns the console modes that a terminal is in.
#[must_use]
pub fn modes(fd: BorrowedFd<'_>) -> u32 {
    let Ok(found) = tcgetattr(fd) else {
        return PROCESSED | LINE | ECHO;
    };
    [
        (LocalModes::ISIG, PROCESSED),
        (LocalModes::ICANON, LINE),
        (LocalModes::ECHO, ECHO),
    ]
    .into_iter()
    .filter(|(local, _)| found.local_modes.contains(*local))
    .fold(0, |all, (_, mode)| all | mode)
}

fn with_modes(found: &Termios, modes: u32) -> Termios {
    let mut wanted = found.clone();
    let is_line = modes & LINE != 0;
    let local = &mut wanted.local_modes;
    local.set(LocalModes::ISIG, modes & PROCESSED != 0);
    local.set(LocalModes::ICANON | LocalModes::IEXTEN, is_line);
    local.set(LocalModes::ECHO, is_line && modes & ECHO != 0);
    wanted
        .input_modes
        .set(InputModes::IXON, modes & PROCESSED != 0);
    wanted.special_codes[SpecialCodeIndex::VMIN] = 1;
    wanted.special_codes[SpecialCodeIndex::VTIME] = 0;
    wanted
}

/// A process in the background would be stopped for changing the terminal.
fn is_ours(fd: BorrowedFd<'_>) -> bool {
    tcgetpgrp(fd).is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Puts a terminal in console modes, until the process ends.
pub fn set_modes(fd: BorrowedFd<'_>, modes: u32) {
    let Ok(present) = tcgetattr(fd) else { return };
    if !is_ours(fd) {
        return;
    }
    FOUND.lock().get_or_insert_with(|| present.clone());
    if let Err(error) = tcsetattr(fd, OptionalActions::Now, &with_modes(&present, modes)) {
        log::debug!("the terminal keeps its modes: {error}");
    }
}

/// Puts the terminal in the modes it had before this process changed them; at the end of the process.
pub fn restore() {
    if let Some(found) = FOUND.lock().take()
        && let Ok(terminal) = std::fs::File::open("/dev/tty")
        && tcgetpgrp(&terminal).is_ok_and(|group| group == rustix::process::getpgrp())
    {
        let _ = tcsetattr(&terminal, OptionalActions::Now, &found);
    }
}

/// Does something while the terminal gives keys as they are pressed and does not show them.
pub fn with_keys<T>(fd: BorrowedFd<'_>, act: impl FnOnce() -> T) -> T {
    let before = tcgetattr(fd).ok().filter(|_| is_ours(fd));
    let Some(before) = before.filter(|before| before.local_modes.contains(LocalModes::ICANON))
    else {
        return act();
    };
    let mut keys = before.clone();
    keys.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
    keys.special_codes[SpecialCodeIndex::VMIN] = 1;
    keys.special_codes[SpecialCodeIndex::VTIME] = 0;
    let _ = tcsetattr(fd, OptionalActions::Now, &keys);
    let result = act();
    let _ = tcsetattr(fd, OptionalActions::Now, &before);
    result
}

/// Returns whether there is something to read, after at most `milliseconds`.
#[must_use]
pub fn has_input(fd: BorrowedFd<'_>, milliseconds: i64) -> bool {
    let wait = Timespec {
        tv_sec: milliseconds / 1000,
        tv_nsec: milliseconds % 1000 * 1_000_000,
    };
    let mut watched = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    poll(&mut watched, Some(&wait)).is_ok_and(|ready| ready > 0)
}
