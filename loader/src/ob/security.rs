//! Security descriptors of the guest: absolute and self-relative, and SDDL text.
//!
//! Layouts: MS-DTYP §2.4.6 (descriptor), §2.4.5 (ACL), §2.4.4 (ACE); text: MS-DTYP §2.5.1.

use ntlpc_abi::{NtStatus, UserPtr, Width};

use super::sid::Sid;
use crate::export::Ptr;
use crate::width;

/// `SE_DACL_PRESENT`.
pub const DACL_PRESENT: u16 = 0x4;
/// `SE_SACL_PRESENT`.
pub const SACL_PRESENT: u16 = 0x10;
/// `SE_SELF_RELATIVE`.
pub const SELF_RELATIVE: u16 = 0x8000;
/// Size of the self-relative header.
pub const RELATIVE_HEADER: usize = 20;

/// A descriptor in parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// `SE_*` bits.
    pub control: u16,
    /// Owner SID.
    pub owner: Option<Vec<u8>>,
    /// Group SID.
    pub group: Option<Vec<u8>>,
    /// System ACL.
    pub sacl: Option<Vec<u8>>,
    /// Discretionary ACL; `None` with [`DACL_PRESENT`] is the NULL DACL that lets everyone in.
    pub dacl: Option<Vec<u8>>,
}

/// Reads a guest's descriptor as self-relative bytes; NULL gives `None`.
pub fn descriptor_of(at: UserPtr) -> Result<Option<Vec<u8>>, NtStatus> {
    if at.is_null() {
        return Ok(None);
    }
    Descriptor::read(Ptr::new(at.0)).map(|d| Some(d.to_bytes()))
}

/// Reads a SID at a guest address.
pub fn read_sid(at: Ptr<u8>) -> Result<Vec<u8>, NtStatus> {
    let mut fixed = [0; 8];
    at.try_read_bytes(&mut fixed)?;
    let count = usize::from(fixed[1]);
    if fixed[0] != 1 || count > super::sid::MAX_SUB_AUTHORITIES {
        return Err(NtStatus::INVALID_SID);
    }
    let mut bytes = vec![0; 8 + 4 * count];
    at.try_read_bytes(&mut bytes)?;
    Ok(bytes)
}

/// Reads an ACL at a guest address.
pub fn read_acl(at: Ptr<u8>) -> Result<Vec<u8>, NtStatus> {
    let mut fixed = [0; 8];
    at.try_read_bytes(&mut fixed)?;
    let size = usize::from(u16::from_le_bytes([fixed[2], fixed[3]]));
    if size < 8 || !(2..=4).contains(&fixed[0]) {
        return Err(NtStatus::INVALID_ACL);
    }
    let mut bytes = vec![0; size];
    at.try_read_bytes(&mut bytes)?;
    Ok(bytes)
}

impl Descriptor {
    /// Reads a descriptor, absolute or self-relative.
    pub fn read(at: Ptr<u8>) -> Result<Self, NtStatus> {
        let mut fixed = [0; 4];
        at.try_read_bytes(&mut fixed)?;
        if fixed[0] != 1 {
            return Err(NtStatus::UNKNOWN_REVISION);
        }
        let control = u16::from_le_bytes([fixed[2], fixed[3]]);
        let part = |index: usize| -> Result<Option<Ptr<u8>>, NtStatus> {
            if control & SELF_RELATIVE != 0 {
                let offset = at.byte_add(4 + 4 * index as u64).cast::<u32>().try_read()?;
                return Ok((offset != 0).then(|| at.byte_add(u64::from(offset))));
            }
            let first = width().pick(4, 8);
            let field = at.byte_add((first + index * width().pointer()) as u64);
            Ok(field.cast::<Ptr<u8>>().try_read()?.non_null())
        };
        let is_present = |bit: u16, part: Option<Ptr<u8>>| part.filter(|_| control & bit != 0);
        Ok(Descriptor {
            control: control & !SELF_RELATIVE,
            owner: part(0)?.map(read_sid).transpose()?,
            group: part(1)?.map(read_sid).transpose()?,
            sacl: is_present(SACL_PRESENT, part(2)?)
                .map(read_acl)
                .transpose()?,
            dacl: is_present(DACL_PRESENT, part(3)?)
                .map(read_acl)
                .transpose()?,
        })
    }

    /// Returns the self-relative form.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "parts are at most 64 KiB each"
    )]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![0; RELATIVE_HEADER];
        out[0] = 1;
        out[2..4].copy_from_slice(&(self.control | SELF_RELATIVE).to_le_bytes());
        let parts = [
            (4, &self.owner),
            (8, &self.group),
            (12, &self.sacl),
            (16, &self.dacl),
        ];
        for (field, part) in parts {
            if let Some(part) = part {
                let offset = out.len() as u32;
                out[field..field + 4].copy_from_slice(&offset.to_le_bytes());
                out.extend_from_slice(part);
                out.resize(out.len().next_multiple_of(4), 0);
            }
        }
        out
    }

    /// Reads SDDL. `None` for text that is not SDDL.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut descriptor = Descriptor::default();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (tag, after) = rest.split_at_checked(2)?;
            let end = next_section(after);
            let (body, next) = after.split_at(end);
            let body = body.trim();
            match tag {
                "O:" => descriptor.owner = Some(Sid::from_text(body)?.to_bytes()),
                "G:" => descriptor.group = Some(Sid::from_text(body)?.to_bytes()),
                "D:" => {
                    let (flags, acl) = acl_from_text(body)?;
                    descriptor.control |= DACL_PRESENT | flags;
                    descriptor.dacl = acl;
                }
                "S:" => {
                    let (flags, acl) = acl_from_text(body)?;
                    // The SACL's flags are the DACL's, one bit further.
                    descriptor.control |= SACL_PRESENT | flags << 1;
                    descriptor.sacl = acl;
                }
                _ => return None,
            }
            rest = next;
        }
        Some(descriptor)
    }

    /// Writes SDDL of the parts chosen by `SECURITY_INFORMATION` bits.
    #[must_use]
    pub fn to_text(&self, which: u32) -> String {
        let sid = |bytes: &Option<Vec<u8>>| bytes.as_deref().and_then(|b| Sid::parse(b).ok());
        let mut out = String::new();
        if let Some(owner) = sid(&self.owner).filter(|_| which & 1 != 0) {
            out.push_str(&format!("O:{owner}"));
        }
        if let Some(group) = sid(&self.group).filter(|_| which & 2 != 0) {
            out.push_str(&format!("G:{group}"));
        }
        if which & 4 != 0 && self.control & DACL_PRESENT != 0 {
            out.push_str("D:");
            acl_to_text(self.control, self.dacl.as_deref(), &mut out);
        }
        if which & 8 != 0 && self.control & SACL_PRESENT != 0 {
            out.push_str("S:");
            acl_to_text(self.control >> 1, self.sacl.as_deref(), &mut out);
        }
        out
    }
}

/// Returns where the next `X:` outside parentheses starts.
fn next_section(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut depth = 0_i32;
    for (i, &byte) in bytes.iter().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'O' | b'G' | b'D' | b'S' if depth == 0 && bytes.get(i + 1) == Some(&b':') => return i,
            _ => {}
        }
    }
    bytes.len()
}

/// `SE_DACL_PROTECTED`, `SE_DACL_AUTO_INHERIT_REQ`, `SE_DACL_AUTO_INHERITED`.
const ACL_FLAGS: &[(&str, u16)] = &[("AR", 0x100), ("AI", 0x400), ("P", 0x1000)];

const ACE_TYPES: &[(&str, u8)] = &[("A", 0), ("D", 1), ("AU", 2), ("AL", 3), ("ML", 0x11)];

const ACE_FLAGS: &[(&str, u8)] = &[
    ("OI", 1),
    ("CI", 2),
    ("NP", 4),
    ("IO", 8),
    ("ID", 0x10),
    ("SA", 0x40),
    ("FA", 0x80),
];

const RIGHTS: &[(&str, u32)] = &[
    ("GA", 0x1000_0000),
    ("GR", 0x8000_0000),
    ("GW", 0x4000_0000),
    ("GX", 0x2000_0000),
    ("RC", 0x2_0000),
    ("SD", 0x1_0000),
    ("WD", 0x4_0000),
    ("WO", 0x8_0000),
    ("FA", 0x1F_01FF),
    ("FR", 0x12_0089),
    ("FW", 0x12_0116),
    ("FX", 0x12_00A0),
    ("KA", 0xF_003F),
    ("KR", 0x2_0019),
    ("KW", 0x2_0006),
    ("KX", 0x2_0019),
    ("CC", 1),
    ("DC", 2),
    ("LC", 4),
    ("SW", 8),
    ("RP", 0x10),
    ("WP", 0x20),
    ("DT", 0x40),
    ("LO", 0x80),
    ("CR", 0x100),
    ("NW", 1),
    ("NR", 2),
    ("NX", 4),
];

fn acl_from_text(text: &str) -> Option<(u16, Option<Vec<u8>>)> {
    let open = text.find('(').unwrap_or(text.len());
    let (mut flags_text, mut rest) = text.split_at(open);
    if flags_text.trim() == "NO_ACCESS_CONTROL" {
        return Some((0, None));
    }
    let mut flags = 0;
    while !flags_text.is_empty() {
        let (name, bit) = ACL_FLAGS
            .iter()
            .find(|(name, _)| flags_text.starts_with(name))?;
        flags |= bit;
        flags_text = &flags_text[name.len()..];
    }
    let mut aces = Vec::new();
    while !rest.is_empty() {
        let (inside, after) = rest.strip_prefix('(')?.split_once(')')?;
        aces.push(ace_from_text(inside)?);
        rest = after.trim_start();
    }
    Some((flags, Some(acl(&aces))))
}

fn ace_from_text(text: &str) -> Option<Vec<u8>> {
    let fields: Vec<&str> = text.split(';').collect();
    let [kind, flags, rights, "", "", sid] = fields.as_slice() else {
        return None;
    };
    let kind = ACE_TYPES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(kind))?
        .1;
    let mut bits = 0;
    for pair in pairs(flags)? {
        bits |= ACE_FLAGS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(pair))?
            .1;
    }
    let mask = match rights
        .strip_prefix("0x")
        .or_else(|| rights.strip_prefix("0X"))
    {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => match rights.parse() {
            Ok(decimal) => decimal,
            Err(_) => {
                let mut mask = 0;
                for pair in pairs(rights)? {
                    mask |= RIGHTS
                        .iter()
                        .find(|(name, _)| name.eq_ignore_ascii_case(pair))?
                        .1;
                }
                mask
            }
        },
    };
    Some(ace(kind, bits, mask, &Sid::from_text(sid)?.to_bytes()))
}

fn pairs(text: &str) -> Option<Vec<&str>> {
    (text.len().is_multiple_of(2) && text.is_ascii()).then(|| {
        (0..text.len())
            .step_by(2)
            .map(|i| &text[i..i + 2])
            .collect()
    })
}

/// Builds an ACE.
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    reason = "a SID has at most 68 bytes"
)]
pub fn ace(kind: u8, flags: u8, mask: u32, sid: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, flags];
    out.extend_from_slice(&(8 + sid.len() as u16).to_le_bytes());
    out.extend_from_slice(&mask.to_le_bytes());
    out.extend_from_slice(sid);
    out
}

/// Builds an ACL of ACEs.
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    reason = "the size of an ACL is 16 bits by its layout"
)]
pub fn acl(aces: &[Vec<u8>]) -> Vec<u8> {
    let size = 8 + aces.iter().map(Vec::len).sum::<usize>();
    let mut out = vec![2, 0];
    out.extend_from_slice(&(size as u16).to_le_bytes());
    out.extend_from_slice(&(aces.len() as u16).to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    aces.iter().for_each(|ace| out.extend_from_slice(ace));
    out
}

/// Iterates over the ACEs of an ACL; stops at the first that does not fit.
pub fn aces(acl: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = acl.get(8..).unwrap_or_default();
    let mut left = acl
        .get(4..6)
        .map_or(0, |c| u16::from_le_bytes([c[0], c[1]]));
    std::iter::from_fn(move || {
        left = left.checked_sub(1)?;
        let size = usize::from(u16::from_le_bytes([*rest.get(2)?, *rest.get(3)?]));
        let (ace, after) = rest.split_at_checked(size).filter(|_| size >= 8)?;
        rest = after;
        Some(ace)
    })
}

fn acl_to_text(control: u16, acl: Option<&[u8]>, out: &mut String) {
    for (name, bit) in ACL_FLAGS.iter().rev() {
        if control & bit != 0 {
            out.push_str(name);
        }
    }
    let Some(acl) = acl else {
        out.push_str("NO_ACCESS_CONTROL");
        return;
    };
    for ace in aces(acl) {
        let Some((kind, _)) = ACE_TYPES.iter().find(|(_, value)| *value == ace[0]) else {
            continue;
        };
        let flags: String = ACE_FLAGS
            .iter()
            .filter(|(_, bit)| ace[1] & bit != 0)
            .map(|(name, _)| *name)
            .collect();
        let mask = u32::from_le_bytes([ace[4], ace[5], ace[6], ace[7]]);
        let Some(sid) = ace.get(8..).and_then(|bytes| Sid::parse(bytes).ok()) else {
            continue;
        };
        let named = RIGHTS.iter().find(|(_, value)| *value == mask);
        let rights = named.map_or_else(|| format!("{mask:#x}"), |(name, _)| (*name).to_owned());
        out.push_str(&format!("({kind};{flags};{rights};;;{sid})"));
    }
}

/// Size of an absolute descriptor in this process.
#[must_use]
pub fn absolute_size() -> usize {
    match width() {
        Width::X86 => 20,
        Width::X64 => 40,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sddl_round_trips() {
        let text = "O:S-1-5-32-544G:S-1-5-18D:P(A;OICI;GA;;;S-1-1-0)(D;;0x123;;;S-1-5-7)";
        let descriptor = Descriptor::from_text(text).expect("sddl");
        assert_eq!(descriptor.to_text(0xF), text);
        assert_eq!(descriptor.control, DACL_PRESENT | 0x1000);
        let again = Descriptor::read(Ptr::new(descriptor.to_bytes().as_ptr().addr() as u64))
            .expect("relative");
        assert_eq!(again, descriptor);
    }

    #[test]
    fn null_dacl_and_garbage() {
        let null = Descriptor::from_text("D:NO_ACCESS_CONTROL").expect("sddl");
        assert_eq!((null.control, null.dacl), (DACL_PRESENT, None));
        for bad in [
            "X:",
            "D:(A;;GA;;;)",
            "D:(A;;GA;;S-1-1-0)",
            "O:",
            "D:Q(A;;GA;;;WD)",
        ] {
            assert_eq!(Descriptor::from_text(bad), None, "{bad}");
        }
    }
}
