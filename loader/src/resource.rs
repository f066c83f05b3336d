//! Resources of images.
//!
//! Source: Microsoft Learn, "PE Format", ".rsrc Section".

use crate::image::View;

/// Type, name or language of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Number.
    Id(u16),
    /// Name, upper case.
    Name(String),
}

impl Key {
    /// Reads a name as given to `FindResource`; `#123` is a number.
    #[must_use]
    pub fn parse(text: &str) -> Key {
        match text
            .strip_prefix('#')
            .and_then(|digits| digits.parse().ok())
        {
            Some(id) => Key::Id(id),
            None => Key::Name(text.to_uppercase()),
        }
    }
}

const IS_DIRECTORY: u32 = 0x8000_0000;

/// Returns the address of `IMAGE_RESOURCE_DATA_ENTRY` for a resource; without the wanted language, any will do.
#[must_use]
pub fn find(view: &View, root: u32, kind: &Key, name: &Key, language: u16) -> Option<u64> {
    let names = entry(view, root, root, Some(kind))? & !IS_DIRECTORY;
    let languages = entry(view, root, root.checked_add(names)?, Some(name))? & !IS_DIRECTORY;
    let table = root.checked_add(languages)?;
    let data = entry(view, root, table, Some(&Key::Id(language)))
        .or_else(|| entry(view, root, table, None))?;
    if data & IS_DIRECTORY != 0 {
        return None;
    }
    view.at(root.checked_add(data)?, 16)
}

/// Returns the offset field of the entry with `key` (or the first) in the directory at `table`.
fn entry(view: &View, root: u32, table: u32, key: Option<&Key>) -> Option<u32> {
    let named: u16 = view.read(table.checked_add(12)?)?;
    let numbered: u16 = view.read(table.checked_add(14)?)?;
    for i in 0..u32::from(named) + u32::from(numbered) {
        let at = table.checked_add(16 + i * 8)?;
        let id: u32 = view.read(at)?;
        let offset: u32 = view.read(at + 4)?;
        let matches = match key {
            None => true,
            Some(Key::Id(wanted)) => id == u32::from(*wanted),
            Some(Key::Name(wanted)) => {
                id & IS_DIRECTORY != 0
                    && string(view, root.checked_add(id & !IS_DIRECTORY)?)? == *wanted
            }
        };
        if matches {
            return Some(offset);
        }
    }
    None
}

/// Reads a counted UTF-16 string in upper case.
fn string(view: &View, at: u32) -> Option<String> {
    let len: u16 = view.read(at)?;
    let units: Option<Vec<u16>> = (0..u32::from(len))
        .map(|i| view.read(at.checked_add(2 + i * 2)?))
        .collect();
    Some(String::from_utf16_lossy(&units?).to_uppercase())
}
