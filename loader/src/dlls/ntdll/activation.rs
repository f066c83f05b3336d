//! Activation contexts: nothing here makes any, so every thread is in that of the process, which is null.
//!
//! Source: Microsoft Learn "Activation Contexts"; prototypes: phnt `ntrtl.h`.

use ntlpc_abi::{NtStatus, UserPtr};

use crate::export::Ptr;
use crate::win_api;

win_api! {
    /// Tells the activation context a thread is in: none but that of the process.
    "ntdll.dll" stdcall fn RtlGetActiveActivationContext(context: Ptr<UserPtr>) -> Result<(), NtStatus> {
        context.try_write(UserPtr::NULL)
    }

    /// Gives an activation context back; nobody can have one but null.
    "ntdll.dll" stdcall fn RtlReleaseActivationContext(_context: UserPtr) {
    }
}
