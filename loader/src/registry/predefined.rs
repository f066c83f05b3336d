//! Predefined keys of Win32 and the paths of NT. Source: Microsoft Learn "Predefined Keys", "Registry Key Object Routines".

use ntlpc_abi::{Handle, NtStatus};

use super::seed;
use super::tree::{Path, folded, split};

/// What stands before the names of the tree in NT's name space.
const ROOT: &str = "REGISTRY";

/// Returns where a predefined key (`HKEY_*`) lies below `\Registry`, or `None` for other handles.
#[must_use]
pub fn path_of(key: Handle) -> Option<Path> {
    // HKEY_* are sign-extended; some programs extend them with zeros.
    if key.0 >> 32 != 0 && key.0 >> 32 != 0xFFFF_FFFF {
        return None;
    }
    let path = match key.0 as u32 {
        0x8000_0000 => "Machine\\Software\\Classes".to_owned(),
        0x8000_0001 | 0x8000_0007 => seed::user_key(),
        0x8000_0002 => "Machine".to_owned(),
        0x8000_0003 => "User".to_owned(),
        0x8000_0005 => "Machine\\System\\CurrentControlSet\\Hardware Profiles\\Current".to_owned(),
        _ => return None,
    };
    Some(split(&path.encode_utf16().collect::<Vec<_>>()))
}

/// Returns where `HKEY_CURRENT_USER` lies below `\Registry`.
#[must_use]
pub fn user() -> Path {
    split(&seed::user_key().encode_utf16().collect::<Vec<_>>())
}

/// Reads a full path of NT: `\Registry\…`.
///
/// Returns `OBJECT_PATH_SYNTAX_BAD` for a relative one, `OBJECT_PATH_NOT_FOUND` for one elsewhere.
pub fn from_native(path: &[u16]) -> Result<Path, NtStatus> {
    if path.first() != Some(&u16::from(b'\\')) {
        return Err(NtStatus::OBJECT_PATH_SYNTAX_BAD);
    }
    let mut names = split(path);
    let root: Vec<u16> = ROOT.encode_utf16().collect();
    if names.first().map(|name| folded(name)) != Some(root) {
        return Err(NtStatus::OBJECT_PATH_NOT_FOUND);
    }
    names.remove(0);
    Ok(names)
}

/// Returns the path in NT's name space.
#[must_use]
pub fn to_native(path: &[Vec<u16>]) -> Vec<u16> {
    let mut text: Vec<u16> = format!("\\{ROOT}").encode_utf16().collect();
    for name in path {
        text.push(u16::from(b'\\'));
        text.extend(name);
    }
    text
}
