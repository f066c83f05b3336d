//! Volumes: every drive is one, with a device and a name by GUID, as the mount manager knows them.
//!
//! Source: Microsoft Learn "Naming a Volume", "Mount Manager I/O Control Codes".

use super::path;

/// Path of the mount manager's device; a file of that device has it as its path.
pub const MOUNT_MANAGER: &str = "\\Device\\MountPointManager";

/// Letters of the drives there are.
pub const LETTERS: [char; 2] = ['C', 'Z'];

fn number(letter: char) -> u32 {
    u32::from(letter.to_ascii_uppercase()).saturating_sub(u32::from('A')) + 1
}

/// Returns the device behind a drive: `\Device\HarddiskVolume3` for `C`.
pub fn device(letter: char) -> String {
    format!("\\Device\\HarddiskVolume{}", number(letter))
}

/// Returns the name by GUID of the volume behind a drive: `Volume{…}`.
pub fn guid_name(letter: char) -> String {
    format!("Volume{{6e746c70-6300-4000-8000-{:012x}}}", number(letter))
}

/// Returns the bytes by which the mount manager tells a volume from all others; only equality means something.
pub fn unique_id(letter: char) -> Vec<u8> {
    format!("ntlpc:{letter}").into_bytes()
}

fn in_place_of_drive(windows: &str, volume: impl Fn(char) -> String) -> String {
    let mut rest = windows.chars();
    match (rest.next(), rest.next()) {
        (Some(letter), Some(':')) => volume(letter) + rest.as_str(),
        _ => windows.to_owned(),
    }
}

/// Returns a path with the device in place of its drive: `\Device\HarddiskVolume3\…` for `C:\…`.
pub fn device_path(windows: &str) -> String {
    in_place_of_drive(windows, device)
}

/// Returns a path with the volume's GUID in place of its drive: `\\?\Volume{…}\…` for `C:\…`.
pub fn guid_path(windows: &str) -> String {
    in_place_of_drive(windows, |letter| format!("\\\\?\\{}", guid_name(letter)))
}

/// Returns the path by drive, `\\?\C:\…`, of one that starts with a volume's device or GUID, in Win32's or NT's form.
pub fn to_drive(path: &str) -> Option<String> {
    let without = |prefix: &str| {
        path.get(..prefix.len())
            .filter(|start| start.eq_ignore_ascii_case(prefix))
            .map(|_| &path[prefix.len()..])
    };
    let (volume, names): (_, fn(char) -> String) =
        ["\\\\?\\GLOBALROOT\\", "\\\\.\\GLOBALROOT\\", "\\"]
            .iter()
            .find_map(|prefix| without(&format!("{prefix}Device\\")))
            .map(|volume| {
                (
                    volume,
                    (|letter| device(letter)[8..].to_owned()) as fn(char) -> String,
                )
            })
            .or_else(|| {
                ["\\\\?\\", "\\\\.\\", "\\??\\"]
                    .iter()
                    .find_map(|prefix| without(prefix))
                    .map(|volume| (volume, guid_name as fn(char) -> String))
            })?;
    let (name, rest) = volume.split_at(volume.find('\\')?);
    LETTERS
        .iter()
        .find(|letter| names(**letter).eq_ignore_ascii_case(name))
        .map(|letter| format!("\\\\?\\{letter}:{rest}"))
}

/// Returns the path of an open file by its device, as NT names it; `None` for what no volume holds.
pub fn path_of(fd: std::os::fd::BorrowedFd<'_>) -> Option<String> {
    use std::os::fd::AsRawFd;
    let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()?;
    let windows = path::to_windows(&link);
    windows.contains(':').then(|| device_path(&windows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_drives() {
        for windows in ["C:\\a\\b", "Z:\\"] {
            let drive = Some(format!("\\\\?\\{windows}"));
            let native = device_path(windows);
            assert_eq!(to_drive(&native), drive);
            assert_eq!(to_drive(&format!("\\\\?\\GLOBALROOT{native}")), drive);
            assert_eq!(to_drive(&guid_path(windows)), drive);
        }
        assert_eq!(device_path("\\x"), "\\x");
        for other in [
            "\\Device\\HarddiskVolume3",
            "\\Device\\HarddiskVolume99\\x",
            "\\Device\\Null\\x",
            "\\\\?\\Volume{0}\\x",
            "\\\\?\\C:\\x",
            "C:\\x",
            "",
        ] {
            assert_eq!(to_drive(other), None, "{other}");
        }
    }
}
