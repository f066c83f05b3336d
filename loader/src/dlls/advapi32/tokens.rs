//! Tokens: the token part of `securitybaseapi.h` and `processthreadsapi.h`, and their `Nt` calls.
//!
//! Layouts of the information classes: Microsoft Learn `TOKEN_INFORMATION_CLASS`.

use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use crate::dlls::ntdll::objects::{probe, put_handle};
use crate::dlls::ntdll::processes::{impersonate, open_process_token, open_thread_token};
use crate::dlls::win32::{error, failed, refuse, success, units_arg, wide_arg};
use crate::export::{Bool, Boolean, Guest, Ptr};
use crate::guest_struct;
use crate::ob::attributes::{Attributes, ObjectAttributes};
use crate::ob::impersonation;
use crate::ob::object::Object;
use crate::ob::table::{TABLE, lookup};
use crate::ob::thread::{self, Thread, rights as thread_rights};
use crate::ob::token::{self, PRIVILEGE_NAMES, Token, privilege, rights};
use crate::width;
use crate::win_api;

guest_struct! {
    /// `LUID_AND_ATTRIBUTES`; the LUID's halves.
    pub struct LuidAndAttributes {
        low: u32,
        high: i32,
        attributes: u32,
    }
    /// `SECURITY_QUALITY_OF_SERVICE`.
    pub struct QualityOfService {
        length: u32,
        impersonation_level: u32,
        context_tracking_mode: u8,
        effective_only: u8,
    }
}

/// Builds a block of pointers and what they point to, for one guest address.
struct Block {
    base: u64,
    bytes: Vec<u8>,
    tail: Vec<u8>,
    head_size: usize,
}

impl Block {
    fn new(base: u64, head_size: usize) -> Self {
        Block {
            base,
            bytes: Vec::new(),
            tail: Vec::new(),
            head_size,
        }
    }

    fn word(&mut self, value: u32) {
        self.bytes.extend(value.to_le_bytes());
    }

    fn pointer(&mut self, value: u64) {
        match width() {
            ntlpc_abi::Width::X64 => self.bytes.extend(value.to_le_bytes()),
            ntlpc_abi::Width::X86 => self.bytes.extend((value as u32).to_le_bytes()),
        }
    }

    fn pad(&mut self, align: usize) {
        let len = self.bytes.len().next_multiple_of(align);
        self.bytes.resize(len, 0);
    }

    /// Adds a pointer to bytes that follow the head; NULL for none.
    fn reference(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return self.pointer(0);
        }
        let at = self.base + (self.head_size + self.tail.len()) as u64;
        self.pointer(at);
        self.tail.extend_from_slice(bytes);
        let len = self.tail.len().next_multiple_of(8);
        self.tail.resize(len, 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.head_size, 0);
        self.bytes.extend(self.tail);
        self.bytes
    }
}

fn information(token: &Token, class: u32, base: u64) -> Result<Vec<u8>, NtStatus> {
    let state = token.state();
    let pointer = width().pointer();
    let single = |bytes: &[u8]| {
        let mut block = Block::new(base, pointer);
        block.reference(bytes);
        block.finish()
    };
    let attributed = |entries: &[(&[u8], u32)], header: usize| {
        let mut block = Block::new(base, header + entries.len() * 2 * pointer);
        if header != 0 {
            block.word(entries.len() as u32);
            block.pad(pointer);
        }
        for (sid, attributes) in entries {
            block.reference(sid);
            block.word(*attributes);
            block.pad(pointer);
        }
        block.finish()
    };
    let groups: Vec<(&[u8], u32)> = state
        .groups
        .iter()
        .map(|g| (g.sid.0.as_slice(), g.attributes))
        .collect();
    let word = |value: u32| value.to_le_bytes().to_vec();
    Ok(match class {
        // TokenUser
        1 => attributed(&[(&state.user.0, 0)], 0),
        // TokenGroups
        2 => attributed(&groups, pointer),
        // TokenPrivileges
        3 => {
            let mut out = word(state.privileges.len() as u32);
            for held in &state.privileges {
                out.extend(held.privilege.to_le_bytes());
                out.extend(0_u32.to_le_bytes());
                out.extend(held.attributes.to_le_bytes());
            }
            out
        }
        // TokenOwner, TokenPrimaryGroup, TokenDefaultDacl
        4 => single(if state.owner.0.is_empty() {
            &state.user.0
        } else {
            &state.owner.0
        }),
        5 => single(&state.primary_group.0),
        6 => single(
            state
                .default_dacl
                .as_ref()
                .map_or(&[], |acl| acl.0.as_slice()),
        ),
        // TokenSource
        7 => [b"User32 \0".as_slice(), &[0; 8]].concat(),
        // TokenType: 1 primary, 2 impersonation
        8 => word(if state.is_impersonation { 2 } else { 1 }),
        // TokenImpersonationLevel
        9 if !state.is_impersonation => return Err(NtStatus::INVALID_INFO_CLASS),
        9 => word(state.level.into()),
        // TokenStatistics
        10 => {
            let mut out = token.id.to_le_bytes().to_vec();
            out.extend(state.authentication_id.to_le_bytes());
            out.extend(i64::MAX.to_le_bytes());
            let kind = if state.is_impersonation { 2 } else { 1 };
            for value in [
                kind,
                u32::from(state.level),
                0,
                0,
                state.groups.len() as u32,
                state.privileges.len() as u32,
            ] {
                out.extend(value.to_le_bytes());
            }
            out.extend(token.id.to_le_bytes());
            out
        }
        // TokenSessionId
        12 => word(1),
        // TokenElevationType: default; TokenElevation: elevated; TokenHasRestrictions, TokenIsAppContainer: no
        18 => word(1),
        20 => word(1),
        21 | 29 => word(0),
        // TokenIntegrityLevel
        25 => {
            let label = groups
                .iter()
                .find(|(_, attributes)| attributes & 0x20 != 0)
                .ok_or(NtStatus::NOT_FOUND)?;
            attributed(&[(label.0, 0x60)], 0)
        }
        _ => return Err(NtStatus::INVALID_INFO_CLASS),
    })
}

fn query(
    handle: Handle,
    class: u32,
    buffer: Ptr<u8>,
    length: u32,
    returned: Ptr<u32>,
) -> Result<(), NtStatus> {
    let token = lookup::<Token>(handle, rights::QUERY)?;
    let bytes = information(&token, class, buffer.address())?;
    returned
        .non_null()
        .map_or(Ok(()), |to| to.try_write(bytes.len() as u32))?;
    if (length as usize) < bytes.len() {
        return Err(NtStatus::BUFFER_TOO_SMALL);
    }
    buffer.try_write_bytes(&bytes)
}

/// Reads `TOKEN_PRIVILEGES`.
fn read_privileges(at: Ptr<u8>) -> Result<Vec<(u32, u32)>, NtStatus> {
    let count = at.cast::<u32>().try_read()?;
    let entries = at.byte_add(4).cast::<LuidAndAttributes>();
    (0..count.min(0x1000) as usize)
        .map(|i| {
            entries
                .add(i)
                .try_read()
                .map(|entry| (entry.low, entry.attributes))
        })
        .collect()
}

/// `NtAdjustPrivilegesToken`. `NOT_ALL_ASSIGNED` is a success with a reservation.
fn adjust(
    handle: Handle,
    disable_all: bool,
    new: Ptr<u8>,
    length: u32,
    old: Ptr<u8>,
    returned: Ptr<u32>,
) -> Result<NtStatus, NtStatus> {
    let token = lookup::<Token>(
        handle,
        rights::ADJUST_PRIVILEGES | if old.is_null() { 0 } else { rights::QUERY },
    )?;
    let changes = if disable_all {
        None
    } else {
        Some(read_privileges(new)?)
    };
    if !old.is_null() {
        let count = changes
            .as_ref()
            .map_or_else(|| token.state().privileges.len(), Vec::len);
        let needed = 4 + count * LuidAndAttributes::size();
        returned
            .non_null()
            .map_or(Ok(()), |to| to.try_write(needed as u32))?;
        if (length as usize) < needed {
            return Err(NtStatus::BUFFER_TOO_SMALL);
        }
    }
    let (before, are_all) = token.adjust_privileges(changes.as_deref());
    if !old.is_null() {
        old.cast::<u32>().try_write(before.len() as u32)?;
        let entries = old.byte_add(4).cast::<LuidAndAttributes>();
        for (i, &(low, attributes)) in before.iter().enumerate() {
            entries.add(i).try_write(LuidAndAttributes {
                low,
                high: 0,
                attributes,
            })?;
        }
    }
    Ok(if are_all {
        NtStatus::SUCCESS
    } else {
        NtStatus::NOT_ALL_ASSIGNED
    })
}

fn duplicate(
    handle: Handle,
    access: u32,
    level: u32,
    is_effective_only: bool,
    kind: u32,
) -> Result<Handle, NtStatus> {
    let entry = crate::ob::pseudo_entry(handle)?;
    let token = lookup::<Token>(handle, rights::DUPLICATE)?;
    // 1 primary, 2 impersonation; levels 0 to 3
    if !(1..=2).contains(&kind) || level > 3 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let copy: Arc<dyn Object> =
        Arc::new(token.duplicate(kind == 2, level as u8, is_effective_only)?);
    let granted = if access == 0 {
        entry.access
    } else {
        copy.object_type().grant(access)?
    };
    TABLE.insert(copy, granted, 0)
}

fn impersonate_user(handle: Handle) -> Result<(), NtStatus> {
    let token = lookup::<Token>(handle, rights::QUERY)?;
    let level = if token.state().is_impersonation {
        token.state().level
    } else {
        2
    };
    let copy = Arc::new(token.duplicate(true, level, false)?);
    impersonate(&thread::current(), Some(copy))
}

fn privilege_number(name: Option<Vec<u16>>, to: Ptr<u64>) -> Bool {
    let name = String::from_utf16_lossy(&name.unwrap_or_default());
    match PRIVILEGE_NAMES
        .iter()
        .find(|(_, known)| known.eq_ignore_ascii_case(&name))
    {
        Some((number, _)) => {
            to.write(u64::from(*number));
            Bool::TRUE
        }
        None => failed(NtStatus::NO_SUCH_PRIVILEGE, Bool::FALSE),
    }
}

fn opened(result: Result<Handle, NtStatus>, to: Ptr<Handle>) -> Bool {
    match result {
        Ok(handle) => {
            to.write(handle);
            Bool::TRUE
        }
        Err(status) => failed(status, Bool::FALSE),
    }
}

win_api! {
    /// Opens the token of a process.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn OpenProcessToken(process: Handle, access: u32, token: Ptr<Handle>) -> Bool {
        opened(open_process_token(process, access), token)
    }

    /// Opens the token a thread impersonates with.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn OpenThreadToken(thread: Handle, access: u32, _as_self: Bool, token: Ptr<Handle>) -> Bool {
        opened(open_thread_token(thread, access), token)
    }

    /// Describes a token.
    "advapi32.dll|kernelbase.dll" stdcall fn GetTokenInformation(token: Handle, class: u32, buffer: Ptr<u8>, length: u32, returned: Ptr<u32>) -> Bool {
        success(query(token, class, buffer, length, returned))
    }

    /// Describes a token.
    "ntdll.dll" stdcall fn NtQueryInformationToken = "NtQueryInformationToken|ZwQueryInformationToken" (token: Handle, class: u32, buffer: Ptr<u8>, length: u32, returned: Ptr<u32>) -> Result<(), NtStatus> {
        query(token, class, buffer, length, returned)
    }

    /// Enables, disables and removes privileges.
    "advapi32.dll|kernelbase.dll" stdcall fn AdjustTokenPrivileges(token: Handle, disable_all: Bool, new: Ptr<u8>, length: u32, old: Ptr<u8>, returned: Ptr<u32>) -> Bool {
        match adjust(token, disable_all.get(), new, length, old, returned) {
            Ok(status) => {
                let all = status == NtStatus::SUCCESS;
                refuse(if all { error::SUCCESS } else { error::NOT_ALL_ASSIGNED }, Bool::TRUE)
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Enables, disables and removes privileges.
    "ntdll.dll" stdcall fn NtAdjustPrivilegesToken = "NtAdjustPrivilegesToken|ZwAdjustPrivilegesToken" (token: Handle, disable_all: Boolean, new: Ptr<u8>, length: u32, old: Ptr<u8>, returned: Ptr<u32>) -> NtStatus {
        adjust(token, disable_all.get(), new, length, old, returned).unwrap_or_else(|status| status)
    }

    /// Enables or disables one privilege; gives its old state.
    "ntdll.dll" stdcall fn RtlAdjustPrivilege(number: u32, enable: Boolean, of_thread: Boolean, was: Ptr<u8>) -> NtStatus {
        let token = if of_thread.get() { thread::with_current(|t| t.token.lock().clone()) } else { Some(token::primary()) };
        let Some(token) = token else { return NtStatus::NO_TOKEN };
        let before = token.is_enabled(number);
        let attributes = if enable.get() { privilege::ENABLED } else { 0 };
        let (_, is_held) = token.adjust_privileges(Some(&[(number, attributes)]));
        if !is_held {
            return NtStatus::PRIVILEGE_NOT_HELD;
        }
        was.write(u8::from(before));
        NtStatus::SUCCESS
    }

    /// Returns the number of a privilege.
    "advapi32.dll" stdcall fn LookupPrivilegeValueW(_system: Ptr<u16>, name: Ptr<u16>, luid: Ptr<u64>) -> Bool {
        privilege_number(units_arg(name), luid)
    }

    /// Returns the number of a privilege.
    "advapi32.dll" stdcall fn LookupPrivilegeValueA(_system: Ptr<u8>, name: Ptr<u8>, luid: Ptr<u64>) -> Bool {
        privilege_number(wide_arg(name), luid)
    }

    /// Copies a token.
    "advapi32.dll|kernelbase.dll" stdcall fn DuplicateTokenEx(token: Handle, access: u32, _security: UserPtr, level: u32, kind: u32, copy: Ptr<Handle>) -> Bool {
        opened(duplicate(token, access, level, false, kind), copy)
    }

    /// Copies a token as an impersonation token.
    "advapi32.dll|kernelbase.dll" stdcall fn DuplicateToken(token: Handle, level: u32, copy: Ptr<Handle>) -> Bool {
        opened(duplicate(token, rights::IMPERSONATE | rights::QUERY, level, false, 2), copy)
    }

    /// Copies a token.
    "ntdll.dll" stdcall fn NtDuplicateToken = "NtDuplicateToken|ZwDuplicateToken" (token: Handle, access: u32, attributes: Ptr<ObjectAttributes>, effective_only: Boolean, kind: u32, copy: Ptr<Handle>) -> NtStatus {
        let made = (|| {
            probe(copy)?;
            let attributes = Attributes::read(attributes)?;
            let quality = (!attributes.quality.is_null()).then(|| Ptr::<QualityOfService>::new(attributes.quality.0).try_read()).transpose()?;
            let level = quality.map_or(0, |q| q.impersonation_level);
            duplicate(token, access, level, effective_only.get(), kind).map(|handle| (handle, NtStatus::SUCCESS))
        })();
        put_handle(copy, made)
    }

    /// Makes the calling thread impersonate the user of a token.
    "advapi32.dll|kernelbase.dll" stdcall fn ImpersonateLoggedOnUser(token: Handle) -> Bool {
        success(impersonate_user(token))
    }

    /// Makes the calling thread impersonate its own process.
    "advapi32.dll|kernelbase.dll" stdcall fn ImpersonateSelf(level: u32) -> Bool {
        let copy = u8::try_from(level).map_err(|_| NtStatus::INVALID_PARAMETER).and_then(|level| token::primary().duplicate(true, level, false));
        success(copy.and_then(|copy| impersonate(&thread::current(), Some(Arc::new(copy)))))
    }

    /// Makes a thread impersonate the anonymous user.
    "advapi32.dll|kernelbase.dll" stdcall fn ImpersonateAnonymousToken(thread: Handle) -> Bool {
        success(lookup::<Thread>(thread, thread_rights::SET_THREAD_TOKEN).and_then(|thread| impersonate(&thread, Some(Arc::new(Token::anonymous())))))
    }

    /// Makes a thread impersonate the anonymous user.
    "ntdll.dll" stdcall fn NtImpersonateAnonymousToken = "NtImpersonateAnonymousToken|ZwImpersonateAnonymousToken" (thread: Handle) -> Result<(), NtStatus> {
        let thread = lookup::<Thread>(thread, thread_rights::SET_THREAD_TOKEN)?;
        impersonate(&thread, Some(Arc::new(Token::anonymous())))
    }

    /// Ends the impersonation of the calling thread.
    "advapi32.dll|kernelbase.dll" stdcall fn RevertToSelf() -> Bool {
        success(impersonate(&thread::current(), None))
    }

    /// Makes a thread impersonate a token, or be itself again.
    "advapi32.dll|kernelbase.dll" stdcall fn SetThreadToken(thread: Ptr<Handle>, token: Handle) -> Bool {
        success((|| {
            let token = (token != Handle::NULL).then(|| lookup::<Token>(token, rights::IMPERSONATE)).transpose()?;
            let target = match thread.non_null() {
                Some(thread) => lookup::<Thread>(thread.read(), thread_rights::SET_THREAD_TOKEN)?,
                None => thread::current(),
            };
            impersonate(&target, token)
        })())
    }

    /// Returns whether a token has a group enabled, or is its user.
    "advapi32.dll|kernelbase.dll" stdcall fn CheckTokenMembership(token: Handle, sid: Ptr<u8>, answer: Ptr<i32>) -> Bool {
        let sid = match crate::ob::security::read_sid(sid) {
            Ok(sid) => sid,
            Err(status) => return failed(status, Bool::FALSE),
        };
        let token = match token {
            Handle::NULL => Ok(impersonation::effective()),
            handle => lookup::<Token>(handle, rights::QUERY),
        };
        match token.map(|token| token.state()) {
            Ok(state) => {
                let is_member = state.user.0 == sid || state.groups.iter().any(|g| g.sid.0 == sid && g.attributes & 4 != 0);
                answer.write(i32::from(is_member));
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }
}
