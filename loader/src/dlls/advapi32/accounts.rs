//! Accounts by SID and by name: `winbase.h`.
//!
//! There are the well-known SIDs (Microsoft Learn "Well-known SIDs") and the users and groups of this machine, whose domain is
//! its name.

use rustix::process::{getgid, getuid};

use crate::dlls::kernel32::sysinfoapi::host_name;
use crate::dlls::win32::{ansi_of, error, refuse, units_arg, wide_arg};
use crate::export::{Bool, Guest, Ptr};
use crate::ob::security::read_sid;
use crate::ob::sid::Sid;
use crate::win_api;

/// `SidTypeUser`, `SidTypeGroup`, `SidTypeAlias`, `SidTypeWellKnownGroup`, `SidTypeLabel`.
const USER: u32 = 1;
const GROUP: u32 = 2;
const ALIAS: u32 = 4;
const WELL_KNOWN: u32 = 5;
const LABEL: u32 = 10;

/// Authority and sub-authorities, domain, name, kind.
type WellKnown = (u64, &'static [u32], &'static str, &'static str, u32);

const NT: &str = "NT AUTHORITY";
const BUILTIN: &str = "BUILTIN";
const LABELS: &str = "Mandatory Label";
const TABLE: &[WellKnown] = &[
    (1, &[0], "", "Everyone", WELL_KNOWN),
    (2, &[0], "", "LOCAL", WELL_KNOWN),
    (3, &[0], "", "CREATOR OWNER", WELL_KNOWN),
    (3, &[1], "", "CREATOR GROUP", WELL_KNOWN),
    (3, &[4], "", "OWNER RIGHTS", WELL_KNOWN),
    (5, &[1], NT, "DIALUP", WELL_KNOWN),
    (5, &[2], NT, "NETWORK", WELL_KNOWN),
    (5, &[3], NT, "BATCH", WELL_KNOWN),
    (5, &[4], NT, "INTERACTIVE", WELL_KNOWN),
    (5, &[6], NT, "SERVICE", WELL_KNOWN),
    (5, &[7], NT, "ANONYMOUS LOGON", WELL_KNOWN),
    (5, &[10], NT, "SELF", WELL_KNOWN),
    (5, &[11], NT, "Authenticated Users", WELL_KNOWN),
    (5, &[12], NT, "RESTRICTED", WELL_KNOWN),
    (5, &[18], NT, "SYSTEM", WELL_KNOWN),
    (5, &[19], NT, "LOCAL SERVICE", WELL_KNOWN),
    (5, &[20], NT, "NETWORK SERVICE", WELL_KNOWN),
    (5, &[32, 544], BUILTIN, "Administrators", ALIAS),
    (5, &[32, 545], BUILTIN, "Users", ALIAS),
    (5, &[32, 546], BUILTIN, "Guests", ALIAS),
    (5, &[32, 547], BUILTIN, "Power Users", ALIAS),
    (16, &[0x1000], LABELS, "Low Mandatory Level", LABEL),
    (16, &[0x2000], LABELS, "Medium Mandatory Level", LABEL),
    (16, &[0x3000], LABELS, "High Mandatory Level", LABEL),
    (16, &[0x4000], LABELS, "System Mandatory Level", LABEL),
];

/// What is known of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Account {
    sid: Sid,
    domain: String,
    name: String,
    kind: u32,
}

/// Entries of `/etc/passwd` or `/etc/group`: name and id (`man 5 passwd`, `man 5 group`).
fn entries(file: &str) -> Vec<(String, u32)> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let parse = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((name, fields.nth(1)?.parse().ok()?))
    };
    text.lines().filter_map(parse).collect()
}

/// Returns the name of the user.
pub fn user_name() -> String {
    let uid = getuid().as_raw();
    let of_file = || {
        let users = entries("/etc/passwd");
        users
            .into_iter()
            .find(|(_, id)| *id == uid)
            .map(|(name, _)| name)
    };
    let name = std::env::var("USER").ok().filter(|name| !name.is_empty());
    name.or_else(of_file).unwrap_or_else(|| "user".into())
}

/// Returns the domain of the machine's own accounts.
pub fn domain() -> String {
    String::from_utf16_lossy(&host_name())
}

/// All accounts, the user's first.
fn accounts() -> Vec<Account> {
    let local = |sid: Sid, name: String, kind| Account {
        sid,
        domain: domain(),
        name,
        kind,
    };
    let well_known = TABLE
        .iter()
        .map(|(authority, sub, domain, name, kind)| Account {
            sid: Sid::new(*authority, sub),
            domain: (*domain).to_owned(),
            name: (*name).to_owned(),
            kind: *kind,
        });
    let users = entries("/etc/passwd").into_iter();
    let groups = entries("/etc/group").into_iter();
    std::iter::once(local(Sid::of_user(getuid().as_raw()), user_name(), USER))
        .chain(well_known)
        .chain(users.map(|(name, id)| local(Sid::of_user(id), name, USER)))
        .chain(groups.map(|(name, id)| local(Sid::of_group(id), name, GROUP)))
        .chain([local(
            Sid::of_group(getgid().as_raw()),
            "None".into(),
            GROUP,
        )])
        .collect()
}

fn by_sid(sid: &Sid) -> Option<Account> {
    accounts().into_iter().find(|account| account.sid == *sid)
}

/// Finds `NAME` or `DOMAIN\NAME`, whatever the case of letters.
fn by_name(name: &str) -> Option<Account> {
    let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
    let (domain, name) = match name.split_once('\\') {
        Some((domain, name)) => (Some(domain).filter(|d| *d != "."), name),
        None => (None, name),
    };
    accounts().into_iter().find(|account| {
        same(&account.name, name) && domain.is_none_or(|domain| same(&account.domain, domain))
    })
}

/// Writes texts to buffers with their sizes: all of them, or only the sizes needed where one does not fit.
fn put_all<T: Guest + Default>(texts: [(&[T], Ptr<T>, Ptr<u32>); 2]) -> Bool {
    let fits = |(text, to, size): &(&[T], Ptr<T>, Ptr<u32>)| {
        !to.is_null() && size.read() as usize > text.len()
    };
    if !texts.iter().all(fits) {
        for (text, _, size) in texts {
            size.write(text.len() as u32 + 1);
        }
        return refuse(error::INSUFFICIENT_BUFFER, Bool::FALSE);
    }
    for (text, to, size) in texts {
        to.write_many(text);
        to.add(text.len()).write(T::default());
        size.write(text.len() as u32);
    }
    Bool::TRUE
}

fn account_of(sid: Ptr<u8>) -> Result<Account, u32> {
    let bytes = read_sid(sid).map_err(|_| error::INVALID_SID)?;
    let sid = Sid::parse(&bytes).map_err(|_| error::INVALID_SID)?;
    by_sid(&sid).ok_or(error::NONE_MAPPED)
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

/// Finds an account by name. The domain comes back in `domain`, encoded by `encode`.
fn look_up_name<T: Guest + Default>(
    name: Option<Vec<u16>>,
    sid: (Ptr<u8>, Ptr<u32>),
    domain: (Ptr<T>, Ptr<u32>),
    kind: Ptr<u32>,
    encode: impl Fn(&str) -> Vec<T>,
) -> Bool {
    let Some(name) = name else {
        return refuse(error::INVALID_PARAMETER, Bool::FALSE);
    };
    let Some(account) = by_name(&String::from_utf16_lossy(&name)) else {
        return refuse(error::NONE_MAPPED, Bool::FALSE);
    };
    let (bytes, text) = (account.sid.to_bytes(), encode(&account.domain));
    let fits = !sid.0.is_null()
        && sid.1.read() as usize >= bytes.len()
        && !domain.0.is_null()
        && domain.1.read() as usize > text.len();
    sid.1.write(bytes.len() as u32);
    if !fits {
        domain.1.write(text.len() as u32 + 1);
        return refuse(error::INSUFFICIENT_BUFFER, Bool::FALSE);
    }
    sid.0.write_bytes(&bytes);
    domain.0.write_many(&text);
    domain.0.add(text.len()).write(T::default());
    domain.1.write(text.len() as u32);
    kind.write(account.kind);
    Bool::TRUE
}

/// Gives the name of the user; the size counts the NUL.
fn put_user_name<T: Guest + Default>(name: &[T], to: Ptr<T>, size: Ptr<u32>) -> Bool {
    let given = size.read() as usize;
    size.write(name.len() as u32 + 1);
    if to.is_null() || given <= name.len() {
        return refuse(error::INSUFFICIENT_BUFFER, Bool::FALSE);
    }
    to.write_many(name);
    to.add(name.len()).write(T::default());
    Bool::TRUE
}

win_api! {
    /// Finds the account of a SID.
    "advapi32.dll" stdcall fn LookupAccountSidW(_system: Ptr<u16>, sid: Ptr<u8>, name: Ptr<u16>, name_size: Ptr<u32>, domain: Ptr<u16>, domain_size: Ptr<u32>, kind: Ptr<u32>) -> Bool {
        match account_of(sid) {
            Ok(account) => {
                kind.write(account.kind);
                put_all([(&wide(&account.name), name, name_size), (&wide(&account.domain), domain, domain_size)])
            }
            Err(code) => refuse(code, Bool::FALSE),
        }
    }

    /// Finds the account of a SID.
    "advapi32.dll" stdcall fn LookupAccountSidA(_system: Ptr<u8>, sid: Ptr<u8>, name: Ptr<u8>, name_size: Ptr<u32>, domain: Ptr<u8>, domain_size: Ptr<u32>, kind: Ptr<u32>) -> Bool {
        match account_of(sid) {
            Ok(account) => {
                kind.write(account.kind);
                put_all([(account.name.as_bytes(), name, name_size), (account.domain.as_bytes(), domain, domain_size)])
            }
            Err(code) => refuse(code, Bool::FALSE),
        }
    }

    /// Finds the SID of an account.
    "advapi32.dll" stdcall fn LookupAccountNameW(_system: Ptr<u16>, name: Ptr<u16>, sid: Ptr<u8>, sid_size: Ptr<u32>, domain: Ptr<u16>, domain_size: Ptr<u32>, kind: Ptr<u32>) -> Bool {
        look_up_name(units_arg(name), (sid, sid_size), (domain, domain_size), kind, wide)
    }

    /// Finds the SID of an account.
    "advapi32.dll" stdcall fn LookupAccountNameA(_system: Ptr<u8>, name: Ptr<u8>, sid: Ptr<u8>, sid_size: Ptr<u32>, domain: Ptr<u8>, domain_size: Ptr<u32>, kind: Ptr<u32>) -> Bool {
        look_up_name(wide_arg(name), (sid, sid_size), (domain, domain_size), kind, |text| text.as_bytes().to_vec())
    }

    /// Returns the name of the user.
    "advapi32.dll" stdcall fn GetUserNameW(name: Ptr<u16>, size: Ptr<u32>) -> Bool {
        put_user_name(&wide(&user_name()), name, size)
    }

    /// Returns the name of the user.
    "advapi32.dll" stdcall fn GetUserNameA(name: Ptr<u8>, size: Ptr<u32>) -> Bool {
        put_user_name(&ansi_of(&wide(&user_name())), name, size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sids_find_each_other() {
        let of = |name: &str| by_name(name).expect("account");
        assert_eq!(of("everyone").sid, Sid::everyone());
        assert_eq!(of("builtin\\ADMINISTRATORS").sid, Sid::administrators());
        assert_eq!(by_name("BUILTIN\\Everyone"), None);
        let own = by_sid(&Sid::of_user(getuid().as_raw())).expect("own");
        assert_eq!((own.name, own.kind), (user_name(), USER));
        assert_eq!(by_sid(&Sid::new(9, &[1, 2])), None);
    }
}
