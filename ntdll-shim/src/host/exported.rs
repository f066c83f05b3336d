//! What hosts write into [`ExportedObject::description`](super::ExportedObject), as far as another kind of host reads it.
//!
//! The first byte is the kind of the description. That of `lpcrun` goes on with the access (four bytes), the type of the
//! object (one byte), the number of descriptors (one byte), the length of the rest (four bytes) and the rest, which the type
//! defines. That of a Wine process goes on with a handle of its own (eight bytes) and, for an object that a program outside Wine
//! can have, with what `lpcrun` would have written. Numbers are little-endian.

use ntlpc_abi::NtStatus;

/// Description by `lpcrun`.
pub const STANDALONE: u8 = 1;
/// Description by a Wine process.
pub const WINE: u8 = 2;

/// A section; the rest is its size (eight bytes), page protection and attributes (four bytes each), the descriptor its memory.
pub const SECTION: u8 = 5;
/// A file; the rest is whether it was opened for overlapped transfers (one byte) and its path, the descriptor the file.
pub const FILE: u8 = 8;

/// A description as `lpcrun` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described<'a> {
    /// Rights the handle shall have.
    pub access: u32,
    /// Type of the object.
    pub object: u8,
    /// What the type defines.
    pub rest: &'a [u8],
}

impl<'a> Described<'a> {
    /// Writes it, the first byte included.
    #[must_use]
    pub fn to_bytes(&self, descriptors: u8) -> Vec<u8> {
        let length = u32::try_from(self.rest.len()).unwrap_or(u32::MAX);
        let mut bytes = vec![STANDALONE];
        bytes.extend(self.access.to_le_bytes());
        bytes.extend([self.object, descriptors]);
        bytes.extend(length.to_le_bytes());
        bytes.extend(self.rest);
        bytes
    }

    /// Takes a description apart, the first byte included; of a Wine process's, what it says for `lpcrun`.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for an object that means something to Wine processes only, `INVALID_PARAMETER` for a damaged description.
    pub fn parse(description: &'a [u8]) -> Result<Described<'a>, NtStatus> {
        let description = match description {
            [WINE, rest @ ..] => {
                let (_, rest) = rest
                    .split_first_chunk::<CARRIER_LEN>()
                    .ok_or(NtStatus::INVALID_PARAMETER)?;
                rest
            }
            [_, ..] => description,
            [] => return Err(NtStatus::INVALID_PARAMETER),
        };
        let Some((&STANDALONE, description)) = description.split_first() else {
            return Err(NtStatus::NOT_SUPPORTED);
        };
        let fields = || {
            let (access, description) = description.split_first_chunk()?;
            let ([object, _], description) = description.split_first_chunk()?;
            let (length, rest) = description.split_first_chunk()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            Some(Described {
                access: u32::from_le_bytes(*access),
                object: *object,
                rest: rest.get(..length)?,
            })
        };
        fields().ok_or(NtStatus::INVALID_PARAMETER)
    }
}

/// Writes the description of a Wine process: a handle of its own, and what `lpcrun` would write, or nothing.
#[must_use]
pub fn with_carrier(handle: u64, described: &[u8]) -> Vec<u8> {
    let mut bytes = vec![WINE];
    bytes.extend(handle.to_le_bytes());
    bytes.extend(described);
    bytes
}

/// Returns the handle in the description of a Wine process.
///
/// # Errors
/// `NOT_SUPPORTED` for another kind of description, `INVALID_PARAMETER` for a damaged one.
pub fn carrier(description: &[u8]) -> Result<u64, NtStatus> {
    match description {
        [WINE, rest @ ..] => {
            let handle = rest.first_chunk().ok_or(NtStatus::INVALID_PARAMETER)?;
            Ok(u64::from_le_bytes(*handle))
        }
        [] => Err(NtStatus::INVALID_PARAMETER),
        _ => Err(NtStatus::NOT_SUPPORTED),
    }
}

const CARRIER_LEN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn description_is_taken_apart_and_a_cut_one_is_refused() {
        let described = Described {
            access: 6,
            object: FILE,
            rest: b"\0/",
        };
        let whole = described.to_bytes(1);
        assert_eq!(
            whole,
            [STANDALONE, 6, 0, 0, 0, FILE, 1, 2, 0, 0, 0, 0, b'/']
        );
        let of_wine = with_carrier(0x44, &whole);
        assert_eq!(Described::parse(&whole), Ok(described));
        assert_eq!(Described::parse(&of_wine), Ok(described));
        assert_eq!(carrier(&of_wine), Ok(0x44));
        for end in 0..whole.len() {
            assert_eq!(
                Described::parse(&whole[..end]),
                Err(NtStatus::INVALID_PARAMETER)
            );
        }
        assert_eq!(carrier(&whole), Err(NtStatus::NOT_SUPPORTED));
        assert_eq!(carrier(&of_wine[..8]), Err(NtStatus::INVALID_PARAMETER));
        let of_wine_alone = with_carrier(0x44, &[]);
        assert_eq!(carrier(&of_wine_alone), Ok(0x44));
        assert_eq!(
            Described::parse(&of_wine_alone),
            Err(NtStatus::NOT_SUPPORTED)
        );
    }
}
