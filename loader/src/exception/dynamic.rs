//! Function tables that programs register for code they generate: `RtlAddFunctionTable`, `RtlAddGrowableFunctionTable`.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::unwind::{self, FunctionEntry};

#[derive(Clone, Copy, Debug)]
struct Table {
    /// Number of a growable table, 0 for others.
    id: u64,
    address: u64,
    count: u32,
    base: u64,
}

static TABLES: Mutex<Vec<Table>> = Mutex::new(Vec::new());

/// Number of the growable table made last.
static LAST_ID: AtomicU64 = AtomicU64::new(0);

/// Registers a table of entries relative to `base`.
pub fn add(address: u64, count: u32, base: u64) {
    TABLES.lock().push(Table {
        id: 0,
        address,
        count,
        base,
    });
}

/// Registers a table that gets more entries; returns its number.
pub fn add_growable(address: u64, count: u32, base: u64) -> u64 {
    let id = LAST_ID.fetch_add(1, Ordering::Relaxed) + 1;
    TABLES.lock().push(Table {
        id,
        address,
        count,
        base,
    });
    id
}

/// Says how many entries a growable table has now.
pub fn grow(id: u64, count: u32) {
    if let Some(table) = TABLES.lock().iter_mut().find(|table| table.id == id) {
        table.count = count;
    }
}

/// Forgets a growable table.
pub fn remove_growable(id: u64) {
    TABLES.lock().retain(|table| id == 0 || table.id != id);
}

/// Forgets the table at `address`; returns whether it was known.
pub fn remove(address: u64) -> bool {
    let mut tables = TABLES.lock();
    let before = tables.len();
    tables.retain(|table| table.id != 0 || table.address != address);
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
