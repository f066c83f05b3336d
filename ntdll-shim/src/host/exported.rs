//! What hosts write into [`ExportedObject::description`](super::ExportedObject), as far as another kind of host reads it.
//!
//! The first byte is the kind of the description. That of `lpcrun` goes on with the access (four bytes), the type of the
//! object (one byte), the number of descriptors (one byte), the length of the rest (four bytes) and the rest, which the type
//! defines. Numbers are little-endian.

use ntlpc_abi::NtStatus;

/// Description by `lpcrun`.
pub const STANDALONE: u8 = 1;
/// Description by a Wine process: it means something to Wine processes only.
pub const WINE: u8 = 2;

/// A section; the rest is its size (eight bytes), page protection and attributes (four bytes each), the descriptor its memory.
pub const SECTION: u8 = 5;
/// A file; the rest is whether it was opened for overlapped transfers (one byte) and its path, the descriptor the file.
pub const FILE: u8 = 8;

/// A description by `lpcrun`, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standalone<'a> {
    /// Rights the handle shall have.
    pub access: u32,
    /// Type of the object.
    pub object: u8,
    /// What the type defines.
    pub rest: &'a [u8],
}

impl<'a> Standalone<'a> {
    /// Takes a description apart, the first byte included.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for another kind of description, `INVALID_PARAMETER` for a damaged one.
    pub fn parse(description: &'a [u8]) -> Result<Standalone<'a>, NtStatus> {
        let (&kind, description) = description
            .split_first()
            .ok_or(NtStatus::INVALID_PARAMETER)?;
        if kind != STANDALONE {
            return Err(NtStatus::NOT_SUPPORTED);
        }
        let fields = || {
            let (access, description) = description.split_first_chunk()?;
            let ([object, _], description) = description.split_first_chunk()?;
            let (length, rest) = description.split_first_chunk()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            Some(Standalone {
                access: u32::from_le_bytes(*access),
                object: *object,
                rest: rest.get(..length)?,
            })
        };
        fields().ok_or(NtStatus::INVALID_PARAMETER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn description_is_taken_apart_and_a_cut_one_is_refused() {
        let whole = [STANDALONE, 6, 0, 0, 0, FILE, 1, 2, 0, 0, 0, 0, b'/'];
        let parsed = Standalone::parse(&whole).expect("whole");
        assert_eq!(
            (parsed.access, parsed.object, parsed.rest),
            (6, FILE, &b"\0/"[..])
        );
        for end in 0..whole.len() {
            assert_eq!(
                Standalone::parse(&whole[..end]),
                Err(NtStatus::INVALID_PARAMETER)
            );
        }
        assert_eq!(Standalone::parse(&[WINE]), Err(NtStatus::NOT_SUPPORTED));
    }
}
