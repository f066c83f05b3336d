//! From the table of calls to the personalities: one entry for every host.

use ntlpc_abi::{CallId, Handle, NtStatus, UserPtr, for_each_call};

use crate::{alpc, classic, interrupt, trace};

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

/// A helper touched memory it could not: the host raises `STATUS_ACCESS_VIOLATION` for this address in the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault(pub UserPtr);

/// A value as the guest finds it in its result register.
pub(crate) trait Register {
    fn bits(self) -> u64;
}

macro_rules! registers {
    ($($ty:ty = |$value:ident| $bits:expr;)*) => {$(
        impl Register for $ty {
            fn bits(self) -> u64 {
                let $value = self;
                $bits
            }
        }
    )*};
}

registers! {
    () = |_nothing| 0;
    bool = |flag| flag.into();
    u32 = |number| number.into();
    UserPtr = |address| address.0;
    NtStatus = |status| status.0.into();
}

macro_rules! dispatcher {
    (@bits $outcome:expr) => {
        Ok(outcome_of($outcome).bits())
    };
    (@bits $outcome:expr, $result:ident) => {
        $outcome.map(Register::bits)
    };
    ($($name:ident = $family:ident :: $function:ident ($($arg:ident : $kind:ident),* $(,)?) $(-> $result:ident)?;)*) => {
        fn run(id: CallId, slots: Slots<'_>) -> Result<u64, Fault> {
            match id {
                $(CallId::$name => {
                    #[allow(unused_mut, unused_variables, reason = "a call without arguments takes no slot")]
                    let mut next = {
                        let mut at = 0..;
                        move || slots.get(at.next().unwrap_or(usize::MAX))
                    };
                    dispatcher!(@bits $family::$function($(argument!($kind, next())),*) $(, $result)?)
                })*
            }
        }
    };
}

for_each_call!(dispatcher);

fn outcome_of(outcome: Result<(), NtStatus>) -> NtStatus {
    outcome.err().unwrap_or(NtStatus::SUCCESS)
}

/// Makes a call for the guest and returns its result register. A host is installed; guest memory is readable and writable
/// by plain accesses, whose faults reach [`crate::capture::fixup`].
///
/// # Errors
/// [`Fault`], from helpers only.
pub fn call(id: CallId, slots: Slots<'_>) -> Result<u64, Fault> {
    let _call = interrupt::enter();
    let traced = trace::begin(id, slots);
    let outcome = run(id, slots);
    if let Some(traced) = traced {
        traced.end(id, outcome);
    }
    outcome
}
