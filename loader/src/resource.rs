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

/// What of a resource is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Its type.
    Type,
    /// Its name.
    Name,
    /// Its language.
    Language,
}

/// The language of the user and of the system: English (United States).
const OWN_LANGUAGE: u16 = 0x409;
/// The bits of a language without those of the country.
const PRIMARY: u16 = 0x3ff;

/// Returns the address of `IMAGE_RESOURCE_DATA_ENTRY` for a resource.
///
/// The wanted language comes first, then what is neutral in it or at all; who wants a neutral one gets the user's or any.
pub fn find(view: &View, root: u32, kind: &Key, name: &Key, language: u16) -> Result<u64, Missing> {
    let below = |table: u32, key: Option<&Key>| {
        let offset = entry(view, root, table, key)? & !IS_DIRECTORY;
        root.checked_add(offset)
    };
    let names = below(root, Some(kind)).ok_or(Missing::Type)?;
    let languages = below(names, Some(name)).ok_or(Missing::Name)?;
    let neutral = language & PRIMARY == 0;
    let own = neutral.then_some([OWN_LANGUAGE, OWN_LANGUAGE & PRIMARY]);
    [language, language & PRIMARY, 0]
        .into_iter()
        .chain(own.into_iter().flatten())
        .find_map(|id| entry(view, root, languages, Some(&Key::Id(id))))
        .or_else(|| entry(view, root, languages, None).filter(|_| neutral))
        .filter(|data| data & IS_DIRECTORY == 0)
        .and_then(|data| view.at(root.checked_add(data)?, 16))
        .ok_or(Missing::Language)
}

/// Returns the names of the resources of a type.
#[must_use]
pub fn names(view: &View, root: u32, kind: &Key) -> Option<Vec<Key>> {
    let table = root.checked_add(entry(view, root, root, Some(kind))? & !IS_DIRECTORY)?;
    let named: u16 = view.read(table.checked_add(12)?)?;
    let numbered: u16 = view.read(table.checked_add(14)?)?;
    let key_at = |i: u32| {
        let id: u32 = view.read(table.checked_add(16 + i * 8)?)?;
        match id & IS_DIRECTORY {
            0 => Some(Key::Id(id as u16)),
            _ => string(view, root.checked_add(id & !IS_DIRECTORY)?).map(Key::Name),
        }
    };
    (0..u32::from(named) + u32::from(numbered))
        .map(key_at)
        .collect()
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
