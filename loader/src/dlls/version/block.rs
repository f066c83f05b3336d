//! `VS_VERSIONINFO` in memory: a tree of blocks, each with a key, a value and children.
//!
//! Source: Microsoft Learn "`VS_VERSIONINFO` structure", "`StringFileInfo` structure", "`VS_FIXEDFILEINFO` structure".

/// Bytes of `VS_FIXEDFILEINFO`.
pub const FIXED_SIZE: usize = 52;
/// Deepest path of a query.
const DEEPEST: usize = 8;

/// A block, its places as offsets from the start of the information.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its key.
    pub key: String,
    /// Where its value is.
    pub value: usize,
    /// Length of the value as the block tells it: words for text, bytes for the rest.
    pub value_length: usize,
    /// Whether the value is text.
    pub is_text: bool,
    children: usize,
    end: usize,
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes([bytes[0], bytes[1]]).into())
}

impl Block {
    /// Reads the block at an offset.
    fn read(bytes: &[u8], at: usize) -> Option<Block> {
        let (length, value_length) = (word(bytes, at)?, word(bytes, at + 2)?);
        let is_text = word(bytes, at + 4)? == 1;
        let end = at.checked_add(length)?;
        if length < 8 || end > bytes.len() {
            return None;
        }
        let mut units = Vec::new();
        let mut next = at + 6;
        loop {
            let unit = word(&bytes[..end], next)?;
            next += 2;
            if unit == 0 {
                break;
            }
            units.push(unit as u16);
        }
        let value = next.next_multiple_of(4);
        let value_bytes = if is_text {
            value_length * 2
        } else {
            value_length
        };
        Some(Block {
            key: String::from_utf16_lossy(&units),
            value,
            value_length,
            is_text,
            children: (value + value_bytes).next_multiple_of(4),
            end,
        })
    }

    fn child(&self, bytes: &[u8], key: &str) -> Option<Block> {
        let mut at = self.children;
        while at < self.end {
            let child = Block::read(&bytes[..self.end], at)?;
            if child.key.to_lowercase() == key.to_lowercase() {
                return Some(child);
            }
            at = child.end.next_multiple_of(4);
        }
        None
    }
}

/// Finds the block of a path (`\StringFileInfo\040904b0\FileVersion`); `\` is the root.
#[must_use]
pub fn find(bytes: &[u8], path: &str) -> Option<Block> {
    let mut block = Block::read(bytes, 0)?;
    for key in path.split('\\').filter(|key| !key.is_empty()).take(DEEPEST) {
        block = block.child(bytes, key)?;
    }
    Some(block)
}

/// Makes information that has only the fixed part, for a version `[major, minor, build, revision]`.
#[must_use]
pub fn fixed(version: [u16; 4]) -> Vec<u8> {
    let key: Vec<u8> = "VS_VERSION_INFO\0"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let [major, minor, build, revision] = version.map(u32::from);
    let (high, low) = (major << 16 | minor, build << 16 | revision);
    let start = (6 + key.len()).next_multiple_of(4);
    let mut bytes = Vec::new();
    for word in [start + FIXED_SIZE, FIXED_SIZE, 0] {
        bytes.extend((word as u16).to_le_bytes());
    }
    bytes.extend(key);
    bytes.resize(start, 0);
    // Signature, structure version, file and product version, flags and their mask, VOS_NT_WINDOWS32, VFT_DLL, subtype, date.
    for word in [
        0xFEEF_04BD,
        0x1_0000,
        high,
        low,
        high,
        low,
        0x3F,
        0,
        0x4_0004,
        2,
        0,
        0,
        0,
    ] {
        bytes.extend(u32::to_le_bytes(word));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_part_is_the_value_of_the_root() {
        let bytes = fixed([10, 0, 19045, 1]);
        let root = find(&bytes, "\\").expect("root");
        assert_eq!((root.value_length, root.value % 4), (FIXED_SIZE, 0));
        assert_eq!(root.key, "VS_VERSION_INFO");
        assert_eq!(
            &bytes[root.value..root.value + 4],
            &[0xBD, 0x04, 0xEF, 0xFE]
        );
        assert_eq!(find(&bytes, "\\VarFileInfo\\Translation"), None);
        assert_eq!(find(&bytes[..20], "\\"), None);
    }
}
