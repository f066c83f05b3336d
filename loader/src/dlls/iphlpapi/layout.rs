//! Lists of structures in a buffer of the caller, whose size it may have to learn first.

use ntlpc_abi::UserPtr;

use crate::export::{Guest, Ptr};

/// `ERROR_BUFFER_OVERFLOW`.
pub(super) const BUFFER_OVERFLOW: u32 = 111;

/// A buffer that is filled from its start; one without a place only counts.
#[derive(Debug)]
pub(super) struct Buffer {
    at: Option<u64>,
    used: usize,
}

impl Buffer {
    /// Takes room for a `T`; everything lies at a multiple of 8.
    pub(super) fn room<T: Guest>(&mut self) -> Ptr<T> {
        self.used = self.used.next_multiple_of(8);
        let at = self.at.unwrap_or(0) + self.used as u64;
        self.used += T::size();
        Ptr::new(at)
    }

    /// Writes what room was taken for.
    pub(super) fn fill<T: Guest>(&self, to: Ptr<T>, value: T) {
        if self.at.is_some() {
            to.write(value);
        }
    }

    /// Adds elements; none give NULL.
    pub(super) fn put<T: Guest>(&mut self, elements: &[T]) -> UserPtr {
        if elements.is_empty() {
            return UserPtr::NULL;
        }
        self.used = self.used.next_multiple_of(8);
        let at = self.at.unwrap_or(0) + self.used as u64;
        self.used += std::mem::size_of_val(elements);
        if self.at.is_some() {
            Ptr::<T>::new(at).write_many(elements);
        }
        UserPtr(at)
    }

    /// Adds text with a NUL.
    pub(super) fn wide(&mut self, text: &str) -> UserPtr {
        self.put(&text.encode_utf16().chain([0]).collect::<Vec<u16>>())
    }
}

/// Fills the caller's buffer, or tells the size it needs. Returns a Win32 error.
pub(super) fn fill(to: Ptr<u8>, size: Ptr<u32>, build: impl Fn(&mut Buffer)) -> u32 {
    let mut buffer = Buffer { at: None, used: 0 };
    build(&mut buffer);
    let needed = u32::try_from(buffer.used).unwrap_or(u32::MAX);
    let given = size.read();
    size.write(needed);
    if to.is_null() || given < needed {
        return BUFFER_OVERFLOW;
    }
    build(&mut Buffer {
        at: Some(to.address()),
        used: 0,
    });
    0
}
