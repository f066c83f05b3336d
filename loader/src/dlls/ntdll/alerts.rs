//! Alerts by thread number: what `WaitOnAddress` and slim locks of native programs are built on.
//!
//! An alert stays until the thread waits for it; it ends the wait with `STATUS_ALERTED`. Source: phnt `ntpsapi.h`.

use std::sync::atomic::Ordering;

use ntlpc_abi::{NtStatus, UserPtr};

use crate::export::Ptr;
use crate::ob::futex::{self, Sleep, Woken};
use crate::ob::thread;
use crate::ob::wait::deadline;
use crate::win_api;

win_api! {
    /// Alerts a thread of this process by its number.
    "ntdll.dll" stdcall fn NtAlertThreadByThreadId = "NtAlertThreadByThreadId|ZwAlertThreadByThreadId" (id: usize) -> Result<(), NtStatus> {
        let id = u32::try_from(id).map_err(|_| NtStatus::INVALID_CID)?;
        let thread = thread::find(id)?;
        thread.alert.store(1, Ordering::Release);
        futex::wake(&thread.alert, false, 1);
        Ok(())
    }

    /// Waits to be alerted; the address is a hint for debuggers.
    "ntdll.dll" stdcall fn NtWaitForAlertByThreadId = "NtWaitForAlertByThreadId|ZwWaitForAlertByThreadId" (_address: UserPtr, timeout: Ptr<i64>) -> Result<(), NtStatus> {
        let timeout = timeout.non_null().map(Ptr::try_read).transpose()?;
        let deadline_ns = deadline(timeout);
        let thread = thread::current();
        loop {
            if thread.alert.swap(0, Ordering::Acquire) != 0 {
                return Err(NtStatus::ALERTED);
            }
            let word = Sleep { word: &thread.alert, expected: 0, is_shared: false };
            let woken = futex::sleep_or_leave(&[word], deadline_ns);
            if matches!(woken, Woken::TimedOut) && thread.alert.load(Ordering::Acquire) == 0 {
                return Err(NtStatus::TIMEOUT);
            }
        }
    }
}
