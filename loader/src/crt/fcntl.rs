//! `fcntl.h`: the flags of `_open` and what they ask of the system.
//!
//! Source: Microsoft Learn, "_open, _wopen", "_sopen, _wsopen".

use super::fd::Mode;
use super::os::Open;
use super::startup;

/// Flags of `_open`.
#[allow(
    missing_docs,
    dead_code,
    reason = "the flags of fcntl.h without _O_, used or not"
)]
pub mod flags {
    pub const RDONLY: i32 = 0;
    pub const WRONLY: i32 = 1;
    pub const RDWR: i32 = 2;
    pub const ACCESS: i32 = 3;
    pub const APPEND: i32 = 0x8;
    pub const RANDOM: i32 = 0x10;
    pub const SEQUENTIAL: i32 = 0x20;
    pub const TEMPORARY: i32 = 0x40;
    pub const NOINHERIT: i32 = 0x80;
    pub const CREAT: i32 = 0x100;
    pub const TRUNC: i32 = 0x200;
    pub const EXCL: i32 = 0x400;
    pub const SHORT_LIVED: i32 = 0x1000;
    pub const TEXT: i32 = 0x4000;
    pub const BINARY: i32 = 0x8000;
    pub const WTEXT: i32 = 0x1_0000;
    pub const U16TEXT: i32 = 0x2_0000;
    pub const U8TEXT: i32 = 0x4_0000;
}

/// Returns the translation that open flags ask for.
pub fn mode_of(open: i32) -> Mode {
    const DEFAULT_MASK: i32 = flags::BINARY | flags::TEXT;
    let chosen = if open & (DEFAULT_MASK | flags::WTEXT | flags::U8TEXT | flags::U16TEXT) == 0 {
        startup::_fmode.ptr().read()
    } else {
        open
    };
    match chosen {
        c if c & flags::U8TEXT != 0 => Mode::Utf8,
        c if c & (flags::U16TEXT | flags::WTEXT) != 0 => Mode::Utf16,
        c if c & flags::BINARY != 0 => Mode::Binary,
        _ => Mode::Text,
    }
}

/// Returns the arguments of `CreateFileW` for open flags; `None` if they contradict each other.
pub fn translate(open: i32, share: i32, permissions: i32) -> Option<Open> {
    const GENERIC_READ: u32 = 0x8000_0000;
    const GENERIC_WRITE: u32 = 0x4000_0000;
    const DELETE: u32 = 0x1_0000;
    const WRITE_PERMISSION: i32 = 0x80;
    let access = match open & flags::ACCESS {
        flags::RDONLY => GENERIC_READ,
        flags::WRONLY => GENERIC_WRITE,
        flags::RDWR => GENERIC_READ | GENERIC_WRITE,
        _ => return None,
    };
    // SH_COMPAT, SH_DENYRW, SH_DENYWR, SH_DENYRD, SH_DENYNO, SH_SECURE.
    let share = match share {
        0x10 => 0,
        0x20 => 1,
        0x30 => 2,
        0 | 0x40 => 3,
        0x80 => u32::from(access == GENERIC_READ),
        _ => return None,
    };
    let create = open & (flags::CREAT | flags::TRUNC | flags::EXCL);
    // CREATE_NEW 1, CREATE_ALWAYS 2, OPEN_EXISTING 3, OPEN_ALWAYS 4, TRUNCATE_EXISTING 5.
    let disposition = match (
        create & flags::CREAT != 0,
        create & flags::TRUNC != 0,
        create & flags::EXCL != 0,
    ) {
        (true, _, true) => 1,
        (true, true, false) => 2,
        (true, false, false) => 4,
        (false, true, _) => 5,
        (false, false, _) => 3,
    };
    const READONLY: u32 = 1;
    const NORMAL: u32 = 0x80;
    const TEMPORARY: u32 = 0x100;
    const DELETE_ON_CLOSE: u32 = 0x0400_0000;
    let mut attributes = NORMAL;
    if open & flags::CREAT != 0 && permissions & WRITE_PERMISSION == 0 {
        attributes = READONLY;
    }
    if open & flags::SHORT_LIVED != 0 {
        attributes |= TEMPORARY;
    }
    let is_temporary = open & flags::TEMPORARY != 0;
    Some(Open {
        access: access | if is_temporary { DELETE } else { 0 },
        share: share | if is_temporary { 4 } else { 0 },
        disposition,
        flags: attributes | if is_temporary { DELETE_ON_CLOSE } else { 0 },
    })
}

/// `_SH_DENYNO`.
pub const SHARE_ALL: i32 = 0x40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_flags_become_create_file_arguments() {
        let how = translate(
            flags::WRONLY | flags::CREAT | flags::TRUNC,
            SHARE_ALL,
            0o600,
        )
        .expect("valid");
        assert_eq!(
            (how.access, how.share, how.disposition, how.flags),
            (0x4000_0000, 3, 2, 0x80)
        );
        let how = translate(flags::RDONLY, 0x80, 0).expect("valid");
        assert_eq!(
            (how.access, how.share, how.disposition),
            (0x8000_0000, 1, 3)
        );
        assert!(translate(flags::ACCESS, SHARE_ALL, 0).is_none());
        assert!(translate(flags::RDONLY, 0x50, 0).is_none());
    }
}
