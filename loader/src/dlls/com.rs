//! COM as far as console programs start it: apartments without classes, and strings of Automation: `combaseapi.h`, `oleauto.h`.

use std::cell::Cell;

use ntlpc_abi::UserPtr;

use super::safearray::SafeArrayDestroy;
use crate::export::Ptr;
use crate::{guest_struct, win_api};

pub(super) const S_OK: u32 = 0;
const S_FALSE: u32 = 1;
pub(super) const E_INVALIDARG: u32 = 0x8007_0057;
const E_POINTER: u32 = 0x8000_4003;
const E_NOTIMPL: u32 = 0x8000_4001;
/// `CO_E_NOTINITIALIZED`.
const NOT_INITIALIZED: u32 = 0x8004_01F0;
/// `RPC_E_CHANGED_MODE`.
const CHANGED_MODE: u32 = 0x8001_0106;
/// `REGDB_E_CLASSNOTREG`.
const CLASS_NOT_REGISTERED: u32 = 0x8004_0154;
/// `DISP_E_BADVARTYPE`.
pub(super) const BAD_VARIANT_TYPE: u32 = 0x8002_0008;
/// `COINIT_APARTMENTTHREADED`.
const APARTMENT_THREADED: u32 = 2;
/// `COINIT_APARTMENTTHREADED`, `DISABLE_OLE1DDE`, `SPEED_OVER_MEMORY`.
const COINIT: u32 = 0xE;

/// `VT_BSTR`, and `VT_DATE` (7) to `VT_UINT` (23) but for `VT_DISPATCH` (9), `VT_UNKNOWN` (13): what holds no reference.
const VT_BSTR: u16 = 8;
/// `VT_ARRAY` beside the type of the elements (`VT_TYPEMASK`).
const VT_ARRAY: u16 = 0x2000;
const VT_TYPEMASK: u16 = 0xFFF;
const PLAIN_TYPES: std::ops::RangeInclusive<u16> = 0..=23;
const INTERFACES: [u16; 2] = [9, 13];

thread_local! {
    /// How often the thread entered its apartment, and which kind that is.
    static APARTMENT: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
}

guest_struct! {
    /// `VARIANT`.
    pub struct Variant {
        kind: u16,
        reserved: [u16; 3],
        value: [usize; 2],
    }
}

fn enter(flags: u32) -> u32 {
    if flags & !COINIT != 0 {
        return E_INVALIDARG;
    }
    let kind = flags & APARTMENT_THREADED;
    match APARTMENT.get() {
        (0, _) => {
            APARTMENT.set((1, kind));
            S_OK
        }
        (count, old) if old == kind => {
            APARTMENT.set((count + 1, kind));
            S_FALSE
        }
        _ => CHANGED_MODE,
    }
}

/// Makes a `BSTR`: its bytes before the text, a NUL after it. NULL without memory.
fn bstr(text: Ptr<u16>, units: usize) -> Ptr<u16> {
    let bytes = units * 2;
    let (Some(block), Ok(length)) = (
        crate::heap::process().allocate(bytes + 6, false),
        u32::try_from(bytes),
    ) else {
        return Ptr::NULL;
    };
    let block = Ptr::<u8>::new(block);
    block.cast::<u32>().write(length);
    let to = block.byte_add(4);
    if text.is_null() {
        to.write_bytes(&vec![0; bytes]);
    } else {
        to.write_bytes(&text.cast::<u8>().read_bytes(bytes));
    }
    to.cast::<u16>().add(units).write(0);
    to.cast()
}

win_api! {
    /// Enters an apartment of COM.
    "ole32.dll|combase.dll" stdcall fn CoInitializeEx(_reserved: UserPtr, flags: u32) -> u32 {
        enter(flags)
    }

    /// Enters the apartment of one thread.
    "ole32.dll" stdcall fn CoInitialize(_reserved: UserPtr) -> u32 {
        enter(APARTMENT_THREADED)
    }

    /// Leaves an apartment.
    "ole32.dll|combase.dll" stdcall fn CoUninitialize() {
        let (count, kind) = APARTMENT.get();
        APARTMENT.set((count.saturating_sub(1), kind));
    }

    /// Makes an object of a class; no class is registered.
    "ole32.dll|combase.dll" stdcall fn CoCreateInstance(class: Ptr<u32>, _outer: UserPtr, _context: u32, _interface: UserPtr, object: Ptr<UserPtr>) -> u32 {
        if object.is_null() {
            return E_POINTER;
        }
        object.write(UserPtr::NULL);
        if APARTMENT.get().0 == 0 {
            return NOT_INITIALIZED;
        }
        log::info!("CoCreateInstance: class {:08x}-… is not registered", class.read());
        CLASS_NOT_REGISTERED
    }

    /// Sets how calls to this process and from it are secured; there are none.
    "ole32.dll|combase.dll" stdcall fn CoInitializeSecurity(_descriptor: UserPtr, _count: i32, _services: UserPtr, _reserved: UserPtr, _level: u32, _impersonation: u32, _list: UserPtr, _capabilities: u32, _reserved2: UserPtr) -> u32 {
        if APARTMENT.get().0 == 0 { NOT_INITIALIZED } else { S_OK }
    }

    /// Sets how calls of a proxy are secured; there are no proxies.
    "ole32.dll|combase.dll" stdcall fn CoSetProxyBlanket(_proxy: UserPtr, _service: u32, _authorization: u32, _principal: UserPtr, _level: u32, _impersonation: u32, _identity: UserPtr, _capabilities: u32) -> u32 {
        E_INVALIDARG
    }

    /// Makes a context for binding monikers, which are not there.
    "ole32.dll" stdcall fn CreateBindCtx(reserved: u32, context: Ptr<UserPtr>) -> u32 {
        if reserved != 0 || context.is_null() {
            return E_INVALIDARG;
        }
        context.write(UserPtr::NULL);
        log::warn!("CreateBindCtx is not supported: there are no monikers");
        E_NOTIMPL
    }

    /// Returns the table of running objects, which is not there.
    "ole32.dll" stdcall fn GetRunningObjectTable(reserved: u32, table: Ptr<UserPtr>) -> u32 {
        if reserved != 0 || table.is_null() {
            return E_INVALIDARG;
        }
        table.write(UserPtr::NULL);
        log::warn!("GetRunningObjectTable is not supported: there are no objects of COM");
        E_NOTIMPL
    }

    /// Copies a string into one of Automation.
    "oleaut32.dll" stdcall fn SysAllocString @2 (text: Ptr<u16>) -> Ptr<u16> {
        text.non_null().map_or(Ptr::NULL, |text| bstr(text, text.read_wide_string().len()))
    }

    /// Makes a string of Automation of a length.
    "oleaut32.dll" stdcall fn SysAllocStringLen @4 (text: Ptr<u16>, units: u32) -> Ptr<u16> {
        bstr(text, units as usize)
    }

    /// Frees a string of Automation.
    "oleaut32.dll" stdcall fn SysFreeString @6 (text: Ptr<u16>) {
        if !text.is_null() && crate::heap::process().free(text.address().wrapping_sub(4)).is_err() {
            log::warn!("SysFreeString of what is no string");
        }
    }

    /// Returns the length of a string of Automation.
    "oleaut32.dll" stdcall fn SysStringLen @7 (text: Ptr<u16>) -> u32 {
        text.non_null().map_or(0, |text| text.byte_add(4_u64.wrapping_neg()).cast::<u32>().read() / 2)
    }

    /// Empties a variant without looking at it.
    "oleaut32.dll" stdcall fn VariantInit @8 (variant: Ptr<u16>) {
        variant.write(0);
    }

    /// Empties a variant; interfaces, which nothing here makes, are refused.
    "oleaut32.dll" stdcall fn VariantClear @9 (variant: Ptr<Variant>) -> u32 {
        let Variant { kind, value, .. } = variant.read();
        if kind & !VT_TYPEMASK == VT_ARRAY {
            let code = SafeArrayDestroy(Ptr::new(value[0] as u64));
            if code == S_OK {
                variant.cast::<u16>().write(0);
            }
            return code;
        }
        if !PLAIN_TYPES.contains(&kind) || INTERFACES.contains(&kind) && value[0] != 0 {
            log::warn!("VariantClear: type {kind} is not supported");
            return BAD_VARIANT_TYPE;
        }
        if kind == VT_BSTR {
            SysFreeString(Ptr::new(value[0] as u64));
        }
        variant.cast::<u16>().write(0);
        S_OK
    }
}
