//! The import and delay-import directories of a mapped image.

use ntlpc_abi::Width;

use super::headers::{Directory, Headers, ImageError, damaged};
use super::view::View;

/// How an import names its function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportName {
    /// By name.
    Name(String),
    /// By ordinal.
    Ordinal(u16),
}

impl std::fmt::Display for ImportName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ImportName::Name(name) => f.write_str(name),
            ImportName::Ordinal(ordinal) => write!(f, "#{ordinal}"),
        }
    }
}

/// One imported function and where its address goes.
#[derive(Clone, Debug)]
pub struct Import {
    /// Function.
    pub name: ImportName,
    /// Slot of the import address table, relative to the image.
    pub slot: u32,
}

/// All imports from one DLL.
#[derive(Clone, Debug)]
pub struct Imports {
    /// DLL as spelled in the image.
    pub dll: String,
    /// Functions in order.
    pub functions: Vec<Import>,
    /// Whether the program resolves them itself, when first called.
    pub is_delayed: bool,
}

/// Most DLLs one image imports from; more is a bomb.
const MAX_DLLS: usize = 4096;
/// Most imports of one image; more is a bomb.
const MAX_IMPORTS: usize = 0x1_0000;

impl Imports {
    /// Reads the imports and delay imports of an image.
    pub fn read(view: &View, headers: &Headers) -> Result<Vec<Imports>, ImageError> {
        let mut all = Vec::new();
        let mut budget = MAX_IMPORTS;
        if let Some((rva, _)) = headers.directory(Directory::Import) {
            // IMAGE_IMPORT_DESCRIPTOR: OriginalFirstThunk 0, Name 12, FirstThunk 16; 20 bytes.
            for at in (rva..view.size).step_by(20) {
                let word = |offset| descriptor_word(view, at, offset);
                let (lookup, name, slots) = (word(0)?, word(12)?, word(16)?);
                if name == 0 || slots == 0 {
                    break;
                }
                check_count(all.len())?;
                let lookup = if lookup == 0 { slots } else { lookup };
                all.push(read_one(
                    view,
                    headers.width,
                    name,
                    lookup,
                    slots,
                    false,
                    &mut budget,
                )?);
            }
        }
        if let Some((rva, _)) = headers.directory(Directory::DelayImport) {
            // IMAGE_DELAYLOAD_DESCRIPTOR: Attributes 0 (bit 0: RVAs), DllName 4, IAT 12, INT 16; 32 bytes.
            for at in (rva..view.size).step_by(32) {
                let word = |offset| descriptor_word(view, at, offset);
                let (attributes, name, slots, lookup) = (word(0)?, word(4)?, word(12)?, word(16)?);
                if name == 0 {
                    break;
                }
                check_count(all.len())?;
                if attributes & 1 == 0 {
                    log::debug!("delay imports in the old format are not listed");
                    break;
                }
                all.push(read_one(
                    view,
                    headers.width,
                    name,
                    lookup,
                    slots,
                    true,
                    &mut budget,
                )?);
            }
        }
        Ok(all)
    }
}

fn check_count(dlls: usize) -> Result<(), ImageError> {
    if dlls < MAX_DLLS {
        Ok(())
    } else {
        Err(damaged!("imports from more than {MAX_DLLS} DLLs"))
    }
}

fn descriptor_word(view: &View, at: u32, offset: u32) -> Result<u32, ImageError> {
    at.checked_add(offset)
        .and_then(|rva| view.read(rva))
        .ok_or_else(|| damaged!("import descriptor at {at:#x}"))
}

fn read_one(
    view: &View,
    width: Width,
    name: u32,
    lookup: u32,
    slots: u32,
    is_delayed: bool,
    budget: &mut usize,
) -> Result<Imports, ImageError> {
    let dll = view
        .name(name)
        .ok_or_else(|| damaged!("import name at {name:#x}"))?;
    let step = width.pointer() as u32;
    let mut functions = Vec::new();
    for i in 0_u32.. {
        let bad = || damaged!("imports of {dll} at {lookup:#x}");
        let offset = i.checked_mul(step).ok_or_else(bad)?;
        let at = lookup.checked_add(offset).ok_or_else(bad)?;
        let (thunk, by_ordinal) = match width {
            Width::X64 => view.read::<u64>(at).map(|t| (t, t >> 63 != 0)),
            Width::X86 => view.read::<u32>(at).map(|t| (u64::from(t), t >> 31 != 0)),
        }
        .ok_or_else(bad)?;
        if thunk == 0 {
            break;
        }
        *budget = budget
            .checked_sub(1)
            .ok_or_else(|| damaged!("more than {MAX_IMPORTS} imports"))?;
        let name = if by_ordinal {
            ImportName::Ordinal(thunk as u16)
        } else {
            // IMAGE_IMPORT_BY_NAME: a 16-bit hint, then the name.
            let hint = u32::try_from(thunk).map_err(|_| bad())?;
            ImportName::Name(
                hint.checked_add(2)
                    .and_then(|rva| view.name(rva))
                    .ok_or_else(bad)?,
            )
        };
        functions.push(Import {
            name,
            slot: slots.checked_add(offset).ok_or_else(bad)?,
        });
    }
    Ok(Imports {
        dll,
        functions,
        is_delayed,
    })
}
