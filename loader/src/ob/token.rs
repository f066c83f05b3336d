//! Access tokens: who a process or thread is.
//!
//! | Linux | token |
//! |---|---|
//! | user id *n* | user `S-1-22-1-n` |
//! | group id *n* | primary group `S-1-22-2-n` |
//! | the user that runs the program | owns the prefix: Administrators, and the privileges of an elevated administrator, with SeTcbPrivilege, SeDebugPrivilege and SeImpersonatePrivilege enabled |
//!
//! A Linux user is the operating system of its own prefix, nothing stops it from becoming the server; so SeTcbPrivilege
//! is held. A program can take it off its token (`AdjustTokenPrivileges` with `SE_PRIVILEGE_REMOVED`), and then the
//! checks that need it fail as on NT (lpc#213).

use std::sync::Arc;
use std::sync::LazyLock;

use ntlpc_abi::NtStatus;
use ntlpc_proto::Bytes;
use ntlpc_proto::frame::decode_body;
use ntlpc_proto::process::{Token as WireToken, TokenGroup, TokenPrivilege};
use ntlpc_proto::wire::Wire;
use parking_lot::Mutex;

use super::object::{Header, Object, ObjectType};
use super::packed::{Packed, PackedKind};
use super::sid::Sid;

/// `TOKEN_ALL_ACCESS` and the generic mapping of tokens.
pub static TOKEN_TYPE: ObjectType = ObjectType {
    name: "Token",
    generic: [0x2_0008, 0x2_00E0, 0x2_0005, 0xF_01FF],
};

/// Access rights of tokens. Source: Microsoft Learn "Access Rights for Access-Token Objects".
#[allow(dead_code, reason = "the rights of winnt.h by name, used or not")]
pub mod rights {
    /// `TOKEN_ASSIGN_PRIMARY`.
    pub const ASSIGN_PRIMARY: u32 = 0x1;
    /// `TOKEN_DUPLICATE`.
    pub const DUPLICATE: u32 = 0x2;
    /// `TOKEN_IMPERSONATE`.
    pub const IMPERSONATE: u32 = 0x4;
    /// `TOKEN_QUERY`.
    pub const QUERY: u32 = 0x8;
    /// `TOKEN_ADJUST_PRIVILEGES`.
    pub const ADJUST_PRIVILEGES: u32 = 0x20;
    /// `TOKEN_ADJUST_GROUPS`.
    pub const ADJUST_GROUPS: u32 = 0x40;
    /// `TOKEN_ADJUST_DEFAULT`.
    pub const ADJUST_DEFAULT: u32 = 0x80;
}

/// `SE_PRIVILEGE_*` attributes.
pub mod privilege {
    /// `SE_PRIVILEGE_ENABLED_BY_DEFAULT`.
    pub const ENABLED_BY_DEFAULT: u32 = 1;
    /// `SE_PRIVILEGE_ENABLED`.
    pub const ENABLED: u32 = 2;
    /// `SE_PRIVILEGE_REMOVED`.
    pub const REMOVED: u32 = 4;
    /// `SE_TCB_PRIVILEGE`.
    pub const TCB: u32 = 7;
}

/// Names of the privileges by number (`winnt.h`, `SE_*_NAME`).
pub const PRIVILEGE_NAMES: &[(u32, &str)] = &[
    (2, "SeCreateTokenPrivilege"),
    (3, "SeAssignPrimaryTokenPrivilege"),
    (4, "SeLockMemoryPrivilege"),
    (5, "SeIncreaseQuotaPrivilege"),
    (6, "SeMachineAccountPrivilege"),
    (7, "SeTcbPrivilege"),
    (8, "SeSecurityPrivilege"),
    (9, "SeTakeOwnershipPrivilege"),
    (10, "SeLoadDriverPrivilege"),
    (11, "SeSystemProfilePrivilege"),
    (12, "SeSystemtimePrivilege"),
    (13, "SeProfileSingleProcessPrivilege"),
    (14, "SeIncreaseBasePriorityPrivilege"),
    (15, "SeCreatePagefilePrivilege"),
    (16, "SeCreatePermanentPrivilege"),
    (17, "SeBackupPrivilege"),
    (18, "SeRestorePrivilege"),
    (19, "SeShutdownPrivilege"),
    (20, "SeDebugPrivilege"),
    (21, "SeAuditPrivilege"),
    (22, "SeSystemEnvironmentPrivilege"),
    (23, "SeChangeNotifyPrivilege"),
    (24, "SeRemoteShutdownPrivilege"),
    (25, "SeUndockPrivilege"),
    (26, "SeSyncAgentPrivilege"),
    (27, "SeEnableDelegationPrivilege"),
    (28, "SeManageVolumePrivilege"),
    (29, "SeImpersonatePrivilege"),
    (30, "SeCreateGlobalPrivilege"),
    (31, "SeTrustedCredManAccessPrivilege"),
    (32, "SeRelabelPrivilege"),
    (33, "SeIncreaseWorkingSetPrivilege"),
    (34, "SeTimeZonePrivilege"),
    (35, "SeCreateSymbolicLinkPrivilege"),
    (36, "SeDelegateSessionUserImpersonatePrivilege"),
];

/// Privileges of the user's token that are enabled at log-on.
const ENABLED: &[u32] = &[7, 20, 23, 29, 30];
/// Privileges of the user's token that are disabled at log-on, as an elevated administrator has them.
const DISABLED: &[u32] = &[
    5, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 19, 22, 24, 25, 28, 33, 34, 35,
];

/// `SE_GROUP_MANDATORY | SE_GROUP_ENABLED_BY_DEFAULT | SE_GROUP_ENABLED`.
const GROUP_DEFAULT: u32 = 7;
/// `SE_GROUP_INTEGRITY | SE_GROUP_INTEGRITY_ENABLED`.
const GROUP_INTEGRITY: u32 = 0x60;
/// `SECURITY_MANDATORY_HIGH_RID`.
const HIGH_INTEGRITY: u32 = 0x3000;

/// A token.
#[derive(Debug)]
pub struct Token {
    header: Header,
    state: Mutex<WireToken>,
    /// Number unique in this process, `TOKEN_STATISTICS.TokenId`.
    pub id: u64,
}

/// The primary token of the process.
static PRIMARY: LazyLock<Mutex<Arc<Token>>> =
    LazyLock::new(|| Mutex::new(Arc::new(Token::of_user())));

/// Returns the primary token of the process.
#[must_use]
pub fn primary() -> Arc<Token> {
    PRIMARY.lock().clone()
}

fn next_id() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0x1_0000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Token {
    fn new(state: WireToken) -> Self {
        Token {
            header: Header::default(),
            state: Mutex::new(state),
            id: next_id(),
        }
    }

    /// Makes the token of the Linux user of this process.
    fn of_user() -> Self {
        let user = Sid::of_user(rustix::process::geteuid().as_raw());
        let group = Sid::of_group(rustix::process::getegid().as_raw());
        let entry = |sid: &Sid, attributes| TokenGroup {
            sid: Bytes(sid.to_bytes()),
            attributes,
        };
        let mut groups: Vec<TokenGroup> = [
            group.clone(),
            Sid::everyone(),
            Sid::administrators(),
            Sid::users(),
            Sid::interactive(),
            Sid::authenticated_users(),
            Sid::local(),
        ]
        .iter()
        .map(|sid| entry(sid, GROUP_DEFAULT))
        .collect();
        groups.push(entry(&Sid::integrity(HIGH_INTEGRITY), GROUP_INTEGRITY));
        let enabled = ENABLED
            .iter()
            .map(|&n| (n, privilege::ENABLED | privilege::ENABLED_BY_DEFAULT));
        let mut privileges: Vec<TokenPrivilege> = enabled
            .chain(DISABLED.iter().map(|&n| (n, 0)))
            .map(|(privilege, attributes)| TokenPrivilege {
                privilege,
                attributes,
            })
            .collect();
        privileges.sort_by_key(|p| p.privilege);
        Token::new(WireToken {
            user: Bytes(user.to_bytes()),
            groups,
            privileges,
            primary_group: Bytes(group.to_bytes()),
            level: 2,
            authentication_id: 0x3E7 + u64::from(rustix::process::geteuid().as_raw()),
            ..WireToken::default()
        })
    }

    /// Makes the token of the anonymous user.
    #[must_use]
    pub fn anonymous() -> Self {
        Token::new(WireToken {
            user: Bytes(Sid::anonymous().to_bytes()),
            is_impersonation: true,
            level: 2,
            ..WireToken::default()
        })
    }

    /// Reads a token the server or another process sent.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NtStatus> {
        decode_body(bytes)
            .map(Token::new)
            .map_err(|_| NtStatus::INVALID_PARAMETER)
    }

    /// Returns the token as it crosses to the server or another process.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.state.lock().put(&mut out);
        out
    }

    /// Returns a copy of the state.
    #[must_use]
    pub fn state(&self) -> WireToken {
        self.state.lock().clone()
    }

    /// Returns whether a privilege is held and enabled.
    #[must_use]
    pub fn is_enabled(&self, number: u32) -> bool {
        let state = self.state.lock();
        state
            .privileges
            .iter()
            .any(|p| p.privilege == number && p.attributes & privilege::ENABLED != 0)
    }

    /// Makes a copy as a primary or impersonation token.
    ///
    /// Returns `BAD_IMPERSONATION_LEVEL` for a level above that of an impersonation token, or for a primary copy of a
    /// token below level Impersonation.
    pub fn duplicate(
        &self,
        is_impersonation: bool,
        level: u8,
        is_effective_only: bool,
    ) -> Result<Self, NtStatus> {
        let mut state = self.state();
        if state.is_impersonation {
            let is_more = is_impersonation && level > state.level;
            let is_weak = !is_impersonation && state.level < 2;
            if is_more || is_weak {
                return Err(NtStatus::BAD_IMPERSONATION_LEVEL);
            }
        }
        state.is_impersonation = is_impersonation;
        state.level = if is_impersonation { level } else { 2 };
        if is_effective_only {
            state
                .privileges
                .retain(|p| p.attributes & privilege::ENABLED != 0);
            state.groups.retain(|g| g.attributes & 4 != 0);
        }
        Ok(Token::new(state))
    }

    /// Disables every privilege, or applies `changes` (number, attributes) to those held.
    ///
    /// Returns the old attributes of what changed, and whether every named privilege was held.
    pub fn adjust_privileges(&self, changes: Option<&[(u32, u32)]>) -> (Vec<(u32, u32)>, bool) {
        let mut state = self.state.lock();
        let mut old = Vec::new();
        let mut are_all_held = true;
        let disable_all: Vec<(u32, u32)>;
        let changes = match changes {
            Some(changes) => changes,
            None => {
                disable_all = state.privileges.iter().map(|p| (p.privilege, 0)).collect();
                &disable_all
            }
        };
        for &(number, attributes) in changes {
            let Some(held) = state.privileges.iter_mut().find(|p| p.privilege == number) else {
                are_all_held = false;
                continue;
            };
            let before = held.attributes;
            if attributes & privilege::REMOVED != 0 {
                state.privileges.retain(|p| p.privilege != number);
                continue;
            }
            held.attributes = before & !privilege::ENABLED | attributes & privilege::ENABLED;
            if held.attributes != before {
                old.push((number, before));
            }
        }
        (old, are_all_held)
    }
}

impl Object for Token {
    fn object_type(&self) -> &'static ObjectType {
        &TOKEN_TYPE
    }
    fn header(&self) -> &Header {
        &self.header
    }
    fn pack(&self) -> Result<Packed, NtStatus> {
        Ok(Packed {
            kind: PackedKind::Token,
            bytes: self.to_bytes(),
            fds: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SE_DEBUG_PRIVILEGE: u32 = 20;

    #[test]
    fn removed_privileges_are_gone_and_unknown_ones_are_reported() {
        let token = Token::of_user();
        assert!(token.is_enabled(privilege::TCB));
        let (old, all) = token.adjust_privileges(Some(&[
            (privilege::TCB, privilege::REMOVED),
            (2, privilege::ENABLED),
        ]));
        assert!(old.is_empty() && !all);
        assert!(!token.is_enabled(privilege::TCB));
        let (old, all) = token.adjust_privileges(None);
        assert!(
            all && old
                .iter()
                .any(|&(n, before)| n == SE_DEBUG_PRIVILEGE && before & privilege::ENABLED != 0)
        );
    }

    #[test]
    fn impersonation_tokens_cannot_be_raised() {
        let token = Token::of_user()
            .duplicate(true, 1, false)
            .expect("identification");
        assert_eq!(
            token.duplicate(true, 2, false).err(),
            Some(NtStatus::BAD_IMPERSONATION_LEVEL)
        );
        assert_eq!(
            token.duplicate(false, 0, false).err(),
            Some(NtStatus::BAD_IMPERSONATION_LEVEL)
        );
        let bytes = token.to_bytes();
        assert_eq!(
            Token::from_bytes(&bytes).expect("round trip").state(),
            token.state()
        );
    }
}
