//! The environment, from Linux to Windows and back.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::ob::path;

/// Variables whose value is a list of paths or one path, translated both ways.
const PATH_LISTS: &[&str] = &["PATH"];

/// Returns the guest's environment block: `NAME=value` strings in UTF-16, sorted as Windows does, doubly terminated.
#[must_use]
pub fn block(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<u16> {
    let mut sorted: BTreeMap<String, (String, String)> = BTreeMap::new();
    for (name, value) in defaults() {
        sorted.insert(name.to_uppercase(), (name.to_owned(), value));
    }
    for (name, value) in variables {
        let name = name.to_string_lossy().into_owned();
        if name.is_empty() || matches!(name.as_str(), "TEMP" | "TMP" | "_") {
            continue;
        }
        let value = if PATH_LISTS.contains(&name.as_str()) {
            list_to_windows(&value)
        } else {
            lossy(&value)
        };
        sorted.insert(name.to_uppercase(), (name, value));
    }
    let mut units = Vec::new();
    for (name, value) in sorted.into_values() {
        units.extend(name.encode_utf16());
        units.push(u16::from(b'='));
        units.extend(value.encode_utf16());
        units.push(0);
    }
    units.push(0);
    units
}

/// Returns the Linux environment of a guest's block, for a child process.
#[must_use]
pub fn to_unix(block: &[u16]) -> Vec<(OsString, OsString)> {
    block
        .split(|&unit| unit == 0)
        .take_while(|entry| !entry.is_empty())
        .filter_map(|entry| {
            let text = String::from_utf16_lossy(entry);
            // Names like `=C:` hold the current directory of a drive.
            let at = text[1..].find('=')? + 1;
            let (name, value) = (&text[..at], &text[at + 1..]);
            let is_list = PATH_LISTS
                .iter()
                .any(|list| list.eq_ignore_ascii_case(name));
            if name.starts_with('=') {
                None
            } else if is_list {
                Some((OsString::from(name.to_uppercase()), list_to_unix(value)))
            } else {
                Some((OsString::from(name), OsString::from(value)))
            }
        })
        .collect()
}

/// Variables every Windows process has.
fn defaults() -> Vec<(&'static str, String)> {
    let temp = std::env::var_os("TMPDIR").unwrap_or_else(|| "/tmp".into());
    let temp = path::to_windows(Path::new(&temp));
    let user = user_name();
    let home = std::env::var_os("HOME")
        .map_or_else(|| "Z:\\".into(), |home| path::to_windows(Path::new(&home)));
    let profile = home.trim_end_matches('\\').to_owned();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let architecture = match crate::width() {
        ntlpc_abi::Width::X64 => "AMD64",
        ntlpc_abi::Width::X86 => "x86",
    };
    let mut variables = vec![
        ("SystemRoot", "C:\\windows".into()),
        ("windir", "C:\\windows".into()),
        ("SystemDrive", "C:".into()),
        ("ComSpec", "C:\\windows\\system32\\cmd.exe".into()),
        ("PATHEXT", ".COM;.EXE;.BAT;.CMD".into()),
        ("OS", "Windows_NT".into()),
        ("TEMP", temp.clone()),
        ("TMP", temp),
        ("USERNAME", user),
        ("APPDATA", format!("{profile}\\AppData\\Roaming")),
        ("LOCALAPPDATA", format!("{profile}\\AppData\\Local")),
        ("USERPROFILE", home),
        ("ALLUSERSPROFILE", "C:\\ProgramData".into()),
        ("ProgramData", "C:\\ProgramData".into()),
        ("COMPUTERNAME", host_name()),
        ("NUMBER_OF_PROCESSORS", processors.to_string()),
        ("PROCESSOR_ARCHITECTURE", architecture.into()),
    ];
    if crate::is_wow64() {
        variables.push(("PROCESSOR_ARCHITEW6432", "AMD64".into()));
    }
    variables
}

/// Returns the name of the user.
pub fn user_name() -> String {
    std::env::var("USER").unwrap_or_else(|_| "user".into())
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().take(15).collect();
    if name.is_empty() {
        "LOCALHOST".into()
    } else {
        name.to_uppercase()
    }
}

fn lossy(value: &OsStr) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn list_to_windows(value: &OsStr) -> String {
    let mut parts: Vec<String> = std::env::split_paths(value)
        .filter(|p| !p.as_os_str().is_empty())
        .map(|p| path::to_windows(&p))
        .collect();
    if !parts
        .iter()
        .any(|part| part.eq_ignore_ascii_case("c:\\windows\\system32"))
    {
        parts.push("C:\\windows\\system32".into());
    }
    parts.join(";")
}

fn list_to_unix(value: &str) -> OsString {
    let parts = value
        .split(';')
        .filter(|p| !p.is_empty() && !p.eq_ignore_ascii_case("c:\\windows\\system32"));
    std::env::join_paths(parts.map(path::to_unix)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_translated_and_names_are_sorted_without_case() {
        let block = block(
            [
                ("b".into(), "1".into()),
                ("PATH".into(), "/usr/bin:/bin".into()),
            ]
            .into_iter(),
        );
        let text = String::from_utf16_lossy(&block);
        assert!(text.contains("PATH=Z:\\usr\\bin;Z:\\bin;C:\\windows\\system32\0"));
        let names: Vec<String> = text
            .split('\0')
            .filter_map(|e| e.split_once('='))
            .map(|(n, _)| n.to_uppercase())
            .collect();
        assert!(names.is_sorted());
        assert!(block.ends_with(&[0, 0]));
    }

    #[test]
    fn a_block_comes_back_as_it_went() {
        let block =
            block([("PATH".into(), "/a:/b".into()), ("X".into(), "y=z".into())].into_iter());
        let back = to_unix(&block);
        assert!(back.contains(&("PATH".into(), "/a:/b".into())));
        assert!(back.contains(&("X".into(), "y=z".into())));
    }
}
