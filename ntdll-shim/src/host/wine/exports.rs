//! A longer export directory for an image that is already mapped. Source: PE format, "The .edata Section".
//!
//! The image's own directory stays where it is and its names are used where they lie, so that little is read and little
//! written: this runs at the start of every process.

/// Size of `IMAGE_EXPORT_DIRECTORY`.
const HEADER: usize = 40;
const NAME: usize = 12;
const FUNCTION_COUNT: usize = 20;
const NAME_COUNT: usize = 24;
const FUNCTIONS: usize = 28;
const NAMES: usize = 32;
const ORDINALS: usize = 36;
/// Offset of the optional header in the NT headers, and of what follows its start in both widths.
const OPTIONAL: usize = 24;
const SIZE_OF_IMAGE: usize = OPTIONAL + 56;
/// More exports than any ntdll has; bounds the work on a damaged image.
const MOST: usize = 1 << 15;

/// Machine of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// x86-64: a PE32+ image.
    X64,
    /// i386: a PE32 image.
    X86,
}

impl Machine {
    /// `Machine` of the file header.
    fn code(self) -> u16 {
        match self {
            Machine::X64 => 0x8664,
            Machine::X86 => 0x14c,
        }
    }

    /// `Magic` of the optional header.
    fn magic(self) -> u16 {
        match self {
            Machine::X64 => 0x20b,
            Machine::X86 => 0x10b,
        }
    }

    /// Offset of the data directories.
    fn directories(self) -> usize {
        OPTIONAL
            + match self {
                Machine::X64 => 112,
                Machine::X86 => 96,
            }
    }

    /// Where memory ends that any program may use.
    pub fn end_of_memory(self) -> u64 {
        match self {
            Machine::X64 => 0x7fff_fffe_0000,
            Machine::X86 => 0x7ffe_0000,
        }
    }
}

/// What the headers of an image say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Whose image it is.
    pub machine: Machine,
    /// `SizeOfImage`.
    pub image_size: u32,
    /// Where the export directory lies.
    pub export_rva: u32,
    /// Its size, strings included.
    pub export_size: u32,
    /// Offset in the image of the header field that holds `export_rva`; the size follows it.
    pub directory_entry: u32,
}

impl Headers {
    /// Reads the first page of an image for `machine`.
    pub fn parse(page: &[u8], machine: Machine) -> Option<Headers> {
        if !page.starts_with(b"MZ") {
            return None;
        }
        let pe = u32_at(page, 0x3c)? as usize;
        let is_expected = page.get(pe..pe.checked_add(4)?)? == b"PE\0\0"
            && u16_at(page, pe + 4)? == machine.code()
            && u16_at(page, pe + OPTIONAL)? == machine.magic();
        is_expected.then_some(())?;
        let directory = pe + machine.directories();
        Some(Headers {
            machine,
            image_size: u32_at(page, pe + SIZE_OF_IMAGE)?,
            export_rva: u32_at(page, directory)?,
            export_size: u32_at(page, directory + 4)?,
            directory_entry: u32::try_from(directory).ok()?,
        })
    }
}

/// The export directory of an image.
#[derive(Debug)]
pub struct Exports<'a> {
    /// The directory with its strings.
    bytes: &'a [u8],
    rva: u32,
    /// Addresses of the functions, then of the names in bytewise order, then the function index of each name.
    functions: &'a [u8],
    names: &'a [u8],
    ordinals: &'a [u8],
}

impl<'a> Exports<'a> {
    /// Reads the directory whose bytes, strings included, begin at `rva`.
    pub fn parse(bytes: &'a [u8], rva: u32) -> Option<Exports<'a>> {
        let count = |field| Some(u32_at(bytes, field)? as usize).filter(|&count| count <= MOST);
        let table = |field, length: usize| {
            let start = u32_at(bytes, field)?.checked_sub(rva)? as usize;
            bytes.get(start..start.checked_add(length)?)
        };
        let (functions, names) = (count(FUNCTION_COUNT)?, count(NAME_COUNT)?);
        Some(Exports {
            bytes: (bytes.len() >= HEADER).then_some(bytes)?,
            rva,
            functions: table(FUNCTIONS, 4 * functions)?,
            names: table(NAMES, 4 * names)?,
            ordinals: table(ORDINALS, 2 * names)?,
        })
    }

    /// Returns the name the image gives itself.
    pub fn dll_name(&self) -> Option<&'a [u8]> {
        self.string(u32_at(self.bytes, NAME)?)
    }

    /// Returns the RVA of an exported function or variable.
    pub fn find(&self, name: &str) -> Option<u32> {
        let position = self.position(name)?.ok()?;
        let rva = self.function(self.ordinal(position)?)?;
        self.offset(rva).is_none().then_some(rva)
    }

    /// Plans a directory with further exports; a name that is there already leads to the new address.
    ///
    /// The addresses count from a place that only [`Longer::write`] is told. `None` if a name cannot be read.
    pub fn extend(&self, exports: impl Iterator<Item = (String, usize)>) -> Option<Longer<'a, '_>> {
        let mut longer = Longer {
            old: self,
            replaced: Vec::new(),
            added: Vec::new(),
        };
        for (name, at) in exports {
            let at = u32::try_from(at).ok()?;
            match self.position(&name)? {
                Ok(position) => longer.replaced.push((self.ordinal(position)?, at)),
                Err(position) => longer.added.push(Added { position, name, at }),
            }
        }
        let added = &mut longer.added;
        added.sort_by(|a, b| (a.position, &a.name).cmp(&(b.position, &b.name)));
        let functions = self.functions.len() / 4 + added.len();
        (functions <= MOST).then_some(longer)
    }

    /// Returns where a name stands in the list of names, or would.
    fn position(&self, name: &str) -> Option<Result<usize, usize>> {
        let (mut low, mut high) = (0, self.names.len() / 4);
        while low < high {
            let middle = low.midpoint(high);
            match self.name(middle)?.cmp(name.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(Ok(middle)),
            }
        }
        Some(Err(low))
    }

    fn name(&self, position: usize) -> Option<&'a [u8]> {
        self.string(u32_at(self.names, 4 * position)?)
    }

    /// Function index of a name.
    fn ordinal(&self, position: usize) -> Option<u16> {
        u16_at(self.ordinals, 2 * position)
    }

    fn function(&self, index: u16) -> Option<u32> {
        u32_at(self.functions, 4 * usize::from(index))
    }

    fn string(&self, rva: u32) -> Option<&'a [u8]> {
        string_at(self.bytes, self.offset(rva)?)
    }

    /// Offset of an address in the directory. A function whose address lies there is a forwarder: the text `dll.name`.
    fn offset(&self, rva: u32) -> Option<usize> {
        let offset = rva.checked_sub(self.rva)? as usize;
        (offset < self.bytes.len()).then_some(offset)
    }

    /// The forwarders: function index and text.
    fn forwarders(&self) -> impl Iterator<Item = (usize, &'a [u8])> {
        let rvas = self.functions.as_chunks().0.iter().copied();
        rvas.map(u32::from_le_bytes)
            .enumerate()
            .filter_map(|(index, rva)| Some((index, self.string(rva)?)))
    }
}

/// A directory that is not yet anywhere.
#[derive(Debug)]
pub struct Longer<'a, 'e> {
    old: &'e Exports<'a>,
    /// Function index and new address.
    replaced: Vec<(u16, u32)>,
    /// In the order of the names.
    added: Vec<Added>,
}

#[derive(Debug)]
struct Added {
    /// Which of the old names it comes before.
    position: usize,
    name: String,
    at: u32,
}

impl Longer<'_, '_> {
    /// Returns how many names are new.
    pub fn added(&self) -> usize {
        self.added.len()
    }

    /// Returns the size of the directory.
    pub fn size(&self) -> usize {
        let strings = self.added.iter().map(|added| added.name.len() + 1);
        let forwarders = self.old.forwarders().map(|(_, target)| target.len() + 1);
        self.strings() + strings.sum::<usize>() + forwarders.sum::<usize>()
    }

    /// Writes the directory into `bytes`, which have its size and lie at `rva`; addresses of new exports count from `base`.
    pub fn write(&self, bytes: &mut [u8], rva: u32, base: u32) {
        let old = self.old;
        let (functions, names, ordinals) = (HEADER, self.names(), self.ordinals());
        bytes[..HEADER].copy_from_slice(&old.bytes[..HEADER]);
        let function_count = (names - functions) / 4;
        for (field, value) in [
            (FUNCTION_COUNT, function_count as u32),
            (NAME_COUNT, ((ordinals - names) / 4) as u32),
            (FUNCTIONS, rva + functions as u32),
            (NAMES, rva + names as u32),
            (ORDINALS, rva + ordinals as u32),
        ] {
            put_u32(bytes, field, value);
        }

        // Old functions keep their indexes, new ones follow.
        bytes[functions..][..old.functions.len()].copy_from_slice(old.functions);
        for &(index, at) in &self.replaced {
            put_u32(bytes, functions + 4 * usize::from(index), base + at);
        }
        let first_added = old.functions.len() / 4;
        let mut end = self.strings();
        let mut append = |bytes: &mut [u8], string: &[u8]| {
            let at = end;
            bytes[at..][..string.len()].copy_from_slice(string);
            end += string.len() + 1;
            rva + at as u32
        };
        for (index, target) in old.forwarders() {
            let address = append(bytes, target);
            put_u32(bytes, functions + 4 * index, address);
        }

        // Runs of old names, each followed by the new name that comes behind it.
        let mut done = 0;
        for (number, added) in self.added.iter().enumerate() {
            let index = first_added + number;
            put_u32(bytes, functions + 4 * index, base + added.at);
            self.copy_names(bytes, done..added.position, number);
            done = added.position;
            let address = append(bytes, added.name.as_bytes());
            put_u32(bytes, names + 4 * (done + number), address);
            bytes[ordinals + 2 * (done + number)..][..2]
                .copy_from_slice(&(index as u16).to_le_bytes());
        }
        self.copy_names(bytes, done..old.names.len() / 4, self.added.len());
    }

    /// Copies old names and their ordinals behind `shift` new ones.
    fn copy_names(&self, bytes: &mut [u8], run: std::ops::Range<usize>, shift: usize) {
        let mut copy = |from: &[u8], to: usize, size: usize| {
            let from = &from[size * run.start..size * run.end];
            bytes[to + size * (run.start + shift)..][..from.len()].copy_from_slice(from);
        };
        copy(self.old.names, self.names(), 4);
        copy(self.old.ordinals, self.ordinals(), 2);
    }

    /// Offset of the list of names.
    fn names(&self) -> usize {
        HEADER + self.old.functions.len() + 4 * self.added.len()
    }

    fn ordinals(&self) -> usize {
        self.names() + self.old.names.len() + 4 * self.added.len()
    }

    fn strings(&self) -> usize {
        self.ordinals() + self.old.ordinals.len() + 2 * self.added.len()
    }
}

fn put_u32(bytes: &mut [u8], offset: usize, value: u32) {
    bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_le_bytes(
        bytes.get(offset..offset.checked_add(2)?)?.try_into().ok()?,
    ))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(
        bytes.get(offset..offset.checked_add(4)?)?.try_into().ok()?,
    ))
}

fn string_at(bytes: &[u8], offset: usize) -> Option<&[u8]> {
    let tail = bytes.get(offset..)?;
    Some(&tail[..tail.iter().position(|&byte| byte == 0)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the sample lies, and where longer directories are laid.
    const OLD: u32 = 0x5000;
    const NEW: u32 = 0x9000;

    /// A directory with ordinal base 1 and the exports NtAlertThread, NtClose, and `Forwarded` to other.Call.
    fn sample() -> Vec<u8> {
        let tables: [&[u32]; 2] = [&[0x100, 0x200, OLD + 76], &[OLD + 87, OLD + 97, OLD + 111]];
        let mut bytes = vec![0; HEADER];
        for (field, value) in [
            (16, 1),
            (NAME, OLD + 66),
            (FUNCTION_COUNT, 3),
            (NAME_COUNT, 3),
            (FUNCTIONS, OLD + 40),
            (NAMES, OLD + 119),
            (ORDINALS, OLD + 52),
        ] {
            put_u32(&mut bytes, field, value);
        }
        bytes.extend(tables[0].iter().flat_map(|rva| rva.to_le_bytes()));
        bytes.extend([2, 0, 1, 0, 0, 0]);
        bytes.resize(66, 0);
        bytes.extend(b"ntdll.dll\0other.Call\0Forwarded\0NtAlertThread\0NtClose\0");
        bytes.extend(tables[1].iter().flat_map(|rva| rva.to_le_bytes()));
        bytes
    }

    /// Old bytes and the longer directory of a sample, as one image sees them.
    fn extended(exports: &[(&str, usize)]) -> Vec<u8> {
        let old = sample();
        let directory = Exports::parse(&old, OLD).expect("well formed");
        let list = exports.iter().map(|&(name, at)| (name.to_owned(), at));
        let longer = directory.extend(list).expect("readable");
        let mut image = old.clone();
        image.resize((NEW - OLD) as usize, 0);
        let mut new = vec![0; longer.size()];
        longer.write(&mut new, NEW, 0x1_0000);
        image.extend(new);
        image
    }

    /// Name, function index and address of every export, as a loader reads them.
    fn listed(image: &[u8]) -> Vec<(String, u16, u32)> {
        let at = |rva: u32| (rva - OLD) as usize;
        let field = |offset| u32_at(image, at(NEW) + offset).expect("there");
        (0..field(NAME_COUNT) as usize)
            .map(|position| {
                let name = u32_at(image, at(field(NAMES)) + 4 * position).expect("there");
                let index = u16_at(image, at(field(ORDINALS)) + 2 * position).expect("there");
                let function = at(field(FUNCTIONS)) + 4 * usize::from(index);
                let name = string_at(image, at(name)).expect("terminated").to_vec();
                let name = String::from_utf8(name).expect("text");
                (name, index, u32_at(image, function).expect("there"))
            })
            .collect()
    }

    #[test]
    fn exports_are_found_and_forwarders_are_not() {
        let bytes = sample();
        let exports = Exports::parse(&bytes, OLD).expect("well formed");
        assert_eq!(exports.find("NtClose"), Some(0x100));
        assert_eq!(exports.find("NtAlertThread"), Some(0x200));
        assert_eq!(exports.find("Forwarded"), None);
        assert_eq!(exports.find("NtReplyPort"), None);
        assert_eq!(exports.dll_name(), Some(b"ntdll.dll".as_slice()));
    }

    #[test]
    fn replaced_name_keeps_its_ordinal_and_new_names_come_in_order() {
        let image = extended(&[("NtReplyPort", 4), ("NtClose", 8), ("AlpcGet", 12)]);
        let expected = [
            ("AlpcGet", 3, 0x1_000c),
            ("Forwarded", 2, 0),
            ("NtAlertThread", 1, 0x200),
            ("NtClose", 0, 0x1_0008),
            ("NtReplyPort", 4, 0x1_0004),
        ];
        for ((name, index, rva), expected) in listed(&image).into_iter().zip(expected) {
            assert_eq!((name.as_str(), index), (expected.0, expected.1));
            assert!(expected.2 == 0 || rva == expected.2, "{name}");
        }
        assert_eq!(listed(&image).len(), expected.len());
    }

    #[test]
    fn forwarder_lies_inside_the_new_directory() {
        let image = extended(&[("NtReplyPort", 4)]);
        let (_, _, rva) = listed(&image).remove(0);
        assert!((NEW..OLD + image.len() as u32).contains(&rva));
        assert_eq!(
            string_at(&image, (rva - OLD) as usize),
            Some(b"other.Call".as_slice())
        );
    }

    #[test]
    fn damaged_directory_is_refused() {
        let good = sample();
        for cut in 0..good.len() {
            if let Some(exports) = Exports::parse(&good[..cut], OLD) {
                let _ = exports.find("NtClose");
                let _ = exports.extend([("NtReplyPort".to_owned(), 4)].into_iter());
            }
        }
        let mut many = good.clone();
        put_u32(&mut many, FUNCTION_COUNT, u32::MAX);
        assert!(Exports::parse(&many, OLD).is_none());
        let mut outside = good;
        put_u32(&mut outside, NAMES, 0x10);
        assert!(Exports::parse(&outside, OLD).is_none());
        assert!(Headers::parse(b"MZ", Machine::X64).is_none());
    }
}
