//! `UNICODE_STRING` and permanent strings in guest memory.

use crate::guest::{Guest, Ptr};
use crate::guest_struct;
use crate::vm::low;

guest_struct! {
    /// `UNICODE_STRING`: lengths in bytes.
    pub struct UnicodeString {
        length: u16,
        maximum_length: u16,
        buffer: Ptr<u16>,
    }
}

impl UnicodeString {
    /// The empty string.
    #[must_use]
    pub const fn empty() -> Self {
        UnicodeString {
            length: 0,
            maximum_length: 0,
            buffer: Ptr::NULL,
        }
    }

    /// Returns its text; a bad address raises an exception in the guest.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf16_lossy(&self.buffer.read_many(usize::from(self.length / 2)))
    }
}

/// Stores text, terminated, for the life of the process. Longer text than a `UNICODE_STRING` can name is cut.
#[must_use]
pub fn allocate_unicode(text: &str) -> UnicodeString {
    let mut units: Vec<u16> = text.encode_utf16().take(0x7ffe).collect();
    units.push(0);
    let buffer = allocate_units(&units);
    let bytes = (units.len() * 2) as u16;
    UnicodeString {
        length: bytes - 2,
        maximum_length: bytes,
        buffer,
    }
}

/// Stores UTF-16 units for the life of the process.
#[must_use]
pub fn allocate_units(units: &[u16]) -> Ptr<u16> {
    let buffer = Ptr::<u16>::new(low::allocate(units.len() * u16::size(), 8));
    buffer.write_many(units);
    buffer
}

/// Stores bytes for the life of the process.
#[must_use]
pub fn allocate_bytes(bytes: &[u8]) -> Ptr<u8> {
    let buffer = Ptr::<u8>::new(low::allocate(bytes.len(), 8));
    buffer.write_bytes(bytes);
    buffer
}

/// Puts a new current directory into the buffer of the process parameters.
pub fn set_directory(directory: &str) {
    let field = super::parameter::<UnicodeString>("current_directory");
    let old = field.read();
    let room = usize::from(old.maximum_length) / 2;
    let units: Vec<u16> = directory.encode_utf16().take(room).collect();
    old.buffer.write_many(&units);
    field.write(UnicodeString {
        length: (units.len() * 2) as u16,
        ..old
    });
}
