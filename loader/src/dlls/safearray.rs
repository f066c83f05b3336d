//! Arrays of Automation: `oleauto.h`. Elements are numbers, strings and variants.
//!
//! Source: Microsoft Learn, "SAFEARRAY structure (oaidl.h)", "SAFEARRAYBOUND structure" and the functions' pages.

use ntlpc_abi::UserPtr;

use super::com::{BAD_VARIANT_TYPE, E_INVALIDARG, S_OK, SysFreeString, Variant, VariantClear};
use crate::export::{Callback, Guest, Ptr};
use crate::{guest_struct, heap, win_api};

/// `E_UNEXPECTED`.
const E_UNEXPECTED: u32 = 0x8000_FFFF;
/// `DISP_E_BADINDEX`.
const BAD_INDEX: u32 = 0x8002_000B;
/// `DISP_E_ARRAYISLOCKED`.
const LOCKED: u32 = 0x8002_000D;
/// Most locks of an array.
const MOST_LOCKS: u32 = 0xFFFF;

/// `FADF_AUTO`, `FADF_STATIC`, `FADF_EMBEDDED`: the memory is not ours.
const NOT_OURS: u16 = 0x7;
/// `FADF_RECORD`.
const RECORD: u16 = 0x20;
/// `FADF_BSTR`.
const BSTR: u16 = 0x100;
/// `FADF_UNKNOWN`, `FADF_DISPATCH`.
const INTERFACE: u16 = 0x600;
/// `FADF_VARIANT`.
const VARIANT: u16 = 0x800;

guest_struct! {
    /// `SAFEARRAY` without its bounds, which follow it, those of the last dimension first.
    pub struct SafeArray {
        dimensions: u16,
        features: u16,
        element_bytes: u32,
        locks: u32,
        data: UserPtr,
    }
    /// `SAFEARRAYBOUND`.
    pub struct Bound {
        elements: u32,
        lower: i32,
    }
}

/// Size of an element and features of its type; `None` for types that are not supported.
fn element(kind: u16) -> Option<(usize, u16)> {
    Some(match kind {
        // VT_I1, VT_UI1
        16 | 17 => (1, 0),
        // VT_I2, VT_BOOL, VT_UI2
        2 | 11 | 18 => (2, 0),
        // VT_I4, VT_R4, VT_ERROR, VT_UI4, VT_INT, VT_UINT
        3 | 4 | 10 | 19 | 22 | 23 => (4, 0),
        // VT_R8, VT_CY, VT_DATE, VT_I8, VT_UI8
        5..=7 | 20 | 21 => (8, 0),
        // VT_BSTR
        8 => (UserPtr::size(), BSTR),
        // VT_VARIANT
        12 => (Variant::size(), VARIANT),
        _ => return None,
    })
}

fn bounds_of(array: Ptr<SafeArray>) -> Ptr<Bound> {
    array.byte_add(SafeArray::size() as u64).cast()
}

/// Elements of all dimensions.
fn count(bounds: &[Bound]) -> Option<usize> {
    bounds.iter().try_fold(1_usize, |count, bound| {
        count.checked_mul(bound.elements as usize)
    })
}

fn create(kind: u16, bounds: &[Bound]) -> Option<Ptr<SafeArray>> {
    let (bytes, features) = element(kind)?;
    let size = count(bounds)?.checked_mul(bytes)?;
    let head = SafeArray::size() + std::mem::size_of_val(bounds);
    let array = heap::process().allocate(head, true)?;
    let Some(data) = heap::process().allocate(size, true) else {
        let _ = heap::process().free(array);
        return None;
    };
    let array = Ptr::<SafeArray>::new(array);
    array.write(SafeArray {
        dimensions: u16::try_from(bounds.len()).ok()?,
        features,
        element_bytes: u32::try_from(bytes).ok()?,
        locks: 0,
        data: UserPtr(data),
    });
    for (i, bound) in bounds.iter().rev().enumerate() {
        bounds_of(array).add(i).write(*bound);
    }
    Some(array)
}

/// Releases what the elements hold; guest code may run.
fn clear(array: &SafeArray, elements: usize) {
    let at = Ptr::<u8>::new(array.data.0);
    let at = |i: usize| at.byte_add((i * array.element_bytes as usize) as u64);
    for i in 0..elements {
        if array.features & BSTR != 0 {
            SysFreeString(Ptr::new(at(i).cast::<UserPtr>().read().0));
        } else if array.features & VARIANT != 0 {
            VariantClear(at(i).cast());
        } else if array.features & INTERFACE != 0 {
            let object = at(i).cast::<UserPtr>().read();
            if object != UserPtr::NULL {
                // IUnknown::Release is the third of the methods.
                let methods = Ptr::<Ptr<Callback>>::new(object.0).read();
                methods.add(2).read().call(&[object.0]);
            }
        }
    }
}

fn destroy(at: Ptr<SafeArray>) -> u32 {
    let array = at.read();
    if array.locks != 0 {
        return LOCKED;
    }
    if array.features & RECORD != 0 {
        log::warn!("SafeArrayDestroy of records is not supported");
        return BAD_VARIANT_TYPE;
    }
    let bounds = bounds_of(at).read_many(array.dimensions.into());
    let Some(elements) = count(&bounds) else {
        return E_INVALIDARG;
    };
    if array.data != UserPtr::NULL {
        clear(&array, elements);
    }
    if array.features & NOT_OURS != 0 {
        return S_OK;
    }
    let is_free = |at: u64| at == 0 || heap::process().free(at).is_ok();
    if is_free(array.data.0) && is_free(at.address()) {
        S_OK
    } else {
        E_INVALIDARG
    }
}

/// Changes the number of locks.
fn lock(array: Ptr<SafeArray>, change: impl FnOnce(u32) -> Option<u32>) -> u32 {
    let Some(array) = array.non_null() else {
        return E_INVALIDARG;
    };
    let old = array.read();
    let Some(locks) = change(old.locks).filter(|locks| *locks <= MOST_LOCKS) else {
        return E_UNEXPECTED;
    };
    array.write(SafeArray { locks, ..old });
    S_OK
}

/// The bounds of a dimension; the first is 1.
fn bound(array: Ptr<SafeArray>, dimension: u32) -> Result<Bound, u32> {
    let array = array.non_null().ok_or(E_INVALIDARG)?;
    let dimensions = u32::from(array.read().dimensions);
    if dimension == 0 || dimension > dimensions {
        return Err(BAD_INDEX);
    }
    Ok(bounds_of(array)
        .add((dimensions - dimension) as usize)
        .read())
}

fn put_bound(bound: Result<Bound, u32>, to: Ptr<i32>, value: impl FnOnce(Bound) -> i32) -> u32 {
    match bound {
        Ok(bound) => {
            to.write(value(bound));
            S_OK
        }
        Err(code) => code,
    }
}

win_api! {
    /// Makes an array of numbers, strings or variants; other types give NULL.
    "oleaut32.dll" stdcall fn SafeArrayCreate @15 (kind: u16, dimensions: u32, bounds: Ptr<Bound>) -> Ptr<SafeArray> {
        if dimensions == 0 || dimensions > 0xFFFF {
            return Ptr::NULL;
        }
        create(kind, &bounds.read_many(dimensions as usize)).unwrap_or(Ptr::NULL)
    }

    /// Makes an array of one dimension.
    "oleaut32.dll" stdcall fn SafeArrayCreateVector @411 (kind: u16, lower: i32, elements: u32) -> Ptr<SafeArray> {
        create(kind, &[Bound { elements, lower }]).unwrap_or(Ptr::NULL)
    }

    /// Releases the elements of an array and frees it.
    "oleaut32.dll" stdcall fn SafeArrayDestroy @16 (array: Ptr<SafeArray>) -> u32 {
        array.non_null().map_or(S_OK, destroy)
    }

    /// Returns the number of dimensions.
    "oleaut32.dll" stdcall fn SafeArrayGetDim @17 (array: Ptr<SafeArray>) -> u32 {
        array.non_null().map_or(0, |array| array.read().dimensions.into())
    }

    /// Returns the size of an element in bytes.
    "oleaut32.dll" stdcall fn SafeArrayGetElemsize @18 (array: Ptr<SafeArray>) -> u32 {
        array.non_null().map_or(0, |array| array.read().element_bytes)
    }

    /// Returns the index of the last element of a dimension.
    "oleaut32.dll" stdcall fn SafeArrayGetUBound @19 (array: Ptr<SafeArray>, dimension: u32, to: Ptr<i32>) -> u32 {
        put_bound(bound(array, dimension), to, |bound| {
            bound.lower.wrapping_add_unsigned(bound.elements).wrapping_sub(1)
        })
    }

    /// Returns the index of the first element of a dimension.
    "oleaut32.dll" stdcall fn SafeArrayGetLBound @20 (array: Ptr<SafeArray>, dimension: u32, to: Ptr<i32>) -> u32 {
        put_bound(bound(array, dimension), to, |bound| bound.lower)
    }

    /// Keeps an array from being destroyed.
    "oleaut32.dll" stdcall fn SafeArrayLock @21 (array: Ptr<SafeArray>) -> u32 {
        lock(array, |locks| locks.checked_add(1))
    }

    /// Ends a lock.
    "oleaut32.dll" stdcall fn SafeArrayUnlock @22 (array: Ptr<SafeArray>) -> u32 {
        lock(array, |locks| locks.checked_sub(1))
    }

    /// Locks an array and returns where its elements are.
    "oleaut32.dll" stdcall fn SafeArrayAccessData @23 (array: Ptr<SafeArray>, data: Ptr<UserPtr>) -> u32 {
        if data.is_null() {
            return E_INVALIDARG;
        }
        let code = SafeArrayLock(array);
        if code == S_OK {
            data.write(array.read().data);
        }
        code
    }

    /// Ends a lock of `SafeArrayAccessData`.
    "oleaut32.dll" stdcall fn SafeArrayUnaccessData @24 (array: Ptr<SafeArray>) -> u32 {
        SafeArrayUnlock(array)
    }
}
