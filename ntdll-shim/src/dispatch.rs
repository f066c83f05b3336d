//! From the table of calls to the personalities: one entry for every host.

use ntlpc_abi::{CallId, Handle, NtStatus, UserPtr, for_each_call};

use crate::{classic, interrupt, trace};

/// The arguments of one call: 64-bit slots, in order, as every host's entry lays them out.
#[derive(Clone, Copy, Debug)]
pub struct Slots<'a>(pub &'a [u64]);

impl Slots<'_> {
    fn get(self, at: usize) -> u64 {
        self.0.get(at).copied().unwrap_or(0)
    }
}

/// Reads a slot by its kind: narrow values carry garbage in their upper bits.
macro_rules! argument {
    (Handle, $slot:expr) => {
        Handle($slot)
    };
    (U32, $slot:expr) => {
        $slot as u32
    };
    (Bool, $slot:expr) => {
        $slot as u8 != 0
    };
    (Size, $slot:expr) => {
        $slot
    };
    (Value, $slot:expr) => {
        $slot
    };
    ($pointer:ident, $slot:expr) => {
        UserPtr($slot)
    };
}

macro_rules! dispatcher {
    ($($name:ident = $family:ident :: $function:ident ($($arg:ident : $kind:ident),* $(,)?);)*) => {
        fn run(id: CallId, slots: Slots<'_>) -> Result<(), NtStatus> {
            match id {
                $(CallId::$name => {
                    let mut at = 0..;
                    let mut next = || slots.get(at.next().unwrap_or(usize::MAX));
                    $family::$function($(argument!($kind, next())),*)
                })*
            }
        }
    };
}

for_each_call!(dispatcher);

/// Makes a call for the guest. A host is installed; guest memory is readable and writable by plain accesses, and faults
/// on it reach [`crate::capture::fixup`] or discard this frame.
#[must_use]
pub fn call(id: CallId, slots: Slots<'_>) -> NtStatus {
    interrupt::reset();
    let traced = trace::begin(id, slots);
    let status = match run(id, slots) {
        Ok(()) => NtStatus::SUCCESS,
        Err(status) => status,
    };
    if let Some(traced) = traced {
        traced.end(status);
    }
    status
}
