//! Where Win32 names live: `\Sessions\1\BaseNamedObjects`, with `Global\` and `Local\` as prefixes.
//!
//! Source: Microsoft Learn "Kernel object namespaces". The standalone host has one session, so both prefixes and bare
//! names end in `\BaseNamedObjects`.

/// The directory of named objects.
pub const BASE: &str = "\\BaseNamedObjects";

/// Returns the full path of a Win32 object name.
#[must_use]
pub fn path_of(name: &[u16]) -> Vec<u16> {
    let text = String::from_utf16_lossy(name);
    let prefixes = ["Global\\", "Local\\", "Session\\1\\"];
    let skipped = prefixes.iter().find(|p| {
        text.get(..p.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(p))
    });
    let mut path: Vec<u16> = BASE.encode_utf16().collect();
    path.push(u16::from(b'\\'));
    path.extend_from_slice(&name[skipped.map_or(0, |p| p.len())..]);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_name_the_same_directory() {
        let of = |name: &str| {
            String::from_utf16_lossy(&path_of(&name.encode_utf16().collect::<Vec<_>>()))
        };
        for name in ["x", "Global\\x", "local\\x"] {
            assert_eq!(of(name), "\\BaseNamedObjects\\x", "{name}");
        }
    }
}
