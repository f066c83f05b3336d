//! Threads of C programs: `process.h`.
//!
//! Source: Microsoft Learn, "_beginthread, _beginthreadex", "_endthread, _endthreadex".

use ntlpc_abi::{Handle, UserPtr};

use crate::crt::errno;
use crate::dlls::kernel32::processthreadsapi::CreateThread;
use crate::dlls::kernel32::synchapi::SecurityAttributes;
use crate::export::{Callback, Ptr};
use crate::win_api;
use crate::{teb, thread};

win_api! {
    /// Starts a thread and returns its handle; 0 on failure.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _beginthreadex(security: Ptr<SecurityAttributes>, stack: u32, function: Callback, argument: UserPtr, flags: u32, id: Ptr<u32>) -> Handle {
        if function.is_null() {
            errno::set_errno(errno::code::EINVAL);
            return Handle::NULL;
        }
        let handle = CreateThread(security, stack as usize, function, argument, flags, id);
        if handle == Handle::NULL {
            errno::set_from_win32(teb::last_error());
        }
        handle
    }

    /// Ends the calling thread with a code.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _endthreadex(code: u32) {
        thread::exit(code)
    }
}
