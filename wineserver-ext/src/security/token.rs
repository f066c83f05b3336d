//! Tokens: who a process or thread is.

use ntlpc_abi::NtStatus;
use ntlpc_proto::Bytes;
use ntlpc_proto::frame::decode_body;
use ntlpc_proto::process::{Token as WireToken, TokenGroup};
use ntlpc_proto::wire::Wire;

use super::{AceKind, Dacl, Sid};

/// SE_GROUP_ENABLED.
const GROUP_ENABLED: u32 = 0x0000_0004;
/// SE_GROUP_USE_FOR_DENY_ONLY.
const GROUP_DENY_ONLY: u32 = 0x0000_0010;
/// SE_GROUP_MANDATORY | ENABLED_BY_DEFAULT | ENABLED.
const GROUP_DEFAULT: u32 = 0x0000_0007;
/// SE_PRIVILEGE_ENABLED.
const PRIVILEGE_ENABLED: u32 = 0x0000_0002;
/// SE_CHANGE_NOTIFY_PRIVILEGE.
const CHANGE_NOTIFY: u32 = 23;
/// SE_PRIVILEGE_ENABLED_BY_DEFAULT | ENABLED.
const PRIVILEGE_DEFAULT: u32 = 0x0000_0003;

/// `SECURITY_IMPERSONATION_LEVEL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImpersonationLevel {
    /// The server learns nothing.
    Anonymous = 0,
    /// The server may look, not act.
    Identification = 1,
    /// The server may act on this machine.
    Impersonation = 2,
    /// The server may act anywhere.
    Delegation = 3,
}

impl ImpersonationLevel {
    /// Returns the level of that number; NT's answer to any other is `STATUS_BAD_IMPERSONATION_LEVEL`.
    pub fn from_raw(level: u32) -> Result<ImpersonationLevel, NtStatus> {
        match level {
            0 => Ok(ImpersonationLevel::Anonymous),
            1 => Ok(ImpersonationLevel::Identification),
            2 => Ok(ImpersonationLevel::Impersonation),
            3 => Ok(ImpersonationLevel::Delegation),
            _ => Err(NtStatus::BAD_IMPERSONATION_LEVEL),
        }
    }
}

/// What the kernel says about a peer (SO_PEERCRED), and what it is to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// User id the server runs as: the owner of the prefix.
    pub owner_uid: u32,
}

impl Credentials {
    /// Returns whether the peer could do to the server whatever it likes anyway: the same user, or root.
    #[must_use]
    pub fn is_owner(self) -> bool {
        self.uid == self.owner_uid || self.uid == 0
    }
}

/// A token the server has checked against the credentials of the process it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    wire: WireToken,
    user: Sid,
    groups: Vec<(Sid, u32)>,
    default_dacl: Option<Dacl>,
}

impl Token {
    /// Makes the token of a Linux user: its SID, its group, the groups every user is in.
    #[must_use]
    pub fn of_credentials(credentials: Credentials) -> Token {
        let user = Sid::of_user(credentials.uid);
        let mut groups = vec![
            Sid::of_group(credentials.gid),
            Sid::everyone(),
            Sid::authenticated_users(),
            Sid::users(),
        ];
        if credentials.is_owner() {
            groups.push(Sid::administrators());
        }
        let default_dacl = default_list(&user);
        let wire = WireToken {
            user: Bytes(user.to_bytes()),
            groups: groups
                .iter()
                .map(|sid| TokenGroup {
                    sid: Bytes(sid.to_bytes()),
                    attributes: GROUP_DEFAULT,
                })
                .collect(),
            privileges: vec![ntlpc_proto::process::TokenPrivilege {
                privilege: CHANGE_NOTIFY,
                attributes: PRIVILEGE_DEFAULT,
            }],
            level: ImpersonationLevel::Impersonation as u8,
            ..WireToken::default()
        };
        let groups = groups.into_iter().map(|sid| (sid, GROUP_DEFAULT)).collect();
        Token {
            wire,
            user,
            groups,
            default_dacl: Some(default_dacl),
        }
    }

    /// Reads a token a host sent, if a process with `credentials` may have it.
    ///
    /// The owner of the prefix may have any groups, since nothing stops it from becoming the server; its user is itself
    /// under either of its SIDs (`docs/security.md`), or LocalSystem. Any other user is itself, in groups all users have.
    /// Returns `STATUS_ACCESS_DENIED` for more, `STATUS_INVALID_SID`, `STATUS_INVALID_ACL` or `STATUS_INVALID_PARAMETER`
    /// for nonsense.
    pub fn parse(bytes: &[u8], credentials: Credentials) -> Result<Token, NtStatus> {
        let wire: WireToken = decode_body(bytes).map_err(|_| NtStatus::INVALID_PARAMETER)?;
        ImpersonationLevel::from_raw(u32::from(wire.level))?;
        let user = Sid::parse(&wire.user.0)?.canonical(credentials.owner_uid);
        let groups = wire
            .groups
            .iter()
            .map(|group| Ok((Sid::parse(&group.sid.0)?, group.attributes)))
            .collect::<Result<Vec<_>, NtStatus>>()?;
        let default_dacl = match &wire.default_dacl {
            Some(acl) => Dacl::parse(&acl.0)?.canonical(credentials.owner_uid),
            None => default_list(&user),
        };
        let own = Sid::of_user(credentials.uid);
        let is_allowed = if credentials.is_owner() {
            [
                own,
                Sid::of_user(credentials.owner_uid),
                Sid::local_system(),
                Sid::anonymous(),
            ]
            .contains(&user)
        } else {
            let own_group = Sid::of_group(credentials.gid);
            (user == own || user == Sid::anonymous())
                && groups
                    .iter()
                    .all(|(sid, _)| *sid == own_group || sid.is_common_group())
        };
        if !is_allowed {
            return Err(NtStatus::ACCESS_DENIED);
        }
        Ok(Token {
            wire,
            user,
            groups,
            default_dacl: Some(default_dacl),
        })
    }

    /// Returns the token as it goes to a host.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::new();
        self.wire.put(&mut out);
        Bytes(out)
    }

    /// Returns the token's user.
    #[must_use]
    pub fn user(&self) -> &Sid {
        &self.user
    }

    /// Returns the user's SID as the host of its process gave it.
    #[must_use]
    pub fn user_of_host(&self) -> Vec<u8> {
        self.wire.user.0.clone()
    }

    /// Returns the authentication id of its logon session.
    #[must_use]
    pub fn authentication_id(&self) -> u64 {
        self.wire.authentication_id
    }

    /// Returns the list given to objects created without a descriptor.
    #[must_use]
    pub fn default_dacl(&self) -> &Option<Dacl> {
        &self.default_dacl
    }

    /// Returns whether the token is an impersonation token.
    #[must_use]
    pub fn is_impersonation(&self) -> bool {
        self.wire.is_impersonation
    }

    /// Returns the level; that of a primary token does not matter.
    #[must_use]
    pub fn level(&self) -> ImpersonationLevel {
        ImpersonationLevel::from_raw(u32::from(self.wire.level))
            .unwrap_or(ImpersonationLevel::Anonymous)
    }

    /// Returns whether access may be granted by this token at all (lpc §3.9 levels).
    #[must_use]
    pub fn may_be_checked(&self) -> bool {
        !self.is_impersonation() || self.level() != ImpersonationLevel::Identification
    }

    /// Returns whether an entry about `sid` applies to this token.
    #[must_use]
    pub fn has(&self, sid: &Sid, kind: AceKind) -> bool {
        let counted = match kind {
            AceKind::Allow => GROUP_ENABLED,
            AceKind::Deny => GROUP_ENABLED | GROUP_DENY_ONLY,
        };
        self.user == *sid
            || self
                .groups
                .iter()
                .any(|(group, attributes)| group == sid && attributes & counted != 0)
    }

    /// Returns the impersonation token a server gets of this one (lpc §3.9).
    ///
    /// At level Anonymous it is the anonymous identity. `is_effective_only` removes what is disabled, so that it cannot
    /// be enabled again. Returns `STATUS_BAD_IMPERSONATION_LEVEL` for more than an impersonation token has itself.
    pub fn impersonation(
        &self,
        level: ImpersonationLevel,
        is_effective_only: bool,
    ) -> Result<Token, NtStatus> {
        if self.is_impersonation() && level > self.level() {
            return Err(NtStatus::BAD_IMPERSONATION_LEVEL);
        }
        if level == ImpersonationLevel::Anonymous {
            return Ok(Token::anonymous());
        }
        let mut token = self.clone();
        token.wire.is_impersonation = true;
        token.wire.level = level as u8;
        token.wire.is_effective_only |= is_effective_only;
        if token.wire.is_effective_only {
            token
                .wire
                .groups
                .retain(|group| group.attributes & (GROUP_ENABLED | GROUP_DENY_ONLY) != 0);
            token
                .wire
                .privileges
                .retain(|privilege| privilege.attributes & PRIVILEGE_ENABLED != 0);
            token
                .groups
                .retain(|(_, attributes)| attributes & (GROUP_ENABLED | GROUP_DENY_ONLY) != 0);
        }
        Ok(token)
    }

    fn anonymous() -> Token {
        let user = Sid::anonymous();
        let wire = WireToken {
            user: Bytes(user.to_bytes()),
            level: ImpersonationLevel::Anonymous as u8,
            is_impersonation: true,
            ..WireToken::default()
        };
        Token {
            wire,
            user,
            groups: Vec::new(),
            default_dacl: None,
        }
    }
}

/// The default DACL of a token that brings none: all rights for its user, the system and the administrators.
fn default_list(user: &Sid) -> Dacl {
    const GENERIC_ALL: u32 = 0x1000_0000;
    Dacl::allowing(
        GENERIC_ALL,
        &[user.clone(), Sid::local_system(), Sid::administrators()],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Credentials = Credentials {
        uid: 1000,
        gid: 100,
        owner_uid: 1000,
    };
    const OTHER: Credentials = Credentials {
        uid: 1001,
        gid: 101,
        owner_uid: 1000,
    };

    fn claimed(user: Sid, groups: &[Sid]) -> Vec<u8> {
        let wire = WireToken {
            user: Bytes(user.to_bytes()),
            groups: groups
                .iter()
                .map(|sid| TokenGroup {
                    sid: Bytes(sid.to_bytes()),
                    attributes: GROUP_ENABLED,
                })
                .collect(),
            ..WireToken::default()
        };
        let mut out = Vec::new();
        wire.put(&mut out);
        out
    }

    #[test]
    fn wine_user_is_the_owner() {
        let token =
            Token::parse(&claimed(Sid::wine_user(), &[]), OWNER).expect("the owner is itself");

        assert_eq!(token.user(), &Sid::of_user(1000));
    }

    #[test]
    fn another_user_cannot_claim_the_owner() {
        for user in [Sid::of_user(1000), Sid::wine_user(), Sid::local_system()] {
            assert_eq!(
                Token::parse(&claimed(user, &[]), OTHER),
                Err(NtStatus::ACCESS_DENIED)
            );
        }
    }

    #[test]
    fn another_user_cannot_claim_groups_it_is_not_in() {
        let own = Sid::of_user(1001);

        assert!(
            Token::parse(
                &claimed(own.clone(), &[Sid::everyone(), Sid::of_group(101)]),
                OTHER
            )
            .is_ok()
        );
        for group in [Sid::administrators(), Sid::of_group(0)] {
            assert_eq!(
                Token::parse(&claimed(own.clone(), &[group]), OTHER),
                Err(NtStatus::ACCESS_DENIED)
            );
        }
    }

    #[test]
    fn impersonation_never_raises_the_level() {
        let token = Token::of_credentials(OWNER);
        let identification = token
            .impersonation(ImpersonationLevel::Identification, false)
            .expect("a primary token has every level");

        assert!(!identification.may_be_checked());
        assert_eq!(
            identification.impersonation(ImpersonationLevel::Impersonation, false),
            Err(NtStatus::BAD_IMPERSONATION_LEVEL)
        );
    }

    #[test]
    fn anonymous_level_hides_the_user() {
        let token = Token::of_credentials(OWNER);

        let anonymous = token
            .impersonation(ImpersonationLevel::Anonymous, false)
            .expect("always possible");

        assert_eq!(anonymous.user(), &Sid::anonymous());
        assert!(!anonymous.has(&Sid::everyone(), AceKind::Allow));
    }

    #[test]
    fn effective_only_drops_disabled_groups() {
        let mut wire: WireToken =
            decode_body(&claimed(Sid::of_user(1000), &[Sid::everyone()])).expect("just made");
        wire.groups.push(TokenGroup {
            sid: Bytes(Sid::administrators().to_bytes()),
            attributes: 0,
        });
        let mut bytes = Vec::new();
        wire.put(&mut bytes);
        let token = Token::parse(&bytes, OWNER).expect("the owner may");

        let reduced = token
            .impersonation(ImpersonationLevel::Impersonation, true)
            .expect("a primary token");

        assert_eq!(reduced.wire.groups.len(), 1);
        assert_eq!(reduced.groups.len(), 1);
    }
}
