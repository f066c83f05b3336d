//! Tokens: what Wine's tokens say, encoded for the server, and impersonation by Wine's thread token.

use ntlpc_abi::NtStatus;
use ntlpc_proto::Bytes;
use ntlpc_proto::frame::decode_body;
use ntlpc_proto::process::{Token, TokenGroup, TokenPrivilege};
use ntlpc_proto::wire::Wire;

use super::service::ntdll;
use super::structures::{ObjectAttributes, Word};

/// Returns the token of this process, encoded; empty if Wine does not tell it.
pub fn process_token() -> Vec<u8> {
    let mut token = 0_u64;
    let ntdll = ntdll();
    // SAFETY: process, access, pointer to a local.
    let status = unsafe {
        ntdll.call(
            ntdll.NtOpenProcessToken,
            [CURRENT_PROCESS, TOKEN_READ, &raw mut token as u64],
        )
    };
    if status == 0 {
        Open(token).encode()
    } else {
        Vec::new()
    }
}

/// Returns the impersonation token of the calling thread, encoded; empty if it has none.
pub fn thread_token() -> Vec<u8> {
    let mut token = 0_u64;
    let ntdll = ntdll();
    // SAFETY: thread, access, as the process, pointer to a local.
    let status = unsafe {
        ntdll.call(
            ntdll.NtOpenThreadToken,
            [CURRENT_THREAD, TOKEN_READ, 1, &raw mut token as u64],
        )
    };
    if status == 0 {
        Open(token).encode()
    } else {
        Vec::new()
    }
}

/// Makes the calling thread impersonate an encoded token.
///
/// Wine makes no token but by duplication, and every process of a prefix runs as its one user: the thread gets this
/// process's token at the client's level, if the client is that user, seen from inside Wine or outside.
pub fn impersonate(encoded: &[u8]) -> Result<(), NtStatus> {
    let client: Token = decode_body(encoded).map_err(|_| NtStatus::CANNOT_IMPERSONATE)?;
    let own: Token = decode_body(&process_token()).map_err(|_| NtStatus::CANNOT_IMPERSONATE)?;
    let level = u32::from(client.level);
    if level != ANONYMOUS && client.user != own.user && client.user.0 != own_unix_user() {
        log::warn!("a client of another user cannot be impersonated inside Wine");
        return Err(NtStatus::CANNOT_IMPERSONATE);
    }
    let ntdll = ntdll();
    let mut primary = 0_u64;
    // SAFETY: process, access, pointer to a local.
    NtStatus(unsafe {
        ntdll.call(
            ntdll.NtOpenProcessToken,
            [
                CURRENT_PROCESS,
                TOKEN_READ | TOKEN_DUPLICATE,
                &raw mut primary as u64,
            ],
        )
    })
    .ok()?;
    let primary = Open(primary);
    let quality = Quality {
        length: size_of::<Quality>() as u32,
        level,
        flags: u32::from(client.is_effective_only) << 8,
    };
    let attributes = ObjectAttributes {
        quality: &raw const quality as Word,
        ..ObjectAttributes::new(0)
    };
    let mut copy = 0_u64;
    // SAFETY: token, access, attributes (locals), whether effective only, TokenImpersonation, pointer to a local.
    NtStatus(unsafe {
        ntdll.call(
            ntdll.NtDuplicateToken,
            [
                primary.0,
                TOKEN_READ | TOKEN_IMPERSONATE,
                &raw const attributes as u64,
                u64::from(client.is_effective_only),
                TOKEN_IMPERSONATION,
                &raw mut copy as u64,
            ],
        )
    })
    .ok()?;
    let copy = Open(copy);
    // SAFETY: thread, ThreadImpersonationToken, pointer to a local handle and its size.
    NtStatus(unsafe {
        ntdll.call(
            ntdll.NtSetInformationThread,
            [
                CURRENT_THREAD,
                THREAD_IMPERSONATION_TOKEN,
                &raw const copy.0 as u64,
                size_of::<Word>() as u64,
            ],
        )
    })
    .ok()
}

/// Returns whether the effective token of the calling thread holds a privilege, enabled.
pub fn has_privilege(privilege: u32) -> bool {
    let encoded = match thread_token() {
        empty if empty.is_empty() => process_token(),
        token => token,
    };
    decode_body::<Token>(&encoded).is_ok_and(|token| {
        token
            .privileges
            .iter()
            .any(|held| held.privilege == privilege && held.attributes & SE_PRIVILEGE_ENABLED != 0)
    })
}

/// SID of this process's Linux user: `S-1-22-1-uid` (`docs/security.md`).
fn own_unix_user() -> Vec<u8> {
    // SAFETY: no arguments, no memory.
    let uid = unsafe { libc::geteuid() };
    let mut sid = vec![1, 2, 0, 0, 0, 0, 0, 22, 1, 0, 0, 0];
    sid.extend(uid.to_le_bytes());
    sid
}

/// An open token.
struct Open(u64);

impl Drop for Open {
    fn drop(&mut self) {
        let ntdll = ntdll();
        // SAFETY: a handle of ours.
        unsafe { ntdll.call(ntdll.NtClose, [self.0]) };
    }
}

impl Open {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(token) = self.read() {
            token.put(&mut out);
        }
        out
    }

    fn read(&self) -> Option<Token> {
        let kind = self.query(TOKEN_TYPE)?.u32_at(0)?;
        let is_impersonation = u64::from(kind) == TOKEN_IMPERSONATION;
        let level = if is_impersonation {
            self.query(TOKEN_IMPERSONATION_LEVEL)?.u32_at(0)?
        } else {
            2
        };
        let statistics = self.query(TOKEN_STATISTICS)?;
        Some(Token {
            user: Bytes(self.query(TOKEN_USER)?.sid_at(0)?),
            groups: self.groups()?,
            privileges: self.privileges()?,
            owner: Bytes(self.query(TOKEN_OWNER)?.sid_at(0)?),
            primary_group: Bytes(self.query(TOKEN_PRIMARY_GROUP)?.sid_at(0)?),
            default_dacl: self
                .query(TOKEN_DEFAULT_DACL)
                .and_then(|answer| answer.acl_at(0))
                .map(Bytes),
            level: level as u8,
            is_impersonation,
            is_effective_only: false,
            authentication_id: statistics.u64_at(8)?,
        })
    }

    /// `TOKEN_GROUPS`: a count, then (SID pointer, attributes) pairs; each of the two and the count take a word.
    fn groups(&self) -> Option<Vec<TokenGroup>> {
        let answer = self.query(TOKEN_GROUPS)?;
        let count = answer.u32_at(0)? as usize;
        (0..count)
            .map(|index| WORD + 2 * WORD * index)
            .map(|at| {
                Some(TokenGroup {
                    sid: Bytes(answer.sid_at(at)?),
                    attributes: answer.u32_at(at + WORD)?,
                })
            })
            .collect()
    }

    /// `TOKEN_PRIVILEGES`: a count, then (LUID, attributes) triples of 32 bits from offset 4.
    fn privileges(&self) -> Option<Vec<TokenPrivilege>> {
        let answer = self.query(TOKEN_PRIVILEGES)?;
        let count = answer.u32_at(0)? as usize;
        (0..count)
            .map(|index| 4 + 12 * index)
            .map(|at| {
                Some(TokenPrivilege {
                    privilege: answer.u32_at(at)?,
                    attributes: answer.u32_at(at + 8)?,
                })
            })
            .collect()
    }

    fn query(&self, class: u64) -> Option<Answer> {
        let mut words = vec![0_u64; 1024];
        let mut length = 0_u32;
        let ntdll = ntdll();
        // SAFETY: token, class, buffer and its size, pointer to a local.
        let status = unsafe {
            ntdll.call(
                ntdll.NtQueryInformationToken,
                [
                    self.0,
                    class,
                    words.as_mut_ptr() as u64,
                    8 * words.len() as u64,
                    &raw mut length as u64,
                ],
            )
        };
        let address = words.as_ptr() as u64;
        let bytes = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        (status == 0).then_some(Answer { address, bytes })
    }
}

/// What `NtQueryInformationToken` wrote, and where: its pointers lead into it.
struct Answer {
    address: u64,
    bytes: Vec<u8>,
}

impl Answer {
    fn u32_at(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(
            self.bytes.get(at..at + 4)?.try_into().ok()?,
        ))
    }

    fn u64_at(&self, at: usize) -> Option<u64> {
        Some(u64::from_le_bytes(
            self.bytes.get(at..at + 8)?.try_into().ok()?,
        ))
    }

    /// What a pointer at `at` leads to.
    fn target(&self, at: usize) -> Option<&[u8]> {
        let pointer = Word::from_le_bytes(self.bytes.get(at..at + WORD)?.try_into().ok()?);
        let offset = (pointer as u64).checked_sub(self.address)?;
        self.bytes.get(usize::try_from(offset).ok()?..)
    }

    /// A SID (MS-DTYP §2.4.2): its second byte counts its 32-bit words after the first eight bytes.
    fn sid_at(&self, at: usize) -> Option<Vec<u8>> {
        let target = self.target(at)?;
        let length = 8 + 4 * usize::from(*target.get(1)?);
        Some(target.get(..length)?.to_vec())
    }

    /// An ACL (MS-DTYP §2.4.5): its size is its second 16-bit word.
    fn acl_at(&self, at: usize) -> Option<Vec<u8>> {
        let target = self.target(at)?;
        let length = u16::from_le_bytes(target.get(2..4)?.try_into().ok()?);
        Some(target.get(..usize::from(length))?.to_vec())
    }
}

/// `SECURITY_QUALITY_OF_SERVICE`.
#[repr(C)]
struct Quality {
    length: u32,
    level: u32,
    /// ContextTrackingMode, then EffectiveOnly in the second byte.
    flags: u32,
}

const WORD: usize = size_of::<Word>();
const CURRENT_PROCESS: u64 = u64::MAX;
const CURRENT_THREAD: u64 = u64::MAX - 1;
const TOKEN_READ: u64 = 0x2_0008;
const TOKEN_DUPLICATE: u64 = 2;
const TOKEN_IMPERSONATE: u64 = 4;
const TOKEN_IMPERSONATION: u64 = 2;
const THREAD_IMPERSONATION_TOKEN: u64 = 5;
const ANONYMOUS: u32 = 0;
const SE_PRIVILEGE_ENABLED: u32 = 2;
const TOKEN_USER: u64 = 1;
const TOKEN_GROUPS: u64 = 2;
const TOKEN_PRIVILEGES: u64 = 3;
const TOKEN_OWNER: u64 = 4;
const TOKEN_PRIMARY_GROUP: u64 = 5;
const TOKEN_DEFAULT_DACL: u64 = 6;
const TOKEN_TYPE: u64 = 8;
const TOKEN_IMPERSONATION_LEVEL: u64 = 9;
const TOKEN_STATISTICS: u64 = 10;
