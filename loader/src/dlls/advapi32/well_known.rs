//! SIDs by `WELL_KNOWN_SID_TYPE`: `CreateWellKnownSid`, `IsWellKnownSid`.

use crate::dlls::win32::{error, refuse};
use crate::export::{Bool, Ptr};
use crate::ob::security::read_sid;
use crate::ob::sid::Sid;
use crate::win_api;

/// `WinNullSid` to `WinBuiltinPowerUsersSid` without those that need a domain or a session: number, authority, sub-authorities.
const TYPES: &[(u32, u64, &[u32])] = &[
    (0, 0, &[0]),
    (1, 1, &[0]),
    (2, 2, &[0]),
    (3, 3, &[0]),
    (4, 3, &[1]),
    (5, 3, &[2]),
    (6, 3, &[3]),
    (7, 5, &[]),
    (8, 5, &[1]),
    (9, 5, &[2]),
    (10, 5, &[3]),
    (11, 5, &[4]),
    (12, 5, &[6]),
    (13, 5, &[7]),
    (14, 5, &[8]),
    (15, 5, &[9]),
    (16, 5, &[10]),
    (17, 5, &[11]),
    (18, 5, &[12]),
    (19, 5, &[13]),
    (20, 5, &[14]),
    (22, 5, &[18]),
    (23, 5, &[19]),
    (24, 5, &[20]),
    (25, 5, &[32]),
    (26, 5, &[32, 544]),
    (27, 5, &[32, 545]),
    (28, 5, &[32, 546]),
    (29, 5, &[32, 547]),
];

fn of_type(kind: u32) -> Option<Sid> {
    let found = TYPES.iter().find(|(number, ..)| *number == kind);
    found.map(|(_, authority, sub)| Sid::new(*authority, sub))
}

win_api! {
    /// Makes a well-known SID.
    "advapi32.dll|kernelbase.dll" stdcall fn CreateWellKnownSid(kind: u32, _domain: Ptr<u8>, to: Ptr<u8>, size: Ptr<u32>) -> Bool {
        let Some(sid) = of_type(kind) else {
            log::warn!("CreateWellKnownSid: type {kind} is not there");
            return refuse(error::INVALID_PARAMETER, Bool::FALSE);
        };
        let bytes = sid.to_bytes();
        let given = size.read() as usize;
        size.write(bytes.len() as u32);
        if to.is_null() || given < bytes.len() {
            return refuse(error::INSUFFICIENT_BUFFER, Bool::FALSE);
        }
        to.write_bytes(&bytes);
        Bool::TRUE
    }

    /// Returns whether a SID is a well-known one.
    "advapi32.dll|kernelbase.dll" stdcall fn IsWellKnownSid(sid: Ptr<u8>, kind: u32) -> Bool {
        let given = read_sid(sid).ok();
        (given.is_some() && given == of_type(kind).map(|sid| sid.to_bytes())).into()
    }
}
