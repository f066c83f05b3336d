//! SIDs, ACLs and descriptors in memory: `securitybaseapi.h` and their `Rtl` forms.

use ntlpc_abi::{NtStatus, UserPtr};

use crate::dlls::win32::{error, failed, refuse};
use crate::export::{Bool, Boolean, Ptr};
use crate::ob::security::{
    DACL_PRESENT, SELF_RELATIVE, absolute_size, ace, aces, acl, read_acl, read_sid,
};
use crate::ob::sid::{MAX_SUB_AUTHORITIES, Sid};
use crate::width;
use crate::win_api;

fn length_of(sid: Ptr<u8>) -> u32 {
    8 + 4 * u32::from(sid.byte_add(1).read())
}

fn is_valid(sid: Ptr<u8>) -> bool {
    read_sid(sid).is_ok()
}

fn allocate(authority: Ptr<[u8; 6]>, sub: &[u32]) -> Result<Ptr<u8>, NtStatus> {
    if sub.len() > 8 {
        return Err(NtStatus::INVALID_SID);
    }
    let authority = authority
        .try_read()?
        .iter()
        .fold(0, |value, &byte| value << 8 | u64::from(byte));
    let bytes = Sid::new(authority, sub).to_bytes();
    let block = crate::heap::process()
        .allocate(bytes.len(), false)
        .ok_or(NtStatus::NO_MEMORY)?;
    Ptr::new(block).write_bytes(&bytes);
    Ok(Ptr::new(block))
}

fn free(sid: Ptr<u8>) -> bool {
    crate::heap::process().free(sid.address()).is_ok()
}

/// Address of a pointer field of an absolute descriptor: 0 owner, 1 group, 2 SACL, 3 DACL.
fn field(descriptor: Ptr<u8>, index: usize) -> Ptr<UserPtr> {
    descriptor
        .byte_add((width().pick(4, 8) + index * width().pointer()) as u64)
        .cast()
}

fn control(descriptor: Ptr<u8>) -> Ptr<u16> {
    descriptor.byte_add(2).cast()
}

fn initialize(descriptor: Ptr<u8>, revision: u32) -> Result<(), NtStatus> {
    if revision != 1 {
        return Err(NtStatus::UNKNOWN_REVISION);
    }
    let mut bytes = vec![0; absolute_size()];
    bytes[0] = 1;
    descriptor.try_write_bytes(&bytes)
}

fn set_dacl(descriptor: Ptr<u8>, present: bool, dacl: UserPtr) -> Result<(), NtStatus> {
    let old = control(descriptor).try_read()?;
    if old & SELF_RELATIVE != 0 {
        return Err(NtStatus::INVALID_SECURITY_DESCR);
    }
    control(descriptor).try_write(if present {
        old | DACL_PRESENT
    } else {
        old & !DACL_PRESENT
    })?;
    field(descriptor, 3).try_write(if present { dacl } else { UserPtr::NULL })
}

fn set_sid(descriptor: Ptr<u8>, index: usize, sid: UserPtr) -> Result<(), NtStatus> {
    if control(descriptor).try_read()? & SELF_RELATIVE != 0 {
        return Err(NtStatus::INVALID_SECURITY_DESCR);
    }
    field(descriptor, index).try_write(sid)
}

fn initialize_acl(at: Ptr<u8>, length: u32, revision: u32) -> Result<(), NtStatus> {
    if !(2..=4).contains(&revision) || !(8..=0xFFFF).contains(&length) {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let size = (length as u16 & !3).to_le_bytes();
    at.try_write_bytes(&[revision as u8, 0, size[0], size[1], 0, 0, 0, 0])
}

fn add_ace(at: Ptr<u8>, kind: u8, flags: u8, mask: u32, sid: Ptr<u8>) -> Result<(), NtStatus> {
    let list = read_acl(at)?;
    let new = ace(kind, flags, mask, &read_sid(sid)?);
    let mut all: Vec<Vec<u8>> = aces(&list).map(<[u8]>::to_vec).collect();
    all.push(new);
    let mut bytes = acl(&all);
    if bytes.len() > list.len() {
        // STATUS_ALLOTTED_SPACE_EXCEEDED reads as this error in Win32.
        return Err(NtStatus::BUFFER_TOO_SMALL);
    }
    bytes[0] = list[0];
    bytes[2..4].copy_from_slice(&list[2..4]);
    at.try_write_bytes(&bytes)
}

fn done(result: Result<(), NtStatus>) -> Bool {
    crate::dlls::win32::success(result)
}

win_api! {
    /// Makes a SID on the heap.
    "advapi32.dll|kernelbase.dll" stdcall fn AllocateAndInitializeSid(authority: Ptr<[u8; 6]>, count: u8, a: u32, b: u32, c: u32, d: u32, e: u32, f: u32, g: u32, h: u32, sid: Ptr<Ptr<u8>>) -> Bool {
        let all = [a, b, c, d, e, f, g, h];
        match all.get(..usize::from(count)).ok_or(NtStatus::INVALID_SID).and_then(|sub| allocate(authority, sub)) {
            Ok(block) => {
                sid.write(block);
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Makes a SID on the heap.
    "ntdll.dll" stdcall fn RtlAllocateAndInitializeSid(authority: Ptr<[u8; 6]>, count: u8, a: u32, b: u32, c: u32, d: u32, e: u32, f: u32, g: u32, h: u32, sid: Ptr<Ptr<u8>>) -> Result<(), NtStatus> {
        let all = [a, b, c, d, e, f, g, h];
        let block = all.get(..usize::from(count)).ok_or(NtStatus::INVALID_SID).and_then(|sub| allocate(authority, sub))?;
        sid.try_write(block)
    }

    /// Frees a SID; returns NULL.
    "advapi32.dll|kernelbase.dll|ntdll.dll" stdcall fn FreeSid = "FreeSid|RtlFreeSid" (sid: Ptr<u8>) -> Ptr<u8> {
        if free(sid) { Ptr::NULL } else { sid }
    }

    /// Returns whether two SIDs are the same.
    "advapi32.dll|kernelbase.dll" stdcall fn EqualSid(first: Ptr<u8>, second: Ptr<u8>) -> Bool {
        let length = length_of(first) as usize;
        (length == length_of(second) as usize && first.read_bytes(length) == second.read_bytes(length)).into()
    }

    /// Returns whether two SIDs are the same.
    "ntdll.dll" stdcall fn RtlEqualSid(first: Ptr<u8>, second: Ptr<u8>) -> Boolean {
        let length = length_of(first) as usize;
        (length == length_of(second) as usize && first.read_bytes(length) == second.read_bytes(length)).into()
    }

    /// Returns whether a SID has a known revision and a possible length.
    "advapi32.dll|kernelbase.dll" stdcall fn IsValidSid(sid: Ptr<u8>) -> Bool {
        is_valid(sid).into()
    }

    /// Returns whether a SID has a known revision and a possible length.
    "ntdll.dll" stdcall fn RtlValidSid(sid: Ptr<u8>) -> Boolean {
        is_valid(sid).into()
    }

    /// Returns the size of a SID.
    "advapi32.dll|kernelbase.dll|ntdll.dll" stdcall fn GetLengthSid = "GetLengthSid|RtlLengthSid" (sid: Ptr<u8>) -> u32 {
        length_of(sid)
    }

    /// Returns the size of a SID with a number of sub-authorities.
    "advapi32.dll|kernelbase.dll|ntdll.dll" stdcall fn GetSidLengthRequired = "GetSidLengthRequired|RtlLengthRequiredSid" (count: u8) -> u32 {
        8 + 4 * u32::from(count)
    }

    /// Copies a SID.
    "advapi32.dll|kernelbase.dll" stdcall fn CopySid(size: u32, to: Ptr<u8>, from: Ptr<u8>) -> Bool {
        let bytes = match read_sid(from) {
            Ok(bytes) => bytes,
            Err(status) => return failed(status, Bool::FALSE),
        };
        if (size as usize) < bytes.len() {
            return refuse(error::INSUFFICIENT_BUFFER, Bool::FALSE);
        }
        to.write_bytes(&bytes);
        Bool::TRUE
    }

    /// Begins a SID.
    "advapi32.dll|kernelbase.dll" stdcall fn InitializeSid(sid: Ptr<u8>, authority: Ptr<[u8; 6]>, count: u8) -> Bool {
        if usize::from(count) > MAX_SUB_AUTHORITIES {
            return refuse(error::INVALID_PARAMETER, Bool::FALSE);
        }
        sid.write_bytes(&[1, count]);
        sid.byte_add(2).write_bytes(&authority.read());
        Bool::TRUE
    }

    /// Returns the address of a sub-authority.
    "advapi32.dll|kernelbase.dll|ntdll.dll" stdcall fn GetSidSubAuthority = "GetSidSubAuthority|RtlSubAuthoritySid" (sid: Ptr<u8>, index: u32) -> Ptr<u32> {
        sid.byte_add(8 + 4 * u64::from(index)).cast()
    }

    /// Returns the address of the count of sub-authorities.
    "advapi32.dll|kernelbase.dll|ntdll.dll" stdcall fn GetSidSubAuthorityCount = "GetSidSubAuthorityCount|RtlSubAuthorityCountSid" (sid: Ptr<u8>) -> Ptr<u8> {
        sid.byte_add(1)
    }

    /// Begins a descriptor.
    "advapi32.dll|kernelbase.dll" stdcall fn InitializeSecurityDescriptor(descriptor: Ptr<u8>, revision: u32) -> Bool {
        done(initialize(descriptor, revision))
    }

    /// Begins a descriptor.
    "ntdll.dll" stdcall fn RtlCreateSecurityDescriptor(descriptor: Ptr<u8>, revision: u32) -> Result<(), NtStatus> {
        initialize(descriptor, revision)
    }

    /// Sets the DACL of a descriptor.
    "advapi32.dll|kernelbase.dll" stdcall fn SetSecurityDescriptorDacl(descriptor: Ptr<u8>, present: Bool, dacl: UserPtr, _defaulted: Bool) -> Bool {
        done(set_dacl(descriptor, present.get(), dacl))
    }

    /// Sets the DACL of a descriptor.
    "ntdll.dll" stdcall fn RtlSetDaclSecurityDescriptor(descriptor: Ptr<u8>, present: Boolean, dacl: UserPtr, _defaulted: Boolean) -> Result<(), NtStatus> {
        set_dacl(descriptor, present.get(), dacl)
    }

    /// Sets the owner of a descriptor.
    "advapi32.dll|kernelbase.dll" stdcall fn SetSecurityDescriptorOwner(descriptor: Ptr<u8>, owner: UserPtr, _defaulted: Bool) -> Bool {
        done(set_sid(descriptor, 0, owner))
    }

    /// Sets the group of a descriptor.
    "advapi32.dll|kernelbase.dll" stdcall fn SetSecurityDescriptorGroup(descriptor: Ptr<u8>, group: UserPtr, _defaulted: Bool) -> Bool {
        done(set_sid(descriptor, 1, group))
    }

    /// Begins an ACL.
    "advapi32.dll|kernelbase.dll" stdcall fn InitializeAcl(list: Ptr<u8>, length: u32, revision: u32) -> Bool {
        done(initialize_acl(list, length, revision))
    }

    /// Begins an ACL.
    "ntdll.dll" stdcall fn RtlCreateAcl(list: Ptr<u8>, length: u32, revision: u32) -> Result<(), NtStatus> {
        initialize_acl(list, length, revision)
    }

    /// Adds an entry that allows.
    "advapi32.dll|kernelbase.dll" stdcall fn AddAccessAllowedAce(list: Ptr<u8>, _revision: u32, mask: u32, sid: Ptr<u8>) -> Bool {
        done(add_ace(list, 0, 0, mask, sid))
    }

    /// Adds an entry that allows.
    "ntdll.dll" stdcall fn RtlAddAccessAllowedAce(list: Ptr<u8>, _revision: u32, mask: u32, sid: Ptr<u8>) -> Result<(), NtStatus> {
        add_ace(list, 0, 0, mask, sid)
    }

    /// Adds an entry that denies.
    "advapi32.dll|kernelbase.dll" stdcall fn AddAccessDeniedAce(list: Ptr<u8>, _revision: u32, mask: u32, sid: Ptr<u8>) -> Bool {
        done(add_ace(list, 1, 0, mask, sid))
    }

    /// Adds an entry that denies.
    "ntdll.dll" stdcall fn RtlAddAccessDeniedAce(list: Ptr<u8>, _revision: u32, mask: u32, sid: Ptr<u8>) -> Result<(), NtStatus> {
        add_ace(list, 1, 0, mask, sid)
    }
}
