//! Symbols of an image file: the COFF symbol table, which mingw's linker writes.
//!
//! Source: Microsoft Learn, "PE Format", "COFF Symbol Table", "COFF String Table".

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use ntlpc_abi::Width;
use parking_lot::Mutex;

use crate::image::Headers;
use crate::module::Module;
use crate::ob::path;
use crate::width;

/// Bytes of a symbol.
const SYMBOL: usize = 18;
/// Bytes of the largest tables that are read.
const MOST: u64 = 256 << 20;
/// `IMAGE_SYM_CLASS_EXTERNAL`, `IMAGE_SYM_CLASS_STATIC`.
const CLASSES: [u8; 2] = [2, 3];
/// `IMAGE_SYM_DTYPE_FUNCTION` in the type of a symbol.
const FUNCTION: u16 = 0x20;

/// A function: where it starts, and its name.
pub type Symbol = (u32, String);

/// Tables by path of the image, sorted by address.
static TABLES: Mutex<Option<HashMap<String, Arc<Vec<Symbol>>>>> = Mutex::new(None);

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes([bytes[0], bytes[1]]))
}

fn text(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Reads the functions of a table; `strings` is what follows it.
fn functions(table: &[u8], strings: &[u8], headers: &Headers) -> Vec<Symbol> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(symbol) = table.get(at..at + SYMBOL) {
        at += SYMBOL * (1 + usize::from(symbol[17]));
        let (Some(value), Some(section), Some(kind)) =
            (word(symbol, 8), half(symbol, 12), half(symbol, 14))
        else {
            break;
        };
        let section = usize::from(section).checked_sub(1);
        let Some(section) = section.and_then(|index| headers.sections.get(index)) else {
            continue;
        };
        if kind != FUNCTION || !CLASSES.contains(&symbol[16]) {
            continue;
        }
        let name = match word(symbol, 0) {
            Some(0) => {
                let offset = word(symbol, 4).unwrap_or(0) as usize;
                text(strings.get(offset..).unwrap_or_default())
            }
            _ => text(&symbol[..8]),
        };
        // C names of i386 begin with an underscore that is not in the source.
        let name = match (width(), name.strip_prefix('_')) {
            (Width::X86, Some(plain)) => plain.to_owned(),
            _ => name,
        };
        if let Some(rva) = section.rva.checked_add(value) {
            found.push((rva, name));
        }
    }
    found.sort();
    found
}

fn read(module: &Module) -> Option<Vec<Symbol>> {
    let headers = module.headers.as_ref()?;
    let file = File::open(path::to_unix(&module.path)).ok()?;
    let mut start = [0; 4096];
    let got = file.read_at(&mut start, 0).ok()?;
    let start = &start[..got];
    let coff = word(start, 0x3C)? as usize + 4;
    let (offset, count) = (word(start, coff + 8)?, word(start, coff + 12)?);
    let size = u64::from(count) * SYMBOL as u64;
    let rest = file.metadata().ok()?.len().checked_sub(u64::from(offset))?;
    if offset == 0 || size > rest || rest > MOST {
        return None;
    }
    let mut bytes = vec![0; rest as usize];
    file.read_exact_at(&mut bytes, offset.into()).ok()?;
    let (table, strings) = bytes.split_at(size as usize);
    Some(functions(table, strings, headers))
}

/// Returns the functions of a module, sorted by address; read once.
#[must_use]
pub fn of(module: &Module) -> Arc<Vec<Symbol>> {
    let mut tables = TABLES.lock();
    let tables = tables.get_or_insert_default();
    if let Some(table) = tables.get(&module.path) {
        return table.clone();
    }
    let table = Arc::new(read(module).unwrap_or_default());
    tables.insert(module.path.clone(), table.clone());
    table
}

/// Forgets what was read.
pub fn forget() {
    *TABLES.lock() = None;
}
