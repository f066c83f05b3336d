//! Error codes and exceptions: `errhandlingapi.h`.

use crate::teb;
use crate::win_api;

win_api! {
    /// Returns the error code of the calling thread.
    "kernel32.dll|kernelbase.dll" stdcall fn GetLastError() -> u32 {
        teb::last_error()
    }

    /// Sets the error code of the calling thread.
    "kernel32.dll|kernelbase.dll" stdcall fn SetLastError(error: u32) {
        teb::set_last_error(error);
    }

    /// Sets the error code of the calling thread.
    "ntdll.dll" stdcall fn RtlSetLastWin32Error = "RtlSetLastWin32Error|RtlRestoreLastWin32Error" (error: u32) {
        teb::set_last_error(error);
    }

    /// Returns the error code of the calling thread.
    "ntdll.dll" stdcall fn RtlGetLastWin32Error() -> u32 {
        teb::last_error()
    }
}
