//! Self-relative security descriptors and access checks.
//!
//! Layouts: MS-DTYP §2.4.4 (ACE), §2.4.5 (ACL), §2.4.6 (SECURITY_DESCRIPTOR). The check follows MS-DTYP §2.5.3.2.

use ntlpc_abi::NtStatus;

use super::{AccessMask, GenericMapping, Sid, Token};

/// SE_DACL_PRESENT.
const DACL_PRESENT: u16 = 0x0004;
/// SE_SELF_RELATIVE.
const SELF_RELATIVE: u16 = 0x8000;
/// INHERIT_ONLY_ACE: the entry does not apply to the object itself.
const INHERIT_ONLY: u8 = 0x08;
/// Bytes of the descriptor's fixed part.
const FIXED_BYTES: usize = 20;
/// Bytes of an ACL's header.
const ACL_BYTES: usize = 8;
/// Bytes of an ACE's header and mask.
const ACE_BYTES: usize = 8;

/// Whether an entry grants or denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AceKind {
    /// ACCESS_ALLOWED_ACE_TYPE.
    Allow,
    /// ACCESS_DENIED_ACE_TYPE.
    Deny,
}

/// One entry of a discretionary list that applies to the object itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ace {
    /// Grants or denies.
    pub kind: AceKind,
    /// Rights, generic ones not yet mapped.
    pub mask: AccessMask,
    /// Whom it is about.
    pub sid: Sid,
}

/// A discretionary access control list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dacl(pub Vec<Ace>);

impl Dacl {
    /// Reads an ACL; entries other than allow and deny do not take part in access checks and are skipped.
    ///
    /// Returns `STATUS_INVALID_ACL` if an entry leaves the list.
    pub fn parse(bytes: &[u8]) -> Result<Dacl, NtStatus> {
        let header = bytes.get(..ACL_BYTES).ok_or(NtStatus::INVALID_ACL)?;
        let size = usize::from(u16::from_le_bytes([header[2], header[3]]));
        let count = u16::from_le_bytes([header[4], header[5]]);
        let mut rest = bytes.get(ACL_BYTES..size).ok_or(NtStatus::INVALID_ACL)?;
        let mut entries = Vec::new();
        for _ in 0..count {
            let fixed = rest.get(..ACE_BYTES).ok_or(NtStatus::INVALID_ACL)?;
            let size = usize::from(u16::from_le_bytes([fixed[2], fixed[3]]));
            let body = rest.get(ACE_BYTES..size).ok_or(NtStatus::INVALID_ACL)?;
            let kind = match fixed[0] {
                0 => Some(AceKind::Allow),
                1 => Some(AceKind::Deny),
                _ => None,
            };
            if let Some(kind) = kind
                && fixed[1] & INHERIT_ONLY == 0
            {
                let mask = u32::from_le_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
                entries.push(Ace {
                    kind,
                    mask,
                    sid: Sid::parse(body).map_err(|_| NtStatus::INVALID_ACL)?,
                });
            }
            rest = &rest[size..];
        }
        Ok(Dacl(entries))
    }

    /// Names the prefix's user `owner_uid` by its own SID where Wine's is written.
    #[must_use]
    pub fn canonical(mut self, owner_uid: u32) -> Dacl {
        for entry in &mut self.0 {
            entry.sid = entry.sid.clone().canonical(owner_uid);
        }
        self
    }

    /// Makes a list that grants `mask` to each of `sids`.
    #[must_use]
    pub fn allowing(mask: AccessMask, sids: &[Sid]) -> Dacl {
        Dacl(
            sids.iter()
                .map(|sid| Ace {
                    kind: AceKind::Allow,
                    mask,
                    sid: sid.clone(),
                })
                .collect(),
        )
    }
}

/// What an access check needs of a security descriptor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecurityDescriptor {
    /// Owner, who may always read and change the list.
    pub owner: Option<Sid>,
    /// Discretionary list; `None` grants everything to everyone.
    pub dacl: Option<Dacl>,
}

impl SecurityDescriptor {
    /// Reads a self-relative descriptor.
    ///
    /// Returns `STATUS_INVALID_SECURITY_DESCR` for an absolute one or another revision, `STATUS_INVALID_SID` and
    /// `STATUS_INVALID_ACL` for its parts. A descriptor without a DACL leaves it to the token's default: `default_dacl`.
    pub fn parse(
        bytes: &[u8],
        default_dacl: &Option<Dacl>,
    ) -> Result<SecurityDescriptor, NtStatus> {
        const BAD: NtStatus = NtStatus::INVALID_SECURITY_DESCR;
        let fixed = bytes.get(..FIXED_BYTES).ok_or(BAD)?;
        let control = u16::from_le_bytes([fixed[2], fixed[3]]);
        if fixed[0] != 1 || control & SELF_RELATIVE == 0 {
            return Err(BAD);
        }
        let part = |at: usize| -> Result<Option<&[u8]>, NtStatus> {
            let offset =
                u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]])
                    as usize;
            if offset == 0 {
                Ok(None)
            } else {
                bytes.get(offset..).map(Some).ok_or(BAD)
            }
        };
        let owner = part(4)?.map(Sid::parse).transpose()?;
        let dacl = if control & DACL_PRESENT == 0 {
            default_dacl.clone()
        } else {
            part(16)?.map(Dacl::parse).transpose()?
        };
        Ok(SecurityDescriptor { owner, dacl })
    }

    /// As [`Dacl::canonical`].
    #[must_use]
    pub fn canonical(self, owner_uid: u32) -> SecurityDescriptor {
        SecurityDescriptor {
            owner: self.owner.map(|owner| owner.canonical(owner_uid)),
            dacl: self.dacl.map(|dacl| dacl.canonical(owner_uid)),
        }
    }

    /// Returns the rights of `wanted` (generic ones mapped) if the token has them all, else `STATUS_ACCESS_DENIED`.
    ///
    /// `MAXIMUM_ALLOWED` adds every right the token has. An impersonation token below level Impersonation has none:
    /// `STATUS_BAD_IMPERSONATION_LEVEL` (lpc §3.9).
    pub fn check(
        &self,
        token: &Token,
        wanted: AccessMask,
        mapping: GenericMapping,
    ) -> Result<AccessMask, NtStatus> {
        if !token.may_be_checked() {
            return Err(NtStatus::BAD_IMPERSONATION_LEVEL);
        }
        let wanted = mapping.map(wanted);
        let wants_maximum = wanted & super::MAXIMUM_ALLOWED != 0;
        let wanted = wanted & !super::MAXIMUM_ALLOWED;
        let granted = self.granted(token, mapping);
        if wanted & !granted != 0 {
            return Err(NtStatus::ACCESS_DENIED);
        }
        Ok(if wants_maximum { granted } else { wanted })
    }

    fn granted(&self, token: &Token, mapping: GenericMapping) -> AccessMask {
        let Some(dacl) = &self.dacl else {
            return mapping.all;
        };
        let mut granted = match &self.owner {
            Some(owner) if token.has(owner, AceKind::Allow) => {
                super::READ_CONTROL | super::WRITE_DAC
            }
            _ => 0,
        };
        let mut denied = 0;
        for ace in &dacl.0 {
            if !token.has(&ace.sid, ace.kind) {
                continue;
            }
            let mask = mapping.map(ace.mask);
            match ace.kind {
                AceKind::Allow => granted |= mask & !denied,
                AceKind::Deny => denied |= mask & !granted,
            }
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Credentials, PORT_MAPPING};
    use super::*;

    const CONNECT: AccessMask = 1;

    fn user(uid: u32) -> Token {
        Token::of_credentials(Credentials {
            uid,
            gid: 100,
            owner_uid: 1000,
        })
    }

    fn acl(entries: &[(u8, u8, u32, Sid)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, flags, mask, sid) in entries {
            let sid = sid.to_bytes();
            body.extend_from_slice(&[*kind, *flags]);
            body.extend_from_slice(&((ACE_BYTES + sid.len()) as u16).to_le_bytes());
            body.extend_from_slice(&mask.to_le_bytes());
            body.extend_from_slice(&sid);
        }
        let mut out = vec![2, 0];
        out.extend_from_slice(&((ACL_BYTES + body.len()) as u16).to_le_bytes());
        out.extend_from_slice(&(entries.len() as u16).to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&body);
        out
    }

    fn descriptor(owner: Option<Sid>, dacl: Option<Vec<u8>>) -> Vec<u8> {
        let mut out = vec![1, 0];
        out.extend_from_slice(&(SELF_RELATIVE | DACL_PRESENT).to_le_bytes());
        out.extend_from_slice(&[0; 16]);
        if let Some(owner) = owner {
            let at = out.len() as u32;
            out[4..8].copy_from_slice(&at.to_le_bytes());
            out.extend_from_slice(&owner.to_bytes());
        }
        if let Some(dacl) = dacl {
            let at = out.len() as u32;
            out[16..20].copy_from_slice(&at.to_le_bytes());
            out.extend_from_slice(&dacl);
        }
        out
    }

    fn check(bytes: &[u8], token: &Token, wanted: AccessMask) -> Result<AccessMask, NtStatus> {
        SecurityDescriptor::parse(bytes, &None).and_then(|sd| sd.check(token, wanted, PORT_MAPPING))
    }

    #[test]
    fn null_dacl_grants_everything() {
        let bytes = descriptor(None, None);

        assert_eq!(check(&bytes, &user(7), 0x1F_0001), Ok(0x1F_0001));
    }

    #[test]
    fn empty_dacl_grants_the_owner_only_the_list_itself() {
        let bytes = descriptor(Some(Sid::of_user(7)), Some(acl(&[])));

        assert_eq!(
            check(&bytes, &user(7), CONNECT),
            Err(NtStatus::ACCESS_DENIED)
        );
        assert_eq!(
            check(&bytes, &user(7), super::super::WRITE_DAC),
            Ok(super::super::WRITE_DAC)
        );
        assert_eq!(
            check(&bytes, &user(8), super::super::WRITE_DAC),
            Err(NtStatus::ACCESS_DENIED)
        );
    }

    #[test]
    fn entries_count_in_their_order() {
        let deny_first = descriptor(
            None,
            Some(acl(&[
                (1, 0, 1, Sid::of_user(7)),
                (0, 0, 1, Sid::everyone()),
            ])),
        );
        let allow_first = descriptor(
            None,
            Some(acl(&[
                (0, 0, 1, Sid::everyone()),
                (1, 0, 1, Sid::of_user(7)),
            ])),
        );

        assert_eq!(
            check(&deny_first, &user(7), CONNECT),
            Err(NtStatus::ACCESS_DENIED)
        );
        assert_eq!(check(&deny_first, &user(8), CONNECT), Ok(CONNECT));
        assert_eq!(check(&allow_first, &user(7), CONNECT), Ok(CONNECT));
    }

    #[test]
    fn generic_rights_in_entries_are_mapped() {
        let bytes = descriptor(None, Some(acl(&[(0, 0, 0x8000_0000, Sid::everyone())])));

        assert_eq!(check(&bytes, &user(7), CONNECT), Ok(CONNECT));
    }

    #[test]
    fn inherit_only_entries_do_not_apply() {
        let bytes = descriptor(None, Some(acl(&[(0, INHERIT_ONLY, 1, Sid::everyone())])));

        assert_eq!(
            check(&bytes, &user(7), CONNECT),
            Err(NtStatus::ACCESS_DENIED)
        );
    }

    #[test]
    fn every_truncation_is_an_error_and_no_panic() {
        let bytes = descriptor(
            Some(Sid::of_user(7)),
            Some(acl(&[(0, 0, 1, Sid::everyone())])),
        );

        for len in 0..bytes.len() {
            assert!(
                SecurityDescriptor::parse(&bytes[..len], &None).is_err(),
                "length {len}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_parse_or_fail(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = SecurityDescriptor::parse(&bytes, &None);
            let mut valid_head = bytes;
            if valid_head.len() >= 4 {
                valid_head[..4].copy_from_slice(&[1, 0, 4, 0x80]);
            }
            let _ = SecurityDescriptor::parse(&valid_head, &None);
        }
    }
}
