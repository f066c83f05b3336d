//! Stored credentials: `wincred.h`. There is no set of them, which every call says.
//!
//! Source: Microsoft Learn "`CredReadW` function": `ERROR_NO_SUCH_LOGON_SESSION`, "there is no credential set associated".

use ntlpc_abi::UserPtr;

use crate::dlls::win32::refuse;
use crate::export::{Bool, Ptr};
use crate::win_api;

/// `ERROR_NO_SUCH_LOGON_SESSION`.
const NO_SET: u32 = 1312;

win_api! {
    /// Reads a credential.
    "advapi32.dll" stdcall fn CredReadW = "CredReadW|CredReadA" (_target: UserPtr, _kind: u32, _flags: u32, _credential: Ptr<UserPtr>) -> Bool {
        refuse(NO_SET, Bool::FALSE)
    }

    /// Keeps a credential.
    "advapi32.dll" stdcall fn CredWriteW = "CredWriteW|CredWriteA" (_credential: UserPtr, _flags: u32) -> Bool {
        refuse(NO_SET, Bool::FALSE)
    }

    /// Deletes a credential.
    "advapi32.dll" stdcall fn CredDeleteW = "CredDeleteW|CredDeleteA" (_target: UserPtr, _kind: u32, _flags: u32) -> Bool {
        refuse(NO_SET, Bool::FALSE)
    }

    /// Lists credentials.
    "advapi32.dll" stdcall fn CredEnumerateW = "CredEnumerateW|CredEnumerateA" (_filter: UserPtr, _flags: u32, _count: Ptr<u32>, _credentials: Ptr<UserPtr>) -> Bool {
        refuse(NO_SET, Bool::FALSE)
    }

    /// Frees what was read; nothing was.
    "advapi32.dll" stdcall fn CredFree(_buffer: UserPtr) {}
}
