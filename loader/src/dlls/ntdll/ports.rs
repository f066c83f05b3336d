//! The port calls: every row of the table of `ntlpc-abi`, services as `Nt…` and `Zw…`.

#![allow(
    unsafe_code,
    reason = "linkme places the declarations in a link section"
)]

use ntlpc_abi::{CallId, Handle, NtStatus, UserPtr, for_each_call};

use crate::dlls::kernel32::synchapi::run_apcs;
use crate::export::{
    Arg, ArgCursor, ArgInfo, Boolean, Convention, EXPORTS, Entry, Export, Function, Ptr, Ret,
};

/// Reads a slot of a call by its kind.
macro_rules! slot {
    (Handle, $cursor:expr) => {
        Handle::fetch($cursor).0
    };
    ($other:ident, $cursor:expr) => {
        $cursor.word()
    };
}

/// Hands a call to the engine.
fn forward(id: CallId, slots: &[u64]) -> u64 {
    match ntdll_shim::call(id, ntdll_shim::Slots(slots)) {
        Ok(bits) => {
            if id.call().helper.is_none() && bits == u64::from(NtStatus::USER_APC.0) {
                run_apcs();
            }
            bits
        }
        Err(ntdll_shim::Fault(address)) => {
            // What the helper could not touch raises the exception here, in its caller.
            let byte = Ptr::<u8>::new(address.0);
            byte.write(std::hint::black_box(byte.read()));
            0
        }
    }
}

fn show<T: Arg>(cursor: &mut ArgCursor<'_>, out: &mut String) {
    T::fetch(cursor).show(out);
}

/// The printer of an argument by its kind.
macro_rules! printer {
    (Handle) => {
        show::<Handle>
    };
    (U32) => {
        show::<u32>
    };
    (Bool) => {
        show::<crate::export::Boolean>
    };
    (Size) => {
        show::<usize>
    };
    ($pointer:ident) => {
        show::<UserPtr>
    };
}

/// The printer of a result by its kind.
macro_rules! result_printer {
    () => {
        <NtStatus as Ret>::show
    };
    (Status) => {
        <NtStatus as Ret>::show
    };
    (U32) => {
        <u32 as Ret>::show
    };
    (Bool) => {
        <Boolean as Ret>::show
    };
    (Ptr) => {
        <UserPtr as Ret>::show
    };
    (Void) => {
        <() as Ret>::show
    };
}

macro_rules! exports {
    ($($name:ident = $family:ident :: $function:ident ($($arg:ident : $kind:ident),* $(,)?) $(-> $result:ident)?;)*) => {$(
        const _: () = {
            const ARGS: &[ArgInfo] = &[$(ArgInfo { name: stringify!($arg), show: printer!($kind) }),*];
            const NAMES: &str = {
                // `NtX` is also exported as `ZwX`.
                const BOTH: [u8; names_length(stringify!($name))] = names(stringify!($name));
                match std::str::from_utf8(&BOTH) {
                    Ok(names) => names,
                    Err(_) => stringify!($name),
                }
            };
            #[linkme::distributed_slice(EXPORTS)]
            static EXPORT: Export = Export {
                dlls: "ntdll.dll",
                names: NAMES,
                file: file!(),
                ordinal: None,
                entry: Entry::Function(Function {
                    convention: Convention::stdcall,
                    bytes32: 4 * ARGS.len() as u32,
                    call: |frame| {
                        #[allow(unused_variables, unused_mut, reason = "calls without arguments")]
                        let mut cursor = ArgCursor::new(frame, Convention::stdcall);
                        forward(CallId::$name, &[$(slot!($kind, &mut cursor)),*])
                    },
                    args: ARGS,
                    show_result: result_printer!($($result)?),
                    returns_float: false,
                    takes_eax: false,
                }),
            };
        };
    )*};
}

/// Length of what [`names`] writes.
const fn names_length(name: &str) -> usize {
    match name.as_bytes() {
        [b'N', b't', ..] => 2 * name.len() + 1,
        _ => name.len(),
    }
}

/// Writes `NtX|ZwX`; a name without `Nt` as it is.
const fn names<const N: usize>(name: &str) -> [u8; N] {
    let bytes = name.as_bytes();
    let mut out = [b'|'; N];
    let mut i = 0;
    while i < bytes.len() {
        out[i] = bytes[i];
        if N == bytes.len() {
            i += 1;
            continue;
        }
        out[bytes.len() + 1 + i] = match i {
            0 => b'Z',
            1 => b'w',
            _ => bytes[i],
        };
        i += 1;
    }
    out
}

for_each_call!(exports);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_exported_under_its_names() {
        for id in CallId::ALL {
            let name = id.call().name;
            let found = EXPORTS
                .iter()
                .find(|export| export.names().any(|n| n == name))
                .expect("exported");
            assert!(found.names().eq(id.call().names()), "{name}");
        }
    }
}
