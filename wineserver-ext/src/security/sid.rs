//! Security identifiers and their meaning for Linux users and groups.
//!
//! | Linux | SID |
//! |---|---|
//! | user id *n* | `S-1-22-1-n` (as Samba maps Unix users) |
//! | group id *n* | `S-1-22-2-n` |
//! | user that runs the server, as seen inside Wine | `S-1-5-21-0-0-0-1000`, an alias of its `S-1-22-1-n` |
//!
//! Layout of a SID: MS-DTYP §2.4.2.

use core::fmt;

use ntlpc_abi::NtStatus;

/// Most sub-authorities a SID may have.
const MAX_SUB_AUTHORITIES: usize = 15;
/// Bytes before the sub-authorities: revision, count, authority.
const FIXED_BYTES: usize = 8;
/// Value of the revision byte.
const REVISION: u8 = 1;

/// A security identifier.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sid {
    authority: u64,
    sub_authorities: Vec<u32>,
}

impl Sid {
    /// Makes a SID of its parts; more than 15 sub-authorities cannot be written in one.
    #[must_use]
    pub fn new(authority: u64, sub_authorities: &[u32]) -> Sid {
        debug_assert!(sub_authorities.len() <= MAX_SUB_AUTHORITIES);
        Sid {
            authority,
            sub_authorities: sub_authorities.to_vec(),
        }
    }

    /// Reads the SID at the start of `bytes`; bytes behind it are ignored.
    ///
    /// Returns `STATUS_INVALID_SID` for another revision, too many sub-authorities, or too few bytes.
    pub fn parse(bytes: &[u8]) -> Result<Sid, NtStatus> {
        let (fixed, rest) = bytes
            .split_at_checked(FIXED_BYTES)
            .ok_or(NtStatus::INVALID_SID)?;
        let count = usize::from(fixed[1]);
        if fixed[0] != REVISION || count > MAX_SUB_AUTHORITIES {
            return Err(NtStatus::INVALID_SID);
        }
        let words = rest.get(..count * 4).ok_or(NtStatus::INVALID_SID)?;
        let authority = fixed[2..]
            .iter()
            .fold(0, |value, &byte| (value << 8) | u64::from(byte));
        let sub_authorities = words
            .chunks_exact(4)
            .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
            .collect();
        Ok(Sid {
            authority,
            sub_authorities,
        })
    }

    /// Returns the SID as it lies in memory.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![REVISION, self.sub_authorities.len() as u8];
        out.extend_from_slice(&self.authority.to_be_bytes()[2..]);
        for word in &self.sub_authorities {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// Returns the SID of a Linux user.
    #[must_use]
    pub fn of_user(uid: u32) -> Sid {
        Sid::new(UNIX, &[1, uid])
    }

    /// Returns the SID of a Linux group.
    #[must_use]
    pub fn of_group(gid: u32) -> Sid {
        Sid::new(UNIX, &[2, gid])
    }

    /// Returns the SID Wine gives the user of a prefix.
    #[must_use]
    pub fn wine_user() -> Sid {
        Sid::new(NT, &[21, 0, 0, 0, 1000])
    }

    /// Returns the SID of the group Wine puts that user, and nobody else, in: its default access list names it.
    #[must_use]
    pub fn wine_users() -> Sid {
        Sid::new(NT, &[21, 0, 0, 0, 513])
    }

    /// Replaces the SIDs Wine gives the user of a prefix by the one that names that Linux user.
    #[must_use]
    pub fn canonical(self, owner_uid: u32) -> Sid {
        if self == Sid::wine_user() || self == Sid::wine_users() {
            Sid::of_user(owner_uid)
        } else {
            self
        }
    }

    /// `S-1-1-0`.
    #[must_use]
    pub fn everyone() -> Sid {
        Sid::new(1, &[0])
    }

    /// `S-1-5-7`, the identity of an anonymous client.
    #[must_use]
    pub fn anonymous() -> Sid {
        Sid::new(NT, &[7])
    }

    /// `S-1-5-11`.
    #[must_use]
    pub fn authenticated_users() -> Sid {
        Sid::new(NT, &[11])
    }

    /// `S-1-5-18`, LocalSystem.
    #[must_use]
    pub fn local_system() -> Sid {
        Sid::new(NT, &[18])
    }

    /// `S-1-5-32-544`.
    #[must_use]
    pub fn administrators() -> Sid {
        Sid::new(NT, &[32, 544])
    }

    /// `S-1-5-32-545`.
    #[must_use]
    pub fn users() -> Sid {
        Sid::new(NT, &[32, 545])
    }

    /// Returns whether this is a group every local user may claim: well-known, builtin users, logon sessions.
    #[must_use]
    pub fn is_common_group(&self) -> bool {
        match (self.authority, self.sub_authorities.as_slice()) {
            (1 | 2, [0 | 1]) | (NT, [2 | 4 | 11 | 15]) | (NT, [32, 545]) | (NT, [5, _, _]) => true,
            // Integrity labels up to medium.
            (16, [level]) => *level <= 0x2000,
            _ => false,
        }
    }
}

/// SECURITY_NT_AUTHORITY.
const NT: u64 = 5;
/// Authority of Samba's Unix identities.
const UNIX: u64 = 22;

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S-1-{}", self.authority)?;
        self.sub_authorities
            .iter()
            .try_for_each(|word| write!(f, "-{word}"))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sid_bytes_are_those_of_the_manual() {
        let bytes = Sid::administrators().to_bytes();

        assert_eq!(bytes, [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0]);
        assert_eq!(Sid::parse(&bytes), Ok(Sid::administrators()));
    }

    #[test]
    fn malformed_sids_are_invalid() {
        let good = Sid::of_user(1000).to_bytes();
        let mut revision = good.clone();
        revision[0] = 2;
        let mut count = good.clone();
        count[1] = 16;

        for bad in [&good[..good.len() - 1], &revision, &count, &[]] {
            assert_eq!(Sid::parse(bad), Err(NtStatus::INVALID_SID));
        }
    }
}
