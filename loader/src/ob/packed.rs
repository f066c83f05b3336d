//! Objects on their way to other processes, as bytes and descriptors.

use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};

use ntlpc_abi::NtStatus;

use super::object::Object;

/// An object on its way to another process: what to build there and the descriptors it needs.
#[derive(Debug)]
pub struct Packed {
    /// Which type builds it.
    pub kind: PackedKind,
    /// The type's own description, little-endian.
    pub bytes: Vec<u8>,
    /// Descriptors in the type's own order.
    pub fds: Vec<OwnedFd>,
}

/// Types that cross between processes. The numbers are part of the agent's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "named after the types")]
pub enum PackedKind {
    Event = 1,
    Mutant = 2,
    Semaphore = 3,
    Timer = 4,
    Section = 5,
    Process = 6,
    Thread = 7,
    File = 8,
    Port = 9,
    Token = 10,
    Directory = 11,
    SymbolicLink = 12,
    Job = 13,
}

impl PackedKind {
    /// Reads the number of a kind.
    #[must_use]
    pub fn from_u8(value: u8) -> Option<Self> {
        use PackedKind::*;
        [
            Event,
            Mutant,
            Semaphore,
            Timer,
            Section,
            Process,
            Thread,
            File,
            Port,
            Token,
            Directory,
            SymbolicLink,
            Job,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == value)
    }
}

/// What builds objects of all types.
pub type Builder = fn(Packed) -> Result<Arc<dyn Object>, NtStatus>;

static BUILDER: OnceLock<Builder> = OnceLock::new();

/// Says what builds objects; the first choice stays.
pub fn set_builder(builder: Builder) {
    let _ = BUILDER.set(builder);
}

/// Builds an object that another process packed.
///
/// # Errors
/// `INVALID_PARAMETER` for a description that does not fit its kind; `NOT_SUPPORTED` for one of another kind.
pub fn build(packed: Packed) -> Result<Arc<dyn Object>, NtStatus> {
    BUILDER.get().ok_or(NtStatus::NOT_SUPPORTED)?(packed)
}

/// Reads a little-endian word of a description.
pub fn word(bytes: &[u8], at: usize) -> Result<u32, NtStatus> {
    let bytes = bytes.get(at..at + 4).ok_or(NtStatus::INVALID_PARAMETER)?;
    Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// Appends a packed object without its descriptors: kind, number of descriptors, length, bytes.
#[allow(
    clippy::cast_possible_truncation,
    reason = "at most a few descriptors, descriptions of at most 64 KiB"
)]
pub fn write(packed: &Packed, out: &mut Vec<u8>) {
    out.extend([packed.kind as u8, packed.fds.len() as u8]);
    out.extend((packed.bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(&packed.bytes);
}

/// Reads what [`write()`] wrote; `fds` gives as many descriptors as wanted.
pub fn read<'a>(
    bytes: &'a [u8],
    fds: &mut dyn FnMut(usize) -> Result<Vec<OwnedFd>, NtStatus>,
) -> Result<(Packed, &'a [u8]), NtStatus> {
    let (head, rest) = bytes
        .split_at_checked(6)
        .ok_or(NtStatus::INVALID_PARAMETER)?;
    let kind = PackedKind::from_u8(head[0]).ok_or(NtStatus::INVALID_PARAMETER)?;
    let length = word(head, 2)? as usize;
    let (description, rest) = rest
        .split_at_checked(length)
        .ok_or(NtStatus::INVALID_PARAMETER)?;
    Ok((
        Packed {
            kind,
            bytes: description.to_vec(),
            fds: fds(usize::from(head[1]))?,
        },
        rest,
    ))
}
