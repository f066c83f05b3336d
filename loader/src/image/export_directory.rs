//! The export directory of a mapped image, built-in or not.

use super::view::View;

/// What an export leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exported {
    /// An address in the image.
    Address(u64),
    /// `dll.Name` or `dll.#ordinal` of another image.
    Forwarder(String),
}

/// Reader of one image's export directory.
#[derive(Clone, Copy, Debug)]
pub struct Exports {
    view: View,
    directory: u32,
    directory_size: u32,
    ordinal_base: u32,
    functions: u32,
    function_count: u32,
    names: u32,
    name_count: u32,
    name_ordinals: u32,
    is_built_in: bool,
}

impl Exports {
    /// Opens the directory of a built-in DLL, whose variables lie above its image.
    #[must_use]
    pub fn of_built_in(view: View, directory: (u32, u32)) -> Option<Exports> {
        Exports::new(view, directory).map(|exports| Exports {
            is_built_in: true,
            ..exports
        })
    }

    /// Opens the directory at `directory`.
    #[must_use]
    pub fn new(view: View, (directory, directory_size): (u32, u32)) -> Option<Exports> {
        let word = |offset: u32| view.read::<u32>(directory.checked_add(offset)?);
        Some(Exports {
            view,
            directory,
            directory_size,
            ordinal_base: word(16)?,
            function_count: word(20)?,
            name_count: word(24)?,
            functions: word(28)?,
            names: word(32)?,
            name_ordinals: word(36)?,
            is_built_in: false,
        })
    }

    /// Finds an export by name; the table is sorted.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<Exported> {
        let (mut low, mut high) = (0, self.name_count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.compare(middle, name.as_bytes())? {
                std::cmp::Ordering::Equal => {
                    let index: u16 = self
                        .view
                        .read(self.name_ordinals.checked_add(middle.checked_mul(2)?)?)?;
                    return self.by_index(u32::from(index));
                }
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Finds an export by ordinal.
    #[must_use]
    pub fn by_ordinal(&self, ordinal: u32) -> Option<Exported> {
        self.by_index(ordinal.checked_sub(self.ordinal_base)?)
    }

    /// Returns the named export that starts at or nearest below `rva`.
    #[must_use]
    pub fn nearest(&self, rva: u32) -> Option<(String, u32)> {
        let mut best: Option<(u32, u32)> = None;
        for i in 0..self.name_count.min(0x1_0000) {
            let index: u16 = self.view.read(self.name_ordinals.checked_add(i * 2)?)?;
            let start: u32 = self
                .view
                .read(self.functions.checked_add(u32::from(index) * 4)?)?;
            if start <= rva && best.is_none_or(|(found, _)| found < start) {
                best = Some((start, i));
            }
        }
        let (start, i) = best?;
        Some((
            self.view
                .name(self.view.read(self.names.checked_add(i * 4)?)?)?,
            rva - start,
        ))
    }

    fn by_index(&self, index: u32) -> Option<Exported> {
        if index >= self.function_count {
            return None;
        }
        let rva: u32 = self
            .view
            .read(self.functions.checked_add(index.checked_mul(4)?)?)?;
        if rva == 0 {
            return None;
        }
        if rva >= self.directory && rva - self.directory < self.directory_size {
            return Some(Exported::Forwarder(self.view.name(rva)?));
        }
        let address = if self.is_built_in {
            Some(self.view.base + u64::from(rva))
        } else {
            self.view.at(rva, 0)
        };
        address.map(Exported::Address)
    }

    /// Compares the name at `index` with `wanted`, bytewise.
    fn compare(&self, index: u32, wanted: &[u8]) -> Option<std::cmp::Ordering> {
        let name: u32 = self
            .view
            .read(self.names.checked_add(index.checked_mul(4)?)?)?;
        for (i, &byte) in wanted.iter().enumerate() {
            let found: u8 = self.view.read(name.checked_add(i as u32)?)?;
            match found.cmp(&byte) {
                std::cmp::Ordering::Equal => {}
                other => return Some(other),
            }
        }
        let end: u8 = self.view.read(name.checked_add(wanted.len() as u32)?)?;
        Some(end.cmp(&0))
    }
}
