//! `EXCEPTION_RECORD` of x86-64; an i386 program sees that of [`super::i386`].
//!
//! Source: mingw-w64 `winnt.h` `EXCEPTION_RECORD`.
#![allow(unsafe_code, reason = "copies records to and from guest memory")]

use ntlpc_abi::Width;

use super::i386;
use crate::guest::Ptr;
use crate::width;

/// `EXCEPTION_RECORD`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Record {
    /// `ExceptionCode`.
    pub code: u32,
    /// `ExceptionFlags`.
    pub flags: u32,
    /// Nested record.
    pub record: u64,
    /// `ExceptionAddress`.
    pub address: u64,
    /// `NumberParameters`.
    pub parameters: u32,
    pad: u32,
    /// `ExceptionInformation`.
    pub information: [u64; 15],
}

const _: () = assert!(size_of::<Record>() == 0x98);

/// Flags of a record. Source: mingw-w64 `winnt.h` `EXCEPTION_*`.
#[allow(missing_docs, reason = "the EXCEPTION_ flags of the same name")]
pub mod flag {
    pub const NONCONTINUABLE: u32 = 0x1;
    pub const UNWINDING: u32 = 0x2;
    pub const EXIT_UNWIND: u32 = 0x4;
    pub const STACK_INVALID: u32 = 0x8;
    pub const NESTED_CALL: u32 = 0x10;
    pub const TARGET_UNWIND: u32 = 0x20;
    pub const COLLIDED_UNWIND: u32 = 0x40;
    pub const UNWIND: u32 = 0x66;
}

impl Record {
    /// Makes a record with at most fifteen words of information.
    #[must_use]
    pub fn new(code: u32, flags: u32, address: u64, information: &[u64]) -> Record {
        let mut words = [0; 15];
        let count = information.len().min(words.len());
        words[..count].copy_from_slice(&information[..count]);
        Record {
            code,
            flags,
            record: 0,
            address,
            parameters: count as u32,
            pad: 0,
            information: words,
        }
    }

    /// Reads a record of the guest; a bad address raises an exception in the guest.
    #[must_use]
    pub fn load(at: u64) -> Record {
        match width() {
            // SAFETY: as for `Raw::read`; every bit pattern is a record.
            Width::X64 => unsafe { (at as *const Record).read_unaligned() },
            Width::X86 => i386::decode_record(&Ptr::new(at).read()),
        }
    }

    /// Writes it to the guest; a bad address raises an exception in the guest.
    pub fn store(&self, at: u64) {
        Ptr::<u8>::new(at).write_bytes(&self.guest_bytes());
    }

    /// Returns the guest's structure.
    #[must_use]
    pub fn guest_bytes(&self) -> Vec<u8> {
        match width() {
            Width::X64 => self.as_bytes().to_vec(),
            Width::X86 => i386::encode_record(self).to_vec(),
        }
    }

    /// Returns the bytes of this structure itself.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: a record has no padding bytes: `pad` is a field.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).cast(), size_of::<Record>()) }
    }
}
