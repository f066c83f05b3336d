//! What the compiler says about a thrown object: `ThrowInfo`; matching, copying and destroying it; `_CxxThrowException`.
//!
//! Source: LLVM's `MicrosoftCXXABI.cpp`, which writes the tables (`getThrowInfo`, `getCatchableType`). Addresses in them
//! are relative to the image on x64 and absolute on i386.

use ntlpc_abi::Width;

use super::catching;
use super::tables::Handler;
use crate::context::{Context, Record, flag};
use crate::exception::{self};
use crate::export::{Callback, Caller, Ptr};
use crate::{guest_struct, module, width, win_api};

/// Code of the exceptions of C++: "msc" and an 0xE0.
pub const CODE: u32 = 0xE06D_7363;
/// First word of their information.
const MAGIC: u64 = 0x1993_0520;

guest_struct! {
    /// `ThrowInfo`.
    pub struct ThrowInfo {
        attributes: u32,
        destructor: u32,
        forward_compatible: u32,
        kinds: u32,
    }
    struct CatchableType {
        properties: u32,
        kind: u32,
        place: Displacement,
        size: u32,
        copy: u32,
    }
    /// `PMD`: where a base class lies in an object.
    pub struct Displacement {
        member: i32,
        vbtable: i32,
        virtual_base: i32,
    }
}

/// Attributes of a thrown object and adjectives of a `catch` block.
const CONST: u32 = 1;
const VOLATILE: u32 = 2;
const UNALIGNED: u32 = 4;
const REFERENCE: u32 = 8;
/// Properties of a type it can be caught as.
const IS_SIMPLE: u32 = 1;
const BY_REFERENCE_ONLY: u32 = 2;
const HAS_VIRTUAL_BASE: u32 = 4;

/// A C++ exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thrown {
    /// The object.
    pub object: u64,
    /// `ThrowInfo`; 0 in `throw;`.
    pub info: u64,
    /// Image base its tables are relative to.
    pub image: u64,
}

impl Displacement {
    /// Returns the address of the base class in the object at `object`.
    pub fn apply(&self, object: u64) -> u64 {
        let mut at = object.wrapping_add_signed(self.member.into());
        if self.vbtable >= 0 {
            let word = at_object(object.wrapping_add_signed(self.vbtable.into()));
            let offset = Ptr::<i32>::new(word.wrapping_add_signed(self.virtual_base.into())).read();
            at = at.wrapping_add_signed(i64::from(self.vbtable) + i64::from(offset));
        }
        at
    }
}

/// Reads the pointer at an address.
pub fn at_object(at: u64) -> u64 {
    Ptr::<usize>::new(at).read() as u64
}

/// Returns what a table's address stands for; 0 stays 0.
pub fn resolve(image: u64, address: u32) -> u64 {
    match (address, width()) {
        (0, _) => 0,
        (_, Width::X64) => image + u64::from(address),
        (_, Width::X86) => u64::from(address),
    }
}

/// Where the name lies in a `TypeDescriptor`, behind two pointers.
pub fn name_of(descriptor: u64) -> Ptr<u8> {
    Ptr::new(descriptor + 2 * width().pointer() as u64)
}

/// Returns whether two type descriptors stand for one type.
pub fn is_same_type(left: u64, right: u64) -> bool {
    left == right || are_equal(name_of(left), name_of(right))
}

fn are_equal(left: Ptr<u8>, right: Ptr<u8>) -> bool {
    (0..)
        .map(|index| (left.add(index).read(), right.add(index).read()))
        .find(|(left, right)| left != right || *left == 0)
        .is_some_and(|(left, right)| left == right)
}

#[allow(unsafe_code, reason = "linkme places the function in a link section")]
#[linkme::distributed_slice(exception::DESCRIBERS)]
static DESCRIBER: fn(&Record) -> Option<String> =
    |record| Thrown::of(record).map(|thrown| format!("thrown: {}", thrown.shown_type()));

impl Thrown {
    /// Returns what a record says, if it is one of C++.
    pub fn of(record: &Record) -> Option<Thrown> {
        let is_cxx = record.code == CODE && record.parameters >= 3;
        is_cxx.then(|| Thrown {
            object: record.information[1],
            info: record.information[2],
            image: record.information[3],
        })
    }

    fn info(&self) -> ThrowInfo {
        Ptr::<ThrowInfo>::new(self.info).read()
    }

    fn catchable(&self, index: usize) -> Option<CatchableType> {
        let array = Ptr::<u32>::new(resolve(self.image, self.info().kinds));
        let count = array.read() as usize;
        (index < count).then(|| {
            Ptr::<CatchableType>::new(resolve(self.image, array.add(1 + index).read())).read()
        })
    }

    /// Returns the number of the type that a `catch` block takes the object as; the block may take anything.
    pub fn matching(&self, image: u64, handler: &Handler) -> Option<Match> {
        let wanted = resolve(image, handler.kind);
        if wanted == 0 || name_of(wanted).read() == 0 {
            return Some(Match::Anything);
        }
        let attributes = self.info().attributes;
        if attributes & !handler.adjectives & (CONST | VOLATILE | UNALIGNED) != 0 {
            return None;
        }
        let is_reference = handler.adjectives & REFERENCE != 0;
        (0..)
            .map_while(|index| self.catchable(index))
            .position(|kind| {
                is_same_type(resolve(self.image, kind.kind), wanted)
                    && (is_reference || kind.properties & BY_REFERENCE_ONLY == 0)
            })
            .map(Match::Type)
    }

    /// Makes the object of a `catch` block, or the reference to it, at `to`.
    ///
    /// Runs guest code: hold no lock.
    pub fn put(&self, index: usize, handler: &Handler, to: u64) {
        let Some(kind) = self.catchable(index) else {
            return;
        };
        let pointer = Ptr::<usize>::new(to);
        if handler.adjectives & REFERENCE != 0 {
            pointer.write(kind.place.apply(self.object) as usize);
        } else if kind.properties & IS_SIMPLE != 0 {
            crate::crt::mem::copy(to, self.object, kind.size as usize);
            if kind.size as usize == width().pointer() && pointer.read() != 0 {
                pointer.write(kind.place.apply(pointer.read() as u64) as usize);
            }
        } else if kind.copy == 0 {
            crate::crt::mem::copy(to, kind.place.apply(self.object), kind.size as usize);
        } else {
            let from = kind.place.apply(self.object);
            // A constructor of a class with virtual bases is told to make those too.
            let arguments = [to, from, 1];
            let count = if kind.properties & HAS_VIRTUAL_BASE == 0 {
                2
            } else {
                3
            };
            Callback(resolve(self.image, kind.copy)).call_method(&arguments[..count]);
        }
    }

    /// Returns the name of the object's type, for a report of an exception that nobody caught: tables may be damaged.
    pub fn shown_type(&self) -> String {
        let read = |at: u64| Ptr::<u32>::new(at).try_read().ok();
        let kinds = ThrowInfo::offset_of("kinds") as u64;
        let kind = CatchableType::offset_of("kind") as u64;
        let follow = |at: u64| read(at).map(|address| resolve(self.image, address));
        follow(self.info + kinds)
            .and_then(|array| follow(array + 4))
            .and_then(|first| follow(first + kind))
            .and_then(super::data::shown_name)
            .unwrap_or_else(|| "unknown type".into())
    }

    /// Destroys the object.
    ///
    /// Runs guest code: hold no lock.
    pub fn destroy(&self) {
        let destructor = if self.info == 0 {
            0
        } else {
            self.info().destructor
        };
        if self.object != 0 && destructor != 0 {
            Callback(resolve(self.image, destructor)).call_method(&[self.object]);
        }
    }
}

/// How a `catch` block takes an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// `catch (...)`.
    Anything,
    /// As the type with this number.
    Type(usize),
}

win_api! {
    /// Tells whether a C++ exception can be caught as a type; ends the program if it is none of C++.
    "vcruntime140.dll|ucrtbase.dll" cdecl fn _is_exception_typeof = "_is_exception_typeof|?_is_exception_typeof@@YAHAEBVtype_info@@PEAU_EXCEPTION_POINTERS@@@Z|?_is_exception_typeof@@YAHABVtype_info@@PAU_EXCEPTION_POINTERS@@@Z" (kind: Ptr<u8>, pointers: Ptr<Ptr<u8>>) -> i32 {
        let record = Record::load(pointers.read().address());
        let Some(thrown) = Thrown::of(&record).filter(|thrown| thrown.info != 0) else {
            crate::crt::exit::terminate();
            return 0;
        };
        let is_one = (0..)
            .map_while(|index| thrown.catchable(index))
            .any(|found| is_same_type(resolve(thrown.image, found.kind), kind.address()));
        i32::from(is_one)
    }

    /// Destroys the object of a C++ exception.
    "vcruntime140.dll|msvcrt.dll|ucrtbase.dll" cdecl fn __DestructExceptionObject(record: Ptr<u8>, may_not_throw: i32) {
        if let Some(thrown) = Thrown::of(&Record::load(record.address())) {
            thrown.destroy();
        }
    }

    /// Returns where a base class lies in an object.
    "vcruntime140.dll|ucrtbase.dll" cdecl fn __AdjustPointer(object: Ptr<u8>, place: Ptr<Displacement>) -> Ptr<u8> {
        Ptr::new(place.read().apply(object.address()))
    }

    /// Throws a C++ exception; without `info`, the one that is being handled.
    "vcruntime140.dll|msvcrt.dll|ucrtbase.dll" stdcall fn _CxxThrowException(object: Ptr<u8>, info: Ptr<u8>, caller: Caller) {
        let image = module::image_containing(info.address()).map_or(0, |(view, _)| view.base);
        throw_from(object.address(), info.address(), image, caller)
    }
}

/// Throws an object whose tables are relative to `image`, at the guest's call.
pub fn throw_from(object: u64, info: u64, image: u64, caller: Caller) -> ! {
    let information = [MAGIC, object, info, image];
    let count = if width() == Width::X64 { 4 } else { 3 };
    let context = Context::after_call(&caller.0.get());
    if info != 0 {
        catching::note_throw();
    }
    let record = Record::new(
        CODE,
        flag::NONCONTINUABLE,
        context.rip,
        &information[..count],
    );
    exception::raise(record, context)
}
