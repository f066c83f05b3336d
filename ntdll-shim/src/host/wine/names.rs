//! Wine's own object directories: names relative to their handles, and objects under names of ports.

use ntlpc_abi::{Handle, NtStatus};

use super::ntdll::Ntdll;
use super::service::ntdll;
use super::structures::{ObjectAttributes, Word};
use crate::host::{OwnObject, Root};

/// Returns the path of a directory handle.
///
/// A directory without a name cannot be told to the server.
pub fn directory(handle: Handle) -> Result<Root, NtStatus> {
    if !is_of_type(handle.0, "Directory")? {
        return Err(NtStatus::OBJECT_TYPE_MISMATCH);
    }
    let path = string_information(handle.0, OBJECT_NAME_INFORMATION)?;
    if path.is_empty() {
        log::warn!("names relative to an unnamed directory are not supported");
        return Err(NtStatus::NOT_SUPPORTED);
    }
    Ok(Root::Path(path))
}

/// Returns what Wine has under an absolute path.
pub fn own_object(path: &[u16]) -> Option<OwnObject> {
    let ntdll = ntdll();
    let name = Name::of(path)?;
    let attributes = name.attributes(OBJ_CASE_INSENSITIVE);
    // SAFETY: pointer to a local, access, attributes (locals). Wine looks an event up as it does any object.
    let status = open(|handle| unsafe {
        ntdll.call(ntdll.NtOpenEvent, [handle, 0, &raw const attributes as u64])
    });
    match status {
        NtStatus::SUCCESS => return Some(OwnObject::Other),
        NtStatus::OBJECT_TYPE_MISMATCH | NtStatus::ACCESS_DENIED => {}
        _ => return None,
    }
    // SAFETY: as above.
    let status = open(|handle| unsafe {
        ntdll.call(
            ntdll.NtOpenDirectoryObject,
            [handle, 0, &raw const attributes as u64],
        )
    });
    Some(match status {
        NtStatus::SUCCESS => OwnObject::Directory,
        _ => OwnObject::Other,
    })
}

/// Makes the directory Windows has for ports, which Wine lacks: programs put other objects there, too, and open it.
pub fn furnish(ntdll: &Ntdll) {
    let path: Vec<u16> = r"\RPC Control".encode_utf16().collect();
    let Some(name) = Name::of(&path) else { return };
    let attributes = name.attributes(OBJ_CASE_INSENSITIVE | OBJ_OPENIF | OBJ_PERMANENT);
    let mut directory = 0_u64;
    // SAFETY: pointer to a local, access, attributes (locals).
    let status = unsafe {
        ntdll.call(
            ntdll.NtCreateDirectoryObject,
            [
                &raw mut directory as u64,
                DIRECTORY_QUERY,
                &raw const attributes as u64,
            ],
        )
    };
    if directory == 0 {
        log::debug!("Wine makes no directory for ports: status {status:#x}");
        return;
    }
    // SAFETY: the handle just made.
    unsafe { ntdll.call(ntdll.NtClose, [directory]) };
}

/// Returns whether the object of a handle is of the type of that name.
pub fn is_of_type(handle: u64, name: &str) -> Result<bool, NtStatus> {
    let type_name = string_information(handle, OBJECT_TYPE_INFORMATION)?;
    Ok(name.encode_utf16().eq(type_name))
}

/// Returns the name of the type of the object behind a handle.
pub fn type_name(handle: u64) -> Result<String, NtStatus> {
    let name = string_information(handle, OBJECT_TYPE_INFORMATION)?;
    Ok(String::from_utf16_lossy(&name))
}

/// Asks Wine for information that begins with a `UNICODE_STRING` whose text lies behind it.
fn string_information(handle: u64, class: u64) -> Result<Vec<u16>, NtStatus> {
    let mut answer = [0_u64; 512];
    let ntdll = ntdll();
    // SAFETY: handle, class, a local buffer and its size, no length wanted.
    let status = unsafe {
        ntdll.call(
            ntdll.NtQueryObject,
            [
                handle,
                class,
                answer.as_mut_ptr() as u64,
                size_of_val(&answer) as u64,
                0,
            ],
        )
    };
    NtStatus(status).ok()?;
    Ok(string_at_start(&answer))
}

/// Reads the text of a `UNICODE_STRING` at the start of a buffer that holds the text, too.
pub fn string_at_start(answer: &[u64]) -> Vec<u16> {
    let length = usize::from(answer[0] as u16) / 2;
    // The text's address is the second word of the structure.
    let buffer = match size_of::<Word>() {
        8 => answer[1],
        _ => answer[0] >> 32,
    };
    let start = (buffer as usize).saturating_sub(answer.as_ptr() as usize) / 2;
    answer
        .iter()
        .flat_map(|word| [0, 16, 32, 48].map(|shift| (word >> shift) as u16))
        .skip(start)
        .take(length)
        .collect()
}

/// Calls with a place for a handle, which is closed.
fn open(call: impl FnOnce(u64) -> u32) -> NtStatus {
    let mut handle = 0_u64;
    let status = NtStatus(call(&raw mut handle as u64));
    if status == NtStatus::SUCCESS {
        let ntdll = ntdll();
        // SAFETY: the handle just opened.
        unsafe { ntdll.call(ntdll.NtClose, [handle]) };
    }
    status
}

/// `UNICODE_STRING` of a borrowed text.
#[repr(C)]
struct Name<'a> {
    length: u16,
    maximum: u16,
    buffer: *const u16,
    text: std::marker::PhantomData<&'a [u16]>,
}

impl Name<'_> {
    fn of(text: &[u16]) -> Option<Name<'_>> {
        let length = u16::try_from(size_of_val(text)).ok()?;
        Some(Name {
            length,
            maximum: length,
            buffer: text.as_ptr(),
            text: std::marker::PhantomData,
        })
    }

    /// Attributes with the address of this name.
    fn attributes(&self, flags: Word) -> ObjectAttributes {
        ObjectAttributes {
            name: std::ptr::from_ref(self) as Word,
            ..ObjectAttributes::new(flags)
        }
    }
}

const OBJECT_NAME_INFORMATION: u64 = 1;
const OBJECT_TYPE_INFORMATION: u64 = 2;
const OBJ_PERMANENT: Word = 0x10;
const OBJ_CASE_INSENSITIVE: Word = 0x40;
const OBJ_OPENIF: Word = 0x80;
const DIRECTORY_QUERY: u64 = 1;
