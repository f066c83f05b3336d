//! Network interfaces by name and number: `netioapi.h`. They are those of Linux (`man 5 sysfs`, `/sys/class/net`).

use crate::export::Ptr;
use crate::win_api;

/// Bytes of a name with its NUL (`NDIS_IF_MAX_STRING_SIZE` and one).
const NAME_SIZE: usize = 257;

fn interfaces() -> Vec<(String, u32)> {
    let Ok(entries) = std::fs::read_dir("/sys/class/net") else {
        return Vec::new();
    };
    let describe = |entry: std::fs::DirEntry| {
        let index = std::fs::read_to_string(entry.path().join("ifindex")).ok()?;
        let name = entry.file_name().into_string().ok()?;
        Some((name, index.trim().parse().ok()?))
    };
    entries
        .filter_map(Result::ok)
        .filter_map(describe)
        .collect()
}

win_api! {
    /// Returns the number of an interface; 0 for a name of none.
    "iphlpapi.dll" stdcall fn if_nametoindex(name: Ptr<u8>) -> u32 {
        let name = name.read_c_string();
        let found = interfaces().into_iter().find(|(other, _)| other.as_bytes() == name);
        found.map_or(0, |(_, index)| index)
    }

    /// Returns the name of an interface; NULL for a number of none.
    "iphlpapi.dll" stdcall fn if_indextoname(index: u32, to: Ptr<u8>) -> Ptr<u8> {
        let found = interfaces().into_iter().find(|(_, other)| *other == index);
        match found.filter(|(name, _)| name.len() < NAME_SIZE) {
            Some((name, _)) => {
                to.write_bytes(&[name.as_bytes(), &[0]].concat());
                to
            }
            None => Ptr::NULL,
        }
    }
}
