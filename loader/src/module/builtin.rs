//! Built-in DLLs as images in guest memory.
//!
//! Each is a real PE image: headers, a section of stubs and an export directory, so that
//! `GetProcAddress`, programs that walk export tables themselves, and stack traces all see a DLL.

use std::collections::HashMap;
use std::sync::OnceLock;

use ntlpc_abi::Width;

use crate::export::{EXPORTS, Entry, Export, Ptr};
use crate::gate::stubs;
use crate::image::View;
use crate::vm::low;
use crate::vm::{PAGE, page};
use crate::width;

/// Returns whether a built-in DLL of this lower-case name exists.
#[must_use]
pub fn exists(dll: &str) -> bool {
    by_dll().contains_key(dll)
}

/// Returns whether the program's own copy of this DLL must not replace the built-in one.
#[must_use]
pub fn is_known_dll(dll: &str) -> bool {
    // The rest (vcruntime140.dll, msvcp140.dll, …) may be shipped with a program.
    const KNOWN: &[&str] = &[
        "ntdll.dll",
        "kernel32.dll",
        "kernelbase.dll",
        "advapi32.dll",
        "sechost.dll",
        "msvcrt.dll",
        "ucrtbase.dll",
        "rpcrt4.dll",
        "user32.dll",
        "ws2_32.dll",
        "wsock32.dll",
        "shell32.dll",
        "ole32.dll",
        "oleaut32.dll",
        "combase.dll",
        "bcrypt.dll",
        "bcryptprimitives.dll",
        "crypt32.dll",
    ];
    KNOWN.contains(&dll)
}

/// Returns whether a built-in DLL exports `name` (or `#ordinal`), without loading it.
#[must_use]
pub fn has(dll: &str, name: &crate::image::ImportName) -> bool {
    use crate::image::ImportName;
    by_dll().get(dll).is_some_and(|exports| {
        exports.iter().any(|export| match name {
            ImportName::Name(name) => {
                let public = public_name(dll, name).unwrap_or(name);
                export.names().any(|n| n == public)
            }
            ImportName::Ordinal(ordinal) => export.ordinal == Some(*ordinal),
        })
    })
}

/// Returns the name behind a private one: DLLs of Windows call functions of `ucrtbase.dll` by names of their own, with
/// `_o_` in front (`api-ms-win-crt-private-l1-1-0.dll`).
#[must_use]
pub fn public_name<'a>(dll: &str, name: &'a str) -> Option<&'a str> {
    name.strip_prefix("_o_").filter(|_| dll == "ucrtbase.dll")
}

fn by_dll() -> &'static HashMap<&'static str, Vec<&'static Export>> {
    static BY_DLL: OnceLock<HashMap<&'static str, Vec<&'static Export>>> = OnceLock::new();
    BY_DLL.get_or_init(|| {
        let mut map: HashMap<&'static str, Vec<&'static Export>> = HashMap::new();
        let is_there = |export: &&Export| match export.entry {
            Entry::Function(_) | Entry::Data(_) => true,
            Entry::Code32(_) => width() == Width::X86,
        };
        for export in EXPORTS.iter().filter(is_there) {
            for dll in export.dlls.split('|') {
                map.entry(dll).or_default().push(export);
            }
        }
        map
    })
}

/// What [`build`] made.
#[derive(Clone, Copy, Debug)]
pub struct Built {
    /// The image.
    pub view: View,
    /// `(rva, size)` of the export directory.
    pub exports: (u32, u32),
}

/// Section alignment of the image.
const ALIGN: usize = PAGE;
const TEXT: usize = ALIGN;
const DIRECTORY_BYTES: usize = 40;

/// Makes the image of a built-in DLL.
pub fn build(dll: &str) -> Option<Built> {
    let exports = by_dll().get(dll)?;
    let table = Table::new(exports);
    let stubs_size = (exports.len() + 1) * stubs::STUB_BYTES;
    let code_size = |export: &&Export| match &export.entry {
        Entry::Code32(code) => code.bytes().len(),
        Entry::Function(_) | Entry::Data(_) => 0,
    };
    let text_size = stubs_size + exports.iter().map(code_size).sum::<usize>();
    let edata = (TEXT + text_size).next_multiple_of(ALIGN);
    let edata_size = table.bytes(dll);
    let size = (edata + edata_size).next_multiple_of(ALIGN);
    let base = low::allocate_image(size);

    let mut text = vec![0_u8; text_size];
    text[..8].copy_from_slice(&stubs::gate_address().to_le_bytes());
    let first = stubs::take_indexes(exports.len());
    let mut rvas = Vec::with_capacity(exports.len());
    let mut free = stubs_size;
    for (i, export) in exports.iter().enumerate() {
        let offset = (i + 1) * stubs::STUB_BYTES;
        let at = base + (TEXT + offset) as u64;
        let code = match &export.entry {
            Entry::Function(function) => {
                let name = export.names().next().unwrap_or_default().to_owned();
                stubs::define(
                    first + i,
                    stubs::Stub {
                        address: at,
                        dll: dll.to_owned(),
                        name,
                        target: function,
                    },
                );
                stubs::code(first + i, at, base + TEXT as u64, Some(function))
            }
            Entry::Data(slot) => {
                // The arena puts variables above images.
                rvas.push((slot.address() - base) as u32);
                continue;
            }
            Entry::Code32(code) => {
                let code = code.bytes();
                text[free..free + code.len()].copy_from_slice(code);
                rvas.push((TEXT + free) as u32);
                free += code.len();
                continue;
            }
        };
        text[offset..offset + stubs::STUB_BYTES].copy_from_slice(&code);
        rvas.push((TEXT + offset) as u32);
    }
    let mut edata_bytes = vec![0_u8; edata_size];
    table.write(&mut edata_bytes, edata, dll, &rvas);

    Ptr::<u8>::new(base).write_bytes(&headers(base, text_size, edata, edata_size, size));
    Ptr::<u8>::new(base + TEXT as u64).write_bytes(&text);
    Ptr::<u8>::new(base + edata as u64).write_bytes(&edata_bytes);
    low::seal(base, TEXT, page::READONLY);
    low::seal(base + TEXT as u64, text_size, page::EXECUTE_READ);
    low::seal(base + edata as u64, edata_size, page::READONLY);
    Some(Built {
        view: View {
            base,
            size: size as u32,
        },
        exports: (edata as u32, edata_size as u32),
    })
}

/// The export directory in the making.
struct Table {
    /// Sorted `(name, index into the exports)`.
    names: Vec<(&'static str, usize)>,
    /// Ordinal minus one of each export.
    slots: Vec<usize>,
    slot_count: usize,
}

impl Table {
    fn new(exports: &[&'static Export]) -> Table {
        let mut names: Vec<_> = exports
            .iter()
            .enumerate()
            .flat_map(|(i, e)| e.names().map(move |name| (name, i)))
            .collect();
        names.sort_unstable();
        names.dedup_by_key(|(name, _)| *name);
        let fixed = exports.iter().filter_map(|e| e.ordinal).max().unwrap_or(0);
        let mut next = usize::from(fixed);
        let slots = exports
            .iter()
            .map(|export| match export.ordinal {
                Some(ordinal) => usize::from(ordinal.max(1)) - 1,
                None => {
                    next += 1;
                    next - 1
                }
            })
            .collect();
        Table {
            names,
            slots,
            slot_count: next,
        }
    }

    fn bytes(&self, dll: &str) -> usize {
        let strings: usize = self.names.iter().map(|(name, _)| name.len() + 1).sum();
        DIRECTORY_BYTES + self.slot_count * 4 + self.names.len() * 6 + strings + dll.len() + 1
    }

    /// Writes IMAGE_EXPORT_DIRECTORY and its tables. Source: Microsoft Learn, "PE Format", ".edata Section".
    fn write(&self, out: &mut [u8], rva: usize, dll: &str, rvas: &[u32]) {
        let functions = DIRECTORY_BYTES;
        let names = functions + self.slot_count * 4;
        let ordinals = names + self.names.len() * 4;
        let mut string = ordinals + self.names.len() * 2;
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        let word = |value: usize| (value as u32).to_le_bytes();
        put(12, &word(rva + string));
        put(string, dll.as_bytes());
        string += dll.len() + 1;
        put(16, &word(1));
        put(20, &word(self.slot_count));
        put(24, &word(self.names.len()));
        put(28, &word(rva + functions));
        put(32, &word(rva + names));
        put(36, &word(rva + ordinals));
        for (index, slot) in self.slots.iter().enumerate() {
            put(functions + slot * 4, &rvas[index].to_le_bytes());
        }
        for (i, (name, index)) in self.names.iter().enumerate() {
            put(names + i * 4, &word(rva + string));
            put(ordinals + i * 2, &(self.slots[*index] as u16).to_le_bytes());
            put(string, name.as_bytes());
            string += name.len() + 1;
        }
    }
}

/// Returns the headers of an image with the sections `.text` and `.edata`.
fn headers(base: u64, text_size: usize, edata: usize, edata_size: usize, size: usize) -> Vec<u8> {
    const PE: usize = 0x40;
    let is_x64 = width() == Width::X64;
    let mut bytes = vec![0_u8; 0x200];
    let mut put = |at: usize, value: u64, len: usize| {
        bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len])
    };
    put(0, 0x5a4d, 2);
    put(0x3c, PE as u64, 4);
    put(PE, 0x4550, 4);
    put(PE + 4, if is_x64 { 0x8664 } else { 0x14c }, 2);
    put(PE + 6, 2, 2);
    let optional_size = if is_x64 { 0xf0 } else { 0xe0 };
    put(PE + 20, optional_size, 2);
    // EXECUTABLE_IMAGE, LARGE_ADDRESS_AWARE, DLL.
    put(PE + 22, 0x2022, 2);
    let opt = PE + 24;
    put(opt, if is_x64 { 0x20b } else { 0x10b }, 2);
    put(opt + 4, text_size as u64, 4);
    put(opt + 20, TEXT as u64, 4);
    if is_x64 {
        put(opt + 24, base, 8);
    } else {
        put(opt + 28, base, 4);
    }
    put(opt + 32, ALIGN as u64, 4);
    put(opt + 36, 0x200, 4);
    put(opt + 40, 10, 2);
    put(opt + 48, 10, 2);
    put(opt + 56, size as u64, 4);
    put(opt + 60, 0x200, 4);
    put(opt + 68, 3, 2);
    put(opt + 70, 0x100, 2);
    let directories = opt + if is_x64 { 108 } else { 92 };
    put(directories, 16, 4);
    put(directories + 4, edata as u64, 4);
    put(directories + 8, edata_size as u64, 4);
    let table = opt + optional_size as usize;
    let mut section = |at: usize, name: &[u8], rva: usize, len: usize, characteristics: u64| {
        bytes[at..at + name.len()].copy_from_slice(name);
        let mut put = |at: usize, value: u64, len: usize| {
            bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len])
        };
        put(at + 8, len as u64, 4);
        put(at + 12, rva as u64, 4);
        put(at + 16, len as u64, 4);
        put(at + 20, rva as u64, 4);
        put(at + 36, characteristics, 4);
    };
    section(table, b".text", TEXT, text_size, 0x6000_0020);
    section(table + 40, b".edata", edata, edata_size, 0x4000_0040);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_dll_declares_a_name_or_an_ordinal_twice() {
        let mut twice = Vec::new();
        for (dll, exports) in by_dll() {
            let mut seen = std::collections::HashSet::new();
            for export in exports {
                let ordinal = export.ordinal.map(|ordinal| format!("#{ordinal}"));
                for name in export.names().map(str::to_owned).chain(ordinal) {
                    if !seen.insert(name.clone()) {
                        twice.push(format!("{dll}!{name} ({})", export.file));
                    }
                }
            }
        }
        assert!(twice.is_empty(), "{twice:#?}");
    }
}
