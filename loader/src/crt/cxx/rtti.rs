//! Run-time types: `dynamic_cast`, `typeid`.
//!
//! Source: LLVM's `MicrosoftCXXABI.cpp` writes the tables (`MSRTTIBuilder`). Addresses in them are relative to the image
//! on x64, whose base the locator tells, and absolute on i386.

use ntlpc_abi::Width;

use super::exception;
use super::throw::{Displacement, at_object, is_same_type, resolve};
use crate::export::{Caller, Ptr};
use crate::{guest_struct, width, win_api};

guest_struct! {
    /// `_RTTICompleteObjectLocator`; the last field is of x64 only.
    struct Locator {
        signature: u32,
        offset: u32,
        constructor_offset: u32,
        kind: u32,
        hierarchy: u32,
        own_address: u32,
    }
    struct Hierarchy {
        signature: u32,
        attributes: u32,
        count: u32,
        bases: u32,
    }
    struct Base {
        kind: u32,
        contained: u32,
        place: Displacement,
        attributes: u32,
        hierarchy: u32,
    }
}

/// Attributes of a base class.
const NOT_VISIBLE: u32 = 0x1;
const AMBIGUOUS: u32 = 0x2;
/// Most base classes looked at.
const MAX_BASES: u32 = 4096;

/// The complete object around an object.
struct Complete {
    image: u64,
    address: u64,
    locator: Locator,
}

impl Complete {
    /// Finds it by the virtual function table that the object begins with.
    fn of(object: u64) -> Complete {
        let table = at_object(object);
        let at = at_object(table.wrapping_sub(width().pointer() as u64));
        let locator = match width() {
            Width::X64 => Ptr::<Locator>::new(at).read(),
            Width::X86 => {
                let [signature, offset, constructor_offset, kind, hierarchy] =
                    Ptr::<[u32; 5]>::new(at).read();
                Locator {
                    signature,
                    offset,
                    constructor_offset,
                    kind,
                    hierarchy,
                    own_address: 0,
                }
            }
        };
        // Signature 1: the locator knows its own relative address, so the image's base follows.
        let image = if width() == Width::X64 && locator.signature == 1 {
            at - u64::from(locator.own_address)
        } else {
            0
        };
        let moved = match locator.constructor_offset {
            0 => 0,
            offset => i64::from(Ptr::<i32>::new(object.wrapping_sub(offset.into())).read()),
        };
        let address = object
            .wrapping_sub(locator.offset.into())
            .wrapping_add_signed(-moved);
        Complete {
            image,
            address,
            locator,
        }
    }

    fn kind(&self) -> u64 {
        resolve(self.image, self.locator.kind)
    }

    fn hierarchy(&self) -> Hierarchy {
        Ptr::<Hierarchy>::new(resolve(self.image, self.locator.hierarchy)).read()
    }

    /// Returns a base class: its type, where it lies, and what the tables say about it.
    fn base(&self, hierarchy: &Hierarchy, index: u32) -> (u64, u64, Base) {
        let array = Ptr::<u32>::new(resolve(self.image, hierarchy.bases));
        let base = Ptr::<Base>::new(resolve(self.image, array.add(index as usize).read())).read();
        (
            resolve(self.image, base.kind),
            base.place.apply(self.address),
            base,
        )
    }

    /// Returns the address of the base class `target`, to which the object's class `source` at `from` can be cast.
    fn cast(&self, from: u64, source: u64, target: u64) -> Option<u64> {
        let hierarchy = self.hierarchy();
        let count = hierarchy.count.min(MAX_BASES);
        let bases =
            |range: std::ops::Range<u32>| range.map(|index| (index, self.base(&hierarchy, index)));
        let is_visible = |base: &Base| base.attributes & NOT_VISIBLE == 0;
        // Down: a target that has the source as a base in that very place.
        let down = bases(0..count).find(|(index, (kind, _, target_base))| {
            let inner = index + 1..(index + 1 + target_base.contained).min(count);
            is_same_type(*kind, target)
                && bases(inner).any(|(_, (kind, at, base))| {
                    is_same_type(kind, source) && at == from && is_visible(&base)
                })
        });
        if let Some((_, (_, at, _))) = down {
            return Some(at);
        }
        // Across: both are public bases of the complete object, and the target is there once.
        let is_public = bases(0..count).any(|(_, (kind, at, base))| {
            is_same_type(kind, source) && at == from && is_visible(&base)
        });
        let across = bases(0..count).find(|(_, (kind, _, base))| {
            is_same_type(*kind, target) && base.attributes & (NOT_VISIBLE | AMBIGUOUS) == 0
        });
        across.filter(|_| is_public).map(|(_, (_, at, _))| at)
    }
}

win_api! {
    /// Casts an object to another class of its hierarchy; NULL, or an exception for a reference, if it has none.
    "vcruntime140.dll|msvcrt.dll|ucrtbase.dll" cdecl fn __RTDynamicCast(object: Ptr<u8>, offset: i32, source: Ptr<u8>, target: Ptr<u8>, is_reference: crate::export::Bool, caller: Caller) -> Ptr<u8> {
        if object.is_null() {
            return Ptr::NULL;
        }
        let complete = Complete::of(object.address());
        let from = object.address().wrapping_add_signed(-i64::from(offset));
        match complete.cast(from, source.address(), target.address()) {
            Some(found) => Ptr::new(found),
            None if is_reference.get() => exception::throw(exception::Class::BadCast, "Bad dynamic_cast!", caller),
            None => Ptr::NULL,
        }
    }

    /// Returns the `type_info` of an object.
    "vcruntime140.dll|msvcrt.dll|ucrtbase.dll" cdecl fn __RTtypeid(object: Ptr<u8>, caller: Caller) -> Ptr<u8> {
        if object.is_null() {
            exception::throw(exception::Class::BadTypeid, "Attempted a typeid of nullptr pointer!", caller);
        }
        Ptr::new(Complete::of(object.address()).kind())
    }

    /// Returns the complete object around an object.
    "vcruntime140.dll|msvcrt.dll|ucrtbase.dll" cdecl fn __RTCastToVoid(object: Ptr<u8>) -> Ptr<u8> {
        if object.is_null() {
            return Ptr::NULL;
        }
        Ptr::new(Complete::of(object.address()).address)
    }
}
