//! Security of objects by handle or name: `aclapi.h`.
//!
//! Files have owner, group and rights of Linux; they can be read and not changed. Other objects have the descriptor they were
//! made with, or one of the user's token.

use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};

use crate::dlls::win32::{dos_error, error, units_arg};
use crate::export::Ptr;
use crate::ob::file::File;
use crate::ob::object::{Object, access, downcast};
use crate::ob::path::{self, Target};
use crate::ob::security::{DACL_PRESENT, Descriptor, SACL_PRESENT, ace, acl, read_acl, read_sid};
use crate::ob::sid::Sid;
use crate::ob::table::lookup_any;
use crate::ob::token;
use crate::win_api;

/// `SE_FILE_OBJECT`, `SE_REGISTRY_KEY`, `SE_KERNEL_OBJECT`, `SE_WINDOW_OBJECT`.
const FILE: u32 = 1;
const BY_HANDLE: [u32; 4] = [FILE, 4, 6, 7];

/// `OWNER_SECURITY_INFORMATION`, group, DACL, SACL.
const OWNER: u32 = 1;
const GROUP: u32 = 2;
const DACL: u32 = 4;
const SACL: u32 = 8;
/// `WRITE_OWNER`.
const WRITE_OWNER: u32 = 0x8_0000;

/// `FILE_GENERIC_READ`, `FILE_GENERIC_WRITE`, `FILE_GENERIC_EXECUTE` for the bits of a mode.
const FILE_RIGHTS: [(u32, u32); 3] = [(4, 0x12_0089), (2, 0x12_0116), (1, 0x12_00A0)];

/// The descriptor that says what a mode says.
fn of_mode(metadata: &std::fs::Metadata) -> Descriptor {
    let rights = |shift: u32| {
        let bits = metadata.mode() >> shift;
        let granted = FILE_RIGHTS.iter().filter(|(bit, _)| bits & bit != 0);
        granted.fold(0, |mask, (_, right)| mask | right)
    };
    let owner = Sid::of_user(metadata.uid()).to_bytes();
    let group = Sid::of_group(metadata.gid()).to_bytes();
    let everyone = Sid::everyone().to_bytes();
    // The owner may change the mode and see it.
    let of_owner = rights(6) | access::READ_CONTROL | access::WRITE_DAC;
    let aces = [
        (&owner, of_owner),
        (&group, rights(3)),
        (&everyone, rights(0)),
    ];
    let aces: Vec<Vec<u8>> = aces
        .iter()
        .filter(|(_, mask)| *mask != 0)
        .map(|(sid, mask)| ace(0, 0, *mask, sid))
        .collect();
    Descriptor {
        control: DACL_PRESENT,
        dacl: Some(acl(&aces)),
        owner: Some(owner),
        group: Some(group),
        sacl: None,
    }
}

fn of_object(object: &Arc<dyn Object>) -> Result<Descriptor, NtStatus> {
    if let Ok(file) = downcast::<File>(object.clone()) {
        let path = format!("/proc/self/fd/{}", file.fd().as_raw_fd());
        let metadata = std::fs::metadata(path).map_err(|_| NtStatus::INVALID_HANDLE)?;
        return Ok(of_mode(&metadata));
    }
    if let Some(bytes) = object.header().security.lock().clone() {
        return Descriptor::read(Ptr::new(bytes.as_ptr().addr() as u64));
    }
    let state = token::primary().state();
    let dacl = state.default_dacl.as_ref().map(|acl| acl.0.clone());
    Ok(Descriptor {
        control: if dacl.is_some() { DACL_PRESENT } else { 0 },
        owner: Some(state.user.0.clone()),
        group: Some(state.primary_group.0.clone()),
        sacl: None,
        dacl,
    })
}

/// Where the parts of a descriptor are wanted.
struct Wanted {
    owner: Ptr<Ptr<u8>>,
    group: Ptr<Ptr<u8>>,
    dacl: Ptr<Ptr<u8>>,
    sacl: Ptr<Ptr<u8>>,
    descriptor: Ptr<Ptr<u8>>,
}

/// Gives the parts of a descriptor in memory for `LocalFree`.
fn give(mut found: Descriptor, which: u32, wanted: &Wanted) -> u32 {
    if which & OWNER == 0 {
        found.owner = None;
    }
    if which & GROUP == 0 {
        found.group = None;
    }
    if which & DACL == 0 {
        found.dacl = None;
        found.control &= !DACL_PRESENT;
    }
    if which & SACL == 0 {
        found.sacl = None;
        found.control &= !SACL_PRESENT;
    }
    let bytes = found.to_bytes();
    let Some(block) = crate::heap::process().allocate(bytes.len(), false) else {
        return error::NOT_ENOUGH_MEMORY;
    };
    Ptr::<u8>::new(block).write_bytes(&bytes);
    let part = |field: usize| match u32::from_le_bytes([
        bytes[field],
        bytes[field + 1],
        bytes[field + 2],
        bytes[field + 3],
    ]) {
        0 => Ptr::NULL,
        offset => Ptr::new(block + u64::from(offset)),
    };
    wanted.owner.write_if_some(part(4));
    wanted.group.write_if_some(part(8));
    wanted.sacl.write_if_some(part(12));
    wanted.dacl.write_if_some(part(16));
    wanted.descriptor.write_if_some(Ptr::new(block));
    error::SUCCESS
}

fn by_name(name: Option<Vec<u16>>, kind: u32) -> Result<Descriptor, u32> {
    let name = name.ok_or(error::INVALID_PARAMETER)?;
    if kind != FILE {
        return Err(error::NOT_SUPPORTED);
    }
    match path::resolve(&String::from_utf16_lossy(&name), &path::directory()) {
        Ok(Target::File(path)) => std::fs::metadata(path)
            .map(|metadata| of_mode(&metadata))
            .map_err(|_| error::FILE_NOT_FOUND),
        Ok(_) => Err(error::NOT_SUPPORTED),
        Err(status) => Err(dos_error(status)),
    }
}

/// New parts of a descriptor.
struct New {
    owner: Ptr<u8>,
    group: Ptr<u8>,
    dacl: Ptr<u8>,
    sacl: Ptr<u8>,
}

fn set(handle: Handle, which: u32, new: &New) -> Result<(), NtStatus> {
    let mut needed = 0;
    for (bits, right) in [
        (OWNER | GROUP, WRITE_OWNER),
        (DACL, access::WRITE_DAC),
        (SACL, access::SYSTEM_SECURITY),
    ] {
        if which & bits != 0 {
            needed |= right;
        }
    }
    let object = lookup_any(handle, needed)?;
    if downcast::<File>(object.clone()).is_ok() {
        log::warn!("SetSecurityInfo: the security of files cannot be changed");
        return Err(NtStatus::NOT_SUPPORTED);
    }
    let mut descriptor = of_object(&object)?;
    let list = |acl: Ptr<u8>| acl.non_null().map(read_acl).transpose();
    if which & OWNER != 0 {
        descriptor.owner = Some(read_sid(new.owner)?);
    }
    if which & GROUP != 0 {
        descriptor.group = Some(read_sid(new.group)?);
    }
    if which & DACL != 0 {
        descriptor.dacl = list(new.dacl)?;
        descriptor.control |= DACL_PRESENT;
    }
    if which & SACL != 0 {
        descriptor.sacl = list(new.sacl)?;
        descriptor.control |= SACL_PRESENT;
    }
    *object.header().security.lock() = Some(descriptor.to_bytes());
    Ok(())
}

win_api! {
    /// Reads the security of an object.
    "advapi32.dll" stdcall fn GetSecurityInfo(handle: Handle, kind: u32, which: u32, owner: Ptr<Ptr<u8>>, group: Ptr<Ptr<u8>>, dacl: Ptr<Ptr<u8>>, sacl: Ptr<Ptr<u8>>, descriptor: Ptr<Ptr<u8>>) -> u32 {
        if !BY_HANDLE.contains(&kind) {
            return error::INVALID_PARAMETER;
        }
        let needed = access::READ_CONTROL | if which & SACL != 0 { access::SYSTEM_SECURITY } else { 0 };
        match lookup_any(handle, needed).and_then(|object| of_object(&object)) {
            Ok(found) => give(found, which, &Wanted { owner, group, dacl, sacl, descriptor }),
            Err(status) => dos_error(status),
        }
    }

    /// Reads the security of a file.
    "advapi32.dll" stdcall fn GetNamedSecurityInfoW(name: Ptr<u16>, kind: u32, which: u32, owner: Ptr<Ptr<u8>>, group: Ptr<Ptr<u8>>, dacl: Ptr<Ptr<u8>>, sacl: Ptr<Ptr<u8>>, descriptor: Ptr<Ptr<u8>>) -> u32 {
        match by_name(units_arg(name), kind) {
            Ok(found) => give(found, which, &Wanted { owner, group, dacl, sacl, descriptor }),
            Err(code) => code,
        }
    }

    /// Changes the security of an object; that of files cannot be changed.
    "advapi32.dll" stdcall fn SetSecurityInfo(handle: Handle, kind: u32, which: u32, owner: Ptr<u8>, group: Ptr<u8>, dacl: Ptr<u8>, sacl: Ptr<u8>) -> u32 {
        if !BY_HANDLE.contains(&kind) {
            return error::INVALID_PARAMETER;
        }
        match set(handle, which, &New { owner, group, dacl, sacl }) {
            Ok(()) => error::SUCCESS,
            Err(status) => dos_error(status),
        }
    }
}
