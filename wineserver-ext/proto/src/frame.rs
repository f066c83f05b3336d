//! Frames: a fixed header, then the fields of one request or one reply.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | [`MAGIC`] |
//! | 4 | 2 | [`VERSION`] of the sender |
//! | 6 | 2 | request number (the same in the reply) |
//! | 8 | 4 | in a request 0, or [`POSTED`] if no reply is wanted; NT status in a reply, whose body is empty unless it is `STATUS_SUCCESS` |
//! | 12 | – | fields |

use ntlpc_abi::NtStatus;

use crate::Request;
use crate::wire::{Malformed, Reader, Wire};

/// First four bytes of every frame: `NTLC`.
pub const MAGIC: u32 = u32::from_le_bytes(*b"NTLC");
/// Version of the declarations. Grows with every change an older peer would misread.
pub const VERSION: u16 = 3;
/// Size of the header in bytes.
pub const HEADER_BYTES: usize = 12;
/// Largest frame in bytes, header included.
pub const MAX_BYTES: usize = 72 * 1024;
/// Most descriptors one frame may carry.
pub const MAX_FDS: usize = 8;
/// Largest run of bytes one [`ReadData`](crate::port::ReadData) or [`WriteData`](crate::port::WriteData) moves.
pub const MAX_DATA_BYTES: usize = MAX_BYTES - 1024;

/// In the status field of a request: the server sends no reply, whatever comes of it.
pub const POSTED: NtStatus = NtStatus(1);

/// A decoded header and the bytes after it.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Request number.
    pub number: u16,
    /// Status of a reply; 0 or [`POSTED`] in a request.
    pub status: NtStatus,
    /// Fields, not yet decoded.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Splits and checks the header of a received frame.
    pub fn parse(bytes: &'a [u8]) -> Result<Frame<'a>, Malformed> {
        let (header, body) = bytes
            .split_at_checked(HEADER_BYTES)
            .ok_or(Malformed::NotAFrame)?;
        let mut reader = Reader::new(header);
        if u32::get(&mut reader)? != MAGIC {
            return Err(Malformed::NotAFrame);
        }
        let version = u16::get(&mut reader)?;
        if version != VERSION {
            return Err(Malformed::Version(version));
        }
        Ok(Frame {
            number: u16::get(&mut reader)?,
            status: NtStatus::get(&mut reader)?,
            body,
        })
    }
}

/// Encodes a request frame.
pub fn encode_request<R: Request>(request: &R) -> Vec<u8> {
    let mut out = header(R::NUMBER, NtStatus::SUCCESS);
    request.put(&mut out);
    out
}

/// Encodes a request that wants no reply.
pub fn encode_posted<R: Request>(request: &R) -> Vec<u8> {
    let mut out = header(R::NUMBER, POSTED);
    request.put(&mut out);
    out
}

/// Encodes the reply to a request of type `R`.
pub fn encode_reply<R: Request>(outcome: Result<&R::Reply, NtStatus>) -> Vec<u8> {
    match outcome {
        Ok(reply) => {
            let mut out = header(R::NUMBER, NtStatus::SUCCESS);
            reply.put(&mut out);
            out
        }
        Err(status) => encode_refusal(R::NUMBER, status),
    }
}

/// Encodes a reply that carries only a status.
#[must_use]
pub fn encode_refusal(number: u16, status: NtStatus) -> Vec<u8> {
    header(number, status)
}

/// Decodes all of `body`; bytes left over make it malformed.
pub fn decode_body<T: Wire>(body: &[u8]) -> Result<T, Malformed> {
    let mut reader = Reader::new(body);
    let value = T::get(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

fn header(number: u16, status: NtStatus) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    MAGIC.put(&mut out);
    VERSION.put(&mut out);
    number.put(&mut out);
    status.put(&mut out);
    out
}
