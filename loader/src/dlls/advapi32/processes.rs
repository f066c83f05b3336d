//! Starting programs as a user: `winbase.h`, `processthreadsapi.h`. There is one user, whose tokens are taken.

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use crate::dlls::kernel32::create_process::CreateProcessW;
use crate::dlls::kernel32::processenv::StartupInfo;
use crate::dlls::kernel32::processthreadsapi::ProcessInformation;
use crate::dlls::kernel32::synchapi::SecurityAttributes;
use crate::dlls::win32::{error, failed, refuse};
use crate::export::{Bool, Ptr};
use crate::ob::table::lookup;
use crate::ob::token::{self, Token};
use crate::win_api;

/// `TOKEN_ASSIGN_PRIMARY`, `TOKEN_DUPLICATE`, `TOKEN_QUERY`.
const NEEDED: u32 = 0x1 | 0x2 | 0x8;
/// `LOGON_WITH_PROFILE`, `LOGON_NETCREDENTIALS_ONLY`.
const LOGON_FLAGS: u32 = 0x3;

/// Returns `PRIVILEGE_NOT_HELD` for a token of another user than the process's.
fn check(token: Handle) -> Result<(), NtStatus> {
    let token = lookup::<Token>(token, NEEDED)?;
    if token.state().user != token::primary().state().user {
        return Err(NtStatus::PRIVILEGE_NOT_HELD);
    }
    Ok(())
}

win_api! {
    /// Starts a program with a token of the user.
    "advapi32.dll" stdcall fn CreateProcessWithTokenW(token: Handle, logon: u32, application: Ptr<u16>, command_line: Ptr<u16>, flags: u32, environment: UserPtr, directory: Ptr<u16>, startup: Ptr<StartupInfo>, information: Ptr<ProcessInformation>) -> Bool {
        if logon & !LOGON_FLAGS != 0 {
            return refuse(error::INVALID_PARAMETER, Bool::FALSE);
        }
        match check(token) {
            Ok(()) => CreateProcessW(application, command_line, Ptr::NULL, Ptr::NULL, Bool::FALSE, flags, environment, directory, startup, information),
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Starts a program with a token of the user.
    "advapi32.dll|kernel32.dll|kernelbase.dll" stdcall fn CreateProcessAsUserW(token: Handle, application: Ptr<u16>, command_line: Ptr<u16>, process: Ptr<SecurityAttributes>, thread: Ptr<SecurityAttributes>, inherit: Bool, flags: u32, environment: UserPtr, directory: Ptr<u16>, startup: Ptr<StartupInfo>, information: Ptr<ProcessInformation>) -> Bool {
        match if token == Handle::NULL { Ok(()) } else { check(token) } {
            Ok(()) => CreateProcessW(application, command_line, process, thread, inherit, flags, environment, directory, startup, information),
            Err(status) => failed(status, Bool::FALSE),
        }
    }
}
