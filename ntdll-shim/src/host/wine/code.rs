//! What is put beside PE ntdll, whatever the machine: where thunks lead, what the stubs of hooked calls test. The machine code is
//! made by [`super::arch`].

/// Bytes of the jump that replaces the start of a hooked thunk.
pub const JUMP: usize = 5;

/// Where thunks lead: the table of services and Wine's exported variable `__wine_unix_call_dispatcher`.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Address of the table of services, Wine's "unixlib handle".
    pub table: u64,
    /// Address of the variable; Wine may fill it later than the thunk is made.
    pub dispatcher_variable: u64,
}

/// One test of a stub. Tests run in order; if none decides, the original call runs.
#[derive(Clone, Copy, Debug)]
pub enum Test {
    /// Service if the 32-bit word at this address is not zero.
    ServiceIf(u64),
    /// Original call if the 32-bit word at this address is zero.
    OriginalUnless(u64),
    /// Service if the first argument is a handle with one of the mask's bits in the map, or lies beyond the map.
    HandleHas(HandleMap, u8),
    /// Service if the first argument is a handle with none of the mask's bits in the map, or lies beyond the map.
    HandleLacks(HandleMap, u8),
}

/// A byte for every low handle, indexed by handle / 4.
#[derive(Clone, Copy, Debug)]
pub struct HandleMap {
    /// Address of the first byte.
    pub address: u64,
    /// Number of bytes.
    pub length: u32,
}

/// `jmp rel32` at `from` to `to`, if it is in reach.
pub fn jump(from: u64, to: u64) -> Option<[u8; JUMP]> {
    let distance = to
        .wrapping_sub(from.wrapping_add(JUMP as u64))
        .cast_signed();
    let distance = i32::try_from(distance).ok()?.to_le_bytes();
    Some([0xe9, distance[0], distance[1], distance[2], distance[3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jump_out_of_reach_is_none() {
        assert!(jump(0x1000, 0x1_0000_0000_0000).is_none());
        assert_eq!(jump(0x1000, 0x1005), Some([0xe9, 0, 0, 0, 0]));
    }
}
