//! Exceptions that the runtime itself throws: `std::bad_cast`, `std::bad_typeid`; and `exception` as `msvcrt` has it.
//!
//! An exception needs what the compiler writes for a class: type descriptors, a `ThrowInfo`, a virtual function table. They
//! are made on first use in one block of guest memory, which takes the place of an image.

use std::sync::OnceLock;

use super::data::ExceptionData;
use super::throw::{self, ThrowInfo};
use crate::crt::mem;
use crate::export::{Caller, Guest, Ptr};
use crate::image::ImportName;
use crate::module;
use crate::vm::low;
use crate::{guest_struct, width, win_api};
use ntlpc_abi::Width;

/// A class of exceptions.
#[derive(Clone, Copy, Debug)]
pub enum Class {
    /// `std::bad_cast`.
    BadCast,
    /// `std::bad_typeid`.
    BadTypeid,
}

impl Class {
    fn name(self) -> &'static str {
        match self {
            Class::BadCast => ".?AVbad_cast@std@@",
            Class::BadTypeid => ".?AVbad_typeid@std@@",
        }
    }
}

const BASE_NAME: &str = ".?AVexception@std@@";

guest_struct! {
    struct Object {
        functions: usize,
        data: ExceptionData,
    }
    struct TypeDescriptor {
        functions: usize,
        spare: usize,
        name: [u8; 32],
    }
    struct Catchable {
        properties: u32,
        kind: u32,
        place: [i32; 3],
        size: u32,
        copy: u32,
    }
    /// Everything an exception of one class needs.
    struct Block {
        object: Object,
        locator: usize,
        functions: [usize; 2],
        own_type: TypeDescriptor,
        base_type: TypeDescriptor,
        kinds: [u32; 3],
        own_catchable: Catchable,
        base_catchable: Catchable,
        info: ThrowInfo,
        text: [u8; 64],
    }
}

fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let len = text.len().min(N - 1);
    bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
    bytes
}

/// Returns the address of a function that `msvcrt.dll` exports.
fn exported(name: &str) -> usize {
    let found = module::load("msvcrt.dll", module::SearchFlags::default())
        .ok()
        .and_then(|base| module::proc_address(base, &ImportName::Name(name.to_owned())));
    found.unwrap_or(0) as usize
}

/// Makes the block of a class.
fn make(class: Class, text: &str) -> u64 {
    let at = low::allocate(Block::size(), Block::align());
    let field = |name: &str| at + Block::offset_of(name) as u64;
    // Addresses in tables are relative on x64; the block is the image.
    let address = |name: &str| match width() {
        Width::X64 => Block::offset_of(name) as u32,
        Width::X86 => field(name) as u32,
    };
    let functions = match width() {
        Width::X64 => ["??1exception@@UEAA@XZ", "?what@exception@@UEBAPEBDXZ"],
        Width::X86 => ["??1exception@@UAE@XZ", "?what@exception@@UBEPBDXZ"],
    };
    let descriptor = |name: &str| TypeDescriptor {
        functions: 0,
        spare: 0,
        name: padded(name),
    };
    let catchable = |kind: &str| Catchable {
        properties: 0,
        kind: address(kind),
        place: [0, -1, 0],
        size: Object::size() as u32,
        copy: 0,
    };
    Ptr::<Block>::new(at).write(Block {
        object: Object {
            functions: field("functions") as usize,
            data: ExceptionData {
                what: Ptr::new(field("text")),
                is_owned: 0,
            },
        },
        locator: 0,
        functions: functions.map(exported),
        own_type: descriptor(class.name()),
        base_type: descriptor(BASE_NAME),
        kinds: [2, address("own_catchable"), address("base_catchable")],
        own_catchable: catchable("own_type"),
        base_catchable: catchable("base_type"),
        info: ThrowInfo {
            attributes: 0,
            destructor: 0,
            forward_compatible: 0,
            kinds: address("kinds"),
        },
        text: padded(text),
    });
    at
}

/// Throws an exception of a class at the guest's call.
pub fn throw(class: Class, text: &str, caller: Caller) -> ! {
    static BLOCKS: [OnceLock<u64>; 2] = [OnceLock::new(), OnceLock::new()];
    let at = *BLOCKS[class as usize].get_or_init(|| make(class, text));
    throw::throw_from(at, at + Block::offset_of("info") as u64, at, caller)
}

win_api! {
    /// Destroys an `exception`.
    "msvcrt.dll" thiscall fn destroy_exception = "??1exception@@UEAA@XZ|??1exception@@UAE@XZ" (this: Ptr<u8>) -> Ptr<u8> {
        super::data::__std_exception_destroy(this.byte_add(Object::offset_of("data") as u64).cast());
        this
    }

    /// Returns the text of an `exception`.
    "msvcrt.dll" thiscall fn exception_what = "?what@exception@@UEBAPEBDXZ|?what@exception@@UBEPBDXZ" (this: Ptr<u8>) -> Ptr<u8> {
        let text = this.cast::<Object>().read().data.what;
        if text.is_null() { unknown_text() } else { text }
    }
}

/// Returns the text of an exception without one.
fn unknown_text() -> Ptr<u8> {
    static TEXT: OnceLock<u64> = OnceLock::new();
    const UNKNOWN: &str = "Unknown exception";
    Ptr::new(*TEXT.get_or_init(|| {
        let at = low::allocate(UNKNOWN.len() + 1, 1);
        mem::write_string(Ptr::new(at), UNKNOWN.as_bytes());
        at
    }))
}
