//! What `std::exception` and `std::type_info` of the compiler's library keep outside of the program.
//!
//! Source: `vcruntime_exception.h` and `vcruntime_typeinfo.h` declare the functions; Microsoft Learn, "type_info class".

use super::throw::name_of;
use super::undecorate;
use crate::crt::malloc;
use crate::crt::mem;
use crate::export::Ptr;
use crate::{guest_struct, win_api};

guest_struct! {
    /// `__std_exception_data`.
    pub struct ExceptionData {
        what: Ptr<u8>,
        is_owned: u8,
    }
    /// `__std_type_info_data`.
    pub struct TypeInfoData {
        undecorated: Ptr<u8>,
        decorated: [u8; 1],
    }
}

/// FNV-1a, 64 bits: offset basis and prime.
const HASH_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const HASH_PRIME: u64 = 0x0100_0000_01b3;

/// Returns where the decorated name of a `__std_type_info_data` lies: behind one pointer.
fn decorated(data: Ptr<TypeInfoData>) -> Ptr<u8> {
    data.byte_add(TypeInfoData::offset_of("decorated") as u64)
        .cast()
}

/// Returns the name of the type that a type descriptor stands for, as a report shows it; `None` if it cannot be read.
pub fn shown_name(descriptor: u64) -> Option<String> {
    let mut name = Vec::new();
    for index in 0..256 {
        match name_of(descriptor).add(index).try_read().ok()? {
            0 => break,
            byte => name.push(byte),
        }
    }
    Some(undecorate::type_name(&String::from_utf8_lossy(&name)))
}

fn copied(text: &[u8]) -> Ptr<u8> {
    let copy = malloc::malloc(text.len() + 1);
    if !copy.is_null() {
        mem::write_string(copy, text);
    }
    copy
}

win_api! {
    /// Copies the text of an exception object.
    "vcruntime140.dll|ucrtbase.dll" cdecl fn __std_exception_copy(from: Ptr<ExceptionData>, to: Ptr<ExceptionData>) {
        let data = from.read();
        if data.is_owned == 0 || data.what.is_null() {
            to.write(ExceptionData { what: data.what, is_owned: 0 });
            return;
        }
        let copy = copied(&mem::string(data.what));
        to.write(ExceptionData { what: copy, is_owned: u8::from(!copy.is_null()) });
    }

    /// Frees the text of an exception object.
    "vcruntime140.dll|ucrtbase.dll" cdecl fn __std_exception_destroy(data: Ptr<ExceptionData>) {
        let old = data.read();
        if old.is_owned != 0 {
            malloc::free(old.what);
        }
        data.write(ExceptionData { what: Ptr::NULL, is_owned: 0 });
    }

    /// Compares two types; 0 if they are one.
    "vcruntime140.dll|ucrtbase.dll" cdecl fn __std_type_info_compare(left: Ptr<TypeInfoData>, right: Ptr<TypeInfoData>) -> i32 {
        if left.address() == right.address() {
            return 0;
        }
        // The names begin with a dot that says nothing.
        let name = |data| mem::string(decorated(data).add(1));
        name(left).cmp(&name(right)) as i32
    }

    /// Returns a hash of a type's name.
    "vcruntime140.dll|ucrtbase.dll" cdecl fn __std_type_info_hash(data: Ptr<TypeInfoData>) -> usize {
        let name = mem::string(decorated(data).add(1));
        let hash = name.iter().fold(HASH_BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(HASH_PRIME));
        (hash ^ hash >> 32) as usize
    }

    /// Returns the name of a type, made on first use.
    "vcruntime140.dll|ucrtbase.dll" cdecl fn __std_type_info_name(data: Ptr<TypeInfoData>, list: Ptr<u8>) -> Ptr<u8> {
        let field = data.cast::<Ptr<u8>>();
        let known = field.read();
        if !known.is_null() {
            return known;
        }
        let name = mem::string(decorated(data));
        let made = copied(undecorate::type_name(&String::from_utf8_lossy(&name)).as_bytes());
        field.write(made);
        made
    }

    /// Frees the names of types at the end of a program; they stay, as the process ends.
    "vcruntime140.dll|ucrtbase.dll" cdecl fn __std_type_info_destroy_list(list: Ptr<u8>) {}

    /// Ends the program because an exception cannot be handled.
    "vcruntime140.dll" cdecl fn __std_terminate() {
        crate::crt::exit::terminate();
    }
}
