//! Bounds-checked access to a mapped image by relative virtual address.

use crate::guest::{Guest, Ptr};

/// An image in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Address of the first byte.
    pub base: u64,
    /// Bytes mapped.
    pub size: u32,
}

/// Longest name read from an image.
const MAX_NAME: u32 = 4096;

impl View {
    /// Reads a value, or returns `None` if it does not lie in the image.
    #[must_use]
    pub fn read<T: Guest>(&self, rva: u32) -> Option<T> {
        self.at(rva, T::size())
            .map(|address| Ptr::<T>::new(address).read())
    }

    /// Writes a value if it lies in the image.
    #[must_use]
    pub fn write<T: Guest>(&self, rva: u32, value: T) -> Option<()> {
        self.at(rva, T::size())
            .map(|address| Ptr::<T>::new(address).write(value))
    }

    /// Reads a NUL-terminated name of reasonable length.
    #[must_use]
    pub fn name(&self, rva: u32) -> Option<String> {
        let mut bytes = Vec::new();
        for i in 0..MAX_NAME {
            match self.read::<u8>(rva.checked_add(i)?)? {
                0 => return Some(String::from_utf8_lossy(&bytes).into_owned()),
                byte => bytes.push(byte),
            }
        }
        None
    }

    /// Returns the address of `len` bytes at `rva`, if they lie in the image.
    #[must_use]
    pub fn at(&self, rva: u32, len: usize) -> Option<u64> {
        let end = u64::from(rva).checked_add(len as u64)?;
        (end <= u64::from(self.size)).then(|| self.base + u64::from(rva))
    }

    /// Returns the relative address of `address`, if it lies in the image.
    #[must_use]
    pub fn rva(&self, address: u64) -> Option<u32> {
        let offset = address.checked_sub(self.base)?;
        (offset < u64::from(self.size)).then_some(offset as u32)
    }
}
