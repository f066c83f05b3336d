//! Security identifiers: layout, text form, the SIDs of Linux users and groups.
//!
//! Layout: MS-DTYP §2.4.2; text: MS-DTYP §2.4.2.1; abbreviations: MS-DTYP §2.5.1.1 (`sid-token`).

use ntlpc_abi::NtStatus;

/// Most sub-authorities a SID may have.
pub const MAX_SUB_AUTHORITIES: usize = 15;
/// `SECURITY_NT_AUTHORITY`.
const NT: u64 = 5;
/// Authority of Unix users and groups, as Samba maps them.
const UNIX: u64 = 22;

/// A security identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sid {
    /// Identifier authority, 48 bits.
    pub authority: u64,
    /// Sub-authorities.
    pub sub: Vec<u32>,
}

macro_rules! well_known {
    ($($(#[$doc:meta])* $name:ident = $authority:expr, $sub:expr;)*) => {
        $($(#[$doc])* #[must_use] pub fn $name() -> Sid { Sid::new($authority, &$sub) })*
    };
}

impl Sid {
    /// Makes a SID of its parts.
    #[must_use]
    pub fn new(authority: u64, sub: &[u32]) -> Sid {
        Sid {
            authority,
            sub: sub.to_vec(),
        }
    }

    well_known! {
        /// `S-1-1-0`.
        everyone = 1, [0];
        /// `S-1-2-0`.
        local = 2, [0];
        /// `S-1-5-4`.
        interactive = NT, [4];
        /// `S-1-5-7`.
        anonymous = NT, [7];
        /// `S-1-5-11`.
        authenticated_users = NT, [11];
        /// `S-1-5-18`.
        local_system = NT, [18];
        /// `S-1-5-32-544`.
        administrators = NT, [32, 544];
        /// `S-1-5-32-545`.
        users = NT, [32, 545];
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

    /// Returns the SID of an integrity level.
    #[must_use]
    pub fn integrity(level: u32) -> Sid {
        Sid::new(16, &[level])
    }

    /// Reads the SID at the start of `bytes`. Returns `INVALID_SID` for anything else.
    pub fn parse(bytes: &[u8]) -> Result<Sid, NtStatus> {
        let (fixed, rest) = bytes.split_at_checked(8).ok_or(NtStatus::INVALID_SID)?;
        let count = usize::from(fixed[1]);
        if fixed[0] != 1 || count > MAX_SUB_AUTHORITIES {
            return Err(NtStatus::INVALID_SID);
        }
        let words = rest.get(..count * 4).ok_or(NtStatus::INVALID_SID)?;
        let authority = fixed[2..]
            .iter()
            .fold(0, |value, &byte| value << 8 | u64::from(byte));
        let sub = words
            .chunks_exact(4)
            .map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]))
            .collect();
        Ok(Sid { authority, sub })
    }

    /// Returns the SID as it lies in memory.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "at most 15 sub-authorities"
    )]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![1, self.sub.len() as u8];
        out.extend_from_slice(&self.authority.to_be_bytes()[2..]);
        self.sub
            .iter()
            .for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        out
    }

    /// Reads `S-1-…` or a two-letter abbreviation of SDDL.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Sid> {
        if let Some((_, sid)) = abbreviations()
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text))
        {
            return Some(sid);
        }
        let rest = text
            .strip_prefix("S-1-")
            .or_else(|| text.strip_prefix("s-1-"))?;
        let mut parts = rest.split('-');
        let authority = number(parts.next()?)?;
        let sub = parts
            .map(|part| number(part).and_then(|n| u32::try_from(n).ok()))
            .collect::<Option<Vec<u32>>>()?;
        (authority < 1 << 48 && sub.len() <= MAX_SUB_AUTHORITIES).then_some(Sid { authority, sub })
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn abbreviations() -> Vec<(&'static str, Sid)> {
    let builtin = |rid| Sid::new(NT, &[32, rid]);
    vec![
        ("WD", Sid::everyone()),
        ("SY", Sid::local_system()),
        ("BA", Sid::administrators()),
        ("BU", Sid::users()),
        ("BG", builtin(546)),
        ("PU", builtin(547)),
        ("AU", Sid::authenticated_users()),
        ("AN", Sid::anonymous()),
        ("IU", Sid::interactive()),
        ("NU", Sid::new(NT, &[2])),
        ("SU", Sid::new(NT, &[6])),
        ("LS", Sid::new(NT, &[19])),
        ("NS", Sid::new(NT, &[20])),
        ("RC", Sid::new(NT, &[12])),
        ("PS", Sid::new(NT, &[10])),
        ("CO", Sid::new(3, &[0])),
        ("CG", Sid::new(3, &[1])),
        ("OW", Sid::new(3, &[4])),
        ("AC", Sid::new(15, &[2, 1])),
        ("LW", Sid::integrity(0x1000)),
        ("ME", Sid::integrity(0x2000)),
        ("MP", Sid::integrity(0x2100)),
        ("HI", Sid::integrity(0x3000)),
        ("SI", Sid::integrity(0x4000)),
    ]
}

impl std::fmt::Display for Sid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Authorities above 32 bits are written in hexadecimal (MS-DTYP §2.4.2.1).
        if self.authority < 1 << 32 {
            write!(f, "S-1-{}", self.authority)?;
        } else {
            write!(f, "S-1-{:#X}", self.authority)?;
        }
        self.sub.iter().try_for_each(|word| write!(f, "-{word}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_round_trip() {
        let sid = Sid::from_text("S-1-5-21-1-2-3-1000").expect("text");
        assert_eq!(Sid::parse(&sid.to_bytes()), Ok(sid.clone()));
        assert_eq!(sid.to_string(), "S-1-5-21-1-2-3-1000");
        assert_eq!(Sid::from_text("BA"), Some(Sid::administrators()));
        for bad in ["", "S-1", "S-2-5", "S-1-x", "S-1-5-4294967296"] {
            assert_eq!(Sid::from_text(bad), None, "{bad}");
        }
        assert_eq!(
            Sid::parse(&[1, 200, 0, 0, 0, 0, 0, 5]),
            Err(NtStatus::INVALID_SID)
        );
    }
}
