//! Memory of a helper's caller: what cannot be touched becomes a [`Fault`].

use ntlpc_abi::UserPtr;

use crate::capture;
use crate::dispatch::Fault;
use crate::host;

/// Reads a `ULONG`.
pub fn read_u32(at: UserPtr) -> Result<u32, Fault> {
    let mut bytes = [0; 4];
    capture::read(at, &mut bytes).map_err(|_| Fault(at))?;
    Ok(u32::from_le_bytes(bytes))
}

/// Reads a `USHORT`.
pub fn read_u16(at: UserPtr) -> Result<u16, Fault> {
    let mut bytes = [0; 2];
    capture::read(at, &mut bytes).map_err(|_| Fault(at))?;
    Ok(u16::from_le_bytes(bytes))
}

/// Writes a `ULONG`.
pub fn write_u32(at: UserPtr, value: u32) -> Result<(), Fault> {
    capture::write(at, &value.to_le_bytes()).map_err(|_| Fault(at))
}

/// Writes a pointer or a `SIZE_T`.
pub fn write_word(at: UserPtr, value: u64) -> Result<(), Fault> {
    let width = host::personality().guest;
    capture::write(at, &value.to_le_bytes()[..width.pointer()]).map_err(|_| Fault(at))
}

/// Replaces a 64-bit word by what `change` makes of it, atomically; returns the old word, or `None` if `change` refused.
pub fn update_u64(
    at: UserPtr,
    mut change: impl FnMut(u64) -> Option<u64>,
) -> Result<Option<u64>, Fault> {
    let exchange = |expected, new| capture::compare_exchange64(at, expected, new);
    let mut seen = exchange(0, 0).map_err(|_| Fault(at))?;
    while let Some(new) = change(seen) {
        match exchange(seen, new).map_err(|_| Fault(at))? {
            now if now == seen => return Ok(Some(seen)),
            now => seen = now,
        }
    }
    Ok(None)
}

/// Replaces a 32-bit word by what `change` makes of it, atomically.
pub fn update_u32(at: UserPtr, change: impl Fn(u32) -> u32) -> Result<(), Fault> {
    let exchange = |expected, new| capture::compare_exchange32(at, expected, new);
    let mut seen = exchange(0, 0).map_err(|_| Fault(at))?;
    loop {
        match exchange(seen, change(seen)).map_err(|_| Fault(at))? {
            now if now == seen => return Ok(()),
            now => seen = now,
        }
    }
}
