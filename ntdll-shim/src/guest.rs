//! Capture of guest structures: each is copied once, checked, then used.

use ntlpc_abi::layout::{Layout, ObjectAttributes, SecurityQos, UnicodeString};
use ntlpc_abi::{Handle, NtStatus, UserPtr, Width};
use ntlpc_shm::sys::Deadline;

use crate::{capture, host};

/// Largest security descriptor, SID or ACL taken from a guest, in bytes.
const MAX_SECURITY_LEN: usize = 0x1_0000;

/// Reads a structure of `width`.
///
/// # Errors
/// `ACCESS_VIOLATION`.
pub fn read<T: Layout>(at: UserPtr, width: Width) -> Result<T, NtStatus> {
    let mut bytes = [0; ntlpc_abi::layout::MAX_LEN];
    let bytes = &mut bytes[..T::size(width)];
    capture::read(at, bytes)?;
    Ok(T::decode(width, bytes))
}

/// Writes a structure of `width`.
///
/// # Errors
/// `ACCESS_VIOLATION`.
pub fn write<T: Layout>(at: UserPtr, width: Width, value: &T) -> Result<(), NtStatus> {
    capture::write(at, &value.encode(width))
}

/// Reads a `ULONG`.
///
/// # Errors
/// `ACCESS_VIOLATION`.
pub fn read_u32(at: UserPtr) -> Result<u32, NtStatus> {
    let mut bytes = [0; 4];
    capture::read(at, &mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// Writes a `ULONG`.
///
/// # Errors
/// `ACCESS_VIOLATION`.
pub fn write_u32(at: UserPtr, value: u32) -> Result<(), NtStatus> {
    capture::write(at, &value.to_le_bytes())
}

/// Reads a pointer-sized value.
///
/// # Errors
/// `ACCESS_VIOLATION`.
pub fn read_word(at: UserPtr) -> Result<u64, NtStatus> {
    read_pointer(at, host::personality().guest).map(|value| value.0)
}

/// Writes a pointer-sized value: `HANDLE`, `PVOID`, `SIZE_T`.
///
/// # Errors
/// `ACCESS_VIOLATION`.
pub fn write_word(at: UserPtr, value: u64) -> Result<(), NtStatus> {
    let width = host::personality().guest;
    capture::write(at, &value.to_le_bytes()[..width.pointer()])
}

/// Checks that `len` bytes at `at` can be written, without changing them: outputs are probed before side effects.
///
/// # Errors
/// `ACCESS_VIOLATION`.
pub fn probe_write(at: UserPtr, len: usize) -> Result<(), NtStatus> {
    /// Writability changes only between pages.
    const PAGE: u64 = 0x1000;
    let end =
        at.0.checked_add(len as u64)
            .ok_or(NtStatus::ACCESS_VIOLATION)?;
    let mut next = at.0;
    while next < end {
        let mut byte = [0];
        capture::read(UserPtr(next), &mut byte)?;
        capture::write(UserPtr(next), &byte)?;
        next = (next | (PAGE - 1))
            .checked_add(1)
            .ok_or(NtStatus::ACCESS_VIOLATION)?;
    }
    Ok(())
}

/// Checks that a handle can be written at `at`.
///
/// # Errors
/// `ACCESS_VIOLATION`.
#[inline(always)]
pub fn probe_handle(at: UserPtr) -> Result<(), NtStatus> {
    probe_write(at, host::personality().guest.pointer())
}

/// Checks the alignment of a message pointer: 4 bytes (lpc §2.0.9).
///
/// # Errors
/// `DATATYPE_MISALIGNMENT`.
pub fn check_aligned(at: UserPtr, alignment: u64) -> Result<(), NtStatus> {
    if at.0.is_multiple_of(alignment) {
        Ok(())
    } else {
        Err(NtStatus::DATATYPE_MISALIGNMENT)
    }
}

/// Reads a counted string.
///
/// # Errors
/// `ACCESS_VIOLATION`; `OBJECT_NAME_INVALID` for half a character.
pub fn string(at: UserPtr) -> Result<Vec<u16>, NtStatus> {
    let string: UnicodeString = read(at, host::personality().guest)?;
    if !string.length.is_multiple_of(2) {
        return Err(NtStatus::OBJECT_NAME_INVALID);
    }
    let mut bytes = vec![0; usize::from(string.length)];
    if !bytes.is_empty() {
        capture::read(string.buffer, &mut bytes)?;
    }
    Ok(bytes
        .chunks_exact(2)
        .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
        .collect())
}

/// Captured `OBJECT_ATTRIBUTES`.
#[derive(Debug, Default)]
pub struct Attributes {
    /// Directory handle, or NULL.
    pub root: Handle,
    /// Name; empty for an unnamed object.
    pub name: Vec<u16>,
    /// `OBJ_` flags.
    pub flags: u32,
    /// Self-relative security descriptor; empty for the default.
    pub security: Vec<u8>,
}

/// Reads `OBJECT_ATTRIBUTES` whose flags must be within `allowed`; `check_sizes` runs between those checks and the reading
/// of the name (lpc §2.1 steps 2–6).
///
/// # Errors
/// `ACCESS_VIOLATION`, `INVALID_PARAMETER`, those of `check_sizes`, `INVALID_SECURITY_DESCR`.
pub fn attributes(
    at: UserPtr,
    allowed: u32,
    check_sizes: impl FnOnce() -> Result<(), NtStatus>,
) -> Result<Attributes, NtStatus> {
    let width = host::personality().guest;
    let raw: ObjectAttributes = read(at, width)?;
    if raw.length as usize != ObjectAttributes::size(width) || raw.attributes & !allowed != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    check_sizes()?;
    let name = if raw.object_name.is_null() {
        Vec::new()
    } else {
        string(raw.object_name)?
    };
    let security = security_descriptor(raw.security_descriptor)?;
    Ok(Attributes {
        root: raw.root_directory,
        name,
        flags: raw.attributes,
        security,
    })
}

/// Reads a `SECURITY_QUALITY_OF_SERVICE`; its length is not looked at (lpc#50).
///
/// # Errors
/// `ACCESS_VIOLATION`.
pub fn qos(at: UserPtr) -> Result<ntlpc_proto::port::Qos, NtStatus> {
    let raw: SecurityQos = read(at, host::personality().guest)?;
    Ok(ntlpc_proto::port::Qos {
        level: raw.level,
        is_dynamic: raw.tracking != 0,
        is_effective_only: raw.effective_only != 0,
    })
}

/// Reads a SID; empty for NULL.
///
/// # Errors
/// `ACCESS_VIOLATION`, `INVALID_SID`.
pub fn sid(at: UserPtr) -> Result<Vec<u8>, NtStatus> {
    /// Revision, count, authority; then 4 bytes for each sub-authority (public `winnt.h` SID).
    const FIXED: usize = 8;
    if at.is_null() {
        return Ok(Vec::new());
    }
    let mut head = [0; FIXED];
    capture::read(at, &mut head)?;
    if head[0] != 1 || head[1] > 15 {
        return Err(NtStatus::INVALID_SID);
    }
    let mut sid = vec![0; FIXED + usize::from(head[1]) * 4];
    capture::read(at, &mut sid)?;
    sid[..2].copy_from_slice(&head[..2]);
    Ok(sid)
}

/// Reads an absolute or self-relative security descriptor and returns it self-relative; empty for NULL.
///
/// Layout: public `winnt.h` `SECURITY_DESCRIPTOR`: revision, reserved, control, then owner, group, SACL, DACL as pointers
/// (absolute) or 32-bit offsets (`SE_SELF_RELATIVE`).
///
/// # Errors
/// `ACCESS_VIOLATION`, `UNKNOWN_REVISION`, `INVALID_SID`, `INVALID_ACL`.
pub fn security_descriptor(at: UserPtr) -> Result<Vec<u8>, NtStatus> {
    const SELF_RELATIVE: u16 = 0x8000;
    const DACL_PRESENT: u16 = 0x0004;
    const SACL_PRESENT: u16 = 0x0010;
    if at.is_null() {
        return Ok(Vec::new());
    }
    let mut head = [0; 4];
    capture::read(at, &mut head)?;
    if head[0] != 1 {
        return Err(NtStatus::UNKNOWN_REVISION);
    }
    let control = u16::from_le_bytes([head[2], head[3]]);
    let parts: [UserPtr; 4] = if control & SELF_RELATIVE != 0 {
        let mut offsets = [0; 16];
        capture::read(at.offset(4), &mut offsets)?;
        std::array::from_fn(|part| {
            let offset = u32::from_le_bytes(
                offsets[part * 4..part * 4 + 4]
                    .try_into()
                    .unwrap_or_default(),
            );
            if offset == 0 {
                UserPtr::NULL
            } else {
                at.offset(offset as usize)
            }
        })
    } else {
        let width = host::personality().guest;
        let mut pointers = [UserPtr::NULL; 4];
        for (part, pointer) in pointers.iter_mut().enumerate() {
            *pointer = read_pointer(at.offset(width.pick(4, 8) + part * width.pointer()), width)?;
        }
        pointers
    };
    let [owner, group, sacl, dacl] = parts;
    let pieces = [
        sid(owner)?,
        sid(group)?,
        acl(if control & SACL_PRESENT != 0 {
            sacl
        } else {
            UserPtr::NULL
        })?,
        acl(if control & DACL_PRESENT != 0 {
            dacl
        } else {
            UserPtr::NULL
        })?,
    ];
    let mut descriptor = vec![0; 20];
    descriptor[0] = 1;
    descriptor[2..4].copy_from_slice(&(control | SELF_RELATIVE).to_le_bytes());
    for (part, piece) in pieces.iter().enumerate() {
        if !piece.is_empty() {
            let offset = (descriptor.len() as u32).to_le_bytes();
            descriptor[4 + part * 4..8 + part * 4].copy_from_slice(&offset);
            descriptor.extend_from_slice(piece);
        }
    }
    Ok(descriptor)
}

/// Reads a pointer.
///
/// # Errors
/// `ACCESS_VIOLATION`.
pub fn read_pointer(at: UserPtr, width: Width) -> Result<UserPtr, NtStatus> {
    let mut bytes = [0; 8];
    capture::read(at, &mut bytes[..width.pointer()])?;
    Ok(UserPtr(u64::from_le_bytes(bytes)))
}

fn acl(at: UserPtr) -> Result<Vec<u8>, NtStatus> {
    if at.is_null() {
        return Ok(Vec::new());
    }
    let mut head = [0; 8];
    capture::read(at, &mut head)?;
    let len = usize::from(u16::from_le_bytes([head[2], head[3]]));
    if !(8..MAX_SECURITY_LEN).contains(&len) {
        return Err(NtStatus::INVALID_ACL);
    }
    let mut acl = vec![0; len];
    capture::read(at, &mut acl)?;
    acl[..8].copy_from_slice(&head);
    Ok(acl)
}

/// Reads an NT timeout: NULL is none; negative is relative, positive absolute, in 100 ns (lpc §2.10).
///
/// # Errors
/// `ACCESS_VIOLATION`.
#[inline(always)]
pub fn timeout(at: UserPtr) -> Result<Option<Deadline>, NtStatus> {
    match at.is_null() {
        true => Ok(None),
        false => deadline(at).map(Some),
    }
}

fn deadline(at: UserPtr) -> Result<Deadline, NtStatus> {
    /// 100 ns between 1601 and 1970.
    const UNIX_EPOCH_100NS: i64 = 116_444_736_000_000_000;
    let mut bytes = [0; 8];
    capture::read(at, &mut bytes)?;
    let time = i64::from_le_bytes(bytes);
    Ok(if time <= 0 {
        Deadline::after_ns(time.unsigned_abs().saturating_mul(100))
    } else {
        let since_epoch = time.saturating_sub(UNIX_EPOCH_100NS).max(0);
        Deadline::Realtime((since_epoch as u64).saturating_mul(100))
    })
}
