//! A longer export directory for an image that is already mapped. Source: PE format, "The .edata Section".

use std::collections::BTreeMap;

/// Size of `IMAGE_EXPORT_DIRECTORY`.
const HEADER: usize = 40;
const NAME: usize = 12;
const FUNCTION_COUNT: usize = 20;
const NAME_COUNT: usize = 24;
const FUNCTIONS: usize = 28;
const NAMES: usize = 32;
const ORDINALS: usize = 36;
/// Offset of `Characteristics.PE32+` magic in the optional header, and of what follows it.
const OPTIONAL: usize = 24;
const MAGIC_PE32_PLUS: u16 = 0x20b;
const SIZE_OF_IMAGE: usize = OPTIONAL + 56;
const DIRECTORY: usize = OPTIONAL + 112;
/// More exports than any ntdll has; bounds the work on a damaged image.
const MOST: usize = 1 << 16;

/// What the headers of a PE32+ image say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
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
    /// Reads the first page of an x86-64 image.
    pub fn parse(page: &[u8]) -> Option<Headers> {
        if !page.starts_with(b"MZ") {
            return None;
        }
        let pe = u32_at(page, 0x3c)? as usize;
        let is_x64 = page.get(pe..pe + 6)? == b"PE\0\0\x64\x86"
            && u16_at(page, pe + OPTIONAL)? == MAGIC_PE32_PLUS;
        is_x64.then_some(())?;
        Some(Headers {
            image_size: u32_at(page, pe + SIZE_OF_IMAGE)?,
            export_rva: u32_at(page, pe + DIRECTORY)?,
            export_size: u32_at(page, pe + DIRECTORY + 4)?,
            directory_entry: u32::try_from(pe + DIRECTORY).ok()?,
        })
    }
}

/// An export directory taken apart.
#[derive(Debug)]
pub struct Exports {
    header: [u8; HEADER],
    functions: Vec<Function>,
    /// Name to index in `functions`, in the order the loader's binary search wants: bytewise.
    names: BTreeMap<Vec<u8>, u16>,
    dll_name: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Function {
    Rva(u32),
    /// `dll.name`; the loader tells it by its place inside the directory.
    Forwarder(Vec<u8>),
}

impl Exports {
    /// Takes apart the directory whose bytes, strings included, begin at `rva`.
    pub fn parse(directory: &[u8], rva: u32) -> Option<Exports> {
        let at = |address: u32| address.checked_sub(rva).map(|offset| offset as usize);
        let header: [u8; HEADER] = directory.get(..HEADER)?.try_into().ok()?;
        let function_count = u32_at(&header, FUNCTION_COUNT)? as usize;
        let name_count = u32_at(&header, NAME_COUNT)? as usize;
        if function_count > MOST || name_count > function_count {
            return None;
        }
        let (functions, names, ordinals) = (
            at(u32_at(&header, FUNCTIONS)?)?,
            at(u32_at(&header, NAMES)?)?,
            at(u32_at(&header, ORDINALS)?)?,
        );

        let mut parsed = Exports {
            header,
            functions: Vec::with_capacity(function_count),
            names: BTreeMap::new(),
            dll_name: string_at(directory, at(u32_at(&header, NAME)?)?)?.to_vec(),
        };
        for index in 0..function_count {
            let target = u32_at(directory, functions + 4 * index)?;
            parsed.functions.push(match at(target) {
                Some(offset) if offset < directory.len() => {
                    Function::Forwarder(string_at(directory, offset)?.to_vec())
                }
                _ => Function::Rva(target),
            });
        }
        for index in 0..name_count {
            let name = string_at(directory, at(u32_at(directory, names + 4 * index)?)?)?;
            let function = u16_at(directory, ordinals + 2 * index)?;
            if usize::from(function) >= function_count {
                return None;
            }
            parsed.names.insert(name.to_vec(), function);
        }
        Some(parsed)
    }

    /// Returns the file name the image was linked under.
    pub fn dll_name(&self) -> &[u8] {
        &self.dll_name
    }

    /// Returns the RVA exported as `name`, if it is not forwarded elsewhere.
    pub fn find(&self, name: &str) -> Option<u32> {
        let index = *self.names.get(name.as_bytes())?;
        match self.functions[usize::from(index)] {
            Function::Rva(rva) => Some(rva),
            Function::Forwarder(_) => None,
        }
    }

    /// Exports `rva` as `name`; an existing name keeps its ordinal. Returns whether the name is new.
    pub fn set(&mut self, name: &str, rva: u32) -> bool {
        if let Some(index) = self.names.get(name.as_bytes()) {
            self.functions[usize::from(*index)] = Function::Rva(rva);
            return false;
        }
        let Ok(index) = u16::try_from(self.functions.len()) else {
            return false;
        };
        self.functions.push(Function::Rva(rva));
        self.names.insert(name.as_bytes().to_vec(), index);
        true
    }

    /// Lays the directory out for the address `rva`. Its size is the length of the result.
    pub fn build(&self, rva: u32) -> Option<Vec<u8>> {
        let functions = HEADER;
        let names = functions + 4 * self.functions.len();
        let ordinals = names + 4 * self.names.len();
        let mut bytes = vec![0; ordinals + 2 * self.names.len()];
        bytes[..HEADER].copy_from_slice(&self.header);

        let address = |offset: usize| rva.checked_add(u32::try_from(offset).ok()?);
        let dll_name = append(&mut bytes, &self.dll_name);
        for (offset, value) in [
            (NAME, address(dll_name)?),
            (FUNCTION_COUNT, u32::try_from(self.functions.len()).ok()?),
            (NAME_COUNT, u32::try_from(self.names.len()).ok()?),
            (FUNCTIONS, address(functions)?),
            (NAMES, address(names)?),
            (ORDINALS, address(ordinals)?),
        ] {
            put_u32(&mut bytes, offset, value);
        }
        for (index, function) in self.functions.iter().enumerate() {
            let value = match function {
                Function::Rva(rva) => *rva,
                Function::Forwarder(target) => address(append(&mut bytes, target))?,
            };
            put_u32(&mut bytes, functions + 4 * index, value);
        }
        for (index, (name, function)) in self.names.iter().enumerate() {
            let value = address(append(&mut bytes, name))?;
            put_u32(&mut bytes, names + 4 * index, value);
            bytes[ordinals + 2 * index..][..2].copy_from_slice(&function.to_le_bytes());
        }
        Some(bytes)
    }
}

fn append(bytes: &mut Vec<u8>, string: &[u8]) -> usize {
    let at = bytes.len();
    bytes.extend_from_slice(string);
    bytes.push(0);
    at
}

fn put_u32(bytes: &mut [u8], offset: usize, value: u32) {
    bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_le_bytes(
        bytes.get(offset..offset + 2)?.try_into().ok()?,
    ))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(
        bytes.get(offset..offset + 4)?.try_into().ok()?,
    ))
}

fn string_at(bytes: &[u8], offset: usize) -> Option<&[u8]> {
    let tail = bytes.get(offset..)?;
    Some(&tail[..tail.iter().position(|&byte| byte == 0)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Exports {
        let mut exports = Exports {
            header: [0; HEADER],
            functions: Vec::new(),
            names: BTreeMap::new(),
            dll_name: b"ntdll.dll".to_vec(),
        };
        exports.header[16] = 1; // Base
        assert!(exports.set("NtClose", 0x100));
        assert!(exports.set("NtAlertThread", 0x200));
        exports
            .functions
            .push(Function::Forwarder(b"other.Call".to_vec()));
        exports.names.insert(b"Forwarded".to_vec(), 2);
        exports
    }

    #[test]
    fn rebuilt_directory_parses_to_the_same_exports_with_names_sorted() {
        let bytes = sample().build(0x5000).expect("fits");
        let again = Exports::parse(&bytes, 0x5000).expect("well formed");
        assert_eq!(again.find("NtClose"), Some(0x100));
        assert_eq!(again.find("Forwarded"), None);
        assert_eq!(again.dll_name(), b"ntdll.dll");
        assert!(
            matches!(&again.functions[2], Function::Forwarder(target) if target == b"other.Call")
        );
        assert_eq!(u32_at(&bytes, 16), Some(1), "ordinal base is kept");
        let names: Vec<_> = again.names.keys().collect();
        assert!(names.is_sorted());
    }

    #[test]
    fn replaced_name_keeps_its_ordinal_and_new_names_come_behind() {
        let mut exports = sample();
        assert!(!exports.set("NtClose", 0x300));
        assert!(exports.set("NtReplyPort", 0x400));
        assert_eq!(exports.find("NtClose"), Some(0x300));
        assert_eq!(exports.names[b"NtClose".as_slice()], 0);
        assert_eq!(exports.names[b"NtReplyPort".as_slice()], 3);
    }

    #[test]
    fn damaged_directory_is_refused() {
        let good = sample().build(0x5000).expect("fits");
        for cut in 0..good.len() {
            let _ = Exports::parse(&good[..cut], 0x5000);
        }
        let mut many = good.clone();
        put_u32(&mut many, FUNCTION_COUNT, u32::MAX);
        assert!(Exports::parse(&many, 0x5000).is_none());
        let mut outside = good;
        put_u32(&mut outside, NAMES, 0x10);
        assert!(Exports::parse(&outside, 0x5000).is_none());
        assert!(Headers::parse(b"MZ").is_none());
    }
}
