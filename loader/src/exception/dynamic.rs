//! Function tables that programs register for code they generate: `RtlAddFunctionTable`.

use parking_lot::Mutex;

use super::unwind::{self, FunctionEntry};

#[derive(Clone, Copy, Debug)]
struct Table {
    address: u64,
    count: u32,
    base: u64,
}

static TABLES: Mutex<Vec<Table>> = Mutex::new(Vec::new());

/// Registers a table of entries relative to `base`.
pub fn add(address: u64, count: u32, base: u64) {
    TABLES.lock().push(Table {
        address,
        count,
        base,
    });
}

/// Forgets the table at `address`; returns whether it was known.
pub fn remove(address: u64) -> bool {
    let mut tables = TABLES.lock();
    let before = tables.len();
    tables.retain(|table| table.address != address);
    tables.len() != before
}

/// Finds the function that contains `pc` in the registered tables.
#[must_use]
pub fn lookup(pc: u64) -> Option<FunctionEntry> {
    let tables = TABLES.lock().clone();
    tables.iter().find_map(|table| {
        let target = u32::try_from(pc.checked_sub(table.base)?).ok()?;
        unwind::search(table.base, table.address, table.count, target)
    })
}
